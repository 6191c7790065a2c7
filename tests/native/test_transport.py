# SPDX-License-Identifier: MIT
"""Packets through a plane, against a second implementation of the transport message."""

import errno
import struct

import pytest

from tests.native.plane_ffi import (
    KEY_A,
    KEY_B,
    START_MS,
    Plane,
    endpoint,
    ffi,
    ipv4,
    ipv6,
    lib,
    seal,
    unseal,
)


def with_session(plane, **changes):
    """A peer of everything, and the index of its session."""
    peer = plane.peer(["0.0.0.0/0", "::/0"])
    return peer, plane.session(plane.index(peer), **changes)


@pytest.mark.parametrize("packet", [ipv4(payload=b"hello"), ipv6(payload=b"x" * 100), ipv4()])
def test_a_packet_leaves_as_a_transport_message_that_another_implementation_opens(packet):
    with Plane() as plane:
        with_session(plane, remote=b"\x78\x56\x34\x12")
        plane.put_inside(packet)
        plane.turn()
        [datagram] = plane.take_outside()
        receiver, counter, inner = unseal(KEY_A, datagram)
        assert (receiver, counter) == (b"\x78\x56\x34\x12", 0)
        assert inner == packet + bytes(-len(packet) % 16)


@pytest.mark.parametrize("packet", [ipv4(payload=b"hello"), ipv6(payload=b"x" * 100), ipv4()])
def test_a_message_of_another_implementation_arrives_without_its_padding(packet):
    with Plane() as plane:
        _, index = with_session(plane)
        plane.put_outside(seal(KEY_B, index, 7, packet))
        plane.turn()
        assert plane.take_inside() == [packet]
        assert plane.drops() == {}


def test_counters_go_up_by_one_and_order_is_kept():
    with Plane() as plane:
        with_session(plane)
        packets = [ipv4(payload=bytes([i])) for i in range(100)]
        plane.put_inside(*packets)
        plane.turn(20)
        opened = [unseal(KEY_A, d) for d in plane.take_outside()]
        assert [counter for _, counter, _ in opened] == list(range(100))
        assert [inner[:21] for _, _, inner in opened] == packets


def test_padding_never_passes_the_mtu():
    with Plane(mtu=1420) as plane:
        with_session(plane)
        for length in (1400, 1409, 1419, 1420, 1421, 1500):
            plane.put_inside(ipv4(payload=bytes(length - 20)))
        plane.turn()
        sizes = [len(unseal(KEY_A, d)[2]) for d in plane.take_outside()]
        assert sizes == [1408, 1420, 1420, 1420, 1421, 1500]


def test_two_planes_carry_both_families_both_ways():
    with Plane() as a, Plane() as b:
        pa, pb = a.peer(["10.0.0.2/32", "fd00::2/128"]), b.peer(["10.0.0.1/32", "fd00::1/128"])
        ia, ib = a.index(pa), b.index(pb)
        a.session(ia, remote=ib, send=KEY_A, receive=KEY_B)
        b.session(ib, remote=ia, send=KEY_B, receive=KEY_A, initiator=0)
        there = [ipv4(payload=b"1"), ipv6(payload=b"2" * 1300)]
        back = [ipv4("10.0.0.2", "10.0.0.1", b"3"), ipv6("fd00::2", "fd00::1", b"4")]
        a.put_inside(*there)
        a.turn()
        b.put_outside(*a.take_outside())
        b.put_inside(*back)
        b.turn()
        a.put_outside(*b.take_outside())
        a.turn()
        assert b.take_inside() == there
        assert a.take_inside() == back
        assert a.drops() == b.drops() == {}


def test_an_empty_message_is_a_keepalive_and_nothing_else():
    with Plane() as plane:
        peer, index = with_session(plane)
        plane.call("peer_keepalive", peer, b"", 0)
        [datagram] = plane.take_outside()
        assert unseal(KEY_A, datagram)[2] == b"" and len(datagram) == 32
        plane.put_outside(seal(KEY_B, index, 0, b""))
        plane.turn()
        assert plane.take_inside() == []
        counters, state = plane.counters(), plane.state(peer)
        assert (counters["keepalives_read"], counters["keepalives_written"]) == (1, 1)
        assert state["rx_bytes"] == state["tx_bytes"] == 32
        assert state["sent_data"] == state["received_data"] == 0
        assert state["sent_any"] == state["received_any"] == 1_000_000


def test_a_keepalive_without_a_session_is_enokey():
    with Plane() as plane:
        peer = plane.peer()
        with pytest.raises(OSError, match="ENOKEY"):
            plane.call("peer_keepalive", peer, b"", 0)


def test_a_reserved_index_receives_nothing_until_it_has_keys():
    with Plane() as plane:
        index = plane.index(plane.peer(["0.0.0.0/0"]))
        plane.put_outside(seal(bytes(32), index, 0, ipv4()))
        plane.turn()
        assert plane.drops() == {"unknown_index": 1}


