# SPDX-License-Identifier: MIT
"""What a user is told."""


class UserError(Exception):
    """Something failed that a user can mend: args[0] says what and, where it is known, how."""


class UsageError(Exception):
    """The command line is wrong: args[0] says how."""
