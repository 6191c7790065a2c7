# SPDX-License-Identifier: MIT
"""The executable for routers where its heap is small, and where very much is asked of it.

host, alone in its namespace: whoever fills the heap must be able to empty it again.
"""

import hashlib
import os
import socket

import pytest

from devtools import cross
from lab.netns import wait_for
from lab.peers import interface_name

pytestmark = pytest.mark.once


class _Daemon:
    def __init__(self, lab, *options):
        self.name = interface_name()
        self.path = f"/var/run/wireguard/{self.name}.sock"
        program = str(cross.build("x86_64"))
        host = lab.namespace("host")
        self.process = host.start([program, *options, "-f", self.name], "daemon")
        wait_for(lambda: os.path.exists(self.path), 10, "the daemon listens")

    def ask(self, text):
        """(lines of the answer but the last, its errno)"""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(250)
            client.connect(self.path)
            client.sendall(text.encode())
            answer = b""
            while not answer.endswith(b"\n\n"):
                part = client.recv(65536)
                assert part, (answer, self.process.log())
                answer += part
        *lines, last = answer.decode().split()
        return lines, int(last.removeprefix("errno="))

    def set(self, *lines):
        return self.ask("\n".join(["set=1", *lines, "", ""]))[1]


def _key(number):
    return hashlib.sha256(b"%d" % number).hexdigest()


def _peers(numbers):
    for number in numbers:
        yield f"public_key={_key(number)}"
        yield f"allowed_ip=10.{number >> 8}.{number & 255}.1/32"


def _fill(daemon):
    """How many peers it took."""
    assert daemon.set(f"private_key={1:064x}") == 0
    assert daemon.set(*_peers(range(5000))) == -12  # ENOMEM
    lines, errno = daemon.ask("get=1\n\n")
    assert errno == 0
    return sum(line.startswith("public_key=") for line in lines)


def test_a_set_that_is_too_large_leaves_get_removal_and_the_end_working(lab):
    daemon = _Daemon(lab, "--heap", "512K")
    taken = _fill(daemon)
    assert taken > 50
    assert daemon.set(*_peers(range(5000, 9999))) == -12
    assert daemon.set(f"public_key={_key(0)}", "remove=true") == 0
    lines, _ = daemon.ask("get=1\n\n")
    assert f"public_key={_key(0)}" not in lines and f"public_key={_key(1)}" in lines
    assert daemon.ask("status=1\n\n")[1] == 0
    assert daemon.set("replace_peers=true") == 0
    assert daemon.set(*_peers(range(50))) == 0
    assert daemon.process.stop() == 0
    assert "dropped" not in daemon.process.log()


def test_a_full_heap_is_no_hindrance_to_the_end(lab):
    daemon = _Daemon(lab, "--heap", "512K")
    _fill(daemon)
    assert daemon.process.stop() == 0
    assert "dropped" not in daemon.process.log()


@pytest.mark.timeout(280)
def test_a_hundred_and_thirty_thousand_allowed_ips_come_move_and_go(lab):
    prefixes = [
        f"allowed_ip=10.{i >> 9 & 255}.{i >> 1 & 255}.{i % 2 << 7}/25" for i in range(1 << 17)
    ]
    daemon = _Daemon(lab, "--heap", "64M")
    assert daemon.set(f"public_key={_key(1)}", *prefixes) == 0
    assert daemon.set(f"public_key={_key(2)}", *prefixes) == 0
    lines, errno = daemon.ask("get=1\n\n")
    assert errno == 0
    assert lines.index(f"public_key={_key(2)}") < lines.index(prefixes[0])
    assert sorted(line for line in lines if line.startswith("allowed_ip=")) == sorted(prefixes)
    assert daemon.set(f"public_key={_key(2)}", "replace_allowed_ips=true") == 0
    assert not [line for line in daemon.ask("get=1\n\n")[0] if line.startswith("allowed_ip=")]
