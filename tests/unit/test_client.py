# SPDX-License-Identifier: MIT
"""Asking a daemon: answers in any pieces, refusals, sockets that nobody serves."""

import contextlib
import errno
import json
import os
import socket
import threading

import pytest

from lab.background import repeated
from tunlite.errors import UserError
from tunlite.system import port
from tunlite.uapi import client


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "FOLDER", str(tmp_path))
    return tmp_path


def _serve(folder, pieces, name="wg0"):
    """A daemon that reads one request and answers in these pieces; returns what it was sent."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / f"{name}.sock"))
    listener.listen(1)
    got = []

    def body():
        connection, _ = listener.accept()
        text = b""
        while not text.endswith(b"\n\n"):
            text += connection.recv(100)
        got.append(text)
        for piece in pieces:
            connection.sendall(piece)
        connection.close()

    thread = threading.Thread(target=body)
    thread.start()
    return got, thread


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100])
def test_an_answer_is_read_however_it_is_cut(folder, step):
    answer = b"listen_port=7\npublic_key=" + b"ab" * 32 + b"\nerrno=0\n\n"
    pieces = [answer[i : i + step] for i in range(0, len(answer), step)]
    got, thread = _serve(folder, pieces)
    rows = list(client.get_device("wg0"))
    thread.join()
    assert rows == [(b"listen_port", b"7"), (b"public_key", b"ab" * 32)]
    assert got == [b"get=1\n\n"]


def test_a_refusal_is_told_with_its_reason(folder):
    rows = (
        (-98, "UDP port is taken"),
        (12, "with a larger heap"),
        (22, "Invalid argument"),
        (-(10**30), "Unknown error"),
    )
    for number, told in rows:
        _, thread = _serve(folder, [b"errno=%d\n\n" % number])
        with pytest.raises(client.Refused, match=told):
            client.set_device("wg0", [bytearray(b"listen_port=7\n")])
        thread.join()
        os.unlink(client.socket_path("wg0"))


def test_a_sent_piece_is_wiped(folder):
    pieces = [bytearray(b"private_key=" + b"ab" * 32 + b"\n"), bytearray(b"fwmark=1\n")]
    got, thread = _serve(folder, [b"errno=0\n\n"])
    client.set_device("wg0", pieces)
    thread.join()
    assert b"".join(got) == b"set=1\nprivate_key=" + b"ab" * 32 + b"\nfwmark=1\n\n"
    assert all(piece == bytes(len(piece)) for piece in pieces)


def test_an_answer_that_breaks_off_is_a_refusal(folder):
    _, thread = _serve(folder, [b"listen_port=7\n"])
    with pytest.raises(client.Refused, match="middle"):
        list(client.get_device("wg0"))
    thread.join()


STATUS = (
    b'{"interface":"wg0","up":true,"peers":['
    b'{"public_key":"A=","description":"]},{\\"public_key\\":","allowed_ips":[]},'
    b'{"public_key":"B=","allowed_ips":["10.0.0.0/8","::/0"]}]}\nerrno=0\n\n'
)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_status_is_read_peer_by_peer_however_it_is_cut(folder, step):
    got, thread = _serve(folder, [STATUS[i : i + step] for i in range(0, len(STATUS), step)])
    assert list(client.status("wg0")) == [
        {"interface": "wg0", "up": True},
        {"public_key": "A=", "description": ']},{"public_key":', "allowed_ips": []},
        {"public_key": "B=", "allowed_ips": ["10.0.0.0/8", "::/0"]},
    ]
    thread.join()
    assert got == [b"status=1\n\n"]


def test_a_status_without_peers_is_the_interface_alone(folder):
    _, thread = _serve(folder, [b'{"interface":"wg0","peers":[]}\nerrno=0\n\n'])
    assert list(client.status("wg0")) == [{"interface": "wg0"}]
    thread.join()


def test_a_status_that_breaks_off_is_a_refusal(folder):
    _, thread = _serve(folder, [STATUS[:100]])
    with pytest.raises(client.Refused, match="middle"):
        list(client.status("wg0"))
    thread.join()


def _crowd(folder, name="wg0"):
    """A daemon that lets nobody in, and who fills its door."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / f"{name}.sock"))
    listener.listen(0)
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(10)]
    for one in crowd:
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            one.connect(str(folder / f"{name}.sock"))
    return [listener, *crowd]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("door", ["open", "full"])
