# SPDX-License-Identifier: MIT
"""docs/mesh.md: its files and commands as they stand there, in the order of the page.

router ==w9== way ==w1== gateway1, ==w2== gateway2: lab/star.py; each host has a /etc and a /run of
its own, as machines do
"""

import json
import re
import textwrap
from pathlib import Path

import pytest

from lab.peers import Keys, Tunlite, tunlite_program
from lab.pinger import Pinger
from lab.star import Star
from lab.topology import endpoint, ping, wait_for

pytestmark = pytest.mark.once

_PAGE = (Path(__file__).resolve().parents[2] / "docs/mesh.md").read_text(encoding="utf-8")
_NAMES = ("router", "second", "third", "fourth", "gw1", "gw2")
# Counts what HealthCommand sends to what is behind a gateway, as the test has it.
_HEALTH = """
table inet health {{
chain c {{ type filter hook input priority 0;
ip6 daddr fd77:{}::1 icmpv6 type echo-request counter
}}
}}
"""
_FOLDERS = """
copy=$(mktemp -d) && mount -t tmpfs tmpfs "$copy" && cp -a /etc/. "$copy" 2>/dev/null
mount --bind "$copy" /etc
for folder in /etc/tunlite /run/tunlite /run/wireguard /var/lib/tunlite /var/log; do
    mkdir -p "$folder" && mount -t tmpfs tmpfs "$folder" || exit 1
done
echo ready
exec sleep 1000
"""


class _Host:
    """A machine: a namespace of the lab, with mounts of its own."""

    def __init__(self, lab, namespace, words, keys):
        self.namespace = namespace
        self.keys = keys
        self.words = words  # what the page calls by <...> here
        self._path = lab.folder / "bin"
        self._mounts = namespace.start(["unshare", "--mount", "sh", "-c", _FOLDERS], "host")
        self._mounts.wait_line("ready")

    def run(self, text, **kwargs):
        """A block of the page; its output."""
        inside = ["nsenter", f"--mount=/proc/{self._mounts.pid}/ns/mnt", "sh", "-ec"]
        script = f'PATH="{self._path}:$PATH"\n{self.fill(text)}'
        return self.namespace.run([*inside, script], **kwargs).stdout

    def fill(self, text):
        """The block with this host's words."""
        for name, value in self.words.items():
            text = text.replace(name, value)
        assert not re.search(r"<[a-z]", text), text
        return text

    def write(self, block):
        """A file whose first line names it."""
        head, text = block.split("\n", 1)
        path = re.match(r"# (\S+),", head)[1]
        self.run(f"umask 077; cat > {path}", input=self.fill(text))

    def status(self):
        return json.loads(self.run("tunlite show mesh --json"))

    def ethernet(self):
        return json.loads(self.run("tunlite show ether --json"))

    def origin(self, name):
        """Whence it has this peer; None: it does not know it."""
        rows = {row["public_key"]: row for row in self.status()["peers"]}
        return rows.get(self.keys[name].public, {}).get("origin")

    def end(self):
        self.run("tunlite down mesh; tunlite down ether", check=False)


def _sections():
    """{title: [block, ...]}: what is indented, without its indent."""
    found = {}
    for part in _PAGE.split("\n## ")[1:]:
        title, text = part.split("\n", 1)
        blocks = re.findall(r"(?:^(?:    .*)?\n)+", text, re.MULTILINE)
        found[title] = [textwrap.dedent(b).strip() + "\n" for b in blocks if b.strip()]
    return found


