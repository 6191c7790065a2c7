# SPDX-License-Identifier: MIT
"""The sessions with one peer, which has at most four at a time (protocol.md, "Sessions").

Each is its index, C holds the keys: `current` sends, `previous` still receives, `next` waits for
its first packet, `parting` receives what is on its way.
"""

from tunlite.protocol import wire


class Sessions:
    """`exchange` has `plane` and forget_index(index)."""

    parting_ms = 0
    terms = next_terms = None  # of `current` and `next`, on layer 2 (layer.heard)

    def __init__(self, exchange):
        self._exchange = exchange
        self.previous = self.current = self.next = self.parting = None
        self.crossed = False  # both began at once: the other side sends on `previous`
        self.rotated_ms = 0  # when `previous` last sent
        self.zero_ms = 0  # when all keys are wiped; 0: there are none

    def _free(self, index):
        if index is not None:
            self._exchange.plane.index_free(index)
            self._exchange.forget_index(index)

    def add(self, index, initiator, now_ms):
        """A handshake is complete. As initiator the session sends at once, as responder it waits
        for the other side's first packet (paper 6.3: then it surely has the keys)."""
        self.drop_parting(now_ms)
        if self.crossed or now_ms - self.rotated_ms < wire.REKEY_TIMEOUT_MS:
            self._part(self.previous, now_ms)
        else:
            self._free(self.previous)
        self.previous = None
        self.crossed = False
        if not initiator:
            self._free(self.next)
            self.next = index
            return
        if self.next is not None:
            # We answered them meanwhile: they may send on it, so it still receives.
            self.previous = self.next
            self.next = None
            self.crossed = True
            self._part(self.current, now_ms)
        else:
            self.previous = self.current
            self.rotated_ms = now_ms
        self.current = index

    def agreed(self, terms, initiator):
        """On layer 2, of the session that was added."""
        if initiator:
            self.terms = terms
        else:
            self.next_terms = terms

    def _part(self, index, now_ms):
        """The other side may have sent on it until just now. One is enough: when both sides began
        at once, the first that parts is the one that they sent on."""
        if self.parting is None and index is not None:
            self.parting = index
            self.parting_ms = now_ms
        else:
            self._free(index)

    def drop_parting(self, now_ms):
        """What was on its way has arrived by now."""
        if self.parting is not None and now_ms - self.parting_ms >= wire.REKEY_TIMEOUT_MS:
            self._free(self.parting)
            self.parting = None

    def confirm(self):
        """The first packet came on `next`: it sends from now on. False where none waits."""
        if self.next is None:
            return False
        self._free(self.previous)
        self.previous = self.current
        self.current = self.next
        self.next = None
        if self.next_terms is not None:
            self.terms = self.next_terms
        self._exchange.plane.session_use(self.current)
        return True

    def receives_until(self):
        """When the newest is too old."""
        return self.zero_ms - wire.ZERO_MS + wire.REJECT_AFTER_MS

    def end_at(self, when_ms):
        """Keys, also those of a handshake, are wiped then where no new ones come."""
        self.zero_ms = when_ms

    def drop(self):
        """All keys are wiped."""
        for index in (self.previous, self.current, self.next, self.parting):
            self._free(index)
        self.previous = self.current = self.next = self.parting = None
        self.crossed = False
        self.zero_ms = 0
