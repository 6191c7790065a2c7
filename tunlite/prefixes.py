# SPDX-License-Identifier: MIT
"""A table from prefixes to anything, for hundreds of thousands of them.

MicroPython hashes bytes to 16 bits: one dict of so many rows reads hundreds of them to find one.
Many small dicts do not.
"""

_PARTS = 61


def key_of(prefix):
    """The key of (family, address, bits): bytes, far smaller than the tuple."""
    family, address, bits = prefix
    return bytes((family, bits)) + bytes(address)


def prefix_of(key):
    """(family, address, bits) of a key."""
    return key[0], key[2:], key[1]


class Table:
    """As a dict, with what is used of one. Keys are key_of()'s."""

    def __init__(self):
        self._parts = {}

    def _part(self, key):
        number = int.from_bytes(key, "big") % _PARTS
        if number not in self._parts:
            self._parts[number] = {}
        return self._parts[number]

    def get(self, key, other=None):
        return self._part(key).get(key, other)

    def __setitem__(self, key, value):
        self._part(key)[key] = value

    def __delitem__(self, key):
        del self._part(key)[key]

    def __len__(self):
        return sum([len(part) for part in self._parts.values()])

    def items(self):
        for part in self._parts.values():
            yield from part.items()
