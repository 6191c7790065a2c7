# SPDX-License-Identifier: MIT
"""`python3 trim.py EXECUTABLE`: cuts off what the kernel does not load.

Sections describe a file to linkers and debuggers; a program starts from its segments. On MIPS the
linker keeps 60 KB of `.pdr` that only a debugger reads.
"""

import struct
import sys
from pathlib import Path


def trimmed(image):
    """The ELF executable without its sections: bytes in, bytes out. ValueError when it is none."""
    if image[:4] != b"\x7fELF":
        raise ValueError("not an ELF file")
    order = "<" if image[5] == 1 else ">"
    if image[4] == 2:
        header, segment = order + "16sHHIQQQIHHHHHH", order + "IIQQQQ"
        offset_at, size_at = 2, 5
    else:
        header, segment = order + "16sHHIIIIIHHHHHH", order + "IIIII"
        offset_at, size_at = 1, 4
    fields = list(struct.unpack_from(header, image))
    table, row_size, rows = fields[5], fields[9], fields[10]
    end = table + row_size * rows
    for row in range(rows):
        values = struct.unpack_from(segment, image, table + row * row_size)
        end = max(end, values[offset_at] + values[size_at])
    fields[6] = fields[11] = fields[12] = fields[13] = 0  # where, size, number of sections; names
    start = struct.pack(header, *fields)
    return start + image[len(start) : end]


def main():
    """trim.py EXECUTABLE, in place."""
    path = Path(sys.argv[1])
    path.write_bytes(trimmed(path.read_bytes()))


if __name__ == "__main__":
    main()
