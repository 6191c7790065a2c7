# SPDX-License-Identifier: MIT
"""docs/gluon.md: a node whose site.conf goes through Gluon's scripts to UCI, and from there through
the handler's to a file of ours, before gateways of tunlite, or of WireGuard and a vxlan.

node ==w1== gateway1, ==w2== gateway2
"""

import hashlib
import json
import re
import socket
import struct
import subprocess
import textwrap
from pathlib import Path

import pytest

from lab.openwrt.gluon.node import LAB, PACKAGE, Node
from lab.peers import Keys, Tunlite, tunlite_program
from lab.topology import ping, wait_for
from tests.net import test_layer2 as layer2, test_vxlan as vxlan

pytestmark = pytest.mark.once

_PAGE = (Path(__file__).resolve().parents[2] / "docs/gluon.md").read_text(encoding="utf-8")
_DEVICE = "mesh-vpn"
_SEED = "5" * 64
_ETH_P_IP, _ETH_P_ALL = 0x0800, 3  # what leaves is seen by the second alone
# Gluon's own group is 800, which a user namespace has not.
_MOUNTS = """
(cat /etc/group; echo gluon-mesh-vpn:x:0:) >"$0"
mount --bind "$0" /etc/group
mkdir -p /var/lib/tunlite
mount -t tmpfs tmpfs /var/lib/tunlite
"""


def _blocks():
    """{first line: text} of what is indented on the page."""
    found = {}
    for block in re.findall(r"(?:^(?:    .*)?\n)+", _PAGE, re.MULTILINE):
        if block.strip():
            head, text = textwrap.dedent(block).strip().split("\n", 1)
            found.setdefault(head, []).append(text + "\n")
    return found


_BLOCKS = _blocks()


@pytest.fixture
def machine(lab):
    """The lab, on a machine with Gluon's group and no state of earlier daemons."""
    subprocess.run(["sh", "-ec", _MOUNTS, lab.folder / "group"], check=True)
    yield lab
    lab.close()
    subprocess.run(["umount", "/etc/group", "/var/lib/tunlite"], check=True)


class _Site:
    """The node, and a wire to each gateway; an earlier firmware left WireGuard's key in its UCI."""

    number, v4, v6 = 1, "10.77.0.1", "fd77::1"

    def __init__(self, lab, gateways):
        self.lab = lab
        self.keys = Keys()
        self.namespace = lab.namespace("node")
        self.gateways = []
        self.where = []
        for number in (1, 2):
            namespace = lab.namespace(f"gateway{number}")
            _, far = lab.wire(self.namespace, namespace, number=number)
            self.gateways.append(gateways(namespace, 10 + number))
            self.where.append(far.v4)

    def fill(self, text):
        """The page's words replaced by this site's."""
        for number, gateway in enumerate(self.gateways, 1):
            text = text.replace(f"<gw{number}'s public key>", gateway.keys.public)
            text = text.replace(f"gw{number}.example.org", self.where[number - 1])
        text = text.replace("<64 hex digits>", _SEED)
        assert not re.search(r"<[a-z]", text), text
        return text

    def upgrade(self, site):
        """The firmware with our package comes."""
        program = tunlite_program(self.lab.folder)
        self.node = Node(self.lab.folder / "root", program, self.fill(site), self.namespace)
        old = {"proto": "wireguard", "private_key": self.keys.private}
        self.node.write([("interface", "wg_mesh", old)])
        self.node.write([("mesh_vpn", "mesh_vpn", {"enabled": "1"})], "gluon")
        assert self.node.check_site() == ""
        self.node.sysupgrade()
        return self

    def start(self):
        """What the handler does of the interface."""
        network = self.node.uci()
        interface = network["wg_mesh"]
        assert interface["disabled"] == "0" and interface["tunnel_device"] == _DEVICE
        file = self.lab.folder / "wg_mesh.conf"
        file.touch(mode=0o600)
        file.write_text(self.node.file())
        words = ["run", "--bare", "--config", file, "--interface", _DEVICE]
        self.process = self.namespace.start([self.node.root / "usr/sbin/tunlite", *words], "node")
        self.process.wait_line("ready")
        self.namespace.ip("link", "set", _DEVICE, "mtu", interface["mtu"], "up")
        # What Gluon's core has netifd do, once the device is there.
        self.namespace.ip("link", "set", _DEVICE, "address", network["mesh_vpn"]["macaddr"])
        self.namespace.ip("addr", "add", self.v4 + "/16", "dev", _DEVICE)
        return self

    def command(self, text):
        """A block of the page's, on the router."""
        return self.node.run(["sh", "-ec", text]).stdout

    def reached(self, **kwargs):
        """The numbers of the gateways that answer, from 0."""
        asked = enumerate(self.gateways)
        return [n for n, g in asked if ping(self.namespace, g.v4, 1, wait=1, **kwargs).received]

    def used(self):
        (group,) = json.loads(self.command(f"tunlite show {_DEVICE} --json"))["groups"]
        keys = [gateway.keys.public for gateway in self.gateways]
        return keys.index(group["used"]) if group["used"] else None


