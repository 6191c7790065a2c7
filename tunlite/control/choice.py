# SPDX-License-Identifier: MIT
"""Which member of a group with a Limit is used, and how another one comes to be: after a death the
first that answers, on a planned move one that has proved itself (control.md, "Groups").

Clock and chance come in; what is done goes out through `hands` (hands.py, or a test's).
"""

from tunlite.control import liveness, moves, preference

_OVER_MS = 90_000  # of silence, with nothing sent any more: as a handshake gives up
_CHANGES_MS = 10_000
_HEALTH_MS = 10_000
_ILL = 3  # failures of HealthCommand in a row
_ALL_ILL = "HealthCommand fails at every member that answers"
_REKEY_MS = 15_000  # a rekey that is unanswered for so long, though data comes
_LOOK_MS = 5000  # at the latest, while data flows


class Choice:
    """`hands` is a Hands, or a test's. `rules` has choose, fail_ms and health. Members are
    liveness.Member. `is_proven`: it is known that they answer echoes."""

    losses = 0  # of all members, those that left included

    def __init__(self, hands, rules, is_proven=False):
        self.hands = hands
        self.rules = rules
        self.members = []
        self.used = None
        self.since_ms = 0
        self.why = ""
        self.moves = {}  # why -> how often
        self.trouble = ""  # what is to be seen
        self.is_held = False  # `use`: until it loses
        self.is_proven = is_proven  # an echo was answered, by any member since the start
        self.silence = liveness.Silence()
        self.search = None
        self.move = None
        self._due_ms = None
        self.preference = preference.Preference(hands, rules)
        self._changed_ms = 0
        self._health_ms = self._failures = 0
        self._ahead = (None, 0)  # who was asked while the one in use was not dead yet, and when
        self._first = None  # that answered handshakes and no echo
        self._is_settled = False  # none answers echoes: handshakes judge

    # ---- what happened ----

    def changed(self, members, now_ms):
        """members: all, in the file's order."""
        joined = [member for member in members if member not in self.members]
        self.members = members
        if self.used not in members:
            self._stop()
            self.used = None
            self.is_held = False
            if members:
                self.preference.begin(now_ms)
                self._switch(self.row(now_ms)[0], "first", now_ms)
        else:
            if self.search is not None:
                self.search.joined(joined)
            self.hands.use(self.used, self.used, "")
        self.run(now_ms)

    def left(self, member):
        """It is no member any more; changed() follows at the end of the change set."""
        self.members = [other for other in self.members if other is not member]
        if self.search is not None:
            self.search.left(member)
        if self.move is not None and self.move.member is member:
            self.is_held = self.is_held and self.move.why != "use"
            self.move = None

    def wants(self, member, now_ms):
        """A packet waits and no session can send it; a handshake begins already."""
        if member is self.used and self.search is None and len(self.members) > 1:
            self.search = moves.Search([member] + self._others(now_ms), now_ms, True)
            self.search.asks(now_ms)
        self.run(now_ms)

    def answered(self, member, now_ms):
        """A session was made with it, which we began."""
        if self.move is not None and self.move.member is member:
            self.move.has_session(now_ms)
        elif self.search is not None and member is not self.used and member in self.members:
            self._found(member, now_ms)
        elif self.search is not None and self.search.for_session:
            self._end_search()
        self.run(now_ms)

    def thrown(self, member, rtt_ms, now_ms):
        """The answer to an ask came."""
        member.measured(rtt_ms)
        if member is self._ahead[0]:
            self._ahead = (member, now_ms)
        if self.move is not None and self.move.member is member:
            self.move.was_answered(now_ms)
        self.run(now_ms)

    def woke(self, now_ms):
        """We slept, or were stopped: nobody was silent meanwhile, and nobody has lost."""
        self._forget()
        self.silence.begin(now_ms)
        if self.search is not None:
            self._stop()
            self.search = moves.Search([self.used] + self._others(now_ms), now_ms)

    def _forget(self):
        for member in self.members:
            member.forget()

    def network_changed(self, now_ms):
        """Our own way may be another: nobody has lost, and who is silent is asked anew, once where
        changes come and come."""
        self._forget()
        if self.search is not None and now_ms - self._changed_ms >= _CHANGES_MS:
            self._changed_ms = now_ms
            self._end_search()
            self.hands.shake(self.used.peer)
            self.search = moves.Search(self._others(now_ms) + [self.used], now_ms)
        self.run(now_ms)

    def stop(self):
        """The link is down."""
        self._stop()
        self.silence.begin(0)
        self._at(None)

    def hold(self, member, now_ms):
        """`use`: None lets the rules choose again."""
        self.is_held = member is not None
        self.trouble = ""
        if member is not None and member is not self.used:
            self._begin(moves.Move(self.rules, member, "use", now_ms))
        self.run(now_ms)

    def checked(self, member, is_well, now_ms):
        """HealthCommand has ended."""
        if member is not self.used:
            return
        if is_well:
            self._failures = 0
            if self.trouble == _ALL_ILL:
                self.trouble = ""
            for other in self.members:
                other.recovers()
            return
        self._failures += 1
        if self._failures >= _ILL:
            self._is_ill(now_ms)
            self.run(now_ms)

    def _is_ill(self, now_ms):
        """Another is used; if it fails at every member, the one that answers probes is kept until
        a failure that was told of another is old."""
        self.used.falls_ill(now_ms)
        row = self.row(now_ms)
        well = [m for m in row if not m.is_ill(now_ms) and not m.is_loser(now_ms)]
        if not well:
            self.trouble = _ALL_ILL
        elif self.search is None and self.move is None:
            self._begin(moves.Move(self.rules, well[0], "health", now_ms))

    # ---- what is due ----

    def run(self, now_ms):
        """Does what is due, and says when it is to be called again."""
        if self.used is not None and self.used not in self.members:
            self._at(None)  # changed() follows
            return
        if self._due_ms is not None and now_ms - self._due_ms > liveness.AWAY_MS:
            self.woke(now_ms)
        times = []
        if self.used is not None:
            times = [self._renew(now_ms), self._judge(now_ms), self._seek_on(now_ms)]
            times += [self._plan(now_ms), self._check(now_ms), self._move_on(now_ms)]
        times = [when_ms for when_ms in times if when_ms is not None]
        self._at(min(times) if times else None)

    def _at(self, when_ms):
        self._due_ms = when_ms
        self.hands.wake_at(when_ms)

    def fail_ms(self, peer):
        """FailAfter as it counts."""
        echoes_judge = self.hands.echoes(peer) and not self._is_settled
        return max(self.rules.fail_ms, 0 if echoes_judge else liveness.LEAST_SHAKEN_MS)

    def _judge(self, now_ms):
        """Is the one in use alive? When that is to be asked again."""
        peer = self.used.peer
        silence = self.silence
        first_ms, sent_ms, received_ms = self.hands.stamps(peer)
        silence.look(first_ms, sent_ms, received_ms, self.used.shaken_ms)
        echoes = self.hands.echoes(peer)
        if echoes and not self.is_proven and self.hands.echoed_ms(peer):
            self._proves()
        dying_ms = silence.mute_ms if echoes and self.is_proven else silence.quiet_ms
        since_ms = silence.mute_ms if echoes and not self._is_settled else dying_ms
        if not dying_ms and self.search is not None and not self.search.for_session:
            self._end_search()
        fail_ms = self.fail_ms(peer)
        if not since_ms:
            return self._is_alive(now_ms, fail_ms)
        if now_ms - max(since_ms, sent_ms) > _OVER_MS:
            silence.give_up(now_ms)
            self._end_search()
            return None
        return self._is_silent((since_ms, dying_ms, fail_ms), echoes, now_ms)

    def _is_silent(self, times, echoes, now_ms):
        since_ms, dying_ms, fail_ms = times
        if now_ms - since_ms < fail_ms // 3:
            return since_ms + fail_ms // 3
        when_ms = self._probe(echoes, fail_ms, now_ms)
        if self.search is not None or self.move is not None and not dying_ms:
            return when_ms
        if dying_ms and now_ms - dying_ms >= fail_ms:
            self._seek(now_ms)
        elif now_ms - since_ms < fail_ms:
            if since_ms == dying_ms and fail_ms < 2 * moves.NEXT_MS:
                self._ask_ahead(dying_ms + fail_ms // 2, now_ms)
            return min(when_ms, since_ms + fail_ms)
        elif self.move is None and not self._is_settled:
            self._shakes_alone(now_ms)
        return when_ms

    def _ask_ahead(self, when_ms, now_ms):
        """Where FailAfter is short, a candidate's second begins before it ends: if that one is dead
        too, the next need not wait for it."""
        if self._ahead[1] < when_ms <= now_ms and len(self.members) > 2 and self.move is None:
            first = self._others(now_ms)[0]
            self._ahead = (first, now_ms)
            self.hands.ask(first.peer)

    def _is_alive(self, now_ms, fail_ms):
        """When to look again. A rekey that is not answered is one by a gateway that is about to
        go."""
        unmet_ms = self.silence.unmet_ms
        if unmet_ms and now_ms - unmet_ms >= _REKEY_MS and self._is_free():
            first = self._others(now_ms)[0]
            self._begin(moves.Move(self.rules, first, "rekey", now_ms))
        return now_ms + min(fail_ms // 3, _LOOK_MS) if self.hands.active(self.used.peer) else None

    def _is_free(self):
        return self.move is None and self.search is None and len(self.members) > 1

    def _renew(self, now_ms):
        """A session that is to be replaced is asked for each second before anybody is judged by
        that: of three times, 5 s apart, all are lost now and then. When it is next."""
        silence = self.silence
        silence.rekeys(self.hands.rekey_ms(self.used.peer), now_ms)
        span_ms = now_ms - silence.unmet_ms
        if not silence.unmet_ms or span_ms >= _REKEY_MS or not self._is_free():
            return None
        if span_ms < liveness.SHAKE_MS:
            return silence.unmet_ms + liveness.SHAKE_MS
        return self._shake(liveness.SHAKE_MS, now_ms)

    def _probe(self, echoes, fail_ms, now_ms):
        """What is due of probes leaves; when the next one is."""
        peer = self.used.peer
        silence = self.silence
        times = []
        if echoes:
            if now_ms >= silence.probe_ms + fail_ms // 15:
                silence.probed(now_ms)
                self.used.probed()
                self.hands.echo(peer)
            times.append(silence.probe_ms + fail_ms // 15)
        if not echoes or not self.is_proven:
            shook_ms = silence.shake_ms
            times.append(self._shake(max(liveness.SHAKE_MS, fail_ms // 15), now_ms))
            if not echoes and silence.shake_ms != shook_ms:
                self.used.probed()
        return min(times)

    def _shake(self, every_ms, now_ms):
        """A handshake with the one in use, if it is due; when the next one is."""
        if now_ms >= self.silence.shake_ms + every_ms:
            self.silence.shook(now_ms)
            self.hands.shake(self.used.peer)
        return self.silence.shake_ms + every_ms

    # ---- echoes that nobody answers ----

    def _proves(self):
        self.is_proven = True
        self._is_settled = False
        self._first = None
        for member in self.members:
            member.try_once(False)
        self.trouble = ""

    def probes_elsewhere(self):
        """ProbeAddress is another one: what earlier echoes told of members holds no more."""
        self._proves()
        self.is_proven = False

    def _shakes_alone(self, now_ms):
        """The one in use answers handshakes and no echo. Each member not yet tried is; if none
        answers echoes, it is no gateway's fault and the first of them is kept."""
        self.used.try_once(True)
        self._first = self._first or self.used
        left = [m for m in self.row(now_ms) if not m.tried and not m.is_loser(now_ms)]
        if not left:
            self._is_settled = True
            self.trouble = "no member answers ProbeAddress: handshakes judge"
            left = [self._first] if self._first in self.members else []
        if left and left[0] is not self.used:
            self._begin(moves.Move(self.rules, left[0], "echo", now_ms))

    # ---- after a death ----

    def row(self, now_ms):
        return self.preference.row(self.members, now_ms)

    def _others(self, now_ms):
        return [m for m in self.row(now_ms) if m is not self.used]

    def _seek(self, now_ms):
        """The others first, the one in use last; who is being moved to before all."""
        row = self._others(now_ms) + [self.used]
        if self.move is not None:
            self.is_held = self.is_held and self.move.why != "use"
            if self.move.member in row:  # else it is new, by a set that has not ended
                row.remove(self.move.member)
                row.insert(0, self.move.member)
            self._end_move()
        if len(row) > 1:
            self.search = moves.Search(row, now_ms)
            self.search.went_ahead(self._ahead[0], self._ahead[1])

    def _seek_on(self, now_ms):
        search = self.search
        if search is None:
            return None
        if search.for_session and now_ms - search.began_ms > _OVER_MS:
            self._end_search()
            return None
        if now_ms >= search.next_ms:
            member = search.asks(now_ms)
            member.call(True)
            self.hands.begin(member.peer)
        return search.next_ms

    def _found(self, member, now_ms):
        """The others that were asked had their second: they lose, with the one that was used."""
        for asked in self.search.late(now_ms):
            if asked is not member and asked is not self.used:
                self._lose(asked, now_ms)
        self._lose(self.used, now_ms)
        self._switch(member, "silent", now_ms)

    def _lose(self, member, now_ms):
        self.losses += 1
        member.lose(now_ms)

    def _end_search(self):
        if self.search is not None:
            for member in self.search.end():
                self._rest(member)
            self.search = None

    def _rest(self, member):
        """Nothing of ours goes on with it, where it is not in use."""
        if member is not self.used:
            member.call(False)
            self.hands.rest(member.peer)

    def _end_move(self):
        if self.move is not None:
            member = self.move.member
            self.move = None
            self._rest(member)

    def _stop(self):
        self._end_search()
        self._end_move()

    def _switch(self, member, why, now_ms):
        old = self.used
        self.used = member
        self.since_ms = now_ms
        self.why = why
        self.moves[why] = self.moves.get(why, 0) + 1
        self.is_held = self.is_held and why == "use"
        self.silence.begin(now_ms)
        self._failures = 0
        self._health_ms = now_ms + _HEALTH_MS
        member.call(True)
        self.hands.use(old, member, why)
        self._stop()
        if old is not None:
            self._rest(old)

    # ---- planned moves ----

    def _begin(self, move):
        self._end_move()
        self.move = move

    def _move_on(self, now_ms):
        move = self.move
        if move is None or self.rules.is_new:
            return None  # who is new has no routes before the end of its change set
        if now_ms >= move.ends_ms:
            self._fails(now_ms)
            return now_ms
        if move.is_proved(self.hands, self.is_proven):
            if move.why in ("rekey", "health"):
                self._lose(self.used, now_ms)
            self._switch(move.member, move.why, now_ms)
            return now_ms
        if now_ms >= move.next_ms:
            move.asks(self.hands, self.rules.fail_ms // 15, now_ms)
        return min(move.next_ms, move.ends_ms)

    def _fails(self, now_ms):
        """A candidate that fails changes nothing and counts as a loss, unless nobody answers."""
        move = self.move
        if not self.silence.quiet_ms:
            self._lose(move.member, now_ms)
        if move.why == "use":
            self.is_held = False
            self.trouble = "use: the peer does not answer"
        self._end_move()

    def _plan(self, now_ms):
        """Begins what the rule wants; when it may want something."""
        if not self.hands.placed(self.used.peer):
            placed, when_ms = self.preference.placed(self.members, now_ms)
            if placed is not None:
                self._switch(placed, "address", now_ms)
            return when_ms
        if self.move or self.search or self.is_held or len(self.members) < 2:
            return None
        move, when_ms = self.preference.wants(self.members, self.used, now_ms)
        if move is not None:
            self._begin(move)
        return when_ms

    def _check(self, now_ms):
        if not self.rules.health or len(self.members) < 2:
            return None
        if now_ms >= self._health_ms:
            self._health_ms = now_ms + _HEALTH_MS
            quiet_ms = self.silence.quiet_ms
            # What is on its way is no silence.
            speaks = not quiet_ms or now_ms - quiet_ms < self.fail_ms(self.used.peer) // 3
            if speaks and self.hands.placed(self.used.peer):
                self.hands.check(self.used)
        return self._health_ms
