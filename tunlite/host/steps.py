# SPDX-License-Identifier: MIT
"""What bringing an interface up and changing it have in common."""

from tunlite import keys
from tunlite.config import as_uapi, options, settings as filled
from tunlite.errors import NEVER, UserError
from tunlite.host import filter as filters, record, routes, rules
from tunlite.system import port
from tunlite.uapi import client

_SIGHUP = 1
_MAIN = 254


class BareError(UserError):
    """What a supervisor does is asked of us."""

    status = NEVER


def leave_to_supervisor(config):
    """Takes what `run --bare` does not do out of a configuration; the options' names. BareError."""
    for name in options.names("Interface", options.KIND, "hook"):
        if name in config.interface and name not in options.RUN_BY_ROOT:
            raise BareError(
                f"{config.path}: {name}: with --bare hooks are the supervisor's;"
                " remove it, or use OnEstablish and OnDisestablish"
            )
    found = [name for name in ("Address", "DNS", "Table", "MTU") if name in config.interface]
    for name in found:
        del config.interface[name]
    config.settings = filled.Settings(config.interface)
    config.bare = True
    return found


def note_config(state, config):
    """What `down` and the next reload need of a configuration."""
    settings = config.settings
    if state.get("bare"):
        state["peers"] = [
            keys.text(peer["PublicKey"]) for peer in config.peers.each(("PublicKey",))
        ]
    for kind in ("PreDown", "PostDown"):
        state[kind] = settings[kind]
    state["readable"] = config.readable_ok
    state["save"] = settings["SaveConfig"]
    state["endpoints"] = as_uapi.endpoints_of(config)
    state["fixed"] = settings.fixed()


def begin_anew(state, config, log):
    """The runner of commands reads the file; where there is none it cannot be made any more."""
    pid = state.get("runner", 0)
    if record.is_alive(pid, state.get("runner_began", "")):
        port.kill(pid, _SIGHUP)
    elif config.run_by_root():
        names = ", ".join(config.run_by_root())
        log.error(f"{names}: there is no runner of commands; that takes effect at the next start")


def set_routes(state, config, log):
    """Routes, and what a default route needs: a mark of our packets, whose number its table has
    (FwMark, else a free one, told to the daemon), rules and the filter."""
    name = state["interface"]
    rows = routes.wanted(config)
    families = routes.default_families(rows)
    mark = config.settings["FwMark"]
    if families and not mark:
        mark = rules.mark(state) or routes.free_table()
        client.set_device(name, [bytearray(f"fwmark={mark}\n".encode())])
    routes.apply(name, routes.with_table(rows, mark), state, log)
    rules.apply(families, mark, state)
    filters.apply(name, families, config.settings["Address"], mark, state, log)
    _tell_table(name, config.settings["Table"])


def _tell_table(name, table):
    """Where the daemon puts routes to peers that come and go: as here, with the main table's number
    where ours is 0."""
    try:
        number = _MAIN if table is None else table
        client.set_device(name, [bytearray(f"route_table={number}\n".encode())])
    except client.Refused:
        pass  # a daemon of before the program's update makes none
