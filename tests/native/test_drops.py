# SPDX-License-Identifier: MIT
"""Every reason to refuse a packet has a test here, or in the file that PROVED_ELSEWHERE names."""

import errno
import struct
from pathlib import Path

import pytest

from tests.native.plane_ffi import (
    DROPS,
    KEY_B,
    Plane,
    endpoint,
    ffi,
    ipv4,
    ipv6,
    lib,
    seal,
)

PROVED_ELSEWHERE = {
    "not_vxlan": "test_vxlan_plane.py",
    "wrong_vni": "test_vxlan_plane.py",
    "truncated": "test_engines.py",
    "no_socket": "test_engines.py",
    "socket_overflow": "test_engines.py",
    "no_identity": "test_load.py",
    "bad_mac1": "test_load.py",
    "cookie_sent": "test_load.py",
    "cookie_full": "test_load.py",
    "rate_limited": "test_load.py",
    "rate_in": "test_rate.py",
    "rate_out": "test_rate.py",
    "ring_full": "test_load.py",
    "stage_full": "test_stage.py",
    "stage_flushed": "test_stage.py",
    "send_queue_full": "test_pressure.py",
    "way_full": "test_full.py",
    "run_unsized": "test_runs.py",
    "peer_gone": "test_pressure.py",
    "worker_full": "test_workers.py",
    "device_unsplittable": "test_fast_path.py",
    "routing_loop": "test_loop.py",
    "other_layer": "test_load.py",
    "wrong_mode": "test_frames.py",
    "bare_refused": "test_bare.py",
    "received_bad_frame": "test_frames.py",
    "received_bad_control": "test_control_frames.py",
    "control_limited": "test_control_frames.py",
    "received_bad_part": "test_cut.py",
    "parts_full": "test_cut.py",
    "parts_lost": "test_cut.py",
    "not_in_use": "test_flood.py",
    "flood_full": "test_flood.py",
    "forward_full": "test_flood.py",
    "frame_too_long": "test_cut.py",
    "cut_full": "test_cut.py",
}


@pytest.fixture
def plane():
    """A plane with one peer, 10.0.0.0/24 and fd00::/64, and a session."""
    with Plane() as p:
        p.peer_number = p.peer(["10.0.0.0/24", "fd00::/64"])
        p.index_bytes = p.session(p.index(p.peer_number))
        yield p


def drop_of_datagram(plane, datagram):
    """Why it was refused; it must reach nobody."""
    plane.put_outside(datagram)
    plane.turn()
    assert plane.take_inside() == [] and plane.take_outside() == []
    return plane.drops()


def drop_of_packet(plane, packet):
    """Why a packet of the device was refused."""
    plane.put_inside(packet)
    plane.turn()
    assert plane.take_outside() == []
    return plane.drops()


def test_every_reason_is_tested():
    here = Path(__file__).read_text(encoding="utf-8")
    for reason in DROPS:
        where = PROVED_ELSEWHERE.get(reason)
        text = (Path(__file__).parent / where).read_text(encoding="utf-8") if where else here
        assert f'"{reason}"' in text, reason


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_datagram_shorter_than_a_type_is_too_short(plane, length):
    assert drop_of_datagram(plane, bytes(length)) == {"too_short": 1}


def test_a_transport_message_without_room_for_its_tag_is_too_short(plane):
    assert drop_of_datagram(plane, b"\4\0\0\0" + bytes(27)) == {"too_short": 1}


@pytest.mark.parametrize("kind", [b"\0\0\0\0", b"\5\0\0\0", b"\4\1\0\0", b"\1\0\0\1", b"\xff" * 4])
def test_an_unknown_type_or_a_reserved_byte_is_a_bad_type(plane, kind):
    assert drop_of_datagram(plane, kind + bytes(144)) == {"bad_type": 1}


@pytest.mark.parametrize(("kind", "length"), [(1, 148), (2, 92), (3, 64)])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_handshake_message_one_byte_off_is_a_bad_length(plane, kind, length, more):
    message = struct.pack("<I", kind) + bytes(length + more - 4)
    assert drop_of_datagram(plane, message) == {"bad_length": 1}


def test_a_message_to_nobodys_index_is_an_unknown_index(plane):
    other = bytes([plane.index_bytes[0] ^ 0x10]) + plane.index_bytes[1:]
    assert drop_of_datagram(plane, seal(KEY_B, other, 0, ipv4())) == {"unknown_index": 1}


