# SPDX-License-Identifier: MIT
"""Super-packets of a TAP: the same cutting and merging behind an Ethernet header and VLAN tags,
against the slow implementation, here, sanitized and on MIPS."""

import struct

import pytest
from hypothesis import given, settings, strategies as st

from tests.native import offload_ffi, offload_model, offload_packets
from tests.native.offload_ffi import ORDERS, Room
from tests.native.offload_model import GSO_TCP4, GSO_TCP6, GSO_UDP, NEEDS_CSUM, TCP, UDP
from tests.native.offload_packets import QINQ, SERVICE, TAGS, VLAN, Ip, Sender, ethernet

WIDE = Room(size=400000, max_slices=200, mtu=65535)
ALL_TAGS = pytest.mark.parametrize("tags", [b"", VLAN, SERVICE, QINQ], ids=["0", "1", "s", "2"])


def cut(where, frame, room=WIDE, checksum=0):
    """(refusal or None, packets, whether it was left in place)."""
    begun, after, turns = offload_ffi.native(where).split(frame, room, checksum, ethernet=True)
    if begun < 0:
        assert after == frame
        return offload_ffi.REFUSALS[begun], [], None
    if begun == 1:
        assert not turns
        return None, [after[10:]], True
    return None, [d[o : o + n] for _, slices, d in turns for o, n in slices], False


def model_cut(where, frame):
    try:
        stays, packets = offload_model.split(frame, ORDERS[where], ethernet=True)
    except offload_model.Refused as e:
        return str(e), [], None
    return None, packets, stays


def merged(where, frames, **arguments):
    """(bytes written, number of frames) of each group."""
    groups = offload_ffi.native(where).merge(frames, ethernet=True, **arguments)
    return [(b"".join(iovecs), len(iovecs)) for iovecs, _ in groups]


def model_merged(where, frames):
    groups = offload_model.merge(frames, ethernet=True)
    return [(offload_model.super_frame(g, ORDERS[where]), len(g)) for g in groups]


@st.composite
def streams(draw, packets=60, size=None):
    """Frames of a few flows, now and then of another VLAN or sender, or padded."""
    regular, tags = st.sampled_from([0] * 15 + [1]), draw(TAGS)
    out = []
    for packet in draw(offload_packets.streams(packets=packets, size=size)):
        odd = draw(regular)
        frame = ethernet(packet, draw(TAGS) if odd else tags, draw(st.integers(1, 2)) if odd else 1)
        out.append(frame + bytes(draw(st.integers(0, 46)) if draw(regular) else 0))
    return out


# ---- cut ----------------------------------------------------------------------------------------


@offload_ffi.everywhere
@settings(deadline=None, max_examples=60)
@given(data=st.data(), tags=TAGS)
def test_what_a_kernel_gives_is_cut_as_the_slow_implementation_cuts_it(where, data, tags):
    frame = data.draw(offload_packets.super_frames(ORDERS[where]))
    frame = offload_packets.ethernet_frame(ORDERS[where], frame, tags)
    checksum = data.draw(st.sampled_from(list(offload_ffi.native(where).checksums())))
    wanted = model_cut(where, frame)
    assert wanted[0] is None
    assert cut(where, frame, WIDE, checksum) == wanted


@offload_ffi.everywhere
@settings(deadline=None, max_examples=400)
@given(data=st.data(), tags=TAGS)
def test_damaged_frames_are_refused_or_cut_as_the_slow_implementation_does(where, data, tags):
    frames = offload_packets.super_frames(ORDERS[where], longest=2000)
    frames = frames.map(lambda f: offload_packets.ethernet_frame(ORDERS[where], f, tags))
    frame = data.draw(offload_packets.damaged(frames, ip_at=24 + len(tags)))
    assert cut(where, frame) == model_cut(where, frame)


@offload_ffi.everywhere
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_random_bytes_are_refused_or_cut_as_the_slow_implementation_does(where, data):
    frame = data.draw(st.binary(max_size=200))
    kind = data.draw(st.sampled_from([b"", b"\x08\0", b"\x86\xdd", VLAN + b"\x08\0", QINQ[:6]]))
    frame = frame[:22] + kind + frame[22:]
    assert cut(where, frame) == model_cut(where, frame)


