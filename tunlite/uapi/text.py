# SPDX-License-Identifier: MIT
"""WireGuard's cross-platform configuration text, as set reads it: lines in, operations on an
Interface. What get writes is get.py.

Pure over lines. Lines are bytearrays, since some hold secrets: whoever made one wipes it. docs:
control.md, "UAPI". Failed sets keep what earlier lines did, as WireGuard does.
"""

from tunlite import addresses, endpoints, keys
from tunlite.control import peer as peers, resolver
from tunlite.plane.plane import PlaneError

ENOENT = 2
EEXIST = 17
EINVAL = 22
EPROTO = 71
EIO = 5
ENOMEM = 12

_TAKES_AWAY = ("public_key", "remove", "replace_peers", "replace_allowed_ips", "replace_groups")
_TAKES_AWAY += ("remove_peer", "block", "unblock")
_SAID = [origin for origin in peers.ORIGINS if origin != "admitted"]  # that comes with a handshake
_PEERS_MOST = 65_000
_KEY_NAME_MAX = 32  # longer than each; shorter than a key in base64


class UapiError(Exception):
    """A line was refused; `errno` is what the client gets, `what` never holds a secret."""

    def __init__(self, errno, what):
        super().__init__(what)
        self.errno = errno


# ---- values ----


def _text(value):
    try:
        return bytes(value).decode()
    except ValueError:
        raise UapiError(EINVAL, "not UTF-8")


def _number(value, most):
    text = _text(value)
    if not addresses.is_number(text) or len(text) > 10 or int(text) > most:
        raise UapiError(EINVAL, "not a number up to " + str(most))
    return int(text)


def _true(value):
    if _text(value) != "true":
        raise UapiError(EINVAL, "only true is understood")


def _flag(value):
    text = _text(value)
    if text not in ("true", "false"):
        raise UapiError(EINVAL, "neither true nor false")
    return text == "true"


def _words(value):
    """Text for people, without what steers a terminal."""
    text = _text(value)
    for char in text:
        if ord(char) < 32 or 127 <= ord(char) < 160:
            raise UapiError(EINVAL, "control characters")
    return text


def _unknown(key):
    # A secret in the wrong place must not get into the log.
    shown = key if len(key) <= _KEY_NAME_MAX else "(not shown: it may be a secret)"
    return UapiError(EINVAL, "unknown key " + shown)


def _name(value):
    """Of a group, as the file has it; "" for none."""
    text = _text(value)
    if len(text) > 32 or not addresses.is_word(text, "-_."):
        raise UapiError(EINVAL, "not a group's name")
    return text


def _rate(value):
    """Bits a second, 0 for any; None where that is not said."""
    if not len(value):
        return None
    text = _text(value)
    bits = int(text) if addresses.is_number(text) and len(text) <= 13 else -1
    if bits and not 1000 <= bits <= 1000000000000:
        raise UapiError(EINVAL, "not a rate")
    return bits


def _address(value):
    """An inside address as bytes; None for none."""
    try:
        return addresses.parse_address(_text(value))[1] if len(value) else None
    except ValueError:
        raise UapiError(EINVAL, "not an address")


def _probe_address(value, interface):
    if len(value) and interface.bridge is not None:
        raise UapiError(EINVAL, "members of layer 2 are asked by control frames")
    return _address(value)


def _limit(value):
    """One member is used, or as many as there are."""
    if not len(value):
        return 0
    if _text(value) != "1":
        raise UapiError(EINVAL, "a limit is 1")
    return 1


def _true_or_nothing(value):
    if len(value):
        _true(value)
    return len(value) > 0


def _choose(value):
    if _text(value) not in ("order", "random", "nearest"):
        raise UapiError(EINVAL, "not a rule to choose by")
    return _text(value)


def _fail_ms(value):
    seconds = _number(value, 600)
    if not seconds:
        raise UapiError(EINVAL, "not 1 to 600 seconds")
    return 1000 * seconds


def _path_mtu(value, interface):
    """0: measured."""
    size = _number(value, 65535)
    if size and (size < 576 or interface.bridge is None):
        raise UapiError(EINVAL, "not 576 to 65535, or not of layer 2")
    return size


def _macs(value, interface):
    """A list of bytes."""
    if len(value) and interface.bridge is None:
        raise UapiError(EINVAL, "only layer 2 has MACs")
    try:
        return addresses.parse_macs(_text(value)) if len(value) else []
    except ValueError:
        raise UapiError(EINVAL, "not a list of Ethernet addresses")


def _prefix(text):
    try:
        return addresses.network(addresses.parse_prefix(text))
    except ValueError:
        raise UapiError(EINVAL, "not an allowed IP")


