# SPDX-License-Identifier: MIT
"""Keys that an operator shut out, in memory and on the disk."""

import errno

import pytest

from lab.fakes.net import Node, World
from tunlite import keys
from tunlite.control import block_list

KEY, OTHER = bytes([1]) * 32, bytes([2]) * 32
PATH = "/state/blocked-wg0"
ROUTER, GATEWAY = b"\x0a\0\0\1", b"\x0a\0\0\2"


class _Log:
    def __init__(self):
        self.lines = []

    def error(self, text, kind=None):
        self.lines.append(text)


@pytest.fixture
def port():
    return Node(World(), ROUTER).port


def _list(port):
    log = _Log()
    made = block_list.BlockList(port, log)
    made.keep_in(PATH)
    return made, log.lines


def test_a_blocked_key_is_still_blocked_after_a_restart(port):
    made, lines = _list(port)
    made.add(KEY)
    made.add(OTHER)
    assert made.remove(OTHER) and not made.remove(OTHER)
    again, _ = _list(port)
    assert KEY in again and OTHER not in again and not lines
    assert port.files[PATH] == keys.text(KEY).encode() + b"\n"


def test_a_full_disk_is_told_and_the_key_is_blocked_until_the_end(port):
    made, lines = _list(port)
    port.disk_error = errno.ENOSPC
    with pytest.raises(OSError):
        made.add(KEY)
    assert KEY in made and "holds until the daemon ends" in lines[-1]
    port.disk_error = 0
    made.add(KEY)
    assert KEY in _list(port)[0]


def test_a_line_that_is_no_key_is_told_with_its_number_and_the_others_are_taken(port):
    port.files[PATH] = keys.text(KEY).encode() + b"\nrubbish\n\n" + keys.text(OTHER).encode()
    made, lines = _list(port)
    assert KEY in made and OTHER in made and len(made) == 2
    assert len(lines) == 1 and lines[0].startswith(PATH + ":2: ")


def test_a_line_that_is_no_key_is_there_to_be_corrected_after_a_change_too(port):
    port.files[PATH] = b"# the stolen one:\nrub\xffbish\n" + keys.text(KEY).encode() + b"\n"
    made, _ = _list(port)
    made.add(OTHER)
    made.remove(KEY)
    lines = port.files[PATH].split(b"\n")
    assert lines == [b"# the stolen one:", b"rub\xffbish", keys.text(OTHER).encode(), b""]


def test_blanks_and_the_line_ends_of_other_systems_unblock_nobody(port):
    port.files[PATH] = b" " + keys.text(KEY).encode() + b"\r\n" + keys.text(OTHER).encode() + b"\t"
    made, lines = _list(port)
    assert KEY in made and OTHER in made and not lines


def test_a_list_that_could_not_be_read_is_told_and_never_written_over(port, monkeypatch):
    port.files[PATH] = keys.text(KEY).encode() + b"\n"

    def broken(path):
        raise OSError(errno.EIO, path)

    monkeypatch.setattr(port, "read_file", broken)
    made, lines = _list(port)
    assert "NO KEY IS BLOCKED" in lines[0]
    with pytest.raises(OSError):
        made.add(OTHER)
    assert OTHER in made and port.files[PATH] == keys.text(KEY).encode() + b"\n"


def test_there_are_so_many_and_no_more(port, monkeypatch):
    monkeypatch.setattr(block_list, "MOST", 1)
    made, _ = _list(port)
    made.add(KEY)
    with pytest.raises(OSError):
        made.add(OTHER)
    made.add(KEY)
    assert OTHER not in made and len(made) == 1


# ---- what it does to sessions ----


@pytest.fixture
def ends():
    """A router that knows its gateway's endpoint, with a session."""
    world = World()
    router, gateway = Node(world, ROUTER).start(), Node(world, GATEWAY).start()
    router.peer_at = router.add(gateway, GATEWAY)
    gateway.peer_at = gateway.add(router, ROUTER, endpoint=False)
    router.send(GATEWAY)
    world.run(1)
    assert gateway.received() == [b"hello"]
    return world, router, gateway


def test_a_blocked_key_s_session_ends_at_once_and_it_gets_no_other(ends):
    world, router, gateway = ends
    gateway.interface.block(gateway.peer_at.public)
    sessions = gateway.peer_at.sessions
    assert sessions.current is sessions.next is sessions.previous is None
    router.send(GATEWAY)
    world.run(200)
    assert gateway.received() == []
    assert gateway.interface.exchange.refused["from a blocked key"] > 0
    gateway.interface.unblock(gateway.peer_at.public)
    router.send(GATEWAY, b"again")
    world.run(20)
    assert gateway.received()[-1] == b"again"


def test_a_blocked_key_s_initiation_costs_one_x25519(ends):
    world, router, gateway = ends
    world.clock.now_ms += 200_000
    gateway.interface.block(gateway.peer_at.public)
    x25519, counted = gateway.port.x25519, []
    gateway.port.x25519 = lambda *words: counted.append(1) or x25519(*words)
    router.send(GATEWAY)
    world.run(1)
    assert len(counted) == 1


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_who_is_blocked_while_his_handshake_runs_gets_no_session(ends, steps):
    world, router, gateway = ends
    world.clock.now_ms += 200_000
    settle, gateway.settle = gateway.settle, lambda: None
    gateway.native.inbox.clear()
    router.send(GATEWAY)
    world.delay_ms = lambda packet: 0
    exchange = gateway.interface.exchange
    router.settle()
    for _, call in [(0, row[2]) for row in world._queue]:
        call()  # the initiation is there, and its first step may be done
    world._queue.clear()
    for _ in range(steps - 1):
        gateway.turn()
    assert exchange.busy()
    gateway.interface.block(gateway.peer_at.public)
    settle()
    sessions = gateway.peer_at.sessions
    assert sessions.current is sessions.next is None


def test_nothing_is_sent_to_a_blocked_peer_and_its_packets_wake_nobody(ends):
    world, router, gateway = ends
    router.interface.block(router.peer_at.public)
    before = router.native.peers[router.peer_at.handle].tx
    wakes = router.native.wakes
    for _ in range(20):
        router.send(GATEWAY)
        router.settle()
    world.run(30)
    assert router.native.peers[router.peer_at.handle].tx == before
    assert router.native.wakes - wakes < 10


def test_a_blocked_peer_that_is_owed_a_keepalive_wakes_nobody(ends):
    world, _, gateway = ends
    gateway.interface.block(gateway.peer_at.public)
    world.run(200)
    wakes = gateway.native.wakes
    world.run(3600)
    assert gateway.native.wakes == wakes


def test_a_key_that_is_blocked_before_its_peer_comes_is_blocked_then(ends):
    world, router, gateway = ends
    gateway.interface.remove_peer(gateway.peer_at)
    gateway.interface.commit()
    gateway.interface.block(router.interface.me.public)
    assert gateway.add(router, ROUTER, endpoint=False).blocked
