# SPDX-License-Identifier: MIT
"""Full queues are a state, not an error."""

import contextlib
import struct
import time
from pathlib import Path

import pytest

from tests.native.plane_ffi import KEY_A, KEY_B, NEVER, Plane, endpoint, ipv4, lib, seal, unseal

PACKETS = [ipv4(payload=struct.pack("!I", i)) for i in range(200)]


@pytest.fixture
def plane():
    with Plane() as p:
        p.only = p.peer(["0.0.0.0/0"])
        p.index_bytes = p.session(p.index(p.only))
        yield p


def test_a_full_socket_stops_the_reading_of_the_device_and_loses_nothing(plane):
    plane.put_inside(*PACKETS)
    plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    plane.turn(5)
    read = plane.counters()["device_read"]
    plane.turn(5)
    assert plane.counters()["device_read"] == read < 200
    sent = []
    for _ in range(100):
        plane.call("fake_room", lib.TL_FAKE_SOCKET, 3)
        plane.turn()
        sent += plane.take_outside()
    assert [unseal(KEY_A, d)[1] for d in sent] == list(range(200))
    assert plane.drops() == {}


def test_a_full_device_stops_the_reading_of_the_socket_and_loses_nothing(plane):
    plane.put_outside(*[seal(KEY_B, plane.index_bytes, i, p) for i, p in enumerate(PACKETS)])
    plane.call("fake_room", lib.TL_FAKE_DEVICE, 0)
    plane.turn(5)
    read = plane.counters()["socket_read"]
    plane.turn(5)
    assert plane.counters()["socket_read"] == read < 200
    got = []
    for _ in range(100):
        plane.call("fake_room", lib.TL_FAKE_DEVICE, 3)
        plane.turn()
        got += plane.take_inside()
    assert got == PACKETS
    assert plane.drops() == {}


def test_a_full_device_does_not_stop_the_other_direction(plane):
    plane.call("fake_room", lib.TL_FAKE_DEVICE, 0)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 0, ipv4()))
    plane.turn()
    plane.put_inside(*PACKETS)
    plane.turn(30)
    assert len(plane.take_outside()) == 200


def test_a_full_socket_does_not_stop_the_other_direction(plane):
    plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    plane.put_inside(ipv4())
    plane.turn()
    plane.put_outside(*[seal(KEY_B, plane.index_bytes, i, p) for i, p in enumerate(PACKETS)])
    plane.turn(30)
    assert plane.take_inside() == PACKETS


def test_handshakes_have_room_of_their_own_and_go_first(plane):
    plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    plane.put_inside(*PACKETS[:4])
    plane.turn()
    messages = [struct.pack("<II", 1, i) + bytes(140) for i in range(17)]
    for message in messages[:16]:
        plane.call("send", plane.only, endpoint(), message, 148)
    with pytest.raises(OSError, match="EAGAIN"):
        plane.call("send", plane.only, endpoint(), messages[16], 148)
    assert plane.drops() == {"send_queue_full": 1}
    plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
    plane.turn()
    sent = plane.take_outside()
    assert sent[:16] == messages[:16]
    assert [unseal(KEY_A, d)[1] for d in sent[16:]] == [0, 1, 2, 3]


def test_packets_that_wait_for_a_removed_peer_are_dropped_and_handshakes_still_go(plane):
    plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    plane.put_inside(*PACKETS[:4])
    plane.turn()
    plane.call("send", plane.only, endpoint(), b"\1\0\0\0" + bytes(144), 148)
    plane.call("peer_free", plane.only)
    assert plane.drops() == {"peer_gone": 4}
    plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
    plane.turn()
    assert [len(d) for d in plane.take_outside()] == [148]


def test_a_roamed_peers_waiting_packets_go_to_where_it_is_now(plane):
    plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    plane.put_inside(ipv4())
    plane.turn()
    there = endpoint("198.51.100.3", 9)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 0, b""), where=there)
    plane.turn()
    plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
    plane.turn()
    [(_, where, _)] = plane.take_outside_all()
    assert where == there


