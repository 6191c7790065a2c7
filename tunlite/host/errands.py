# SPDX-License-Identifier: MIT
"""The runner's child (runner.py): reads the file, and runs what it says for the daemon's records.

The daemon may have been taken over: a record chooses a command and fills in values, whose bytes are
checked, and no more. At most four commands of a kind run at once, each for so long; then it is
ended with all that it started.
"""

import struct

from tunlite import addresses, endpoints, keys, programs
from tunlite.config import answer, parser
from tunlite.errors import said, told
from tunlite.host import hooks
from tunlite.system import port
from tunlite.uapi import commands

_NAMES = ("OnEstablish", "OnDisestablish", "OnVerify", "HealthCommand")
_ESTABLISH, _DISESTABLISH, _VERIFY, _HEALTH = range(4)
_PATIENCE_MS = (10_000, 10_000, 10_000, 5000)
_GRACE_MS = 1000  # between TERM and KILL
_VALUE_MAX = 128
_OUTPUT_MAX = 4096
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SIGTERM = 15
_SIGKILL = 9
_EAGAIN = 11


def value(chars, others=None):
    """Bytes as one line of printable ASCII; of what is not ours to trust letters, digits and
    `others` alone."""
    out = ""
    for byte in chars[:_VALUE_MAX]:
        char = chr(byte) if 32 <= byte < 127 else "_"
        out += char if others is None or addresses.is_word(char, others) else "_"
    return out


class Orders:
    """What the file says is to be run, and what commands are told of it."""

    def __init__(self, name, path, readable_ok):
        config = parser.load(path, None, readable_ok)
        try:
            said = config.interface
            self.commands = [said.get(name, []) for name in _NAMES[:2]]
            self.commands.append(said.get("OnVerify", []))
            self.health = {each["Name"]: each.get("HealthCommand", []) for each in config.groups}
            self.names = {}
            for peer in config.peers.each(("Description",)):
                if "Description" in peer:
                    self.names[peer["PublicKey"]] = peer["Description"].encode()
            self.folder = said.get("Peers")
            private = said.get("PrivateKey")
            self.key = keys.text(keys.public_of(private)) if private else ""
        finally:
            config.wipe()
        self.name = name
        self.path = path
        self.files = {}  # of peer_folder.py: base64 of a public key -> its file's name

    def name_of(self, public, told):
        """Of the file; else what the folder or, of others, the daemon says."""
        if public in self.names:
            return value(self.names[public])
        # A file may be called any bytes.
        file = self.files.get(keys.text(public), "").encode("utf-8", "replace")
        return value(file or told, "._-")

    def flags(self):
        return sum([1 << kind for kind in range(3) if self.commands[kind]])


class Record:
    """One of the daemon's. ValueError: it is none. `commands`: none where the file names none."""

    def __init__(self, packed, orders):
        if len(packed) != commands.RECORD_SIZE:
            raise ValueError
        fields = struct.unpack(commands.RECORD, packed)
        kind, came, self._mtu, self._port, _, self.beginning, self.number = fields[:7]
        self.public, self._endpoint = fields[7:9]
        self._name, self._text = [field.split(b"\0")[0] for field in fields[9:]]
        if kind > commands.HEALTH:
            raise ValueError
        self.kind = kind + 1 if kind else _ESTABLISH if came else _DISESTABLISH
        if self.kind == _HEALTH:
            self.commands = orders.health.get(value(self._name, "._-"), [])
        else:
            self.commands = orders.commands[self.kind]

    def environment(self, orders, pid):
        family, address, number, scope = endpoints.parts(self._endpoint)
        rows = [
            ("PATH", _PATH),
            ("LANG", "C"),
            ("INTERFACE", orders.name),
            ("INTERFACE_MTU", self._mtu),
            ("LOCAL_KEY", orders.key),
            ("BIND_ADDRESS", "any"),
            ("BIND_PORT", self._port),
            ("LOCAL_PORT", self._port),
            ("TUNLITE_PID", pid),
            ("FASTD_PID", pid),
        ]
        if self.kind == _HEALTH:
            rows.append(("GROUP", value(self._name, "._-")))
            rows.append(("HEALTH_ADDRESS", value(self._text, ".:%")))
        else:
            rows.append(("PEER_NAME", orders.name_of(self.public, self._name)))
            rows.append(("PEER_KEY", keys.text(self.public)))
        if self.kind == _DISESTABLISH:
            rows.append(("REASON", value(self._text, "_- ")))
        if family in (4, 6):
            text = addresses.format_address(family, address)
            rows.append(("PEER_ADDRESS", f"{text}%{scope}" if scope else text))
            rows.append(("PEER_PORT", number))
            source = self._endpoint[24 : 28 if family == 4 else 40]
            if source.strip(b"\0"):
                rows.append(("LOCAL_ADDRESS", addresses.format_address(family, source)))
        return [f"{name}={text}" for name, text in rows]


