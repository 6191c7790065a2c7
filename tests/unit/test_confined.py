# SPDX-License-Identifier: MIT
"""The confined child: what fails in it reaches who started it, and leaves no socket."""

import os
import signal
from types import SimpleNamespace

import pytest

from tunlite import log
from tunlite.config.settings import Settings
from tunlite.host import confined, privileges
from tunlite.system import port
from tunlite.uapi import client

_SAYS = (
    (IndexError("odd"), "cannot be set up: IndexError: odd"),
    (MemoryError("no room"), "MemoryError: no room"),
    (ValueError(), "ValueError"),
    (OSError(24, "Too many open files"), "cannot be set up: Too many open files"),
    (confined.StartError("two\nlines"), "two lines"),
)


@pytest.fixture
def sockets(tmp_path, monkeypatch):
    """The folder of the sockets; nothing is confined, and state goes elsewhere."""
    monkeypatch.setattr(client, "FOLDER", str(tmp_path))
    monkeypatch.setattr(client, "STATUS_FOLDER", str(tmp_path))
    monkeypatch.setattr(privileges, "prepare_folders", lambda *_: None)
    monkeypatch.setattr(privileges, "confine", lambda *_: None)
    return tmp_path


def _start():
    return confined.start("t", Settings({}), log.Log("t", -1), detach=False)


def _fails(monkeypatch, what, error):
    def fail(*_, **__):
        if isinstance(error, BaseException):
            raise error
        os.kill(os.getpid(), error)

    monkeypatch.setattr(confined, what, fail)


@pytest.mark.parametrize(("error", "told"), _SAYS)
@pytest.mark.parametrize("where", ["open_daemon", "_machine"])
def test_what_fails_before_it_is_ready_is_told_with_its_type(
    sockets, monkeypatch, where, error, told
):
    _fails(monkeypatch, where, error)
    with pytest.raises(confined.StartError) as found:
        _start()
    assert told in found.value.args[0]
    assert list(sockets.iterdir()) == []


def test_nothing_of_the_state_folder_is_read_before_we_are_who_it_belongs_to(monkeypatch):
    """A daemon that was taken over may have left a link to a file of root's there, as that of a
    key, which would be a blocked key then, and be written down with the next one."""
    happened = []
    blocked = SimpleNamespace(keep_in=happened.append)
    machine = SimpleNamespace(interface=SimpleNamespace(blocked=blocked), close=None)
    monkeypatch.setattr(privileges, "prepare_folders", lambda *_: "/state")
    monkeypatch.setattr(privileges, "confine", lambda *_: happened.append("confined"))
    for name in ("_open_sockets", "_serve", "_attach"):
        monkeypatch.setattr(confined, name, lambda *_: None)
    monkeypatch.setattr(confined, "_machine", lambda *_: machine)
    monkeypatch.setattr(confined.privileges, "Owner", lambda settings: None)
    confined.open_daemon("t", Settings({}), log.Log("t", -1))
    assert happened == ["confined", "/state/blocked-t"]


@pytest.mark.parametrize("kind", [privileges.PrivilegeError, confined.StartError, ValueError])
def test_never_and_again_are_told_apart_across_the_fork(sockets, monkeypatch, kind):
    _fails(monkeypatch, "_machine", kind("x"))
    with pytest.raises(confined.StartError) as found:
        _start()
    assert found.value.status == (78 if kind is privileges.PrivilegeError else 1)


def test_a_child_that_is_killed_before_it_is_ready_leaves_no_socket(sockets, monkeypatch):
    _fails(monkeypatch, "_machine", signal.SIGKILL)
    with pytest.raises(confined.StartError, match="was killed by signal 9 before it was ready"):
        _start()
    assert list(sockets.iterdir()) == []


@pytest.mark.parametrize("folder", ["missing", "/proc"])
def test_without_a_place_for_the_status_the_daemon_goes_on_and_says_so(
    sockets, monkeypatch, capfd, folder
):
    monkeypatch.setattr(client, "STATUS_FOLDER", folder)
    _fails(monkeypatch, "_machine", confined.StartError("it came so far"))
    with pytest.raises(confined.StartError, match="it came so far"):
        confined.start("t", Settings({}), log.Log("t"), detach=False)
    assert f"there is no status socket: the socket {folder}/t.status cannot be made" in (
        capfd.readouterr().err
    )
    assert list(sockets.iterdir()) == []


def test_the_socket_of_another_daemon_stays(sockets, monkeypatch):
    listener = port.unix_listen(client.socket_path("t"), 0o600, -1)
    with pytest.raises(confined.StartError, match="another daemon answers"):
        _start()
    port.close(port.unix_connect(client.socket_path("t")))
    port.close(listener)


@pytest.mark.parametrize("owner", [(4001, -1), (-1, 4001)])
def test_a_socket_that_cannot_be_given_away_does_not_stay(sockets, monkeypatch, owner):
    def refused(*_):
        raise OSError(1, "Operation not permitted")

    class Owner(privileges.Owner):
        def __init__(self, _settings):
            self.uid, self.gid = owner
            self.socket_gid = self.gid

    monkeypatch.setattr(privileges, "Owner", Owner)
    monkeypatch.setattr(confined.port, "chown", refused)
    monkeypatch.setattr(os, "chown", refused)
    with pytest.raises(confined.StartError, match="Operation not permitted"):
        confined.open_daemon("t", Settings({}), log.Log("t", -1))
    assert list(sockets.iterdir()) == []


def test_what_ends_a_running_child_is_logged_with_its_type(sockets, monkeypatch, capfd):
    class Machine:
        failed = False

        def run(self):
            raise IndexError("odd")

    monkeypatch.setattr(confined, "open_daemon", lambda *_, **__: Machine())
    assert confined.start("t", Settings({}), log.Log("t"), detach=False).status() == 1
    assert "t: ends: IndexError: odd" in capfd.readouterr().err
