# SPDX-License-Identifier: MIT
"""Keys: their base64 as wg(8) has it, their hex as UAPI has it, new ones.

A secret lives in a bytearray that its owner wipes; its base64 is a bytearray too. Errors never
quote a key.
"""

import binascii

from tunlite.system import port

_BASE_POINT = b"\x09" + bytes(31)


def _sextet(char):
    """The value of a base64 character, -1 for none; without a branch or a table on the secret."""
    value = -1
    value += (((64 - char) & (char - 91)) >> 8) & (char - 64)
    value += (((96 - char) & (char - 123)) >> 8) & (char - 70)
    value += (((47 - char) & (char - 58)) >> 8) & (char + 5)
    value += (((42 - char) & (char - 44)) >> 8) & 63
    value += (((46 - char) & (char - 48)) >> 8) & 64
    return value


def _char(value):
    """The base64 character of 0..63; likewise."""
    char = value + 65
    char += ((25 - value) >> 8) & 6
    char -= ((51 - value) >> 8) & 75
    char -= ((61 - value) >> 8) & 15
    char += ((62 - value) >> 8) & 3
    return char


def decode(text):
    """The 32 bytes (a bytearray) of 44 base64 characters (bytes-like); ValueError."""
    if len(text) != 44:
        raise ValueError(f"a key has 44 characters of base64, this one {len(text)}")
    if text[43] != 61:
        raise ValueError("the base64 of a key ends in =")
    out = bytearray(33)
    bad = 0
    for i in range(0, 44, 4):
        word = 0
        for j in range(4):
            value = 0 if i + j == 43 else _sextet(text[i + j])
            bad |= value
            word = word << 6 | (value & 63)
        at = i // 4 * 3
        out[at] = word >> 16
        out[at + 1] = (word >> 8) & 255
        out[at + 2] = word & 255
    bad |= -out[32]  # bits past the key must be zero, or one key had several texts
    if bad < 0:
        wipe(out)
        raise ValueError("the base64 of a key has A-Z, a-z, 0-9, + and /, and stands for 32 bytes")
    key = out[:32]
    wipe(out)
    return key


def encode(key):
    """The 44 base64 characters (a bytearray) of 32 bytes."""
    out = bytearray(44)
    for i in range(0, 33, 3):
        last = key[i + 2] if i + 2 < 32 else 0
        word = key[i] << 16 | key[i + 1] << 8 | last
        at = i // 3 * 4
        for j in range(4):
            out[at + j] = _char((word >> (18 - 6 * j)) & 63)
    out[43] = 61
    return out


def text(key):
    """The base64 of a public key as str."""
    return binascii.b2a_base64(key)[:44].decode()


def parse_public(chars):
    """The 32 bytes of a public key's base64 (str); ValueError. No secret, so this may be quick."""
    if len(chars) == 44:
        try:
            key = binascii.a2b_base64(chars)
        except ValueError:
            key = b""
        if len(key) == 32 and binascii.b2a_base64(key)[:44] == chars.encode():
            return key
    return bytes(decode(chars.encode()))


def wipe(secret):
    """Zeroes a bytearray."""
    if secret:
        port.native.tl_wipe(secret, len(secret))


def unhex(out, digits):
    """32 bytes out of 64 hex digits, without a branch or a table on a digit; False where they are
    not that."""
    if len(digits) != 64:
        return False
    bad = 0
    for i in range(32):
        value = 0
        for k in (2 * i, 2 * i + 1):
            c = digits[k]
            # Each mask is all ones where c lies in the range and zero elsewhere.
            number = (47 - c) & (c - 58)
            upper = (64 - c) & (c - 71)
            lower = (96 - c) & (c - 103)
            number >>= 12
            upper >>= 12
            lower >>= 12
            bad |= ~(number | upper | lower)
            nibble = (number & (c - 48)) | (upper & (c - 55)) | (lower & (c - 87))
            value = value << 4 | nibble & 15
        out[i] = value & 255
    return bad == 0


def hexed(key):
    """64 hex digits as a bytearray, without a table on a secret."""
    out = bytearray(64)
    for i in range(32):
        for k, nibble in ((2 * i, key[i] >> 4), (2 * i + 1, key[i] & 15)):
            out[k] = 48 + nibble + (((9 - nibble) >> 8) & 39)
    return out


def clamp(key):
    """Makes 32 bytes an X25519 scalar, in place (RFC 7748, section 5); wg(8) shows keys so."""
    key[0] &= 248
    key[31] = (key[31] & 127) | 64


def new_private():
    key = port.random_bytes(32)
    clamp(key)
    return key


def public_of(private):
    """The public key (a bytearray) of a private key."""
    out = bytearray(32)
    port.x25519(out, private, _BASE_POINT)
    return out
