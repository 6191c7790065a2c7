# SPDX-License-Identifier: MIT
"""UNIX sockets: the one that speaks text.py and get.py, and those that tell the status to whoever
connects. Few clients, bounded memory, nothing that blocks.

A client sends requests one after the other; the answer to each is produced piece by piece as the
client reads it, so a slow one holds up itself alone. get=1 and set=1 are WireGuard's. Ours are
status=1: JSON (status.py), a newline, then errno=0; and addresses=1, layer 2's table.
"""

from tunlite.plane import plane as planes
from tunlite.uapi import get, text as uapi

CLIENTS_MAX = 8
LINE_MAX = 1024
IDLE_MS = 30_000
ACCEPT_AGAIN_MS = 1000
_READ = 512
_PIECES_A_TURN = 8
_EAGAIN = 11
_EINTR = 4


class Server:
    """`loop`: watch(fd, events, callback), unwatch(fd), now(), at(when_ms, callback); it survives
    a callback's exceptions. `status(loop)` gives the pieces of the status. `kind`: of its clients,
    Client or Reader."""

    def __init__(self, loop, port, interface, status, log, kind=None):
        self._loop = loop
        self.port = port
        self.interface = interface
        self.status = status
        self.log = log
        self._kind = kind or Client
        self._listener = None
        self._accepts_at_ms = None  # not before; None: now
        self._clients = []

    def pieces(self):
        return self.status(self._loop)

    def listen(self, fd):
        """Serves a listening descriptor (port.unix_listen), which it closes at the end."""
        self._listener = fd
        self._resume()

    def close(self):
        for client in list(self._clients):
            self._drop(client)
        if self._listener is not None:
            self._loop.unwatch(self._listener)
            self.port.close(self._listener)
            self._listener = None

    def _accept(self, *_):
        if len(self._clients) >= CLIENTS_MAX and not self._evict():
            # Others wait in the kernel's queue until one of ours is gone or was silent for long.
            self._pause(self._oldest().since_ms + IDLE_MS)
            return
        try:
            fd = self.port.unix_accept(self._listener)
        except OSError as e:
            if e.errno not in (_EAGAIN, _EINTR):
                self.log.error(
                    f"{self._kind.SOCKET}: accept failed: {self.port.strerror(e.errno)}", "server"
                )
                # Without descriptors the client stays at the door: asking at once would spin.
                self._pause(self._loop.now() + ACCEPT_AGAIN_MS)
            return
        client = self._kind(self, fd, self._loop.now())
        self._clients.append(client)
        self._loop.watch(fd, client.events, client.ready)

    def _pause(self, until_ms):
        """Nobody is let in until then, or until _resume()."""
        self._loop.unwatch(self._listener)
        self._accepts_at_ms = until_ms
        self._loop.at(until_ms, self._open_again)

    def _open_again(self, now_ms):
        if self._accepts_at_ms is not None and now_ms >= self._accepts_at_ms:
            self._resume()

    def _resume(self):
        self._accepts_at_ms = None
        if self._listener is not None:
            self._loop.watch(self._listener, self.port.POLLIN, self._accept)

    def _oldest(self):
        oldest = self._clients[0]
        for client in self._clients:
            if client.since_ms < oldest.since_ms:
                oldest = client
        return oldest

    def _evict(self):
        """Drops the client that was idle for longest, if any was for long."""
        oldest = self._oldest()
        if self._loop.now() - oldest.since_ms < IDLE_MS:
            return False
        self._drop(oldest)
        return True

    def _drop(self, client):
        if client not in self._clients:
            return
        self._clients.remove(client)
        self._loop.unwatch(client.fd)
        self.port.close(client.fd)
        if self._accepts_at_ms is not None:
            self._resume()
        client.wipe()

    def serve(self, client):
        """A descriptor is ready: does a little, so that packets turn before the rest."""
        client.woke(self._loop.now())
        try:
            alive = client.write() and (client.has_output() or client.read())
        except OSError:
            alive = False  # the client is gone
        except Exception:
            self._drop(client)
            raise
        if not alive:
            self._drop(client)
            return
        # Input that we have already is not seen by a look at the socket: its room is, at once.
        waits = client.has_output() or client.has_input()
        events = self.port.POLLOUT if waits else self.port.POLLIN
        if events != client.events:
            client.events = events
            self._loop.watch(client.fd, events, client.ready)


class _Answered:
    """One connection, and an answer on its way. `since_ms`: nothing was heard of it since then."""

    def __init__(self, server, fd, now_ms):
        self.server = server
        self.fd = fd
        self.since_ms = self._woke_ms = now_ms
        self._pieces = None
        self._piece = None
        self._sent = 0

    def ready(self, *_):
        self.server.serve(self)

    def woke(self, now_ms):
        self._woke_ms = now_ms

    def wipe(self):
        self._wipe_piece()

    def _wipe_piece(self):
        if isinstance(self._piece, bytearray):
            self.server.port.native.tl_wipe(self._piece, len(self._piece))
        self._piece = None

    def has_output(self):
        return self._piece is not None or self._pieces is not None

    def has_input(self):
        return False

    def _is_long(self):
        """Whether this turn took its time."""
        return self.server.port.now_ms() - self._woke_ms >= planes.LONG_MS

    def write(self):
        """Sends some of what there is."""
        for _ in range(_PIECES_A_TURN):
            if not self._next_piece():
                break
            try:
                view = memoryview(self._piece)[self._sent :]
                self._sent += self.server.port.os_write(self.fd, view)
            except OSError as e:
                if e.errno in (_EAGAIN, _EINTR):
                    break
                raise
            if self._is_long():
                break
        return True

    def _next_piece(self):
        while self._piece is None or self._sent >= len(self._piece):
            self._wipe_piece()
            self._sent = 0
            if self._pieces is None:
                return False
            try:
                self._piece = next(self._pieces)
            except StopIteration:
                self._pieces = None
        return True


