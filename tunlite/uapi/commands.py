# SPDX-License-Identifier: MIT
"""The daemon's end of the runner of commands (host/runner.py), and what goes over the socket
between them, packet by packet.

To the runner go records of one size, and it does what the file says for them. From it come, with a
letter first: HELLO, a number for its beginning and which commands there are; ANSWER, the number of
the record, whether it went well, and of a question text like a set's. A runner that begins anew
says hello, and is asked again what waits.
"""

import struct

from tunlite.system import port

EVENT = 0  # a peer came or left
VERIFY = 1  # may this stranger come?
HEALTH = 2  # is what is behind this peer well?

# Which commands there are, in a hello.
ESTABLISH = 1
DISESTABLISH = 2
VERIFIES = 4

AT_ONCE = 4  # of each kind
WAITING_MAX = 64  # questions of each kind; events are bounded by peers
PATIENCE_MS = 10_000
ANSWER_MAX = 8192

# kind, came, MTU, listen port, -, beginning, number, key, endpoint, then texts: name or group,
# reason or address
RECORD = "<BBHHH4sI32s48s64s64s"
RECORD_SIZE = struct.calcsize(RECORD)
HELLO = 72
ANSWER = 65
_HEAD = "<IB"
_EAGAIN = 11


def hello(beginning, flags):
    return bytes([HELLO]) + beginning + bytes([flags])


def answer_head(number, good):
    return bytes([ANSWER]) + struct.pack(_HEAD, number, good)


class _Event:
    """What was told of a peer (its command has run), and what is so now."""

    kind = EVENT
    told = now = sent = waits = False

    def __init__(self, public):
        self.public = public

    def changed(self, now, endpoint, name, reason):
        self.now = now
        self.endpoint = endpoint
        self.name = name
        self.text = reason

    def told_now(self, state):
        self.told = state

    def queued(self, waits):
        self.waits = waits


class _Question:
    """`done` is called once."""

    now = False

    def __init__(self, kind, asked_ms, done):
        self.kind = kind
        self.asked_ms = asked_ms
        self.done = done

    def about(self, public, endpoint, name, text):
        self.public = public
        self.endpoint = endpoint
        self.name = name
        self.text = text
        return self


