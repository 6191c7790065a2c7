# SPDX-License-Identifier: MIT
"""Packets into super-packets: against the slow implementation, here, sanitized and on MIPS."""

import pytest
from hypothesis import given, settings, strategies as st

from tests.native import offload_ffi, offload_model, offload_packets
from tests.native.offload_ffi import ORDERS, Room
from tests.native.offload_model import ACK, PSH, TCP, UDP
from tests.native.offload_packets import Ip, Sender

PROTOCOLS = {1: (TCP,), 2: (UDP,), 3: (TCP, UDP), 0: ()}


def frames_of(where, packets, **arguments):
    """(bytes of the frame, number of packets) of each group."""
    groups = offload_ffi.native(where).merge(packets, **arguments)
    for iovecs, length in groups:
        assert sum(map(len, iovecs)) == 10 + length
    return [(b"".join(iovecs), len(iovecs)) for iovecs, _ in groups]


def model_frames(where, packets, kinds=3):
    """The same from the slow implementation."""
    groups = offload_model.merge(packets, PROTOCOLS[kinds])
    return [(offload_model.super_frame(g, ORDERS[where]), len(g)) for g in groups]


def counts(where, packets, **arguments):
    return [n for _, n in frames_of(where, packets, **arguments)]


def flow_of(packet):
    parsed = offload_model.Parsed(packet, (TCP, UDP))
    return parsed.flow


def cut(where, frame):
    """The frame's packets as offload_split has them."""
    begun, after, turns = offload_ffi.native(where).split(frame, Room(size=90000, max_slices=100))
    if begun == 1:
        return [after[10:]]
    assert begun == 2
    return [data[o : o + n] for _, slices, data in turns for o, n in slices]


def without_id(packet):
    """IPv4 identification and header checksum blanked: where all were the same, they count now."""
    if packet[0] >> 4 != 4:
        return packet
    return packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:]


@offload_ffi.everywhere
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_streams_are_merged_as_the_slow_implementation_merges_them(where, data):
    packets = data.draw(offload_packets.streams())
    kinds = data.draw(st.sampled_from([0, 1, 2, 3, 3, 3]))
    checksum = data.draw(st.sampled_from(list(offload_ffi.native(where).checksums())))
    found = frames_of(where, packets, kinds=kinds, checksum=checksum)
    assert found == model_frames(where, packets, kinds)


@offload_ffi.everywhere
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_merged_packets_cut_again_are_the_packets_in_order_within_each_flow(where, data):
    packets = data.draw(offload_packets.streams(flows=60, packets=150, size=16))
    back = [p for frame, _ in frames_of(where, packets) for p in cut(where, frame)]
    sent, received = {}, {}
    for mapping, items in ((sent, packets), (received, back)):
        for packet in items:
            comparable = without_id(offload_model.filled_in(packet))
            mapping.setdefault(flow_of(packet), []).append(comparable)
    assert received == sent


@offload_ffi.everywhere
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_was_cut_is_merged_into_what_it_was(where, data):
    frame = data.draw(offload_packets.super_frames(ORDERS[where]))
    packets = cut(where, frame)
    found = frames_of(where, packets)
    first = offload_model.Parsed(packets[0], (TCP, UDP))
    plain = [offload_model.Parsed(p, (TCP, UDP)).verdict == "plain" for p in packets]
    if all(plain) and len(packets) <= offload_model.GROUP_MAX:
        assert [n for _, n in found] == [len(packets)]
        assert found == model_frames(where, packets)
        if len(packets) > 1:  # hdr_len (bytes 2 and 3) is our own
            assert found[0][0][4 : first.l4 + 10] == frame[4 : first.l4 + 10]
            assert found[0][0][10 + first.at :] == frame[10 + first.at :]


@offload_ffi.everywhere
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_groups_taken_apart_are_the_packets_as_they_came(where, data):
    packets = data.draw(offload_packets.streams())
    groups = offload_ffi.native(where).merge(packets, unmerge=True)
    frames = [f for iovecs, _ in groups for f in iovecs]
    assert sorted(frames) == sorted(offload_model.vnet_header(ORDERS[where]) + p for p in packets)


@offload_ffi.everywhere
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damaged_packets_are_merged_as_the_slow_implementation_merges_them(where, data):
    packets = data.draw(offload_packets.streams(flows=2, packets=12, size=16))
    for i in data.draw(st.lists(st.integers(0, len(packets) - 1), max_size=4)):
        packets[i] = data.draw(offload_packets.damaged(st.just(packets[i])))
    assert frames_of(where, packets) == model_frames(where, packets)


@offload_ffi.everywhere
@settings(deadline=None, max_examples=200)
@given(packets=st.lists(st.binary(max_size=70), max_size=8))
def test_random_bytes_pass_as_they_are(where, packets):
    assert frames_of(where, packets) == model_frames(where, packets)


