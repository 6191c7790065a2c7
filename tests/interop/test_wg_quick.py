# SPDX-License-Identifier: MIT
"""tunlite up and Debian's wg-quick with wireguard-go: the same file on the same host gives the same
addresses, MTU, routes and rules.

host with links d0 (192.0.2.1/24) and d1 (198.51.100.1/24), a name server in it
"""

import json
import os

import pytest

from lab.name_server import NameServer
from lab.peers import Keys, ini, interface_name, tunlite_command


class Host:
    """One namespace in which the two programs take turns."""

    def __init__(self, lab):
        self.namespace = lab.namespace("host")
        self.folder = lab.folder
        self.keys = Keys()
        self.command = []  # what a program is started with, for NameServer.serve
        self.env = {
            **os.environ,
            "WG_QUICK_USERSPACE_IMPLEMENTATION": "wireguard-go",
            "LOG_LEVEL": "silent",
        }
        names = {"d0.test": "192.0.2.9", "d1.test": "198.51.100.9"}
        NameServer(lab, self.namespace, names).serve(self)
        self.outside("d0", "192.0.2.1/24", 1400)
        self.outside("d1", "198.51.100.1/24", 1500)

    def outside(self, name, address, mtu):
        ip = self.namespace.ip
        ip("link", "add", name, "mtu", mtu, "type", "veth", "peer", "name", name + "far")
        ip("link", "set", name + "far", "up")
        ip("link", "set", name, "up")
        ip("addr", "add", address, "dev", name)

    def write(self, interface, *peers):
        """A file for a new interface; its path."""
        path = self.folder / f"{interface_name()}.conf"
        path.touch(mode=0o600)
        sections = [("Interface", {"PrivateKey": self.keys.private, **interface})]
        sections += [("Peer", {"PublicKey": Keys().public, **peer}) for peer in peers]
        path.write_text(ini(sections))
        return path

    def quick(self, program, verb, path):
        """Runs it; its exit status."""
        words = [verb, path]
        if program == "tunlite":
            argv = [*tunlite_command(), verb, path if verb == "up" else path.stem]
        else:
            argv = ["wg-quick", *words]
        done = self.namespace.run([*self.command, *argv], check=False, env=self.env)
        return done.returncode

    def sight(self, *paths):
        """What is there of these interfaces: MTU, addresses, routes, mark."""
        found = []
        for name in [path.stem for path in paths]:
            link = json.loads(self.namespace.ip("-j", "addr", "show", "dev", name))[0]
            rows = [(row["local"], row["prefixlen"], row["scope"]) for row in link["addr_info"]]
            addresses = sorted(row for row in rows if row[2] != "link")
            mark = self.namespace.run(["wg", "show", name, "fwmark"]).stdout
            found.append((link["mtu"], addresses, self._routes(name), mark))
        return found

    def _routes(self, name):
        rows = []
        for family in ("-4", "-6"):
            text = self.namespace.ip(family, "-j", "route", "show", "table", "all", "dev", name)
            for row in json.loads(text or "[]"):
                if row.get("table") != "local" and row["dst"] not in ("fe80::/64", "ff00::/8"):
                    rows.append((row["dst"], row.get("table", "main")))
        return sorted(rows)

    def rules(self):
        """Without their priorities, in the kernel's order."""
        found = []
        for family in ("-4", "-6"):
            rows = json.loads(self.namespace.ip(family, "-j", "rule"))
            for row in sorted(rows, key=lambda row: row["priority"]):
                found.append({key: row[key] for key in row if key != "priority"})
        return found

    def both(self, interface, *peers):
        """[(what the interface is like, the rules)] of wg-quick and of tunlite."""
        path = self.write(interface, *peers)
        before = self.rules()
        found = []
        for program in ("wg-quick", "tunlite"):
            assert self.quick(program, "up", path) == 0
            found.append((self.sight(path), self.rules()))
            assert self.quick(program, "down", path) == 0
            assert self.rules() == before
        return found


@pytest.fixture
def host(lab):
    return Host(lab)


_DEFAULT_D0 = ["default", "via", "192.0.2.254", "dev", "d0"]
_DEFAULT_D1 = ["default", "via", "198.51.100.254", "dev", "d1"]


