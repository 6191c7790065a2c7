# SPDX-License-Identifier: MIT
"""Frames in UDP against packets that Python builds and takes apart, as the kernel's vxlan does."""

import errno
import struct

import pytest
from hypothesis import given, settings, strategies as st

from tests.native.layer2_ffi import ffi, lib
from tests.native.vxlan_packets import (
    LOCAL,
    REMOTE,
    ROOM,
    Vxlan,
    frame_of,
    from_remote,
    ip,
    packed,
    tcp4,
    tcp6,
    udp,
)

FRAME, MARKED, OTHER = lib.VXLAN_FRAME, lib.VXLAN_MARKED, lib.VXLAN_OTHER
BAD, WRONG_VNI = lib.VXLAN_BAD, lib.VXLAN_WRONG_VNI
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@FAMILIES
@pytest.mark.parametrize("sums", [False, True])
@given(length=st.integers(14, 1600), seed=st.integers(0, 1000), vni=st.integers(0, (1 << 24) - 1))
@settings(deadline=None, max_examples=40)
def test_a_frame_goes_out_as_python_builds_it(family, sums, length, seed, vni):
    vxlan, frame = Vxlan(family, vni=vni, port=8472, sums=sums), frame_of(length, seed)
    packet, tos = vxlan.wrap(frame)
    size = 20 if family == 4 else 40
    number = int.from_bytes(packet[4:6], "big") if family == 4 else 0
    port = int.from_bytes(packet[size : size + 2], "big")
    here, there = packed(LOCAL[family]), packed(REMOTE[family])
    datagram = udp(frame, here, there, 8472, vni, sums, sport=port)
    expected = ip(family, datagram, 0, number, source=LOCAL[family], target=REMOTE[family])
    assert packet == expected and tos == 0
    assert 32768 <= port <= 60999


