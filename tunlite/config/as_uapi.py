# SPDX-License-Identifier: MIT
"""A configuration as UAPI text: whole (setconf), added (addconf), or what differs (syncconf).

Pieces are bytearrays of whole lines, a peer or some of its prefixes: a thousand need no long text.
A piece may hold a secret: whoever sends it wipes it (client.set_device does).
"""

import binascii

from tunlite import addresses, keys
from tunlite.config import options, settings as filled
from tunlite.uapi import client

_ZERO_KEY = bytes(32)
INTERFACE = options.told("Interface")
_PEER = options.told("Peer")
_DEFAULTS = filled.defaults("Peer")
# Another WireGuard's daemon does not know them. Each is a text, "" for none, or texts.
_OURS = (
    ("RateIn", "rate_in"),
    ("RateOut", "rate_out"),
    ("ProbeAddress", "probe_address"),
    ("HealthAddress", "health_address"),
    ("Encryption", "encryption"),
    ("MACs", "macs"),
)
_GROUP = [row for row in options.rows() if row[options.SECTION] == "Group"]
_GROUP_DEFAULTS = filled.defaults("Group")
_PIECE = 1024  # bytes after which prefixes go into another: MicroPython copies what grows
_NUMBERS = (b"fwmark", b"listen_port", b"persistent_keepalive_interval", b"peer_limit", b"path_mtu")
# The same of an interface: option, key, and the text that stands for what holds where none is said.
INTERFACE_OURS = (
    ("PeerLimit", "peer_limit", "0"),
    ("PathMTU", "path_mtu", "0"),
    ("Encryption", "encryption", "on"),
)
COMPARED = (
    b"preshared_key",
    b"persistent_keepalive_interval",
    b"endpoint",
    b"endpoints",
    b"allowed_ip",
    b"group",
    b"rate_in",
    b"rate_out",
    b"probe_address",
    b"health_address",
    b"encryption",
    b"macs",
)
_ORIGIN = b"origin"
_ENCRYPTION = b"encryption"  # of a peer, or of all


class _Lines:
    """A piece under construction."""

    def __init__(self):
        self.piece = bytearray()

    def add(self, key, value):
        self.piece.extend(key.encode() + b"=" + str(value).encode() + b"\n")

    def add_public(self, key):
        self.add("public_key", binascii.hexlify(key).decode())

    def add_key(self, name, key):
        digits = keys.hexed(key)
        self.piece.extend(name.encode() + b"=")
        self.piece.extend(digits)
        self.piece.extend(b"\n")
        keys.wipe(digits)


def _text(peer, name):
    """Of one of _OURS."""
    value = peer.get(name, "")
    return ",".join(value) if isinstance(value, list) else str(value)


def _said(peer, name):
    return peer.get(name, _DEFAULTS[name])


def _peer(peer, names, origin=None):
    """Pieces of what a peer's section sets; `names` are the options to write. `origin`: who tells
    of it from now on, where that is to be said."""
    lines = _Lines()
    lines.add_public(peer["PublicKey"])
    if origin is not None:
        lines.add("origin", origin)
    # Before its prefixes, which members may share. Another WireGuard's daemon does not know it.
    if "Group" in names and ("Group" in peer or names is not _PEER):
        lines.add("group", peer.get("Group", ""))
    if "PresharedKey" in names:
        lines.add_key("preshared_key", _said(peer, "PresharedKey") or _ZERO_KEY)
    if "Endpoint" in names and "Endpoint" in peer:
        # The second key is ours alone.
        lines.add("endpoints" if "," in peer["Endpoint"] else "endpoint", peer["Endpoint"])
    if "PersistentKeepalive" in names:
        lines.add("persistent_keepalive_interval", _said(peer, "PersistentKeepalive"))
    if "AllowedIPs" in names:
        lines.add("replace_allowed_ips", "true")
        for prefix in _said(peer, "AllowedIPs"):
            if len(lines.piece) > _PIECE:
                yield lines.piece
                lines = _Lines()
            lines.add("allowed_ip", addresses.format_prefix(prefix))
    for name, key in _OURS:
        if name in names and (name in peer or names is not _PEER):
            lines.add(key, _text(peer, name))
    if "Description" in names and "Description" in peer:
        lines.add("description", peer["Description"])
    if "Lifetime" in names and "Lifetime" in peer:
        lines.add("lifetime", peer["Lifetime"])
    yield lines.piece