class Commands:
    """`loop`: a Daemon. `fd`: our end of port.packet_pair(). A listener of established.py."""

    def __init__(self, loop, interface, fd, log):
        self._loop = loop
        self._interface = interface
        self._fd = fd
        self._log = log
        self._events = {}  # public key -> _Event, of those established or told so
        self._waiting = ([], [], [])  # by kind
        self._flying = {}  # number -> what the runner was asked
        self._number = 0
        self._refused = 0
        self._beginning = None  # of the runner; None: there was no hello yet
        self._flags = 0
        loop.watch(fd, port.POLLIN, self._readable)
        interface.listeners.append(self)

    # ---- what the control plane calls ----

    def established(self, peer):
        self._changed(peer, True, "")

    def left(self, peer, reason):
        self._changed(peer, False, reason)

    def verifies(self):
        """Whether there is a command that is asked about strangers."""
        return self._flags & VERIFIES != 0

    def verify(self, public, endpoint, done):
        """done(pairs) with UAPI keys and values (str, bytearray; wiped afterwards) where the
        command takes the peer, else done(None). False: too many wait, or no command is known."""
        if self._beginning and not self._flags & VERIFIES:
            return False
        question = _Question(VERIFY, self._loop.now(), done)
        return self._ask(question.about(public, endpoint, "", ""))

    def health(self, group, address, done):
        """done(whether the group's HealthCommand went well). False: too many wait."""
        question = _Question(HEALTH, self._loop.now(), done)
        return self._ask(question.about(bytes(32), bytes(48), group, address))

    def seen(self):
        """For the status."""
        waiting = sum([len(each) for each in self._waiting])
        return {"running": len(self._flying), "waiting": waiting, "refused": self._refused}

    # ---- out ----

    def _changed(self, peer, now, reason):
        row = self._events.get(peer.public)
        if row is None:
            if not now:
                return
            row = self._events[peer.public] = _Event(peer.public)
        endpoint = self._interface.plane.endpoint_of(peer.handle)
        row.changed(now, bytes(endpoint), peer.description, reason)
        self._wait(row)

    def _wait(self, row):
        if not row.waits and row not in self._flying.values():
            row.queued(True)
            self._waiting[EVENT].append(row)
            self._pump(EVENT)

    def _ask(self, question):
        waiting = self._waiting[question.kind]
        self._drop_old(waiting)
        if len(waiting) >= WAITING_MAX:
            self._refused += 1
            return False
        waiting.append(question)
        self._pump(question.kind)
        return True

    def _drop_old(self, waiting):
        """Nobody waits for them any more."""
        while waiting and self._is_old(waiting[0]):
            self._refuse(waiting.pop(0))

    def _refuse(self, question):
        self._refused += 1
        question.done(None)

    def _is_old(self, question):
        return self._loop.now() - question.asked_ms >= PATIENCE_MS

    def _is_due(self, item):
        """Whether a command is to run for it."""
        if item.kind != EVENT:
            is_known = item.kind == HEALTH or self._flags & VERIFIES
            if is_known and not self._is_old(item):
                return True
            self._refuse(item)
            return False
        item.queued(False)
        flag = ESTABLISH if item.now else DISESTABLISH
        if item.told != item.now:
            if self._flags & flag:
                return True
            item.told_now(item.now)
        if not item.now:
            del self._events[item.public]
        return False

    def _pump(self, kind):
        waiting = self._waiting[kind]
        while waiting and self._beginning:
            if len([1 for item in self._flying.values() if item.kind == kind]) >= AT_ONCE:
                return
            item = waiting.pop(0)
            if self._is_due(item) and not self._send(item):
                self._flying[self._number] = item
                self._beginning = None  # it reads nothing; what flies is sent again at its hello
                return

    def _send(self, item):
        self._number = self._number + 1 & 0xFFFFFFFF
        interface = self._interface
        item.sent = item.now
        record = struct.pack(
            RECORD,
            item.kind,
            item.now,
            self._loop.mtu,
            interface.listen_port,
            0,
            self._beginning,
            self._number,
            item.public,
            item.endpoint,
            item.name.encode(),
            item.text.encode(),
        )
        try:
            port.os_write(self._fd, record)
        except OSError:
            return False
        self._flying[self._number] = item
        return True

    # ---- in ----

    def _readable(self, *_):
        buffer = bytearray(ANSWER_MAX)
        try:
            count = port.read_into(self._fd, buffer)
        except OSError as e:
            if e.errno == _EAGAIN:
                return
            count = 0
        try:
            if count:
                self._take(buffer, count)
            else:
                self._ended()
        finally:
            port.native.tl_wipe(buffer, ANSWER_MAX)

    def _take(self, buffer, count):
        if buffer[0] == HELLO:
            self._greeted(bytes(buffer[1:5]), buffer[5])
            return
        number, good = struct.unpack_from(_HEAD, buffer, 1)
        item = self._flying.pop(number, None)
        if item is None:
            return  # asked of an earlier one, and asked again since
        try:
            self._answered(item, good, buffer, count)
        finally:
            self._pump(item.kind)

    def _answered(self, item, good, buffer, count):
        if item.kind == EVENT:
            item.told_now(item.sent)
            self._wait(item)
        elif item.kind == HEALTH:
            item.done(good != 0)
        elif not good:
            item.done(None)
        else:
            pairs = _pairs(buffer, 1 + struct.calcsize(_HEAD), count)
            try:
                item.done(pairs)
            finally:
                for _, value in pairs:
                    port.native.tl_wipe(value, len(value))

    def _greeted(self, beginning, flags):
        self._beginning = beginning
        self._flags = flags
        if self._interface.admission is not None:
            self._interface.admission.forget_refusals()  # the command may be another one
        flying = self._flying
        self._flying = {}
        for number in sorted(flying, reverse=True):
            item = flying[number]
            if item.kind == EVENT:
                item.queued(True)
            self._waiting[item.kind].insert(0, item)
        for kind in (EVENT, VERIFY, HEALTH):
            self._pump(kind)

    def _ended(self):
        self._log.error("the runner of commands has ended; commands run after the next start")
        self._loop.unwatch(self._fd)
        port.close(self._fd)
        self._interface.listeners.remove(self)
        self._interface.commands = None
        for item in list(self._flying.values()) + self._waiting[VERIFY] + self._waiting[HEALTH]:
            if item.kind != EVENT:
                item.done(None)


def _pairs(buffer, at, count):
    found = []
    while at < count:
        end = buffer.find(b"\n", at, count)
        equals = buffer.find(b"=", at, end)
        found.append((bytes(buffer[at:equals]).decode(), buffer[equals + 1 : end]))
        at = end + 1
    return found
