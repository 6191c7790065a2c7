# SPDX-License-Identifier: MIT
"""What bringing an interface up and changing it have in common."""

from tunlite.config import as_uapi
from tunlite.host import filter as filters, routes, rules
from tunlite.uapi import client

# A change of these takes a new daemon; the others are applied by a reload.
FIXED = (
    "Engine",
    "AEAD",
    "Offloads",
    "Batch",
    "Memory",
    "Workers",
    "RingSlots",
    "RekeyAfter",
    "User",
    "SocketGroup",
    "StateDir",
    "Layer",
)


def note_config(state, config):
    """What `down` and the next reload need of a configuration."""
    for kind in ("PreDown", "PostDown"):
        state[kind] = config.interface.get(kind, [])
    state["readable"] = config.readable_ok
    state["save"] = config.interface.get("SaveConfig", False)
    state["endpoints"] = as_uapi.endpoints_of(config)
    state["fixed"] = {key: config.interface[key] for key in FIXED if key in config.interface}


def settings(config):
    """What the daemon has to know from its start: no secret, and nothing that it can be told."""
    settings = {key: config.interface[key] for key in FIXED if key in config.interface}
    settings["ListenPort"] = config.interface.get("ListenPort", 0)
    settings["MTU"] = config.interface.get("MTU") or 1420
    return settings


def _mark(state, config):
    """The mark and table of default routes: FwMark, else a free one, told to the daemon."""
    mark = config.interface.get("FwMark", 0)
    if mark or not routes.default_families(config):
        return mark
    for _, rule in state["rules"]:
        if "mark" in rule:
            mark = rule["mark"]
    mark = mark or routes.free_table()
    client.set_device(state["interface"], [f"fwmark={mark}\n".encode()])
    return mark


def set_routes(state, config, log):
    name = state["interface"]
    mark = _mark(state, config)
    families = routes.default_families(config)
    routes.apply(name, routes.wanted(config, mark), state, log)
    rules.apply(families, mark, state)
    filters.apply(name, families, config.interface.get("Address", []), mark, state, log)
