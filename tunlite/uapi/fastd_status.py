# SPDX-License-Identifier: MIT
"""The status in the words of fastd's status socket, for what was made to read that: one JSON
object. What we do not count is null."""

import json

from tunlite import keys
from tunlite.plane import plane as planes
from tunlite.uapi import status

_NOT_SENT = ("no_endpoint", "stage_full", "stage_flushed", "worker_full", "way_full")


def pieces(daemon):
    """The object as bytes, peer by peer, and a newline."""
    head = {
        "uptime": daemon.uptime_ms(),
        "interface": daemon.name,
        "statistics": _statistics(daemon.plane),
    }
    yield json.dumps(head)[:-1].encode() + b', "peers": {'
    separator = ""
    for peer in list(daemon.interface.peers.values()):
        if peer.alive:
            key, row = json.dumps(keys.text(peer.public)), json.dumps(_peer(daemon, peer))
            yield f"{separator}{key}: {row}".encode()
            separator = ", "
    yield b"}}\n"


def _count(packets, size=None):
    return {"packets": packets, "bytes": size}


def _statistics(plane):
    """Datagrams, as they are outside the tunnel."""
    counters = status.named(plane.native, planes.NAMES_COUNTER, plane.counters())
    drops = status.named(plane.native, planes.NAMES_DROP, plane.drops())
    return {
        "rx": _count(counters.get("socket_read", 0), counters.get("socket_read_bytes", 0)),
        "rx_reordered": _count(None),
        "tx": _count(counters.get("socket_written", 0), counters.get("socket_written_bytes", 0)),
        "tx_dropped": _count(sum([drops.get(name, 0) for name in _NOT_SENT])),
        "tx_error": _count(sum([drops[name] for name in drops if name.startswith("send_")])),
    }


def _peer(daemon, peer):
    return {
        "name": peer.description or None,
        "address": status.endpoint_of(daemon, peer) or "any",
        "interface": daemon.name,
        "mtu": daemon.mtu,
        "connection": _connection(daemon, peer),
    }


def _connection(daemon, peer):
    """None where the peer is not established."""
    established_ms = status.established_for(daemon, peer)
    if established_ms is None:
        return None
    state = daemon.plane.state(peer.handle)
    return {
        "established": established_ms,
        "method": "chacha20-poly1305",
        "statistics": {
            "rx": _count(None, state[planes.RX_BYTES]),
            "rx_reordered": _count(None),
            "tx": _count(None, state[planes.TX_BYTES]),
            "tx_dropped": _count(None),
            "tx_error": _count(None),
        },
        "mac_addresses": [],
    }
