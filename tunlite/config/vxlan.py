# SPDX-License-Identifier: MIT
"""Encapsulation = vxlan: what its options mean in the dialects that gateways speak, and which of
them go together (docs/mesh.md, "Joining a WireGuard + vxlan gateway")."""

from tunlite import addresses, keys
from tunlite.md5 import md5

_OPTIONS = ("VNI", "VXLANDialect", "VXLANPort", "VXLANLocal", "VXLANRemote")
_ONLY = "only Encapsulation = vxlan has it"
_MTU_MOST = 65535 - 40 - 8 - 8 - 14 - 8  # of a frame with two VLAN tags in an IPv6 packet

# Port, what a seed is hashed with, what follows a key that is hashed, the gateway's address.
_DIALECTS = {
    "gluon": (4789, b"gluon-mesh-vxlan", b"", "fe80::1"),
    "munich": (8472, b"gluon-mesh-vpn-vxlan", b"\n", None),
    "plain": (4789, None, None, None),
}


def vni_of(word, seed):
    """The first 3 bytes of what Gluon makes of a domain's seed (64 hex digits)."""
    return int.from_bytes(md5(word + seed.encode() + b"1")[:3], "big")


def address_of(public, end):
    """Text of the link-local address that belongs to a public key."""
    digest = md5(keys.text(public).encode() + end)
    packed = b"\xfe\x80" + bytes(6) + b"\x02" + digest[:2] + b"\xff\xfe" + digest[2:5]
    return addresses.format_address(6, packed)


def _has(prefix, packed):
    return addresses.network((prefix[0], packed, prefix[2])) == prefix


def check(parser):
    """Fills in what the file leaves to the dialect. `parser` as layers.check() has it."""
    settings = parser.config.settings
    lines = {option: line for line, option, _ in parser.config.noted}
    if settings.is_wrapped():
        _Ends(parser, settings, lines).fill()
        return
    for name in _OPTIONS:
        if name in settings.given:
            fix = "remove it, or write Encapsulation = vxlan under [Interface]"
            parser.error(name, _ONLY, fix, lines.get(name, 0))


class _Ends:
    """Both ends of the vxlan."""

    def __init__(self, parser, settings, lines):
        self._config = parser.config
        self._error = parser.error
        self._warn = parser.warn
        self._settings = settings
        self._lines = lines
        self._line = lines.get("Encapsulation", 0)
        self._dialect = _DIALECTS[settings["VXLANDialect"]]

    def fill(self):
        self._refuse_others()
        self._number()
        if not self._settings["VXLANPort"]:
            self._settings["VXLANPort"] = self._dialect[0]
        if not self._settings["VXLANLocal"]:
            self._settings["VXLANLocal"] = self._local()
        if not self._settings["VXLANRemote"]:
            self._settings["VXLANRemote"] = self._remote()
        if self._settings["VXLANLocal"] and self._settings["VXLANRemote"]:
            self._compare()

    def _tell(self, option, wrong, fix):
        self._error(option, wrong, fix, self._lines.get(option) or self._line)

    def _refuse_others(self):
        settings = self._settings
        if settings["Layer"] == 2:
            self._tell("Encapsulation", "a vxlan goes over layer 3", "remove Layer = 2")
        if settings.given.get("Table"):
            wrong = "AllowedIPs are ends of the vxlan, and nothing is routed to them"
            self._tell("Table", wrong, "remove it")
        if settings["MTU"] > _MTU_MOST:
            self._tell("MTU", "no packet is so long", f"write {_MTU_MOST} or less, or auto")

    def _number(self):
        vni, word = self._settings["VNI"], self._dialect[1]
        if vni is None:
            self._tell("VNI", "there is none", "write the gateway's number, or its domain_seed")
        elif isinstance(vni, str) and not word:
            wrong = "a domain_seed has a number in the dialects gluon and munich alone"
            self._tell("VNI", wrong, "write the number")
        elif isinstance(vni, str):
            self._settings["VNI"] = vni_of(word, vni)

    def _local(self):
        end, private = self._dialect[2], self._settings["PrivateKey"]
        if end is None:
            self._tell("VXLANLocal", "the dialect plain has none", "write our address inside")
        elif not private:
            wrong = "it is made from PrivateKey, and there is none"
            self._tell("VXLANLocal", wrong, "write one of the two")
        else:
            return address_of(bytes(keys.public_of(private)), end)
        return None

    def _remote(self):
        _, _, end, common = self._dialect
        if common:
            return common
        if end is None:
            self._tell("VXLANRemote", "the dialect plain has none", "write the gateway's address")
            return None
        if self._is_one_group():
            self._follow(end)
            return None
        publics = [peer.get("PublicKey") for peer in self._peers(("PublicKey",))]
        if len(publics) == 1 and publics[0]:
            return address_of(publics[0], end)
        wrong = f"each gateway has its own, and there are {len(publics)} peers"
        fix = "keep one [Peer], put all into one group with Limit = 1, or write the address of all"
        self._tell("VXLANRemote", wrong, fix)
        return None

    def _is_one_group(self):
        """Several gateways of which one is used."""
        named = [peer.get("Group") for peer in self._peers(("Group",))]
        limited = [group.get("Name") for group in self._config.groups if group.get("Limit")]
        return len(named) > 1 and len(set(named)) == 1 and named[0] in limited

    def _follow(self, end):
        """The packet path finds the address of the one in use by its AllowedIPs."""
        if ":" not in (self._settings["VXLANLocal"] or ":"):
            wrong = "gateways have addresses of IPv6, made of their keys"
            self._tell("VXLANLocal", wrong, "write one of IPv6, or remove it")
        for peer in self._peers(("PublicKey", "AllowedIPs")):
            public = peer.get("PublicKey")
            if not public:
                continue
            own = address_of(public, end) + "/128"
            hosts = [prefix for prefix in peer.get("AllowedIPs", ()) if prefix[2] == 128]
            if hosts != [(6, addresses.parse_address(own[:-4])[1], 128)]:
                wrong = "frames go to its /128, and its key makes another one"
                self._error("AllowedIPs", wrong, f"write AllowedIPs = {own}", peer["line"])

    def _peers(self, names):
        return self._config.peers.each(names)

    def _compare(self):
        family, packed = addresses.parse_address(self._settings["VXLANRemote"])
        ours = addresses.parse_address(self._settings["VXLANLocal"])
        if ours[1] == packed:
            self._tell("VXLANLocal", "VXLANRemote is the same", "write our own address")
        for option, end in (("VXLANLocal", ours), ("VXLANRemote", (family, packed))):
            if not 0 < end[1][0] < (224 if end[0] == 4 else 255):
                self._tell(option, "no host has it", "write an address of the inside")
        if ours[0] != family:
            wrong = "it is no address of VXLANRemote's family"
            self._tell("VXLANLocal", wrong, "write two of IPv4, or two of IPv6")
        is_alone = True
        for peer in self._peers(("AllowedIPs",)):
            is_alone = False
            for prefix in peer.get("AllowedIPs", ()):
                if prefix[0] == family and _has(prefix, packed):
                    return
        if not is_alone:
            remote = self._settings["VXLANRemote"]
            fix = (
                f"write AllowedIPs = {remote}/{32 if family == 4 else 128} at the gateway's [Peer]"
            )
            self._warn("AllowedIPs", f"no peer has {remote}, where frames go", fix, self._line)
