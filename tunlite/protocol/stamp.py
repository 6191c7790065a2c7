# SPDX-License-Identifier: MIT
"""The time in a handshake, which goes back for no peer (protocol.md, "Stamps").

Gateways drop an initiation whose stamp is not past the last one they saw of that key, in silence;
routers without a clock boot in the past. So two numbers are kept for each own public key:
`given`, a stamp that was given (0: none whose answer we know of), and `reserve`, ahead of what is
given without a clock; and the boot of the last leap. All times here are nanoseconds since 1970.
"""

TICK = 1 << 24
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
RELEASED = 1_795_132_800 * SECOND  # 2026-11-20; moves with each release

BELIEF = 30 * DAY  # how far past the mark a clock may be that nobody synchronised
AHEAD_OF_STAMP = 290 * SECOND  # 17,280 ticks: a day of one initiation every 5 s
UNANSWERED = 3
LEAP = HOUR
LEAP_UNPROVEN = 30 * DAY  # the file may be new because an older one was lost
LEAPS_END = RELEASED + 3 * 365 * DAY


def tai64n(ns):
    """12 bytes: TAI64N with the nanoseconds rounded down to whole ticks, which hides our clock."""
    seconds = ns // SECOND + 0x400000000000000A
    fraction = (ns % SECOND) // TICK * TICK
    return seconds.to_bytes(8, "big") + fraction.to_bytes(4, "big")


def _mark_of(given, reserve):
    """No stamp was ever given past it: a clock that is believed writes `given` once a day."""
    return reserve if reserve >= given else given + DAY


class Line:
    """The stamps that one peer was given."""

    stamp = 0  # the last one
    # Initiations that left since an answer; -1 when one was answered in this run, so that its
    # stamps are known to be good.
    unanswered = 0

    def given(self, ns):
        self.stamp = ns

    def left(self):
        """An initiation with the last one."""
        if self.unanswered >= 0:
            self.unanswered += 1

    def answered(self):
        self.unanswered = -1

    def begin_anew(self):
        """They were another key's."""
        self.stamp = self.unanswered = 0


class Stamps:
    """Gives stamps. wall_ns() gives (now, whether the clock is synchronised); `kept` is what keeps
    the numbers: load(public) -> (given, reserve, boot of the last leap), write() of the three,
    is_due() for what could not be written, and `boot`, which tells this boot from others."""

    def __init__(self, wall_ns, kept, log):
        self._wall_ns = wall_ns
        self._kept = kept
        self._log = log
        self._begin(0, 0, "")

    def _begin(self, given, reserve, leapt):
        self._given = given
        self._reserve = reserve
        self._leapt = leapt  # the boot that it leapt in
        self._highest = 0
        self._answered = 0  # the highest that was
        # `_floor`: the mark that this run began with
        self._floor = self._mark = max(RELEASED, _mark_of(given, reserve))

    def load(self, public):
        """Takes up the numbers of our own key (bytes 32), after the end of another key's."""
        self.end()
        self._begin(0, 0, "")
        given, reserve, leapt = self._kept.load(public)
        self._begin(given, reserve, leapt)

    def next(self, line):
        """The next stamp for a peer, 12 bytes; moves its Line."""
        now, synchronised = self._wall_ns()
        trusted = synchronised and now >= max(self._given, RELEASED)
        ns = (line.stamp or (0 if trusted else max(self._highest, self._floor))) + TICK
        if now > ns and (trusted or now <= self._mark + BELIEF):
            ns = now
        if line.unanswered >= UNANSWERED:
            ns = self._further(ns, synchronised)
        line.given(ns)
        self._highest = max(self._highest, ns)
        daily = trusted and ns == now
        if ns > self._mark or (daily and ns >= self._given + DAY):
            self._move_mark(ns, now, daily)
        elif self._kept.is_due():
            self._write()
        return tai64n(ns)

    def _further(self, ns, synchronised):
        """A stamp past all that the peer may have seen of us: once a peer, as it is past the floor
        then. What the floor does not cover (a lost file, an old backup) takes a leap of it, once a
        boot and only without a clock."""
        if ns > self._floor and not synchronised and self._leapt != self._kept.boot:
            self._leap()
        elif ns <= self._floor:
            self._log.info("no answer: the time in handshakes goes on from the reserve", "stamp")
        return ns if ns > self._floor else max(self._floor, self._highest) + TICK

    def _leap(self):
        self._leapt = self._kept.boot
        leap = LEAP if self._given else LEAP_UNPROVEN
        if self._highest + leap > LEAPS_END:
            return
        self._floor = self._highest + leap
        self._given = 0
        self._log.info(
            "no answer and no synchronised clock: the time in handshakes leaps"
            f" {leap // HOUR} h ahead",
            "stamp-jump",
        )

    def _move_mark(self, ns, now, daily):
        if not daily:
            self._reserve = max(now + DAY if ns == now else 0, ns + AHEAD_OF_STAMP)
        if daily or (self._given and ns == now):
            self._given = ns
        self._mark = _mark_of(self._given, self._reserve)
        self._write()

    def answered(self, line):
        """The peer's answer came: its last stamp was good."""
        line.answered()
        self._answered = max(self._answered, line.stamp)
        if not self._given:
            self._given = line.stamp
            self._write()

    def end(self):
        """A clean end: the next run need not begin ahead of what was given."""
        if self._highest:
            if self._given:
                # Not what a dead peer went on to: it would take all the others along.
                self._given = max(self._given, self._answered)
            self._reserve = max(self._highest, self._floor)
            self._write()
            self._highest = 0

    def _write(self):
        self._kept.write(self._given, self._reserve, self._leapt)
