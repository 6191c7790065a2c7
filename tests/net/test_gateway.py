# SPDX-License-Identifier: MIT
"""What a gateway does with routers that come and go: the kernel's routes to them, and drain.

router ==w1== gateway           both by files; the gateway knows the router by `tunlite add` alone
"""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from lab.netns import wait_for
from lab.peers import Keys, ini, interface_name, tunlite_command
from lab.traffic import ping

pytestmark = pytest.mark.once

_PROTOCOL = "116"


class Host:
    def __init__(self, lab, tmp_path, label):
        self.namespace = lab.namespace(label)
        self.name = interface_name()
        self.file = tmp_path / f"{self.name}.conf"
        self.keys = Keys()
        lab.on_close(lambda: self.command("down", self.name, check=False))

    def command(self, *words, check=True):
        return self.namespace.run([*tunlite_command(), *words], check=check)

    def up(self, interface, *peers):
        sections = [("Interface", {"PrivateKey": self.keys.private, **interface})]
        self.file.write_text(ini(sections + [("Peer", peer) for peer in peers]))
        self.file.chmod(0o600)
        self.command("up", self.file)

    def routes(self, *words):
        """Destinations of routes with our protocol."""
        found = set()
        for family in ("-4", "-6"):
            text = self.namespace.ip(family, "-j", "route", "show", "proto", _PROTOCOL, *words)
            found |= {row["dst"] for row in json.loads(text or "[]")}
        return found

    def peer(self):
        """Of the one that it has."""
        text = self.command("show", "--json", self.name).stdout
        return json.loads(text)["peers"][0]

    def pid(self):
        return json.loads(Path(f"/run/tunlite/{self.name}.json").read_text())["pid"]


class Two:
    def __init__(self, lab, tmp_path):
        self.router = Host(lab, tmp_path, "router")
        self.gateway = Host(lab, tmp_path, "gateway")
        self.wire = lab.wire(self.router.namespace, self.gateway.namespace)

    def up(self, **interface):
        self.gateway.up({"Address": "10.5.0.1/24", "ListenPort": 51820, **interface})
        self.router.up(
            {"Address": "10.5.0.2/24"},
            {
                "PublicKey": self.gateway.keys.public,
                "AllowedIPs": "10.5.0.1/32",
                "Endpoint": f"{self.wire[1].v4}:51820",
            },
        )
        allowed = "AllowedIPs=10.5.0.2/32,10.6.0.0/16,fd06::/64"
        self.gateway.command("add", self.gateway.name, self.router.keys.public, allowed)

    def ping(self):
        return ping(self.router.namespace, "10.5.0.1", count=1, wait=1).received

    def come(self):
        wait_for(self.ping, 15, "the router's first ping")


@pytest.fixture
def two(lab, tmp_path):
    return Two(lab, tmp_path)


_ALL = {"10.5.0.2", "10.6.0.0/16", "fd06::/64"}


def test_routes_to_a_router_stand_while_it_is_there_and_go_with_it(two):
    two.up()
    assert two.gateway.routes() == set()
    two.come()
    assert two.gateway.routes("dev", two.gateway.name) == two.gateway.routes() == _ALL
    assert "routes of peers: 3" in two.gateway.command("show", two.gateway.name).stdout
    two.gateway.command("remove", two.gateway.name, two.router.keys.public)
    assert two.gateway.routes() == set()


def test_routes_are_in_the_table_of_the_file_and_move_with_it_at_a_reload(two):
    two.up(Table=77)
    two.come()
    assert two.gateway.routes("table", "77") == _ALL and two.gateway.routes() == set()
    text = two.gateway.file.read_text()
    two.gateway.file.write_text(text.replace("Table = 77", "Table = off"))
    two.gateway.command("reload", two.gateway.name)
    assert two.gateway.routes("table", "all") == set()
    two.gateway.file.write_text(text.replace("Table = 77", ""))
    two.gateway.command("reload", two.gateway.name)
    assert two.gateway.routes() == _ALL
    assert two.ping()


@pytest.mark.parametrize("how", ["down", "kill"])
def test_no_route_outlives_the_daemon(two, how):
    two.up()
    two.come()
    assert two.gateway.routes() == _ALL
    if how == "kill":
        os.kill(two.gateway.pid(), signal.SIGKILL)
        wait_for(lambda: not two.gateway.routes(), 10, "the end of the routes")
    two.gateway.command("down", two.gateway.name)
    assert two.gateway.routes() == set()


def test_a_route_of_another_link_is_left_alone(two):
    two.gateway.namespace.ip("route", "add", "10.6.0.0/16", "via", two.wire[0].v4)
    two.up()
    two.come()
    assert two.gateway.routes() == _ALL - {"10.6.0.0/16"}
    assert two.wire[0].v4 in two.gateway.namespace.ip("route", "show", "10.6.0.0/16")
    two.gateway.command("remove", two.gateway.name, two.router.keys.public)
    assert two.wire[0].v4 in two.gateway.namespace.ip("route", "show", "10.6.0.0/16")


def test_a_gateway_that_drains_keeps_its_sessions_and_takes_no_new_ones(two):
    two.up()
    two.come()
    two.gateway.command("drain", two.gateway.name)
    assert "draining: " in two.gateway.command("show", two.gateway.name).stdout
    assert two.ping()
    # The router begins anew: a new handshake is not answered, the old session was its own.
    two.router.command("down", two.router.name)
    two.router.command("up", two.router.file)
    assert not two.ping()
    words = [sys.executable, "-m", "tunlite", "metrics", two.gateway.name]
    text = two.gateway.namespace.run(words).stdout
    assert f'tunlite_draining{{interface="{two.gateway.name}"}} 1' in text
    assert 'reason="draining"' in text
    two.gateway.command("undrain", two.gateway.name)
    two.come()
    assert "draining" not in two.gateway.command("show", two.gateway.name).stdout