@pytest.mark.parametrize(
    ("routes", "endpoints", "mtu"),
    [
        ([], [], 1420),
        ([_DEFAULT_D0], [], 1320),
        ([_DEFAULT_D0], ["198.51.100.9"], 1420),
        ([_DEFAULT_D0], ["d1.test"], 1420),
        ([_DEFAULT_D1], ["d0.test"], 1320),
        ([_DEFAULT_D1], ["192.0.2.9", "d0.test"], 1320),
        ([], ["192.0.2.9", "d1.test"], 1420),
        ([_DEFAULT_D1], ["192.0.2.9", "no.test"], 1320),
        ([["198.51.100.9", "dev", "d1", "mtu", "1380"]], ["d1.test"], 1300),
        ([["203.0.113.0/24", "dev", "d1", "mtu", "1380"]], ["203.0.113.9", "192.0.2.9"], 1320),
        ([[*_DEFAULT_D1, "metric", "9"], [*_DEFAULT_D0, "metric", "5"]], [], 1320),
        ([[*_DEFAULT_D1, "metric", "5", "mtu", "1350"], [*_DEFAULT_D0, "metric", "9"]], [], 1270),
        ([["blackhole", "203.0.113.0/24"], _DEFAULT_D0], ["203.0.113.9"], 1320),
    ],
)
def test_the_mtu_is_the_same_names_of_endpoints_included(host, routes, endpoints, mtu):
    for route in routes:
        host.namespace.ip("route", "add", *route)
    peers = [{"Endpoint": f"{endpoint}:51820"} for endpoint in endpoints]
    if "no.test" in endpoints:  # wg-quick fails: here it is resolved later
        path = host.write({}, *peers)
        assert host.quick("tunlite", "up", path) == 0
        assert host.sight(path)[0][0] == mtu
        assert host.quick("tunlite", "down", path) == 0
    else:
        theirs, ours = host.both({}, *peers)
        assert ours == theirs
        assert ours[0][0][0] == mtu


@pytest.mark.parametrize(
    ("interface", "allowed"),
    [
        ({}, "10.6.0.0/16, 10.6.7.0/24, 10.6.7.8, fd06::/48, fd06::7"),
        ({"Address": "10.5.0.1/24, fd05::1/64"}, "10.5.0.0/24, 10.5.0.7/32, 10.4.0.0/15, fd05::7"),
        ({"Address": "10.5.0.1/24"}, "0.0.0.0/0, 10.6.0.0/16"),
        ({"Address": "10.5.0.1/24, fd05::1/128"}, "::/0, 0.0.0.0/0"),
        ({"Address": "10.5.0.1/24", "FwMark": "0x309"}, "0.0.0.0/0, ::/0"),
        ({"Address": "10.5.0.1/24", "Table": "off"}, "0.0.0.0/0, 10.6.0.0/16"),
        ({"Address": "10.5.0.1/24", "Table": "123"}, "0.0.0.0/0, 10.5.0.0/24, ::/0"),
        ({"Address": "10.5.0.1/24", "Table": "auto", "MTU": "1290"}, "0.0.0.0/1, 128.0.0.0/1"),
    ],
)
def test_routes_and_rules_are_the_same(host, interface, allowed):
    theirs, ours = host.both(interface, {"AllowedIPs": allowed})
    assert ours == theirs


def test_a_route_that_another_link_has_is_an_error_of_both(host):
    path = host.write({}, {"AllowedIPs": "192.0.2.0/24"})
    assert [host.quick(program, "up", path) for program in ("wg-quick", "tunlite")] == [2, 1]


def test_our_own_key_among_the_peers_makes_no_route_and_no_rule(host):
    me = {"PublicKey": host.keys.public, "Endpoint": "192.0.2.9:51820"}
    me["AllowedIPs"] = "0.0.0.0/0, ::/0, 10.6.0.0/16"
    host.namespace.ip("route", "add", *_DEFAULT_D1)
    theirs, ours = host.both({"Address": "10.5.0.1/24"}, me, {"AllowedIPs": "10.7.0.0/16"})
    assert ours == theirs
    assert ours[0][0][0] == 1420
    assert ours[0][0][2] == [("10.5.0.0/24", "main"), ("10.7.0.0/16", "main")]


def _is_of_a_tunnel(rule):
    return "fwmark" in rule


@pytest.mark.parametrize("gone", [0, 1])
def test_full_tunnels_get_the_same_tables_and_mtu_in_whatever_order_they_come_and_go(host, gone):
    host.namespace.ip("link", "set", "d1", "mtu", 2000)  # IPv6 needs 1280 in the third one too
    host.namespace.ip("route", "add", *_DEFAULT_D1)
    peer = {"AllowedIPs": "0.0.0.0/0, ::/0", "Endpoint": "203.0.113.9:51820"}
    paths = [host.write({"Address": f"10.5{number}.0.1/24"}, peer) for number in range(3)]
    found = []
    for program in ("wg-quick", "tunlite"):
        seen = []
        assert host.quick(program, "up", paths[0]) == 0
        assert host.quick(program, "up", paths[1]) == 0
        seen.append((host.sight(*paths[:2]), host.rules()))
        assert host.quick(program, "down", paths[gone]) == 0
        # wg-quick takes away the other tunnel's rule for more precise routes too.
        seen.append((host.sight(paths[1 - gone]), list(filter(_is_of_a_tunnel, host.rules()))))
        assert host.quick(program, "up", paths[2]) == 0
        left = [paths[1 - gone], paths[2]]
        seen.append((host.sight(*left), list(filter(_is_of_a_tunnel, host.rules()))))
        for path in left:
            assert host.quick(program, "down", path) == 0
        found.append(seen)
    assert found[1] == found[0]
    assert [mtu for mtu, _, _, _ in found[1][0][0]] == [1920, 1840]