def of_folder(peer, before=None, endpoints=None):
    """The lines of a peer of the folder, in one bytearray; `before` as `different` has it: what is
    not as it runs, none where all is; `endpoints` None: there is no such peer yet, or another's."""
    if endpoints is not None:
        names = _changes(peer, before, endpoints)
    else:
        names = [name for name in _PEER if name in peer] if before is None else _PEER
    pieces = list(_peer(peer, names, "folder")) if names else []
    out = bytearray(sum([len(piece) for piece in pieces]))  # growing would leave copies
    at = 0
    for piece in pieces:
        out[at : at + len(piece)] = piece
        at += len(piece)
        keys.wipe(piece)
    return out


def said(peer):
    """Pieces of what a peer's section says, without its key."""
    for piece in _peer(peer, [name for name in _PEER if name in peer and name != "PublicKey"]):
        at = piece.find(b"\n") + 1 if piece[:11] == b"public_key=" else 0
        yield piece[at:]
        keys.wipe(piece)


def _groups(config, replace):
    """Lines of all groups, none for a file without; `replace`: others go."""
    lines = _Lines()
    for group in config.groups:
        for row in _GROUP:
            name = row[options.NAME]
            value = group.get(name, _GROUP_DEFAULTS[name] if replace else None)
            if row[options.KIND] == "hook":
                value = "true" if value else None  # only who runs it is to know it
            if value is not None or replace:
                lines.add(row[options.UAPI], "" if value is None else value)
    if replace:
        lines.add("replace_groups", "true")
    return lines.piece


def whole(config):
    """Sets everything; what the file does not name goes back to its default, other peers go."""
    lines = _Lines()
    lines.add_key("private_key", config.settings["PrivateKey"] or _ZERO_KEY)
    lines.add("fwmark", config.settings["FwMark"])
    lines.add("listen_port", config.settings["ListenPort"])
    lines.add("replace_peers", "true")
    for name, key, usual in INTERFACE_OURS:
        if str(config.settings[name]) != usual:
            lines.add(key, config.settings[name])
    yield lines.piece
    if config.groups:
        yield _groups(config, True)
    for peer in config.peers:
        yield from _peer(peer, _PEER)


def added(config):
    """Sets what the file names and leaves the rest."""
    lines = _Lines()
    if "PrivateKey" in config.interface:
        lines.add_key("private_key", config.interface["PrivateKey"])
    for name, key in (("FwMark", "fwmark"), ("ListenPort", "listen_port")):
        if name in config.interface:
            lines.add(key, config.interface[name])
    for name, key, _ in INTERFACE_OURS:
        if name in config.interface:
            lines.add(key, config.interface[name])
    yield lines.piece
    if config.groups:
        yield _groups(config, False)
    for peer in config.peers:
        yield from _peer(peer, [name for name in _PEER if name in peer])


def one_more(config):
    """The peer of `tunlite add`: all of its options."""
    for peer in config.peers:
        yield from _peer(peer, _PEER, "added")


class Running:
    """What a daemon has now, read from `get=1`: `interface`, and `peers` by public key.

    `interface` is a dict; of a peer the lines that count are kept, a quarter of what a dict takes,
    and peer() makes the dict. Values are the bytes of the text. client.Refused: it is no such text,
    and nothing of it is used.
    """

    def __init__(self, rows):
        self.interface = {}
        self.peers = {}
        try:
            self._read(rows)
        except (ValueError, KeyError):  # UnicodeError is a ValueError
            raise client.nonsense()

    def _read(self, rows):
        public = None
        lines = []
        for key, value in rows:
            if key in _NUMBERS:
                int(value)
            if key == b"public_key":
                self._keep(public, lines)
                public = binascii.unhexlify(value)
                lines = []
            elif public is None:
                if key in COMPARED and key != _ENCRYPTION:
                    raise ValueError  # of no peer
                self.interface[key.decode()] = value
            elif key in COMPARED or key == _ORIGIN:
                value.decode()
                lines.append(key + b"=" + value)
            elif key == b"configured_ip":  # of one that stands by
                value.decode()
                lines.append(b"allowed_ip=" + value)
        self._keep(public, lines)

    def _keep(self, public, lines):
        if public is not None:
            self.peers[public] = b"\n".join(lines)

    def peer(self, public):
        """A dict, "allowed_ip" as a list of str; None where there is no such peer."""
        kept = self.peers.get(public)
        if kept is None:
            return None
        found = {"allowed_ip": []}
        for line in kept.split(b"\n"):
            key, _, value = line.partition(b"=")
            if key == b"allowed_ip":
                found["allowed_ip"].append(value.decode())
            else:
                found[key.decode()] = value
        return found

    def is_ours(self, public):
        """Whether file or wg told of the peer: others are left as they are."""
        return _ORIGIN + b"=" not in self.peers[public]


