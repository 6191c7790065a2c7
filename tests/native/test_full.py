# SPDX-License-Identifier: MIT
"""A socket that stays full: whose packets wait, whose go."""

import socket
import struct

import pytest

from tests.native.plane_ffi import KEY_A, Plane, endpoint, ipv4, lib, unseal
from tests.native.test_engines import Wired

LONG_MS = 21


class Full(Plane):
    """Three peers of one address each; the socket takes nothing."""

    def __init__(self, **changes):
        super().__init__(**changes)
        self.peers = [self.peer() for _ in range(3)]
        self.routes([(f"10.1.{i}.0/24", peer) for i, peer in enumerate(self.peers)])
        self.indices = [
            self.session(self.index(peer), remote=struct.pack("<I", i))
            for i, peer in enumerate(self.peers)
        ]
        self.call("fake_room", lib.TL_FAKE_SOCKET, 0)

    def offer(self, peer, n=1, size=1000, first=0):
        """n packets to this peer, numbered."""
        for i in range(first, first + n):
            self.put_inside(ipv4(dst=f"10.1.{peer}.9", payload=struct.pack("!I", i).ljust(size)))

    def sent(self):
        """[(peer, number)] of what left."""
        opened = [unseal(KEY_A, datagram) for datagram in self.take_outside()]
        return [(struct.unpack("<I", o[0])[0], struct.unpack("!I", o[2][20:24])[0]) for o in opened]

    def take(self, places):
        """The socket takes so many more, which poll(2) does not report."""
        self.call("fake_room", lib.TL_FAKE_SOCKET, places)
        self.turn()
        return self.sent()


@pytest.fixture
def full():
    with Full() as made:
        yield made


def test_until_a_socket_has_been_full_for_20_ms_the_device_waits_and_nothing_is_lost(full):
    full.offer(0, 200)
    full.turn(3)
    full.clock(LONG_MS - 1)
    full.turn(3)
    read = full.counters()["device_read"]
    full.turn(3)
    assert full.counters()["device_read"] == read < 200
    full.call("fake_room", lib.TL_FAKE_SOCKET, -1)
    full.turn(50)
    assert full.sent() == [(0, i) for i in range(200)] and full.drops() == {}


def test_then_the_device_is_read_on_and_the_peer_with_the_most_bytes_is_dropped(full):
    full.offer(0, 200)
    full.offer(1, 2)
    full.turn()
    full.clock(LONG_MS)
    full.turn(50)
    assert full.counters()["device_read"] == 202 and full.drops() == {"way_full": 200}
    assert full.take(1) == [(1, 0)]
    full.offer(0, 5, first=200)
    full.offer(2, 1)
    assert full.take(2) == [(1, 1), (2, 0)]
    assert full.drops() == {"way_full": 5}


def test_bytes_count_and_not_packets(full):
    full.offer(0, 4, size=1300)
    full.offer(1, 20, size=20)
    full.turn(5)
    full.clock(LONG_MS)
    full.turn(5)
    assert full.drops() == {"way_full": 4}
    assert full.take(100) == [(1, i) for i in range(20)]


def test_a_peer_that_sends_more_and_is_taken_loses_nothing(full):
    full.offer(0, 8)
    full.turn()
    full.clock(LONG_MS)
    full.turn()
    for i in range(20):
        full.offer(0, 1)
        full.offer(1, 5, first=5 * i)
        assert full.take(5) == [(1, 5 * i + k) for k in range(5)]
    assert full.drops() == {"way_full": 28}


def test_a_packet_that_waits_long_does_not_make_its_peer_the_one(full):
    full.offer(0, 8)
    full.offer(1, 2)
    full.turn()
    full.clock(LONG_MS)
    full.turn(200)
    full.offer(0, 3, first=8)
    assert full.take(9) == [(1, 0), (1, 1)]


def test_what_does_not_fit_beside_the_first_peer_s_is_the_next_one_s():
    with Full(batch=8, pool_bytes=1) as full:
        full.offer(0, 40)
        full.turn()
        full.clock(LONG_MS)
        full.turn(20)
        full.offer(1, 60, size=900)
        full.offer(2, 3, size=100)
        full.turn(40)
        assert full.counters()["device_read"] == 103
        assert full.drops()["way_full"] > 40
        assert full.take(100)[-3:] == [(2, i) for i in range(3)]


def test_when_the_socket_has_room_again_all_is_forgotten(full):
    full.offer(0, 50)
    full.turn()
    full.clock(LONG_MS)
    full.turn(9)
    full.call("fake_room", lib.TL_FAKE_SOCKET, -1)
    full.offer(0, 1, first=50)
    full.offer(1, 30)
    full.turn()
    full.drops()
    full.turn(9)
    assert full.sent()[-30:] == [(1, i) for i in range(30)]
    full.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    full.offer(1, 40)
    full.offer(0, 3)
    full.turn()
    full.clock(2 * LONG_MS + 1)
    full.turn(9)
    assert full.drops() == {"way_full": 40}
    assert [peer for peer, _ in full.take(9)] == [0, 0, 0]


def test_a_peer_with_the_most_bytes_may_be_removed(full):
    full.offer(0, 50)
    full.turn()
    full.clock(LONG_MS)
    full.turn(9)
    full.call("peer_free", full.peers[0])
    full.offer(1, 3)
    full.offer(2, 2)
    full.turn(3)
    assert full.take(9) == [(2, 0), (2, 1)]


def test_a_handshake_takes_the_first_place(full):
    full.offer(1, 3)
    full.offer(0, 50)
    full.turn()
    full.clock(LONG_MS)
    full.turn(9)
    message = struct.pack("<II", 1, 7) + bytes(140)
    full.call("send", full.peers[2], endpoint(), message, 148)
    full.call("fake_room", lib.TL_FAKE_SOCKET, 2)
    full.turn()
    first, second = full.take_outside()
    assert first == message and unseal(KEY_A, second)[0] == struct.pack("<I", 1)


@pytest.mark.parametrize("which", ["data", "handshakes"])
def test_what_is_for_the_other_family_does_not_wait_behind_a_full_socket(which):
    with Wired("mmsg") as wired, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as second:
        second.bind(("::1", 0))
        second.settimeout(5)
        v4, v6 = wired.where, endpoint("::1", second.getsockname()[1])
        other = wired.plane.peer(where=v6)
        wired.plane.session(wired.plane.index(other), born_ms=wired.now_ms())
        wired.plane.routes([("10.0.0.0/16", wired.peer), ("10.1.0.0/16", other)])
        wired.plane.call("fake_full", 1)
        if which == "data":
            for dst in ("10.0.0.2", "10.1.0.2"):
                wired.inside.send(ipv4(dst=dst))
        else:
            for where in (v4, v6):
                wired.plane.call("send", -1, where, b"\1\0\0\0" + bytes(144), 148)
        wired.run(0.001)
        assert len(second.recv(4096)) in (48 + 16, 148)
        wired.plane.call("fake_full", 0)
        wired.run(0.001)
        assert len(wired.outside.recv(4096)) in (48 + 16, 148)
        assert wired.plane.drops() == {}
