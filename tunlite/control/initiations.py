# SPDX-License-Identifier: MIT
"""The handshakes that we begin: which are wanted, and when each endpoint is asked.

A peer with one endpoint is asked every 5 s. One with several (endpoint_set.py) is asked at another
every 250 ms, until a response was read. Up to four initiations of a peer wait for their responses.
"""

from tunlite import endpoints
from tunlite.control import shakes
from tunlite.plane import plane as planes
from tunlite.protocol import noise, wire

_DOUBT_MS = 1000
_MEASURED_APART_MS = 100  # five times what a responder takes for a flood: ways differ
_REPEAT_MS = 200  # after a cookie
_REPEAT_JITTER_MS = 300


class Initiations:
    """`owner` is an Interface: handshakes.py says what it has. No name here begins with _: in the
    frozen copy they are short in each file by itself, and would be the subclass's."""

    def __init__(self, owner):
        self.owner = owner
        self.port = owner.port
        self.plane = owner.plane
        self.now_ms = 0
        self.queue = []
        self.indices = {}

    # ---- what is wanted ----

    def want(self, peer, fresh):
        """A handshake with the peer is wanted; `fresh`: for a reason of its own, not as a retry.

        At most one initiation to an endpoint every 5 s; an attempt under way goes on, with its
        count of retries begun anew when `fresh` (paper 6.4).
        """
        full = not self.owner.has_room(peer)
        if not full and not self.can_ask(peer):
            return
        if fresh:
            peer.shakes.asked_anew()
        if peer.shakes.is_asking():
            return
        if peer.shakes.measures:
            peer.shakes.measures_only(False)  # what is asked next is for both
            self.unqueue(peer)
        when_ms = self.now_ms + wire.REKEY_TIMEOUT_MS if full else self.free_ms(peer)
        if when_ms > self.now_ms:
            peer.shakes.put_off(when_ms)
            self.set_timer(peer, when_ms)
            peer.arm()
            return
        self.begin(peer, True)

    def ask(self, peer):
        """The endpoint in use, at once and alone, also within the 5 s; whoever calls this bounds
        how often. The response is used as any."""
        if self.can_ask(peer):
            peer.shakes.asks_alone(True)
            peer.shakes.measures_only(False)
            peer.where.round_ended()
            self.enqueue(peer)

    def measure(self, peer, told):
        """Asks the peer's endpoints also within the 5 s; the response is read and thrown away, so
        that neither end ever sends on that session. told(milliseconds of the round trip), or
        told(None) where none came in 5 s. One measure of a peer at a time: False for another."""
        if peer.shakes.told is not None or peer.where.nowhere or not self.owner.can_shake(peer):
            return False
        peer.shakes.measuring(told, self.now_ms)
        # Also where an attempt is under way: its response tells as much.
        self.set_timer(peer, self.now_ms + wire.REKEY_TIMEOUT_MS)
        if not peer.shakes.is_asking():
            peer.shakes.measures_only(True)
            self.begin(peer, False)
        return True

    def rest(self, peer):
        """The peer stands by from now on: nothing of ours goes on."""
        self.unqueue(peer)
        peer.shakes.rests()
        peer.where.round_ended()
        peer.drop_attempts(peer.shakes.under_way)
        self.plane.flush(peer.handle)
        peer.arm()

    def can_ask(self, peer):
        return not peer.where.nowhere and self.owner.may_begin(peer)

    def free_ms(self, peer):
        """When the peer may be asked."""
        sent_ms = peer.shakes.sent_ms
        when_ms = sent_ms + wire.REKEY_TIMEOUT_MS if sent_ms else 0
        if peer.shakes.measured_ms:
            when_ms = max(when_ms, peer.shakes.measured_ms + _MEASURED_APART_MS)
        places = peer.where.places
        return max(when_ms, places.first_ms()) if places else when_ms

    def begin(self, peer, held):
        if peer.where.places:
            peer.where.places.begin(self.plane.endpoint_of(peer.handle), held)
        self.enqueue(peer)

    def enqueue(self, peer):
        if not peer.shakes.wanted:
            peer.shakes.queued()
            self.queue.append(peer)
            peer.arm()

    def unqueue(self, peer):
        if peer.shakes.wanted and peer in self.queue:
            self.queue.remove(peer)
            peer.shakes.unqueued()

    def endpoints_are_new(self, peer):
        """An attempt under way goes on with them."""
        places = peer.where.places
        mine = peer.shakes
        if places and not places.asking and mine.attempts >= 0 and mine.is_asking():
            record = self.plane.endpoint_of(peer.handle)
            places.begin(record, True)
            asked = places.place_of(record)
            if asked is not None and mine.sent_ms:
                places.left(asked, mine.sent_ms)

    # ---- one initiation ----

    def initiate(self, peer):
        try:
            if self.can_ask(peer):
                yield from self.ask_next(peer)
        finally:
            peer.shakes.unqueued()
            if peer.alive:
                self.look_on(peer)
                peer.arm()

    def ask_next(self, peer):
        owner = self.owner
        me = owner.me
        record, place, repeated = self.target(peer)
        if record is None:
            self.retry_later(peer)
            return
        index = self.plane.index_new(peer.handle)
        state = None
        mode = 0
        try:
            payload = owner.stamps.next(peer.stamps)
            if owner.modes is not None:
                mode = owner.modes.asked_for(peer)
                payload += owner.modes.says(mode)
            state, message = yield from noise.initiate(owner.noise, me, peer, index, payload)
        finally:
            if state is None and peer.alive:
                self.plane.index_free(index)
                self.retry_later(peer)
        if owner.me is not me or not owner.may_begin(peer):
            state.wipe()
            self.forget_removed(peer)
            if peer.alive:
                self.plane.index_free(index)
            return
        if repeated is not None:
            peer.drop_attempts((repeated,))
        kind = (peer.shakes.measures and shakes.MEASURED) | (repeated and shakes.REPEATED or 0)
        attempt = shakes.Attempt(state, place, self.now_ms, kind)
        attempt.asks_for(mode)
        self.opened(peer, attempt)
        jar = place.cookies if place else peer.cookies
        jar.add_macs(self.port, message, peer.public, self.now_ms)
        self.leave(peer, attempt, record, message)

    def target(self, peer):
        """(record, Place or None, the attempt that is begun anew or None) of what is asked now;
        a record of None: nothing is."""
        record = self.plane.endpoint_of(peer.handle)
        places = peer.where.places
        repeated = peer.shakes.to_repeat(self.now_ms)
        if peer.shakes.alone:
            peer.shakes.asks_alone(False)
            place = places.place_of(record) if places else None
        elif repeated is not None:
            place = repeated.place
        elif places:
            place = places.next(record, self.now_ms)[0]
            if place is None:
                record = None
        else:
            place = None
        if record and place and place.record != record[:24]:
            record = endpoints.whole(place.record)
        return record, place, repeated

    def opened(self, peer, attempt):
        """At most four, and none that is too old."""
        self.close_late(peer)
        peer.drop_attempts(peer.shakes.under_way[: -shakes.OPEN_MOST + 1])
        peer.shakes.begun(attempt)
        self.indices[attempt.state.index] = peer

    def leave(self, peer, attempt, record, message):
        owner = self.owner
        places = peer.where.places
        is_first = not attempt.kind & shakes.REPEATED and (not places or places.counts())
        code = self.plane.send(peer.handle, record, message)
        if code < 0:
            text = f"an initiation could not leave: {self.port.strerror(-code)}"
            owner.log.debug(text, "initiation")
        elif is_first:
            peer.stamps.left()
        if attempt.kind & shakes.MEASURED:
            peer.shakes.measure_left(self.now_ms)
        else:
            peer.shakes.left(self.now_ms, not places)
            if peer.member is not None:
                peer.shakes.waits(self.now_ms)
        if places and attempt.place is not None:
            if code < 0:
                places.stayed(attempt.place)
                peer.drop_attempts((attempt,))
            else:
                places.left(attempt.place, self.now_ms)
        if is_first:
            peer.shakes.unanswered()
            if peer.shakes.unmet % 6 == 3:
                owner.resolve_again(peer)
        self.retry_later(peer)

    def retry_later(self, peer):
        """Of several endpoints a round is retried, each is left in peace by itself."""
        if peer.shakes.measures or (peer.where.places and peer.shakes.retry_ms):
            return
        when_ms = self.now_ms + wire.REKEY_TIMEOUT_MS + self.jitter_ms()
        peer.shakes.retry_at(when_ms)
        self.set_timer(peer, when_ms)

    def jitter_ms(self, most=wire.REKEY_JITTER_MS):
        chance = self.port.random_bytes(2)
        return (chance[0] << 8 | chance[1]) % (most + 1)

    # ---- what comes back ----

    def receive_cookie(self, message):
        index = bytes(message[4:8])
        peer = self.indices.get(index)
        if peer is None:
            self.refuse("no one waits for it")
            return
        attempt = peer.shakes.attempt_of(index)
        jar = attempt.place.cookies if attempt and attempt.place else peer.cookies
        if not jar.consume(self.port, message, peer.public, self.now_ms):
            self.refuse("not authentic")
        elif attempt and (peer.shakes.is_asking() or peer.shakes.measures):
            attempt.cookie_came(self.now_ms + _REPEAT_MS + self.jitter_ms(_REPEAT_JITTER_MS))
            self.look_on(peer)

    def answered(self, peer, attempt):
        """Its response was read: the other end has dropped what it had of earlier ones. True: more
        than one of this attempt left, so it may have dropped this for a later one."""
        begun = peer.shakes.under_way
        is_one_of_many = len(begun) > 1
        peer.drop_attempts(begun[: begun.index(attempt)])
        peer.shakes.ended(attempt)
        self.forget_index(attempt.state.index)
        for later in peer.shakes.under_way:
            later.is_only_waited_for()
        return is_one_of_many

    def turned_down(self, peer, attempt, mode):
        """It was read that the peer takes another mode than this asked for."""
        self.plane.index_free(attempt.state.index)
        peer.drop_attempts(peer.shakes.for_sessions())
        if not peer.shakes.is_asking():
            return
        if self.owner.modes.turned_down(peer, mode):
            self.ask(peer)
            return
        peer.where.round_ended()
        self.unqueue(peer)
        self.plane.flush(peer.handle)
        when_ms = self.now_ms + wire.MODE_REFUSED_MS
        peer.shakes.put_off(when_ms)
        self.set_timer(peer, when_ms)

    def measured(self, peer, index):
        """The response of what was only measured."""
        if peer.shakes.measures:
            self.end_measure(peer)
        peer.shakes.met()
        self.plane.index_free(index)

    def end_measure(self, peer):
        peer.shakes.measures_only(False)
        peer.where.round_ended()
        self.unqueue(peer)

    def tell_measure(self, peer, round_trip_ms):
        """None: it was not answered."""
        told = peer.shakes.told
        if told is not None:
            peer.shakes.measuring(None, 0)
            told(round_trip_ms)

    # ---- the peer's timer ----

    def look_on(self, peer):
        when_ms = self.go_on(peer)
        if when_ms:
            self.set_timer(peer, when_ms)

    def go_on(self, peer):
        """Does what is due of a peer's attempts besides a retry. When there is more, 0: there is
        not."""
        mine = peer.shakes
        if not (mine.under_way or mine.told or mine.doubted_ms or peer.where.places):
            return 0
        when_ms = 0
        for step in (self.next_ms, self.measure_ms, self.closing_ms, self.doubt_ms):
            at_ms = step(peer)
            if at_ms and (not when_ms or at_ms < when_ms):
                when_ms = at_ms
        return when_ms

    def next_ms(self, peer):
        """The next endpoint, and those that are asked once more as a cookie came."""
        mine = peer.shakes
        if mine.wanted or not (mine.is_asking() or mine.measures):
            return 0
        when_ms = 0
        if peer.where.places:
            record = self.plane.endpoint_of(peer.handle)
            when_ms = peer.where.places.next(record, self.now_ms)[1]
        for attempt in mine.under_way:
            if attempt.repeat_ms:
                when_ms = min(when_ms or attempt.repeat_ms, attempt.repeat_ms)
        if 0 < when_ms <= self.now_ms:
            self.enqueue(peer)
            return 0
        return when_ms

    def measure_ms(self, peer):
        if peer.shakes.told is None:
            return 0
        when_ms = peer.shakes.measuring_ms + wire.REKEY_TIMEOUT_MS
        if when_ms > self.now_ms:
            return when_ms
        if peer.shakes.measures:
            self.end_measure(peer)
        self.tell_measure(peer, None)
        return 0

    def closing_ms(self, peer):
        """What is left of an attempt that is over stays answerable for 5 s."""
        if peer.shakes.is_asking() or peer.shakes.measures:
            return 0
        self.close_late(peer)
        begun = peer.shakes.under_way
        return begun[0].left_ms + wire.REKEY_TIMEOUT_MS if begun else 0

    def close_late(self, peer):
        late_ms = self.now_ms - wire.REKEY_TIMEOUT_MS
        begun = peer.shakes.under_way
        peer.drop_attempts([other for other in begun if other.left_ms <= late_ms])

    def doubt_ms(self, peer):
        """Where data stays unanswered for a second the other end may have kept another session."""
        heard_ms = peer.shakes.doubted_ms
        if not heard_ms:
            return 0
        state = self.plane.state(peer.handle)
        data_ms = state[planes.FIRST_UNANSWERED]
        if peer.shakes.is_asking() or state[planes.RECEIVED_ANY] != heard_ms:
            peer.shakes.doubts(0)
        elif not data_ms:
            return 0 if peer.plan.idle else self.now_ms + _DOUBT_MS  # idle: an event tells of data
        elif data_ms + _DOUBT_MS > self.now_ms:
            return data_ms + _DOUBT_MS
        else:
            peer.shakes.doubts(0)
            self.ask(peer)
        return 0