def test_a_stuck_daemon_is_told_to_whoever_asks_or_sets(folder, monkeypatch, door):
    monkeypatch.setattr(client, "_SILENCE_MS", 50)
    crowd = _crowd(folder)
    if door == "open":
        for one in crowd[1:]:
            one.close()
        while True:  # who waited at the door has gone
            crowd[0].setblocking(False)
            try:
                crowd[0].accept()[0].close()
            except BlockingIOError:
                break
    for call in (
        lambda: list(client.get_device("wg0", 50)),
        lambda: list(client.status("wg0")),
        lambda: list(client.ask("wg0", [b"set=1\n", bytes(1 << 20), b"\n"], 50)),
    ):
        with pytest.raises(client.NoAnswer, match="wg0 does not answer"):
            call()
        if door == "open":
            crowd[0].accept()[0].close()
    for one in crowd:
        one.close()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("ask", [client.get_device, client.status])
def test_a_daemon_that_speaks_byte_by_byte_is_not_waited_for_for_ever(folder, monkeypatch, ask):
    monkeypatch.setattr(client, "_ANSWER_MS", 300)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    monkeypatch.setattr(port, "unix_connect", lambda path: os.dup(ours.fileno()))
    with repeated(lambda: theirs.send(b"x"), 0.02), pytest.raises(client.NoAnswer):
        list(ask("wg0"))
    ours.close()
    theirs.close()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b"x" * 4096, b"allowed_ip=10.0.0.0/8\n" * 200])
def test_an_answer_without_end_is_a_refusal_before_it_fills_the_memory(folder, monkeypatch, piece):
    monkeypatch.setattr(client, "_ANSWER_MAX", 1 << 20)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    monkeypatch.setattr(port, "unix_connect", lambda path: os.dup(ours.fileno()))

    def flood():
        with contextlib.suppress(OSError):
            while True:
                theirs.sendall(piece)

    thread = threading.Thread(target=flood)
    thread.start()
    with pytest.raises(client.Refused, match="makes no sense"):
        for _ in client.get_device("wg0"):
            pass
    ours.close()
    thread.join()
    theirs.close()


def test_nobody_there_is_told_whether_the_file_is_there_or_not(folder):
    with pytest.raises(client.NoDaemon, match="is not up"):
        client.connect("wg0")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "wg0.sock"))
    dead.close()
    with pytest.raises(client.NoDaemon, match="is not up"):
        client.connect("wg0")
    assert client.interfaces() == ["wg0"]


def test_without_the_right_to_use_the_socket_that_is_told(folder, monkeypatch):
    def refuse(path):
        raise OSError(errno.EACCES, path)

    monkeypatch.setattr(port, "unix_connect", refuse)
    with pytest.raises(UserError, match="be root, or in its group"):
        client.connect("wg0")


# ---- the status, from whichever socket ----


def _tells(path, pieces):
    """A socket that asks nothing, tells this and ends."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def body():
        connection, _ = listener.accept()
        for piece in pieces:
            connection.sendall(piece)
        connection.close()

    thread = threading.Thread(target=body)
    thread.start()
    return thread


def _no_right(monkeypatch, refused):
    connect = port.unix_connect

    def connected(path):
        if path == refused:
            raise OSError(errno.EACCES, "Permission denied")
        return connect(path)

    monkeypatch.setattr(client.port, "unix_connect", connected)


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
@pytest.mark.parametrize("peers", [[], [{"public_key": "a"}], [{"public_key": "a"}] * 3])
def test_who_may_not_use_the_control_socket_gets_the_status_from_the_other(
    folder, monkeypatch, step, peers
):
    monkeypatch.setattr(client, "STATUS_FOLDER", str(folder))
    _no_right(monkeypatch, client.socket_path("wg0"))
    rows = ",".join(json.dumps(peer).replace(": ", ":") for peer in peers)
    text = ('{"interface":"wg0","peers":[' + rows + "]}\n").encode()
    pieces = [text[i : i + step] for i in range(0, len(text), step)]
    thread = _tells(client.status_path("wg0"), pieces)
    assert list(client.status("wg0")) == [{"interface": "wg0"}, *peers]
    thread.join()


def test_who_may_use_neither_is_told_so(folder, monkeypatch):
    monkeypatch.setattr(client, "STATUS_FOLDER", str(folder))
    _no_right(monkeypatch, client.socket_path("wg0"))
    with pytest.raises(client.NoDaemon, match="wg0.status"):
        next(client.status("wg0"))
