# SPDX-License-Identifier: MIT
"""Asks a running daemon over its socket: WireGuard's UAPI text, and `status=1`."""

import errno

from tunlite import keys
from tunlite.errors import UserError
from tunlite.system import port

FOLDER = "/var/run/wireguard"
STATUS_FOLDER = "/var/run/tunlite"
_PIECE = 4096
_STATUS_PIECE = 2048
_STATUS_MAX = 1 << 20  # of one peer: far more than one has
_LINE_MAX = 8192
_ANSWER_MAX = 64 << 20  # more than a million allowed IPs
_SILENCE_MS = 10_000  # of a daemon that is asked something, until it counts as stuck
_SILENCE_OF_SET_MS = 60_000  # it answers once all routes are in place
_ANSWER_MS = 60_000  # that we wait in all for a whole answer
_NO_SUCH = (2, 20, errno.ECONNREFUSED)  # ENOENT, ENOTDIR
_EACCES = 13
_EAGAIN = 11
_EADDRINUSE = errno.EADDRINUSE
_ENOMEM = 12


class NoDaemon(UserError):
    """No daemon answers for the interface."""


class NoRight(UserError):
    """The socket is not for us."""


class Refused(UserError):
    """The daemon answered with an errno: `number`."""

    number = 0


class NoAnswer(UserError):
    """The daemon is there and says nothing."""


def socket_path(name):
    return FOLDER + "/" + name + ".sock"


def status_path(name):
    """Of the socket that tells the status and takes nothing."""
    return STATUS_FOLDER + "/" + name + ".status"


def interfaces():
    """Names that a socket file exists for, sorted."""
    try:
        found = port.listdir(FOLDER)
    except OSError:
        return []
    return sorted([name[:-5] for name in found if name.endswith(".sock")])


def connect(name, path=None, poll=None):
    """A connected descriptor; NoDaemon, NoAnswer, NoRight. `path`: not the control socket's; poll:
    instead of port.poll(), for whoever has more to look after."""
    path = path or socket_path(name)
    until_ms = port.now_ms() + _SILENCE_MS
    while True:
        try:
            return port.unix_connect(path)
        except OSError as e:
            if e.errno == _EACCES:
                raise NoRight(f"you may not use {path}: be root, or in its group")
            if e.errno in _NO_SUCH:
                raise NoDaemon(f"{name} is not up: nobody answers at {path}")
            if e.errno != _EAGAIN:
                raise
        if port.now_ms() >= until_ms:
            raise _stuck(name)
        (poll or port.poll)([], 50)


def _stuck(name):
    return NoAnswer(f"{name} does not answer: its daemon is stopped, or busy for too long")


class _Talk:
    """A connection on which nothing waits for ever: neither for one that is silent, nor for one
    that speaks byte by byte."""

    def __init__(self, name, silence_ms, path=None, poll=None):
        self.name = name
        self.silence_ms = silence_ms
        self._left = _ANSWER_MAX
        self._poll = poll or port.poll
        self.fd = connect(name, path, poll)
        self.go_on()

    def go_on(self):
        """What was waited for came; the next may take as long."""
        self._left_ms = _ANSWER_MS

    def _wait(self, events):
        """Only this time counts: whoever reads a long answer may pause."""
        began_ms = port.now_ms()
        left_ms = min(self.silence_ms, self._left_ms)
        if left_ms <= 0 or not self._poll([(self.fd, events)], left_ms):
            raise _stuck(self.name)
        self._left_ms -= port.now_ms() - began_ms

    def send(self, data):
        view = memoryview(data)
        while view:
            self._wait(port.POLLOUT)
            view = view[port.os_write(self.fd, view) :]
        self.go_on()

    def read(self, size):
        self._wait(port.POLLIN)
        part = port.os_read(self.fd, size)
        if not part:
            raise Refused("the daemon closed its socket in the middle of an answer")
        self._left -= len(part)
        if self._left < 0:
            raise nonsense()
        return part

    def lines(self):
        """Lines (bytes) until the empty one that ends an answer."""
        rest = b""
        while True:
            pieces = (rest + self.read(_PIECE)).split(b"\n")
            rest = pieces.pop()
            if len(rest) > _LINE_MAX:
                raise nonsense()
            for line in pieces:
                if not line:
                    return
                yield line


def _refusal(number):
    if number == _EADDRINUSE:
        return "the UDP port is taken by another process; choose another ListenPort"
    if number == _EACCES:
        return (
            "it may not open this UDP port: give it CAP_NET_BIND_SERVICE, or choose one above 1023"
        )
    if number == _ENOMEM:
        return "the daemon is out of memory; start it with a larger heap: tunlite --heap 8M ..."
    return f"a line was refused: {port.strerror(min(number, 4095))}; the daemon's log says why"


