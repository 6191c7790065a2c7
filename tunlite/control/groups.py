# SPDX-License-Identifier: MIT
"""Groups of peers: who is a member of which."""

_GROUPS_MAX = 256  # whoever may set names them


class Group:
    """A name and its members, by handle."""

    rates = (0, 0)  # of each member that has none of its own, in and out; 0: any

    def __init__(self, name):
        self.name = name
        self.members = {}

    def rated(self, place, bits):
        self.rates = (bits, self.rates[1]) if place == 0 else (self.rates[0], bits)
        for peer in self.members.values():
            peer.limit()

    def joined(self, peer):
        self.members[peer.handle] = peer

    def left(self, peer):
        del self.members[peer.handle]

    def seen(self):
        """What the status has of it."""
        return {"name": self.name, "members": len(self.members)}


class Groups:
    """Of one interface, by name."""

    def __init__(self):
        self._groups = {}

    def names(self):
        return list(self._groups)

    def seen(self):
        return [group.seen() for group in self._groups.values()]

    def named(self, name):
        """The group, made where it is not there yet; None where there are too many."""
        found = self._groups.get(name)
        if found is None and len(self._groups) < _GROUPS_MAX:
            found = self._groups[name] = Group(name)
        return found

    def keep(self, names):
        """The others go; their members are in none then."""
        for name in self.names():
            if name not in names:
                for peer in list(self._groups.pop(name).members.values()):
                    self.leave(peer)

    def drop_empty(self):
        self.keep([name for name in self.names() if self._groups[name].members])

    def join(self, peer, name):
        """name "": it is in none. False: there is no such group."""
        group = self._groups.get(name)
        if group is None and name:
            return False
        if group is not peer.group:
            self.leave(peer)
            if group is not None:
                group.joined(peer)
                peer.joined(group)
        return True

    def leave(self, peer):
        if peer.group is not None:
            peer.group.left(peer)
            peer.joined(None)
