# SPDX-License-Identifier: MIT
"""Frames in UDP, built by Python; and C's end of a vxlan."""

import ipaddress
import random
import struct

from tests.native.layer2_ffi import ffi, lib

ROOM = 56
LOCAL = {4: "10.1.0.9", 6: "fe80::211:22ff:fe33:4455"}
REMOTE = {4: "10.1.0.1", 6: "fe80::1"}
MACS = b"\x02\0\0\0\0\1" + b"\x02\0\0\0\0\2"


def packed(address):
    return ipaddress.ip_address(address).packed


class Vxlan:
    """C's, one end of it."""

    def __init__(self, family=6, vni=4711, port=4789, sums=False):
        self.family, self.vni, self.port, self.sums = family, vni, port, sums
        local, remote = (packed(a[family]).ljust(16, b"\0") for a in (LOCAL, REMOTE))
        self.c = ffi.new("struct vxlan *")
        ends = ffi.new("struct vxlan_ends *", [family, local, remote, vni, port, sums])
        assert lib.vxlan_set(self.c, ends) == 0

    def wrap(self, frame):
        """(packet, TOS for what is outside of it)."""
        room, tos = ffi.new("uint8_t[]", bytes(ROOM) + frame), ffi.new("uint8_t *")
        at = lib.wrap(self.c, room, len(frame), tos)
        return bytes(room)[at : ROOM + len(frame)], tos[0]

    def unwrap(self, packet):
        """(verdict, the frame, or the packet where it is none)."""
        held, at, left = ffi.new("uint8_t[]", packet), ffi.new("uint32_t *"), ffi.new("uint32_t *")
        verdict = lib.unwrap(self.c, held, len(packet), at, left)
        return verdict, bytes(held[at[0] : at[0] + left[0]])


def checksum(data):
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_checksum(source, target, datagram):
    """Of a datagram whose field is 0."""
    pseudo = source + target + struct.pack("!II", len(datagram), 17)
    return checksum(pseudo + datagram) or 0xFFFF


def udp(frame, source, target, port=4789, vni=4711, sums=True, **changes):
    """A datagram with a VXLAN header in it; changes: flags, low, length, sport, sum."""
    inside = struct.pack("!II", changes.get("flags", 0x08 << 24), vni << 8 | changes.get("low", 0))
    inside += frame
    length = changes.get("length", 8 + len(inside))
    head = struct.pack("!HHHH", changes.get("sport", 40000), port, length, 0)
    made = udp_checksum(source, target, head + inside) if sums else 0
    return head[:6] + struct.pack("!H", changes.get("sum", made)) + inside


def ip(family, inside, tos=0, number=0, protocol=17, **changes):
    """An IP packet from the remote end to the local one; changes: source, target, fragment,
    options, sum."""
    source = packed(changes.get("source", REMOTE[family]))
    target = packed(changes.get("target", LOCAL[family]))
    if family == 6:
        head = struct.pack("!IHBB", 6 << 28 | tos << 20, len(inside), protocol, 64)
        return head + source + target + inside
    options = changes.get("options", b"")
    words, fragment = 5 + len(options) // 4, changes.get("fragment", 0)
    total = words * 4 + len(inside)
    head = struct.pack("!BBHHHBBH", 0x40 | words, tos, total, number, fragment, 64, protocol, 0)
    whole = head + source + target + options
    made = changes.get("sum", checksum(whole))
    return whole[:10] + struct.pack("!H", made) + whole[12:] + inside


def from_remote(family, frame, sums=True, tos=0, **changes):
    """What the gateway sends."""
    outer = {k: changes.pop(k) for k in ("source", "target", "fragment", "options") if k in changes}
    source, target = packed(REMOTE[family]), packed(LOCAL[family])
    return ip(family, udp(frame, source, target, sums=sums, **changes), tos, **outer)


def frame_of(length, seed=0):
    rng = random.Random(length + seed)
    return MACS + b"\x43\x05" + rng.randbytes(length - 14)


def tcp4(tos=0, sport=1000, dport=80, src="192.0.2.1", fragment=0):
    """A frame with an IPv4 packet in it."""
    ports = struct.pack("!HH", sport, dport) + bytes(16)
    head = struct.pack("!BBHHHBBH", 0x45, tos, 40, 1, fragment, 64, 6, 0)
    head += packed(src) + packed("192.0.2.2")
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return MACS + b"\x08\0" + head + ports


def tcp6(tos=0, sport=1000, tag=b""):
    head = struct.pack("!IHBB", 6 << 28 | tos << 20, 20, 6, 64)
    head += packed("2001:db8::1") + packed("2001:db8::2")
    return MACS + tag + b"\x86\xdd" + head + struct.pack("!HH", sport, 80) + bytes(16)
