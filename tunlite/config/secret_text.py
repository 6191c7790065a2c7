# SPDX-License-Identifier: MIT
"""Text that may hold a key: read so that no copy of it stays, and from files that only their owner
may read.
"""

from tunlite import keys
from tunlite.system import port

_S_IFMT = 0o170000
_S_IFREG = 0o100000
_EROFS = 30
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
                keys.wipe(line)
                parts = []
                at = end + 1
        line = _joined(parts)
        if line:
            yield line
            keys.wipe(line)

    def whole(self):
        """All of it in a bytearray of its own."""
        return _joined(self._pieces)

    def wipe(self):
        for piece in self._pieces:
            keys.wipe(piece)
        self._pieces = []


def _joined(parts):
    """A new bytearray, of its size from the start. By a memoryview: a slice of a bytearray takes
    its new bytes by way of a copy that stays (CPython)."""
    out = bytearray(sum([len(part) for part in parts]))
    view = memoryview(out)
    at = 0
    for part in parts:
        view[at : at + len(part)] = part
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
            memoryview(short)[:] = memoryview(piece)[:count]
            keys.wipe(piece)
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


def is_file(mode):
    """Of port.stat(): no pipe, device or folder."""
    return mode & _S_IFMT == _S_IFREG


def file_refusal(path, has_key=True):
    """None where only its owner (and a reading group) can get at the file, else what to do.

    0600 and 0640 and what is stricter will do; pipes and devices are the caller's own. Without a
    key in it others may read it, but not write: it holds commands.
    """
    mode = port.stat(path)[0]
    bad = mode & (0o037 if has_key else 0o022)
    if not is_file(mode) or not bad:
        return None
    who = "everyone" if bad & 0o007 else "its group"
    can = "write" if bad & 0o022 else "read" if bad & 0o004 else "use"
    holds = "a private key" if has_key else "commands that root runs"
    return (
        f"{who} may {can} this file, which holds {holds}; mend it with: chmod 600 {path}"
        " (--allow-readable takes it where its mount is read-only)"
    )


def owner_refusal(path):
    """None for root's file, else what to do: root reads it again and runs what it says then."""
    uid = port.stat(path)[1]
    if not uid:
        return None
    return f"it belongs to user {uid}, and root runs its commands; mend it with: chown root {path}"


def on_read_only_mount(path):
    """Whether nobody can write the file or change its mode there."""
    try:
        port.chmod(path, port.stat(path)[0] & 0o7777)
    except OSError as e:
        return e.errno == _EROFS
    return False
