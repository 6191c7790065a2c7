# SPDX-License-Identifier: MIT
"""Allowed IPs: which peer has which prefix; what peer.allowed lists, and the packet path's rows."""

import struct

from tunlite import prefixes

_ROW = "<BBHI16s"
_ROW_SIZE = 24
_ROWS_SIZE = 8 * _ROW_SIZE  # 8 are 1 ms on a slow router


class AllowedIPs:
    """Each prefix belongs to its newest owner. A peer's `allowed` lists keys of prefixes.py."""

    def __init__(self):
        self.changed = False  # since they were published
        self._owners = prefixes.Table()
        self._losers = {}  # handle -> peer whose list names prefixes that are its no more

    def add(self, peer, prefix):
        """prefix: (family, address with its host bits zero, bits)."""
        key = prefixes.key_of(prefix)
        before = self._owners.get(key)
        if before is peer:
            return
        if peer.handle in self._losers:
            self.settle()  # the key may be in its list from before
        if before is not None:
            self._losers[before.handle] = before
        peer.allowed.append(key)
        self._owners[key] = peer
        self.changed = True

    def remove(self, peer, prefix):
        key = prefixes.key_of(prefix)
        if self._owners.get(key) is peer:
            self._losers[peer.handle] = peer
            del self._owners[key]
            self.changed = True

    def clear(self, peer):
        """The peer has none any more."""
        for key in peer.allowed:
            if self._owners.get(key) is peer:
                del self._owners[key]
                self.changed = True
        peer.allows([])

    def settle(self):
        """Lists name what is theirs again: once for many changes, since it reads them whole."""
        for peer in self._losers.values():
            peer.allows([key for key in peer.allowed if self._owners.get(key) is peer])
        self._losers = {}

    def publish(self, plane, let_turn):
        """Tells the packet path, if something changed; let_turn() now and then, for many rows."""
        self.settle()
        if not self.changed:
            return
        rows = bytearray(_ROW_SIZE * len(self._owners))
        at = 0
        for key, peer in self._owners.items():
            struct.pack_into(_ROW, rows, at, key[0], key[1], 0, peer.handle, key[2:])
            at += _ROW_SIZE
            if not at % _ROWS_SIZE:
                let_turn()
        plane.routes(rows)
        self.changed = False
