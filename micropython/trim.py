# SPDX-License-Identifier: MIT
"""`python3 trim.py EXECUTABLE`: cuts off what the kernel does not load, and empties unwind tables.

Sections describe a file to linkers and debuggers; a program starts from its segments. On MIPS the
linker keeps 60 KB of `.pdr` that only a debugger reads. `.eh_frame`, on ARM `.ARM.exidx`, which
come with libc, are for C++ exceptions and debuggers: zeros there are nothing in a compressed image.
"""

import struct
import sys
from pathlib import Path

_UNWIND = (b".eh_frame", b".eh_frame_hdr", b".ARM.exidx", b".ARM.extab")


class _Elf:
    """Header and tables of an ELF file; ValueError when it is none."""

    def __init__(self, image):
        if image[:4] != b"\x7fELF":
            raise ValueError("not an ELF file")
        order = "<" if image[5] == 1 else ">"
        is_64 = image[4] == 2
        self.header = order + ("16sHHIQQQIHHHHHH" if is_64 else "16sHHIIIIIHHHHHH")
        self.segment = order + ("IIQQQQ" if is_64 else "IIIII")
        self.section = order + ("IIQQQQIIQQ" if is_64 else "IIIIIIIIII")
        self.fields = list(struct.unpack_from(self.header, image))
        self.image = image
        self.is_64 = is_64

    def loaded_end(self):
        """Offset behind the last byte that a segment, or their table, needs."""
        table, row_size, rows = self.fields[5], self.fields[9], self.fields[10]
        offset_at, size_at = (2, 5) if self.is_64 else (1, 4)
        end = table + row_size * rows
        for row in range(rows):
            values = struct.unpack_from(self.segment, self.image, table + row * row_size)
            end = max(end, values[offset_at] + values[size_at])
        return end

    def sections(self):
        """(name, offset, size) of each section."""
        table, row_size, rows, names = self.fields[6], *self.fields[11:14]
        found = [
            struct.unpack_from(self.section, self.image, table + row * row_size)
            for row in range(rows)
        ]
        for row in found:
            start = found[names][4] + row[0]
            yield self.image[start : self.image.index(b"\0", start)], row[4], row[5]


def trimmed(image):
    """The ELF executable without its sections: bytes in, bytes out."""
    elf = _Elf(image)
    out = bytearray(image)
    for name, offset, size in elf.sections():
        if name in _UNWIND:
            out[offset : offset + size] = bytes(size)
    fields = elf.fields
    fields[6] = fields[11] = fields[12] = fields[13] = 0  # where, size, number of sections; names
    start = struct.pack(elf.header, *fields)
    return start + bytes(out[len(start) : elf.loaded_end()])


def main(arguments):
    """trim.py EXECUTABLE, in place."""
    path = Path(arguments[0])
    path.write_bytes(trimmed(path.read_bytes()))


if __name__ == "__main__":
    main(sys.argv[1:])
