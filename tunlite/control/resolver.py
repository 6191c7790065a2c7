# SPDX-License-Identifier: MIT
"""Names of endpoints, resolved in child processes: a dead resolver stops no packet.

The children run `tunlite --resolve`: a line "host port" in, a line of JSON out, a list of
[family, hex of the address, port, scope id] or a text that says why not. There are at most four,
started when there is work and ended when there is none, so that one dead name holds up no other.
A name that does not resolve is asked for again after 1 s, 2 s, 4 s ... 60 s.
"""

import json

from tunlite import addresses, endpoints, programs
from tunlite.system import port

WORKERS_MAX = 4
FIRST_RETRY_MS = 1000
LAST_RETRY_MS = 60000
PATIENCE_MS = 20000
_POLLIN = 1
_ANSWER_MAX = 16384


class _Name:
    """A host and port that some keys want."""

    def __init__(self, host, number):
        self.host = host
        self.port = number
        self.keys = []
        self.found = []  # of the last answer: the first 24 bytes of records
        self.retry_ms = 0
        self.next_ms = 0  # when to ask, while `waiting`
        self.waiting = False
        self.asking = False
        self.why = ""  # the last failure


class _Worker:
    """One child and what it is asked now."""

    def __init__(self, argv):
        in_read, self.to = port.pipe()
        try:
            self.source, out_write = port.pipe()
        except OSError:
            port.close(in_read)
            port.close(self.to)
            raise
        try:
            self.pidfd = programs.start(argv, in_read, out_write)
        except OSError:
            port.close(self.to)
            port.close(self.source)
            raise
        finally:
            port.close(in_read)
            port.close(out_write)
        port.set_blocking(self.source, False)
        self.name = None
        self.deadline_ms = 0
        self.text = b""

    def ask(self, name, now):
        port.os_write(self.to, f"{name.host} {name.port}\n".encode())
        self.name = name
        self.deadline_ms = now + PATIENCE_MS
        name.asking = True


class Resolver:
    """`loop` offers watch(fd, events, callback), unwatch(fd), at(when_ms, callback), now() and
    children_watch is the same watch for pidfds. `answer(key)` is called when found() of one of
    its names was answered; `log` is a Log; `argv` starts a child.
    """

    def __init__(self, loop, answer, log, argv=None):
        self._loop = loop
        self._answer = answer
        self._log = log
        self._argv = argv or port.executable() + ["--resolve"]
        self._names = {}  # (host, port) -> _Name
        self._wanted = {}  # key -> list of (host, port)
        self._workers = []
        self._dying = []  # pidfds to be reaped
        self._alarm_ms = None

    # ---- what the control plane calls

    def want(self, key, names):
        """Resolves them now, each again until there is an answer, in place of the key's earlier
        ones. names: list of (host, port)."""
        names = list(set(names))
        before = self._wanted.get(key, ())
        for place in before:
            if place not in names:
                self._forget(key, place)
        if names:
            self._wanted[key] = names
        elif before:
            del self._wanted[key]
        for place in names:
            name = self._names.get(place)
            if name is None:
                name = self._names[place] = _Name(place[0], place[1])
            if key not in name.keys:
                name.keys.append(key)
                if name.found:
                    continue  # known already
            self._plan(name)

    def found(self, place):
        """What a name (host, port) means by now: the first 24 bytes of records."""
        name = self._names.get(place)
        return name.found if name is not None else []

    def again(self, key):
        """The peer does not answer: its names may mean other addresses now. Backs off by itself."""
        for place in self._wanted.get(key, ()):
            self._plan(self._names[place])

    def _forget(self, key, place):
        name = self._names[place]
        name.keys.remove(key)
        if not name.keys:
            name.waiting = False
            del self._names[place]

    def state(self, key):
        """ "" for no name, "resolving" while one is, why one failed, or "resolved"."""
        names = [self._names[place] for place in self._wanted.get(key, ())]
        for name in names:
            if not name.found and not name.why:
                return "resolving"
        for name in names:
            if name.why:
                return name.why
        return "resolved" if names else ""

    def close(self):
        for worker in list(self._workers):
            self._end(worker)
        for pidfd in self._dying:
            self._loop.unwatch(pidfd)
            programs.kill(pidfd, 9)
            port.close(pidfd)
        self._dying = []

    # ---- asking

    def _plan(self, name):
        if name.asking or name.waiting:
            return
        name.waiting = True
        now = self._loop.now()
        name.next_ms = max(name.next_ms, now)
        self._turn()

    def _due(self, now):
        """The name that has waited longest of those that may be asked now, or None."""
        best = None
        for name in self._names.values():
            if name.waiting and name.next_ms <= now and (not best or name.next_ms < best.next_ms):
                best = name
        return best

    def _turn(self):
        """Gives due names to workers, ends idle ones, sets the alarm for the next."""
        now = self._loop.now()
        for worker in list(self._workers):
            if worker.name and worker.deadline_ms <= now:
                self._failed(worker, "the resolver does not answer")
        name = self._due(now)
        while name is not None and self._start(name, now):
            name = self._due(now)
        for worker in list(self._workers):
            if worker.name is None:
                self._end(worker)
        self._set_alarm(now)

    def _start(self, name, now):
        """Asks for one name; False when all workers are busy."""
        worker = None
        for candidate in self._workers:
            if candidate.name is None:
                worker = candidate
        if worker is None and len(self._workers) >= WORKERS_MAX:
            return False
        name.waiting = False
        try:
            if worker is None:
                worker = _Worker(self._argv)
                self._workers.append(worker)
                self._loop.watch(worker.source, _POLLIN, lambda *_: self._readable(worker))
            worker.ask(name, now)
        except OSError as e:
            name.asking = False
            self._retry(name, f"no resolver could be started: {port.strerror(e.errno)}")
        return True

    def _set_alarm(self, now):
        times = [w.deadline_ms for w in self._workers if w.name]
        if len(self._workers) < WORKERS_MAX:
            times += [n.next_ms for n in self._names.values() if n.waiting]
        if times:
            when = max(min(times), now + 1)
            if self._alarm_ms is None or when < self._alarm_ms or self._alarm_ms <= now:
                self._alarm_ms = when
                self._loop.at(when, self._alarm)

    def _alarm(self, *_):
        self._alarm_ms = None
        self._turn()

    # ---- answers

    def _readable(self, worker):
        try:
            part = port.os_read(worker.source, 4096)
        except OSError as e:
            if e.errno == 11:  # EAGAIN
                return
            part = b""
        worker.text += part
        if not part or len(worker.text) > _ANSWER_MAX:
            self._failed(worker, "the resolver's process ended")
            self._turn()
            return
        if worker.name is None:
            self._failed(worker, "")  # it speaks unasked
        elif b"\n" in worker.text:
            line = worker.text
            worker.text = b""
            self._line(worker, line)
            self._turn()

    def _line(self, worker, line):
        name = worker.name
        worker.name = None
        name.asking = False
        try:
            found = endpoints_of(line)
        except (ValueError, TypeError, RuntimeError) as e:  # RuntimeError: nested too deep
            self._retry(name, _printable(str(e)))
            return
        if not found:
            self._retry(name, "it has no address")
            return
        name.why = ""
        name.found = found
        self._back_off(name)
        for key in list(name.keys):
            self._answer(key)

    def _failed(self, worker, why):
        name = worker.name
        worker.name = None
        self._end(worker)
        if name is not None:
            name.asking = False
            self._retry(name, why)

    def _back_off(self, name):
        name.retry_ms = min(max(2 * name.retry_ms, FIRST_RETRY_MS), LAST_RETRY_MS)
        name.next_ms = self._loop.now() + name.retry_ms

    def _retry(self, name, why):
        name.why = why
        if not name.keys:
            return
        self._back_off(name)
        name.waiting = True
        host = self._log.outer(name.host, "the name of an endpoint")
        self._log.info(f"{host}: {why}; next try in {name.retry_ms // 1000} s", "resolver")

    # ---- children

    def _end(self, worker):
        self._workers.remove(worker)
        self._loop.unwatch(worker.source)
        port.close(worker.source)
        port.close(worker.to)
        programs.kill(worker.pidfd, 15)
        self._dying.append(worker.pidfd)
        self._loop.watch(worker.pidfd, _POLLIN, lambda *_: self._reap(worker.pidfd))

    def _reap(self, pidfd):
        self._loop.unwatch(pidfd)
        if programs.reap(pidfd) is None:
            self._loop.watch(pidfd, _POLLIN, lambda *_: self._reap(pidfd))
        else:
            self._dying.remove(pidfd)


