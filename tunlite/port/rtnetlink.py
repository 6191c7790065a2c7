# SPDX-License-Identifier: MIT
"""rtnetlink messages as bytes (rtnetlink(7), linux/rtnetlink.h); pure, for both interpreters."""

import struct
import sys

_ORDER = "<" if sys.byteorder == "little" else ">"
_HEADER = _ORDER + "IHHII"  # length, type, flags, sequence, port
_HEADER_LEN = 16
_LINK = _ORDER + "BBHiII"  # family, pad, device type, index, flags, change
_ATTRIBUTE = _ORDER + "HH"  # length, type

_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFF_UP = 1


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