def _modes(value, interface):
    """Numbers of "authentic,on"; None where none are said."""
    if interface.modes is None:
        if _text(value) not in ("", "on"):
            raise UapiError(EINVAL, "only layer 2 has other modes than on")
        return None
    from tunlite.protocol import layer

    try:
        return layer.modes_of(_text(value)) if len(value) else None
    except ValueError:
        raise UapiError(EINVAL, "not a list of modes")


# Keys of a group: what Group.set() calls it, and how it is read.
_GROUP_KEYS = {
    "group_limit": ("limit", _limit),
    "group_choose": ("choose", _choose),
    "group_fail_after": ("fail_ms", _fail_ms),
    "group_health": ("health", _true_or_nothing),
}


# ---- set ----


class Setter:
    """One set=1: line() for each line of it, then end()."""

    def __init__(self, interface):
        self._interface = interface
        self._peer = None
        self._in_peer = False
        self._public = None
        self._made = False
        self._groups = set()  # that it has named
        self._group = None  # the last of them
        self._replaces = False
        interface.set_begins()

    def line(self, line):
        """UapiError, PlaneError: it was refused; nothing after it may be fed."""
        place = line.find(b"=")
        if place < 1:
            raise UapiError(EPROTO, "not a line key=value")
        key = _text(line[:place])
        value = memoryview(line)[place + 1 :]
        port = self._interface.port
        try:
            # What adds leaves a part of the heap to what there is, and to what takes away.
            port.keep_back(key not in _TAKES_AWAY)
            if key == "public_key":
                self._begin_peer(value)
            elif self._in_peer:
                self._peer_line(key, value)
            else:
                self._interface_line(key, value)
        finally:
            port.keep_back(False)

    def end(self):
        """Ends the set, refused or not: what was done so far takes effect."""
        self._peer = None
        interface = self._interface
        interface.set_ends()
        if interface.limits is not None:
            interface.limits.keep(interface.groups.names())
        interface.commit()

    def _key(self, value):
        out = bytearray(32)
        if not keys.unhex(out, value):
            raise UapiError(EINVAL, "not a key of 64 hex digits")
        return out

    def _interface_line(self, key, value):
        interface = self._interface
        if key == "private_key":
            interface.set_private_key(self._key(value))
        elif key == "listen_port":
            interface.set_listen_port(_number(value, 65535))
        elif key == "fwmark":
            interface.set_fwmark(_number(value, 0xFFFFFFFF) if len(value) else 0)
        elif key == "replace_peers":
            _true(value)
            interface.replace_peers()
            self._replaces = True
            interface.limit(0)
            interface.protect(None)
            interface.fix_path(0)
            interface.groups.drop_empty()
        elif key == "peer_limit":
            interface.limit(_number(value, _PEERS_MOST))
        elif key == "encryption":
            interface.protect(_modes(value, interface))
        elif key == "path_mtu":
            interface.fix_path(_path_mtu(value, interface))
        elif key == "replace_groups":
            _true(value)
            interface.groups.keep(self._groups)
        elif key == "route_table":
            interface.set_route_table(_number(value, 0xFFFFFFFF))
        elif key == "drain":
            interface.drain(_flag(value))
        elif key in ("remove_peer", "block", "unblock"):
            self._one_key(key, bytes(self._key(value)))
        elif key == "use":
            if _text(value) != "auto":
                raise UapiError(EINVAL, "only auto is understood here")
            interface.groups.use(None)
        elif key.startswith("group_"):
            self._group_line(key, value)
        else:
            raise _unknown(key)

    def _group_line(self, key, value):
        if key == "group_name":
            name = _name(value)
            if not name:
                raise UapiError(EINVAL, "a group has a name")
            self._group = self._interface.groups.named(name)
            if self._group is None:
                raise UapiError(EINVAL, "too many groups")
            self._groups.add(name)
            self._interface.limit(0, name)  # a group's options are said anew with its name
        elif self._group is None:
            raise UapiError(EINVAL, "no group_name stands before it")
        elif key in ("group_rate_in", "group_rate_out"):
            self._group.rated(key == "group_rate_out", _rate(value) or 0)
        elif key == "group_encryption":
            self._group.protected(_modes(value, self._interface))
        elif key == "group_peer_limit":
            self._interface.limit(_number(value, _PEERS_MOST), self._group.name)
        elif key == "group_probe_address":
            self._group.set("probe", _probe_address(value, self._interface))
        elif key not in _GROUP_KEYS:
            raise _unknown(key)
        else:
            name, read = _GROUP_KEYS[key]
            self._group.set(name, read(value))

    def _one_key(self, what, public):
        interface = self._interface
        try:
            if what == "block":
                found = True
                interface.block(public)
            elif what == "unblock":
                found = interface.unblock(public)
            else:
                found = interface.peers.get(public)
                if found is not None:
                    interface.remove_peer(found)
        except OSError as e:
            raise UapiError(e.args[0], "the list of blocked keys is not kept")
        if not found:
            raise UapiError(ENOENT, what + ": there is no such key")

    def _begin_peer(self, value):
        self._in_peer = True
        self._public = bytes(self._key(value))
        self._made = self._public not in self._interface.peers
        self._interface.port.keep_back(self._made)
        # Our own key gives None: its lines are read and ignored, as WireGuard does.
        self._peer = self._interface.add_peer(self._public)
        if self._replaces and self._peer is not None:
            self._interface.claim(self._peer, "")

    def _peer_line(self, key, value):
        interface = self._interface
        if self._peer is not None and not self._peer.alive:
            self._peer = None  # another client removed it
        peer = self._peer
        if key == "update_only":
            _true(value)
            if self._made and peer is not None:
                interface.remove_peer(peer)
                self._peer = None
        elif key == "remove":
            _true(value)
            if peer is not None:
                interface.remove_peer(peer)
                self._peer = None
        elif key == "preshared_key":
            psk = self._key(value)
            if peer is not None:
                interface.set_psk(peer, psk)
            interface.port.native.tl_wipe(psk, 32)
        elif key == "endpoint":
            self._endpoint(_text(value))
        elif key == "endpoints":
            self._endpoints(_text(value))
        elif key == "persistent_keepalive_interval":
            seconds = _number(value, 65535)
            if peer is not None:
                interface.set_persistent(peer, seconds)
        elif key == "replace_allowed_ips":
            _true(value)
            if peer is not None:
                interface.allowed.clear(peer)
        elif key == "allowed_ip":
            self._allowed_ip(_text(value))
        elif key == "protocol_version":
            if _text(value) != "1":
                raise UapiError(EINVAL, "only protocol version 1 is spoken")
        elif key == "origin":
            text = _text(value)
            if text not in _SAID:
                raise UapiError(EINVAL, "not an origin")
            if peer is not None and not interface.claim(peer, text, self._made):
                raise UapiError(EEXIST, "the peer is of the file or the folder already")
        elif key == "lifetime":
            seconds = _number(value, 0xFFFFFFF)
            if peer is not None:
                interface.set_lifetime(peer, seconds)
        elif key == "description":
            if peer is not None:
                peer.described(_words(value))
        elif key == "group":
            name = _name(value)
            if peer is not None and not interface.join(peer, name):
                raise UapiError(EINVAL, "there is no group of this name")
        elif key in ("rate_in", "rate_out"):
            bits = _rate(value)
            if peer is not None:
                peer.rated(key == "rate_out", bits)
        elif key == "encryption":
            modes = _modes(value, interface)
            if peer is not None:
                peer.protected(modes)
        elif key == "macs":
            macs = _macs(value, interface)
            if peer is not None and interface.bridge is not None:
                interface.bridge.pin(peer, macs)
        elif key == "probe_address":
            address = _probe_address(value, interface)
            if peer is not None:
                peer.probed_at(address)
        elif key == "health_address":
            address = _address(value)
            if peer is not None:
                peer.health_at(addresses.format_bytes(address) if address else "")
        elif key == "use":
            _true(value)
            if peer is not None and not interface.groups.use(peer):
                raise UapiError(EINVAL, "its group chooses no member")
        else:
            raise _unknown(key)

    def _endpoint(self, text):
        """In place of all that it had."""
        self._endpoints(text, 1)

    def _endpoints(self, text, most=endpoints.MOST):
        """Literal ones; ours alone: names, resolved while the interface runs."""
        texts = text.split(",")
        if len(texts) > most:
            raise UapiError(EINVAL, f"more than {most} endpoints")
        entries = [self._entry(one) for one in texts]
        if self._peer is not None:
            self._interface.set_endpoints(self._peer, entries)

    def _entry(self, text):
        try:
            found = resolver.literal(text)
            if found:
                return endpoints.record(found[0], found[1], found[2], found[3])
            name = endpoints.split(text)
        except ValueError:
            raise UapiError(EINVAL, "not an endpoint, or its scope is no interface here")
        if self._interface.resolver is None:
            raise UapiError(EINVAL, "names are not resolved here")
        return name

    def _allowed_ip(self, text):
        sign = text[:1]
        prefix = _prefix(text[1:] if sign in ("+", "-") else text)
        if self._interface.bridge is not None:
            raise UapiError(EINVAL, "layer 2 has no allowed IPs: addresses are learned")
        if self._peer is None:
            return
        if sign == "-":
            self._interface.allowed.remove(self._peer, prefix)
        else:
            self._interface.allowed.add(self._peer, prefix)


def errno_of(error):
    """The errno of a refused line."""
    if isinstance(error, (UapiError, PlaneError)):
        return error.errno
    return ENOMEM if isinstance(error, MemoryError) else EIO
