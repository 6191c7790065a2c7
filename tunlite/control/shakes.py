# SPDX-License-Identifier: MIT
"""The handshakes with one peer: ours under way, theirs that came, and how often they came to be."""

from tunlite.protocol import wire

OPEN_MOST = 4


# What an initiation is besides.
REPEATED = 1  # a cookie came for the one before
MEASURED = 2  # its response is thrown away


class Attempt:
    """An initiation of ours that left, and what reads its response."""

    repeat_ms = 0  # when it is to be begun anew, for the cookie that came
    mode = 0  # that it asks for (layer.MODES)

    def __init__(self, state, place, left_ms, kind):
        """state: noise.Handshake. place: an endpoint_set.Place, None where the peer has one
        endpoint. kind: bits of the above."""
        self.state = state
        self.place = place
        self.left_ms = left_ms
        self.kind = kind

    def asks_for(self, mode):
        if mode:
            self.mode = mode

    def cookie_came(self, when_ms):
        """It was not looked at, and is begun anew: once."""
        if not self.kind & REPEATED:
            self.repeat_ms = when_ms

    def is_only_waited_for(self):
        """Another one's response was read."""
        self.repeat_ms = 0


class Shakes:
    """Methods are what happened."""

    under_way = ()  # Attempts, the oldest first
    wanted = False  # in the queue
    alone = False  # for the endpoint in use, and no other
    measures = False  # what is asked now is only measured
    told = None  # called with the round trip that is measured
    measuring_ms = 0  # when that began
    measured_ms = 0  # when an initiation for it left last
    doubted_ms = 0  # when the peer was heard last: it may have another session than we
    initiated = failed = 0
    unmet_ms = 0  # the first initiation for a session since one came to be, 0: none
    # On layer 2
    mode = None  # that the peer answered it takes, and is asked for until this attempt is over
    refused = None  # the same, where we do not have it, or it was refused too
    refusal_ms = -wire.INITIATION_SPACING_MS  # when we last refused one of theirs

    def __init__(self):
        # The one we began: how often it was sent, and when it is again
        self.attempts = self.retry_ms = 0
        self.unmet = 0  # initiations since a handshake was complete
        self.sent_ms = 0  # the last initiation or response of ours, 0: none
        # Those that they began
        self.greatest_stamp = b""  # sorts before every stamp
        self.initiation_ms = -wire.INITIATION_SPACING_MS
        # What is shown
        self.complete_ns = 0  # since 1970; 0: never was
        self.complete_ms = self.responded = self.completed = 0

    # ---- ours ----

    def is_asking(self):
        """A handshake is wanted or under way; one that is only measured does not count."""
        return self.retry_ms != 0 or (self.wanted and not self.measures)

    def attempt_of(self, index):
        for attempt in self.under_way:
            if attempt.state.index == index:
                return attempt
        return None

    def for_sessions(self):
        """The attempts that are not only measured."""
        return [attempt for attempt in self.under_way if not attempt.kind & MEASURED]

    def to_repeat(self, now_ms):
        """The attempt that is to be begun anew now, or None."""
        for attempt in self.under_way:
            if 0 < attempt.repeat_ms <= now_ms:
                return attempt
        return None

    def asked_anew(self):
        """For a reason of its own: the retries of what is under way begin anew (paper 6.4)."""
        self.attempts = 0

    def put_off(self, when_ms):
        """It is too early: the timer's retry is then the first attempt."""
        self.attempts = -1
        self.retry_ms = when_ms

    def queued(self):
        self.wanted = True

    def unqueued(self):
        self.wanted = False

    def asks_alone(self, alone):
        self.alone = alone

    def measures_only(self, measures):
        self.measures = measures

    def measuring(self, told, now_ms):
        """told: called once with milliseconds, or None; None: it was."""
        self.told = told
        self.measuring_ms = now_ms

    def measure_left(self, now_ms):
        self.measured_ms = now_ms
        self.initiated += 1

    def begun(self, attempt):
        """Its initiation leaves now."""
        self.under_way = tuple(self.under_way) + (attempt,)

    def left(self, now_ms, held):
        """Not by `attempts`: keepalives closer together than three retries begin them anew. `held`:
        the peer is left in peace for 5 s."""
        if held:
            self.sent_ms = now_ms
        self.initiated += 1

    def unanswered(self):
        self.unmet += 1

    def waits(self, now_ms):
        """An initiation for a session left."""
        if not self.unmet_ms:
            self.unmet_ms = now_ms

    def unanswered_ms(self, received_ms):
        """The first of those since the last message of theirs, 0: none."""
        if self.unmet_ms > received_ms:
            return self.unmet_ms
        left = [each.left_ms for each in self.for_sessions() if each.left_ms > received_ms]
        return min(left) if left else 0

    def met(self):
        self.unmet = 0
        if self.unmet_ms:
            self.unmet_ms = 0

    def retry_at(self, when_ms):
        self.retry_ms = when_ms

    def retried(self):
        self.retry_ms = 0
        self.attempts += 1

    def gave_up(self):
        self.retry_ms = self.attempts = 0
        self.failed += 1
        self._forget_modes()

    def asks_for(self, mode):
        """In this one; None: in the one that is asked for first."""
        self.mode = mode
        self.refused = None

    def is_refused(self, mode):
        self.gave_up()
        self.refused = mode

    def ended(self, attempt):
        """Its answer came, or none is waited for."""
        attempt.state.wipe()
        self.under_way = tuple([other for other in self.under_way if other is not attempt])

    def doubts(self, heard_ms):
        """0: it does not."""
        self.doubted_ms = heard_ms

    def stopped(self):
        """Link or key are new: nothing that was sent counts, nothing is to be sent."""
        self.retry_ms = self.attempts = self.sent_ms = 0
        self._forget_wishes()
        if self.doubted_ms:
            self.doubted_ms = 0

    def rests(self):
        """The peer stands by: nothing more is to be sent."""
        self.retry_ms = self.attempts = 0
        self._forget_wishes()
        if self.told is not None:
            self.told = None

    def _forget_wishes(self):
        # Most peers never have one: nothing is written then.
        if self.alone or self.measures:
            self.alone = self.measures = False
        self._forget_modes()

    def _forget_modes(self):
        if self.mode is not None or self.refused is not None:
            self.asks_for(None)

    # ---- theirs ----

    def why_refused(self, stamp, now_ms):
        """Why an initiation with this stamp is not answered; None: it is."""
        if stamp <= self.greatest_stamp:
            return "replayed"
        if now_ms - self.initiation_ms < wire.INITIATION_SPACING_MS:
            return "too soon after the last one"
        return None

    def came(self, stamp, now_ms):
        self.greatest_stamp = stamp
        self.initiation_ms = now_ms

    def may_refuse(self, stamp, now_ms):
        """One that asks for a mode that we do not take. It holds up none that asks for another one,
        but others like it."""
        if now_ms - self.refusal_ms < wire.INITIATION_SPACING_MS:
            return False
        self.greatest_stamp = stamp
        self.refusal_ms = now_ms
        return True

    def answered(self, now_ms):
        self.sent_ms = now_ms
        self.responded += 1

    # ---- both ----

    def complete(self, now_ms, wall_ns):
        self.attempts = self.retry_ms = 0
        self.met()
        self._forget_wishes()
        self.completed += 1
        self.complete_ns = wall_ns
        self.complete_ms = now_ms
