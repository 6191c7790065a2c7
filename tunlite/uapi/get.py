# SPDX-License-Identifier: MIT
"""WireGuard's cross-platform configuration text, as get writes it (control.md, "UAPI"). What set
reads is text.py."""

from tunlite import addresses, endpoints, keys
from tunlite.plane.plane import HELD, PINNED, RX_BYTES, TX_BYTES
from tunlite.prefixes import prefix_of

_ALLOWED_A_PIECE = 32


def pieces(interface):
    """The answer to get=1 as pieces of whole lines, without its errno line.

    Whoever sends a piece that is a bytearray wipes it: some hold secrets.
    """
    if interface.me is not None:
        yield _secret_piece(interface, b"private_key=", interface.me.private)
    out = bytearray()
    if interface.listen_port:
        _add(out, "listen_port", interface.listen_port)
    if interface.fwmark:
        _add(out, "fwmark", interface.fwmark)
    _add_limit(out, interface, "peer_limit")
    if interface.modes is not None:
        _add(out, "encryption", interface.modes.text_of(interface.modes.common))
        if interface.bridge.path_mtu:
            _add(out, "path_mtu", interface.bridge.path_mtu)
    for name in interface.groups.names():
        _add(out, "group_name", name)
        _add_limit(out, interface, "group_peer_limit", name)
    yield out
    for peer in list(interface.peers.values()):
        # Peers may go while a slow client reads.
        if peer.alive:
            yield b"public_key=" + keys.hexed(peer.public) + b"\n"
            yield _secret_piece(interface, b"preshared_key=", peer.psk)
        if peer.alive:
            yield _peer_piece(interface, peer)
            at = 0
            while peer.alive and at < len(peer.allowed):
                yield _allowed_piece(peer, at)
                at += _ALLOWED_A_PIECE


def _add_limit(out, interface, key, name=None):
    most = interface.limits.most(name) if interface.limits is not None else 0
    if most:
        _add(out, key, most)


def _add(out, key, value):
    out.extend(key.encode() + b"=" + str(value).encode() + b"\n")


def _secret_piece(interface, label, key):
    # Of the right size at once: growing would leave copies behind.
    out = bytearray(len(label) + 65)
    out[: len(label)] = label
    digits = keys.hexed(key)
    out[len(label) : len(label) + 64] = digits
    interface.port.native.tl_wipe(digits, 64)
    out[len(label) + 64] = 10
    return out


def _peer_piece(interface, peer):
    out = bytearray()
    _add(out, "protocol_version", 1)
    if peer.origin:
        _add(out, "origin", peer.origin)
    text = endpoints.text(interface.plane.endpoint_of(peer.handle))
    if text:
        _add(out, "endpoint", text)
    several = endpoints_of(peer)
    if several:
        _add(out, "endpoints", ",".join(several))
    shaken_ns = peer.shakes.complete_ns
    _add(out, "last_handshake_time_sec", shaken_ns // 1_000_000_000)
    _add(out, "last_handshake_time_nsec", shaken_ns % 1_000_000_000)
    state = interface.plane.state(peer.handle)
    _add(out, "tx_bytes", state[TX_BYTES])
    _add(out, "rx_bytes", state[RX_BYTES])
    _add(out, "persistent_keepalive_interval", peer.plan.persistent_s)
    if peer.group is not None:
        _add(out, "group", peer.group.name)
    if peer.rates[0] is not None:
        _add(out, "rate_in", peer.rates[0])
    if peer.rates[1] is not None:
        _add(out, "rate_out", peer.rates[1])
    if peer.probe is not None:
        _add(out, "probe_address", addresses.format_bytes(peer.probe))
    if peer.modes is not None:
        _add(out, "encryption", interface.modes.text_of(peer.modes))
    if peer.macs:
        _add(out, "macs", ",".join([addresses.format_mac(mac) for mac in peer.macs]))
    if peer.health_address:
        _add(out, "health_address", peer.health_address)
    return out


def endpoints_of(peer):
    """Texts of those that a peer with several was configured with; [] for one."""
    entries = peer.where.entries
    return [_entry(entry) for entry in entries] if len(entries) > 1 else []


def _entry(entry):
    if isinstance(entry, tuple):
        return f"{entry[0]}:{entry[1]}"
    return endpoints.text(endpoints.whole(entry))


def _allowed_piece(peer, at):
    out = bytearray()
    # Another program is told what is used, our own reload what is configured.
    name = "configured_ip" if peer.standby else "allowed_ip"
    for key in peer.allowed[at : at + _ALLOWED_A_PIECE]:
        _add(out, name, addresses.format_prefix(prefix_of(key)))
    return out


def addresses_of(interface):
    """The answer to addresses=1, layer 2's table: `address=` with the address, the key of the peer
    that it is behind, seconds since a frame came from there, and learned, held (where it was first:
    it moves too often) or pinned. None where addresses are hidden."""
    if interface.bridge is None or interface.log.hides:
        return
    plane = interface.plane
    for mac, handle, age_ms, flags in plane.fdb(plane.fdb_count()):
        peer = interface.by_handle.get(handle)
        if peer is not None:
            out = bytearray()
            how = "pinned" if flags & PINNED else "held" if flags & HELD else "learned"
            public = bytes(keys.hexed(peer.public)).decode()
            _add(out, "address", f"{addresses.format_mac(mac)} {public} {age_ms // 1000} {how}")
            yield out
