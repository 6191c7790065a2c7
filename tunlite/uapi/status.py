# SPDX-License-Identifier: MIT
"""What `tunlite show` sees: one JSON object, in pieces, peer by peer (control.md, "Status")."""

import json

from tunlite import addresses, endpoints, keys
from tunlite.plane import features, plane as planes
from tunlite.prefixes import prefix_of


def pieces(daemon):
    """The object as bytes, a few hundred at a time, and a newline."""
    interface = daemon.interface
    separator = b"{"
    for row in _head(daemon):
        yield separator + _members([row])
        separator = b","
    yield b',"peers":['
    first = True
    for peer in list(interface.peers.values()):
        if peer.alive:
            yield (
                (b"" if first else b",")
                + b"{"
                + _members(_peer(daemon, peer) + _frames(daemon, peer))
                + b',"allowed_ips":['
            )
            first = False
            yield from _allowed(peer)
            yield b"]}"
    yield b"]}\n"


def _members(rows):
    return ",".join([json.dumps(name) + ":" + json.dumps(value) for name, value in rows]).encode()


def _head(daemon):
    """Rows (name, value); a generator, as some of them take long to make."""
    interface = daemon.interface
    plane = daemon.plane
    native = plane.native
    yield "interface", daemon.name
    yield "public_key", keys.text(interface.me.public) if interface.me else None
    yield "listen_port", interface.listen_port
    yield "fwmark", interface.fwmark
    yield "mtu", daemon.mtu
    yield "layer", daemon.layer
    if daemon.vxlan:
        yield "vxlan", _vxlan(daemon.vxlan)
    yield "up", interface.listening
    yield "draining", interface.draining
    yield "peer_routes", interface.routes.standing() if interface.routes else 0
    rows = features.rows(native, plane.features())
    yield "engine", features.chosen(rows, "engine")
    yield "aead", features.chosen(rows, "aead")
    yield "offloads", [row for row in rows if row["kind"] == "offload"]
    yield "features", rows
    yield "workers", [{"read": read, "written": written} for read, written in plane.workers()]
    yield "workers_why", features.reason(rows, features.WORKERS)
    yield "drops", named(native, planes.NAMES_DROP, plane.drops())
    counters = named(native, planes.NAMES_COUNTER, plane.counters())
    yield "counters", counters
    yield "returns", _returns(counters)
    yield "handshakes_refused", interface.exchange.refused
    if interface.bridge is not None:
        yield "addresses", plane.fdb_count()
    if interface.admission is not None:
        yield "admission", interface.admission.seen()
    yield "events_dropped", daemon.dropped
    yield "groups", [_group(group, daemon.now()) for group in interface.groups.all()]
    commands = interface.commands
    yield "commands", commands.seen() if commands else None
    yield "gone", interface.gone.seen()
    yield "memory_kb", daemon.memory_kb()
    yield "uptime_s", daemon.uptime_ms() // 1000


def _group(group, now_ms):
    """With a limit also who is used, and why."""
    found = {"name": group.name, "members": len(group.members)}
    choice = group.choice
    if choice is None:
        return found
    found["limit"] = group.limit
    found["choose"] = group.choose
    found["fail_after_s"] = group.fail_ms // 1000
    if choice.used is not None:
        found["fails_after_s"] = choice.fail_ms(choice.used.peer) // 1000
        found["used"] = keys.text(choice.used.peer.public)
        found["used_name"] = choice.used.peer.description
        found["why"] = choice.why
        found["used_for_s"] = (now_ms - choice.since_ms) // 1000
        found["probed_by"] = choice.hands.probed_by(choice.used.peer)
        found["silent_for_ms"] = choice.silence.silent_ms(now_ms)
    found["moves"] = choice.moves
    found["losses"] = choice.losses
    found["searching"] = choice.search is not None
    moving = choice.move.member.peer if choice.move else None
    found["moving_to"] = keys.text(moving.public) if moving else None
    found["moving_to_name"] = moving.description if moving else None
    found["held"] = choice.is_held
    found["trouble"] = choice.trouble or choice.hands.trouble()
    return found


