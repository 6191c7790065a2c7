# SPDX-License-Identifier: MIT
"""Reads an interface's file again and applies what differs; unchanged peers notice nothing."""

from tunlite import keys
from tunlite.config import as_uapi, parser
from tunlite.config.settings import FIXED
from tunlite.errors import told
from tunlite.host import addresses, dns, failures, mtu as mtus, record, routes, steps, waiting
from tunlite.system import port
from tunlite.uapi import client

_SIGHUP = 1
_PATIENCE_MS = 30000
_NAMES_MS = 700  # whoever ends `tunlite run` meanwhile gets its end within a second


def reload(name, log):
    """Reads the file again and applies what differs. QuickError; the tunnel goes on as it was."""
    state = record.read(name)
    if not record.is_up(state):
        raise failures.QuickError(f"{name} is not up")
    if not record.has_parent(state):
        _load_alone(name, log)
        return
    record.refuse_busy(state, ("up", "hook"))
    before = state["loads"]
    port.kill(state["parent"], _SIGHUP)

    def loaded():
        now = record.read(name)
        return now is None or now["loads"] != before

    if not waiting.wait_until(loaded, _PATIENCE_MS):
        raise failures.QuickError(
            f"the tunlite run of {name} (pid {state['parent']}) does not answer"
        )
    error = (record.read(name) or {"load_error": "it went down"})["load_error"]
    if error:
        raise failures.QuickError(error)


def _load_alone(name, log):
    """Only one reload at a time, as each has its own idea of what runs."""
    found = []

    def claimed():
        try:
            found.append(record.claim(name, "reload"))
            return True
        except record.Busy as e:
            if e.args[1] != "reload" or port.now_ms() > until_ms:
                raise
            return False

    until_ms = port.now_ms() + _PATIENCE_MS
    waiting.wait_until(claimed, 2 * _PATIENCE_MS)
    state = found[0]
    if state is None:
        raise failures.QuickError(f"{name} is not up")
    try:
        load_again(state, log)
    finally:
        record.hold(state, None)


def load_again(state, log):
    """Applies the file's differences to the running interface and notes the outcome in `state`."""
    from tunlite.plane import features

    state["loads"] += 1
    state["load_error"] = ""
    config = None
    try:
        known = features.known(port.native)
        config = parser.load(state["path"], known, state.get("readable"))
        _apply(state, config, log)
    except parser.ConfigError as e:
        state["load_error"] = "\n".join(e.args[0])
    except failures.STEP_ERRORS as e:
        state["load_error"] = told(e)
    finally:
        if config is not None:
            config.wipe()
        record.write(state)
    if state["load_error"]:
        raise failures.QuickError(state["load_error"])


def _apply(state, config, log):
    name = state["interface"]
    if state.get("bare"):
        steps.leave_to_supervisor(config)
    settings = config.settings
    fixed = settings.fixed()
    if fixed.get("Layer", 3) != state["fixed"].get("Layer", 3):
        # Half of what the other one has would be taken, as Encryption, before the rest is refused.
        raise failures.QuickError("Layer was changed: that takes a restart, nothing was applied")
    for key in FIXED:
        if fixed.get(key) != state["fixed"].get(key):
            log.error(f"{key} was changed: that takes effect at the next start")
    running = as_uapi.Running(client.get_device(name))
    if state.get("bare"):
        ours = set([keys.parse_public(text) for text in state["peers"]])
        client.set_device(name, as_uapi.different(config, running, state["endpoints"], ours))
    else:
        _apply_all(state, config, running, log)
    steps.note_config(state, config)
    steps.begin_anew(state, config, log)


def _apply_all(state, config, running, log):
    name = state["interface"]
    settings = config.settings
    if not settings["FwMark"] and routes.default_families(routes.wanted(config)):
        # The mark of a default route is ours to choose; it stays.
        settings["FwMark"] = int(running.interface.get("fwmark", b"0"))
    client.set_device(name, as_uapi.different(config, running, state["endpoints"]))
    addresses.apply(name, settings["Address"], state)
    mtu = mtus.choose(name, config, _NAMES_MS)
    # What a hook made of our own choice stays, as long as that is the same.
    if settings["MTU"] or mtu != state.get("mtu", mtu):
        mtus.apply(name, mtu)
    state["mtu"] = mtu
    dns.apply(name, settings["DNS"], state)
    steps.set_routes(state, config, log)