@offload_ffi.everywhere
@ALL_TAGS
@pytest.mark.parametrize("kind", [GSO_TCP4, GSO_TCP6, GSO_UDP])
def test_each_segment_has_the_addresses_and_tags_of_its_super_packet(where, tags, kind):
    ip = Ip(6 if kind == GSO_TCP6 else 4)
    make = offload_packets.udp if kind == GSO_UDP else offload_packets.tcp
    frame = offload_packets.super_frame(
        ORDERS[where], make(ip, bytes(2500)), kind, 1000, l4=40 if kind == GSO_TCP6 else 20
    )
    room = Room(headroom=18, pad=1)
    frame = offload_packets.ethernet_frame(ORDERS[where], frame, tags)
    refusal, packets, stays = cut(where, frame, room)
    assert (refusal, stays, len(packets)) == (None, False, 3)
    assert {p[: 14 + len(tags)] for p in packets} == {frame[10 : 24 + len(tags)]}


@offload_ffi.everywhere
@ALL_TAGS
def test_a_checksum_left_open_behind_tags_is_completed(where, tags):
    packet = offload_packets.udp(Ip(4), b"question")
    frame = offload_packets.super_frame(ORDERS[where], packet, GSO_UDP, 0, l4=20)
    frame = offload_packets.ethernet_frame(ORDERS[where], frame[:1] + b"\0" + frame[2:], tags)
    assert cut(where, frame) == (None, [ethernet(packet, tags)], True)


OTHERS = {
    "ARP": b"\x08\x06" + bytes(28),
    "batman-adv": b"\x43\x05\x40" + bytes(100),
    "PPPoE": b"\x88\x64\x11\0\0\1" + bytes(40),
    "a length": b"\0\x10" + bytes(60),
    "three tags": VLAN * 3 + b"\x08\0" + offload_packets.tcp(Ip(4), bytes(100)),
    "a tag and no more": VLAN,
    "half a tag": VLAN[:3],
    "IPv4 called IPv6": b"\x86\xdd" + offload_packets.tcp(Ip(4), bytes(100)),
    "nothing behind the header": b"\x08\0",
}


@offload_ffi.everywhere
@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_ip_passes_whole_both_ways(where, what):
    frame = bytes(range(2, 14)) + OTHERS[what]
    head = offload_model.vnet_header(ORDERS[where])
    assert cut(where, head + frame) == (None, [frame], True)
    assert merged(where, [frame, frame]) == [(head + frame, 1)] * 2


@offload_ffi.everywhere
def test_what_is_not_ip_has_its_open_checksum_completed_behind_the_mac_header(where):
    frame = bytes(range(2, 14)) + b"\x43\x05" + bytes(10) + b"question" * 3
    for start, refusal in ((14, None), (24, None), (13, "checksum"), (39, "checksum")):
        head = offload_model.vnet_header(ORDERS[where], NEEDS_CSUM, 0, 0, 0, start, 10)
        found, packets, _ = cut(where, head + frame)
        assert found == refusal
        check = struct.pack(">H", offload_model.internet_checksum(frame[start:]) or 0xFFFF)
        wanted = frame[: start + 10] + check + frame[start + 12 :]
        assert packets == ([] if refusal else [wanted])


@offload_ffi.everywhere
def test_a_super_packet_that_is_not_ip_is_refused(where):
    frame = offload_packets.super_frame(
        ORDERS[where], offload_packets.tcp(Ip(4), bytes(3000)), GSO_TCP4, 1000, l4=20
    )
    frame = offload_packets.ethernet_frame(ORDERS[where], frame)
    assert cut(where, frame[:22] + b"\x43\x05" + frame[24:])[0] == "type"


@offload_ffi.everywhere
def test_a_frame_shorter_than_its_header_is_refused(where):
    for length in range(10 + 14):
        assert cut(where, bytes(length))[0] == "short"


@offload_ffi.everywhere
@ALL_TAGS
def test_64_kilobytes_and_no_more_stand_behind_the_header(where, tags):
    head = offload_model.vnet_header(ORDERS[where])
    frame = ethernet(b"\x45" + bytes(65534), tags)
    assert cut(where, head + frame)[:2] == (None, [frame])
    assert cut(where, head + frame + b"\0")[0] == "length"


# ---- merge --------------------------------------------------------------------------------------


@offload_ffi.everywhere
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_streams_are_merged_as_the_slow_implementation_merges_them(where, data):
    frames = data.draw(streams())
    assert merged(where, frames) == model_merged(where, frames)


@offload_ffi.everywhere
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_merged_frames_cut_again_are_byte_for_byte_what_was_sent(where, data):
    frames = data.draw(streams(packets=120, size=16))
    back = [p for frame, _ in merged(where, frames) for p in cut(where, frame)[1]]
    sent, received = {}, {}
    for mapping, items in ((sent, frames), (received, back)):
        for frame in items:
            flow = offload_model.Parsed(frame, (TCP, UDP), ethernet=True).flow
            mapping.setdefault(flow, []).append(frame)
    assert received == sent


