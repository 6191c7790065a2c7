# SPDX-License-Identifier: MIT
"""Strangers, until they are peers or refused: who is asked about them, and what is remembered of
them (protocol.md, "Strangers"; control.md, "Admission").

A stranger's initiation is opened to its end only where mac2 proved its address and nothing else is
to be done, then parked while a command is asked. All that strangers can make grow has its bound.
"""

from tunlite import endpoints, keys
from tunlite.control import guests, timers
from tunlite.plane import plane as planes
from tunlite.protocol import noise, wire

PARKED_MOST = 64
PARKED_MS = 10_000
PARKED_OF_PLACE = 2  # an IPv4 address or a /64
ASKED_OF_PLACE = 10  # a minute
REFUSED_MS = 60_000
SEEN_MOST = 1024
AGAIN_MS = 1000  # a parked key's next initiation is opened so much later at the earliest
_MINUTE_MS = 60_000


class Recent:
    """As a dict of so many rows at most; those that were put longest ago go."""

    def __init__(self, most):
        self._most = most
        self._rows = {}
        self._order = []

    def get(self, key, other=None):
        return self._rows.get(key, other)

    def put(self, key, row):
        if key in self._rows:
            self._order.remove(key)
        elif len(self._order) >= self._most:
            del self._rows[self._order.pop(0)]
        self._order.append(key)
        self._rows[key] = row

    def __len__(self):
        return len(self._order)


def place_of(record):
    """Who shares the bounds of an endpoint: an IPv4 address, an IPv6 /64."""
    return bytes(endpoints.parts(record)[1][:8])


class Stranger(noise.Remote):
    """One that is not let in yet, and the handshake that it began."""

    stamp = payload = None
    asked_ms = came_ms = 0
    asked_of = None  # what must be as it was then

    def __init__(self, public, state, record, message):
        super().__init__(public)
        self.state = state
        self.record = record
        self.message = message
        self.place = place_of(record)

    def opened(self, payload):
        self.stamp = payload[: wire.STAMP_SIZE]
        self.payload = payload
        self.message = None

    def parked(self, now_ms, asked_of):
        self.asked_ms = self.came_ms = now_ms
        self.asked_of = asked_of

    def knocks(self, now_ms):
        """An initiation that names its key is to be read."""
        self.came_ms = now_ms

    def comes_again(self, later):
        """Its newest handshake is the one that may be answered."""
        self.state.wipe()
        self.state, self.record = later.state, later.record
        self.stamp, self.payload = later.stamp, later.payload

    def hand_over(self, peer):
        """It is a peer now, and what was computed with its key is the peer's."""
        if peer.static_static is None:
            peer.keep_static(self.static_static)
            self.keep_static(None)

    def ends(self, native):
        self.state.wipe()
        self.wipe(native)


