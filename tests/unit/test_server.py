# SPDX-License-Identifier: MIT
"""server.py over real UNIX sockets: requests, refusals, slow and silent clients."""

import base64
import json
import os
import select
import socket

import pytest

from lab.fakes.net import Node, World
from tunlite.system import port
from tunlite.uapi import server, status

PEER = "public_key=" + "ab" * 32


class Loop:
    """poll(2) in place of tl_run."""

    def __init__(self):
        self.callbacks = {}
        self.now_ms = 0
        self.alarms = []

    def at(self, when_ms, callback):
        self.alarms.append((when_ms, callback))

    def sleep(self, ms):
        """Time passes, and what is due then is called."""
        self.now_ms += ms
        due = [row for row in self.alarms if row[0] <= self.now_ms]
        self.alarms = [row for row in self.alarms if row[0] > self.now_ms]
        for _, callback in due:
            callback(self.now_ms)

    def watch(self, fd, events, callback):
        self.callbacks[fd] = (events, callback)

    def unwatch(self, fd):
        self.callbacks.pop(fd, None)

    def now(self):
        return self.now_ms

    def turn(self):
        """Serves what is ready; False when nothing was."""
        poller = select.poll()
        for fd, (events, _) in self.callbacks.items():
            poller.register(fd, events)
        ready = poller.poll(0)
        for fd, events in ready:
            if fd in self.callbacks:
                self.callbacks[fd][1](fd, events)
        return bool(ready)

    def rest(self):
        for _ in range(100_000):
            if not self.turn():
                return
        raise AssertionError("the loop does not come to rest")


class SocketPort:
    """The real port's sockets, the fake's primitives."""

    def __init__(self, native):
        self.native = native

    def __getattr__(self, name):
        return getattr(port, name)


@pytest.fixture
def served(tmp_path):
    yield from _served(tmp_path)


@pytest.fixture
def told(tmp_path):
    """The socket that tells the status."""
    yield from _served(tmp_path, server.Reader)


def _served(tmp_path, kind=None, pieces=status.pieces):
    node = Node(World(), b"\x0a\0\0\x01").start()
    loop = Loop()
    path = str(tmp_path / "fake.sock")
    made = server.Server(
        loop,
        SocketPort(node.native),
        node.interface,
        lambda _: pieces(node.daemon),
        node.log,
        kind,
    )
    made.listen(port.unix_listen(path, 0o600, -1))
    made.node, made.loop, made.path = node, loop, path
    clients = []

    def connect():
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.setblocking(False)
        clients.append(client)
        loop.rest()
        return client

    made.connect = connect
    yield made
    made.close()
    for client in clients:
        client.close()


def ask(served, client, text):
    client.sendall(text if isinstance(text, bytes) else text.encode())
    return answer(served, client)


def answer(served, client):
    got = b""
    while True:
        served.loop.rest()
        try:
            data = client.recv(65536)
        except BlockingIOError:
            return got.decode()
        if not data:
            return got.decode() + "<end>"
        got += data


def test_get_ends_with_errno_and_an_empty_line(served):
    text = ask(served, served.connect(), "get=1\n\n")
    assert text.startswith("private_key=")
    assert text.endswith("listen_port=51820\nerrno=0\n\n")


def test_one_connection_may_ask_again_and_again(served):
    client = served.connect()
    for _ in range(3):
        assert ask(served, client, f"set=1\n{PEER}\nallowed_ip=10.0.0.1/32\n\n") == "errno=0\n\n"
        assert "allowed_ip=10.0.0.1/32\n" in ask(served, client, "get=1\n\n")


def test_requests_sent_in_one_go_are_answered_in_order(served):
    text = ask(served, served.connect(), f"set=1\n{PEER}\n\nget=1\n\nset=1\nbad=1\n\nget=1\n\n")
    first, second, third, fourth, rest = text.split("\n\n")
    assert (first, third, rest) == ("errno=0", "errno=-22", "")
    assert PEER in second
    assert fourth == second


def test_a_request_may_come_byte_by_byte(served):
    client = served.connect()
    for byte in f"set=1\n{PEER}\n".encode():
        assert ask(served, client, bytes([byte])) == ""
    assert ask(served, client, "\n") == "errno=0\n\n"


def test_the_rest_of_a_refused_set_is_read_and_dropped(served):
    client = served.connect()
    text = ask(served, client, f"set=1\nlisten_port=x\n{PEER}\n\n")
    assert text == "errno=-22\n\n"
    assert served.node.interface.peers == {}
    assert ask(served, client, "set=1\n\n") == "errno=0\n\n"


def test_an_unknown_command_is_refused(served):
    assert ask(served, served.connect(), "make=coffee\n\n") == "errno=-71\n\n"


