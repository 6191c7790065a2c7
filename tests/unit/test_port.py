# SPDX-License-Identifier: MIT
"""What every port offers, on the interpreter that runs this test."""

import errno
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

from tunlite.system import port


def _promised_functions():
    """Every name that the docstring writes with its arguments; getrandom(2) is a manual page."""
    return re.findall(r"(?<![\w.])([a-z_]\w+)\((?!\d)", port.__doc__)


def test_the_port_has_every_function_that_its_docstring_lists():
    names = _promised_functions()
    assert len(names) > 50
    for name in names:
        assert callable(getattr(port, name, None) or getattr(port.links, name, None)), name


def test_an_atomic_write_replaces_the_file_and_leaves_no_other(tmp_path):
    path = str(tmp_path / "state")
    port.write_file_atomic(path, b"one", 0o600)
    port.write_file_atomic(path, b"two", 0o640)
    assert port.read_file(path) == b"two"
    assert stat.S_IMODE(port.stat(path)[0]) == 0o640
    assert port.listdir(str(tmp_path)) == ["state"]


def test_a_failed_atomic_write_leaves_the_old_file(tmp_path):
    folder = tmp_path / "name"
    folder.mkdir()
    (folder / "x").write_text("")
    with pytest.raises(OSError):
        port.write_file_atomic(str(folder), b"two", 0o600)  # a folder cannot be replaced
    assert os.listdir(tmp_path) == ["name"]


def test_a_read_into_a_buffer_fills_its_beginning(tmp_path):
    r, w = port.pipe()
    port.os_write(w, b"abc")
    buffer = bytearray(b"....")
    assert port.read_into(r, buffer) == 3 and buffer == b"abc."
    port.os_write(w, b"de")
    assert port.read_into(r, memoryview(buffer)[3:]) == 1 and buffer == b"abcd"
    port.set_blocking(r, False)
    assert port.read_into(r, memoryview(buffer)[:1]) == 1
    with pytest.raises(OSError) as empty:
        port.read_into(r, buffer)
    assert empty.value.errno == 11
    port.close(w)
    assert port.read_into(r, buffer) == 0
    port.close(r)


def test_a_live_socket_is_not_replaced_and_a_dead_one_is(tmp_path):
    path = str(tmp_path / "s")
    first = port.unix_listen(path, 0o600, -1)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with pytest.raises(OSError) as refused:
        port.unix_listen(path, 0o600, -1)
    assert refused.value.errno == 98
    port.close(first)
    second = port.unix_listen(path, 0o600, -1)
    client = port.unix_connect(path)
    server = port.unix_accept(second)
    with pytest.raises(OSError) as empty:
        port.os_read(server, 10)
    assert empty.value.errno == 11
    port.os_write(client, b"hello")
    assert port.poll([(server, port.POLLIN)], 1000) == [(server, port.POLLIN)]
    assert port.os_read(server, 10) == b"hello"
    for fd in (second, client, server):
        port.close(fd)


def test_a_datagram_goes_to_who_is_bound_there_and_never_waits(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        port.unix_send(path, b"one")
        port.unix_send(path, b"two")
        assert [listener.recv(10), listener.recv(10)] == [b"one", b"two"]
        with pytest.raises(OSError) as full:
            for _ in range(100_000):
                port.unix_send(path, b"more")
        assert full.value.errno == errno.EAGAIN
    with pytest.raises(OSError) as dead:
        port.unix_send(path, b"three")
    assert dead.value.errno == errno.ECONNREFUSED


def test_a_file_that_is_no_socket_is_never_replaced(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(OSError):
        port.unix_listen(str(path), 0o600, -1)
    assert path.read_text() == "precious"


def test_a_watched_socket_tells_that_its_file_is_gone(tmp_path):
    path = str(tmp_path / "s")
    listener = port.unix_listen(path, 0o600, -1)
    watch = port.watch_path(path)
    assert port.poll([(watch, port.POLLIN)], 0) == []
    os.unlink(path)
    assert port.poll([(watch, port.POLLIN)], 1000) == [(watch, port.POLLIN)]
    port.close(watch)
    port.close(listener)


def test_signals_arrive_as_bytes():
    handlers = {n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    try:
        fd = port.signal_fd()
        port.kill(port.getpid(), signal.SIGHUP)
        assert port.poll([(fd, port.POLLIN)], 1000)
        assert port.os_read(fd, 10) == bytes([signal.SIGHUP])
        port.close(fd)
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_child_is_waited_for_with_its_status():
    pid = port.fork()
    if pid == 0:
        port._exit(7)
    assert port.waitpid(pid, True) == 7
    pid = port.fork()
    if pid == 0:
        port.sleep_ms(60000)
    assert port.waitpid(pid, False) is None
    port.kill(pid, 9)
    assert port.waitpid(pid, True) == 256 + 9


def test_users_and_groups_are_found_by_name_and_number():
    assert port.lookup_user("root") == (0, 0)
    assert port.lookup_user("0") == (0, 0)
    assert port.lookup_group("root") == 0
    with pytest.raises(OSError):
        port.lookup_user("no-such-user")
    with pytest.raises(OSError):
        port.lookup_group("no-such-group")


def test_literal_addresses_resolve_to_themselves():
    assert port.resolve("192.0.2.1", 51820) == [(4, bytes([192, 0, 2, 1]), 51820, 0)]
    assert port.resolve("2001:db8::1", 1)[0][:3] == (
        6,
        bytes.fromhex("20010db8000000000000000000000001"),
        1,
    )


def test_a_link_that_is_not_there_is_none():
    assert port.links.link_get("tunlite-none") is None
    assert port.links.link_get("lo")[0] == 1


def test_a_program_run_again_takes_no_module_from_the_folder_it_stands_in(tmp_path):
    """The resolver's child of root must not run what others put into /tmp."""
    for name in ("json", "socket", "struct", "nacl", "cffi"):
        (tmp_path / (name + ".py")).write_text("open('taken', 'w').close()")
    argv = [*port.executable(), "--resolve"]
    done = subprocess.run(argv, input=b"127.0.0.1 5\n", capture_output=True, cwd=tmp_path)
    assert done.stdout == b'[[4, "7f000001", 5, 0]]\n', done.stderr
    assert not (tmp_path / "taken").exists()


def test_what_a_crash_left_of_an_atomic_write_does_not_stop_the_next(tmp_path):
    """A router that boots gives its daemon the same pid each time."""
    path = str(tmp_path / "state")
    (tmp_path / f"state.{os.getpid()}.new").write_text("ha")
    port.write_file_atomic(path, b"whole", 0o600)
    assert port.read_file(path) == b"whole"
    assert port.listdir(str(tmp_path)) == ["state"]


def test_an_atomic_write_does_not_follow_a_link_in_its_way(tmp_path):
    path = str(tmp_path / "state")
    (tmp_path / "other").write_text("kept")
    (tmp_path / f"state.{os.getpid()}.new").symlink_to(tmp_path / "other")
    port.write_file_atomic(path, b"whole", 0o600)
    assert (tmp_path / "other").read_text() == "kept"