class Admission:
    """Of one interface, `owner`, whose `commands` know a command that is asked."""

    def __init__(self, owner):
        self._owner = owner
        self._native = owner.port.native
        self._waiting = []  # strangers whose first half is read
        self._parked = {}  # public key -> Stranger that is asked about
        self._let_in = []  # (Stranger, peer): to be answered
        self.guests = guests.Guests(owner)
        self._seen = Recent(SEEN_MOST)  # public key -> (greatest stamp, refused until)
        self._asked = Recent(SEEN_MOST)  # place -> when it was asked about
        self._admitted = 0
        self._welcomed = 0
        self._forgotten_ms = 0  # refusals of before then are forgotten
        self._expire = timers.Timer(self._drop_late)

    def seen(self):
        """For the status."""
        return {
            "admitted": self._admitted,
            "let_in": self._welcomed,
            "parked": len(self._parked),
        }

    # ---- a stranger comes ----

    def check(self, public, record, message, proved):
        """HandshakeError: the stranger of this message is not listened to, and why."""
        owner = self._owner
        now_ms = owner.exchange.now_ms
        row = self._seen.get(public)
        if public == owner.me.public:
            raise noise.HandshakeError("from our own key")
        if row is not None and row[1] > now_ms and row[1] - REFUSED_MS >= self._forgotten_ms:
            raise noise.HandshakeError("from a stranger who was refused just now")
        if owner.limits is not None and owner.limits.refuses_another():
            raise noise.HandshakeError(owner.limits.OVER)
        if not proved:
            owner.plane.ask_for_cookie(record, message)
            raise noise.HandshakeError("from a stranger whose address is not proved")
        if self._comes_too_often(public, place_of(record), now_ms):
            raise noise.HandshakeError("from a stranger who asks too often")
        if public not in self._parked and len(self._waiting) + len(self._parked) >= PARKED_MOST:
            raise noise.HandshakeError("from one stranger too many")

    def came(self, public, state, record, message):
        """One who is listened to. `state` is ours now; the other half of what it sent is read when
        nothing else is to be done."""
        parked = self._parked.get(public)
        if parked is not None:
            parked.knocks(self._owner.exchange.now_ms)
        self._waiting.append(Stranger(public, state, record, message))

    def _comes_too_often(self, public, place, now_ms):
        if public in [one.public for one in self._waiting]:
            return True
        parked = self._parked.get(public)
        if parked is not None:
            return now_ms - parked.came_ms < AGAIN_MS
        # Those that wait are asked about soon.
        waiting = len([1 for one in self._waiting if one.place == place])
        parked = len([1 for one in self._parked.values() if one.place == place])
        asked = len(self._asked_lately(place, now_ms))
        return waiting + parked >= PARKED_OF_PLACE or waiting + asked >= ASKED_OF_PLACE

    def _asked_lately(self, place, now_ms):
        return [ms for ms in self._asked.get(place, ()) if now_ms - ms < _MINUTE_MS]

    # ---- jobs of the exchange, each when nothing else waits ----

    def _may_answer(self, now_ms):
        if not self._let_in:
            return False
        if not self._owner.allowed.changed:
            return True
        return now_ms >= self.guests.publish_ms and not self.guests.is_held(now_ms)

    def has_job(self, now_ms):
        return bool(self._waiting or self._may_answer(now_ms))

    def next_job(self, now_ms):
        """A generator, or None."""
        if self._may_answer(now_ms):
            return self._answer(*self._let_in.pop(0))
        if self._waiting:
            return self._open(self._waiting.pop(0))
        return None

    def _open(self, stranger):
        """The other half, which proves the key; then the command is asked."""
        owner = self._owner
        kept = False
        try:
            payload = yield from noise.read_payload(
                stranger.state, owner.me, stranger, stranger.message
            )
            stranger.opened(payload)
            kept = self._take(stranger, owner.exchange.now_ms)
        finally:
            if not kept:
                stranger.ends(self._native)

    def _take(self, stranger, now_ms):
        """Whether it is kept. HandshakeError."""
        public = stranger.public
        if self._owner.find_known(public) is not None:
            return False  # since a moment; what it sends next is a peer's
        row = self._seen.get(public, (b"", 0))
        if stranger.stamp <= row[0]:
            raise noise.HandshakeError("replayed")
        self._seen.put(public, (stranger.stamp, row[1]))
        parked = self._parked.get(public)
        if parked is not None:
            parked.comes_again(stranger)
            stranger.wipe(self._native)
            return True
        if len(self._parked) >= PARKED_MOST:
            raise noise.HandshakeError("from one stranger too many")
        self._ask(stranger, now_ms)
        return True

    def _ask(self, stranger, now_ms):
        place = stranger.place
        self._asked.put(place, self._asked_lately(place, now_ms) + [now_ms])
        stranger.parked(now_ms, self.guests.asked_of())
        self._parked[stranger.public] = stranger
        if self._expire.timer_ms is None:
            self._owner.timers.set(self._expire, now_ms + PARKED_MS)
        commands = self._owner.commands
        if commands is None or not commands.verify(
            stranger.public, stranger.record, lambda pairs: self._answered(stranger, pairs)
        ):
            self._unpark(stranger, "from a stranger: too many questions wait")

    def _unpark(self, stranger, why):
        if self._parked.get(stranger.public) is stranger:
            del self._parked[stranger.public]
            stranger.ends(self._native)
            self._owner.exchange.refuse(why)

    def _drop_late(self, now_ms):
        next_ms = None
        for stranger in list(self._parked.values()):
            late_ms = stranger.asked_ms + PARKED_MS
            if late_ms <= now_ms:
                self._unpark(stranger, "from a stranger: no answer in time")
            elif next_ms is None or late_ms < next_ms:
                next_ms = late_ms
        self._owner.timers.set(self._expire, next_ms)

    # ---- the answer ----

    def _answered(self, stranger, pairs):
        if self._parked.get(stranger.public) is not stranger:
            return  # too late
        now_ms = self._owner.port.now_ms()
        owner = self._owner
        if stranger.asked_of != self.guests.asked_of() or stranger.public in owner.peers:
            self._unpark(stranger, "from a stranger: what was asked is another question by now")
        elif pairs is None:
            self._refuse(stranger, "from a stranger: the command refused it", now_ms)
        else:
            owner.port.keep_back(True)
            try:
                why = self._welcome(stranger, pairs, now_ms)
            except (MemoryError, planes.PlaneError):
                why = "out of memory"
            finally:
                owner.port.keep_back(False)
            if why:
                self._drop_half(stranger.public)
                owner.log.info(f"{keys.text(stranger.public)} is not let in: {why}", "admission")
                self._refuse(stranger, "from a stranger: its answer cannot be taken", now_ms)

    def _refuse(self, stranger, why, now_ms):
        self._seen.put(stranger.public, (stranger.stamp, now_ms + REFUSED_MS))
        self._unpark(stranger, why)

    def forget_refusals(self):
        """What they were made of changed."""
        self._forgotten_ms = self._owner.port.now_ms() + 1

    def _welcome(self, stranger, pairs, now_ms):
        """The stranger is a peer from now on, or refused; or why he cannot be one."""
        owner = self._owner
        if self._admitted >= owner.admits_most:
            return f"there are {owner.admits_most} admitted peers already"
        try:
            answer = guests.Answer(pairs)
        except ValueError as e:
            return f"the command's answer: {e}"
        if owner.limits is not None and owner.limits.refuses_another(answer.said.get("group")):
            self._refuse(stranger, owner.limits.OVER, now_ms)
            return None
        why = self.guests.overlap(stranger.public, answer)
        if why:
            return why
        peer = owner.add_peer(stranger.public)
        peer.claimed("admitted", True)
        guest = self.guests.add(peer)
        self._admitted += 1
        if not self.guests.apply(guest, answer, now_ms):
            return "its group is not there"
        stranger.hand_over(peer)
        self._welcomed += 1
        self._let_in.append((stranger, peer))
        del self._parked[stranger.public]
        self.guests.look_at(guest, now_ms)
        self.guests.publish_soon()
        owner.log.info(f"{keys.text(stranger.public)} is let in", "admitted")
        return None

    def _drop_half(self, public):
        """What was made of a peer before it could not be let in."""
        peer = self._owner.peers.get(public)
        if peer is not None:
            self._owner.remove_peer(peer)
            self.guests.publish_soon()

    def _answer(self, stranger, peer):
        """The response to who was let in."""
        owner = self._owner
        try:
            if owner.allowed.changed:
                self.guests.publish_now(owner.exchange.now_ms)
            if owner.can_shake(peer):
                yield from owner.exchange.respond(
                    stranger.state, peer, stranger.payload, stranger.record
                )
        finally:
            stranger.ends(self._native)

    # ---- who was let in ----

    def left(self, peer, was_admitted):
        """It is no guest any more: removed, or told of by somebody else."""
        if self.guests.left(peer) and was_admitted:
            self._admitted -= 1
            stamp, refused_ms = self._seen.get(peer.public, (b"", 0))
            self._seen.put(peer.public, (max(stamp, peer.shakes.greatest_stamp), refused_ms))

    # ---- the end ----

    def stop(self):
        """Link or key are new: no handshake goes on."""
        strangers = self._waiting + list(self._parked.values())
        for stranger in strangers + [row[0] for row in self._let_in]:
            stranger.ends(self._native)
        self._waiting = []
        self._parked = {}
        self._let_in = []
