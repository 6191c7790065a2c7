# SPDX-License-Identifier: MIT
"""`python3 relr.py EXECUTABLE`: packs the relocations of a position-independent executable.

Each pointer in a table takes 24 bytes of `.rela.dyn`, half a byte as SHT_RELR has it (the generic
ABI's gabi, "Relative relocation table"; musl 1.2.4). The linker that comes with zig can write that,
but zig's driver does not hand the option on. Other executables stay as they are.
"""

import struct
import sys
from pathlib import Path

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_RELA, _DT_RELASZ, _DT_RELAENT, _DT_RELACOUNT = 7, 8, 9, 0x6FFFFFF9
_DT_RELRSZ, _DT_RELR, _DT_RELRENT = 35, 36, 37
_DT_DEBUG = 21  # means nothing to a static program
_RELATIVE = {62: 8, 183: 1027}  # e_machine: R_X86_64_RELATIVE, R_AARCH64_RELATIVE
_WORD = 8
_BITS = 63  # words that a bitmap covers


def encoded(places):
    """Ascending addresses, multiples of 8, as words of a RELR table."""
    words, at = [], 0
    while at < len(places):
        words.append(places[at])
        begin = places[at] + _WORD
        at += 1
        while True:
            bitmap = 0
            while at < len(places) and places[at] < begin + _BITS * _WORD:
                bitmap |= 2 << (places[at] - begin) // _WORD
                at += 1
            if not bitmap:
                break
            words.append(bitmap | 1)
            begin += _BITS * _WORD
    return words


class _Image:
    """A 64-bit little-endian ELF file; `segments` are rows of its program header."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.machine = struct.unpack_from("<H", data, 18)[0]
        (table,) = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        rows = [struct.unpack_from("<IIQQQQQQ", data, table + size * i) for i in range(count)]
        self.loads = [row for row in rows if row[0] == _PT_LOAD]
        self.dynamic = next((row[2] for row in rows if row[0] == _PT_DYNAMIC), None)

    def offset(self, address):
        """Where in the file an address is loaded from; ValueError where from nowhere."""
        for _, _, offset, start, _, size, _, _ in self.loads:
            if start <= address < start + size:
                return offset + address - start
        raise ValueError(f"{address:#x} is not in the file")

    def tags(self):
        """{tag: (offset of its row, value)}"""
        found, at = {}, self.dynamic
        while True:
            tag, value = struct.unpack_from("<QQ", self.data, at)
            if not tag:
                return found
            found[tag] = (at, value)
            at += 16


def packed(data):
    """The executable with a RELR table in place of its RELA table: bytes in, bytes out."""
    image = _Image(data) if data[:6] == b"\x7fELF\x02\x01" else None
    if image is None or image.dynamic is None or _DT_RELA not in image.tags():
        return bytes(data)
    tags = image.tags()
    at, size = image.offset(tags[_DT_RELA][1]), tags[_DT_RELASZ][1]
    rows = sorted(struct.iter_unpack("<QQq", bytes(image.data[at : at + size])))
    for place, kind, value in rows:
        if kind != _RELATIVE[image.machine] or place % _WORD:
            raise ValueError(f"a relocation of another kind at {place:#x}")
        struct.pack_into("<q", image.data, image.offset(place), value)
    words = encoded([row[0] for row in rows])
    image.data[at : at + size] = struct.pack(f"<{len(words)}Q", *words).ljust(size, b"\0")
    for old, new, value in (
        (_DT_RELA, _DT_RELR, tags[_DT_RELA][1]),
        (_DT_RELASZ, _DT_RELRSZ, _WORD * len(words)),
        (_DT_RELAENT, _DT_RELRENT, _WORD),
        (_DT_RELACOUNT, _DT_DEBUG, 0),
    ):
        if old in tags:
            struct.pack_into("<QQ", image.data, tags[old][0], new, value)
    return bytes(image.data)


def main(arguments):
    """relr.py EXECUTABLE, in place."""
    path = Path(arguments[0])
    path.write_bytes(packed(path.read_bytes()))


if __name__ == "__main__":
    main(sys.argv[1:])
