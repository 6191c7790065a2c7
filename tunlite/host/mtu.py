# SPDX-License-Identifier: MIT
"""A link's MTU: the file's, else what the ways to the endpoints take."""

import binascii

from tunlite import endpoints, keys
from tunlite.host import failures, waiting
from tunlite.system import port
from tunlite.uapi import client

OVERHEAD = 80  # IPv6, UDP and transport header and tag: what wg-quick takes off the MTU
_FALLBACK_MTU = 1500


def _mtu_of(way, own):
    """The MTU of a route (ifindex, MTU or 0), or else of its link; 0 where there is none."""
    if way is None or way[0] == own:
        return 0
    return way[1] or port.links.mtu_of(way[0])


def _own(name):
    """The number of our link; 0: it lives in another namespace."""
    return (port.links.link_get(name) or (0,))[0]


def widest(name, places, mark):
    """The greatest MTU on the ways that packets with `mark` take to the endpoints, else of the
    first default route, less the overhead. A way through our own link is none.

    `places`: addresses (family, bytes).
    """
    own = _own(name)
    best = 0
    for family, packed in places:
        best = max(best, _mtu_of(port.links.route_get(family, packed, mark), own))
    for family in (4, 6):
        if not best:
            ways = [row[1:] for row in port.links.routes(family, 0) if row[0][2] == 0]
            ways = [way for way in ways if way[0] != own]
            best = _mtu_of(ways[0], own) if ways else 0
    return (best or _FALLBACK_MTU) - OVERHEAD


def _by_name(name):
    """Rows of the status of peers with a name among their endpoints."""
    asked = client.status(name)
    next(asked)
    return [row for row in asked if row["resolver"]]


def _resolved(name):
    """Where names of endpoints have led, which a status may hide."""
    named = [row["public_key"] for row in _by_name(name)]
    is_named = False
    for key, value in client.get_device(name) if named else ():
        if key == b"public_key":
            is_named = keys.text(binascii.unhexlify(value)) in named
        elif key == b"endpoint" and is_named:
            yield value.decode()


def choose(name, config, patience_ms, is_asked=lambda: False):
    """The file's, else for the ways to its endpoints: names are waited for, but no longer than
    that, nor when we are asked to end."""
    if config.settings["MTU"] or config.settings["Layer"] == 2:
        return config.settings.first_mtu()
    found = []
    is_waited_for = False
    for peer in config.peers.each(("Endpoint",)):
        texts = peer["Endpoint"].split(",") if "Endpoint" in peer else []
        literals = [endpoints.literal(text) for text in texts]
        found += literals
        is_waited_for |= literals != [] and not any(literals)
    if is_waited_for:
        waiting.wait_until(
            lambda: is_asked() or "resolving" not in [row["resolver"] for row in _by_name(name)],
            patience_ms,
        )
    if None in found:
        found += [endpoints.literal(text) for text in _resolved(name)]
    places = set([place[:2] for place in found if place and not place[3]])
    return widest(name, places, config.settings["FwMark"]) - config.settings.wrapping()


def apply(name, mtu):
    try:
        port.links.set_mtu(name, mtu)
    except OSError as e:
        raise failures.step_error(f"MTU {mtu}", e)