def nonsense():
    """The answer is none that a daemon of ours gives."""
    return Refused(
        "the daemon's answer makes no sense; is it another program, or was it taken over?"
    )


def _number(text):
    try:
        return int(text)
    except ValueError:
        raise nonsense()


def ask(name, request, silence_ms=_SILENCE_MS, poll=None):
    """Sends an iterable of bytes-like pieces; gives the answer's lines (bytes) without `errno`.

    NoDaemon, Refused, NoAnswer, OSError. Nothing is sent before the first line is asked for.
    """
    talk = _Talk(name, silence_ms, None, poll)
    try:
        for piece in request:
            talk.send(piece)
        for line in talk.lines():
            if line.startswith(b"errno="):
                number = _number(line[6:])
                if number:
                    refused = Refused(f"{name}: {_refusal(abs(number))}")
                    refused.number = abs(number)
                    raise refused
            else:
                yield line
    finally:
        port.close(talk.fd)


def set_device(name, request, poll=None):
    """Sends `set=1` and what it sets: bytearrays of lines, without the empty line. Each may hold a
    secret, and is wiped when the next one is asked for."""

    def whole():
        yield b"set=1\n"
        for piece in request:
            try:
                yield piece
            finally:
                keys.wipe(piece)
        yield b"\n"

    for _ in ask(name, whole(), _SILENCE_OF_SET_MS, poll):
        pass


def get_device(name, silence_ms=_SILENCE_MS, poll=None):
    """Lines of `get=1`, as (key, value) of bytes."""
    for line in ask(name, [b"get=1\n\n"], silence_ms, poll):
        key, _, value = line.partition(b"=")
        yield key, value


def get_addresses(name):
    """Layer 2's table: rows (address, public key, seconds since it was heard, how) of text, as
    get.py's addresses_of has them."""
    for line in ask(name, [b"addresses=1\n\n"]):
        words = line.decode().partition("=")[2].split(" ")
        if len(words) != 4:
            raise nonsense()
        _number(words[2])
        yield words


# ---- status ----------------------------------------------------------------------------------

# Bare quotes stand in no JSON string, so these are found between members alone (control.md,
# "Status": "peers" is the last member, "public_key" a peer's first).
_PEERS = b',"peers":['
_NEXT_PEER = b',{"public_key":'
_READ_END = b"]}\n"
_STATUS_END = _READ_END + b"errno=0\n\n"


def _object(text):
    import json

    try:
        found = json.loads(bytes(text).decode())
    except (ValueError, RuntimeError):  # RuntimeError: nested too deep
        found = None
    if not isinstance(found, dict):
        raise nonsense()
    return found


def _status_texts(talk, end):
    """The JSON of the interface, then of each peer; a peer is the most that is held."""
    rest = b""
    sought, skipped = _PEERS, len(_PEERS)
    while True:
        rest += talk.read(_STATUS_PIECE)
        while True:
            line_end = rest.find(b"\n")
            at = rest.find(sought)
            if at < 0 or 0 <= line_end < at:
                break
            yield rest[:at] + b"}" if sought is _PEERS else rest[:at]
            rest = rest[at + skipped :]
            sought, skipped = _NEXT_PEER, 1
        if rest.endswith(end) and sought is not _PEERS:
            if len(rest) > len(end):
                yield rest[: -len(end)]
            return
        if 0 <= line_end < len(rest) - len(end) or len(rest) > _STATUS_MAX:
            raise nonsense()


def status(name):
    """The daemon's status, streamed: a dict of the interface, then one of each peer. Who may not
    use the control socket gets it from the one that only tells.

    NoDaemon, NoRight, Refused, NoAnswer, OSError; none comes before the first dict is asked for.
    """
    try:
        talk = _Talk(name, _SILENCE_MS)
    except NoRight:
        yield from told(name)
        return
    yield from _status(talk, b"status=1\n\n", _STATUS_END)


def told(name):
    """The same from the socket that only tells."""
    yield from _status(_Talk(name, _SILENCE_MS, status_path(name)), b"", _READ_END)


def _status(talk, request, end):
    try:
        talk.send(request)
        for text in _status_texts(talk, end):
            yield _object(text)
    finally:
        port.close(talk.fd)


def is_up(name):
    """Whether the daemon's UDP sockets are open."""
    asked = status(name)
    try:
        return bool(next(asked).get("up"))
    finally:
        asked.close()
