# SPDX-License-Identifier: MIT
"""The runner of commands: a small root process that only forks (control.md, "The runner").

It is made before the daemon is confined, holds no secret, and ends with the daemon. One child of it
(errands.py) reads the file and runs commands; it is begun anew when it ends, and at SIGHUP.
"""

from tunlite import programs
from tunlite.host import errands, record
from tunlite.system import port

_SIGHUP = 1
_SIGKILL = 9
_SIGTERM = 15
_AGAIN_MS = 1000  # after a child that ended early, doubled each time up to
_AGAIN_MOST_MS = 60_000
_EARLY_MS = 10_000
_PATIENCE_MS = 3000


class Runner:
    """As who starts the daemon has it: `daemon_fd` and `alive_fd` are the daemon's to keep."""

    def __init__(self, file, log, detach, forget):
        """file: (name of the interface, path, readable_ok). `forget` is called in it first: it
        wipes the copies of our secrets that come with a fork."""
        self.daemon_fd, theirs = port.packet_pair()
        alive, self.alive_fd = port.pipe()
        begin, self._begin_fd = port.pipe()
        self.pid = port.fork()
        if self.pid == 0:
            try:
                forget()
                _become(detach, log, (theirs, alive, begin))
                _Forker(file, log, theirs, alive).serve(begin)
            finally:
                port._exit(0)
        for fd in (theirs, alive, begin):
            port.close(fd)

    def handed_over(self):
        """The daemon has its own of them now."""
        port.close(self.daemon_fd)
        port.close(self.alive_fd)

    def begin(self, daemon_pid):
        """All is set up: commands may run."""
        port.os_write(self._begin_fd, str(daemon_pid).encode())
        self._let_go()

    def _let_go(self):
        if self._begin_fd >= 0:
            port.close(self._begin_fd)
            self._begin_fd = -1

    def end(self):
        """The daemon has ended: so does it, with all that it runs."""
        self._let_go()
        fd = port.pidfd_open(self.pid)
        port.poll([(fd, port.POLLIN)], 2 * _PATIENCE_MS)
        port.close(fd)
        port.kill(self.pid, _SIGKILL)
        port.waitpid(self.pid, True)


def _become(detach, log, ours):
    port.setsid()
    port.links.close()
    programs.close_others(ours)
    if detach:
        port.chdir("/")
        port.detach_stdio()
        log.leave_terminal()


class _Forker:
    """In the runner. `alive` reads as ended when the daemon has."""

    def __init__(self, file, log, fd, alive):
        self._file = file
        self._log = log
        self._fd = fd
        self._alive = alive
        self._signals = port.signal_fd()
        self._pid = 0  # the daemon's

    def serve(self, begin):
        said = port.os_read(begin, 16)  # or its writer is gone, and the daemon maybe too
        port.close(begin)
        self._pid = int(said or b"0")
        again_ms = _AGAIN_MS
        while not self._is_over(0):
            began_ms = port.now_ms()
            asked = self._watch(self._fork())
            if asked or port.now_ms() - began_ms >= _EARLY_MS:
                again_ms = _AGAIN_MS
            else:
                self._is_over(again_ms)
                again_ms = min(2 * again_ms, _AGAIN_MOST_MS)
        _end_session()

    def _is_over(self, wait_ms):
        """Whether the daemon has ended; waits so long for that, or for a signal."""
        rows = [(self._alive, port.POLLIN), (self._signals, port.POLLIN)]
        return self._alive in [fd for fd, _ in port.poll(rows, wait_ms)]

    def _fork(self):
        pid = port.fork()
        if pid == 0:
            try:
                errands.work(self._file, self._fd, self._pid, self._log)
            finally:
                port._exit(0)
        return pid

    def _watch(self, pid):
        """Until the child has ended; whether it was told to."""
        fd = port.pidfd_open(pid)
        asked = False
        rows = [(fd, port.POLLIN), (self._alive, port.POLLIN), (self._signals, port.POLLIN)]
        ready = []
        while fd not in ready and self._alive not in ready:
            ready = [each for each, _ in port.poll(rows, -1)]
            if self._signals in ready and _SIGHUP in port.os_read(self._signals, 64):
                asked = True
                port.kill(pid, _SIGTERM)
        if fd not in ready and not port.poll(rows[:1], _PATIENCE_MS):
            port.kill(pid, _SIGKILL)
        port.close(fd)
        if port.waitpid(pid, True):
            _end_session()  # it was killed, or failed: nobody waits for what it began
        return asked


def _end_session():
    """What commands have left behind, or a child that was killed."""
    ours = port.getpid()
    for text in port.listdir("/proc"):
        if not text.isdigit() or int(text) == ours:
            continue
        try:
            fd = port.pidfd_open(int(text))
            # Opened before the look: from then on its pid can be no other process's.
            if int(record.stat_fields(text)[3]) == ours:
                programs.kill(fd, _SIGKILL)
            port.close(fd)
        except OSError:
            pass  # it has ended
