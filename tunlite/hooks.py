# SPDX-License-Identifier: MIT
"""PreUp, PostUp, PreDown and PostDown: run by the root parent, never by the confined daemon."""

from tunlite import children, port
from tunlite.errors import UserError, said

_SIGHUP = 1
_IN_ALL_MS = 350  # for hooks, once a signal has asked us to end, which may take a second
_AT_LEAST_MS = 100  # for each of them


class HookError(UserError):
    """A hook failed."""


class Patience:
    """How long hooks may take: as long as they like, until a signal asks us to end."""

    def __init__(self):
        self.later = False  # whether hooks of another kind come later: they are left their least
        self.signals = port.signal_fd()
        self._until_ms = None
        self._cut_short = False

    def arrived(self):
        """The signals that came since the last call; the first that asks us to end counts."""
        try:
            numbers = port.os_read(self.signals, 64)
        except OSError:
            return b""
        if self._until_ms is None and any([number != _SIGHUP for number in numbers]):
            self._until_ms = port.now_ms() + _IN_ALL_MS
        return numbers

    def is_asked(self):
        """Whether one of those that arrived() has seen asks us to end."""
        return self._until_ms is not None

    def run(self, argv):
        """Runs a hook; (its status, whether we ended it)."""
        self._cut_short = False
        return children.run(argv, wait=self._wait), self._cut_short

    def _left_ms(self, began_ms):
        self.arrived()
        if not self.is_asked():
            return -1
        until_ms = self._until_ms - (_AT_LEAST_MS if self.later else 0)
        return max(0, max(until_ms, began_ms + _AT_LEAST_MS) - port.now_ms())

    def _wait(self, pidfd):
        began_ms = port.now_ms()
        left_ms = self._left_ms(began_ms)
        while left_ms:
            rows = [(pidfd, port.POLLIN), (self.signals, port.POLLIN)]
            if pidfd in [fd for fd, _ in port.poll(rows, left_ms)]:
                return
            left_ms = self._left_ms(began_ms)
        self._cut_short = True
        children.end_group(pidfd)


def _shell():
    # wg-quick evaluates hooks with bash, and files in the wild rely on it.
    return children.find("bash") or "/bin/sh"


def run(kind, commands, interface, patience):
    """Runs each command, with %i as the interface's name, until one fails."""
    for command in commands:
        text = command.replace("%i", interface)
        try:
            status, cut_short = patience.run([_shell(), "-c", text])
        except OSError as e:
            raise HookError(f"{kind}: the shell cannot be started: {said(e)}")
        if cut_short:
            raise HookError(
                f"{kind} = {command}: interrupted; it was still running when we had to end"
            )
        if status:
            raise HookError(f"{kind} = {command}: the command {children.describe(status)}")
