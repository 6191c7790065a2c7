# SPDX-License-Identifier: MIT
"""An interface of layer 2: which peers frames go to, which addresses stay where they are, how long
datagrams may be (protocol.md, "Layer 2"; control.md, "Layer 2").

On layer 3 plane/allowed_ips.py stands in its place for who is in use, and the rest is not there.
"""

from tunlite import addresses, keys
from tunlite.control import frame_pings, path
from tunlite.plane import plane as planes
from tunlite.protocol import layer


class Bridge:
    """`owner` is an Interface."""

    def __init__(self, owner):
        self._owner = owner
        self.own = None  # the device's address, 6 bytes
        self.path_mtu = 0  # of all ways; 0: measured
        self._pins = {}  # address -> peer
        self._pins_changed = False
        self._changed = {}  # handle -> peer that stands by, or is in use, since a moment
        self._leaving = set()  # handles of those that get a bye

    def meets(self, peer):
        """A new peer."""
        peer.goes_by(path.Path(peer, self._owner.exchange, self.path_mtu))

    def left(self, peer):
        """It is removed."""
        self.pin(peer, ())
        self._changed.pop(peer.handle, None)

    def fix_path(self, size):
        """Bytes of an outer packet on every way; 0: they are measured."""
        if size != self.path_mtu:
            self.path_mtu = size
            for peer in self._owner.each_peer():
                peer.path.fix(size)

    def takes_others(self, now_ms):
        """Frames of the device may be longer than before, or shorter: handshakes tell it."""
        exchange = self._owner.exchange
        exchange.now_ms = now_ms
        for peer in self._owner.each_peer():
            if peer.sessions.current is not None:
                exchange.want(peer, True)

    # ---- who is in use ----

    def pings(self):
        """Of a group: how its members are asked."""
        return frame_pings.FramePings(self._owner.port)

    def join(self, peer, sharing):
        """sharing: the group whose limit decides whether it is in use, or None."""
        self.stand_by(peer, sharing is not None)

    def stand_by(self, peer, standby, leaves=False):
        """`leaves`: it was in use and is there: what is under way between us still counts, and it
        is told. What is behind one that is not there is looked for elsewhere at once."""
        if peer.standby == standby:
            return
        peer.stands_by(standby)
        self._changed[peer.handle] = peer
        if standby and leaves:
            self._leaving.add(peer.handle)

    def says_bye(self, peer):
        """Its sessions are about to end."""
        if self._owner.listening and not peer.standby:
            self._owner.plane.keepalive(peer.handle, layer.BYE)

    def publish(self, plane, let_turn):
        """Tells the packet path what changed: who is in use before who is not any more."""
        changed, self._changed = list(self._changed.values()), {}
        leaving, self._leaving = self._leaving, set()
        for standby in (False, True):
            for peer in changed:
                if peer.standby == standby:
                    self._tell(plane, peer, peer.handle in leaving)
                    let_turn()
        if self._pins_changed:
            self._publish_pins(plane)

    def swap(self, _peers, plane, let_turn):
        """As publish(): what a set has half sent is no matter here."""
        self.publish(plane, let_turn)

    def _tell(self, plane, peer, leaves):
        if not peer.standby:
            plane.peer_use(peer.handle, planes.IN_USE)
        elif not leaves:
            plane.peer_use(peer.handle, planes.STANDBY)
        else:
            plane.peer_use(peer.handle, planes.LEFT)
            plane.keepalive(peer.handle, layer.BYE)

    # ---- addresses ----

    def owner_of(self, address):
        """The peer that it is pinned to, or None."""
        return self._pins.get(address)

    def pin(self, peer, macs):
        """These addresses (bytes) are behind the peer, whoever had them before, and no others."""
        macs = tuple(macs)
        if macs == peer.macs:
            return
        for address in peer.macs:
            del self._pins[address]
        peer.pinned(macs)
        for address in macs:
            before = self._pins.get(address)
            if before is not None:
                before.pinned(tuple([mac for mac in before.macs if mac != address]))
            self._pins[address] = peer
        self._pins_changed = True

    def is_at(self, address):
        """The device has this address (bytes, or None where nobody tells it)."""
        if address and address != self.own:
            self.own = address
            self._publish_pins(self._owner.plane)

    def _publish_pins(self, plane):
        rows = [(self.own, planes.OURS)] if self.own else []
        for address, peer in self._pins.items():
            if address != self.own:
                rows.append((address, peer.handle))
            else:
                self._tell_of_own(peer)
        plane.macs(rows)
        self._pins_changed = False

    def _tell_of_own(self, peer):
        log = self._owner.log
        text = log.outer(addresses.format_mac(self.own))
        name = peer.description or keys.text(peer.public)
        log.error(f"MACs of {name} has our own address {text}, which stays ours", "macs")
