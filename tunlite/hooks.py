# SPDX-License-Identifier: MIT
"""PreUp, PostUp, PreDown and PostDown: run by the root parent, never by the confined daemon."""

from tunlite import children
from tunlite.errors import UserError


class HookError(UserError):
    """A hook failed."""


def _shell():
    # wg-quick evaluates hooks with bash, and files in the wild rely on it.
    return children.find("bash") or "/bin/sh"


def run(kind, commands, interface):
    """Runs each command, with %i as the interface's name, until one fails."""
    for command in commands:
        text = command.replace("%i", interface)
        try:
            status = children.run([_shell(), "-c", text])
        except OSError as e:
            raise HookError(f"{kind}: the shell cannot be started (errno {e.errno})")
        if status:
            raise HookError(f"{kind} = {command}: the command {children.describe(status)}")