@pytest.mark.parametrize("size", [server.LINE_MAX + 1, 100_000])
def test_a_line_that_is_too_long_is_refused_and_costs_no_memory(served, size):
    client = served.connect()
    client.setblocking(True)
    text = b"set=1\ndescription=" + b"x" * size + b"\n\n"
    sent = 0
    while sent < len(text):
        sent += client.send(text[sent : sent + 4096])
        served.loop.rest()
    client.setblocking(False)
    assert answer(served, client) == "errno=-22\n\n"


def test_a_description_of_the_greatest_length_is_taken(served):
    text = "d" * (server.LINE_MAX - len("description="))
    assert ask(served, served.connect(), f"set=1\n{PEER}\ndescription={text}\n\n") == "errno=0\n\n"


def test_a_set_whose_client_goes_away_takes_effect_as_far_as_it_came(served):
    client = served.connect()
    client.sendall(f"set=1\n{PEER}\nallowed_ip=10.0.0.1/32\nallowed_ip=10.0".encode())
    served.loop.rest()
    client.close()
    served.loop.rest()
    assert len(served.node.native.routes) == 1


def test_a_client_that_does_not_read_holds_up_itself_alone(served):
    lines = "".join(f"allowed_ip=10.{i // 256}.{i % 256}.0/24\n" for i in range(20_000))
    other = served.connect()
    other.setblocking(True)
    text = f"set=1\n{PEER}\n{lines}\n".encode()
    while text:
        text = text[other.send(text[:4096]) :]
        served.loop.rest()
    other.setblocking(False)
    assert answer(served, other) == "errno=0\n\n"
    slow = served.connect()
    slow.sendall(b"get=1\n\n")
    served.loop.rest()
    assert ask(served, other, "set=1\n\n") == "errno=0\n\n"
    text = answer(served, slow)
    assert text.count("allowed_ip=") == 20_000
    assert text.endswith("errno=0\n\n")


def test_clients_past_the_bound_wait_until_one_is_gone(served):
    clients = [served.connect() for _ in range(server.CLIENTS_MAX + 1)]
    assert ask(served, clients[-1], "set=1\n\n") == ""
    clients[0].close()
    assert answer(served, clients[-1]) == "errno=0\n\n"


def test_a_client_that_is_silent_for_30_seconds_makes_room(served):
    clients = [served.connect() for _ in range(server.CLIENTS_MAX)]
    served.loop.now_ms += server.IDLE_MS
    late = served.connect()
    assert ask(served, late, "set=1\n\n") == "errno=0\n\n"
    assert answer(served, clients[0]) == "<end>"


def test_status_is_one_line_of_json_and_errno(served):
    client = served.connect()
    ask(served, client, f"set=1\n{PEER}\nallowed_ip=10.0.0.1/32\nallowed_ip=::/0\n\n")
    text = ask(served, client, "status=1\n\n")
    line, end = text.split("\n", 1)
    assert end == "errno=0\n\n"
    found = json.loads(line)
    assert found["interface"] == "fake"
    assert found["engine"] == "basic"
    assert found["peers"][0]["allowed_ips"] == ["10.0.0.1/32", "::/0"]
    assert found["peers"][0]["preshared"] is False


def test_the_table_of_addresses_is_asked_for_as_the_rest(served):
    assert ask(served, served.connect(), "addresses=1\n\n") == "errno=0\n\n"


def test_lines_with_secrets_are_wiped(served):
    client = served.connect()
    ask(served, client, f"set=1\nprivate_key={'48' * 32}\n{PEER}\npreshared_key={'cd' * 32}\n\n")
    kept = served._clients[0]
    assert bytes(kept._line) == bytes(server.LINE_MAX)
    assert bytes(kept._input) == bytes(len(kept._input))


def test_what_a_client_left_unfinished_is_wiped(served):
    client = served.connect()
    client.sendall(b"set=1\nprivate_key=" + b"48" * 20)
    served.loop.rest()
    kept = served._clients[0]
    assert bytes(kept._line) != bytes(server.LINE_MAX)
    client.close()
    served.loop.rest()
    assert bytes(kept._line) == bytes(server.LINE_MAX)
    assert bytes(kept._input) == bytes(len(kept._input))


def test_a_whole_set_in_one_write_is_read_line_by_line(served):
    """More than one reading holds, with requests behind it that wait for the answer."""
    peers = "".join(f"public_key={i:064x}\nallowed_ip=10.0.{i}.0/24\n" for i in range(1, 40))
    client = served.connect()
    client.sendall(f"set=1\n{peers}\nset=1\n\nget=1\n\n".encode())
    text = answer(served, client)
    assert text.startswith("errno=0\n\nerrno=0\n\nprivate_key=")
    assert text.count("allowed_ip=") == 39


def test_closing_closes_every_descriptor(served):
    client = served.connect()
    before = len(os.listdir("/proc/self/fd"))
    served.close()
    assert len(os.listdir("/proc/self/fd")) == before - 2
    assert answer(served, client) == "<end>"
    assert served.loop.callbacks == {}


