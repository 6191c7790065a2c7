# SPDX-License-Identifier: MIT
"""What a user is told."""

from tunlite.system import port

AGAIN = 1  # exit statuses: the same may go well another time,
NEVER = 78  # or fails until somebody changes the configuration: EX_CONFIG of sysexits.h


class UserError(Exception):
    """Something failed that a user can mend: args[0] says what and, where it is known, how."""

    status = AGAIN

    def as_of(self, e):
        """Self, for `raise`: a supervisor is told the same as by the error behind it."""
        self.status = getattr(e, "status", AGAIN)
        return self


class UsageError(Exception):
    """The command line is wrong: args[0] says how."""


def told(e):
    """What any exception says: its type too, where it is none that was foreseen."""
    if isinstance(e, UserError):
        return e.args[0]
    return said(e) if isinstance(e, OSError) else f"{type(e).__name__}: {e}"


def said(e):
    """What an OSError says; ours over system calls on MicroPython have but a number."""
    return str(e.args[1]) if len(e.args) > 1 else port.strerror(e.args[0])