class Reader(_Answered):
    """Gets the status, and that is all; what it says is no matter. A slow one has its place, where
    others wait for one, as long as a silent client has."""

    SOCKET = "status socket"

    def __init__(self, server, fd, now_ms):
        super().__init__(server, fd, now_ms)
        self.events = server.port.POLLOUT
        self._pieces = server.pieces()

    def read(self):
        """All was sent. Something left unread would make the answer's end an error."""
        self.server.port.os_read(self.fd, _READ)
        return False


class Client(_Answered):
    """Asks again and again: a line under construction, and the set that it belongs to."""

    SOCKET = "control socket"

    def __init__(self, server, fd, now_ms):
        super().__init__(server, fd, now_ms)
        self.events = server.port.POLLIN
        self._line = bytearray(LINE_MAX)  # of one size: growing would leave copies of secrets
        self._length = 0
        self._too_long = False
        self._handle = self._command
        self._setter = None
        self._errno = 0
        self._input = bytearray(_READ)  # read, and not looked at yet: from _at to _end
        self._at = self._end = 0

    def woke(self, now_ms):
        self.since_ms = self._woke_ms = now_ms

    def wipe(self):
        super().wipe()
        native = self.server.port.native
        native.tl_wipe(self._line, LINE_MAX)
        native.tl_wipe(self._input, _READ)
        if self._setter is not None:
            self._setter.end()
            self._setter = None

    def has_input(self):
        return self._at < self._end

    # ---- out ----

    def _answer(self, pieces):
        self._pieces = pieces

    def _errno_piece(self, errno):
        yield f"errno={-errno}\n\n".encode()

    def _told(self, what):
        if what == b"status=1":
            return self._status()
        interface = self.server.interface
        return self._get(get.pieces(interface) if what == b"get=1" else get.addresses_of(interface))

    def _get(self, pieces):
        errno = 0
        try:
            yield from pieces
        except Exception as e:  # the client gets a word, whatever broke
            self.server.log.error(f"control socket: get failed: {e}", "server")
            errno = uapi.errno_of(e)
        yield from self._errno_piece(errno)

    def _status(self):
        yield from self.server.pieces()
        yield from self._errno_piece(0)

    # ---- in ----

    def read(self):
        """Takes in some bytes; False at the end of the connection."""
        if self._at == self._end:
            try:
                self._end = self.server.port.read_into(self.fd, self._input)
            except OSError as e:
                if e.errno in (_EAGAIN, _EINTR):
                    return True
                raise
            self._at = 0
            if not self._end:
                return self._ended()
        view = memoryview(self._input)
        # What follows a request waits until that is answered.
        while self.has_input() and not self.has_output():
            end = self._input.find(b"\n", self._at, self._end)
            part = view[self._at : end if end >= 0 else self._end]
            self._at += len(part) + (end >= 0)
            self._append(part)
            if end >= 0:
                self._end_of_line()
                if self._is_long():
                    break
        if self._at == self._end:
            self.server.port.native.tl_wipe(self._input, _READ)
        return True

    def _ended(self):
        """The client sends no more: a set without its empty line is answered too; whether there is
        something to answer."""
        if self._setter is None:
            return False
        if self._length or self._too_long:
            self._errno = self._errno or uapi.EPROTO  # who knows what else stood in that line
        self._set_end()
        return True

    def _append(self, part):
        end = self._length + len(part)
        if end > LINE_MAX:
            self._too_long = True
            return
        memoryview(self._line)[self._length : end] = part  # without a copy that stays
        self._length = end

    def _end_of_line(self):
        length = self._length
        too_long = self._too_long
        self._length = 0
        self._too_long = False
        self._handle(memoryview(self._line)[:length], too_long)

    def _command(self, line, too_long):
        line = bytes(line)
        if not line:
            return
        if line == b"set=1":
            self._setter = uapi.Setter(self.server.interface)
            self._errno = 0
            self._handle = self._set_line
        elif line in (b"get=1", b"status=1", b"addresses=1") and not too_long:
            self._pieces_after = self._told(line)
            self._handle = self._request_end
        else:
            self._pieces_after = self._errno_piece(uapi.EPROTO)
            self._handle = self._request_end

    def _request_end(self, line, too_long):
        # Anything before the empty line is not for us to understand.
        if len(line) or too_long:
            return
        self._handle = self._command
        self._answer(self._pieces_after)
        self._pieces_after = None

    def _set_line(self, line, too_long):
        if not len(line) and not too_long:
            self._set_end()
            return
        if self._errno:
            return  # the rest of a refused set is read and dropped
        try:
            if too_long:
                raise uapi.UapiError(uapi.EINVAL, "a line is too long")
            # A copy of its own: a line is wiped before the next one overwrites it.
            copy = bytearray(line)
            try:
                self._setter.line(copy)
            finally:
                self.server.port.native.tl_wipe(copy, len(copy))
        except Exception as e:
            self._errno = uapi.errno_of(e)
            self.server.log.info(f"control socket: a line was refused: {e}", "server")

    def _set_end(self):
        self._handle = self._command
        setter = self._setter
        self._setter = None
        try:
            setter.end()
        except Exception as e:
            self._errno = self._errno or uapi.errno_of(e)
            self.server.log.error(f"control socket: set failed: {e}", "server")
        self.server.port.native.tl_wipe(self._line, LINE_MAX)
        self._answer(self._errno_piece(self._errno))
