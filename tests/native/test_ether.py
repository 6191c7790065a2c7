# SPDX-License-Identifier: MIT
"""The look at a frame against one that takes it apart from its front."""

import struct

from hypothesis import given, strategies as st

from tests.native.layer2_ffi import ffi, lib

ADDRESSES = b"\x02" + bytes(5) + b"\x02" + bytes(4) + b"\1"
IPV4, IPV6, VLAN, SERVICE, BATMAN = 0x0800, 0x86DD, 0x8100, 0x88A8, 0x4305


def dumb_look(frame):
    """(ethertype, what it carries)."""
    kind, rest = frame[12:14], frame[14:]
    for _ in range(2):
        if kind not in (b"\x81\x00", b"\x88\xa8") or len(rest) < 4:
            break
        kind, rest = rest[2:4], rest[4:]
    return int.from_bytes(kind, "big"), rest


def look(frame):
    """C's answer, of a copy that ends where the frame does."""
    found = lib.ether_look(ffi.new("uint8_t[]", frame), len(frame))
    assert found.at <= len(frame)
    return found.type, frame[found.at :]


def ip_of(frame):
    at = lib.ether_ip(ffi.new("uint8_t[]", frame), len(frame))
    return frame[at:] if at else None


TYPES = st.one_of(
    st.sampled_from([IPV4, IPV6, VLAN, SERVICE, BATMAN, 0x0806, 46]), st.integers(0, 0xFFFF)
)
TAIL = st.lists(TYPES, max_size=6).map(lambda words: struct.pack(f"!{len(words)}H", *words))


@given(TYPES, TAIL, st.binary(max_size=30))
def test_any_frame_is_looked_at_as_from_its_front(kind, tail, rest):
    frame = ADDRESSES + struct.pack("!H", kind) + tail + rest
    assert look(frame) == dumb_look(frame)
    kind, inner = dumb_look(frame)
    version = {IPV4: 4, IPV6: 6}.get(kind)
    is_ip = inner and inner[0] >> 4 == version
    assert ip_of(frame) == (inner if is_ip else None)


def test_ip_is_found_behind_two_tags_and_not_behind_three():
    tag = struct.pack("!HH", VLAN, 7)
    outer = struct.pack("!HH", SERVICE, 9)
    ip4, ip6 = struct.pack("!H", IPV4) + b"\x45rest", struct.pack("!H", IPV6) + b"\x60rest"
    for ip in (ip4, ip6):
        for tags in (b"", tag, outer, outer + tag, tag + tag):
            assert ip_of(ADDRESSES + tags + ip) == ip[2:]
        assert ip_of(ADDRESSES + outer + tag + tag + ip) is None


def test_what_batman_adv_wraps_an_empty_packet_and_a_wrong_version_are_no_ip():
    assert ip_of(ADDRESSES + struct.pack("!H", BATMAN) + b"\x45" * 40) is None
    assert ip_of(ADDRESSES + struct.pack("!H", IPV4)) is None
    assert ip_of(ADDRESSES + struct.pack("!H", IPV4) + b"\x60" * 40) is None
    assert ip_of(ADDRESSES + struct.pack("!HH", VLAN, 5)) is None
