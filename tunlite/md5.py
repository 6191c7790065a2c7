# SPDX-License-Identifier: MIT
"""MD5 (RFC 1321), which routers' Python has not: others make addresses of keys with it. It protects
nothing."""

import struct

_SHIFTS = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
_BEGIN = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_PLACES = ((1, 0), (5, 1), (3, 5), (7, 0))  # of round: word = (first * step + second) % 16
_MASK = 0xFFFFFFFF


def _constants():
    """floor(2^32 * abs(sin(i))) of i from 1 to 64, by integers: single floats know 24 bits."""
    one = 1 << 64
    sine, cosine = 0, one
    # sin and cos of 1, as fractions of 2^64
    sin1, cos1 = 0xD76AA47848677020, 0x8A51407DA8345C91
    for _ in range(64):
        sine, cosine = (sine * cos1 + cosine * sin1) >> 64, (cosine * cos1 - sine * sin1) >> 64
        yield abs(sine) >> 32


def _mixed(kind, b, c, d):
    if kind == 0:
        return b & c | ~b & d
    if kind == 1:
        return b & d | c & ~d
    if kind == 2:
        return b ^ c ^ d
    return c ^ (b | ~d & _MASK)


def _block(state, block, table):
    words = struct.unpack("<16I", block)
    a, b, c, d = state
    for step in range(64):
        kind = step >> 4
        first, second = _PLACES[kind]
        word = words[(first * step + second) & 15]
        a = (a + _mixed(kind, b, c, d) + table[step] + word) & _MASK
        shift = _SHIFTS[kind][step & 3]
        a, b, c, d = d, (b + (a << shift | a >> 32 - shift)) & _MASK, b, c
    mixed = (a, b, c, d)
    return [(state[i] + mixed[i]) & _MASK for i in range(4)]


def md5(data):
    """16 bytes."""
    table = list(_constants())
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack("<Q", 8 * len(data))
    state = _BEGIN
    for at in range(0, len(padded), 64):
        state = _block(state, padded[at : at + 64], table)
    return struct.pack("<4I", *state)
