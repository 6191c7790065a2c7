# SPDX-License-Identifier: MIT
"""SaveConfig: what runs goes back into the file before the interface goes down, as with wg-quick.

[Interface] and [Group] stay as they stand, comments and options of our own included, but for key,
port and mark. Peers are written anew from the daemon; of what the file says a peer keeps its
Description, and its Endpoint where that is a name: its address may be another one tomorrow. Several
endpoints stay as they were set.
"""

import binascii

from tunlite import endpoints, keys
from tunlite.config import as_uapi, options, parser
from tunlite.errors import UserError, told
from tunlite.system import port
from tunlite.uapi import client

_REPLACED = [name.lower().encode() for name in options.told("Interface")]
_ZERO_KEY = b"0" * 64
_KEPT = ("Description", "Lifetime")  # of a peer: no daemon tells them


class SaveError(UserError):
    """The file could not be written anew."""


class _Text:
    """The file under construction; it holds secrets."""

    def __init__(self):
        self.text = bytearray()

    def line(self, line=b""):
        self.text.extend(line)
        self.text.extend(b"\n")

    def option(self, name, value):
        self.line(f"{name} = {value}".encode())

    def key(self, name, digits):
        """An option whose value is a key of the daemon's, hex."""
        if digits == _ZERO_KEY:
            return
        key = bytearray(binascii.unhexlify(digits))
        chars = keys.encode(key)
        self.text.extend(f"{name} = ".encode())
        self.line(chars)
        keys.wipe(key)
        keys.wipe(chars)


def _name_of(trimmed):
    """The option of a line, in lower case; never a copy of its value, which may be a secret."""
    at = trimmed.find(b"=")
    return _bare(trimmed[: max(at, 0)])


def _bare(text):
    """In lower case and without blanks, which wg takes out."""
    return bytes(text).lower().replace(b" ", b"").replace(b"\t", b"")


def _put_interface(out, text, running, mark):
    """What stands in [Interface], in [Group]s and before them; comments at a section's end are the
    next one's."""
    waiting = []  # comments and empty lines
    is_ours = is_first = True
    is_group = False
    for read in text.lines():
        line = read[3:] if read[:3] == parser.BYTE_ORDER_MARK else read
        trimmed = parser.trimmed(line)
        is_header = trimmed[:1] == b"["
        if is_header:
            is_group = _bare(trimmed) == b"[group]"
            is_ours = is_group or _bare(trimmed) == b"[interface]"
        name = b"" if is_header else _name_of(trimmed)
        keys.wipe(trimmed)
        if not is_ours:
            waiting = []
        elif not trimmed:
            waiting.append(bytes(line))
        elif is_group or name not in _REPLACED:
            for earlier in waiting:
                out.line(earlier)
            waiting = []
            out.line(line)
        if is_header and is_ours and is_first and not is_group:
            is_first = False
            out.key("PrivateKey", running.get("private_key", _ZERO_KEY))
            out.option("ListenPort", running.get("listen_port", b"0").decode())
            if mark:
                out.option("FwMark", mark)
            for name, key, usual in as_uapi.INTERFACE_OURS:
                value = running.get(key, usual.encode()).decode()
                if value != usual:
                    out.option(name, value.replace(",", ", "))


def _rate(bits):
    for size, unit in ((1000000000, "G"), (1000000, "M"), (1000, "K")):
        if bits and not bits % size:
            return str(bits // size) + unit
    return str(bits or "off")


def _put_peer(out, public, runs, said):
    """One [Peer]: `runs` of as_uapi.Running, `said` of the file, empty for a new one."""
    out.line()
    out.line(b"[Peer]")
    out.option("PublicKey", keys.text(public))
    out.key("PresharedKey", runs.get("preshared_key", _ZERO_KEY))
    if runs["allowed_ip"]:
        out.option("AllowedIPs", ", ".join(runs["allowed_ip"]))
    place = runs.get("endpoint", b"").decode()
    if "endpoints" in runs:
        place = runs["endpoints"].decode().replace(",", ", ")
    elif endpoints.is_name(said.get("Endpoint", "")):
        place = said["Endpoint"]
    if place:
        out.option("Endpoint", place)
    seconds = runs.get("persistent_keepalive_interval", b"0").decode()
    if seconds != "0":
        out.option("PersistentKeepalive", seconds)
    for name in _KEPT:
        if name in said:
            out.option(name, said[name])
    if "group" in runs:
        out.option("Group", runs["group"].decode())
    for name, key in (("RateIn", "rate_in"), ("RateOut", "rate_out")):
        if key in runs:
            out.option(name, _rate(int(runs[key])))
    if "probe_address" in runs:
        out.option("ProbeAddress", runs["probe_address"].decode())
    for name, key in (("Encryption", "encryption"), ("MACs", "macs")):
        if key in runs:
            out.option(name, runs[key].decode().replace(",", ", "))
    if "health_address" in runs:
        out.option("HealthAddress", runs["health_address"].decode())


def render(config, running, chosen=0):
    """The file's new text, a bytearray to be wiped.

    `config`: the file as it is read; `running`: an as_uapi.Running; `chosen`: the mark of our
    rules, which is not saved where the file leaves it to us. Peers of the file come first, in its
    order.
    """
    out = _Text()
    mark = int(running.interface.get("fwmark", b"0"))
    if mark == chosen and not config.settings["FwMark"]:
        mark = 0
    _put_interface(out, config.peers.text, running.interface, mark)
    left = set(running.peers)
    for said in config.peers.each(("PublicKey", "Endpoint") + _KEPT):
        public = said["PublicKey"]
        if public in left:
            left.remove(public)
            _put_peer(out, public, running.peer(public), said)
    for public in sorted([public for public in left if running.is_ours(public)]):
        _put_peer(out, public, running.peer(public), {})
    return out.text


def _target(path):
    """Where the file is that a symlink names: what is written anew is that one, as the link may be
    somebody's way to keep his files."""
    fd = port.open_read(path)
    try:
        return port.readlink(f"/proc/self/fd/{fd}")
    finally:
        port.close(fd)


def save(name, path, silence_ms, chosen=0):
    """Writes the file of a running interface anew, for its owner alone, as wg-quick does.

    SaveError, client.NoDaemon, client.Refused, client.NoAnswer: it was silent for so long.
    """
    running = as_uapi.Running(client.get_device(name, silence_ms))
    try:
        config = parser.load(path)
    except parser.ConfigError as e:
        raise SaveError(f"{path} is not written anew: {e.args[0][0]}")
    except OSError as e:
        raise SaveError(f"{path} cannot be read: {told(e)}")
    text = bytearray()
    try:
        text = render(config, running, chosen)
        port.write_file_atomic(_target(path), text, 0o600)
    except OSError as e:
        raise SaveError(f"{path} cannot be written: {port.strerror(e.args[0])}")
    finally:
        keys.wipe(text)
        config.wipe()
