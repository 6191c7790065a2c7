# SPDX-License-Identifier: MIT
"""Super-packets into segments: against the slow implementation, here, sanitized and on MIPS."""

import struct

import pytest
from hypothesis import given, settings, strategies as st

from tests.native import offload_ffi, offload_model, offload_packets
from tests.native.offload_ffi import ORDERS, Room
from tests.native.offload_model import ACK, CWR, FIN, GSO_TCP4, GSO_UDP, PSH, RST, SYN, URG
from tests.native.offload_packets import Ip

FILL = 0xEE  # what the harness puts into a room before each call


def run(where, frame, room=None, checksum=0):
    """(refusal or None, packets, packet left in place); asserts the layout and what stays empty."""
    room = room or Room()
    begun, after, turns = offload_ffi.native(where).split(frame, room, checksum)
    if begun < 0:
        assert after == frame
        return offload_ffi.REFUSALS[begun], [], None
    if begun == 1:
        assert not turns
        return None, [after[10:]], True
    assert after == frame
    packets = []
    for result, slices, data in turns:
        if result < 0:
            return offload_ffi.REFUSALS[result], packets, False
        assert result == len(slices) <= room.max_slices
        at, empty = 0, bytearray(data)
        for offset, length in slices:
            padded = max(length, min(-(-length // room.pad) * room.pad, room.mtu))
            assert offset == at + room.headroom
            packets.append(data[offset : offset + length])
            empty[offset : offset + length] = bytes([FILL]) * length
            at = offset + padded + room.tailroom
        assert at <= room.size
        assert set(empty) <= {FILL}
    return None, packets, False


def model(frame, order):
    """The same from the slow implementation."""
    try:
        stays, packets = offload_model.split(frame, order)
    except offload_model.Refused as e:
        return str(e), [], None
    return None, packets, stays


def assert_sound(packets):
    """Every packet's lengths and checksums are right, by the merger's slow parser."""
    for packet in packets:
        protocol = offload_packets.protocol_of(packet)
        parsed = offload_model.Parsed(packet, (protocol,))
        assert parsed.is_sound()


@offload_ffi.everywhere
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_a_kernel_gives_is_cut_as_the_slow_implementation_cuts_it(where, data):
    frame = data.draw(offload_packets.super_frames(ORDERS[where]))
    checksum = data.draw(st.sampled_from(list(offload_ffi.native(where).checksums())))
    wanted = model(frame, ORDERS[where])
    assert wanted[0] is None
    assert run(where, frame, Room(size=100000, max_slices=100), checksum) == wanted


@offload_ffi.everywhere
@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_damaged_frames_are_refused_or_cut_as_the_slow_implementation_does(where, data):
    frames = offload_packets.super_frames(ORDERS[where], longest=2000)
    frame = data.draw(offload_packets.damaged(frames, ip_at=10))
    room = Room(size=400000, max_slices=200, mtu=65535)
    assert run(where, frame, room) == model(frame, ORDERS[where])


@offload_ffi.everywhere
@settings(deadline=None, max_examples=300)
@given(frame=st.binary(max_size=200))
def test_random_bytes_are_refused_or_cut_as_the_slow_implementation_does(where, frame):
    room = Room(size=400000, max_slices=200, mtu=65535)
    assert run(where, frame, room) == model(frame, ORDERS[where])


@offload_ffi.everywhere
@settings(deadline=None, max_examples=60)
@given(
    data=st.data(),
    headroom=st.integers(0, 40),
    tailroom=st.integers(0, 40),
    pad=st.sampled_from([1, 4, 16]),
    max_slices=st.integers(1, 20),
)
def test_any_room_and_array_give_the_same_segments(
    where, data, headroom, tailroom, pad, max_slices
):
    frame = data.draw(offload_packets.super_frames(ORDERS[where]))
    size = 200 + 80 + 3300 + data.draw(st.integers(0, 9000))
    room = Room(size, headroom, tailroom, pad, mtu=1400, max_slices=max_slices)
    assert run(where, frame, room) == model(frame, ORDERS[where])


def tcp_frame(where, payload, size, flags=ACK, kind=GSO_TCP4, **fields):
    ip = fields.pop("ip", Ip(4))
    packet = offload_packets.tcp(ip, payload, flags=flags, **fields)
    l4 = 20 + len(ip.options) if ip.version == 4 else 40
    return offload_packets.super_frame(ORDERS[where], packet, kind, size, l4=l4)


def flags_of(packets):
    return [p[33] for p in packets]


@offload_ffi.everywhere
def test_fin_and_psh_are_on_the_last_segment_and_cwr_on_the_first(where):
    frame = tcp_frame(where, bytes(2500), 1000, ACK | FIN | PSH | CWR)
    _, packets, _ = run(where, frame)
    assert flags_of(packets) == [ACK | CWR, ACK, ACK | FIN | PSH]
    assert_sound(packets)


@offload_ffi.everywhere
def test_identification_counts_up_and_wraps(where):
    frame = tcp_frame(where, bytes(2500), 1000, ip=Ip(4, id=65535))
    _, packets, _ = run(where, frame)
    assert [p[4:6] for p in packets] == [b"\xff\xff", b"\0\0", b"\0\1"]


@offload_ffi.everywhere
def test_the_urgent_pointer_counts_from_each_segment(where):
    frame = tcp_frame(where, bytes(2500), 1000, ACK | URG, urgent=1500)
    _, packets, _ = run(where, frame)
    assert flags_of(packets) == [ACK | URG, ACK | URG, ACK]
    assert [struct.unpack(">H", p[38:40])[0] for p in packets] == [1500, 500, 0]


@offload_ffi.everywhere
def test_hdr_len_is_not_believed(where):
    packet = offload_packets.tcp(Ip(4), bytes(3000))
    frames = [
        offload_packets.super_frame(ORDERS[where], packet, GSO_TCP4, 1000, l4=20, hdr_len=n)
        for n in (0, 1, 40, 3040, 65535)
    ]
    found = [run(where, frame) for frame in frames]
    assert found == [found[0]] * len(frames)
    assert found[0][0] is None


@offload_ffi.everywhere
def test_a_packet_without_gso_gets_its_checksum_where_it_lies(where):
    for version in (4, 6):
        packet = offload_packets.udp(Ip(version), b"question")
        frame = offload_packets.super_frame(
            ORDERS[where], packet, offload_model.GSO_UDP, 0, l4=20 if version == 4 else 40
        )
        frame = frame[:1] + b"\0" + frame[2:]
        assert run(where, frame) == (None, [packet], True)


@offload_ffi.everywhere
def test_a_packet_without_gso_and_partial_checksum_stays_as_it_is(where):
    packet = b"\x45 whatever it is"
    frame = offload_model.vnet_header(ORDERS[where]) + packet
    assert run(where, frame) == (None, [packet], True)


@offload_ffi.everywhere
def test_a_completed_udp_checksum_is_never_zero(where):
    frame = offload_model.vnet_header(ORDERS[where], 1, 0, 0, 0, 20, 6)
    ip = Ip(4).around(17, bytes(8) + b"\xff\xff")
    assert run(where, frame + ip)[1][0][26:28] == b"\xff\xff"


@offload_ffi.everywhere
@pytest.mark.parametrize("version", [4, 6])
def test_a_udp_checksum_that_sums_to_zero_is_ones_in_each_segment(where, version):
    ip = Ip(version)
    # what stands where such a segment's checksum would, were its payload zeros, makes it zero
    at = 26 if version == 4 else 46
    lacking = offload_packets.udp(ip, bytes(100))[at : at + 2]
    payload = lacking + bytes(98)
    assert offload_packets.udp(ip, payload)[at : at + 2] == b"\xff\xff"
    packet = offload_packets.udp(ip, payload * 3)
    frame = offload_packets.super_frame(
        ORDERS[where], packet, offload_model.GSO_UDP, 100, l4=at - 6
    )
    _, packets, _ = run(where, frame)
    assert [p[at : at + 2] for p in packets] == [b"\xff\xff"] * 3


@offload_ffi.everywhere
@pytest.mark.parametrize(
    "start, offset", [(19, 6), (20, 65535), (65535, 6), (20, 27), (21, 26), (0, 0)]
)
def test_a_checksum_outside_the_transport_part_is_refused(where, start, offset):
    packet = offload_packets.udp(Ip(4), bytes(20))
    frame = offload_model.vnet_header(ORDERS[where], 1, 0, 0, 0, start, offset) + packet
    assert run(where, frame)[0] == "checksum"


@offload_ffi.everywhere
def test_more_than_64_kilobytes_are_refused(where):
    frame = offload_model.vnet_header(ORDERS[where]) + b"\x45" + bytes(65535)
    assert run(where, frame)[0] == "length"
    assert run(where, frame[:-1])[0] is None


REFUSED = {
    "a SYN": (lambda w: tcp_frame(w, bytes(99), 50, SYN), "unsplittable"),
    "a RST": (lambda w: tcp_frame(w, bytes(99), 50, RST), "unsplittable"),
    "a first fragment": (
        lambda w: tcp_frame(w, bytes(99), 50, ip=Ip(4, fragment=0x2000)),
        "unsplittable",
    ),
    "a later fragment": (
        lambda w: tcp_frame(w, bytes(99), 50, ip=Ip(4, fragment=1)),
        "unsplittable",
    ),
    "a loose source route": (
        lambda w: tcp_frame(w, bytes(99), 50, ip=Ip(4, options=b"\1\x83\7\4\0\0\0\0")),
        "unsplittable",
    ),
    "a strict source route": (
        lambda w: tcp_frame(w, bytes(99), 50, ip=Ip(4, options=b"\1\x89\7\4\0\0\0\0")),
        "unsplittable",
    ),
    "UDP fragmentation offload": (lambda w: tcp_frame(w, bytes(99), 50, kind=3), "type"),
    "IPv6 called IPv4": (lambda w: tcp_frame(w, bytes(99), 50, ip=Ip(6)), "type"),
    "TCP called UDP": (lambda w: tcp_frame(w, bytes(99), 50, kind=GSO_UDP), "type"),
    "no segment size": (lambda w: tcp_frame(w, bytes(99), 0), "length"),
    "a cut frame": (lambda w: tcp_frame(w, bytes(99), 50)[:-1], "length"),
    "a cut TCP header": (lambda w: tcp_frame(w, b"", 50)[: 10 + 39], "length"),
    "nothing": (lambda w: b"", "short"),
    "a header alone": (lambda w: bytes(10), "short"),
}


@offload_ffi.everywhere
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_cut_is_refused_by_name(where, what):
    make, reason = REFUSED[what]
    assert run(where, make(where)) == (reason, [], None)


@offload_ffi.everywhere
@pytest.mark.parametrize(
    "chain, refusal",
    [
        ([(44, bytes(7))], "unsplittable"),
        ([(51, bytes(7))], "unsplittable"),
        ([(43, b"\0\4\1" + bytes(4))], "unsplittable"),
        ([(60, b"\x3f" + bytes(511))], "unsplittable"),
        ([(43, b"\0\4\0" + bytes(4)), (60, bytes(7)), (0, bytes(7))], None),
    ],
)
def test_ipv6_extension_headers_are_carried_over_or_refused(where, chain, refusal):
    ip = Ip(6, options=chain)
    l4 = 40 + sum(1 + len(data) for _, data in chain)
    packet = offload_packets.tcp(ip, bytes(3000))
    frame = offload_packets.super_frame(ORDERS[where], packet, offload_model.GSO_TCP6, 1000, l4=l4)
    found, packets, _ = run(where, frame)
    assert found == refusal
    assert [p[40:l4] for p in packets] == [packet[40:l4]] * (0 if refusal else 3)


def shorter(frame, length):
    """The frame's first bytes, with a right IPv4 length."""
    packet = bytearray(frame[10:length])
    packet[2:4] = struct.pack(">H", len(packet))
    return frame[:10] + bytes(packet)


@offload_ffi.everywhere
@pytest.mark.parametrize("length", [*range(11, 10 + 60)])
def test_a_frame_that_ends_within_its_headers_is_refused(where, length):
    plain = tcp_frame(where, bytes(99), 50, options=bytes(40))
    frames = [plain, plain[:10] + b"\x40" + plain[11:]]
    for last in (b"\x83", b"\x94"):
        ip = Ip(4, options=b"\1" * 19 + last)
        frames.append(tcp_frame(where, bytes(99), 50, ip=ip, options=bytes(40)))
    for frame in frames:
        cut = shorter(frame, length)
        assert run(where, cut) == model(cut, ORDERS[where])
        assert run(where, cut)[0] is not None


@offload_ffi.everywhere
@pytest.mark.parametrize("length", range(40, 64))
def test_an_ipv6_frame_that_ends_within_its_extension_headers_is_refused(where, length):
    ip = Ip(6, options=[(60, bytes(7)), (60, bytes(7))])
    packet = offload_packets.tcp(ip, bytes(3000))[:length]
    packet = packet[:4] + struct.pack(">H", length - 40) + packet[6:]
    frame = offload_model.vnet_header(ORDERS[where], 1, offload_model.GSO_TCP6, 0, 9, 56, 16)
    assert run(where, frame + packet)[0] == "short"


@offload_ffi.everywhere
def test_a_room_too_small_for_one_segment_is_said(where):
    frame = tcp_frame(where, bytes(3000), 1000)
    sealed = 16 + 1040 + 16  # padded to 1040
    assert run(where, frame, Room(size=sealed - 1))[0] == "room"
    assert run(where, frame, Room(size=sealed))[0] is None


@offload_ffi.everywhere
def test_a_last_segment_fits_where_a_full_one_does_not(where):
    frame = tcp_frame(where, bytes(1010), 1000)
    room = Room(size=1072 + 16 + 50 + 16, pad=1)
    _, _, turns = offload_ffi.native(where).split(frame, room)
    assert [len(slices) for _, slices, _ in turns] == [2]