# ---- what a child says: it parses what name servers say, so nothing in it is trusted ---------


def endpoints_of(line):
    """The first 24 bytes of the records of a child's answer, so many as a peer may have, each once;
    ValueError or TypeError."""
    rows = json.loads(line.decode())
    if isinstance(rows, str):
        raise ValueError(rows)
    found = []
    for family, digits, number, scope in rows:
        address = bytes([int(digits[i : i + 2], 16) for i in range(0, len(digits), 2)])
        if len(digits) != {4: 8, 6: 32}.get(family):
            raise ValueError("the resolver answers with no address")
        if not (isinstance(number, int) and isinstance(scope, int)):
            raise TypeError("the resolver answers with no number")
        if not 0 < number < 65536 or not 0 <= scope <= 0xFFFFFFFF:
            raise ValueError("the resolver answers with no port")
        record = endpoints.record(family, address, number, scope)[:24]
        if record not in found and len(found) < endpoints.MOST:
            found.append(record)
    return found


def _printable(text):
    """A line for the log and the terminal."""
    return "".join([c if 32 <= ord(c) < 127 else "?" for c in text[:100]])


# ---- the child -------------------------------------------------------------------------------


def lookup(host, number):
    """What the child answers to one question: rows, or a text that says why not."""
    try:
        rows = port.resolve(host, number)
    except OSError as e:
        return f"the name cannot be resolved (error {e.errno})"
    return [[family, bytes(packed).hex(), n, scope] for family, packed, n, scope in rows]


def serve():
    """The child: answers until its stdin ends."""
    rest = b""
    while True:
        part = port.os_read(0, 4096)
        if not part:
            return
        lines = (rest + part).split(b"\n")
        rest = lines.pop()
        for line in lines:
            host, _, number = line.decode().partition(" ")
            port.write_out(json.dumps(lookup(host, int(number))) + "\n")


def scope_id(text):
    """The number of a literal endpoint's scope: digits, or the name of an interface in this network
    namespace, which is not always /sys's; "" is 0. ValueError."""
    if not text:
        return 0
    if addresses.is_number(text) and len(text) < 10:
        return int(text)
    try:
        link = port.links.link_get(text)
    except OSError:
        link = None  # the kernel takes no such name
    if link is None:
        raise ValueError("no interface " + text)
    return link[0]


def literal(text):
    """(family, bytes, port, scope id) of an endpoint without a name, None for one with. ValueError
    where it is none, or has the scope of no interface."""
    found = endpoints.literal(text)
    if found is None:
        return None
    family, packed, number, scope = found
    return family, packed, number, scope_id(scope)
