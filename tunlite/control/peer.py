# SPDX-License-Identifier: MIT
"""A peer: its configuration, its sessions, and what its handshakes and timers remember.

Sessions are (index, initiator) with C holding the keys: `current` sends, `previous` still
receives, `next` waits for its first packet, `parting` receives what is on its way (protocol.md,
"Sessions").
"""

from tunlite.plane import plane as planes
from tunlite.protocol import wire

_NEVER = b""  # sorts before every stamp


class Peer:
    """`public` bytes 32. `exchange` acts when the peer's timer expires."""

    def __init__(self, plane, public, exchange):
        self.plane = plane
        self.exchange = exchange
        self.handle = plane.peer_new()
        self.alive = True
        # Configuration
        self.public = public
        self.psk = bytearray(wire.KEY_SIZE)
        self.static_static = None
        self.persistent_s = 0
        self.allowed = []
        self.name = None  # (host, port) of an endpoint that has to be resolved
        self.description = ""
        # Sessions
        self.previous = None
        self.current = None
        self.next = None
        self.parting = None
        self.parting_ms = 0
        self.crossed = False  # both began at once: the other side sends on `previous`
        self.rotated_ms = 0  # when `previous` last sent
        # The handshake we began: what waits for the answer, how often it was sent
        self.attempt = None
        self.wanted = False
        self.nowhere = True  # no endpoint is known
        # ways.py's: to be looked at; routed into us while no mark is set; a place that was not
        self.asked = self.doubted = False
        self.place = None
        self.judged_ms = 0
        self.attempts = 0
        self.retry_ms = 0
        self.unmet = 0  # initiations since a handshake was complete
        self.sent_ms = 0  # the last initiation or response of ours, 0: none
        # The handshakes they began
        self.greatest_stamp = _NEVER
        self.initiation_ms = -wire.INITIATION_SPACING_MS
        # What cookie.py and stamp.py remember
        self.sent_mac1 = None
        self.cookie = None
        self.cookie_ms = 0
        self.stamp = 0
        self.unanswered = 0
        # Timers
        self.timer_ms = None
        self.timer_queued = None
        self.checked_ms = 0
        self.zero_ms = 0
        self.tried_ms = 0
        self.fired_ms = 0
        self.jitter_ms = 0
        self.idle = True
        # What is shown
        self.handshake_time = None  # (seconds, nanoseconds) since 1970
        self.handshake_ms = 0
        self.initiated = 0
        self.responded = 0
        self.completed = 0
        self.failed = 0

    def expired(self, now_ms):
        self.exchange.check(self, now_ms)

    def wipe(self):
        """The peer is removed, its sessions are gone, and routes without it are published."""
        native = self.plane.native
        native.tl_wipe(self.psk, wire.KEY_SIZE)
        self.forget_static()
        if self.cookie is not None:
            native.tl_wipe(self.cookie, wire.MAC_SIZE)
        self.plane.peer_free(self.handle)

    def forget_static(self):
        """Our own key changed."""
        if self.static_static is not None:
            self.plane.native.tl_wipe(self.static_static, wire.KEY_SIZE)
            self.static_static = None

    # ---- the handshake under way ----

    def drop_attempt(self):
        """An answer that still comes finds no one."""
        if self.attempt is not None:
            self.attempt.wipe()
            self.plane.index_free(self.attempt.index)
            self.exchange.forget_index(self.attempt.index)
            self.attempt = None

    # ---- sessions ----

    def _free(self, session):
        if session is not None:
            self.plane.session_free(session[0])
            self.exchange.forget_index(session[0])

    def add_session(self, index, initiator, now_ms):
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
            self.next = (index, False)
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
        self.current = (index, True)

    def _part(self, session, now_ms):
        """The other side may have sent on it until just now. One is enough: when both sides began
        at once, the first that parts is the one that they sent on."""
        if self.parting is None and session is not None:
            self.parting = session
            self.parting_ms = now_ms
        else:
            self._free(session)

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
        self.plane.session_use(self.current[0])
        return True

    def drop_sessions(self):
        """All keys are wiped."""
        for session in (self.previous, self.current, self.next, self.parting):
            self._free(session)
        self.previous = self.current = self.next = self.parting = None
        self.crossed = False

    # ---- events ----

    def arm(self):
        """Says which events are wanted: those that would change something now."""
        events = 0
        if not (self.wanted or self.retry_ms or self.nowhere):
            events = planes.WANTS_SESSION | planes.REKEY
        if self.next is not None:
            events |= planes.CONFIRMED
        if self.idle:
            events |= planes.ACTIVE
        if self.exchange.owner.ways is not None and not self.asked:
            events |= planes.ROAMED
        self.plane.arm(self.handle, events)
