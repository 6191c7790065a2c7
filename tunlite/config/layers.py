# SPDX-License-Identifier: MIT
"""What goes with which layer: options that only layer 2 has, and what it has no use for."""

from tunlite import addresses

OPEN = {  # by mode
    "authentic": "whoever is on the way reads every frame",
    "off": "whoever is on the way reads frames, changes them and makes up others",
}
# Of layer 2 alone; what each is on layer 3, which may be written there.
_ALONE = {"Encryption": "on", "PathMTU": 0, "ForwardPeers": False, "MACs": []}
_OF_VXLAN = ("Encapsulation", "VNI", "VXLANDialect", "VXLANPort", "VXLANLocal", "VXLANRemote")
_ERRORS_MOST = 100
# Parts of a frame are 8 at most, and each fits the shortest way of IPv6 (protocol.md, "Parts").
MTU_MOST = 8 * (1280 - 40 - 8 - 16 - 16 - 2) - 14 - 8


def is_noted(option, value):
    """Whether check() is to know the line of it."""
    if option == "MTU":
        return value > MTU_MOST
    return option in _OF_VXLAN or option == "Table" or value != _ALONE.get(option, value)


def check(parser):
    """`parser` has `config`, error() and warn(). Of a file of peers alone nobody knows the layer:
    the daemon is asked."""
    config = parser.config
    if not config.interface:
        return
    if config.settings.is_wrapped() or [n for n in config.interface if n in _OF_VXLAN]:
        from tunlite.config import vxlan

        vxlan.check(parser)
    if config.settings["Layer"] == 2:
        for line, option, value in config.noted:
            _check_noted(parser, line, option, value)
        for group in config.groups:
            if "ProbeAddress" in group:
                _refuse_probe(parser, group["line"])
        _check_peers(parser, config)
        return
    for line, option, value in config.noted:
        _refuse(parser, line, option, value)


def _refuse(parser, line, option, value):
    """On layer 3."""
    wrong = "only layer 2 has it"
    fix = "remove it, or write Layer = 2 under [Interface]"
    if option == "Encryption":
        wrong = value.replace(",", ", ") + ": only layer 2 has other modes than on"
        fix = "write on, or Layer = 2 under [Interface]"
    if option in _ALONE:
        parser.error(option, wrong, fix, line)


def _check_noted(parser, line, option, value):
    if option == "MTU":
        wrong = f"{value} is too long: a frame goes in 8 parts at most"
        parser.error("MTU", wrong, f"write {MTU_MOST} or less, 1532 for batman-adv", line)
    if option == "Table" and value:
        wrong = "on layer 2 nothing is routed to peers, and it does nothing"
        parser.error("Table", wrong, "remove it", line)
    for mode in value.split(",") if option == "Encryption" else ():
        if mode in OPEN:
            fix = "right in an open network; elsewhere write on"
            parser.warn("Encryption", f"with {mode}, {OPEN[mode]}", fix, line)


def _refuse_probe(parser, line):
    wrong = "on layer 2 members are asked by control frames, and it does nothing"
    parser.error("ProbeAddress", wrong, "remove it", line)


def _check_peers(parser, config):
    owners = {}  # address -> line of the first peer that has it
    for peer in config.peers.each(("AllowedIPs", "ProbeAddress", "MACs")):
        if len(config.errors) >= _ERRORS_MOST:
            return
        if peer.get("AllowedIPs"):
            wrong = "on layer 2 the addresses behind a peer are learned, and it does nothing"
            parser.error("AllowedIPs", wrong, "remove it", peer["line"])
        if "ProbeAddress" in peer:
            _refuse_probe(parser, peer["line"])
        _check_macs(parser, peer, owners)


def _check_macs(parser, peer, owners):
    macs = peer.get("MACs", ())
    line = peer["line"]
    if len(macs) > addresses.MACS_MOST:
        fix = f"pin {addresses.MACS_MOST} at most"
        parser.error("MACs", f"{len(macs)} are too many", fix, line)
    if len(set(macs)) < len(macs):
        parser.error("MACs", "one of them stands there twice", "remove it", line)
    for mac in macs:
        first = owners.setdefault(mac, line)
        if first != line:
            wrong = f"the peer of line {first} has {mac} too"
            parser.error("MACs", wrong, "pin each address to one peer", line)