# ---- layer 2 ---------------------------------------------------------------------------------


def _gateway_file(gateway):
    (text,) = _BLOCKS["# /etc/tunlite/mesh-vpn.conf, on a gateway"]
    text = text.replace("<the gateway's private key>", gateway.keys.private)
    return text.replace("[Interface]\n", f"[Interface]\nStateDir = {gateway.folder}/state\n")


def _run_gateway(lab, gateway):
    """The page's file and commands; all namespaces share /var/run, so the name is another."""
    gateway.config.touch(mode=0o600)
    gateway.config.write_text(_gateway_file(gateway))
    (text,) = _BLOCKS["# on a gateway"]
    text = text.replace("/etc/tunlite/mesh-vpn.conf", str(gateway.folder / f"{gateway.name}.conf"))
    text = text.replace("up mesh-vpn", f"up {gateway.folder}/{gateway.name}.conf")
    gateway.config.rename(gateway.folder / f"{gateway.name}.conf")
    lab.on_close(lambda: gateway.cli("down", gateway.name, check=False))
    gateway.namespace.run(["sh", "-ec", f'PATH="{lab.folder}:$PATH"\n{text}'])
    gateway.namespace.ip("addr", "add", gateway.v4 + "/16", "dev", gateway.name)


def test_layer_2_as_the_page_has_it_comes_up_and_leaves_a_gateway_that_dies(machine):
    site = _Site(machine, Tunlite)
    (conf,) = _BLOCKS["# site.conf, its part of layer 2"]
    site.upgrade(conf)
    for gateway in site.gateways:
        _run_gateway(machine, gateway)
    site.start()
    wait_for(site.reached, 20, "one of the gateways")
    used = site.used()
    assert site.reached() == [used]
    # As long as batman-adv's frames are, over a way of 1,500 bytes.
    assert site.reached(size=1532 - 28) == [used]
    show, use = _BLOCKS["# on the router"]
    said = site.command(show)
    assert said.endswith(site.keys.public + "\n") and "backbone" in said
    peers = _statistics(machine.folder)["groups"]["backbone"]["peers"]
    assert peers.pop(f"gw{used + 1}")["established"] >= 0
    assert peers == {f"gw{2 - used}": None}
    site.command(use)
    gateway = site.gateways[site.used()]
    gateway.cli("down", gateway.name)
    wait_for(lambda: site.reached() == [1 - site.gateways.index(gateway)], 30, "the other gateway")


def _statistics(folder):
    """What respondd tells by our module of the daemon of this /run."""
    flags = f"-I{LAB} -O1"
    subprocess.run(["cp", "-r", f"{PACKAGE}/src", folder], check=True)
    subprocess.run(["make", "-s", "-C", folder / "src", f"CFLAGS={flags}"], check=True)
    command = f"cc {flags} -o {folder}/respondd {LAB}/respondd.c -ldl -ljson-c"
    subprocess.run(command.split(), check=True)
    words = [folder / "respondd", folder / "src/respondd.so", "statistics"]
    return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["mesh_vpn"]


# ---- vxlan -----------------------------------------------------------------------------------


def _vni(seed, word="gluon-mesh-vxlan"):
    return int(hashlib.md5((word + seed + "1").encode()).hexdigest()[:6], 16)


def test_a_vxlan_as_the_page_has_it_joins_gateways_of_today_and_leaves_one_that_dies(
    machine, monkeypatch
):
    site = _Site(machine, vxlan.Gateway)
    if not vxlan.has_vxlan(site.gateways[0].namespace):
        pytest.skip("this kernel has no vxlan")
    (conf,) = _BLOCKS["# site.conf, its part of a vxlan"]
    monkeypatch.setattr(vxlan, "VNI", _vni(_SEED))
    _today(site, "gluon")
    site.upgrade(conf).start()
    wait_for(site.reached, 20, "one of the gateways")
    used = site.used()
    assert site.reached() == [used]
    assert site.namespace.link(_DEVICE)["mtu"] == 1350
    site.gateways[used].kill9()
    wait_for(lambda: site.reached() == [1 - used], 40, "the other gateway")