def test_a_message_on_a_session_past_its_age_is_refused(plane):
    plane.clock(179_999)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 0, ipv4()))
    plane.turn()
    assert plane.take_inside() == [ipv4()]
    plane.clock(180_000)
    message = seal(KEY_B, plane.index_bytes, 1, ipv4())
    assert drop_of_datagram(plane, message) == {"session_expired": 1}


def test_a_message_past_the_last_number_is_refused(plane):
    last = (1 << 64) - (1 << 13) - 1
    message = seal(KEY_B, plane.index_bytes, last, ipv4())
    assert drop_of_datagram(plane, message) == {"counter_exhausted": 1}
    plane.put_outside(seal(KEY_B, plane.index_bytes, last - 1, ipv4()))
    plane.turn()
    assert plane.take_inside() == [ipv4()]


def test_a_flipped_bit_anywhere_in_a_message_is_refused(plane):
    message = seal(KEY_B, plane.index_bytes, 5, ipv4(payload=b"payload"))
    refused = {"bad_type", "unknown_index", "counter_exhausted", "not_authentic"}
    for i in range(len(message)):
        for bit in (1, 128):
            forged = message[:i] + bytes([message[i] ^ bit]) + message[i + 1 :]
            assert set(drop_of_datagram(plane, forged)) <= refused
    assert plane.counters()["roamed"] == 0
    plane.put_outside(message)
    plane.turn()
    assert plane.take_inside() == [ipv4(payload=b"payload")]


def test_a_message_cut_or_grown_by_one_byte_is_not_authentic(plane):
    message = seal(KEY_B, plane.index_bytes, 5, ipv4())
    assert drop_of_datagram(plane, message[:-1]) == {"not_authentic": 1}
    assert drop_of_datagram(plane, message + b"\0") == {"not_authentic": 1}


def test_a_message_twice_is_replayed_also_within_one_batch(plane):
    message = seal(KEY_B, plane.index_bytes, 5, ipv4())
    plane.put_outside(message, message)
    plane.turn()
    assert plane.take_inside() == [ipv4()]
    assert plane.drops() == {"replayed": 1}
    assert drop_of_datagram(plane, message) == {"replayed": 1}


def test_an_old_counter_is_refused_when_the_window_has_passed_it(plane):
    plane.put_outside(seal(KEY_B, plane.index_bytes, 20_000, ipv4()))
    plane.turn()
    assert plane.take_inside() == [ipv4()]
    message = seal(KEY_B, plane.index_bytes, 20_000 - 8192, ipv4())
    assert drop_of_datagram(plane, message) == {"replayed": 1}


@pytest.mark.parametrize("inner", [b"\0" * 20, b"\x50" + bytes(30), b"\xff" * 64])
def test_an_authentic_packet_of_no_ip_version_is_refused(plane, inner):
    message = seal(KEY_B, plane.index_bytes, 0, inner)
    assert drop_of_datagram(plane, message) == {"received_bad_version": 1}


@pytest.mark.parametrize(
    "inner",
    [
        b"\x45",
        ipv4()[:19],
        ipv4(payload=b"x" * 12, total=33 + 16),
        ipv4(total=19),
        ipv6()[:39],
        ipv6(payload=b"x" * 8, length=25),
    ],
)
def test_an_authentic_packet_that_is_shorter_than_it_says_is_refused(plane, inner):
    message = seal(KEY_B, plane.index_bytes, 0, inner, pad=1)
    assert drop_of_datagram(plane, message) == {"received_bad_length": 1}


@pytest.mark.parametrize("inner", [ipv4("10.0.1.1"), ipv6("fd01::1"), ipv4("0.0.0.0")])
def test_an_authentic_packet_from_outside_the_allowed_ips_is_refused(plane, inner):
    message = seal(KEY_B, plane.index_bytes, 0, inner)
    assert drop_of_datagram(plane, message) == {"source_not_allowed": 1}


def test_a_source_that_belongs_to_another_peer_is_refused(plane):
    other = plane.call("peer_new")
    plane.routes([("10.0.0.0/24", plane.peer_number), ("10.0.0.1/32", other)])
    message = seal(KEY_B, plane.index_bytes, 0, ipv4("10.0.0.1"))
    assert drop_of_datagram(plane, message) == {"source_not_allowed": 1}


