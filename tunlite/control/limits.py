# SPDX-License-Identifier: MIT
"""PeerLimit: how many peers may be established at once, of the interface and of each group."""

_TOLD_MS = 60_000


def _home(peer):
    """The name of its group, None for none."""
    return peer.group.name if peer.group else None


class Limits:
    """Of one interface, `owner`, once it or a group of it has a limit. A listener of
    established.py."""

    OVER = "over PeerLimit"  # why a handshake is refused

    def __init__(self, owner):
        self._owner = owner
        self._most = {}  # name of a group, None for all: a number
        self._count = {}  # likewise: how many are established now
        self._homes = {}  # handle of who is established -> name of the group it counts for
        self._told = {}  # likewise: when it was told, and how many were refused since
        for peer in list(owner.peers.values()):
            if peer.established.began_ms:
                self.established(peer)
        owner.listeners.append(self)

    def set(self, name, most):
        """name: None for all; most 0: no limit."""
        self._most[name] = most

    def keep(self, names):
        """Other groups are gone."""
        for name in list(self._most):
            if name and name not in names:
                del self._most[name]
                self._told.pop(name, None)

    def most(self, name):
        return self._most.get(name, 0)

    # ---- who is there ----

    def _counts(self, name, more):
        self._count[name] = self._count.get(name, 0) + more

    def established(self, peer):
        name = _home(peer)
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

    def _full(self, name):
        """The limits that leave no room for another member of this group, None: of none."""
        found = []
        for each in (None, name):
            most = self._most.get(each, 0)
            if most and self._count.get(each, 0) >= most:
                found.append(each)
        return found

    def has_room(self, peer):
        """Whether it is established, or may be."""
        if peer.established.began_ms:
            return True
        return not self._full(_home(peer))

    def refuses(self, peer):
        """Whether it would be one too many, and then that is told."""
        return not peer.established.began_ms and self.refuses_another(_home(peer))

    def refuses_another(self, name=None):
        """The same of a stranger, who would be in the group of this name."""
        full = self._full(name)
        if full:
            self._tell(full[0])
        return bool(full)

    def _tell(self, name):
        """This limit has refused somebody."""
        now_ms = self._owner.port.now_ms()
        told_ms, refused = self._told.get(name, (None, 0))
        refused += 1
        if told_ms is None or now_ms - told_ms >= _TOLD_MS:
            whose, whoses = "peers", ""
            if name is not None:
                whose, whoses = "members of group " + name, "its "
            self._owner.log.info(
                f"{self._count[name]} {whose} are established: {whoses}PeerLimit refused handshakes"
                f" of others ({refused})"
            )
            told_ms, refused = now_ms, 0
        self._told[name] = (told_ms, refused)
