# SPDX-License-Identifier: MIT
"""Daemons that were taken over: root's commands read their answers, and must not fall over them."""

import contextlib
import os
import socket
import threading

import pytest

from tunlite import log
from tunlite.cli import commands, show
from tunlite.config import as_uapi
from tunlite.errors import UserError
from tunlite.host import addresses, confined, record, routes, tunnel
from tunlite.system import port
from tunlite.uapi import client


@pytest.fixture
def says(tmp_path, monkeypatch):
    """says(bytes): a daemon "t" that answers one request with them."""
    monkeypatch.setattr(client, "FOLDER", str(tmp_path))
    threads = []

    def answer(data):
        listener = port.unix_listen(str(tmp_path / "t.sock"), 0o600, -1)

        def serve():
            port.poll([(listener, port.POLLIN)], 5000)
            fd = port.unix_accept(listener)
            port.poll([(fd, port.POLLIN)], 5000)
            port.os_read(fd, 4096)
            try:
                port.os_write(fd, data)
            except OSError:
                pass  # whoever asked has seen enough
            port.close(fd)
            port.close(listener)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()

    yield answer
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"errno=zero\n\n",
        b"public_key=xyz\nerrno=0\n\n",
        b"allowed_ip=1\nerrno=0\n\n",
        b"fwmark=many\nerrno=0\n\n",
        b"listen_port=\nerrno=0\n\n",
        b"public_key=" + b"ab" * 32 + b"\npersistent_keepalive_interval=x\nerrno=0\n\n",
        b"public_key=" + b"ab" * 32 + b"\nallowed_ip=\xff\nerrno=0\n\n",
        b"public_key=" + b"ab" * 32 + b"\nendpoint=\xff\nerrno=0\n\n",
        b"\xff=1\nerrno=0\n\n",
        b"",
    ],
)
def test_an_answer_of_nonsense_is_a_refusal(says, answer):
    says(answer)
    with pytest.raises(client.Refused):
        as_uapi.Running(client.get_device("t"))


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        b"5",
        b"[]",
        b"\xff",
        b"[" * 60_000,
        b'{"peers":[]}',
        b'{"a":1,"peers":[',
        b'{"a":1,"peers":[{"public_key":',
        b'{"a":1,"peers":[5]}',
        b'{"a":1,"peers":[{"public_key":"' + b"A" * (2 << 20) + b'"}]}',
    ],
)
def test_a_status_of_nonsense_is_a_refusal(says, answer):
    says(answer + b"\nerrno=0\n\n")
    with pytest.raises(client.Refused):
        list(client.status("t"))


def test_a_refusal_is_an_error_that_commands_expect():
    assert issubclass(client.Refused, UserError)


@pytest.mark.timeout(20)
def test_a_daemon_that_speaks_where_it_has_nothing_to_say_is_ended(monkeypatch):
    readable, writable = port.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writable, b"hello")
        port.sleep_ms(10_000)
        os._exit(0)
    port.poll([(readable, port.POLLIN)], 5000)
    downs = []
    monkeypatch.setattr(tunnel, "take_down", lambda state, *_: downs.append(state["pid"]))
    child = confined.Child(pid, readable, writable)
    lines = []
    said = log.Log("t", write=lines.append)
    assert tunnel._ended_by_itself({"pid": pid}, child, said, None) != 0
    assert downs == [0] and "was killed by signal 9" in lines[0]
    port.close(readable)
    port.close(writable)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("peers", ["one after the other", "now and then"])