def test_the_smallest_pool_still_carries_both_directions_at_once():
    with Plane(pool_bytes=1, batch=1, mtu=9000) as plane:
        peer = plane.peer(["0.0.0.0/0"])
        index = plane.session(plane.index(peer))
        plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
        plane.call("fake_room", lib.TL_FAKE_DEVICE, 0)
        big = [ipv4(payload=struct.pack("!I", i) + bytes(60_000)) for i in range(20)]
        plane.put_inside(*big)
        plane.put_outside(*[seal(KEY_B, index, i, p) for i, p in enumerate(big)])
        plane.turn(10)
        plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
        plane.call("fake_room", lib.TL_FAKE_DEVICE, -1)
        plane.turn(50)
        assert plane.take_inside() == big and len(plane.take_outside()) == 20
        assert plane.drops() == {}


@contextlib.contextmanager
def held_by_others():
    """A plane, and a peer whose new session finds a packet staged and no buffer: all are with what
    another's session received, for which the device has no room. It has at the end, and gets and
    sends all of it."""
    with Plane(pool_bytes=1) as plane:
        peer, other = plane.peer(), plane.peer()
        plane.routes([("10.0.0.2/32", peer), ("10.0.0.1/32", other)])
        staged = ipv4(payload=bytes(20_000))
        plane.put_inside(staged)
        plane.turn()
        index = plane.session(plane.index(other), send=KEY_B)
        plane.call("fake_room", lib.TL_FAKE_DEVICE, 0)
        big = [ipv4(payload=struct.pack("!I", i) + bytes(60_000)) for i in range(8)]
        plane.put_outside(*[seal(KEY_B, index, i, p) for i, p in enumerate(big)])
        plane.turn(2)
        plane.session(plane.index(peer))
        yield plane, peer
        plane.call("fake_room", lib.TL_FAKE_DEVICE, -1)
        plane.turn(3)
        assert plane.take_inside() == big
        [datagram] = plane.take_outside()
        assert unseal(KEY_A, datagram)[2][: len(staged)] == staged


@pytest.mark.timeout(60)
def test_a_new_session_does_not_wait_for_buffers_that_others_hold():
    with held_by_others() as (plane, peer):
        assert plane.counters()["pool_short"] > 0 and plane.state(peer)["staged"] == 1


@pytest.mark.timeout(60)
def test_staged_packets_wait_asleep_for_buffers_that_others_hold():
    with held_by_others() as (plane, peer):
        plane.turn()  # tells what there is to tell
        before = plane.counters()
        assert plane.stay(NEVER, lambda: time.sleep(0.1) or True) & lib.TL_WOKE_CONTROL
        after = plane.counters()
        assert plane.state(peer)["staged"] == 1
        waits = after["waits"] - before["waits"]
        assert after["turns"] - before["turns"] == waits + 1  # the first turn is at once


def test_a_pool_that_runs_short_asks_python_once_and_grows_up_to_its_bound():
    with Plane(pool_bytes=8 << 20, batch=64, mtu=1420) as plane:
        peer = plane.peer(["0.0.0.0/0"])
        plane.session(plane.index(peer))
        big = [ipv4(payload=bytes(60_000)) for _ in range(100)]
        plane.put_inside(*PACKETS[:120])
        plane.turn(4)
        assert len(plane.take_outside()) == 120  # the batch has grown: 8, 16, 32, 64
        plane.put_inside(*big)
        plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
        woke = [plane.turn() & lib.TL_WOKE_POOL for _ in range(20)]
        assert sum(map(bool, woke)) == 1
        before = plane.call("plane_grow", 0)
        assert plane.call("plane_grow", 1 << 20) >= before + 1024
        assert plane.call("plane_grow", 1 << 30) <= 6 << 10
        plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
        plane.turn(100)
        assert len(plane.take_outside()) == 100 and plane.drops() == {}


def resident_kb():
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4


def test_a_pool_that_shrinks_gives_its_memory_back_and_still_carries():
    big = [ipv4(payload=bytes(60_000)) for _ in range(300)]
    with Plane(pool_bytes=64 << 20, batch=64) as plane:
        peer = plane.peer(["0.0.0.0/0"])
        plane.session(plane.index(peer))
        plane.call("plane_grow", 64 << 20)
        for _ in range(2):
            plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
            plane.put_inside(*big)
            plane.turn(20)
            plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
            plane.turn(50)
            assert len(plane.take_outside()) == 300 and plane.drops() == {}
            before = resident_kb()
            plane.call("plane_grow", 0)
            assert before - resident_kb() > 2000
