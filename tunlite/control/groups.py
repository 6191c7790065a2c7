# SPDX-License-Identifier: MIT
"""Groups of peers: who is a member of which, and which groups choose one of theirs (choice.py)."""

from tunlite.control import liveness

_GROUPS_MAX = 256  # whoever may set names them


class Group:
    """A name and its members, by handle. With a limit one of them is used, and they may have the
    same allowed IPs."""

    rates = (0, 0)  # of each member that has none of its own, in and out; 0: any
    limit = 0
    choose = "random"
    fail_ms = 5000
    probe = None  # address, bytes
    health = False  # it has a HealthCommand
    modes = None  # of each member that has none of its own
    choice = None
    is_new = False  # who is a member, or what is asked of it, has changed

    def __init__(self, name, interface):
        self.name = name
        self.members = {}
        self._interface = interface
        self._serial = 0

    def set(self, what, value):
        """An option of the file: limit, choose, fail_ms, probe or health."""
        if what == "limit":
            self._set_limit(value)
        elif what == "choose":
            self.choose = value
        elif what == "fail_ms":
            self.fail_ms = value
        elif what == "health":
            self.is_new = self.is_new or self.health != value
            self.health = value
        else:
            self._probe_at(value)

    def _probe_at(self, address):
        is_new = self.probe != address
        self.probe = address
        if is_new and self.choice is not None:
            self.choice.probes_elsewhere()

    def _set_limit(self, limit):
        if bool(limit) != bool(self.limit):
            members = list(self.members.values())
            for peer in members:
                self.left(peer)
            self.limit = limit
            for peer in members:
                self.joined(peer)

    def rated(self, place, bits):
        self.rates = (bits, self.rates[1]) if place == 0 else (self.rates[0], bits)
        for peer in self.members.values():
            peer.limit()

    def protected(self, modes):
        if modes != self.modes:
            self.modes = modes
            for peer in self.members.values():
                peer.exchange.owner.modes.changed(peer)

    def joined(self, peer):
        self.members[peer.handle] = peer
        self._serial += 1
        peer.joined(self, liveness.Member(peer, self._serial) if self.limit else None)
        self._share(peer, self if self.limit else None)

    def left(self, peer):
        del self.members[peer.handle]
        member = peer.member
        if self.choice is not None and member is not None:
            self.choice.left(member)
        peer.joined(None, None)
        self._share(peer, None)
        if member is not None and peer.alive:
            # What it did not do while it stood by.
            peer.arm()
            self._interface.exchange.look_soon(peer, self._interface.port.now_ms())

    def follows(self, peer):
        """It is named again: it comes after the others."""
        if peer.member is not None:
            self._serial += 1
            peer.member.comes_at(self._serial)
            self.is_new = True

    def _share(self, peer, with_whom):
        self.is_new = True
        self._interface.usage.join(peer, with_whom)

    def settle(self, now_ms):
        """A change set has ended."""
        if not self.is_new:
            return
        self.is_new = False
        if self.choice is None and self.limit:
            self.choice = self._interface.choice_of(self)
        elif self.choice is not None and not self.limit:
            self.choice.stop()
            self.choice = None
        if self.choice is not None:
            rows = [(peer.member.serial, peer.member) for peer in self.members.values()]
            rows.sort()
            self.choice.changed([row[1] for row in rows], now_ms)

    def ends(self):
        if self.choice is not None:
            self.choice.stop()


class Groups:
    """Of one interface, by name."""

    def __init__(self, interface):
        self._interface = interface
        self._groups = {}

    def names(self):
        return list(self._groups)

    def all(self):
        return list(self._groups.values())

    def named(self, name):
        """The group, made where it is not there yet; None where there are too many."""
        found = self._groups.get(name)
        if found is None and len(self._groups) < _GROUPS_MAX:
            found = self._groups[name] = Group(name, self._interface)
        return found

    def keep(self, names):
        """The others go; their members are in none then."""
        for name in self.names():
            if name not in names:
                group = self._groups.pop(name)
                group.ends()
                for peer in list(group.members.values()):
                    self.leave(peer)

    def drop_empty(self):
        self.keep([name for name in self.names() if self._groups[name].members])

    def join(self, peer, name):
        """name "": it is in none. False: there is no such group."""
        group = self._groups.get(name)
        if group is None and name:
            return False
        if group is peer.group and group is not None:
            group.follows(peer)
        elif group is not peer.group:
            self.leave(peer)
            if group is not None:
                group.joined(peer)
        return True

    def leave(self, peer):
        if peer.group is not None:
            peer.group.left(peer)

    def commit(self):
        now_ms = self._interface.port.now_ms()
        for group in self._groups.values():
            group.settle(now_ms)

    # ---- groups that choose ----

    def choices(self):
        return [group.choice for group in self._groups.values() if group.choice is not None]

    def use(self, peer):
        """Moves the peer's group to it; None: every group's rule chooses again. False: its group
        chooses none."""
        now_ms = self._interface.exchange.now_ms = self._interface.port.now_ms()
        if peer is None:
            for found in self.choices():
                found.hold(None, now_ms)
            return True
        if peer.member is None or peer.group.choice is None:
            return False
        peer.group.choice.hold(peer.member, now_ms)
        return True

    def look_at(self, peer):
        """Something of it changed that its group's choice is to see."""
        if peer.member is not None and peer.group.choice is not None:
            now_ms = self._interface.exchange.now_ms = self._interface.port.now_ms()
            peer.group.choice.run(now_ms)

    def link_down(self):
        for found in self.choices():
            found.stop()

    def link_up(self):
        """What was due while it was down is made up for."""
        now_ms = self._interface.exchange.now_ms = self._interface.port.now_ms()
        for found in self.choices():
            found.run(now_ms)

    def network_changed(self):
        """An address or a default route is new."""
        now_ms = self._interface.exchange.now_ms = self._interface.port.now_ms()
        for found in self.choices():
            found.network_changed(now_ms)
