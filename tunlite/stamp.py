# SPDX-License-Identifier: MIT
"""The time in a handshake, which never goes backwards (protocol.md, "Stamps").

Gateways drop an initiation whose stamp is not past the last one they saw of that key, in silence;
routers without a clock boot in the past. So a stamp is the greatest of the believed
clock, the date of this release, and one tick past a mark that no earlier run went beyond. The mark
is kept in a file for each own public key and lies ahead, so that the flash is written about once a
day. All times here are nanoseconds since 1970; a `jar` has `stamp` (the last one given for that
peer, 0 for none) and `unanswered` (initiations since an answer; -1 when one was answered in this
run, so that its stamps are known to be good). A Peer is one.
"""

from tunlite import handshake

TICK = 1 << 24
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
RELEASED = 1_795_132_800 * SECOND  # 2026-11-20; moves with each release

BELIEF = 30 * DAY  # how far past the mark a clock may be that nobody synchronised
AHEAD_OF_CLOCK = DAY
AHEAD_OF_STAMP = 290 * SECOND  # 17,280 ticks: a day of one initiation every 5 s
UNANSWERED = 3
JUMPS = (HOUR, DAY, 30 * DAY)
JUMPS_MAX = 40  # about three years
RETRY_MS = 600_000
_FILE_MAX = 256


def tai64n(ns):
    """12 bytes: TAI64N with the nanoseconds rounded down to whole ticks, which hides our clock."""
    seconds = ns // SECOND + 0x400000000000000A
    fraction = (ns % SECOND) // TICK * TICK
    return seconds.to_bytes(8, "big") + fraction.to_bytes(4, "big")


class Stamps:
    """Gives stamps. `folder` holds the mark's file; None: nothing is kept."""

    def __init__(self, port, folder, log):
        self._port = port
        self._folder = folder
        self._log = log
        self._path = None
        self._public = ""
        self._floor = RELEASED
        self._mark = RELEASED
        self._highest = 0
        self._unsaved_since = None

    def load(self, public):
        """Takes up the mark of our own key (bytes 32)."""
        self._public = bytes(public).hex()
        self._highest = 0
        self._floor = RELEASED
        self._path = None
        if self._folder is None:
            self._log.error("no state folder: the time in handshakes is not kept over a restart")
        else:
            self._path = self._folder + "/stamp-" + self._public[:16]
            self._floor = max(RELEASED, self._read())
        self._mark = self._floor

    def next(self, jar):
        """The next stamp for a peer, 12 bytes; moves jar.stamp."""
        now, synchronised = self._port.wall_ns()
        believed = synchronised or now <= self._mark + BELIEF
        ns = max(jar.stamp or self._highest, self._floor) + TICK
        if believed and now > ns:
            ns = now
        if not synchronised:
            ns += self._jump(jar)
        jar.stamp = ns
        self._highest = max(self._highest, ns)
        if ns > self._mark:
            self._mark = max(now + AHEAD_OF_CLOCK if believed else 0, ns + AHEAD_OF_STAMP)
            self._write()
        elif (
            self._unsaved_since is not None
            and self._port.now_ms() - self._unsaved_since >= RETRY_MS
        ):
            self._write()
        return tai64n(ns)

    def _jump(self, jar):
        """Nanoseconds to leap: our stamps may lie behind what the peer has seen of us before."""
        if jar.unanswered <= 0 or jar.unanswered % UNANSWERED:
            return 0
        count = jar.unanswered // UNANSWERED
        if count > JUMPS_MAX:
            return 0
        leap = JUMPS[min(count, len(JUMPS)) - 1]
        hours = leap // HOUR
        self._log.info(
            f"no answer and no synchronised clock: the time in handshakes leaps {hours} h ahead",
            "stamp-jump",
        )
        return leap

    def _check(self, mark):
        text = f"{self._public} {mark}"
        return handshake.blake2s(self._port, text.encode()).hex()[:16]

    def _read(self):
        """The mark in the file, 0 where there is none for our key."""
        try:
            data = self._port.read_file(self._path)
        except OSError as e:
            if e.errno != 2:
                self._log.error(f"{self._path}: cannot be read (errno {e.errno}), begun anew")
            return 0
        try:
            if len(data) > _FILE_MAX:
                raise ValueError
            public, mark, check = data.decode().split()
            mark = int(mark)
        except ValueError:  # UnicodeError is one
            public = check = ""
            mark = 0
        if public != self._public or check != self._check(mark):
            self._log.error(f"{self._path}: not a stamp file of our key, begun anew")
            return 0
        return mark

    def _write(self):
        if self._path is None:
            return
        line = f"{self._public} {self._mark} {self._check(self._mark)}\n"
        try:
            self._port.write_file_atomic(self._path, line.encode(), 0o600)
            self._unsaved_since = None
        except OSError as e:
            self._unsaved_since = self._port.now_ms()
            self._log.error(
                f"{self._path}: cannot be written (errno {e.errno}); the time in handshakes is kept"
                " in memory only, and peers may refuse us after a restart",
                "stamp-write",
            )
