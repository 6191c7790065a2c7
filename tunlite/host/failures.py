# SPDX-License-Identifier: MIT
"""How a step fails, and when undoing it does not."""

import errno

from tunlite.errors import UserError, said

_ESRCH = 3
_ENOENT = 2
_ENODEV = 19
_EADDRNOTAVAIL = errno.EADDRNOTAVAIL
_GONE = (_ESRCH, _ENOENT, _ENODEV, _EADDRNOTAVAIL)


class QuickError(UserError):
    """Bringing up, changing or taking down an interface failed."""


class LinkError(UserError):
    """A step failed."""


STEP_ERRORS = Exception  # what a daemon says may be too much for us, or lack what we look for


def step_error(what, e):
    """The LinkError of a step that the kernel refused."""
    return LinkError(f"{what}: {said(e)}")


def undo(call):
    """Calls it; that the thing has gone already is fine."""
    try:
        call()
    except OSError as e:
        if e.errno not in _GONE:
            raise
