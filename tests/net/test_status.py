# SPDX-License-Identifier: MIT
"""The status socket of daemons that were started in every way: what it tells and to whom.

host                            one daemon, no network
"""

import json
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from lab.netns import wait_for
from lab.peers import Keys, ini, interface_name, preshared_key, tunlite_command

pytestmark = pytest.mark.once

_FOLDER = Path("/run/tunlite")


class Host:
    """Starts a daemon of a name of its own in one of the ways."""

    def __init__(self, lab, tmp_path):
        self.namespace = lab.namespace("host")
        self.name = interface_name()
        self.file = tmp_path / f"{self.name}.conf"
        self.status = _FOLDER / f"{self.name}.status"
        self.keys, self.peer, self.psk = Keys(), Keys(), preshared_key()
        self.process = None
        lab.on_close(lambda: self.command("down", self.file, check=False))

    def command(self, *words, **kwargs):
        return self.namespace.run([*tunlite_command(), *words], **kwargs)

    def write(self, **interface):
        sections = [
            ("Interface", {"PrivateKey": self.keys.private, **interface}),
            ("Peer", {"PublicKey": self.peer.public, "PresharedKey": self.psk}),
        ]
        self.file.write_text(ini(sections))
        self.file.chmod(0o600)

    def spawn(self, *words):
        self.process = self.namespace.start([*tunlite_command(), *words], "daemon")
        self.process.wait_line("ready")

    def start(self, way, **interface):
        self.write(**interface)
        if way == "up":
            self.command("up", self.file)
        elif way == "run":
            self.spawn("run", "--config", str(self.file))
        elif way == "-f":
            self.spawn("-f", self.name)
        else:
            self.command(self.name)

    def told_text(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.status))
            text = b""
            while part := client.recv(65536):
                text += part
        return text.decode()

    def told(self):
        return json.loads(self.told_text())


@pytest.fixture
def host(lab, tmp_path):
    return Host(lab, tmp_path)


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("way", ["run", "up", "-f", "bare"])
def test_every_daemon_tells_its_status_to_who_may_ask_and_takes_it_away_at_the_end(host, way):
    host.start(way)
    if way in ("-f", "bare"):
        host.command("setconf", host.name, host.file)
    assert (_mode(host.status), _mode(_FOLDER)) == (0o600, 0o711)
    text = host.told_text()
    found = json.loads(text)
    assert found["public_key"] == host.keys.public
    assert [(row["public_key"], row["preshared"]) for row in found["peers"]] == [
        (host.peer.public, True)
    ]
    assert host.keys.private not in text and host.psk not in text
    assert host.namespace.run(["wg", "show", "interfaces"]).stdout.split() == [host.name]
    if way == "up":
        host.command("down", host.file)
    elif way == "bare":
        host.namespace.ip("link", "del", host.name)
    else:
        host.process.stop()
    wait_for(lambda: not host.status.exists(), 10, "the end of the status socket")


def test_a_group_that_was_named_may_read_it_and_nobody_else(host):
    host.start("up", SocketGroup="daemon", User="nobody")
    assert (_mode(host.status), host.status.stat().st_gid) == (0o660, 1)
    assert host.status.stat().st_uid == 65534
    for gid, may in ((1, True), (12345, False)):
        words = ["setpriv", "--reuid=12345", f"--regid={gid}", "--clear-groups"]
        words += [*tunlite_command(), "show", host.name]
        shown = host.namespace.run(words, check=False)
        assert (shown.returncode == 0) == may, shown
    host.command("down", host.file)
    assert not host.status.exists()


def test_who_may_use_the_status_socket_alone_sees_by_show_what_runs(host):
    host.start("up", SocketGroup="daemon")
    os.chmod(f"/var/run/wireguard/{host.name}.sock", 0o600)
    words = ["setpriv", "--reuid=12345", "--regid=1", "--clear-groups", *tunlite_command()]
    shown = host.namespace.run([*words, "show", host.name, "--json"])
    assert json.loads(shown.stdout)["peers"] == host.told()["peers"]
    assert host.namespace.run([*words, "reload", host.name], check=False).returncode == 1


def test_the_socket_of_a_daemon_that_was_killed_is_replaced(host):
    host.start("-f")
    old = host.status.stat().st_ino
    os.kill(host.process.pid, signal.SIGKILL)
    host.process.wait()
    assert host.status.exists()
    host.start("-f")
    wait_for(lambda: host.status.stat().st_ino != old, 10, "a new socket")
    assert host.told()["interface"] == host.name


def test_readers_that_do_not_read_hold_up_neither_the_daemon_nor_its_control_socket(host):
    host.start("up")
    silent = []
    for _ in range(8):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(host.status))
        silent.append(client)
    assert host.peer.public in host.command("show", host.name).stdout
    for client in silent:
        client.close()
    assert host.told()["interface"] == host.name