class Job:
    """A record's commands, one after the other; of a question until one says no."""

    def __init__(self, record, orders, pid):
        self.record = record
        self.good = True
        self.why = self.answer = ""  # the first that failed; what is wrong with what it said
        self.pidfd = self.source = -1
        self.deadline_ms = 0
        self.output = None
        self._size = 0
        self._ending = 0  # which signals it got
        self._left = list(record.commands)
        self._orders = orders
        self._environment = record.environment(orders, pid)
        if not record.commands and record.kind > _DISESTABLISH:
            self._failed("is not in the file")

    def begin(self):
        """Starts the next command; False: there is none."""
        while self._left:
            text = self._left.pop(0).replace("%i", self._orders.name) + "\n"
            try:
                self._start(text.encode())
                return True
            except OSError as e:
                self._failed("cannot be started: " + said(e))
                if self.source >= 0:
                    self._close()
        return False

    def _failed(self, why):
        self.good = False
        self.why = self.why or why

    def _start(self, text):
        readable, writable = port.pipe()
        out = -1
        try:
            if self.record.kind == _VERIFY:
                self.source, out = port.pipe()
                port.set_blocking(self.source, False)
                self.output = self.output or bytearray(_OUTPUT_MAX + 1)
            argv = hooks.shell(self._orders.name, self._orders.path)
            to = 1 if out < 0 else out
            self.pidfd = programs.start(argv, -1, to, readable, self._environment)
            self._ending = 0
            self.deadline_ms = port.now_ms() + _PATIENCE_MS[self.record.kind]
            programs.write_all(writable, text)
        finally:
            port.close(readable)
            port.close(writable)
            if out >= 0:
                port.close(out)

    def rows(self):
        """What is waited for."""
        found = [(self.pidfd, port.POLLIN)]
        if self.source >= 0:
            found.append((self.source, port.POLLIN))
        return found

    def look(self, ready, now_ms):
        """False: its last command has ended."""
        if self.source in ready:
            self._read()
        if self.pidfd in ready:
            if self._ending:
                programs.signal_group(self.pidfd, _SIGKILL)  # what it leaves behind
            return self._reap()
        if now_ms >= self.deadline_ms:
            self.end(now_ms)
        return True

    def end(self, now_ms):
        if not self._ending:
            self._failed("takes too long")
        programs.signal_group(self.pidfd, _SIGKILL if self._ending else _SIGTERM)
        self._ending += 1
        self.deadline_ms = now_ms + _GRACE_MS

    def _reap(self):
        status = programs.reap(self.pidfd)
        if status is None:
            return True
        self.pidfd = -1
        if self.source >= 0:
            self._read()
        if self.source >= 0:
            self._close()  # what it left in the background has it still
        if status:
            self._failed(programs.describe(status))
        return (self.good or self.record.kind <= _DISESTABLISH) and self.begin()

    def _close(self):
        port.close(self.source)
        self.source = -1

    def _read(self):
        try:
            count = 1
            while count and self._size <= _OUTPUT_MAX:
                count = port.read_into(self.source, memoryview(self.output)[self._size :])
                self._size += count
        except OSError:
            return  # no more for now
        self._close()
        if count:
            self._failed(f"says more than {_OUTPUT_MAX} bytes")

    def text(self):
        """The answer of a question that went well, as UAPI text to be wiped."""
        try:
            return answer.uapi_of(
                self.record.public, memoryview(self.output)[: self._size], self._orders.health
            )
        except answer.Bad as e:
            self._failed("answers what is not taken: ")
            self.answer = e.args[0]
            return b""

    def wipe(self):
        if self.output is not None:
            keys.wipe(self.output)


