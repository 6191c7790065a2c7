# SPDX-License-Identifier: MIT
"""Encapsulation = vxlan towards gateways of today: wireguard-go and the kernel's vxlan on it.

router ==w1== gateway                      Pair
router ==w1== gateway1, ==w2== gateway2    Two, and the page's file for them
"""

import hashlib
import ipaddress
import re
import textwrap
from pathlib import Path

import pytest

from lab.topology import Tunlite, WireguardGo, endpoint, ping, tcp_transfer, wait_for

_PAGE = (Path(__file__).resolve().parents[2] / "docs/mesh.md").read_text(encoding="utf-8")
_TITLE = "Joining a WireGuard + vxlan gateway"
VNI = 4711
_DIALECTS = {  # port, what follows a key that is hashed, words of ip(8)
    "gluon": (4789, "", ("udp6zerocsumtx", "udp6zerocsumrx")),
    "munich": (8472, "\n", ()),  # the kernel's default, which refuses a checksum of 0
}
# Counts outer IP fragments of the router's.
_FRAGMENTS = """
table inet fragments {
chain out { type filter hook postrouting priority 300;
meta l4proto udp oifname "w1" ip frag-off & 0x3fff != 0 counter
}
}
"""


def address_of(public, end=""):
    """What the dialects make of a public key."""
    digest = hashlib.md5((public + end).encode()).hexdigest()
    text = "fe80::2{}:{}ff:fe{}:{}{}".format(*re.findall("..", digest)[:5])
    return str(ipaddress.ip_address(text))  # without zeros in front


def has_vxlan(namespace):
    words = ["ip", "link", "add", "vxtry", "type", "vxlan", "id", "1", "dstport", "4789"]
    found = namespace.run(words, check=False).returncode == 0
    if found:
        namespace.ip("link", "del", "vxtry")
    return found


class Gateway(WireguardGo):
    """Its tunnel carries nothing but the vxlan, which has the addresses."""

    def __init__(self, namespace, number, dialect="gluon"):
        super().__init__(namespace, number)
        self.dialect = dialect
        self.inside = "fe80::1" if dialect == "gluon" else address_of(self.keys.public, "\n")

    @property
    def addresses(self):
        return [self.inside + "/64"]

    def start_to(self, router):
        """Its end of the vxlan to one router."""
        self.start()
        port, end, words = _DIALECTS[self.dialect]
        far = address_of(router.keys.public, end)
        ends = ("local", self.inside, "remote", far, "dev", self.name, "dstport", str(port))
        self.namespace.ip("link", "add", "vx0", "type", "vxlan", "id", str(VNI), *ends, *words)
        self.namespace.ip("link", "set", "vx0", "up")
        self.namespace.ip("addr", "add", self.v4 + "/16", "dev", "vx0")
        self.namespace.ip("addr", "add", self.v6 + "/64", "dev", "vx0", "nodad")
        return self


def know(router, gateway, where):
    """Each other, by what is inside the tunnel and outside the vxlan."""
    _, end, _ = _DIALECTS[gateway.dialect]
    router.add_peer(gateway, where, AllowedIPs=gateway.inside + "/128")
    gateway.add_peer(router, AllowedIPs=address_of(router.keys.public, end) + "/128")


class Pair:
    def __init__(self, lab, dialect="gluon", **interface):
        left, right = lab.namespace("router"), lab.namespace("gateway")
        if not has_vxlan(right):
            pytest.skip("this kernel has no vxlan")
        self.wire = lab.wire(left, right)
        options = {"Encapsulation": "vxlan", "VNI": VNI, "VXLANDialect": dialect, **interface}
        self.router = Tunlite(left, 1, **options)
        self.gateway = Gateway(right, 2, dialect)
        know(self.router, self.gateway, endpoint(self.wire[1].v4))

    def up(self):
        self.gateway.start_to(self.router)
        self.router.start()
        wait_for(lambda: is_reached(self.router, self.gateway.v4), 15, "a ping through the vxlan")
        return self


def is_reached(end, address):
    return ping(end.namespace, address, count=1, wait=1).received


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_a_gateway_of_wireguard_and_vxlan_notices_nothing(lab, dialect):
    pair = Pair(lab, dialect)
    pair.router.namespace.nft(_FRAGMENTS)
    pair.up()
    here, there = pair.router, pair.gateway
    for address in (there.v4, there.v6):
        assert ping(here.namespace, address, count=3).received == 3
    for source, target in ((here, there), (there, here)):
        for address in (target.v4, target.v6):
            moved = tcp_transfer(source.namespace, target.namespace, address, size=4 << 20)
            assert moved.is_intact and moved.bytes == 4 << 20
    status = here.show_json()
    port, end, _ = _DIALECTS[dialect]
    assert status["vxlan"] == {
        **{"vni": VNI, "port": port, "checksums": dialect == "munich"},
        **{"local": address_of(here.keys.public, end), "remote": there.inside},
    }
    assert (status["layer"], status["mtu"]) == (3, 1500 - 80 - 70)
    assert here.namespace.link(here.name)["mtu"] == 1350
    counted = here.namespace.run(["nft", "list", "chain", "inet", "fragments", "out"]).stdout
    assert "packets 0" in counted
    assert not set(here.drops()) & {"received_bad_frame", "wrong_vni", "source_not_allowed"}


