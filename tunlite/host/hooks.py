# SPDX-License-Identifier: MIT
"""PreUp, PostUp, PreDown and PostDown: run by the root parent, never by the confined daemon."""

from tunlite import programs
from tunlite.errors import UserError, told
from tunlite.host import privileges
from tunlite.system import port

_SIGHUP = 1
_IN_ALL_MS = 60_000  # for hooks, once a signal has asked us to end: systemd kills after 90 s,
_IN_ALL_OPENWRT_MS = 4000  # procd after 5
_AT_LEAST_MS = 100  # for each of them

# What hooks of wg-quick find in its shell. Their text comes by a pipe: arguments are everybody's to
# read, and what is in the environment all that they start would have.
_SHELL = (
    "IFS= read -r hook <&3; exec 3<&-; INTERFACE=$1 CONFIG_FILE=$2; shift 2; export LC_ALL=C;"
    ' cmd() { echo "[#] $*" >&2; "$@"; }; die() { echo "tunlite: $*" >&2; exit 1; };'
    " shopt -s extglob 2>/dev/null; (set -o pipefail) 2>/dev/null && set -o pipefail;"
    ' set -e; eval "$hook"'
)


class HookError(UserError):
    """A hook failed."""


class Patience:
    """How long hooks may take: as long as they like, until a signal asks us to end."""

    def __init__(self):
        self.later = False  # whether hooks of another kind come later: they are left a quarter
        self.reload = None  # what SIGHUP calls; it waits until there is something to call
        self.signals = port.signal_fd()
        self._in_all_ms = _IN_ALL_OPENWRT_MS if privileges.is_openwrt() else _IN_ALL_MS
        self._until_ms = None
        self._hangup = False
        self._cut_short = False

    def arrived(self):
        """Does what the signals ask for that came since the last call."""
        try:
            numbers = port.os_read(self.signals, 64)
        except OSError:
            numbers = b""
        for number in numbers:
            if number == _SIGHUP:
                self._hangup = True
            elif self._until_ms is None:
                self._until_ms = port.now_ms() + self._in_all_ms
        if self._hangup and self.reload and not self.is_asked():
            self._hangup = False
            self.reload()

    def is_asked(self):
        """Whether one of those that arrived() has seen asks us to end."""
        return self._until_ms is not None

    def run(self, argv, text):
        """Runs a hook; (its status, whether we ended it)."""
        self._cut_short = False
        status = programs.run(argv, text, wait=self._wait, by_fd3=True)
        return status, self._cut_short

    def _left_ms(self, began_ms):
        self.arrived()
        if not self.is_asked():
            return -1
        until_ms = self._until_ms - (self._in_all_ms // 4 if self.later else 0)
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
        programs.end_group(pidfd)


def shell(name, path):
    """argv of a shell that runs what it reads of descriptor 3."""
    # wg-quick evaluates hooks with bash, and files in the wild rely on it. bash takes a stdin that
    # is a socket for somebody's login, and would read .bashrc.
    bash = programs.find("bash")
    shell = [bash, "--norc"] if bash else ["/bin/sh"]
    return shell + ["-c", _SHELL, "tunlite", name, path]


class Hooks:
    """The commands of one interface. `commands`: a Settings, or the state, which has those of
    down."""

    def __init__(self, commands, state, patience):
        self._commands = commands
        self._state = state
        self._patience = patience

    def run(self, kind):
        """Runs each command, with %i as the interface's name, until one fails."""
        for command in self._commands[kind]:
            self._run(kind, command)

    def _run(self, kind, command):
        text = command.replace("%i", self._state["interface"]) + "\n"
        try:
            argv = shell(self._state["interface"], self._state["path"])
            status, cut_short = self._patience.run(argv, text.encode())
        except OSError as e:
            raise HookError(f"{kind}: the shell cannot be started: {told(e)}")
        if cut_short:
            raise HookError(
                f"{kind} = {command}: interrupted; it was still running when we had to end"
            )
        if status:
            raise HookError(f"{kind} = {command}: the command {programs.describe(status)}")
