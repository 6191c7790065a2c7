# SPDX-License-Identifier: MIT
"""Which mode each peer's sessions have, of an interface of layer 2 (protocol.md, "Layer 2"): what
`Encryption` says, and what becomes of a peer that takes another one."""

from tunlite import keys
from tunlite.plane import plane as planes
from tunlite.protocol import layer


class Modes:
    """`owner` is an Interface. Modes are numbers of layer.MODES, terms what layer.heard() gives."""

    def __init__(self, owner):
        self._owner = owner
        self.common = (layer.ON,)  # of whom nothing else is said
        self.heard = layer.heard  # terms of a response
        self.text_of = layer.text_of

    def of(self, peer):
        """What holds for the peer: the first is asked for, all are taken."""
        group = peer.group
        return peer.modes or (group.modes if group is not None else None) or self.common

    def set(self, modes):
        """For all peers that have none of their own; None: as if nothing was said."""
        modes = modes or (layer.ON,)
        if modes != self.common:
            self.common = modes
            for peer in self._owner.each_peer():
                self.changed(peer)

    def changed(self, peer):
        """Other modes hold for it, from the next handshake on."""
        if peer.shakes.refused is not None:
            peer.shakes.asks_for(None)
            peer.shakes.retry_at(self._owner.port.now_ms())
            self._owner.exchange.look_soon(peer, self._owner.port.now_ms())

    # ---- ours ----

    def asked_for(self, peer):
        """In which mode the peer is asked now."""
        modes = self.of(peer)
        return peer.shakes.mode if peer.shakes.mode in modes else modes[0]

    def says(self, mode):
        return layer.says(mode, self._owner.plane.mtu)

    def turned_down(self, peer, mode):
        """It answered that it takes this one. True: it is asked so, at once."""
        mine = peer.shakes
        if mine.mode is None and mode in self.of(peer):
            mine.asks_for(mode)
            return True
        mine.is_refused(mode)
        self._owner.log.info(self._why(peer, mode), "encryption")
        return False

    def _why(self, peer, mode):
        theirs = layer.text_of((mode,))
        ours = layer.text_of(self.of(peer))
        name = peer.description or keys.text(peer.public)
        return (
            f"no session with {name}: its Encryption begins with {theirs}, ours is {ours};"
            " it is asked again in a minute"
        )

    # ---- theirs ----

    def answer(self, peer, said):
        """(terms, the four bytes to answer with); terms None: it is refused. HandshakeError."""
        terms = layer.heard(said)
        modes = self.of(peer)
        if terms[0] in modes:
            return terms, self.says(terms[0])
        return None, self.says(modes[0])

    # ---- sessions ----

    def sends(self, peer, terms):
        """A session with these terms sends from now on."""
        peer.path.takes(terms[1])

    def confirmed(self, peer):
        """The first sealed packet came on the peer's `next`, and counts for what an initiation does
        on layer 3: one of these may be a recording."""
        peer.where.heard()
        if peer.member is not None:
            state = self._owner.plane.state(peer.handle)
            peer.member.shaken(state[planes.RECEIVED_ANY])
        self.sends(peer, peer.sessions.next_terms)
