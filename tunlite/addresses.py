# SPDX-License-Identifier: MIT
"""IPv4, IPv6 and Ethernet addresses and prefixes as text.

An address is (family, bytes): family 4 with 4 bytes or 6 with 16. A prefix is (family, bytes,
bits). Every parser raises ValueError with a text that says what is wrong.
"""

from tunlite.system.port import inet_pton

MACS_MOST = 32  # of one peer


def is_number(text):
    """Digits of ours alone: str.isdigit() also takes ones that int() refuses."""
    for char in text:
        if char not in "0123456789":
            return False
    return len(text) > 0


def is_word(text, more):
    """Whether it has nothing but ASCII letters and digits, and characters of `more`."""
    for char in text:
        if ord(char) > 127 or not (char.isalpha() or char.isdigit() or char in more):
            return False
    return True


def parse_address(text):
    """(family, bytes) of "192.0.2.1" or "2001:db8::1"."""
    packed = inet_pton(text)
    if packed is None:
        raise ValueError("not an IP address: " + text)
    return 4 if len(packed) == 4 else 6, packed


def _zero_run(groups):
    """(start, length) of the longest run of two or more zero groups, the first where equal."""
    best = (0, 0)
    start = 0
    for i in range(len(groups) + 1):
        if i == len(groups) or groups[i]:
            if i - start > best[1]:
                best = (start, i - start)
            start = i + 1
    return best if best[1] > 1 else (0, 0)


def format_address(family, packed):
    """The usual text (RFC 5952)."""
    if family == 4:
        return ".".join([str(b) for b in packed[:4]])
    if packed[:12] == b"\0\0\0\0\0\0\0\0\0\0\xff\xff":
        return "::ffff:" + format_address(4, packed[12:])
    groups = [packed[i] << 8 | packed[i + 1] for i in range(0, 16, 2)]
    words = [f"{group:x}" for group in groups]
    start, length = _zero_run(groups)
    if not length:
        return ":".join(words)
    return ":".join(words[:start]) + "::" + ":".join(words[start + length :])


def parse_prefix(text):
    """(family, bytes, bits) of "10.0.0.1/24"; no length: one address. Host bits stay."""
    address, slash, length = text.partition("/")
    family, packed = parse_address(address)
    most = 32 if family == 4 else 128
    if not slash:
        return family, packed, most
    if not is_number(length) or len(length) > 3 or int(length) > most:
        raise ValueError(f"the prefix length of {text} must be 0 to {most}")
    return family, packed, int(length)


def network(prefix):
    """The prefix with its host bits zeroed, as allowed IPs and routes have it."""
    family, packed, bits = prefix
    size = len(packed)
    host_bits = 8 * size - bits
    kept = int.from_bytes(packed, "big") >> host_bits << host_bits
    return family, kept.to_bytes(size, "big"), bits


def format_bytes(packed):
    """Text of an address whose length tells the family."""
    return format_address(4 if len(packed) == 4 else 6, packed)


def format_prefix(prefix):
    family, packed, bits = prefix
    return f"{format_address(family, packed)}/{bits}"


def parse_mac(text):
    """6 bytes of an Ethernet address, 02:00:5e:10:00:01: of one device, so neither a group's nor
    zero."""
    pieces = text.split(":")
    octets = [_octet(piece) for piece in pieces]
    if len(octets) != 6 or None in octets or not any(octets) or octets[0] & 1:
        raise ValueError(f"{text} is no Ethernet address of one device")
    return bytes(octets)


def _octet(text):
    for char in text:
        if char not in "0123456789abcdefABCDEF":
            return None
    return int(text, 16) if len(text) == 2 else None


def parse_macs(text):
    """The list of what commas part."""
    found = [parse_mac(piece) for piece in text.split(",")]
    if len(found) > MACS_MOST or len(set(found)) < len(found):
        raise ValueError(f"more than {MACS_MOST} Ethernet addresses, or one of them twice")
    return found


def format_mac(packed):
    return ":".join([f"{byte:02x}" for byte in packed])
