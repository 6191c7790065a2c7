# SPDX-License-Identifier: MIT
"""Asks a running daemon over its socket: WireGuard's UAPI text, and `status=1`."""

import errno

from tunlite import port
from tunlite.errors import UserError

FOLDER = "/var/run/wireguard"
_PIECE = 4096
_STATUS_PIECE = 2048
_STATUS_MAX = 1 << 20  # of one peer: far more than one has
_NO_SUCH = (2, 20, errno.ECONNREFUSED)  # ENOENT, ENOTDIR
_EACCES = 13
_EADDRINUSE = errno.EADDRINUSE
_ENOMEM = 12


class NoDaemon(UserError):
    """No daemon answers for the interface."""


class Refused(UserError):
    """The daemon answered with an errno."""


def socket_path(name):
    return FOLDER + "/" + name + ".sock"


def interfaces():
    """Names that a socket file exists for, sorted."""
    try:
        found = port.listdir(FOLDER)
    except OSError:
        return []
    return sorted([name[:-5] for name in found if name.endswith(".sock")])


def connect(name):
    """A connected descriptor; NoDaemon."""
    try:
        return port.unix_connect(socket_path(name))
    except OSError as e:
        if e.errno == _EACCES:
            raise UserError(f"you may not use {socket_path(name)}: be root, or in its group")
        if e.errno in _NO_SUCH:
            raise NoDaemon(f"{name} is not up: nobody answers at {socket_path(name)}")
        raise


def _lines(fd):
    """Lines (bytes) until the empty one that ends an answer."""
    rest = b""
    while True:
        part = port.os_read(fd, _PIECE)
        if not part:
            raise Refused("the daemon closed its socket in the middle of an answer")
        pieces = (rest + part).split(b"\n")
        rest = pieces.pop()
        for line in pieces:
            if not line:
                return
            yield line


def _send(fd, data):
    view = memoryview(data)
    while view:
        view = view[port.os_write(fd, view) :]


def _refusal(number):
    if number == _EADDRINUSE:
        return "the UDP port is taken by another process; choose another ListenPort"
    if number == _EACCES:
        return (
            "it may not open this UDP port: give it CAP_NET_BIND_SERVICE, or choose one above 1023"
        )
    if number == _ENOMEM:
        return "the daemon is out of memory; start it with a larger heap: tunlite --heap 8M ..."
    return f"a line was refused (errno {number}); the daemon's log says why"


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


def ask(name, request):
    """Sends an iterable of bytes-like pieces; gives the answer's lines (bytes) without `errno`.

    NoDaemon, Refused, OSError. Nothing is sent before the first line is asked for.
    """
    fd = connect(name)
    try:
        for piece in request:
            _send(fd, piece)
        for line in _lines(fd):
            if line.startswith(b"errno="):
                number = _number(line[6:])
                if number:
                    raise Refused(f"{name}: {_refusal(abs(number))}")
            else:
                yield line
    finally:
        port.close(fd)


def set_device(name, request):
    """Sends `set=1` and what it sets (pieces of lines, without the empty line)."""

    def whole():
        yield b"set=1\n"
        yield from request
        yield b"\n"

    for _ in ask(name, whole()):
        pass


def get_device(name):
    """Lines of `get=1`, as (key, value) of bytes."""
    for line in ask(name, [b"get=1\n\n"]):
        key, _, value = line.partition(b"=")
        yield key, value


# ---- status ----------------------------------------------------------------------------------

# Bare quotes stand in no JSON string, so these are found between members alone (control.md,
# "Status": "peers" is the last member, "public_key" a peer's first).
_PEERS = b',"peers":['
_NEXT_PEER = b',{"public_key":'
_STATUS_END = b"]}\nerrno=0\n\n"


def _object(text):
    import json

    try:
        found = json.loads(bytes(text).decode())
    except (ValueError, RuntimeError):  # RuntimeError: nested too deep
        found = None
    if not isinstance(found, dict):
        raise nonsense()
    return found


def _status_texts(fd):
    """The JSON of the interface, then of each peer; a peer is the most that is held."""
    rest = b""
    sought, skipped = _PEERS, len(_PEERS)
    while True:
        part = port.os_read(fd, _STATUS_PIECE)
        if not part:
            raise Refused("the daemon closed its socket in the middle of an answer")
        rest += part
        while True:
            line_end = rest.find(b"\n")
            at = rest.find(sought)
            if at < 0 or 0 <= line_end < at:
                break
            yield rest[:at] + b"}" if sought is _PEERS else rest[:at]
            rest = rest[at + skipped :]
            sought, skipped = _NEXT_PEER, 1
        if rest.endswith(_STATUS_END) and sought is not _PEERS:
            if len(rest) > len(_STATUS_END):
                yield rest[: -len(_STATUS_END)]
            return
        if 0 <= line_end < len(rest) - len(_STATUS_END) or len(rest) > _STATUS_MAX:
            raise nonsense()


def status(name):
    """The daemon's status, streamed: a dict of the interface, then one of each peer.

    NoDaemon, Refused, OSError; none of them comes before the first dict is asked for.
    """
    fd = connect(name)
    try:
        _send(fd, b"status=1\n\n")
        for text in _status_texts(fd):
            yield _object(text)
    finally:
        port.close(fd)


def is_up(name):
    """Whether the daemon's UDP sockets are open."""
    asked = status(name)
    try:
        return bool(next(asked).get("up"))
    finally:
        asked.close()