class _Mesh:
    """The page's hosts. `did` are the blocks that were run."""

    def __init__(self, lab):
        self.lab = lab
        self.star = Star(lab)
        (lab.folder / "bin").mkdir()
        tunlite_program(lab.folder / "bin")
        self.keys = {name: Keys() for name in _NAMES}
        self.second = {name: Keys() for name in ("router", "gw1", "gw2")}
        self.router = self._host(lab, self.star.router, "router")
        self.gateways = [
            self._host(lab, spot.namespace, f"gw{n}") for n, spot in enumerate(self.star.spots, 1)
        ]
        self.sections = _sections()

    def _host(self, lab, namespace, name):
        words = {
            "<the router's private key>": self.keys["router"].private,
            "<the router's public key>": self.keys["router"].public,
            **{f"<a {n} router's public key>": self.keys[n].public for n in _NAMES[1:4]},
            "<the gateway's private key>": self.keys[name].private,
            "<the gateway's own address>": f"fd77:{name[-1]}::1" if "gw" in name else "",
            "<the router's second private key>": self.second["router"].private,
            "<the router's second public key>": self.second["router"].public,
            "<the gateway's second private key>": self.second[name].private,
            **{f"<an address behind gw{n}>": f"fd77:{n}::1" for n in (1, 2)},
        }
        for n, spot in enumerate(self.star.spots, start=1):
            words[f"<gw{n}'s public key>"] = self.keys[f"gw{n}"].public
            words[f"<gw{n}'s second public key>"] = self.second[f"gw{n}"].public
            for port in (51820, 51821):
                words[f"gw{n}.example.org:{port}"] = endpoint(spot.far.v4, port)
        host = _Host(lab, namespace, words, self.keys)
        lab.on_close(host.end)
        return host

    def next(self, section, gateway=None):
        """Does the section's next block, on the hosts that its first line names; what they said."""
        block = self.sections[section].pop(0)
        hosts = [*(self.gateways if gateway is None else [gateway])] if "gateway" in block else []
        hosts += [self.router] if "on the router" in block.splitlines()[0] else []
        if block.startswith("# /"):
            return [host.write(block) for host in hosts]
        return [host.run(block) for host in hosts]

    def third(self):
        """A router that is in nobody's file, at the first gateway."""
        namespace, way = self.lab.namespace("third"), self.star.way
        near, _ = self.lab.wire(way, namespace, number=8)
        namespace.ip("route", "add", "default", "via", near.v4)
        third = Tunlite(namespace, 4)
        third.keys = self.keys["third"]
        spot = self.star.spots[0]
        section = {"Endpoint": endpoint(spot.far.v4), "AllowedIPs": "fd77::/16"}
        third.peers["gw1"] = {"PublicKey": self.keys["gw1"].public, **section}
        third.peers["gw1"]["PersistentKeepalive"] = 1
        return third.start()

    def used(self):
        """The number of the gateway in use."""
        (group,) = self.router.status()["groups"]
        return [self.keys["gw1"].public, self.keys["gw2"].public].index(group["used"]) + 1


def test_every_file_and_command_of_the_page_does_what_it_says(lab):
    mesh = _Mesh(lab)
    _files(mesh)
    _one_dies(mesh)
    _new_ones_come(mesh)
    _one_is_shut_out(mesh)
    _one_drains(mesh)
    _ethernet(mesh)
    del mesh.sections["Joining a WireGuard + vxlan gateway"]  # tests/net/test_vxlan.py does it
    assert not any(mesh.sections.values()), "a block of the page was not run"


def _files(mesh):
    for gateway in mesh.gateways:
        gateway.run("mkdir /etc/tunlite/peers.d; touch /etc/tunlite/routers")
    while mesh.sections["The files"]:
        mesh.next("The files")
    mesh.pinger = Pinger(mesh.star.router, "fd77::1")
    mesh.pinger.wait_answers(10)
    _what_may_be_left_out(mesh, mesh.used())


def _what_may_be_left_out(mesh, used):
    gateway = mesh.gateways[used - 1]
    gateway.namespace.nft(_HEALTH.format(used))
    wait_for(lambda: "router2 came" in gateway.run("cat /var/log/mesh.log"), 10, "OnEstablish")
    (row,) = gateway.status()["peers"]
    assert (row["rate_in"], row["rate_out"]) == (50_000_000, 50_000_000)
    assert row["endpoint"] == "(hidden)"
    assert ("routers", 1) in [(g["name"], g["members"]) for g in gateway.status()["groups"]]
    asked = ["nft", "list", "chain", "inet", "health", "c"]
    wait_for(
        lambda: "packets 0" not in gateway.namespace.run(asked).stdout, 20, "HealthCommand is run"
    )


