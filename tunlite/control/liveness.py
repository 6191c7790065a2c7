# SPDX-License-Identifier: MIT
"""Whether the peer in use is alive, and what losing costs: numbers alone (control.md, "Groups").

Alive means authenticated bytes. No wall clock and no handshake's age is asked.
"""

LOSS_MS = 30_000  # at the end of the row; it doubles
LOSS_MAX_MS = 600_000
AWAY_MS = 2000  # a look that comes so late: we slept, or were stopped
ILL_MS = 600_000  # that a failed HealthCommand counts: only the one in use is asked
SHAKE_MS = 1000  # between handshakes that are probes
LEAST_SHAKEN_MS = 5000  # FailAfter at least, where handshakes judge: one is repeated after 5 s


class Silence:
    """Of the peer in use: since when nothing authenticated came (quiet), and nothing but handshakes
    (mute); 0: it is not."""

    def __init__(self):
        self.begin(0)

    def begin(self, now_ms):
        """What was before does not count: another peer was in use, or we were away."""
        self.floor_ms = now_ms
        self.quiet_ms = self.mute_ms = 0
        self.probe_ms = self.shake_ms = 0
        self.over_ms = 0
        self.unmet_ms = 0  # since when its session is seen to be asked for anew in vain

    def give_up(self, now_ms):
        """Nobody sends any more: what went unanswered so far is forgotten."""
        self.begin(now_ms)
        self.over_ms = now_ms

    def look(self, first_ms, sent_ms, received_ms, shaken_ms):
        """first_ms: the first that was sent and not answered, 0: none; sent_ms: the last that was
        sent; received_ms: the last authenticated message, shaken_ms: the last handshake."""
        if received_ms > self.quiet_ms:
            self.quiet_ms = 0
        if received_ms > self.mute_ms and received_ms != shaken_ms:
            self.mute_ms = 0
        if first_ms and first_ms <= self.over_ms:
            first_ms = sent_ms if sent_ms > self.over_ms else 0
        if first_ms:
            first_ms = max(first_ms, self.floor_ms)
            self.quiet_ms = self.quiet_ms or first_ms
            self.mute_ms = self.mute_ms or first_ms

    def rekeys(self, asked_ms, now_ms):
        """asked_ms: when what is to replace its session was asked for, and not answered; 0: it was
        not."""
        if not 0 < asked_ms <= now_ms:
            self.unmet_ms = 0
        elif not self.unmet_ms:
            self.unmet_ms = now_ms

    def silent_ms(self, now_ms):
        """For how long by now."""
        since_ms = self.mute_ms or self.quiet_ms
        return now_ms - since_ms if since_ms else 0

    def probed(self, now_ms):
        self.probe_ms = now_ms

    def shook(self, now_ms):
        self.shake_ms = now_ms


class Member:
    """What a group knows of one of its peers."""

    serial = 0  # its place in the file
    lost_ms = 0  # until when it is at the end of the row
    losses = 0
    asked_ms = 0  # by the search under way, 0: not
    rtt_ms = 0  # of handshakes, smoothed; 0: not known
    shaken_ms = 0  # when its last handshake message came
    target = None  # what its last echo asked for, bytes
    awaits = False  # an echo left, and none was answered since
    echoed_ms = 0  # when it last answered an echo
    wanted_ms = 0  # when a packet last waited for a session with it
    number = b""  # of its last echo, on layer 2
    drawn_ms = -1 << 30  # when that was drawn
    probes = 0
    called = False  # it is in use, or a search or a move wants a session with it
    tried = False  # it answered handshakes and no echo, for FailAfter
    ill_ms = 0  # until when its HealthCommand counts as failed
    _span_ms = 0

    def __init__(self, peer, serial):
        self.peer = peer
        self.serial = serial

    def lose(self, now_ms):
        """To the end of the row, for twice as long as the last time where that is not long ago."""
        again = self._span_ms and now_ms < self.lost_ms + LOSS_MAX_MS
        self._span_ms = min(2 * self._span_ms, LOSS_MAX_MS) if again else LOSS_MS
        self.lost_ms = now_ms + self._span_ms
        self.losses += 1

    def forget(self):
        """Our own way may be another: nobody has lost."""
        self.lost_ms = self._span_ms = 0

    def is_loser(self, now_ms):
        return now_ms < self.lost_ms

    def measured(self, rtt_ms):
        rtt_ms = max(rtt_ms, 1)
        self.rtt_ms = (3 * self.rtt_ms + rtt_ms + 2) // 4 if self.rtt_ms else rtt_ms

    def shaken(self, received_ms):
        self.shaken_ms = received_ms

    def ask(self, now_ms):
        self.asked_ms = now_ms

    def call(self, flag):
        self.called = flag

    def comes_at(self, serial):
        self.serial = serial

    def echoes_to(self, target):
        """An answer to the echo before is none any more."""
        if target != self.target:
            self.target = target
            self.echoed_ms = 0

    def echoes(self):
        self.awaits = True

    def echoed(self, now_ms):
        self.awaits = False
        self.echoed_ms = now_ms

    def draws(self, number, now_ms):
        self.number = number
        self.drawn_ms = now_ms

    def wanted(self, now_ms):
        self.wanted_ms = now_ms

    def probed(self):
        self.probes += 1

    def try_once(self, flag):
        self.tried = flag

    def falls_ill(self, now_ms):
        self.ill_ms = now_ms + ILL_MS

    def recovers(self):
        self.ill_ms = 0

    def is_ill(self, now_ms):
        return now_ms < self.ill_ms
