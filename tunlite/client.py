# SPDX-License-Identifier: MIT
"""Asks a running daemon over its socket: WireGuard's UAPI text, and `status=1`."""

import errno

from tunlite import port
from tunlite.errors import UserError

FOLDER = "/var/run/wireguard"
_PIECE = 16384
_NO_SUCH = (2, 20, 111)  # ENOENT, ENOTDIR, ECONNREFUSED
_EACCES = 13
_EADDRINUSE = errno.EADDRINUSE


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


def status(name):
    """The daemon's status as a dict."""
    import json

    lines = list(ask(name, [b"status=1\n\n"]))
    try:
        found = json.loads(b"".join(lines).decode())
    except (ValueError, RuntimeError):  # RuntimeError: nested too deep
        found = None
    if not isinstance(found, dict):
        raise nonsense()
    return found
