# SPDX-License-Identifier: MIT
"""One line for each thing worth saying: to stderr, information in the foreground to stdout, or all
to the system's log once there is neither; the same kind of thing at most so often."""

from tunlite import syslog
from tunlite.system import port

ERROR = 0
INFO = 1
EVENTS = 2  # for programs
DEBUG = 3

_BURST = 5
_WINDOW_MS = 60000


class Log:
    """`prefix` names the interface; `clock` gives milliseconds; `write` takes a line."""

    hides = False  # addresses outside the tunnel, and MACs

    def __init__(self, prefix, level=INFO, clock=port.now_ms, write=port.print_err):
        self.prefix = prefix
        self.level = level
        self._clock = clock
        self._write = write
        self.foreground = False  # whether a supervisor reads us: procd takes stderr for errors
        self._has_terminal = True
        self._kinds = {}  # kind -> [start of its window, lines in it, lines left out]

    def leave_terminal(self):
        """From now on lines go to the system's log: nobody reads stderr any more."""
        self._has_terminal = False

    def outer(self, text, instead="(hidden)"):
        """`text`, an address outside the tunnel or what may hold one, as people may see it, here
        and in the status: all such text goes through this."""
        return instead if text and self.hides else text

    def error(self, text, kind=None):
        self._say(ERROR, text, kind)

    def info(self, text, kind=None):
        self._say(INFO, text, kind)

    def event(self, text):
        self._say(EVENTS, text, None)

    def debug(self, text, kind=None):
        self._say(DEBUG, text, kind)

    def _say(self, level, text, kind):
        """`kind` groups lines that say the same of different peers; None is never held back."""
        if level > self.level:
            return
        if kind is not None:
            now = self._clock()
            row = self._kinds.get(kind)
            if row is None or now - row[0] >= _WINDOW_MS:
                left_out = row[2] if row else 0
                row = [now, 0, 0]
                self._kinds[kind] = row
                if left_out:
                    text = f"{text} ({left_out} more like this left out)"
            row[1] += 1
            if row[1] > _BURST:
                row[2] += 1
                return
        text = _line(text)
        if self.prefix:
            text = self.prefix + ": " + text
        if not self._has_terminal:
            syslog.write(level, text)
        elif level and self.foreground:
            _print("tunlite: " + text + "\n")
        else:
            self._write("tunlite: " + text)


def _line(text):
    """Others' words may be in it, as names of files: it stays a line, and steers no terminal."""
    if all([" " <= char <= "~" for char in text]):
        return text
    return "".join([_plain(char) for char in text])


def _plain(char):
    if char < " " or "\x7f" <= char <= "\x9f":
        return " "
    return "?" if 0xD800 <= ord(char) < 0xE000 else char  # a byte that is no text


def _print(text):
    try:
        port.write_out(text)
    except OSError:
        pass  # no one is left to read it
