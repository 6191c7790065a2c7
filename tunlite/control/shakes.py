# SPDX-License-Identifier: MIT
"""The handshakes with one peer: ours under way, theirs that came, and how often they came to be."""

from tunlite.protocol import wire


class Shakes:
    """Methods are what happened."""

    state = None  # what waits for the answer to the initiation of ours
    wanted = False
    initiated = failed = 0

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

    def asked_anew(self):
        """For a reason of its own: the retries of what is under way begin anew (paper 6.4)."""
        self.attempts = 0

    def put_off(self, when_ms):
        """It is too early: the timer's retry is then the first attempt."""
        self.attempts = -1
        self.retry_ms = when_ms

    def queued(self):
        self.wanted = True
        self.retry_ms = 0

    def unqueued(self):
        self.wanted = False

    def begun(self, state):
        """state: noise.State of the initiation that leaves now."""
        self.state = state

    def left(self, now_ms):
        """Not by `attempts`: keepalives closer together than three retries begin them anew."""
        self.sent_ms = now_ms
        self.initiated += 1
        self.unmet += 1

    def retry_at(self, when_ms):
        self.retry_ms = when_ms

    def retried(self):
        self.retry_ms = 0
        self.attempts += 1

    def gave_up(self):
        self.retry_ms = self.attempts = 0
        self.failed += 1

    def ended(self):
        """The answer came, or none is waited for."""
        self.state.wipe()
        self.state = None

    def stopped(self):
        """Link or key are new: nothing that was sent counts, nothing is to be sent."""
        self.retry_ms = self.attempts = self.sent_ms = 0

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

    def answered(self, now_ms):
        self.sent_ms = now_ms
        self.responded += 1

    # ---- both ----

    def complete(self, now_ms, wall_ns):
        self.attempts = self.unmet = self.retry_ms = 0
        self.completed += 1
        self.complete_ns = wall_ns
        self.complete_ms = now_ms
