# SPDX-License-Identifier: MIT
"""Which member the rule of a group prefers: in which order they are tried, and to which it moves
while the one in use is well, or nowhere (control.md, "Groups")."""

from tunlite.control import moves

_DRAW_MS = 12 * 3_600_000  # the least; and as much again twice
_NOWHERE_MS = 2000  # that names get to be resolved, so that the first one is not everybody's
_MEASURE_MS = 600_000
_ANSWERS_MS = 5000  # that measured members get


class Preference:
    """`hands` and `rules` as Choice has them."""

    def __init__(self, hands, rules):
        self._hands = hands
        self._rules = rules
        self.draw_ms = self._nowhere_ms = 0
        self._measure_ms = self._weigh_ms = 0

    def begin(self, now_ms):
        """Members are used for the first time."""
        self.draw_ms = self._next_draw(now_ms)
        self._nowhere_ms = now_ms + _NOWHERE_MS

    def _next_draw(self, now_ms):
        return now_ms + _DRAW_MS + 2 * self._hands.below(_DRAW_MS)

    def row(self, members, now_ms):
        """The members in the order in which they are tried: losers last."""
        rank = []
        for m in members:
            place = m.serial
            if self._rules.choose == "random":
                place = self._hands.below(1 << 16)
            elif self._rules.choose == "nearest":
                place = m.rtt_ms or 1 << 20
            lost_ms = m.lost_ms if m.is_loser(now_ms) else 0
            rank.append((not self._hands.placed(m.peer), lost_ms, place, m.serial, m))
        rank.sort()
        return [row[4] for row in rank]

    def placed(self, members, now_ms):
        """The one in use has no address: (another that has one, after a while, or None; when)."""
        placed = [m for m in self.row(members, now_ms) if self._hands.placed(m.peer)]
        if not placed:
            return None, None
        if now_ms >= self._nowhere_ms:
            return placed[0], now_ms
        return None, self._nowhere_ms

    def wants(self, members, used, now_ms):
        """(a Move or None, when that is to be asked again, or None)"""
        members = [m for m in members if self._hands.placed(m.peer)]
        if self._rules.choose == "random":
            return self._wants_random(members, used, now_ms)
        if not self._hands.active(used.peer):
            return None, None  # nobody is to be better served: an idle tunnel wakes for nothing
        if self._rules.choose == "order":
            return self._wants_order(members, used, now_ms)
        return self._wants_nearest(members, used, now_ms)

    def _to(self, member, why, now_ms, asks=1):
        return moves.Move(self._rules, member, why, now_ms, asks)

    def _wants_random(self, members, used, now_ms):
        """The day's draw, of all: whoever it hits is asked whether it is there."""
        move = None
        if now_ms >= self.draw_ms:
            self.draw_ms = self._next_draw(now_ms)
            drawn = members[self._hands.below(len(members))]
            if drawn is not used and not drawn.is_loser(now_ms):
                move = self._to(drawn, "draw", now_ms)
        return move, self.draw_ms

    def _wants_order(self, members, used, now_ms):
        """Back to an earlier one, once its loss has run out and it was there for a minute."""
        earlier = [m for m in members if m.serial < used.serial]
        back = [m for m in earlier if not m.is_loser(now_ms)]
        if back:
            return self._to(back[0], "order", now_ms, moves.BACK_ASKS), now_ms
        return None, min([m.lost_ms for m in earlier]) if earlier else None

    def _wants_nearest(self, members, used, now_ms):
        if self._weigh_ms:
            if now_ms < self._weigh_ms:
                return None, self._weigh_ms
            self._weigh_ms = 0
            best = self.row(members, now_ms)[0]
            # What differs by less is the day's weather.
            is_near = best.rtt_ms and 10 * best.rtt_ms < 7 * (used.rtt_ms or 1 << 20)
            if best is not used and is_near and not best.is_loser(now_ms):
                return self._to(best, "nearest", now_ms), now_ms
        if now_ms >= self._measure_ms:
            self._measure_ms = now_ms + _MEASURE_MS
            self._weigh_ms = now_ms + _ANSWERS_MS
            for member in members:
                self._hands.ask(member.peer)
            return None, self._weigh_ms
        return None, self._measure_ms