def _member(peer, now_ms):
    """Rows of one whose group has a limit."""
    member = peer.member
    if member is None:
        return ()
    return (
        ("standby", peer.standby),
        ("probes", member.probes),
        ("losses", member.losses),
        ("loser_for_s", max(member.lost_ms - now_ms, 0) // 1000),
        ("round_trip_ms", member.rtt_ms or None),
    )


def named(native, kind, numbers):
    """The numbers by name, zeros left out."""
    found = {}
    names = planes.names(native, kind)
    for i in range(len(numbers)):
        if numbers[i]:
            found[names[i]] = numbers[i]
    return found


def _returns(counters):
    """Why tl_run came back to Python, and how often."""
    found = {"total": counters.get("returns", 0)}
    for name, count in counters.items():
        if name.startswith("returns_"):
            found[name[8:]] = count
    return found


def _peer(daemon, peer):
    interface = daemon.interface
    state = interface.plane.state(peer.handle)
    any_psk = 0
    for byte in peer.psk:
        any_psk |= byte
    resolver = interface.resolver
    established_ms = established_for(daemon, peer)
    return (
        ("public_key", keys.text(peer.public)),
        ("description", peer.description),
        ("group", peer.group.name if peer.group else None),
        ("origin", peer.origin),
        ("blocked", peer.blocked),
        ("preshared", any_psk != 0),
        ("endpoint", endpoint_of(daemon, peer) or None),
        ("established_s", established_ms // 1000 if established_ms is not None else None),
        ("ended", peer.established.reason or None),
        ("latest_handshake", peer.shakes.complete_ns // 1_000_000_000),
        (
            "handshake_age_s",
            (daemon.now() - peer.shakes.complete_ms) // 1000 if peer.shakes.complete_ns else None,
        ),
        ("rx_bytes", state[planes.RX_BYTES]),
        ("tx_bytes", state[planes.TX_BYTES]),
        ("persistent_keepalive", peer.plan.persistent_s),
        (
            "handshakes",
            {
                "initiated": peer.shakes.initiated,
                "responded": peer.shakes.responded,
                "completed": peer.shakes.completed,
                "failed": peer.shakes.failed,
            },
        ),
        ("staged", state[planes.STAGED]),
        ("rate_in", peer.limits[0]),
        ("rate_out", peer.limits[1]),
        ("endpoints", list(_places(daemon, peer))),
        ("resolver", resolver.state(peer.public) if resolver else ""),
    ) + _member(peer, daemon.now())


def _vxlan(ends):
    _, vni, port, sums, local, remote = ends
    return {
        "vni": vni,
        "port": port,
        "checksums": bool(sums),
        "local": addresses.format_bytes(local),
        "remote": addresses.format_bytes(remote) if remote else None,
    }


def _frames(daemon, peer):
    """Rows of a peer of layer 2."""
    interface = daemon.interface
    modes = interface.modes
    if modes is None:
        return ()
    now = peer.sessions.terms if peer.sessions.current is not None else None
    refused = peer.shakes.refused
    return (
        ("layer", interface.plane.layer),
        ("encryption", modes.text_of(now[:1]) if now else None),
        ("encryption_taken", modes.text_of(modes.of(peer))),
        ("encryption_refused", modes.text_of((refused,)) if refused is not None else None),
        ("path_mtu", peer.path.size()),
        ("path_mtu_why", peer.path.why()),
        ("macs", [daemon.log.outer(addresses.format_mac(mac)) for mac in peer.macs]),
    )


def established_for(daemon, peer):
    """Milliseconds, or None."""
    began_ms = peer.established.began_ms
    return max(daemon.now() - began_ms, 0) if began_ms else None


def _places(daemon, peer):
    """Rows of a peer with several endpoints."""
    for place in peer.where.places.rows if peer.where.places else ():
        text = daemon.log.outer(endpoints.text(endpoints.whole(place.record)))
        yield {"endpoint": text, "loops": place.barred}


def endpoint_of(daemon, peer):
    """As people may see it; "" for none."""
    return daemon.log.outer(endpoints.text(daemon.plane.endpoint_of(peer.handle)))


def _allowed(peer):
    at = 0
    # The list may shrink while a slow client reads.
    while at < len(peer.allowed):
        text = addresses.format_prefix(prefix_of(peer.allowed[at]))
        yield (b"," if at else b"") + json.dumps(text).encode()
        at += 1
