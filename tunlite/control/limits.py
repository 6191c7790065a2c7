# SPDX-License-Identifier: MIT
"""PeerLimit: how many peers may be established at once, of the interface and of each group."""

from tunlite.protocol import noise

_TOLD_MS = 60_000


class Limits:
    """Of one interface, `owner`, once it or a group of it has a limit. A listener of
    established.py."""

    def __init__(self, owner):
        self._owner = owner
        self._most = {}  # name of a group, None for all: a number
        self._count = {}  # likewise: how many are established now
        self._homes = {}  # handle of who is established -> name of the group it counts for
        self._refused = 0  # since it was told
        self._told_ms = None
        for peer in list(owner.peers.values()):
            if peer.established.began_ms:
                self.established(peer)
        owner.listeners.append(self)

    def set(self, name, most):
        """name: None for all; most 0: no limit."""
        self._most[name] = most

    def keep(self, names):
        """Other groups are gone."""
        self._most = {name: most for name, most in self._most.items() if not name or name in names}

    def most(self, name):
        return self._most.get(name, 0)

    # ---- who is there ----

    def _counts(self, name, more):
        self._count[name] = self._count.get(name, 0) + more

    def established(self, peer):
        name = peer.group.name if peer.group else None
        self._homes[peer.handle] = name
        self._counts(None, 1)
        if name is not None:
            self._counts(name, 1)

    def left(self, peer, _reason):
        if peer.handle in self._homes:
            name = self._homes.pop(peer.handle)
            self._counts(None, -1)
            if name is not None:
                self._counts(name, -1)

    def moved(self, peer):
        """It is in another group, or in none."""
        if peer.handle in self._homes:
            self.left(peer, "")
            self.established(peer)

    # ---- who may come ----

    def _is_full(self, name):
        most = self._most.get(name, 0)
        return most and self._count.get(name, 0) >= most

    def has_room(self, peer):
        """Whether it is established, or may be."""
        if peer.established.began_ms:
            return True
        return not self._is_full(None) and not (peer.group and self._is_full(peer.group.name))

    def check(self, peer):
        """HandshakeError: another one would be too many. peer: None for a stranger."""
        if self._is_full(None) if peer is None else not self.has_room(peer):
            self.tell()
            raise noise.HandshakeError("over PeerLimit")

    def tell(self):
        """Somebody was refused."""
        owner = self._owner
        now_ms = owner.port.now_ms()
        self._refused += 1
        if self._told_ms is None or now_ms - self._told_ms >= _TOLD_MS:
            owner.log.info(
                f"{self._count.get(None, 0)} peers are established: PeerLimit refused handshakes of"
                f" others ({self._refused})"
            )
            self._told_ms = now_ms
            self._refused = 0
