# SPDX-License-Identifier: MIT
"""Echo requests (ICMP, RFC 792; ICMPv6, RFC 4443 4.1): whole packets, as the packet path takes
them for a probe of a peer. It knows the answers to the last one by addresses, identifier and data.
"""

import struct

DATA_SIZE = 8  # drawn by chance, so that nobody behind the peer guesses it

_REQUEST = 8
_REQUEST6 = 128
_ICMP = 1
_ICMPV6 = 58
_TTL = 64
_DONT_FRAGMENT = 0x4000
_SCOPE_LINK = 253
_UNUSABLE = 0x68  # IFA_F_TENTATIVE, _DEPRECATED, _DADFAILED


def checksum(data):
    """Of an even number of bytes (RFC 1071)."""
    total = 0
    for at in range(0, len(data), 2):
        total += data[at] << 8 | data[at + 1]
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def request(source, target, mark, sequence):
    """source, target: bytes, both 4 or both 16. mark: identifier (2 bytes) and data (DATA_SIZE),
    from chance; sequence: any int."""
    is4 = len(source) == 4
    kind = _REQUEST if is4 else _REQUEST6
    rest = mark[:2] + struct.pack("!H", sequence & 0xFFFF) + mark[2:]
    size = 4 + len(rest)
    if is4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, _DONT_FRAGMENT, _TTL, _ICMP, 0)
        check = struct.pack("!H", checksum(head + source + target))
        head = head[:10] + check
        pseudo = b""
    else:
        head = struct.pack("!IHBB", 6 << 28, size, _ICMPV6, _TTL)
        pseudo = source + target + struct.pack("!II", size, _ICMPV6)
    icmp = struct.pack("!BBH", kind, 0, 0) + rest
    icmp = icmp[:2] + struct.pack("!H", checksum(pseudo + icmp)) + rest
    return head + source + target + icmp


def _is_local(address):
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def source_for(target, rows):
    """The address to ask `target` from, of rows (address, bits, scope, flags) of the device; None:
    there is none of its family and scope. One whose prefix has the target goes first."""
    found = None
    for address, bits, scope, flags in rows:
        if len(address) != len(target) or flags & _UNUSABLE:
            continue
        if _is_local(address) != _is_local(target) or scope > _SCOPE_LINK:
            continue
        shift = 8 * len(target) - bits
        is_near = int.from_bytes(address, "big") >> shift == int.from_bytes(target, "big") >> shift
        if found is None or is_near:
            found = address
        if is_near:
            break
    return found
