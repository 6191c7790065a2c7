# SPDX-License-Identifier: MIT
"""Endpoints: as the record of 48 bytes that native/wire.h has, and as text.

A literal endpoint is (family, bytes, port, scope) with the scope as text ("" for none: it may name
an interface). Every parser raises ValueError with a text that says what is wrong.
"""

import struct

from tunlite import addresses
from tunlite.system.port import inet_pton

SIZE = 48
MOST = 16  # of one peer: a round of them ends before its first may be asked again
NOWHERE = bytes(SIZE)
LOOPS = 0xFFFFFFFF  # an endpoint's way: its route leads into our own device

_RECORD = "<HH16sI16sII"

# ---- records ----


def record(family, address, port, scope=0):
    """A record with the source address left to the kernel. `address`: 4 or 16 bytes."""
    return struct.pack(_RECORD, family, port, bytes(address), scope, b"", 0, 0)


def whole(place):
    """A record of its first 24 bytes, which say where it is."""
    return place + bytes(SIZE - 24)


def parts(record):
    """(family or 0, address of 4 or 16 bytes, port, scope) of an endpoint record."""
    family, port, address, scope, _, _, _ = struct.unpack(_RECORD, record)
    return family, address[:4] if family == 4 else address, port, scope


def without_source(record):
    """The endpoint with the source address left to the kernel again."""
    return bytes(record[:24]) + bytes(20) + record[44:]


def with_way(record, way):
    """The endpoint with LOOPS, an ifindex that its route has left, or 0."""
    return bytes(record[:44]) + struct.pack("<I", way)


# ---- texts ----


def split(text):
    """(host, port) of "host:port" or "[2001:db8::1%eth0]:port", without the brackets."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise ValueError("an IPv6 endpoint is written [address]:port")
        port = rest[1:]
    else:
        host, colon, port = text.rpartition(":")
        if not colon:
            raise ValueError("an endpoint is written host:port")
        if ":" in host:
            raise ValueError("an IPv6 endpoint is written [address]:port")
    if not host:
        raise ValueError("an endpoint is written host:port")
    if not addresses.is_number(port) or len(port) > 5 or not 0 < int(port) < 65536:
        raise ValueError("the port of an endpoint must be 1 to 65535")
    return host, int(port)


def literal(text):
    """(family, bytes, port, scope text), or None where the host is a name to be resolved."""
    host, port = split(text)
    address, _, scope = host.partition("%")
    if ":" not in address:
        packed = inet_pton(address)
        return None if packed is None else (4, packed, port, "")
    return addresses.parse_address(address) + (port, scope)


def is_name(text):
    """One endpoint, of a host that has to be resolved."""
    return bool(text) and "," not in text and literal(text) is None


def formatted(family, packed, port, scope=""):
    """As wg(8) writes it: 192.0.2.1:51820, [fe80::1%eth0]:51820."""
    text = addresses.format_address(family, packed)
    if family == 4:
        return f"{text}:{port}"
    if scope:
        text = text + "%" + scope
    return f"[{text}]:{port}"


def text(record):
    """A record as wg(8) reads it; "" for none."""
    family, address, number, scope = parts(record)
    if not family:
        return ""
    return formatted(family, address, number, str(scope) if scope else "")