def _today(site, dialect):
    """The gateways know the node's key, as they did before."""
    for gateway in site.gateways:
        end = "\n" if dialect == "munich" else ""
        own = vxlan.address_of(site.keys.public, end)
        gateway.add_peer(site, AllowedIPs=own + "/128")
        gateway.start_to(site)


@pytest.mark.parametrize("dialect", ["munich", "hannover"])
def test_gateways_of_other_dialects_are_joined_too(machine, dialect, monkeypatch):
    kernel = "munich" if dialect == "munich" else "gluon"
    site = _Site(machine, lambda namespace, number: vxlan.Gateway(namespace, number, kernel))
    if not vxlan.has_vxlan(site.gateways[0].namespace):
        pytest.skip("this kernel has no vxlan")
    (conf,) = _BLOCKS["# site.conf, its part of a vxlan"]
    conf = conf.replace("dialect = 'gluon'", f"dialect = '{dialect}', vni = 77")
    if dialect == "munich":
        conf = re.sub(r"\n *gw2 = .*", "", conf)
    monkeypatch.setattr(vxlan, "VNI", 77)
    _today(site, kernel)
    site.upgrade(conf).start()
    wait_for(site.reached, 20, "a gateway")


# ---- on the air ------------------------------------------------------------------------------


class _Air:
    """Lengths of the IPv4 packets of UDP that leave by a wire."""

    def __init__(self, namespace, device):
        def make():
            found = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
            found.bind((device, _ETH_P_ALL))
            found.setblocking(False)
            return found

        self._sock = namespace.inside(make)

    def lengths(self):
        found = []
        while True:
            try:
                data, (_, what, kind, *_) = self._sock.recvfrom(70_000)
            except BlockingIOError:
                return found
            leaves = kind == socket.PACKET_OUTGOING and what == _ETH_P_IP
            if leaves and data[9] == socket.IPPROTO_UDP:
                found.append(struct.unpack_from("!H", data, 2)[0])


def _overhead(end, far, sizes):
    """By inner IP packets of these lengths: what the longest outer packet has beside it."""
    air = _Air(end.namespace, "w1")
    found = set()
    for size in sizes:
        air.lengths()
        # One at a time: some that wait together leave as one run.
        assert ping(end.namespace, far.v4, 1, wait=10, size=size - 28).received
        # Probes of the path MTU are longer.
        lengths = [length for length in air.lengths() if size <= length < size + 200]
        assert len(lengths) == 1
        found.add(lengths[0] - size)
    return found


def _rows():
    """{name: (least, most, least with batman-adv, most)} of the page's table."""
    table = _PAGE.split("### What is on the air", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in table.splitlines():
        row = re.match(r"\| (.+?) \| ([\d to]+) \| ([\d to]+) \|", line)
        if row:
            ends = [[int(n) for n in re.findall(r"\d+", part)] for part in row.groups()[1:]]
            found[row[1]] = [(part[0], part[-1]) for part in ends]
    return found


_SIZES = range(600, 616)  # all that padding can do
_BATMAN_ADV = 32


def test_the_page_s_sums_are_right():
    rows = _rows()
    assert len(rows) == 5
    for plain, with_batman_adv in rows.values():
        assert tuple(part + _BATMAN_ADV for part in plain) == with_batman_adv
    assert rows["fastd, `salsa2012+umac`"][0] == (20 + 8 + 24 + 14,) * 2
    assert rows["WireGuard + vxlan"] == rows["tunlite, vxlan"]


@pytest.mark.parametrize("mode", ["on", "authentic", "off"])
def test_a_frame_of_layer_2_has_as_many_bytes_on_the_air_as_the_page_says(lab, mode):
    pair = layer2.Pair(lab, Encryption=mode).up()
    if mode == "off":  # until something sealed came back all is sealed
        wait_for(
            lambda: _overhead(pair.router, pair.gateway, [600]) == {60}, 15, "frames in the clear"
        )
    (name,) = [name for name in _rows() if "layer 2" in name and f"`{mode}`" in name]
    least, most = _rows()[name][0]
    assert _overhead(pair.router, pair.gateway, _SIZES) == {least} == {most}


def test_a_frame_in_a_vxlan_has_as_many_bytes_on_the_air_as_the_page_says(lab):
    pair = vxlan.Pair(lab).up()
    least, most = _rows()["tunlite, vxlan"][0]
    assert _overhead(pair.router, pair.gateway, _SIZES) == set(range(least, most + 1))
