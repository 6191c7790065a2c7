# SPDX-License-Identifier: MIT
"""What `up` and `run` did to an interface, kept so that any process can undo it.

A JSON object in /var/run/tunlite/NAME.json, without secrets: "interface", "path" of its file, "pid"
and "began" of the daemon, "parent" and "parent_began" of a `tunlite run` (0 and "" for none), the
lists of links.py, hooks of the way down, and what the next reload compares with.
"""

import json

from tunlite import port, privileges

FOLDER = "/var/run/tunlite"
_ENOENT = 2


def path(name):
    return f"{FOLDER}/{name}.json"


def read(name):
    """The state of an interface, None for none."""
    try:
        return json.loads(port.read_file(path(name)).decode())
    except (OSError, ValueError):
        return None


def write(state):
    if not privileges.make_folder(FOLDER, 0o700):
        port.chmod(FOLDER, 0o700)
    port.write_file_atomic(path(state["interface"]), json.dumps(state).encode(), 0o600)


def drop_file(name):
    """Removes a file that may be gone already."""
    try:
        port.unlink(name)
    except OSError as e:
        if e.errno != _ENOENT:
            raise


# ---- processes -------------------------------------------------------------------------------


def start_time(pid):
    """When a process began, in ticks since boot, or "" where there is none: pids are used again."""
    try:
        text = port.read_file(f"/proc/{pid}/stat").decode()
    except OSError:
        return ""
    fields = text[text.rfind(")") + 2 :].split()
    return "" if fields[0] == "Z" else fields[19]


def is_alive(pid, began):
    return bool(pid) and bool(began) and start_time(pid) == began


def is_up(state):
    """Whether the daemon of a state (or None) runs."""
    return state is not None and is_alive(state["pid"], state["began"])


def has_parent(state):
    """Whether another process, a `tunlite run`, looks after the interface."""
    return state["parent"] != port.getpid() and is_alive(state["parent"], state["parent_began"])