class Errands:
    """`fd`: our end of the socket; ends: a pidfd of who forked us, port.signal_fd(); `pid` the
    daemon's."""

    def __init__(self, orders, fd, ends, pid, log):
        self._orders = orders
        self._fd = fd
        self._parent_fd, self._signals = ends
        self._pid = pid
        self._log = log
        self._jobs = []
        self._begun = bytes(port.random_bytes(4))
        self._folder = None
        self._leaves = False  # what runs is waited for, nothing new begins

    def serve(self):
        """Until the daemon or our parent ends, or a signal came and nothing runs any more."""
        if self._orders.folder:
            from tunlite.host import peer_folder

            orders = self._orders
            self._folder = peer_folder.PeerFolder(
                orders.name, orders.folder, orders.health, self._log
            )
            self._folder.waits_by(self._poll)
            self._load()
        self._say(commands.hello(self._begun, self._orders.flags()))
        while not self._leaves or self._jobs:
            rows = [(self._parent_fd, port.POLLIN)]
            if not self._leaves:
                rows += [(self._signals, port.POLLIN), (self._fd, port.POLLIN)]
            if self._folder and self._folder.watch_fd is not None:
                rows.append((self._folder.watch_fd, port.POLLIN))
            for job in self._jobs:
                rows += job.rows()
            ready = [fd for fd, _ in port.poll(rows, self._left_ms())]
            if self._parent_fd in ready or self._fd in ready and not self._take():
                self._end_all()
                return
            self._leaves = self._leaves or self._signals in ready
            self._look(ready)
            if self._folder:
                self._look_at_folder(ready)

    def _load(self):
        self._folder.load()
        self._orders.files = self._folder.names

    def _look_at_folder(self, ready):
        now_ms = port.now_ms()
        if self._folder.watch_fd in ready:
            self._folder.changed(now_ms)
        due_ms = self._folder.due_ms
        if due_ms is not None and now_ms >= due_ms and not self._leaves:
            self._load()

    def _left_ms(self):
        times = [job.deadline_ms for job in self._jobs]
        if self._folder and self._folder.due_ms is not None and not self._leaves:
            times.append(self._folder.due_ms)
        return max(0, min(times) - port.now_ms()) if times else -1

    def _look(self, ready):
        now_ms = port.now_ms()
        for job in list(self._jobs):
            if job.pidfd >= 0 and not job.look(ready, now_ms):
                self._finished(job)

    def _poll(self, rows, wait_ms):
        """port.poll(), and what runs is looked after meanwhile: the daemon may be slow."""
        until_ms = port.now_ms() + wait_ms
        while True:
            jobs = []
            for job in self._jobs:
                jobs += job.rows()
            times = [job.deadline_ms for job in self._jobs] + [until_ms]
            found = port.poll(rows + jobs, max(0, min(times) - port.now_ms()))
            self._look([fd for fd, _ in found])
            found = [each for each in found if each[0] in [fd for fd, _ in rows]]
            if found or port.now_ms() >= until_ms:
                return found

    def _take(self):
        """Reads a record, and begins what it asks for; False: the daemon has ended."""
        try:
            packed = port.os_read(self._fd, commands.RECORD_SIZE + 1)
        except OSError as e:
            return e.errno == _EAGAIN
        if not packed:
            return False
        try:
            record = Record(packed, self._orders)
            if record.beginning != self._begun:
                return True  # it was under way before our hello, which has it sent again
            if len([1 for job in self._jobs if self._is_beside(job, record)]) >= commands.AT_ONCE:
                raise ValueError
            job = Job(record, self._orders, self._pid)
        except ValueError:
            self._log.error("the daemon sends what it does not send", "record")
            return True
        self._jobs.append(job)
        if not job.begin():
            self._finished(job)
        return True

    def _is_beside(self, job, record):
        """Whether they share their four places: what begins and ends are both events."""
        return max(job.record.kind, _DISESTABLISH) == max(record.kind, _DISESTABLISH)

    def _finished(self, job):
        self._jobs.remove(job)
        record = job.record
        text = b""
        if record.kind == _VERIFY and job.good:
            text = job.text()
        if job.why and record.kind != _HEALTH:
            whose = f"{_NAMES[record.kind]} for {keys.text(record.public)}"
            self._log.info(f"{whose}: the command {job.why}{self._log.outer(job.answer)}", "job")
        packet = bytearray(commands.answer_head(record.number, job.good))
        packet.extend(text)
        keys.wipe(text)
        self._say(packet)
        keys.wipe(packet)
        job.wipe()

    def _say(self, packet):
        try:
            port.os_write(self._fd, packet)
        except OSError:
            # The daemon reads nothing, or has ended: it asks again, of whoever comes after us.
            self._leaves = True

    def _end_all(self):
        for _ in range(2):
            now_ms = port.now_ms()
            for job in self._jobs:
                job.end(now_ms)
            rows = [(job.pidfd, port.POLLIN) for job in self._jobs]
            while rows and port.now_ms() < now_ms + _GRACE_MS:
                left_ms = max(0, now_ms + _GRACE_MS - port.now_ms())
                ended = [fd for fd, _ in port.poll(rows, left_ms)]
                rows = [row for row in rows if row[0] not in ended]


def work(file, fd, pid, log):
    """In a process of its own. file: (name of the interface, path, readable_ok)."""
    signals = port.signal_fd()
    parent_fd = port.pidfd_open(port.getppid())
    try:
        Errands(Orders(*file), fd, (parent_fd, signals), pid, log).serve()
    except parser.ConfigError as e:
        log.error("no command runs: " + log.outer(e.args[0][0], "tunlite check says why"), "runner")
    except Exception as e:
        log.error("the runner of commands: " + told(e), "runner")
        port._exit(1)
