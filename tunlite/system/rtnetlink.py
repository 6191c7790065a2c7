# SPDX-License-Identifier: MIT
"""rtnetlink messages as bytes (rtnetlink(7), linux/rtnetlink.h); pure, for both interpreters."""

import errno
import struct
import sys

_ORDER = "<" if sys.byteorder == "little" else ">"
_HEADER = _ORDER + "IHHII"  # length, type, flags, sequence, port
_HEADER_LEN = 16
_LINK = _ORDER + "BBHiII"  # family, pad, device type, index, flags, change
_ATTRIBUTE = _ORDER + "HH"  # length, type

_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_NEWROUTE = 24
_RTM_DELROUTE = 25
_RTM_NEWRULE = 32
_RTM_DELRULE = 33
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFF_UP = 1
_RTA_DST = 1
_RTN_LOCAL = 2

# Groups of the monitors, as bind(2) takes them.
LINKS = 1
ROUTES = 0x40 | 0x80 | 0x400 | 0x40000  # routes and rules, IPv4 and IPv6

_READ = 16384  # no message of these is as long
_READS_MAX = 4096
_ROUTE_HEAD = 48  # of a route's payload: the prefix stands there


def messages(data):
    """(type, flags, sequence, payload start, end) of each message; a broken one ends it."""
    at = 0
    while at + _HEADER_LEN <= len(data):
        length, kind, flags, sequence, _ = struct.unpack_from(_HEADER, data, at)
        if length < _HEADER_LEN or at + length > len(data):
            return
        yield kind, flags, sequence, at + _HEADER_LEN, at + length
        at += (length + 3) & ~3


def attributes(data, at, end):
    """(type, value) of the attributes in data[at:end]."""
    while at + 4 <= end:
        length, kind = struct.unpack_from(_ATTRIBUTE, data, at)
        if length < 4 or at + length > end:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def _text(name):
    try:
        return name.decode()
    except ValueError:
        return ""  # the kernel takes any bytes; no link of ours is called so


def parse_links(data):
    """Rows (ifindex, name, up, mtu, deleted) of the link messages in a datagram."""
    rows = []
    for kind, _, _, at, end in messages(data):
        if kind not in (_RTM_NEWLINK, _RTM_DELLINK) or end - at < 16:
            continue
        family, _, _, index, flags, _ = struct.unpack_from(_LINK, data, at)
        if family != 0:
            continue  # a bridge reports a port that leaves it as a deleted link of AF_BRIDGE
        name = ""
        mtu = 0
        for attribute, value in attributes(data, at + 16, end):
            if attribute == _IFLA_IFNAME:
                name = _text(bytes(value).split(b"\0", 1)[0])
            elif attribute == _IFLA_MTU and len(value) == 4:
                mtu = struct.unpack(_ORDER + "I", value)[0]
        rows.append((index, name, bool(flags & _IFF_UP), mtu, kind == _RTM_DELLINK))
    return rows


def drain(read_into, fd, take):
    """Hands take() each datagram of a monitor that waits. OSError(ENOBUFS): some were lost, or too
    many are there."""
    room = memoryview(bytearray(_READ))
    for _ in range(_READS_MAX):
        try:
            size = read_into(fd, room)
        except OSError as e:
            if e.errno == errno.EAGAIN:
                return
            raise
        take(room[:size])
    raise OSError(errno.ENOBUFS, "rtnetlink")


def route_heads(data):
    """The head of each route and rule message: what a prefix is read from. A thousand a second come
    where a routing daemon runs, most of them for the same few prefixes."""
    heads = []
    for kind, _, _, at, end in messages(data):
        if kind in (_RTM_NEWROUTE, _RTM_DELROUTE):
            heads.append(bytes(data[at : min(end, at + _ROUTE_HEAD)]))
        elif kind in (_RTM_NEWRULE, _RTM_DELRULE):
            heads.append(bytes(data[at : at + 1]))
    return heads


def is_new_way(heads):
    """Whether an address of ours (a local route) or a default route is among them."""
    return any([len(head) > 7 and (head[1] == 0 or head[7] == _RTN_LOCAL) for head in heads])


def covered_by(heads, let_turn=lambda: None):
    """Where the way may be another: {(4 or 6, bits): set of leading bits as a number}. A rule, or
    a route that cannot be read, has no bits: that is everywhere. let_turn() between heads."""
    found = {}
    for head in heads:
        let_turn()
        if head[:1] not in (b"\2", b"\x0a"):  # AF_INET, AF_INET6
            continue
        size = 4 if head[0] == 2 else 16
        bits = number = 0
        for kind, value in attributes(head, 12, len(head)):
            if kind == _RTA_DST and len(value) == size and 8 * size >= head[1]:
                bits = head[1]
                number = int.from_bytes(value, "big") >> (8 * size - bits)
        found.setdefault((4 if size == 4 else 6, bits), set()).add(number)
    return found
