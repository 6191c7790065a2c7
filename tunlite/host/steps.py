# SPDX-License-Identifier: MIT
"""Steps that bringing an interface up and changing it have in common."""

from tunlite import endpoints
from tunlite.config import as_uapi
from tunlite.errors import UserError, told
from tunlite.host import links
from tunlite.system import port
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


class QuickError(UserError):
    """Bringing up, changing or taking down an interface failed."""


STEP_ERRORS = Exception  # what a daemon says may be too much for us, or lack what we look for
reason = told


# ---- of a configuration ----


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


def _by_name(name):
    """Rows of the status of peers whose endpoint is a name."""
    asked = client.status(name)
    next(asked)
    return [row for row in asked if row["resolver"]]


def choose_mtu(name, config, patience_ms, is_asked=lambda: False):
    """The file's, else for the ways to its endpoints: names are waited for, but no longer than
    that, nor when we are asked to end."""
    if config.interface.get("MTU"):
        return config.interface["MTU"]
    found = [peer["Endpoint"] for peer in config.peers.each(("Endpoint",)) if "Endpoint" in peer]
    found = [endpoints.literal(text) for text in found]
    if None in found:
        wait_until(
            lambda: is_asked() or "resolving" not in [row["resolver"] for row in _by_name(name)],
            patience_ms,
        )
        texts = [row["endpoint"] for row in _by_name(name)]
        found += [endpoints.literal(text) for text in texts if text]
    places = set([place[:2] for place in found if place and not place[3]])
    return links.choose_mtu(name, places, config.interface.get("FwMark", 0))


def _mark(state, config):
    """The mark and table of default routes: FwMark, else a free one, told to the daemon."""
    mark = config.interface.get("FwMark", 0)
    if mark or not links.wants_default(config):
        return mark
    for _, rule in state["rules"]:
        if "mark" in rule:
            mark = rule["mark"]
    mark = mark or links.free_table()
    client.set_device(state["interface"], [f"fwmark={mark}\n".encode()])
    return mark


def set_routes(state, config, log):
    name = state["interface"]
    mark = _mark(state, config)
    families = links.wants_default(config)
    links.set_routes(name, links.wanted_routes(config, mark), state, log)
    links.set_rules(families, mark, state)
    links.set_filter(name, families, config.interface.get("Address", []), mark, state, log)


def wait_until(condition, patience_ms):
    deadline = port.now_ms() + patience_ms
    pause_ms = 1
    while not condition():
        if port.now_ms() > deadline:
            return False
        port.sleep_ms(pause_ms)
        pause_ms = min(2 * pause_ms, 20)
    return True
