# SPDX-License-Identifier: MIT
"""Staged packets: order, bounds, and what becomes of them."""

import struct

import pytest
from hypothesis import given, strategies as st

from tests.native.plane_ffi import KEY_A, KEY_B, Plane, endpoint, ipv4, lib, seal, unseal


def numbered(n, dst="10.0.0.2", size=0):
    """Packets that tell their place."""
    return [ipv4(dst=dst, payload=struct.pack("!I", i) + bytes(size)) for i in range(n)]


def opened(datagrams, key=KEY_A):
    """The inside packets of transport messages, padding off."""
    inner = [unseal(key, d)[2] for d in datagrams]
    return [p[: int.from_bytes(p[2:4], "big")] for p in inner]


@pytest.fixture
def plane():
    with Plane() as p:
        p.only = p.peer(["0.0.0.0/0"])
        yield p


def test_packets_wait_for_a_session_and_then_go_in_order_before_newer_ones(plane):
    packets = numbered(60)
    plane.put_inside(*packets[:50])
    plane.turn(10)
    assert plane.take_outside() == [] and plane.state(plane.only)["staged"] == 50
    index = plane.index(plane.only)
    plane.session(index, use=False)
    plane.put_inside(*packets[50:])
    plane.call("session_use", index)
    plane.turn(5)
    datagrams = plane.take_outside()
    assert opened(datagrams) == packets
    assert [unseal(KEY_A, d)[1] for d in datagrams] == list(range(60))
    assert plane.state(plane.only)["staged"] == 0 and plane.drops() == {}


def test_the_first_staged_packet_asks_for_a_session_once(plane):
    plane.arm(plane.only)
    plane.put_inside(*numbered(3))
    assert plane.turn() & lib.TL_WOKE_PEERS
    assert plane.events() == {plane.only: lib.TL_PEER_WANTS_SESSION}
    plane.put_inside(*numbered(3))
    assert not plane.turn() & lib.TL_WOKE_PEERS
    plane.arm(plane.only, lib.TL_PEER_WANTS_SESSION)
    plane.put_inside(*numbered(1))
    assert plane.turn() & lib.TL_WOKE_PEERS


def test_a_peer_keeps_its_newest_128(plane):
    packets = numbered(200)
    plane.put_inside(*packets)
    plane.turn(30)
    assert plane.drops() == {"stage_full": 72}
    plane.session(plane.index(plane.only))
    plane.turn()
    assert opened(plane.take_outside()) == packets[72:]


def test_a_record_may_end_where_the_ring_does():
    with Plane(pool_bytes=1) as plane:  # 64 KiB of ring: 32 records of 2 KiB fill it
        peer = plane.peer(["0.0.0.0/0"])
        packets = numbered(80, size=(2 << 10) - 32 - 20 - 4)
        for packet in packets:
            plane.put_inside(packet)
            plane.turn()
        assert plane.drops() == {"stage_full": 48}
        plane.session(plane.index(peer))
        plane.turn(3)
        assert opened(plane.take_outside()) == packets[48:]


def test_the_ring_is_a_quarter_of_the_pool_and_the_oldest_of_all_peers_goes():
    with Plane(pool_bytes=1 << 20) as plane:  # 256 KiB of ring
        a, b = plane.peer(), plane.peer()
        plane.routes([("10.0.0.0/24", a), ("10.0.1.0/24", b)])
        first, second = numbered(100, "10.0.0.1", 1300), numbered(100, "10.0.1.1", 1300)
        plane.put_inside(*first)
        plane.turn(30)
        assert plane.drops() == {}
        plane.put_inside(*second)
        plane.turn(30)
        dropped = plane.drops()["stage_full"]
        kept = (256 << 10) // (1324 + 32 + 31 & ~31)
        assert 200 - kept - 2 <= dropped <= 200 - kept + 2
        for peer in (a, b):
            plane.session(plane.index(peer))
        plane.turn(5)
        assert opened(plane.take_outside()) == first[dropped:] + second


