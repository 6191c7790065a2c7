# SPDX-License-Identifier: MIT
"""What crosses the border is checked: sizes, None, read-only buffers, ints that C has not."""

from tunlite.system import port

native = port.native


def attempt(label, function, *arguments):
    try:
        print(label, function(*arguments))
    except (ValueError, TypeError, OverflowError) as e:
        # Which of the three it is may differ: MicroPython has no BufferError.
        print(label, "refused", isinstance(e, OverflowError))


attempt("fits", native.tl_wipe, bytearray(4), 4)
attempt("shorter than its length", native.tl_wipe, bytearray(4), 5)
attempt("longer than its length", native.tl_wipe, bytearray(5), 4)
attempt("negative length", native.tl_wipe, bytearray(4), -1)
attempt("None with a length", native.tl_wipe, None, 1)
attempt("None without", native.tl_blake2s, bytearray(32), 32, None, 0, None, 0)
attempt("fixed length", native.tl_clock, 0, bytearray(7))
attempt("fixed length", native.tl_clock, 0, bytearray(9))
attempt("a str for bytes", native.tl_plane_new, 5, 1)
attempt("too few", native.tl_wipe, bytearray(4))
attempt("too many", native.tl_wipe, bytearray(4), 4, 4)
attempt("more than an int", native.tl_clock, 1 << 40, bytearray(8))
attempt("no such plane", native.tl_plane_free, 12345)
attempt("no plane, None for keys", native.tl_plane_identity, 12345, None, None)

out = bytearray(4096)
for kind in range(4, 8):
    n = native.tl_seen(-1, kind, out, len(out))
    print(kind, n > 0, len(bytes(out[:n]).split(b"\n")) > 1)
