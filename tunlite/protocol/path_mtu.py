# SPDX-License-Identifier: MIT
"""The path MTU of a peer's way, measured by probes of our own (RFC 8899; protocol.md, "Path MTU").

Sizes are bytes of an outer IP packet. Neither the kernel's cache nor ICMP is asked: whoever forges
a "fragmentation needed" changes nothing. Clock, probes and answers come in and go out as numbers.
"""

BASE = 1280  # used until a longer one was answered: every IPv6 link has it
LEAST = 576  # used while not even BASE gets through: every IPv4 host takes it
STEP = 8
_MOST = 65535  # of a packet, whatever a link says
SHORT = 0  # a probe of no length of its own: does anything get through?
TRIES = 3  # after which a size counts as too long
TRY_MS = 1000
CHECK_MS = 2000  # between looks at the size in use
AGAIN_MS = 700  # an unanswered one
UP_MS = 600_000


class _Race:
    """Sizes that are tried side by side, TRIES times."""

    def __init__(self, sizes, every_ms, later=()):
        self.sizes = sizes
        self.longest = -1  # that was answered: shorter ones get through too
        self.next_ms = 0
        self._later = list(later)  # that join with the second try
        self._every_ms = every_ms
        self._tries = 0

    def is_over(self, now_ms):
        return self.sizes[0] <= self.longest or (self._tries == TRIES and now_ms >= self.next_ms)

    def asks(self, now_ms):
        """Sizes whose probes leave now."""
        if now_ms < self.next_ms or self._tries == TRIES:
            return []
        if self._tries == 1:
            self.sizes = self.sizes + self._later
        self._tries += 1
        self.next_ms = now_ms + (AGAIN_MS if self._tries == TRIES else self._every_ms)
        return [size for size in self.sizes if size > self.longest]


class PathMtu:
    """`most`: the MTU of the link that the way leaves by. run() is called when its own time has
    come and whenever frames were sent after a while of none."""

    def __init__(self, most, now_ms):
        self.number = now_ms & 0xFFFFFFFF  # that a probe carries and its answer repeats
        self.begin(most, now_ms)

    def begin(self, most, now_ms):
        """Another endpoint, family or link: nothing is known of the way."""
        self.most = min(max(most, LEAST), _MOST)
        self.size = self._low = min(BASE, self.most)
        self._high = self.most + 1  # too long
        self.why = "not measured yet"
        self._next_ms = now_ms
        self._ends = None  # what its race is followed by
        self._is_met = False
        self._is_doubted = False  # longer ones were tried since the size in use was
        self._race = None
        self._up_ms = 0

    def run(self, now_ms, is_used):
        """(sizes whose probes are to leave, when to be called again or None). `is_used`: frames
        were sent within the last CHECK_MS."""
        race = self._race
        if race is not None and race.is_over(now_ms):
            self._race = None
            self._ends(race, now_ms)
        if self._race is None and is_used and now_ms >= self._next_ms:
            self._starts(now_ms)
        if self._race is not None:
            return self._race.asks(now_ms), self._race.next_ms
        return [], max(self._next_ms, now_ms + 1) if is_used else None

    def answered(self, number, size):
        """A probe's number came back, with the length that it had when it came."""
        if self._race is not None and number == self.number:
            self._race.longest = max(self._race.longest, size)

    def _begin(self, ends, sizes, every_ms, later=()):
        self.number = (self.number + 1) & 0xFFFFFFFF
        self._ends = ends
        self._race = _Race(sizes, every_ms, later)

    def _starts(self, now_ms):
        if not self._is_met:
            base = [BASE] if self.most > BASE else []
            self._begin(self._met, [self.most] + base + [SHORT], TRY_MS)
        elif self._is_doubted and self.size > LEAST:
            self._check()
        elif self._high - self._low > STEP:
            middle = self._low + max((self._high - self._low) // 2 // STEP * STEP, STEP)
            self._begin(self._halved, [middle], TRY_MS, [SHORT])
        elif self.size > LEAST:
            self._check()
        else:
            self._rise(now_ms)

    def _check(self):
        self._begin(self._checked, [self.size], AGAIN_MS, [min(BASE, self.size), SHORT])

    def _rise(self, now_ms):
        """The size in use is fine: are longer ones?"""
        if self._up_ms and now_ms >= self._up_ms:
            self._high = self.most + 1
            self._begin(self._halved, [self.most], TRY_MS, [SHORT])
        else:
            self._next_ms = now_ms + CHECK_MS

    # ---- what a race has shown ----

    def _met(self, race, now_ms):
        """The first: the link's MTU, 1280, and whether anybody is there at all."""
        if race.longest >= self.most:
            self._found(self.most, now_ms)
        else:
            self._falls(race, self.most, now_ms)

    def _halved(self, race, now_ms):
        middle = race.sizes[0]
        self._is_doubted = race.longest < middle
        if race.longest >= middle:
            self._low = middle
        elif race.longest >= SHORT:
            self._high = middle
        else:
            self._next_ms = now_ms + CHECK_MS  # nobody is there: nothing was learned
            return
        self.size = self._low
        self.why = "searching"
        if self._high - self._low <= STEP:
            self._found(self._low, now_ms)

    def _checked(self, race, now_ms):
        self._is_doubted = False
        if race.longest < self.size:
            self._falls(race, self.size, now_ms)
        elif self._high - self._low <= STEP:
            self._rise(now_ms)

    def _found(self, size, now_ms):
        self.size = self._low = self._high = size
        self.why = "the link's" if size == self.most else "found by probes"
        self._next_ms = now_ms if self._is_doubted else now_ms + CHECK_MS
        self._up_ms = now_ms + UP_MS if size < self.most else 0
        self._is_met = True

    def _falls(self, race, size, now_ms):
        """Frames of that size get lost."""
        if race.longest >= BASE < size:
            self._low, self._high = BASE, size
        elif race.longest >= SHORT:
            self._low, self._high = LEAST, min(size, BASE)
        else:
            self._next_ms = now_ms + CHECK_MS
            return
        self.size = self._low
        self.why = "longer ones get lost"
        self._is_doubted = True
        self._next_ms = now_ms
        self._is_met = True