def test_numbers_that_name_nothing_are_errors_and_not_crashes():
    with Plane() as plane:
        index = b"\1\2\3\4"
        for name, args in {
            "peer_free": (5,),
            "peer_state": (5, ffi.NULL, 0),
            "peer_arm": (-1, 0),
            "session_use": (index,),
            "index_free": (index,),
        }.items():
            with pytest.raises(OSError) as caught:
                plane.call(name, *args)
            assert caught.value.errno == errno.ENOENT
        assert lib.tl_run(99, bytes(8)) == -errno.EBADF
        assert lib.tl_plane_free(-1) == -errno.EBADF


def test_a_reply_goes_out_over_the_address_that_the_peer_used():
    with Plane() as plane:
        from tests.native.plane_ffi import endpoint

        peer, index = with_session(plane)
        there = endpoint("198.51.100.7", 4000, local="203.0.113.9", ifindex=3)
        plane.put_outside(seal(KEY_B, index, 0, ipv4()), where=there)
        plane.put_inside(ipv4())
        plane.turn()
        [(_, where, _)] = plane.take_outside_all()
        assert where == there == plane.state(peer)["endpoint"]
        assert plane.counters()["roamed"] == 1


def test_stamps_tell_what_is_unanswered():
    with Plane() as plane:
        peer, index = with_session(plane)
        plane.put_inside(ipv4())
        plane.turn()
        assert plane.state(peer)["first_unanswered"] == 1_000_000
        plane.clock(5000)
        plane.put_inside(ipv4())
        plane.turn()
        state = plane.state(peer)
        assert (state["first_unanswered"], state["sent_data"]) == (1_000_000, 1_005_000)
        plane.put_outside(seal(KEY_B, index, 0, ipv4()))
        plane.turn()
        state = plane.state(peer)
        assert (state["first_unanswered"], state["first_unreplied"]) == (0, 1_005_000)
        plane.call("peer_keepalive", peer, b"", 0)
        assert plane.state(peer)["first_unreplied"] == 0


def test_every_aead_makes_the_same_datagrams():
    from tests.native.plane_ffi import names

    aeads = names(lib.TL_SEEN_FEATURE_NAMES)[8:]
    assert "portable" in aeads
    seen = {}
    for name in aeads:
        try:
            plane = Plane(aead=name.encode())
        except OSError as e:
            assert e.errno == errno.ENOTSUP
            continue
        with plane:
            with_session(plane)
            plane.put_inside(*[ipv4(payload=bytes(range(n % 256))) for n in range(100)])
            plane.turn(20)
            seen[name] = plane.take_outside()
    assert all(datagrams == seen["portable"] for datagrams in seen.values())


def test_wire_numbers_are_little_endian():
    with Plane() as plane:
        _, index = with_session(plane, remote=struct.pack("<I", 1))
        assert struct.unpack("<I", index)[0] & 0xF == 0  # worker 0 owns it
        plane.put_inside(ipv4())
        plane.turn()
        assert plane.take_outside()[0][:16] == b"\4\0\0\0\1\0\0\0" + bytes(8)


def test_nothing_is_unanswered_any_more_once_the_sockets_are_closed():
    """The link went down: when it comes up again, WireGuard begins in silence."""
    with Plane() as plane:
        peer, index = with_session(plane)
        plane.put_inside(ipv4())
        plane.put_outside(seal(KEY_B, index, 0, ipv4()))
        plane.turn(2)
        plane.put_inside(ipv4())
        plane.clock(1)
        plane.turn()
        plane.put_outside(seal(KEY_B, index, 1, ipv4()))
        plane.turn()
        before = plane.state(peer)
        assert before["first_unanswered"] or before["first_unreplied"]
        plane.call("plane_listen", -1, bytes(4))
        after = plane.state(peer)
        assert (after["first_unanswered"], after["first_unreplied"]) == (0, 0)


def test_data_that_keeps_coming_does_not_put_off_the_keepalive_for_the_first_of_it():
    with Plane() as plane:
        peer = plane.peer(["0.0.0.0/0"])
        index = plane.session(plane.index(peer))
        for n in range(3):
            plane.clock(4000 * n)
            plane.put_outside(seal(KEY_B, index, n, ipv4()))
            plane.turn()
            assert plane.state(peer)["first_unreplied"] == START_MS


def test_a_move_swaps_where_packets_go_and_leaves_who_may_send():
    with Plane() as plane:
        old, new, other = (plane.peer(where=endpoint(port=n)) for n in (1, 2, 3))
        indexes = [plane.session(plane.index(peer), bytes([peer, 0, 0, 1])) for peer in range(3)]
        for used in (old, new):
            plane.routes([("10.0.0.0/8", old, used != old), ("10.0.0.0/8", new, used != new)])
            plane.put_inside(ipv4())
            plane.put_outside(
                *(seal(KEY_B, index, used, ipv4("10.0.0.2", "10.0.0.1")) for index in indexes)
            )
            plane.turn(3)
            assert [datagram[4] for datagram in plane.take_outside()] == [used]
            assert len(plane.take_inside()) == 2
            assert plane.drops() == {"source_not_allowed": 1}
        assert plane.state(other)["received_any"]
