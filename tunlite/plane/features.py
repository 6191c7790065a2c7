# SPDX-License-Identifier: MIT
"""What the C core has or may have: engines, AEADs, offloads, workers. Their names come from C."""

from tunlite.plane import plane
from tunlite.system import port

_ENGINES = ("basic", "mmsg", "io_uring")
_OFFLOADS = ("tun_", "udp_")
WORKERS = "workers"


def kind(name):
    """ "engine", "offload", "workers" or "aead"."""
    if name in _ENGINES:
        return "engine"
    if name == WORKERS:
        return WORKERS
    return "offload" if name.startswith(_OFFLOADS[0]) or name.startswith(_OFFLOADS[1]) else "aead"


def names(native):
    """All names, in C's order."""
    return plane.names(native, plane.NAMES_FEATURE)


def known(native):
    """The names as parser.py checks them: "engine mmsg", "aead portable", "udp_gso"."""
    return [name if kind(name) == "offload" else kind(name) + " " + name for name in names(native)]


def bits(native, off):
    """The set, as a number, of the offloads to leave off; ["off"]: all."""
    found = 0
    for number, name in enumerate(names(native)):
        if kind(name) == "offload" and (name in off or off == ["off"]):
            found |= 1 << number
    return found


def rows(native, table):
    """Dicts (kind, name, on, why) of rows (number, on, reason)."""
    labels = names(native)
    reasons = plane.names(native, plane.NAMES_REASON)
    found = []
    for number, on, reason in table:
        why = reasons[reason] if 0 <= reason < len(reasons) else port.strerror(-reason)
        name = labels[number]
        found.append({"kind": kind(name), "name": name, "on": bool(on), "why": why})
    return found


def refusal(table, engine):
    """What to say when this engine was asked for and another one is used, or None."""
    for row in table:
        if row["kind"] == "engine" and row["name"] == engine and not row["on"]:
            return f"Engine = {engine}: {row['why']}; using {chosen(table, 'engine')}"
    return None


def workers_refusal(table, wanted):
    """What to say when several workers were asked for and there is one, or None."""
    if wanted > 1 and not chosen(table, WORKERS):
        return f"Workers = {wanted}: {reason(table, WORKERS)}; using 1"
    return None


def reason(table, name):
    """Why it is used or not; "" where this core does not know it."""
    for row in table:
        if row["name"] == name:
            return row["why"]
    return ""


def chosen(table, wanted):
    """The name of the engine or AEAD that is on, or None."""
    for row in table:
        if row["kind"] == wanted and row["on"]:
            return row["name"]
    return None
