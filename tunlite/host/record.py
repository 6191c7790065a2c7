# SPDX-License-Identifier: MIT
"""What `up` and `run` did to an interface, kept so that any process can undo it.

A JSON object in /var/run/tunlite/NAME.json, without secrets: "interface", "path" of its file, "pid"
and "began" of the daemon, "parent" and "parent_began" of a `tunlite run` (0 and "" for none), what
addresses.py, routes.py, rules.py, filter.py and dns.py did, hooks of the way down, and what the
next reload compares with. "busy": rows of pid, when it began, and what it does to the interface:
up, hook (an up that runs PostUp), down, reload. The folder is locked while a record is read and
written, and never while a program runs.
"""

import json

from tunlite.errors import UserError
from tunlite.host import privileges
from tunlite.system import port
from tunlite.uapi import client

FOLDER = client.STATUS_FOLDER
VERSION = 2  # of the record; that of tunlite 0.1.0 has none, and no "busy"
_ENOENT = 2
_WORDS = {"down": "taken down", "reload": "reloaded"}


class StateError(UserError):
    """The record is none that we understand."""


class Busy(UserError):
    """Another process is at work on the interface; args[1]: what it does."""


def new():
    """The state of an interface to which nothing was done yet."""
    return {"addresses": [], "routes": [], "rules": [], "filter": [], "dns": ""}


def path(name):
    return f"{FOLDER}/{name}.json"


def folder_path(name):
    """What peer_folder.py keeps."""
    return f"{FOLDER}/{name}.folder"


def read(name):
    """The state of an interface, None for none. StateError."""
    try:
        state = json.loads(port.read_file(path(name)).decode())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: nested too deep
        return None
    if not isinstance(state, dict):
        return None
    version = state.get("version", 1)
    if version not in (1, VERSION):
        raise StateError(
            f"{path(name)} was written by another tunlite (version {version}, not {VERSION});"
            " take the interface down with that one"
        )
    state.setdefault("busy", [])
    return state if "pid" in state else None


def _locked(call):
    privileges.make_passable(FOLDER)
    lock = port.lock(FOLDER)
    try:
        return call()
    finally:
        port.close(lock)


def _put(state):
    state["version"] = VERSION
    port.write_file_atomic(path(state["interface"]), json.dumps(state).encode(), 0o600)


def write(state):
    """Who is busy stays as others have it."""

    def put():
        state["busy"] = (read(state["interface"]) or state)["busy"]
        _put(state)

    _locked(put)


def drop_file(name):
    """Removes a file that may be gone already."""
    try:
        port.unlink(name)
    except OSError as e:
        if e.errno != _ENOENT:
            raise


# ---- processes -------------------------------------------------------------------------------


def stat_fields(pid):
    """/proc/PID/stat from the state on, texts; OSError. The name before it may have any bytes."""
    line = bytes(port.read_file(f"/proc/{pid}/stat"))
    return line[line.rfind(b")") + 2 :].decode().split()


def start_time(pid):
    """When a process began, in ticks since boot, or "" where there is none: pids are used again."""
    try:
        fields = stat_fields(pid)
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def is_alive(pid, began):
    return bool(pid) and bool(began) and start_time(pid) == began


def is_up(state):
    """Whether the daemon of a state (or None) runs."""
    return state is not None and is_alive(state["pid"], state["began"])


def has_parent(state):
    """Whether another process, a `tunlite run`, looks after the interface."""
    return state["parent"] != port.getpid() and is_alive(state["parent"], state["parent_began"])


# ---- who is at work --------------------------------------------------------------------------


def refuse_busy(state, beside=()):
    """Busy: another process does something to the interface that is not in `beside`."""
    for pid, began, doing in state["busy"]:
        if doing not in beside and is_alive(pid, began):
            word = _WORDS.get(doing, "brought up")
            name = state["interface"]
            raise Busy(f"{name} is being {word} by another process (pid {pid})", doing)


def _mark(state, doing):
    """Only we are noted as the one who is `doing` that; None: we are done."""
    mine = port.getpid()
    state["busy"] = [row for row in state["busy"] if row[0] != mine and is_alive(row[0], row[1])]
    if doing:
        state["busy"].append([mine, start_time(mine), doing])
    _put(state)


def claim(name, doing, new=None):
    """The record, with us noted as at work on it: `new` where there is none. Busy, StateError."""

    def take():
        state = read(name)
        if state is None:
            state = new
        else:
            refuse_busy(state, ("hook",) if doing == "reload" else ())
            if new is not None:
                refuse_up(state)
        if state is not None:
            _mark(state, doing)
        return state

    return _locked(take)


def refuse_up(state):
    if is_up(state):
        name = state["interface"]
        raise Busy(f"{name} is up already; take it down with: tunlite down {name}", "")


def hold(state, doing, adopt=False):
    """Notes what else we do now, None for nothing. With `adopt` what a reload that is no child of
    ours has written meanwhile comes in."""

    def take():
        kept = read(state["interface"]) or state
        state.update(kept if adopt else {"busy": kept["busy"]})
        _mark(state, doing)

    _locked(take)