def test_a_status_without_end_is_not_read_for_ever(monkeypatch, peers):
    monkeypatch.setattr(client, "_ANSWER_MAX", 1 << 20)
    # Time must end the one and size the other, on a busy machine too.
    monkeypatch.setattr(client, "_ANSWER_MS", 300 if peers == "now and then" else 15_000)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    monkeypatch.setattr(port, "unix_connect", lambda path: os.dup(ours.fileno()))
    ends = threading.Event()

    def flood():
        with contextlib.suppress(OSError):
            theirs.sendall(b'{"interface":"t","peers":[{"public_key":"A="}')
            while not ends.wait(0.02 if peers == "now and then" else 0):
                theirs.sendall(b',{"public_key":"A="}')

    thread = threading.Thread(target=flood)
    thread.start()
    with pytest.raises(client.NoAnswer if peers == "now and then" else client.Refused):
        for _ in client.status("t"):
            pass
    ends.set()
    ours.close()
    thread.join()
    theirs.close()


PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


def test_a_status_that_lacks_what_ours_has_fails_a_reload_in_words_and_not_its_parent(
    says, tmp_path, monkeypatch
):
    path = tmp_path / "t.conf"
    path.touch(mode=0o600)
    path.write_text(f"[Peer]\nPublicKey = {PUBLIC}\nEndpoint = a.example:1\n")
    monkeypatch.setattr(record, "write", lambda state: None)
    monkeypatch.setattr(routes, "wanted", lambda config: [])
    monkeypatch.setattr(addresses, "apply", lambda *_: None)
    monkeypatch.setattr(client, "set_device", lambda *_: None)
    monkeypatch.setattr(client, "get_device", lambda name: iter([]))
    said = []
    state = {"interface": "t", "path": str(path), "loads": 1, "fixed": {}, "endpoints": {}}
    says(b'{"interface":"t","peers":[{"public_key":"A="}]}\nerrno=0\n\n')
    tunnel._reload_in_place(state, log.Log("t", write=said.append))
    assert "not reloaded: KeyError" in said[0]
    assert state["load_error"].startswith("KeyError")


def test_the_way_down_goes_on_whatever_a_step_falls_over(monkeypatch):
    ended = []

    def falls(*_):
        raise ValueError("no key")

    monkeypatch.setattr(tunnel, "_save", falls)
    monkeypatch.setattr(record, "hold", lambda *_: None)
    monkeypatch.setattr(record, "drop_file", lambda *_: None)
    monkeypatch.setattr(tunnel, "_end_daemon", lambda *_: ended.append("daemon"))
    state = record.new()
    state.update({"interface": "t", "pid": 1, "save": True, "PreDown": [], "PostDown": []})

    class Patience:
        later = reload = None

    with pytest.raises(UserError, match="with errors: ValueError: no key"):
        tunnel.take_down(state, log.Log("t", write=lambda line: None), Patience())
    assert ended == ["daemon"]


def test_what_a_daemon_says_does_not_steer_the_terminal():
    peer = {"preshared": False, "endpoint": "\x1b[2J", "allowed_ips": ["\x9b2J"]}
    peer.update({"latest_handshake": 0, "rx_bytes": 0, "tx_bytes": 0, "persistent_keepalive": 0})
    peer.update({"public_key": "A\r=", "description": "Grüße\t1"})
    head = {"interface": "t\a", "public_key": "\x7f", "listen_port": 0, "fwmark": 0}
    page = "".join(show.pages(iter([head, peer])))
    assert all(char == "\n" or char.isprintable() for char in page)
    assert "Grüße" in page and "interface: t" in page


@pytest.mark.parametrize("when", ["at once", "later"])
def test_show_goes_on_to_the_next_interface_wherever_one_fails(monkeypatch, capfd, when):
    def look(name):
        head = {"interface": name, "public_key": "", "listen_port": 0, "fwmark": 0}
        yield {} if name == "bad" and when == "at once" else head
        if name == "bad":
            raise client.NoAnswer("bad does not answer")

    monkeypatch.setattr(client, "interfaces", lambda: ["bad", "good"])
    monkeypatch.setattr(show, "look", look)
    assert commands.show({}, []) == 1
    out, err = capfd.readouterr()
    assert "interface: good" in out
    assert "tunlite: bad: " + ("KeyError" if when == "at once" else "bad does not") in err
    with pytest.raises(UserError):
        commands.show({}, ["bad"])
