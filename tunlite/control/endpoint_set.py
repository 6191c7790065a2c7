# SPDX-License-Identifier: MIT
"""The endpoints of one peer that has several, and when each is asked (protocol.md, "Endpoints").

All of them are asked in a round, one every 250 ms until one answers: the one that worked last
first, then the families in turn. A peer with one endpoint has no set.
"""

from tunlite.protocol import cookie, wire

APART_MS = 250


class Place:
    """One endpoint. `record`: the first 24 bytes of its record."""

    asked = True  # in this round
    sent_ms = 0  # the last initiation, 0: none
    barred = False  # it routes into our own device
    doubted = False  # likewise, while no mark is set

    def __init__(self, record):
        self.record = record
        self.cookies = cookie.Jar()

    def begins(self):
        """A round that is to ask it."""
        self.asked = False

    def was_asked(self, sent_ms):
        self.asked = True
        self.sent_ms = sent_ms

    def forget_sent(self):
        self.sent_ms = 0

    def free_ms(self):
        """When it may be asked again."""
        return self.sent_ms + wire.REKEY_TIMEOUT_MS if self.sent_ms else 0

    def judged(self, loops, sure):
        """`sure`: that is not said for want of a mark. True: it is to be looked at once more."""
        again = loops and not sure and not self.doubted
        self.doubted = loops
        self.barred = loops and not again
        return again


class EndpointSet:
    """`rows`: its Places, as they are configured and resolved."""

    elsewhere = None  # a Place that the peer moved to itself
    asking = False  # a round is under way
    counted = False  # an initiation of it left
    held = True  # each is left in peace for 5 s after an initiation
    last_ms = 0  # when the last one left
    last_family = 0

    def __init__(self, records, before, native):
        """`before`: the EndpointSet until now, or () for none; what is known of a place stays, and
        a round under way goes on with those that are new."""
        known = {}
        if before:
            known = {place.record: place for place in before.rows}
            self.asking, self.counted, self.held = before.asking, before.counted, before.held
            self.last_ms, self.last_family = before.last_ms, before.last_family
        self.rows = []
        for record in records:
            place = known.pop(record, None)
            if place is None:
                place = Place(record)
                if self.asking:
                    place.begins()
            self.rows.append(place)
        for place in known.values():
            place.cookies.forget(native)

    def forget(self, native):
        """Cookies are wiped."""
        for place in self._all():
            place.cookies.forget(native)

    def _all(self):
        return self.rows + [self.elsewhere] if self.elsewhere else self.rows

    def has(self, record):
        """Is it one of `rows`?"""
        return record[:24] in [place.record for place in self.rows]

    def place_of(self, record):
        """The Place with the first 24 bytes of this record, also elsewhere; or None."""
        for place in self._all():
            if place.record == record[:24]:
                return place
        return None

    def usable(self):
        """The first that is not barred, or None."""
        for place in self.rows:
            if not place.barred:
                return place
        return None

    # ---- rounds ----

    def begin(self, current, held):
        """A round of all. current: the record of where the peer was heard last, also if that is
        none of ours. Not `held`: one that only measures."""
        self.asking = True
        self.held = held
        self.counted = False
        self.last_ms = self.last_family = 0
        self.elsewhere = None
        if current[0] and self.place_of(current) is None:
            self.elsewhere = Place(bytes(current[:24]))
        for place in self._all():
            place.begins()

    def end(self):
        self.asking = False

    def stopped(self):
        """Nothing that was sent counts."""
        self.asking = False
        for place in self._all():
            place.forget_sent()

    def first_ms(self):
        """When a round may begin."""
        return min([place.free_ms() for place in self.rows])

    def _order(self, current):
        """What a round has yet to ask."""
        first, other, same = [], [], []
        for place in self._all():
            if not (place.asked or place.barred):
                if place.record == current[:24]:
                    first.append(place)
                elif place.record[0] == self.last_family:
                    same.append(place)
                else:
                    other.append(place)
        return first + other + same

    def next(self, current, now_ms):
        """(the Place to be asked now or None, when the next one is; 0: the round is over)"""
        when_ms = 0
        if self.asking:
            begin_ms = self.last_ms + APART_MS if self.last_ms else now_ms
            for place in self._order(current):
                at_ms = max(begin_ms, place.free_ms() if self.held else 0)
                if at_ms <= now_ms:
                    return place, at_ms
                when_ms = min(when_ms or at_ms, at_ms)
        return None, when_ms

    def left(self, place, now_ms):
        """An initiation to it did, in a round or alone."""
        place.was_asked(now_ms if self.held else place.sent_ms)
        self.last_ms = now_ms
        self.last_family = place.record[0]

    def stayed(self, place):
        """None could leave: there is nothing to wait for before the next."""
        place.was_asked(place.sent_ms)
        self.last_family = place.record[0]

    def counts(self):
        """Whether this initiation is the first of its round."""
        first = not self.counted
        self.counted = True
        return first
