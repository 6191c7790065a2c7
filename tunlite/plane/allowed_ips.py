# SPDX-License-Identifier: MIT
"""Allowed IPs: which peer has which prefix; what peer.allowed lists, and the packet path's rows."""

import struct

from tunlite import addresses, prefixes

_ROW = "<BBHI16s"
_ROW_SIZE = 24
_FLAGS_AT = 2
_HANDLE_AT = 4
_ROWS_SIZE = 8 * _ROW_SIZE  # 8 are 1 ms on a slow router
_STANDBY = 1  # a row's flag


class AllowedIPs:
    """Each prefix belongs to its newest owner, or to several peers with the same `sharing`. Lists
    `allowed` of peers have keys of prefixes.py."""

    _told = b""  # the rows as they were published, where some peers share prefixes

    def __init__(self):
        self.changed = False  # since they were published
        self._is_half = False  # prefixes have, not only who stands by
        self._owners = prefixes.Table()  # a peer, or a tuple of those that share the prefix
        self._rows = 0
        self._order = None  # of all prefixes, once it was asked for
        self._losers = {}  # handle -> peer whose list names prefixes that are its no more
        self._changed = {}  # handle -> peer with an origin

    def _of(self, key):
        owner = self._owners.get(key, ())
        return owner if isinstance(owner, tuple) else (owner,)

    def _own(self, key, peers):
        """peers: tuple of all that have it from now on."""
        before = self._of(key)
        self._rows += len(peers) - len(before)
        for peer in before + peers:
            if peer.origin:
                self._changed[peer.handle] = peer
        if self._order is not None and not before:
            self._order.add(key)
        if peers:
            self._owners[key] = peers if len(peers) > 1 else peers[0]
        else:
            del self._owners[key]
        self.changed = self._is_half = True

    def add(self, peer, prefix):
        """prefix: (family, address with its host bits zero, bits)."""
        key = prefixes.key_of(prefix)
        before = self._of(key)
        if peer in before:
            return
        if peer.handle in self._losers:
            self.settle()  # the key may be in its list from before
        if before and (peer.sharing is None or before[0].sharing is not peer.sharing):
            for loser in before:
                self._losers[loser.handle] = loser
            before = ()
        peer.allowed.append(key)
        self._own(key, before + (peer,))

    def remove(self, peer, prefix):
        key = prefixes.key_of(prefix)
        if peer in self._of(key):
            self._losers[peer.handle] = peer
            self._leave(peer, key)

    def _leave(self, peer, key):
        self._own(key, tuple([other for other in self._of(key) if other is not peer]))

    def clear(self, peer):
        """The peer has none any more."""
        for key in peer.allowed:
            if peer in self._of(key):
                self._leave(peer, key)
        peer.allows([])

    def overlapping(self, prefix, let_turn):
        """(key, peer) of each prefix that equals, contains or lies in this one; let_turn() now
        and then, for many."""
        family, address, bits = prefix
        for shorter in range(bits + 1):
            key = prefixes.key_of(addresses.network((family, address, shorter)))
            for peer in self._of(key):
                yield key, peer
        if bits == 8 * len(address):
            return
        if self._order is None:
            self._order = prefixes.Order(self._owners, let_turn)
        for key in self._order.inside(prefixes.key_of(prefix)):
            for peer in self._of(key):
                yield key, peer

    def share(self, peer, sharing):
        """From now on the peer may have the same prefixes as those with the same `sharing`; None:
        as nobody. What it shared until now stays with the others."""
        if peer.sharing is sharing:
            return
        self.settle()
        keys = peer.allowed
        self.clear(peer)
        peer.shares(sharing)
        for key in keys:
            if not self._of(key):
                self.add(peer, prefixes.prefix_of(key))

    def join(self, peer, sharing):
        """share(), with those of which some stand by."""
        self.share(peer, sharing)
        self.stand_by(peer, sharing is not None)

    def stand_by(self, peer, standby, _leaves=False):
        """standby: nothing goes to the peer, which may send as ever. Of those that share a prefix
        one that does not stand by gets what goes there."""
        if peer.standby != standby:
            peer.stands_by(standby)
            self.changed = True

    def settle(self):
        """Lists name what is theirs again: once for many changes, since it reads them whole."""
        for peer in self._losers.values():
            peer.allows([key for key in peer.allowed if peer in self._of(key)])
        self._losers = {}

    def take_changed(self):
        """The peers of an origin of their own whose prefixes changed since the last call."""
        found, self._changed = self._changed.values(), {}
        return found

    def publish(self, plane, let_turn):
        """Tells the packet path, if something changed; let_turn() now and then, for many rows."""
        self.settle()
        if not self.changed:
            return
        rows = bytearray(_ROW_SIZE * self._rows)
        at = 0
        is_shared = False
        for key, owner in self._owners.items():
            goes = False
            for peer in owner if isinstance(owner, tuple) else (owner,):
                is_shared = is_shared or peer.sharing is not None
                flags = _STANDBY if goes or peer.standby else 0
                goes = goes or not flags
                struct.pack_into(_ROW, rows, at, key[0], key[1], flags, peer.handle, key[2:])
                at += _ROW_SIZE
                if not at % _ROWS_SIZE:
                    let_turn()
        plane.routes(rows)
        self._told = rows if is_shared else b""
        self.changed = self._is_half = False

    def swap(self, peers, plane, let_turn):
        """Another one of these peers, that share prefixes, stands by no more. What else has changed
        is a set that is half sent: its end tells of that."""
        if not self._is_half:
            self.publish(plane, let_turn)
        elif self._told:
            by_handle = {peer.handle: peer for peer in peers}
            for at in range(0, len(self._told), _ROW_SIZE):
                peer = by_handle.get(struct.unpack_from("<I", self._told, at + _HANDLE_AT)[0])
                if peer is not None:
                    struct.pack_into(
                        "<H", self._told, at + _FLAGS_AT, _STANDBY if peer.standby else 0
                    )
                if not at % _ROWS_SIZE:
                    let_turn()
            plane.routes(self._told)