def test_a_client_that_came_too_early_gets_in_when_the_others_stay_silent(served):
    clients = [served.connect() for _ in range(server.CLIENTS_MAX)]
    served.loop.sleep(1)
    late = served.connect()
    assert ask(served, late, "set=1\n\n") == ""
    served.loop.sleep(server.IDLE_MS)
    assert answer(served, late) == "errno=0\n\n"
    assert answer(served, clients[0]) == "<end>"


def test_without_descriptors_the_loop_rests_and_accepts_again_later(served, monkeypatch):
    refused = []

    def accept(_fd):
        refused.append(1)
        raise OSError(24, "no descriptors are left")

    with monkeypatch.context() as patch:
        patch.setattr(port, "unix_accept", accept)
        late = served.connect()  # the loop would never rest
        assert len(refused) == 1
    served.loop.sleep(server.ACCEPT_AGAIN_MS)
    assert ask(served, late, "set=1\n\n") == "errno=0\n\n"


def test_a_client_whose_set_cannot_end_is_dropped_all_the_same(served, monkeypatch):
    client = served.connect()
    client.sendall(b"set=1\n")
    served.loop.rest()

    def commit():
        raise MemoryError

    monkeypatch.setattr(served.interface, "commit", commit)
    client.close()
    served.loop.rest()
    assert served._clients == [] and len(served.loop.callbacks) == 1


@pytest.mark.parametrize(
    "more, errno",
    [(b"", 0), (b"listen_port=51", -71)],
    ids=["behind a line", "inside a line"],
)
def test_a_set_that_ends_with_the_connection_is_answered(served, more, errno):
    client = served.connect()
    client.sendall(b"set=1\nlisten_port=7\n" + more)
    client.shutdown(socket.SHUT_WR)
    assert answer(served, client) == f"errno={errno}\n\n<end>"
    assert served.interface.listen_port == 7 and served._clients == []


def test_a_set_cut_off_at_every_byte_is_answered_and_leaves_no_client(served):
    text = f"set=1\nlisten_port=7\n{PEER}\nallowed_ip=10.0.0.0/8\n\n".encode()
    for size in range(len(text) + 1):
        client = served.connect()
        client.sendall(text[:size])
        client.shutdown(socket.SHUT_WR)
        wanted = "" if size < len("set=1\n") else "errno=-71\n\n"
        if wanted and text[:size].endswith(b"\n"):
            wanted = "errno=0\n\n"
        assert answer(served, client) == wanted + "<end>", text[:size]
        assert served._clients == []


def test_a_set_for_which_memory_is_short_says_so(served, monkeypatch):
    def add(*_):
        raise MemoryError

    monkeypatch.setattr(served.interface, "add_peer", add)
    client = served.connect()
    assert ask(served, client, f"set=1\n{PEER}\n\n") == "errno=-12\n\n"


# ---- the socket that only tells ----


def test_whoever_connects_gets_the_status_and_the_end(told):
    text = answer(told, told.connect())
    assert text.endswith("}\n<end>")
    found = json.loads(text[: -len("<end>")])
    assert found["interface"] == "fake" and found["peers"] == []


def test_what_a_reader_says_is_no_matter(told):
    client = _connected(told.path)
    client.sendall(b"set=1\nlisten_port=1\n\n" + b"x" * 400)
    assert answer(told, client).endswith("]}\n<end>")
    client.close()
    assert told.node.interface.listen_port == 51820


def test_no_key_but_public_ones_is_told(told):
    node = told.node
    private, psk = bytearray(range(1, 33)), bytearray(range(33, 65))
    node.interface.set_private_key(bytearray(private))
    node.interface.set_psk(node.interface.add_peer(b"\x07" * 32), psk)
    text = answer(told, told.connect())
    assert '"preshared": true' in text or '"preshared":true' in text
    for secret in (bytes(node.interface.me.private), bytes(psk)):
        assert base64.b64encode(secret).decode()[:40] not in text
        assert secret.hex() not in text


def _many_peers(told, count=3000):
    for number in range(count):
        told.node.interface.add_peer(number.to_bytes(32, "big"))


def _connected(path):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.setblocking(False)
    return client


def test_readers_that_do_not_read_make_room_after_a_while_and_others_wait(told):
    _many_peers(told)
    silent = [told.connect() for _ in range(server.CLIENTS_MAX)]
    late = _connected(told.path)
    for _ in range(server.IDLE_MS // 1000 + 2):
        told.loop.sleep(1000)
        told.loop.rest()
        silent[0].recv(100)  # byte by byte is no better than not at all
    assert len(json.loads(answer(told, late)[: -len("<end>")])["peers"]) == 3000
    late.close()


def test_a_reader_that_leaves_in_the_middle_leaves_nothing(told):
    _many_peers(told)
    client = told.connect()
    client.recv(100)
    client.close()
    told.loop.rest()
    assert len(told.loop.callbacks) == 1 and told._clients == []
