# SPDX-License-Identifier: MIT
"""A table from prefixes to anything, for hundreds of thousands of them.

MicroPython hashes bytes to 16 bits: one dict of so many rows reads hundreds of them to find one.
Many small dicts do not. An Order finds what lies in a prefix.
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


class Order:
    """Keys in the order of their addresses: what lies in a prefix stands together. Keys that went
    are found out when they are met."""

    def __init__(self, keys):
        self._rows = sorted([_row_of(key) for key in keys])

    def _at(self, row):
        """Where it is, or would be."""
        least, most = 0, len(self._rows)
        while least < most:
            middle = (least + most) // 2
            if self._rows[middle] < row:
                least = middle + 1
            else:
                most = middle
        return least

    def add(self, key):
        row = _row_of(key)
        at = self._at(row)
        if self._rows[at : at + 1] != [row]:
            self._rows.insert(at, row)

    def inside(self, key, table):
        """Those of the table's keys that lie inside the prefix of `key` and are longer."""
        at = self._at(_row_of(key))
        while at < len(self._rows):
            found = _key_of_row(self._rows[at])
            if not _covers(key, found):
                return
            if table.get(found) is None:
                del self._rows[at]
                continue
            at += 1
            if found[1] > key[1]:
                yield found


def _row_of(key):
    return key[:1] + key[2:] + key[1:2]


def _key_of_row(row):
    return row[:1] + row[-1:] + row[1:-1]


def _covers(key, other):
    bits = key[1]
    whole, rest = bits // 8, 8 - bits % 8
    if key[0] != other[0] or key[2 : 2 + whole] != other[2 : 2 + whole]:
        return False
    return rest == 8 or key[2 + whole] >> rest == other[2 + whole] >> rest