@FAMILIES
@pytest.mark.parametrize("sums", [False, True])
@given(length=st.integers(14, 1600), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_a_frame_comes_in_as_it_was_with_a_checksum_or_without(family, sums, length, seed):
    frame = frame_of(length, seed)
    assert Vxlan(family, sums=not sums).unwrap(from_remote(family, frame, sums)) == (FRAME, frame)


@FAMILIES
def test_a_checksum_of_zero_goes_out_as_ffff(family):
    vxlan, size = Vxlan(family, sums=True), 20 if family == 4 else 40
    found = vxlan.wrap(frame_of(60)[:-2] + b"\0\0")[0][size + 6 : size + 8]
    frame = frame_of(60)[:-2] + found
    assert vxlan.wrap(frame)[0][size + 6 : size + 8] == b"\xff\xff"


def test_identifications_count_up_so_that_a_gateway_can_merge_what_comes():
    vxlan = Vxlan(4)
    numbers = [int.from_bytes(vxlan.wrap(frame_of(60))[0][4:6], "big") for _ in range(1000)]
    assert all((b - a) % 65536 == 1 for a, b in zip(numbers, numbers[1:], strict=False))


def port_of(vxlan, frame):
    size = 20 if vxlan.family == 4 else 40
    return int.from_bytes(vxlan.wrap(frame)[0][size : size + 2], "big")


def test_a_flow_has_one_port_and_flows_have_many():
    vxlan = Vxlan()
    for made in (tcp4, tcp6):
        ports = {port_of(vxlan, made(sport=n)) for n in range(300)}
        assert len(ports) > 280 and all(32768 <= port < 60999 for port in ports)
        assert len({port_of(vxlan, made(tos=n)) for n in range(4)}) == 1
    assert port_of(vxlan, tcp4(src="192.0.2.7")) != port_of(vxlan, tcp4())
    others = {port_of(vxlan, bytes([2, n]) + frame_of(60)[2:]) for n in range(200)}
    assert len(others) > 180
    assert port_of(vxlan, frame_of(60)) == port_of(vxlan, frame_of(61))
    tag = b"\x81\0\0\7"
    assert len({port_of(vxlan, tcp6(sport=n, tag=tag)) for n in range(50)}) > 40


def test_fragments_of_one_packet_have_the_port_of_their_addresses():
    vxlan = Vxlan()
    parts = [port_of(vxlan, tcp4(sport=n, fragment=f)) for n, f in ((1, 0x2000), (2, 0x10), (3, 7))]
    assert len(set(parts)) == 1


def test_two_starts_choose_other_ports():
    assert len({port_of(Vxlan(), frame_of(60)) for _ in range(20)}) > 1


def test_frames_that_end_within_an_ip_header_are_wrapped_as_any_other():
    vxlan = Vxlan()
    for whole in (tcp4(), tcp6(), tcp6(tag=b"\x88\xa8\0\1\x81\0\0\2")):
        for length in range(14, len(whole)):
            packet, _ = vxlan.wrap(whole[:length])
            assert packet[ROOM:] == whole[:length]


@FAMILIES
@pytest.mark.parametrize("made", [tcp4, tcp6])
@pytest.mark.parametrize("inner, outer", [(0, 0), (1, 1), (2, 2), (3, 2), (0xB8, 0), (0xB9, 1)])
def test_the_outer_ecn_field_is_as_the_kernel_sets_it_and_dscp_stays_inside(
    family, made, inner, outer
):
    packet, tos = Vxlan(family).wrap(made(tos=inner))
    found = packet[1] if family == 4 else int.from_bytes(packet[:2], "big") >> 4 & 0xFF
    assert found == tos == outer


@FAMILIES
@pytest.mark.parametrize("made", [tcp4, tcp6])
@pytest.mark.parametrize(
    "inner, outer, verdict, becomes",
    [(0, 2, FRAME, 0), (2, 3, FRAME, 3), (1, 3, FRAME, 3), (2, 1, FRAME, 1), (0, 3, MARKED, 0)],
)
def test_congestion_outside_is_told_inside(family, made, inner, outer, verdict, becomes):
    packet = from_remote(family, made(tos=inner), tos=outer)
    assert Vxlan(family).unwrap(packet) == (verdict, made(tos=becomes))


@FAMILIES
def test_bytes_behind_the_datagram_are_no_part_of_the_frame(family):
    frame = frame_of(60)
    source, target = packed(REMOTE[family]), packed(LOCAL[family])
    assert Vxlan(family).unwrap(ip(family, udp(frame, source, target) + b"pad")) == (FRAME, frame)


def test_options_of_an_ipv4_header_are_passed_over():
    frame = frame_of(60)
    packet = from_remote(4, frame, options=b"\1" * 8)
    assert Vxlan(4).unwrap(packet) == (FRAME, frame)


@FAMILIES
@pytest.mark.parametrize(
    "changes, verdict",
    [
        ({"port": 4790}, OTHER),
        ({"vni": 4712}, WRONG_VNI),
        ({"flags": 0}, BAD),
        ({"flags": 0x0C << 24}, BAD),
        ({"flags": 0x08 << 24 | 1}, BAD),
        ({"low": 1}, BAD),
        ({"sum": 0x1234}, BAD),
        ({"length": 8 + 8 + 13}, BAD),
        ({"length": 8 + 8 + 61}, BAD),
        ({"length": 0}, BAD),
        ({"length": 0xFFFF}, BAD),
    ],
)
def test_what_is_no_frame_of_ours_is_left_as_it_is(family, changes, verdict):
    sums = changes.get("length") is None
    packet = from_remote(family, frame_of(60), sums, **changes)
    assert Vxlan(family).unwrap(packet) == (verdict, packet)


@FAMILIES
def test_packets_to_others_and_of_other_kinds_are_not_ours(family):
    frame, vxlan = frame_of(60), Vxlan(family)
    for packet in (
        from_remote(family, frame, target=REMOTE[family]),
        from_remote(10 - family, frame),
        ip(family, frame, protocol=6),
        ip(family, b"", protocol=58),
    ):
        assert vxlan.unwrap(packet) == (OTHER, packet)


def test_a_packet_of_the_other_family_is_not_ours_though_our_address_stands_in_it():
    inside = struct.pack("!HH", 40000, 4789) + packed(LOCAL[6]) + bytes(60)
    packet = ip(4, inside)
    assert packet[24:40] == packed(LOCAL[6])
    assert Vxlan(6).unwrap(packet) == (OTHER, packet)


def test_an_ipv4_header_that_is_too_short_to_be_one_is_refused():
    packet = b"\x44" + from_remote(4, frame_of(60))[1:]
    assert Vxlan(4).unwrap(packet)[0] == BAD


def test_fragments_are_refused():
    frame = frame_of(60)
    for fragment in (0x2000, 0x00B9, 0x2001):
        assert Vxlan(4).unwrap(from_remote(4, frame, fragment=fragment))[0] == BAD
    assert Vxlan(4).unwrap(from_remote(4, frame, fragment=0x4000))[0] == FRAME
    whole = udp(frame, packed(REMOTE[6]), packed(LOCAL[6]))
    head = struct.pack("!BBHI", 17, 0, 1, 7)
    assert Vxlan(6).unwrap(ip(6, head + whole, protocol=44))[0] == BAD


@FAMILIES
def test_a_packet_that_ends_early_anywhere_is_refused(family):
    whole, vxlan = from_remote(family, frame_of(60)), Vxlan(family)
    size = 20 if family == 4 else 40
    for length in range(size, len(whole)):
        assert vxlan.unwrap(whole[:length])[0] == BAD


@FAMILIES
def test_a_flipped_bit_is_seen_but_in_what_no_checksum_covers(family):
    whole, vxlan = from_remote(family, frame_of(40)), Vxlan(family)
    size = 20 if family == 4 else 40
    for bit in range(len(whole) * 8):
        packet = bytearray(whole)
        packet[bit // 8] ^= 1 << bit % 8
        if bit // 8 == 0 or (family == 4 and bit // 8 < 4):
            continue  # ip_check looks at version and length before
        is_free = family == 6 and bit // 8 < 8 and bit // 8 != 6  # class, label, length, hop limit
        expected = (FRAME, MARKED) if is_free else (BAD, OTHER)
        assert vxlan.unwrap(bytes(packet))[0] in expected, (bit, size)


@FAMILIES
@given(data=st.binary(min_size=40, max_size=120), port=st.booleans())
@settings(deadline=None)
def test_whatever_comes_is_judged_within_its_bytes(family, data, port):
    packet = bytearray(ip(family, data))
    if port:
        size = 20 if family == 4 else 40
        packet[size + 2 : size + 8] = struct.pack("!HHH", 4789, len(data), 0)
    verdict, left = Vxlan(family).unwrap(bytes(packet))
    assert verdict in (BAD, OTHER, WRONG_VNI) and left == bytes(packet)


@pytest.mark.parametrize("family, vni, port", [(5, 1, 1), (4, 1 << 24, 1), (6, 1, 0)])
def test_ends_that_cannot_be_are_refused(family, vni, port):
    ends = ffi.new("struct vxlan_ends *", [family, bytes(16), bytes(16), vni, port, False])
    assert lib.vxlan_set(ffi.new("struct vxlan *"), ends) == -errno.EINVAL
