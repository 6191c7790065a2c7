# SPDX-License-Identifier: MIT
"""The time in a handshake, which goes back for no peer (protocol.md, "Stamps").

Gateways drop an initiation whose stamp is not past the last one they saw of that key, in silence;
routers without a clock boot in the past. So a file for each own public key keeps two numbers:
`given`, a stamp that was given (0: none whose answer we know of), and `reserve`, ahead of what is
given without a clock; and the boot of the last leap. All times here are nanoseconds since 1970; a
`jar` has `stamp` (the last one given for that peer, 0 for none) and `unanswered` (initiations that
left since an answer; -1 when one was answered in this run, so that its stamps are known to be
good). A Peer is one.
"""

from tunlite.protocol import noise

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
RETRY_MS = 600_000
FILES_MOST = 64  # of all own keys
_FILE_MAX = 256
_ENOENT = 2
_PREFIX = "stamp-"


def tai64n(ns):
    """12 bytes: TAI64N with the nanoseconds rounded down to whole ticks, which hides our clock."""
    seconds = ns // SECOND + 0x400000000000000A
    fraction = (ns % SECOND) // TICK * TICK
    return seconds.to_bytes(8, "big") + fraction.to_bytes(4, "big")


def _mark_of(given, reserve):
    """No stamp was ever given past it: a clock that is believed writes `given` once a day."""
    return reserve if reserve >= given else given + DAY


class Stamps:
    """Gives stamps. `folder` holds the files; None: nothing is kept."""

    def __init__(self, port, folder, log):
        self._port = port
        self._folder = folder
        self._log = log
        self._path = None
        try:
            self._boot = port.read_file("/proc/sys/kernel/random/boot_id")[:8].decode()
        except OSError:
            self._boot = "-"
        self._begin("")

    def _begin(self, public):
        self._public = public
        self._given = self._reserve = self._highest = 0
        self._answered = 0  # the highest that was
        self._floor = self._mark = RELEASED  # `_floor`: the mark that this run began with
        self._leapt = ""  # the boot that it leapt in
        self._unsaved_since = None

    def load(self, public):
        """Takes up the file of our own key (bytes 32), after the end of another key's."""
        self.end()
        self._begin(bytes(public).hex())
        self._path = None
        if self._folder is None:
            self._log.error("no state folder: the time in handshakes is not kept over a restart")
            return
        self._path = self._folder + "/" + _PREFIX + self._public[:16]
        try:
            self._given, self._reserve, self._leapt = self._read()
            self._floor = self._mark = max(RELEASED, _mark_of(self._given, self._reserve))
        except ValueError:
            self._log.error(f"{self._path}: not a stamp file of our key, begun anew")
        except OSError as e:
            if e.errno == _ENOENT:
                self._drop_oldest()
            else:
                self._log.error(
                    f"{self._path}: cannot be read ({self._port.strerror(e.errno)}), begun anew"
                )

    def next(self, jar):
        """The next stamp for a peer, 12 bytes; moves jar.stamp."""
        now, synchronised = self._port.wall_ns()
        trusted = synchronised and now >= max(self._given, RELEASED)
        ns = (jar.stamp or (0 if trusted else max(self._highest, self._floor))) + TICK
        if now > ns and (trusted or now <= self._mark + BELIEF):
            ns = now
        if jar.unanswered >= UNANSWERED:
            ns = self._further(ns, synchronised)
        jar.stamp = ns
        self._highest = max(self._highest, ns)
        daily = trusted and ns == now
        if ns > self._mark or (daily and ns >= self._given + DAY):
            self._move_mark(ns, now, daily)
        elif (
            self._unsaved_since is not None
            and self._port.now_ms() - self._unsaved_since >= RETRY_MS
        ):
            self._write()
        return tai64n(ns)

    def _further(self, ns, synchronised):
        """A stamp past all that the peer may have seen of us: once a peer, as it is past the floor
        then. What the floor does not cover (a lost file, an old backup) takes a leap of it, once a
        boot and only without a clock."""
        if ns > self._floor and not synchronised and self._leapt != self._boot:
            self._leap()
        elif ns <= self._floor:
            self._log.info("no answer: the time in handshakes goes on from the reserve", "stamp")
        return ns if ns > self._floor else max(self._floor, self._highest) + TICK

    def _leap(self):
        self._leapt = self._boot
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

    def answered(self, jar):
        """The peer's answer came: its last stamp was good."""
        jar.unanswered = -1
        self._answered = max(self._answered, jar.stamp)
        if not self._given:
            self._given = jar.stamp
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

    # ---- the files ----

    def _check(self, text):
        return noise.blake2s(self._port, text.encode()).hex()[:16]

    def _numbers(self, path):
        """[public key in hex, given, reserve, boot] of a file; OSError, ValueError."""
        data = self._port.read_file(path)
        if len(data) > _FILE_MAX:
            raise ValueError
        text, _, check = data.decode().strip().rpartition(" ")  # UnicodeError is a ValueError
        words = text.split(" ")
        if check != self._check(text) or len(words) not in (2, 4):
            raise ValueError
        if len(words) == 2:  # 0.1.0 kept a mark alone: a reserve, whose stamps were answered
            words = [words[0], "1", words[1], "-"]
        return [words[0], int(words[1]), int(words[2]), words[3]]

    def _read(self):
        public, given, reserve, leapt = self._numbers(self._path)
        if public != self._public:
            raise ValueError
        return given, reserve, leapt if leapt != "-" else ""

    def _age(self, path):
        try:
            return max(self._numbers(path)[1:3])
        except ValueError:
            return 0

    def _drop_oldest(self):
        """Makes room for a new key's file: those of keys that went must not pile up."""
        start = self._folder + "/"
        try:
            names = [name for name in self._port.listdir(start) if name.startswith(_PREFIX)]
            excess = len(names) + 1 - FILES_MOST
            if excess > 0:
                for _, path in sorted([(self._age(start + name), start + name) for name in names])[
                    :excess
                ]:
                    self._port.unlink(path)
        except OSError:
            pass  # there is no folder yet

    def _write(self):
        if self._path is None:
            return
        text = f"{self._public} {self._given} {self._reserve} {self._leapt or '-'}"
        try:
            self._port.write_file_atomic(
                self._path, f"{text} {self._check(text)}\n".encode(), 0o600
            )
            self._unsaved_since = None
        except OSError as e:
            self._unsaved_since = self._port.now_ms()
            self._log.error(
                f"{self._path}: cannot be written ({self._port.strerror(e.errno)}); the time in"
                " handshakes is kept in memory only, and peers may refuse us after a restart",
                "stamp-write",
            )