def _one_dies(mesh):
    dead = mesh.used()
    mesh.star.spots[dead - 1].black_hole()
    wait_for(lambda: mesh.used() == 3 - dead, 15, "the other gateway is used")
    mesh.pinger.wait_answers(10)
    (said,) = mesh.next("One gateway dies")
    assert "gateways" in said and "silent" in said
    mesh.star.spots[dead - 1].clear()
    mesh.next("One gateway dies")
    assert mesh.used() == 1
    mesh.pinger.wait_answers(10)


def _new_ones_come(mesh):
    gateway = mesh.gateways[0]
    mesh.next("A new router")
    wait_for(lambda: gateway.origin("second") == "folder", 15, "the folder is read")
    mesh.next("A new router")
    mesh.third_daemon = third = mesh.third()
    wait_for(lambda: gateway.origin("third") == "admitted", 15, "the rule lets it in")
    pinged = ping(third.namespace, "fd77::1", count=3)
    assert pinged.received == 3
    assert "by-rule came" in gateway.run("cat /var/log/mesh.log")
    mesh.next("A new router")
    assert gateway.origin("fourth") == "added"


def _one_is_shut_out(mesh):
    gateway = mesh.gateways[0]
    key = mesh.keys["fourth"].public
    mesh.next("Shut one out")
    assert key in gateway.run("cat /var/lib/tunlite/blocked-mesh")
    mesh.next("Shut one out")
    assert key not in gateway.run("cat /var/lib/tunlite/blocked-mesh")
    mesh.next("Shut one out")
    assert gateway.origin("fourth") is None
    wait_for(lambda: gateway.origin("second") is None, 15, "it has gone with its file")
    mesh.next("Shut one out", gateway)
    mesh.third_daemon.stop()
    mesh.third_daemon.start()
    why = "from a stranger who was refused just now"
    wait_for(lambda: gateway.status()["handshakes_refused"].get(why), 30, "the rule says no")
    assert gateway.origin("third") is None
    assert "by-rule left: removed" in gateway.run("cat /var/log/mesh.log")


def _one_drains(mesh):
    """That routers leave it, after minutes, is in tests/unit/test_groups.py."""
    gateway = mesh.gateways[0]
    title = "A gateway's kernel is updated"
    mesh.next(title)
    assert gateway.status()["draining"]
    mesh.pinger.wait_answers(10)
    assert "established" in mesh.next(title)[0]
    mesh.next(title)
    assert not gateway.status()["draining"]


def _ethernet(mesh):
    title = "Ethernet"
    for _ in range(4):
        mesh.next(title)
    for number, gateway in enumerate(mesh.gateways, 1):
        gateway.namespace.ip("addr", "add", f"192.168.77.{10 + number}/24", "dev", "br-mesh")
    keys = [mesh.second["gw1"].public, mesh.second["gw2"].public]
    used = keys.index(mesh.router.ethernet()["groups"][0]["used"])
    here, there = f"192.168.77.{11 + used}", f"192.168.77.{12 - used}"
    router = mesh.star.router
    wait_for(lambda: ping(router, here, count=1, wait=1).received, 15, "the gateway in use")
    assert ping(router, there, count=1, wait=1).received == 0
    (said,) = mesh.next(title)
    assert "authentic (whoever is on the way reads every frame)" in said
    assert "addresses: ether" in said and f"behind gw{used + 1}" in said
    mesh.gateways[used].run("tunlite down ether")
    wait_for(lambda: ping(router, there, count=1, wait=1).received, 30, "the other gateway")