@offload_ffi.everywhere
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_groups_taken_apart_are_the_frames_as_they_came(where, data):
    frames = data.draw(streams())
    found = [f for f, _ in merged(where, frames)]
    assert len(found) <= len(frames)
    groups = offload_ffi.native(where).merge(frames, unmerge=True, ethernet=True)
    apart = [f for iovecs, _ in groups for f in iovecs]
    assert sorted(apart) == sorted(offload_model.vnet_header(ORDERS[where]) + f for f in frames)


@offload_ffi.everywhere
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damaged_frames_are_merged_as_the_slow_implementation_merges_them(where, data):
    frames = data.draw(streams(packets=12, size=16))
    for i in data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=4)):
        frames[i] = data.draw(offload_packets.damaged(st.just(frames[i]), ip_at=14))
    assert merged(where, frames) == model_merged(where, frames)


@offload_ffi.everywhere
@settings(deadline=None, max_examples=200)
@given(frames=st.lists(st.binary(max_size=70), max_size=8))
def test_random_bytes_pass_as_they_are(where, frames):
    assert merged(where, frames) == model_merged(where, frames)


def stream(words, version=4, protocol=TCP, tags=b"", source=1):
    sender = Sender(version, protocol, (5000, 80), 100)
    return [ethernet(sender.step(word, 3), tags, source) for word in words]


def counts(where, frames):
    return [n for _, n in merged(where, frames)]


@offload_ffi.everywhere
@ALL_TAGS
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_consecutive_frames_of_one_flow_become_one(where, tags, version, protocol):
    frames = stream(["plain"] * 9 + ["short"], version, protocol, tags)
    [(frame, count)] = merged(where, frames)
    assert count == 10
    assert cut(where, frame) == (None, frames, False)


@offload_ffi.everywhere
@pytest.mark.parametrize("kind", [b"\x86\xdd", b"\x43\x05", b"\x88\x64"])
def test_ipv4_behind_another_type_is_not_merged(where, kind):
    frames = [f[:12] + kind + f[14:] for f in stream(["plain"] * 3)]
    assert [(f[10:], n) for f, n in merged(where, frames)] == [(f, 1) for f in frames]


@offload_ffi.everywhere
def test_frames_of_different_vlans_priorities_or_stations_stay_apart(where):
    words = ["plain"] * 4
    plain = stream(words)
    others = [stream(words, tags=t) for t in (VLAN, b"\x81\0\x40\x07", b"\x81\0\x20\x08", QINQ)]
    others.append(stream(words, source=2))
    for other in others:
        assert counts(where, plain[:2] + other[2:]) == [2, 2]
        assert counts(where, [plain[0], other[1], plain[2]]) == [1, 1, 1]


@offload_ffi.everywhere
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_a_padded_frame_keeps_its_padding_and_ends_its_flow_s_group_alone(where, version, protocol):
    frames = stream(["plain"] * 5, version, protocol)
    other = ethernet(offload_packets.tcp(Ip(4, host=7), bytes(200)))
    frames[2] += b"padding"
    found = merged(where, [*frames[:2], other, *frames[2:]])
    assert [n for _, n in found] == [2, 1, 1, 2]
    assert found[2][0][10:] == frames[2]


@offload_ffi.everywhere
def test_a_padded_acknowledgement_ends_no_other_flow_s_group(where):
    frames = stream(["plain"] * 4)
    ack = ethernet(offload_packets.tcp(Ip(4, host=7), b"")) + bytes(6)
    assert counts(where, [frames[0], ack, frames[1], ack, *frames[2:]]) == [4, 1, 1]


@offload_ffi.everywhere
@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_without_a_checksum_stay_alone(where, version):
    sender = Sender(version, UDP, (5000, 4789), 100)
    frames = [ethernet(sender.step("no sum", 3)) for _ in range(3)]
    assert [(f[10:], n) for f, n in merged(where, frames)] == [(f, 1) for f in frames]


@offload_ffi.everywhere
def test_an_identification_that_stands_still_keeps_frames_apart(where):
    assert counts(where, stream(["plain", "id stands", "id stands"])) == [1, 1, 1]


@offload_ffi.everywhere
def test_a_group_s_header_counts_from_the_mac_header(where):
    frames = stream(["plain"] * 3, tags=QINQ)
    [(frame, _)] = merged(where, frames)
    wanted = (NEEDS_CSUM, GSO_TCP4, 22 + 52, 100, 22 + 20, 16)
    assert offload_model.vnet_fields(ORDERS[where], frame) == wanted
    assert struct.unpack(">H", frame[10 + 24 : 10 + 26])[0] == len(frame) - 10 - 22