def stream(words, version=4, protocol=TCP, size=100, ports=(5000, 80)):
    sender = Sender(version, protocol, ports, size)
    return [sender.step(word, 3) for word in words]


@offload_ffi.everywhere
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_consecutive_packets_of_one_flow_become_one(where, version, protocol):
    packets = stream(["plain"] * 9 + ["short"], version, protocol)
    (frame, count), *rest = frames_of(where, packets)
    assert (count, rest) == (10, [])
    assert cut(where, frame) == packets


@offload_ffi.everywhere
def test_interleaved_flows_are_merged_apart(where):
    flows = [stream(["plain"] * 8, ports=(5000 + i, 80)) for i in range(30)]
    packets = [flow[i] for i in range(8) for flow in flows]
    assert counts(where, packets) == [8] * 30


TCP_ALONE = ["fin", "ece", "bare", "ip options", "bad sum", "bad ip sum", "evil"]
TCP_ENDS = ["ack moves", "window", "urgent", "options", "tos", "ttl", "may fragment", "gap", "time"]


@offload_ffi.everywhere
@pytest.mark.parametrize("word", TCP_ALONE)
def test_a_packet_that_may_not_be_merged_goes_alone_and_is_not_overtaken(where, word):
    packets = stream(["plain", "plain", word, "plain", "plain"])
    assert counts(where, packets) == [2, 1, 2]
    assert [f for f, n in frames_of(where, packets) if n == 1][0][10:] == packets[2]


@offload_ffi.everywhere
@pytest.mark.parametrize("word", TCP_ENDS)
def test_a_header_that_differs_begins_another_group(where, word):
    packets = stream(["plain", "plain", word])
    assert counts(where, packets) == [2, 1]


@offload_ffi.everywhere
def test_a_flow_label_that_differs_begins_another_group(where):
    assert counts(where, stream(["plain", "plain", "label", "plain"], version=6)) == [2, 1, 1]


@offload_ffi.everywhere
def test_psh_ends_a_group_and_is_kept(where):
    packets = stream(["plain", "plain", "push", "plain", "push", "push"])
    found = frames_of(where, packets)
    assert [n for _, n in found] == [3, 2, 1]
    assert [f[10 + 33] for f, _ in found] == [ACK | PSH] * 3


@offload_ffi.everywhere
def test_a_smaller_packet_ends_a_group_and_a_bigger_one_begins_one(where):
    assert counts(where, stream(["plain", "short", "plain", "long", "long", "plain"])) == [2, 1, 3]


@offload_ffi.everywhere
def test_identification_counts_up_or_stands_still_where_df_is_set(where):
    assert counts(where, stream(["plain"] + ["id stands"] * 4)) == [5]
    assert counts(where, stream(["plain", "plain", "id stands", "plain"])) == [2, 2]
    assert counts(where, stream(["plain", "id jumps", "plain"])) == [1, 2]
    fixed = [offload_packets.udp(Ip(4, fragment=0), bytes(9)) for _ in range(3)]
    assert counts(where, fixed) == [1, 1, 1]


@offload_ffi.everywhere
def test_no_group_is_longer_than_a_super_packet_may_be(where):
    big = stream(["plain"] * 60, size=1400)
    assert counts(where, big) == [46, 14]
    assert counts(where, stream(["plain"] * 200, size=10)) == [64, 64, 64, 8]


@offload_ffi.everywhere
@pytest.mark.parametrize("excess, wanted", [(0, [3]), (1, [2, 1])])
def test_a_super_packet_has_65535_bytes_at_most(where, excess, wanted):
    sender = Sender(4, UDP, (1, 2), 30000)
    packets = [sender.step("plain", 3), sender.step("plain", 3)]
    sender.size = 65535 - 28 - 60000 + excess
    assert counts(where, [*packets, sender.step("plain", 3)]) == wanted


@offload_ffi.everywhere
def test_the_reserved_bit_keeps_packets_apart(where):
    assert counts(where, stream(["evil", "evil"])) == [1, 1]


@offload_ffi.everywhere
@pytest.mark.parametrize("bit", [0x100, 0x200, 0x400, 0x800])
def test_tcp_flags_that_are_not_known_keep_packets_apart(where, bit):
    packets = [offload_packets.tcp(Ip(4), bytes(9), 1 + 9 * i, ACK | bit) for i in range(2)]
    assert counts(where, packets) == [1, 1]


@offload_ffi.everywhere
@pytest.mark.parametrize("protocol", [TCP, UDP])
@pytest.mark.parametrize("version", [4, 6])
def test_packets_that_end_within_their_headers_pass_as_they_are(where, protocol, version):
    (whole,) = stream(["plain"], version, protocol)
    for length in range(len(whole)):
        packets = [whole[:length], offload_packets.with_true_length(whole[:length])]
        assert frames_of(where, packets) == model_frames(where, packets)


