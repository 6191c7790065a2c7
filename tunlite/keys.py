# SPDX-License-Identifier: MIT
"""Keys: base64 as wg(8) has it, new ones, and who may read the file that holds one.

A secret lives in a bytearray that its owner wipes; its base64 is a bytearray too. Errors never
quote a key.
"""

import binascii

from tunlite.system import port

_BASE_POINT = b"\x09" + bytes(31)
_S_IFMT = 0o170000
_S_IFREG = 0o100000
_EROFS = 30


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


_READ_BYTES = 2048
_MOST_BYTES = 64 << 20  # hundreds of thousands of peers; /dev/zero ends somewhere too


class Text:
    """The bytes of a file in pieces: it never grows, so no other copy stays in memory; wipe it."""

    def __init__(self, pieces):
        self._pieces = pieces

    def lines(self):
        """Its lines as bytearrays without their newline, each wiped when the next is asked for."""
        parts = []
        for piece in self._pieces:
            at = 0
            while True:
                end = piece.find(b"\n", at)
                parts.append(memoryview(piece)[at : end if end >= 0 else len(piece)])
                if end < 0:
                    break
                line = _joined(parts)
                yield line
                wipe(line)
                parts = []
                at = end + 1
        line = _joined(parts)
        if line:
            yield line
            wipe(line)

    def whole(self):
        """All of it in a bytearray of its own."""
        return _joined(self._pieces)

    def wipe(self):
        for piece in self._pieces:
            wipe(piece)
        self._pieces = []


def _joined(parts):
    """A new bytearray, of its size from the start."""
    out = bytearray(sum([len(part) for part in parts]))
    at = 0
    for part in parts:
        out[at : at + len(part)] = part
        at += len(part)
    return out


def read_text(fd):
    """Text of what a descriptor gives until its end. OSError, also when it gives too much."""
    pieces = []
    size = 0
    while True:
        piece = bytearray(_READ_BYTES)
        count = port.read_into(fd, piece)
        if not count:
            return Text(pieces)
        if count < _READ_BYTES:
            short = bytearray(count)
            short[:] = memoryview(piece)[:count]
            wipe(piece)
            piece = short
        pieces.append(piece)
        size += count
        if size > _MOST_BYTES:
            Text(pieces).wipe()
            raise OSError(27, "it is larger than 64 MB")


def read_all(fd):
    """What a descriptor gives until its end, as a bytearray; no other copy stays in memory."""
    text = read_text(fd)
    try:
        return text.whole()
    finally:
        text.wipe()


def clamp(key):
    """Makes 32 random bytes an X25519 scalar, in place (RFC 7748, section 5)."""
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


def file_refusal(path, has_key=True):
    """None where only its owner (and a reading group) can get at the file, else what to do.

    0600 and 0640 and what is stricter will do; pipes and devices are the caller's own. Without a
    key in it others may read it, but not write: it holds commands.
    """
    mode = port.stat(path)[0]
    bad = mode & (0o037 if has_key else 0o022)
    if mode & _S_IFMT != _S_IFREG or not bad:
        return None
    who = "everyone" if bad & 0o007 else "its group"
    can = "write" if bad & 0o022 else "read" if bad & 0o004 else "use"
    holds = "a private key" if has_key else "commands that root runs"
    return (
        f"{who} may {can} this file, which holds {holds}; mend it with: chmod 600 {path}"
        " (--allow-readable takes it where its mount is read-only)"
    )


def on_read_only_mount(path):
    """Whether nobody can write the file or change its mode there."""
    try:
        port.chmod(path, port.stat(path)[0] & 0o7777)
    except OSError as e:
        return e.errno == _EROFS
    return False
