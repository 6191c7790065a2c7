# SPDX-License-Identifier: MIT
"""The handshakes of one interface: which are wanted, which one runs, what peers' timers ask for.

One generator runs at a time, one X25519 a step, so packets turn in between. Initiations of ours and
messages of others take turns, so that neither a flood of them nor a thousand peers of ours starves
the other.
"""

import struct

from tunlite import endpoints
from tunlite.control import established, initiations, shakes
from tunlite.plane import plane as planes
from tunlite.protocol import noise, schedule, wire

_LAYER_3 = ((0, 0), b"")  # terms, and what its messages say besides


class Exchange(initiations.Initiations):
    """`owner` is an Interface: it has port, plane, log, timers, stamps, noise, me, peers, rekey_ms,
    pad, modes, listening, listeners, can_shake(peer), may_begin(peer), resolve_again(peer)."""

    def __init__(self, owner):
        super().__init__(owner)
        self._ring = False  # C has messages for us
        self._job = None
        self._turn_of_ring = False
        self.refused = {}  # reason -> count

    # ---- the queue ----

    def ring_filled(self):
        self._ring = True

    def busy(self):
        """Is there a step to make?"""
        if self._job is not None or self._ring or self.queue:
            return True
        admission = self.owner.admission
        return admission is not None and admission.has_job(self.now_ms)

    def step(self, now_ms):
        """At most one X25519."""
        self.now_ms = now_ms
        if self._job is None:
            self._job = self._next_job()
        job = self._job
        if job is None:
            return
        self._job = None
        try:
            next(job)
            self._job = job
        except StopIteration:
            pass
        except noise.HandshakeError as e:
            self.refuse(e.args[0])

    def _next_job(self):
        for _ in range(2):
            self._turn_of_ring = not self._turn_of_ring
            if self._turn_of_ring:
                found = self.plane.handshake() if self._ring else None
                if found is not None:
                    return self._receive(*found)
                self._ring = False
            elif self.queue:
                return self.initiate(self.queue.pop(0))
        admission = self.owner.admission
        return admission.next_job(self.now_ms) if admission is not None else None

    def stop(self):
        """Nothing runs or waits any more."""
        if self._job is not None:
            self._job.close()
            self._job = None
        for peer in self.queue:
            peer.shakes.unqueued()
        self.queue = []
        if self.owner.admission is not None:
            self.owner.admission.stop()

    def refuse(self, why):
        self.refused[why] = self.refused.get(why, 0) + 1
        self.owner.log.debug("a handshake message was refused: " + why, "refused")

    def forget_index(self, index):
        self.indices.pop(index, None)

    # ---- theirs ----

    def _receive(self, record, message, proved):
        if self.owner.me is None or not self.owner.listening:
            return
        kind = message[0]
        if kind == wire.INITIATION and len(message) != self.owner.initiation_size:
            self._tell_of_layer(record)
        elif kind == wire.INITIATION and self.owner.draining:
            self.refuse("draining")
        elif kind == wire.INITIATION:
            yield from self._receive_initiation(record, message, proved)
        elif kind == wire.RESPONSE:
            yield from self._receive_response(record, message)
        elif kind == wire.COOKIE:
            self.receive_cookie(message)

    def _tell_of_layer(self, record):
        """An initiation of the other layer: C counts them, and hands us one a minute."""
        log = self.owner.log
        mine = self.plane.layer
        log.info(
            f"{log.outer(endpoints.text(record))} begins a handshake of layer {5 - mine}, this is"
            f" layer {mine}: write the same Layer at both ends"
        )

    def _receive_initiation(self, record, message, proved):
        owner = self.owner
        me = owner.me
        state, public = yield from noise.read_static(owner.noise, me, message)
        taken = False
        try:
            peer = owner.find_known(public)
            if peer is None:
                admission = owner.admits()
                if admission is None:
                    raise noise.HandshakeError("from an unknown peer")
                admission.check(public, record, message, proved)
                admission.came(public, state, record, message)
                taken = True
                return
            if owner.limits is not None and owner.limits.refuses(peer):
                raise noise.HandshakeError(owner.limits.OVER)
            payload = yield from noise.read_payload(state, me, peer, message)
            if owner.me is not me or not owner.can_shake(peer):
                self.forget_removed(peer)
                return
            yield from self.respond(state, peer, payload, record)
        finally:
            if not taken:
                state.wipe()

    def respond(self, state, peer, payload, record):
        """Answers an initiation that was read, and came from there; the state is the caller's."""
        owner = self.owner
        me = owner.me
        index = None
        session = None
        try:
            judged = self._judge(peer, payload)
            if judged is None:
                return
            terms, said = judged
            if owner.modes is None:
                peer.where.heard()
                self._heard_of(peer, record, wire.INITIATION_SIZE)
            index = self.plane.index_new(peer.handle)
            answer = yield from noise.respond(state, peer, index, said)
            if owner.me is not me or not owner.can_shake(peer):
                return
            peer.cookies.add_macs(self.port, answer, peer.public, self.now_ms)
            if not terms:
                self.plane.send(peer.handle, record, answer)
                return
            session = self._session(state, False, terms)
            self.plane.session_new(session)
            peer.sessions.add(index, False, self.now_ms)
            if owner.modes is not None:
                peer.sessions.agreed(terms, False)
            self.indices[index] = peer
            index = None
            self.plane.send(peer.handle, record, answer)
            peer.shakes.answered(self.now_ms)
            self._derived(peer)
            peer.arm()
        finally:
            self._wipe_session(session)
            if index is not None and peer.alive:
                self.plane.index_free(index)

    def _judge(self, peer, payload):
        """(terms, what the response says besides) for an initiation's payload; None: it is not
        answered, terms None: it is, and makes no session."""
        stamp = payload[: wire.STAMP_SIZE]
        why = peer.shakes.why_refused(stamp, self.now_ms)
        if why is not None:
            self.refuse(why)
            return None
        judged = _LAYER_3
        if self.owner.modes is not None:
            judged = self.owner.modes.answer(peer, payload[wire.STAMP_SIZE :])
            if judged[0] is None:
                self.refuse("of a mode that is not taken")
                return judged if peer.shakes.may_refuse(stamp, self.now_ms) else None
        peer.shakes.came(stamp, self.now_ms)
        return judged

    def _receive_response(self, record, message):
        owner = self.owner
        me = owner.me
        index = bytes(message[8:12])
        peer = self.indices.get(index)
        attempt = peer.shakes.attempt_of(index) if peer is not None else None
        if attempt is None:
            self.refuse("no one waits for it")
            return
        state = yield from noise.consume_response(owner.noise, me, peer, attempt.state, message)
        try:
            if not peer.alive or owner.me is not me or peer.shakes.attempt_of(index) is None:
                return
            terms = _LAYER_3[0]
            if owner.modes is not None:
                terms = owner.modes.heard(state.payload)
            is_one_of_many = self.answered(peer, attempt)
            peer.where.heard()
            self._heard_of(peer, record, len(message))
            owner.stamps.answered(peer.stamps)
            if attempt.kind & shakes.MEASURED:
                self.measured(peer, index)
            elif terms[0] != attempt.mode:
                self.turned_down(peer, attempt, terms[0])
            else:
                self._use(peer, state, terms, is_one_of_many)
            self.look_on(peer)
            peer.arm()
            self.tell_measure(peer, self.now_ms - attempt.left_ms)
        finally:
            state.wipe()

    def _use(self, peer, state, terms, is_one_of_many):
        """A response of theirs makes a session, which sends at once."""
        session = self._session(state, True, terms)
        try:
            self.plane.session_new(session)
        finally:
            self._wipe_session(session)
        peer.sessions.add(state.index, True, self.now_ms)
        self._derived(peer)
        self._completed(peer)
        before = self.plane.state(peer.handle)
        if is_one_of_many:
            peer.shakes.doubts(before[planes.RECEIVED_ANY])
        if self.owner.modes is not None:
            peer.sessions.agreed(terms, True)
            self.owner.modes.sends(peer, terms)
        self.plane.session_use(state.index)
        if not before[planes.STAGED]:
            # They cannot send before they heard from us.
            self.plane.keepalive(peer.handle)
        self._heard(peer)
        self._is_met(peer)

    def _heard_of(self, peer, record, size):
        self.plane.heard(peer.handle, record, size)
        if peer.member is not None:
            peer.member.shaken(self.plane.state(peer.handle)[planes.RECEIVED_ANY])

    def _is_met(self, peer):
        """A session with it was made: it may be what its group looks for."""
        choice = peer.group.choice if peer.member is not None else None
        if choice is not None:
            choice.answered(peer.member, self.now_ms)

    def _session(self, state, initiator, terms):
        owner = self.owner
        record = planes.session_record(
            state.index, state.remote, self.now_ms, initiator, owner.pad, owner.rekey_ms, terms[0]
        )
        state.session_keys(memoryview(record)[16:80], initiator)
        return record

    def _wipe_session(self, record):
        if record is not None:
            self.plane.native.tl_wipe(record, len(record))

    # ---- what happened to a peer ----

    def _derived(self, peer):
        when_ms = self.now_ms + wire.ZERO_MS
        peer.sessions.end_at(when_ms)
        self.set_timer(peer, when_ms)

    def _completed(self, peer):
        self.unqueue(peer)
        peer.where.round_ended()
        peer.shakes.complete(self.now_ms, self.port.wall_ns()[0])

    def _heard(self, peer):
        """On a new session."""
        limits = self.owner.limits
        if limits is not None and limits.refuses(peer):
            # Others came between its initiation and its first packet.
            peer.ends("peer limit")
            return
        established.heard(peer, self.now_ms)
        if self.owner.admission is not None and peer.origin == "admitted":
            self.owner.admission.guests.shaken(peer, self.now_ms)
        self.set_timer(peer, peer.established.lasts_ms)

    def _confirm(self, peer):
        if self.owner.modes is not None and peer.sessions.next is not None:
            self.owner.modes.confirmed(peer)
        return peer.sessions.confirm()

    def event(self, peer, events, now_ms):
        """Bits of plane.py's events for a peer."""
        self.now_ms = now_ms
        if events & planes.CONFIRMED and self._confirm(peer):
            peer.drop_attempts(peer.shakes.for_sessions())
            self._completed(peer)
            self.forget_index(peer.sessions.current)
            self._heard(peer)
            self._is_met(peer)
            # What was staged goes by this session; an older one's age is no matter any more.
            events &= ~(planes.WANTS_SESSION | planes.REKEY)
        if events & planes.ACTIVE:
            peer.plan.looked(now_ms, False)
            self.set_timer(peer, now_ms + schedule.CHECK_MS)
            self.look_on(peer)
        if events & (planes.WANTS_SESSION | planes.REKEY):
            self.want(peer, True)
        if peer.member is not None:
            self._member_event(peer, events)
        if peer.path is not None:
            peer.path.event(events, now_ms)
        if events & planes.ROAMED:
            self.owner.ways.endpoint_is_new(peer)
        peer.arm()

    def _member_event(self, peer, events):
        choice = peer.group.choice
        if events & planes.ECHO:
            peer.member.echoed(self.now_ms)
        if events & planes.WANTS_SESSION:
            peer.member.wanted(self.now_ms)
        if choice is not None and choice.used is not None:
            if events & planes.WANTS_SESSION:
                choice.wants(peer.member, self.now_ms)
            elif events & (planes.ACTIVE | planes.ECHO):
                choice.run(self.now_ms)

    def forget_removed(self, peer):
        """A handshake that ran while its peer was removed has computed what was wiped by then."""
        if not peer.alive:
            peer.forget_static(self.port.native)

    def set_timer(self, peer, when_ms):
        if peer.timer.timer_ms is None or when_ms < peer.timer.timer_ms:
            self.owner.timers.set(peer.timer, when_ms)

    # ---- the peer's one timer ----

    def look_soon(self, peer, now_ms):
        """Something of the peer changed: its timer decides at once."""
        self.set_timer(peer, now_ms)

    def check(self, peer, now_ms):
        """The timer expired: does what is due and sets the next deadline."""
        self.now_ms = now_ms
        if not peer.alive or not self.owner.listening:
            return
        # Looked at again even if this look fails.
        self.owner.timers.set(peer.timer, now_ms + schedule.CHECK_MS)
        peer.sessions.drop_parting(now_ms)
        checked = peer.plan.checked_ms
        actions, _ = self._due(peer, checked)
        if actions & ~schedule.WATCH:
            self._act(peer, actions)
        # Armed before the stamps are read: with workers, packets turn meanwhile.
        peer.plan.looked(now_ms, actions & schedule.WATCH != 0)
        peer.arm()
        _, deadline = self._due(peer, checked)
        when_ms = self.go_on(peer)
        if when_ms and (deadline is None or when_ms < deadline):
            deadline = when_ms
        self.owner.timers.set(peer.timer, deadline)

    def _due(self, peer, checked_ms):
        state = self.plane.state(peer.handle)
        plan = peer.plan
        numbers = (
            checked_ms,
            peer.shakes.retry_ms,
            peer.shakes.attempts,
            peer.established.lasts_ms,
            peer.sessions.zero_ms,
            0 if peer.standby else plan.persistent_s * 1000,
            plan.tried_ms,
            plan.fired_ms,
            plan.jitter_ms,
        )
        stamps = state[planes.SENT_ANY : planes.STAGED]
        # Nobody who is shut out is owed a keepalive, which could not leave.
        return schedule.due(self.now_ms, (0,) * len(stamps) if peer.blocked else stamps, numbers)

    def _act(self, peer, actions):
        if actions & schedule.SILENT:
            established.left(peer, "silent")
        if actions & schedule.ZERO:
            peer.ends("silent")
        if actions & schedule.GIVE_UP:
            self._give_up(peer)
        if actions & schedule.RETRY:
            self._retry(peer)
        if actions & schedule.NEW_HANDSHAKE:
            peer.plan.fired(self.now_ms, self.jitter_ms())
            self._forget_source(peer)
            self.want(peer, True)
        if actions & (schedule.KEEPALIVE | schedule.PERSISTENT):
            peer.plan.tried(self.now_ms)
            if not self.plane.keepalive(peer.handle):
                self.want(peer, True)
            if actions & schedule.PERSISTENT and peer.member is not None:
                self._member_event(peer, planes.ACTIVE)

    def _retry(self, peer):
        peer.shakes.retried()
        if peer.shakes.attempts > 0:
            self._forget_source(peer)
        self.begin(peer, True)

    def _give_up(self, peer):
        peer.shakes.gave_up()
        peer.where.round_ended()
        peer.drop_attempts(peer.shakes.for_sessions())
        self.plane.flush(peer.handle)
        if not peer.sessions.zero_ms:
            peer.sessions.end_at(self.now_ms + wire.ZERO_MS)
        self.owner.resolve_again(peer)

    def _forget_source(self, peer):
        """The way to the peer may have changed: the kernel chooses our address anew."""
        record = self.plane.endpoint_of(peer.handle)
        if struct.unpack_from("<H", record, 0)[0]:
            self.plane.peer_endpoint(peer.handle, endpoints.without_source(record))