def test_flushed_packets_are_counted(plane):
    plane.put_inside(*numbered(7))
    plane.turn()
    assert plane.call("peer_flush", plane.only) == 7
    assert plane.drops() == {"stage_flushed": 7}
    plane.session(plane.index(plane.only))
    assert plane.take_outside() == []


def test_a_removed_peers_staged_packets_are_counted(plane):
    plane.put_inside(*numbered(7))
    plane.turn()
    plane.call("peer_free", plane.only)
    assert plane.drops() == {"stage_flushed": 7}


def test_packets_wait_again_when_the_session_is_too_old_or_used_up(plane):
    plane.arm(plane.only, lib.TL_PEER_WANTS_SESSION)
    plane.session(plane.index(plane.only), reject_messages=3)
    plane.put_inside(*numbered(5))
    plane.turn()
    assert len(plane.take_outside()) == 3
    assert plane.state(plane.only)["staged"] == 2
    assert plane.events() == {plane.only: lib.TL_PEER_WANTS_SESSION}
    plane.session(plane.index(plane.only))
    assert len(plane.take_outside()) == 2
    plane.clock(180_000)
    plane.put_inside(*numbered(1))
    plane.turn()
    assert plane.take_outside() == [] and plane.state(plane.only)["staged"] == 1


def test_a_session_that_what_waited_uses_up_sends_no_more_than_it_may(plane):
    packets = numbered(5)
    plane.put_inside(*packets)
    plane.turn()
    plane.arm(plane.only, lib.TL_PEER_WANTS_SESSION)
    plane.session(plane.index(plane.only), reject_messages=3)
    assert opened(plane.take_outside()) == packets[:3]
    assert plane.state(plane.only)["staged"] == 2
    plane.turn()
    assert plane.events() == {plane.only: lib.TL_PEER_WANTS_SESSION}
    plane.session(plane.index(plane.only))
    plane.turn()
    assert opened(plane.take_outside()) == packets[3:]


def test_staged_packets_survive_a_full_socket_in_order(plane):
    packets = numbered(120)
    plane.put_inside(*packets)
    plane.turn(20)
    plane.call("fake_room", lib.TL_FAKE_SOCKET, 10)
    plane.session(plane.index(plane.only))
    assert len(plane.take_outside()) == 10
    sent = []
    plane.put_inside(*numbered(5, size=8))
    for _ in range(60):
        plane.call("fake_room", lib.TL_FAKE_SOCKET, 3)
        plane.turn()
        sent += plane.take_outside()
    assert opened(sent) == packets[10:] + numbered(5, size=8)
    assert plane.drops() == {}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9000), st.booleans()), max_size=300))
def test_any_mix_of_peers_and_lengths_keeps_the_newest_in_order(steps):
    """Against lists: what comes out is, for each peer, a run of its newest packets."""
    with Plane(pool_bytes=1 << 20, mtu=9000) as plane:
        peers = [plane.peer(where=endpoint(port=1 + i)) for i in range(3)]
        plane.routes([(f"10.0.{i}.0/24", peer) for i, peer in enumerate(peers)])
        waiting = {i: [] for i in range(3)}
        for number, (i, size, flush) in enumerate(steps):
            packet = ipv4(dst=f"10.0.{i}.9", payload=struct.pack("!I", number) + bytes(size))
            plane.put_inside(packet)
            plane.turn()
            waiting[i].append(packet)
            if flush and number % 17 == 0:
                plane.call("peer_flush", peers[i])
                waiting[i].clear()
        for i, peer in enumerate(peers):
            staged = plane.state(peer)["staged"]
            assert staged <= 128
            plane.session(plane.index(peer))
            plane.turn()
            assert opened(plane.take_outside()) == waiting[i][len(waiting[i]) - staged :]


def test_a_message_received_while_packets_wait_changes_nothing_about_them(plane):
    plane.put_inside(*numbered(4))
    plane.turn()
    index = plane.session(plane.index(plane.only), use=False)
    plane.put_outside(seal(KEY_B, index, 0, ipv4()))
    plane.turn()
    assert plane.take_outside() == [] and plane.state(plane.only)["staged"] == 4