def test_a_source_that_another_peer_sent_from_just_before_is_refused(plane):
    """Neighbours of one batch share a look at the allowed IPs only where they are of one peer."""
    other = plane.call("peer_new")
    plane.call("peer_endpoint", other, endpoint())
    index = plane.session(plane.index(other), receive=b"o" * 32)
    plane.routes([("10.0.0.0/24", plane.peer_number)])
    allowed = ipv4("10.0.0.1", payload=b"allowed")
    first = seal(KEY_B, plane.index_bytes, 0, allowed)
    forged = seal(b"o" * 32, index, 0, ipv4("10.0.0.1", payload=b"forged"))
    plane.put_outside(first, forged)
    plane.turn()
    assert plane.drops() == {"source_not_allowed": 1}
    assert plane.take_inside() == [allowed]


@pytest.mark.parametrize("packet", [b"\0" * 40, b"\x70" + bytes(60)])
def test_a_device_packet_of_no_ip_version_is_refused(plane, packet):
    assert drop_of_packet(plane, packet) == {"device_bad_version": 1}


@pytest.mark.parametrize("packet", [b"\x45", ipv4(total=21), ipv6(length=1), ipv4()[:19]])
def test_a_device_packet_that_is_shorter_than_it_says_is_refused(plane, packet):
    assert drop_of_packet(plane, packet) == {"device_bad_length": 1}


@pytest.mark.parametrize("packet", [ipv4(dst="10.0.1.1"), ipv6(dst="fd00:0:0:1::1")])
def test_a_destination_of_nobody_has_no_route(plane, packet):
    assert drop_of_packet(plane, packet) == {"no_route": 1}


def test_a_peer_without_an_address_has_no_endpoint(plane):
    plane.call("peer_endpoint", plane.peer_number, bytes(48))
    assert drop_of_packet(plane, ipv4()) == {"no_endpoint": 1}


@pytest.mark.parametrize(
    ("err", "reason"),
    [
        (errno.ENOBUFS, {"send_no_buffers": 1}),
        (errno.ENOMEM, {"send_no_buffers": 1}),
        (errno.ENETUNREACH, {"send_unreachable": 1}),
        (errno.EHOSTUNREACH, {"send_unreachable": 1}),
        (errno.EPERM, {"send_filtered": 1}),
        (errno.EACCES, {"send_filtered": 1}),
        (errno.ECONNREFUSED, {"send_refused": 1}),
        (errno.EMSGSIZE, {"send_too_big": 1}),
        (errno.EIO, {"send_error": 1}),
    ],
)
def test_a_failed_send_is_counted_by_kind_and_the_next_packet_goes(plane, err, reason):
    plane.call("fake_fail", lib.TL_FAKE_SOCKET, err, 1)
    plane.put_inside(ipv4(), ipv4())
    plane.turn()
    assert len(plane.take_outside()) == 1
    assert plane.drops() == reason


@pytest.mark.parametrize(
    ("err", "reason"),
    [
        (errno.EIO, {"device_down": 1}),
        (errno.EINVAL, {"device_refused": 1}),
        (errno.ENOMEM, {"device_refused": 1}),
        (errno.EBADFD, {"no_device": 1}),
    ],
)
def test_a_packet_that_the_device_refuses_is_counted_by_kind(plane, err, reason):
    plane.call("fake_fail", lib.TL_FAKE_DEVICE, err, 1)
    plane.put_outside(*[seal(KEY_B, plane.index_bytes, i, ipv4()) for i in range(2)])
    woke = plane.turn()
    assert plane.take_inside() == [ipv4()]
    assert plane.drops() == reason
    assert bool(woke & lib.TL_WOKE_DEVICE_GONE) == (err == errno.EBADFD)


def test_a_turn_amid_something_long_moves_packets_and_tells_nothing(plane):
    plane.call("fake_fail", lib.TL_FAKE_DEVICE, errno.EBADFD, 1)
    plane.put_outside(*[seal(KEY_B, plane.index_bytes, i, ipv4()) for i in range(2)])
    returns = plane.counters()["returns"]
    for _ in range(2):
        assert plane.call("run", ffi.NULL) & lib.TL_WOKE_DEVICE_GONE
    assert plane.take_inside() == [ipv4()]
    assert plane.counters()["returns"] == returns
    gone = [bool(plane.turn() & lib.TL_WOKE_DEVICE_GONE) for _ in range(2)]
    assert gone == [True, False]


def test_a_refused_packet_changes_neither_endpoint_nor_stamps(plane):
    before = plane.state(plane.peer_number)
    there = endpoint("198.51.100.99", 1)
    message = seal(b"x" * 32, plane.index_bytes, 0, ipv4())
    plane.put_outside(message, where=there)
    plane.turn()
    assert plane.drops() == {"not_authentic": 1}
    assert plane.state(plane.peer_number) == before