@offload_ffi.everywhere
def test_ipv4_headers_longer_than_the_packet_pass_as_they_are(where):
    (whole,) = stream(["plain"])
    for length in range(20, 60):
        packet = offload_packets.with_true_length(b"\x4f" + whole[1:length])
        assert frames_of(where, [packet, packet]) == model_frames(where, [packet, packet])


@offload_ffi.everywhere
def test_udp_is_left_alone_unless_asked_for(where):
    packets = stream(["plain"] * 4, protocol=UDP)
    assert counts(where, packets, kinds=offload_ffi.TCP) == [1] * 4
    assert counts(where, packets, kinds=offload_ffi.UDP) == [4]


def unsummed(version, n=4, port=80):
    """n datagrams of one flow without checksums."""
    return stream(["no sum"] * n, protocol=UDP, version=version, ports=(5000, port))


@offload_ffi.everywhere
@pytest.mark.parametrize(
    ("version", "port", "together"),
    [(4, 80, 4), (4, 4789, 4), (6, 4789, 4), (6, 8472, 4), (6, 80, 1), (6, 4790, 1)],
)
def test_udp_without_checksum_goes_together_where_that_is_allowed(where, version, port, together):
    packets = unsummed(version, port=port)
    assert counts(where, packets) == [together] * (4 // together)
    back = [p for frame, _ in frames_of(where, packets) for p in cut(where, frame)]
    filled = [offload_model.filled_in(p) for p in packets]
    assert back == (filled if together > 1 else packets)
    assert [p.is_sound() for p in (offload_model.Parsed(q, (UDP,)) for q in filled)] == [True] * 4


@offload_ffi.everywhere
def test_udp_with_and_without_checksum_does_not_go_together(where):
    words = ["plain", "plain", "no sum", "no sum", "plain", "plain"]
    assert counts(where, stream(words, protocol=UDP)) == [2, 2, 2]


@offload_ffi.everywhere
@pytest.mark.parametrize("version", [4, 6])
def test_a_group_without_checksums_is_taken_apart_without_them(where, version):
    packets = unsummed(version, port=4789)
    [(frames, _)] = offload_ffi.native(where).merge(packets, unmerge=True)
    assert [f[10:] for f in frames] == packets


@offload_ffi.everywhere
def test_a_datagram_without_checksum_and_with_a_wrong_ip_header_stays_alone(where):
    packets = unsummed(4)
    packets[1] = packets[1][:10] + bytes([packets[1][10] ^ 1]) + packets[1][11:]
    assert counts(where, packets) == [1, 1, 2]


@offload_ffi.everywhere
def test_no_flow_overtakes_its_fragments(where):
    one, other = (stream(["plain"] * 4, ports=(p, 80)) for p in (1, 2))
    fragment = Ip(4, fragment=0x2000).around(TCP, bytes(40))
    packets = [one[0], other[0], one[1], fragment, one[2], other[1], one[3]]
    assert counts(where, packets) == [2, 1, 1, 2, 1]


@offload_ffi.everywhere
@pytest.mark.parametrize("kind", offload_model.EXTENSIONS)
def test_no_flow_overtakes_its_packets_with_extension_headers(where, kind):
    one = stream(["plain"] * 2, version=6)
    between = Ip(6, options=[(kind, bytes(7))]).around(TCP, bytes(40))
    assert counts(where, [one[0], between, one[1]]) == [1, 1, 1]


@offload_ffi.everywhere
def test_a_udp_checksum_that_sums_to_zero_is_ones_when_its_group_is_taken_apart(where):
    ip = Ip(4, fragment=0)
    lacking = offload_packets.udp(ip, bytes(100))[26:28]
    packets = [
        offload_packets.udp(Ip(4, fragment=0, id=1000 + i), lacking + bytes(98)) for i in (0, 1)
    ]
    assert [p[26:28] for p in packets] == [b"\xff\xff"] * 2
    [(frames, _)] = offload_ffi.native(where).merge(packets, unmerge=True)
    assert [f[10:] for f in frames] == packets


@offload_ffi.everywhere
def test_strangers_do_not_end_a_group(where):
    one = stream(["plain"] * 4)
    icmp = Ip(4).around(1, bytes(30))
    assert counts(where, [one[0], icmp, one[1], icmp, one[2]]) == [3, 1, 1]


@offload_ffi.everywhere
def test_as_many_flows_as_packets_pass_and_nothing_is_lost(where):
    packets = [p for i in range(256) for p in stream(["plain"], ports=(i, 80))]
    found = frames_of(where, packets)
    assert [f[10:] for f, _ in found] == packets


@offload_ffi.everywhere
def test_no_packets_are_no_groups(where):
    assert frames_of(where, []) == []