def test_what_is_no_frame_is_counted_and_reaches_nobody(lab):
    pair = Pair(lab).up()
    device, own = pair.gateway.name, address_of(pair.router.keys.public)
    # From the address that the router knows it by: the kernel gives the device another one too.
    words = f"ping -c 2 -W 1 -I {pair.gateway.inside}%{device} {own}%{device}".split()
    assert " 0 received" in pair.gateway.namespace.run(words, check=False).stdout
    assert pair.router.drops()["not_vxlan"] >= 2


def test_another_vni_carries_nothing_and_is_told(lab):
    pair = Pair(lab, VNI=VNI + 1)
    pair.gateway.start_to(pair.router)
    pair.router.start()
    wait_for(lambda: is_reached(pair.router, pair.gateway.v4) or _is_told(pair), 15, "it is told")
    assert not is_reached(pair.router, pair.gateway.v4)


def _is_told(pair):
    """The gateway's own frames find our VNI wrong."""
    ping(pair.gateway.namespace, pair.router.v4, count=1, wait=1)
    return pair.router.drops().get("wrong_vni")


class Munich:
    """Two gateways with an address each in a group, and a router."""

    def __init__(self, lab):
        middle = lab.namespace("router")
        options = {"Encapsulation": "vxlan", "VNI": VNI, "VXLANDialect": "munich"}
        self.router = Tunlite(middle, 1, **options)
        self.router.groups.append({"Name": "g", "Limit": 1, "Choose": "order", "FailAfter": 2})
        self.gateways = []
        for number in (1, 2):
            namespace = lab.namespace(f"gateway{number}")
            if not has_vxlan(namespace):
                pytest.skip("this kernel has no vxlan")
            _, far = lab.wire(middle, namespace, number=number)
            gateway = Gateway(namespace, 1 + number, "munich")
            know(self.router, gateway, endpoint(far.v4))
            row = self.router.peers[gateway.keys.public]
            row.update(Group="g", ProbeAddress=gateway.inside)
            self.gateways.append(gateway.start_to(self.router))
        self.router.start()

    def wait_reached(self, gateway, timeout=40):
        wait_for(lambda: is_reached(self.router, gateway.v4), timeout, "a ping through the vxlan")


def test_munich_s_gateways_take_each_other_s_place_at_an_address_of_their_own(lab):
    there = Munich(lab)
    first, second = there.gateways
    there.wait_reached(first)
    assert not is_reached(there.router, second.v4)
    router = there.router
    router.cli("use", router.name, second.keys.public)
    there.wait_reached(second)
    moved = tcp_transfer(router.namespace, second.namespace, second.v4, size=1 << 20)
    assert moved.is_intact
    second.kill9()
    there.wait_reached(first)
    assert not set(router.drops()) & {"received_bad_frame", "not_vxlan", "wrong_vni"}
    (group,) = router.show_json()["groups"]
    assert group["used"] == first.keys.public and group["moves"]["silent"] == 1


# ---- the page --------------------------------------------------------------------------------


def _blocks():
    text = _PAGE.split(f"\n## {_TITLE}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", text, re.MULTILINE)
    return [textwrap.dedent(block).strip() + "\n" for block in blocks if block.strip()]


class Two:
    """Two gateways with one address inside, and a router of the page's file."""

    def __init__(self, lab):
        middle = lab.namespace("router")
        self.router = Tunlite(middle, 1)
        self.gateways = []
        words = {
            "<the router's private key>": self.router.keys.private,
            "<the domain's number>": str(VNI),
        }
        for number in (1, 2):
            namespace = lab.namespace(f"gateway{number}")
            if not has_vxlan(namespace):
                pytest.skip("this kernel has no vxlan")
            _, far = lab.wire(middle, namespace, number=number)
            gateway = Gateway(namespace, 1 + number)
            know(self.router, gateway, endpoint(far.v4))
            self.gateways.append(gateway.start_to(self.router))
            words[f"<gw{number}'s public key>"] = gateway.keys.public
            words[f"gw{number}.example.org:51820"] = endpoint(far.v4)
        file, *self.commands = _blocks()
        for word, value in words.items():
            file = file.replace(word, value)
        assert not re.search(r"<[a-z]", file), file
        self.path = lab.folder / f"{self.router.name}.conf"
        self.path.touch(mode=0o600)
        self.path.write_text(file)
        lab.on_close(lambda: self.router.cli("down", self.router.name, check=False))

    def command(self, text):
        """One of the page's, on our file."""
        words = text.replace("/etc/tunlite/mesh-vpn.conf", str(self.path)).split()
        words = [self.router.name if word == "mesh-vpn" else word for word in words]
        assert words[0] == "tunlite"
        if words[1] == "up":
            words[2] = str(self.path)
        return self.router.cli(*words[1:]).stdout

    def reached(self):
        """The gateways that answer, by number from 0."""
        found = [n for n, g in enumerate(self.gateways) if is_reached(self.router, g.v4)]
        return found


def test_the_page_s_file_joins_such_gateways_and_leaves_one_that_dies(lab):
    two = Two(lab)
    for block in two.commands:
        for line in block.splitlines():
            if not line.startswith("#"):
                said = two.command(line)
    own = address_of(two.router.keys.public)
    assert f"{own} to fe80::1, VNI {VNI}, port 4789" in said
    two.router.namespace.ip("addr", "add", two.router.v4 + "/16", "dev", two.router.name)
    wait_for(two.reached, 20, "one of the gateways")
    (used,) = two.reached()
    (group,) = two.router.show_json()["groups"]
    assert group["used"] == two.gateways[used].keys.public
    two.gateways[used].kill9()
    wait_for(lambda: two.reached() == [1 - used], 30, "the other gateway")
