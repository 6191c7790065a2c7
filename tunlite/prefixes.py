# SPDX-License-Identifier: MIT
"""A table from prefixes to anything, for hundreds of thousands of them.

MicroPython hashes bytes to 16 bits: one dict of so many rows reads hundreds of them to find one.
Many small dicts do not. An Order finds what lies in a prefix.
"""

_PARTS = 61
_PIECE = 32  # keys


def key_of(prefix):
    """The key of (family, address, bits): bytes, far smaller than the tuple."""
    family, address, bits = prefix
    return bytes((family, bits)) + bytes(address)


def prefix_of(key):
    """(family, address, bits) of a key."""
    return key[0], key[2:], key[1]


def _number_of(key):
    return int.from_bytes(key, "big") % _PARTS


class Table:
    """As a dict, with what is used of one. Keys are key_of()'s."""

    def __init__(self):
        self._parts = {}

    def _part(self, key):
        number = _number_of(key)
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

    def parts(self):
        """(number, dict): keys whose part has the same number."""
        return self._parts.items()


class Order:
    """The keys of a table, of each part in the order of their addresses: what lies in a prefix
    stands together there. Keys that went are found out when they are met.

    One order of all would be one sort, of 65,000 a long time in which no packet turns.
    """

    def __init__(self, table, let_turn):
        """let_turn() now and then."""
        self._table = table
        self._parts = {}
        for number, part in table.parts():
            rows = []
            for key in part:
                rows.append(_row_of(key))
                if not len(rows) % _PIECE:
                    let_turn()
            rows.sort()
            self._parts[number] = rows
            let_turn()

    def add(self, key):
        number = _number_of(key)
        if number not in self._parts:
            self._parts[number] = []
        rows, row = self._parts[number], _row_of(key)
        at = _place(rows, row)
        if rows[at : at + 1] != [row]:
            rows.insert(at, row)

    def inside(self, key):
        """The table's keys that lie inside the prefix of `key` and are longer."""
        for rows in self._parts.values():
            yield from self._inside(key, rows)

    def _inside(self, key, rows):
        at = _place(rows, _row_of(key))
        while at < len(rows):
            found = _key_of_row(rows[at])
            if not _covers(key, found):
                return
            if self._table.get(found) is None:
                del rows[at]
                continue
            at += 1
            if found[1] > key[1]:
                yield found


def _place(rows, row):
    """Where it is in the rows, or would be."""
    least, most = 0, len(rows)
    while least < most:
        middle = (least + most) // 2
        if rows[middle] < row:
            least = middle + 1
        else:
            most = middle
    return least


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
