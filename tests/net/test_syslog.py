# SPDX-License-Identifier: MIT
"""A daemon in the background writes to /dev/log; the test listens there, in a /dev of its own.

host, alone in its namespace
"""

import re
import socket
import subprocess

import pytest

from devtools.skips import has_one_user
from lab.peers import Keys, ini, interface_name, tunlite_command
from lab.topology import wait_for

pytestmark = pytest.mark.once

# /dev becomes "$1", with what the daemon needs of the real one; nobody else sees it
_OWN_DEV = """
set -e
for node in null random urandom zero net/tun; do
    mkdir -p "$(dirname "$1/$node")"
    touch "$1/$node"
    mount --bind "/dev/$node" "$1/$node"
done
mount --rbind "$1" /dev
shift
exec "$@"
"""


class System:
    """The system's log, and tunlite where that is what /dev/log leads to."""

    def __init__(self, lab):
        self.namespace = lab.namespace("host")
        self.name = interface_name()
        self._dev = lab.folder / "dev"
        self._dev.mkdir()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(10)
        lab.on_close(self._socket.close)

    def listen(self):
        self._socket.bind(str(self._dev / "log"))
        (self._dev / "log").chmod(0o666)

    def tunlite(self, *words, **kwargs):
        shell = ["sh", "-c", _OWN_DEV, "sh", self._dev, *tunlite_command(), *words]
        return self.namespace.run(
            ["unshare", "--mount", "--propagation", "private", *shell], **kwargs
        )

    def line(self):
        """(priority, text) of the next one, found well formed."""
        line = self._socket.recv(2000).decode()
        found = re.fullmatch(
            r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d tunlite\[\d+\]: (.*)\n", line
        )
        assert found, line
        return int(found[1]), found[2]

    def is_silent(self):
        self._socket.setblocking(False)
        try:
            return not self._socket.recv(2000)
        except BlockingIOError:
            return True


@pytest.fixture
def system(lab):
    return System(lab)


def _end(system):
    system.namespace.ip("link", "del", system.name)
    argv = ["ip", "netns", "pids", system.namespace.name]
    wait_for(lambda: not subprocess.check_output(argv), 10, "the daemon has ended")


def test_a_daemon_in_the_background_tells_the_system_s_log_how_it_goes(system):
    system.listen()
    done = system.tunlite(system.name)
    assert done.stderr == ""
    assert system.line() == (30, f"{system.name}: ready")
    _end(system)
    priority, text = system.line()
    assert priority == 30
    assert re.fullmatch(f"{system.name}: ends: the (link|device) was deleted", text)


@pytest.mark.parametrize("user", [None, "nobody"])
def test_a_daemon_of_tunlite_up_does_too_whoever_it_is(system, lab, user):
    if user and has_one_user():
        pytest.skip("this user namespace has one user")
    path = lab.folder / f"{system.name}.conf"
    path.touch(mode=0o600)
    options = {"PrivateKey": Keys().private, "StateDir": lab.folder / "state"}
    if user:
        options["User"] = user
    path.write_text(ini([("Interface", options)]))
    system.listen()
    system.tunlite("up", path)
    assert system.line() == (30, f"{system.name}: ready")
    system.tunlite("down", system.name)
    last = (30, f"{system.name}: ends: signal 15")
    wait_for(lambda: system.line() == last, 10, "its last words")


def test_log_level_holds_there_too(system, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "error")
    system.listen()
    system.tunlite(system.name)
    _end(system)
    assert system.is_silent()


def test_without_a_system_s_log_all_is_as_it_was(system):
    done = system.tunlite(system.name)
    assert (done.stdout, done.stderr) == ("", "")
    _end(system)


def test_a_daemon_in_the_foreground_writes_to_stderr_alone(system, monkeypatch):
    system.listen()
    failed = system.tunlite("-f", "lo", check=False)
    assert failed.returncode == 1 and "lo: " in failed.stderr
    assert system.is_silent()
