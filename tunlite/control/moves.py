# SPDX-License-Identifier: MIT
"""How far a group is on its way from one member to another: a search after a death, which takes the
first that answers, and a planned move to one member."""

from tunlite.protocol import wire

NEXT_MS = 1000  # a candidate that has not answered by then: the next one begins beside it
AGAIN_MS = 1000  # an unanswered ask of a planned move
BACK_ASKS = 7  # `order` back to an earlier member: one each ten seconds, for a minute
BACK_MS = 10_000
_PATIENCE_MS = 11_000  # for an answer, at least: two asks, of 5 s each
ASKED_MS = 2 * wire.INITIATION_SPACING_MS  # after an answered ask: or a near one drops the next

ASK = 0  # an initiation whose answer is thrown away
SESSION = 1
PROOF = 2  # an echo comes back on it, where members answer such


class Search:
    """Members of `row` are asked in turn, for as long as nobody answers."""

    def __init__(self, row, now_ms, for_session=False):
        self.row = row
        self.for_session = for_session  # the one in use has none; else it is silent
        self.began_ms = self.next_ms = now_ms
        self._at = 0
        self._ahead_ms = 0

    def went_ahead(self, member, when_ms):
        """It was asked, or answered, at that time: it comes first, and its second is as old."""
        ahead_ms = self.began_ms - when_ms
        if member in self.row and ahead_ms < NEXT_MS:
            self.row.remove(member)
            self.row.insert(0, member)
            self._ahead_ms = ahead_ms

    def asks(self, now_ms):
        """The member whose turn it is."""
        member = self.row[self._at % len(self.row)]
        self._at += 1
        if not member.asked_ms:
            member.ask(now_ms - self._ahead_ms)
        self.next_ms = now_ms + NEXT_MS - self._ahead_ms
        self._ahead_ms = 0
        return member

    def joined(self, members):
        self.row = self.row + members

    def left(self, member):
        self.row = [other for other in self.row if other is not member]

    def late(self, now_ms):
        """Who was asked and had its time to answer."""
        return [m for m in self.row if m.asked_ms and now_ms - m.asked_ms >= NEXT_MS]

    def end(self):
        """Who was asked."""
        asked = [member for member in self.row if member.asked_ms]
        for member in asked:
            member.ask(0)
        return asked


class Move:
    """To `member`. `rules` as Choice has them."""

    def __init__(self, rules, member, why, now_ms, asks=1):
        self.member = member
        self.why = why
        self.stage = ASK
        self.made_ms = 0
        self._rules = rules
        self._asks = asks
        self._waits_from(now_ms)

    def _waits_from(self, when_ms):
        """The member has its time for an answer from then on."""
        self.next_ms = when_ms
        self.ends_ms = when_ms + max(self._rules.fail_ms, _PATIENCE_MS)

    def asks(self, hands, echo_ms, now_ms):
        """What its stage wants of the member leaves."""
        peer = self.member.peer
        every_ms = AGAIN_MS
        if self.stage == ASK:
            hands.ask(peer)
        elif self.stage == SESSION:
            self.member.call(True)
            hands.shake(peer)
        else:
            every_ms = echo_ms
            hands.echo(peer)
        self.next_ms = now_ms + every_ms

    def was_answered(self, now_ms):
        """An ask was; the next one, or a session."""
        if self.stage != ASK:
            return
        self._asks -= 1
        if self._asks:
            self._waits_from(now_ms + BACK_MS)
        else:
            self.stage = SESSION
            self._waits_from(now_ms + ASKED_MS)

    def has_session(self, now_ms):
        if self.stage == SESSION:
            self.stage = PROOF
            self.made_ms = now_ms
            self._waits_from(now_ms)

    def is_proved(self, hands, by_echo):
        """`by_echo`: members answer such, so that one must be back on the new session."""
        if self.stage != PROOF:
            return False
        peer = self.member.peer
        is_wanted = by_echo and hands.echoes(peer)
        return not is_wanted or hands.echoed_ms(peer) >= self.made_ms