def different(config, running, endpoints=None, ours=None):
    """Sets what differs from `running`, so that unchanged peers notice nothing.

    `endpoints`: what the last configuration gave each peer (public key -> text), where that is
    known: a peer that has roamed since then is left where it is. A listen port of 0 keeps the port.
    `ours`: keys of the last configuration, where none but its peers may go.
    """
    lines = _Lines()
    settings = config.settings
    private = settings["PrivateKey"] or _ZERO_KEY
    if keys.hexed(private) != running.interface.get("private_key", keys.hexed(_ZERO_KEY)):
        lines.add_key("private_key", private)
    if settings["FwMark"] != int(running.interface.get("fwmark", b"0")):
        lines.add("fwmark", settings["FwMark"])
    for name, key, usual in INTERFACE_OURS:
        if str(settings[name]) != running.interface.get(key, usual.encode()).decode():
            lines.add(key, settings[name])
    port = settings["ListenPort"]
    if port and port != int(running.interface.get("listen_port", b"0")):
        lines.add("listen_port", port)
    wanted = set([peer["PublicKey"] for peer in config.peers.each(("PublicKey",))])
    for key in running.peers:
        if key not in wanted and running.is_ours(key) and (ours is None or key in ours):
            lines.add_public(key)
            lines.add("remove", "true")
    if lines.piece:
        yield lines.piece
    if config.groups or "group_name" in running.interface:
        yield _groups(config, True)
    ordered = [group["Name"] for group in config.groups if group.get("Choose") == "order"]
    for peer in config.peers:
        before = running.peer(peer["PublicKey"])
        is_other = before is not None and "origin" in before
        if before is None or is_other:
            names = _PEER
        else:
            names = _changes(peer, before, endpoints)
        if not names and peer.get("Group") in ordered:
            names = ["Group"]  # its place in the file may be another
        if names:
            yield from _peer(peer, names, "" if is_other else None)


def _changes(peer, before, endpoints):
    """Options of a peer that are not as they run."""
    changed = []
    if keys.hexed(_said(peer, "PresharedKey") or _ZERO_KEY) != before.get(
        "preshared_key", keys.hexed(_ZERO_KEY)
    ):
        changed.append("PresharedKey")
    if _said(peer, "PersistentKeepalive") != int(before.get("persistent_keepalive_interval", b"0")):
        changed.append("PersistentKeepalive")
    prefixes = [addresses.format_prefix(prefix) for prefix in _said(peer, "AllowedIPs")]
    # A file may say one twice.
    if sorted(set(prefixes)) != sorted(before["allowed_ip"]):
        changed.append("AllowedIPs")
    if "Endpoint" in peer:
        last = (endpoints or {}).get(keys.text(peer["PublicKey"]))
        if last is None:
            last = before.get("endpoints", before.get("endpoint", b"")).decode()
        if peer["Endpoint"] != last:
            changed.append("Endpoint")
    for name in ("Description", "Lifetime"):  # which no daemon tells
        if name in peer:
            changed.append(name)
    for name, key in _OURS:
        if _text(peer, name) != before.get(key, b"").decode():
            changed.append(name)
    if peer.get("Group", "") != before.get("group", b"").decode():
        # What members share is another's where it is none: it is all said again.
        changed = [name for name in changed if name != "AllowedIPs"] + ["Group", "AllowedIPs"]
    return changed


def endpoints_of(config):
    """public key's base64 -> endpoint text, for `different` at the next reload."""
    return {
        keys.text(peer["PublicKey"]): peer["Endpoint"]
        for peer in config.peers.each(("PublicKey", "Endpoint"))
        if "Endpoint" in peer
    }
