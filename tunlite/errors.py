# SPDX-License-Identifier: MIT
"""What a user is told."""

from tunlite import port


class UserError(Exception):
    """Something failed that a user can mend: args[0] says what and, where it is known, how."""


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
