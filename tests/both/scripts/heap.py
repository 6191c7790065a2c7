# SPDX-License-Identifier: MIT
"""What is kept back of a full heap (micropython/heap.h), and what lies there."""

import sys

from tunlite.system import port

SIZE = 60_000
MIDDLE = 30_000


def fill():
    """Pieces, each with its number in it, until nothing more fits; CPython's heap has no bound."""
    pieces = []
    try:
        while sys.implementation.name == "micropython" or len(pieces) < 40:
            pieces.append(bytearray(SIZE))
            pieces[-1][MIDDLE] = len(pieces) % 251
    except MemoryError:
        pass
    return pieces


pieces = fill()
print("many", len(pieces) > 30)
at = len(pieces) * 7 // 8
kept, number = pieces[at], (at + 1) % 251
for i in range(4):
    pieces[i] = None
print("it is there", kept[MIDDLE] == number)
port.keep_back(True)
kept.extend(b"more")
port.keep_back(False)
print("it grew", len(kept), bytes(kept[-4:]))
print("and is as it was", kept[MIDDLE] == number)
port.keep_back(True)
print("there is room below", len(bytearray(SIZE)))
port.keep_back(False)
pieces = None
print("and everywhere", len(bytearray(SIZE)))
