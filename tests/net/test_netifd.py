# SPDX-License-Identifier: MIT
"""`proto tunlite` under the stand-in for netifd, with real daemons: an interface's whole life.

router (netifd, uci) ==w1== gateway
"""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from lab.netns import wait_for
from lab.openwrt.netifd import Netifd
from lab.openwrt.router import Router
from lab.peers import Keys, Tunlite, interface_name, tunlite_program
from lab.proc import row
from lab.topology import BackgroundPing, ping
from tunlite.config import options
from tunlite.config.options import KIND, SECTION, UCI, WHEN

pytestmark = pytest.mark.once

_RUN = "/var/run/tunlite/netifd"
_PAGE = (Path(__file__).resolve().parents[2] / "docs/openwrt.md").read_text()
# What netifd itself compares beside the options that take a new daemon.
_MORE_DECLARED = ["tunnel_device", "tunlink", "nohostroute", "heap"]


class Home:
    """A router with one interface of netifd's, and gateways behind its wire."""

    def __init__(self, lab):
        self.lab = lab
        self.namespace = lab.namespace("router")
        self.far = lab.namespace("gateway")
        self.wire = lab.wire(self.namespace, self.far)
        self.router = Router(lab.folder / "root", tunlite_program(lab.folder), self.namespace)
        self.netifd = Netifd(self.router)
        self.name = self.device = interface_name()
        self.keys = Keys()
        self.interface = {
            "proto": "tunlite",
            "private_key": self.keys.private,
            "addresses": ["10.77.0.1/24", "fd77::1/64"],
            "state_dir": str(lab.folder / "state"),
        }
        self.peers = {}
        self.more = []
        lab.on_close(self._forget)

    def _forget(self):
        for path in (f"wireguard/{self.device}.sock", f"tunlite/{self.device}.json"):
            Path("/run", path).unlink(missing_ok=True)

    def gateway(self, number, **peer):
        """A daemon at 10.77.0.NUMBER that is a peer, of section gwNUMBER."""
        there = Tunlite(self.far, number, port=51820 + number)
        there.peers[self.keys.public] = {
            "PublicKey": self.keys.public,
            "AllowedIPs": "10.77.0.1/32, fd77::1/128",
        }
        there.start()
        self.peers[f"gw{number}"] = {
            "public_key": there.keys.public,
            "allowed_ips": [there.v4 + "/32", there.v6 + "/128"],
            "endpoint_host": self.wire[1].v4,
            "endpoint_port": str(there.port),
            **peer,
        }
        return there

    def write(self):
        """/etc/config/network of now."""
        peers = [(f"tunlite_{self.name}", name, peer) for name, peer in self.peers.items()]
        self.router.write([("interface", self.name, self.interface), *peers, *self.more])

    def start(self):
        self.write()
        self.netifd.start()
        return self

    def up(self, count=1):
        self.netifd.wait(f"up {self.name}", count)

    def reload(self):
        """What reload_config and LuCI's Save & Apply come to."""
        self.write()
        self.netifd.network("reload")
        self.router.sh(f". {self.router.root}/etc/init.d/tunlite\nrenew")

    def settled(self, renews):
        """Waits until so many renews have ended."""
        self.netifd.wait(f"renew {self.name}", renews)
        wait_for(lambda: not self.netifd.get(self.name, "script"), 20, "renew's end")

    def log(self, *words):
        """How often each of these happened to the interface."""
        return [self.netifd.happened(f"{word} {self.name}") for word in words]

    def tunlite(self, *words, check=True):
        return self.router.run([self.router.root / "usr/sbin/tunlite", *words], check)

    def shown(self):
        return json.loads(self.tunlite("show", self.device, "--json").stdout)

    def peer_keys(self):
        return {peer["public_key"] for peer in self.shown()["peers"]}

    def addresses(self):
        rows = json.loads(self.namespace.ip("-j", "addr", "show", "dev", self.device))
        return {row_["local"] for row_ in rows[0]["addr_info"]}

    def routes(self, family=4):
        rows = json.loads(self.namespace.ip(f"-{family}", "-j", "route", "show"))
        ours = [row_ for row_ in rows if row_.get("protocol") != "kernel"]
        return {row_["dst"]: row_["dev"] for row_ in ours}

    def pid(self):
        return int(self.netifd.get(self.name, "task"))

    def daemon(self):
        """The pid of the process that has the packets."""
        children = f"/proc/{self.pid()}/task/{self.pid()}/children"
        with open(children, encoding="ascii") as file:
            return int(file.read().split()[-1])

    def errors(self):
        return [(row_["code"], row_["data"][0]) for row_ in self.netifd.status(self.name)["errors"]]


@pytest.fixture
def home(lab):
    return Home(lab)


def reaches(home, there):
    """Both families; the first handshake may be under way."""
    wait_for(
        lambda: all(ping(home.namespace, a, 1, wait=1).received for a in (there.v4, there.v6)),
        15,
        "an answer through the tunnel",
    )


def test_what_is_declared_takes_a_new_daemon_and_nothing_else_does(home):
    home.start()
    path = home.netifd.folder / "proto/tunlite"
    declared = [line.split()[0] for line in path.read_text().splitlines()]
    rows = [row_ for row_ in options.rows() if row_[SECTION] == "Interface"]
    assert sorted(declared) == sorted(
        [row_[UCI] for row_ in rows if row_[WHEN] == "start"] + _MORE_DECLARED
    )
    assert not [row_ for row_ in rows if row_[KIND] == "secret" and row_[UCI] in declared]


def test_commands_that_take_a_runner_are_those_of_the_table(home):
    text = (home.router.root / "lib/netifd/proto/tunlite.sh").read_text()
    listed = text.split("options='^\\(")[1].split("\\) = '")[0].split("\\|")
    assert sorted(listed) == sorted(options.RUN_BY_ROOT)


def test_an_interface_comes_up_with_addresses_and_routes_and_leaves_nothing_at_ifdown(home):
    there = home.gateway(2, route_allowed_ips="1")
    home.interface.update(mtu="1400", ip6prefix="fd99::/48", heap="8M")
    home.start().up()
    reaches(home, there)
    assert home.addresses() == {"10.77.0.1", "fd77::1"}
    assert home.namespace.link(home.device)["mtu"] == 1400
    assert home.routes()["10.77.0.2"] == home.device and "fd77::2" in home.routes(6)
    assert home.netifd.get(home.name, "prefixes") == "fd99::/48"
    words = home.namespace.run(["cat", f"/proc/{home.pid()}/cmdline"]).stdout.split("\0")
    assert home.keys.private not in home.netifd.get(home.name, "json")
    assert words[words.index("--heap") + 1] == "8M" or "python" in words[0]
    for path, mode in ((_RUN, 0o700), (f"{_RUN}/{home.name}.conf", 0o600)):
        assert os.stat(path).st_mode & 0o777 == mode
    home.netifd.call(home.name, "down")
    home.netifd.wait(f"down {home.name}")
    assert home.device not in home.namespace.ip("link")
    assert not [name for name in os.listdir(_RUN) if name.startswith(home.name + ".")]
    assert not os.path.exists(f"/run/tunlite/{home.device}.json")
    home.netifd.call(home.name, "up")
    home.up(2)
    reaches(home, there)
    assert "ERROR" not in "".join(home.netifd.log())


def test_a_peer_that_is_edited_costs_the_others_no_ping_and_no_transition(home):
    there = home.gateway(2, route_allowed_ips="1")
    third = home.gateway(3)
    home.start().up()
    reaches(home, there)
    stranger = Keys().public
    home.tunlite("add", home.device, stranger, "AllowedIPs=10.9.9.9/32")
    home.namespace.run(["wg", "set", home.device, "peer", Keys().public])
    added = home.peer_keys()
    running = BackgroundPing(home.namespace, there.v4)
    home.interface["mtu"] = "1300"
    home.peers["gw3"]["allowed_ips"] = ["10.77.0.3/32", "10.8.0.0/24"]
    home.peers["gw3"]["route_allowed_ips"] = "1"
    home.reload()
    home.settled(1)
    assert home.routes()["10.8.0.0/24"] == home.device
    assert home.namespace.link(home.device)["mtu"] == 1300
    home.peers["gw4"] = {"public_key": Keys().public}
    home.interface["addresses"] = ["10.77.0.1/24", "fd77::1/64", "10.88.0.1/24"]
    del home.peers["gw3"]
    home.reload()
    home.settled(2)
    assert home.peer_keys() == added - {third.keys.public} | {home.peers["gw4"]["public_key"]}
    assert "10.88.0.1" in home.addresses() and "10.8.0.0/24" not in home.routes()
    home.interface["addresses"] = ["10.77.0.1/24", "fd77::1/64"]
    del home.interface["mtu"]
    home.reload()
    home.settled(3)
    running.wait_replies(3)
    assert running.stop().lost == 0
    home.interface["listen_port"] = "50123"  # what is under way to the old one is lost
    home.reload()
    home.settled(4)
    assert home.addresses() == {"10.77.0.1", "fd77::1"} and home.shown()["listen_port"] == 50123
    assert home.namespace.link(home.device)["mtu"] == 1420
    assert home.log("setup", "up", "lost", "down", "teardown") == [1, 1, 0, 0, 0]


def test_an_equal_configuration_changes_nothing_and_keeps_what_others_added(home):
    home.gateway(2)
    home.start().up()
    home.namespace.run(["wg", "set", home.device, "peer", Keys().public])
    before = home.peer_keys()
    loads = json.loads(Path(f"/run/tunlite/{home.device}.json").read_text())["loads"]
    home.reload()
    home.settled(1)
    now = json.loads(Path(f"/run/tunlite/{home.device}.json").read_text())["loads"]
    assert home.peer_keys() == before and now == loads
    assert home.log("update", "teardown") == [0, 0]


def test_an_option_that_takes_a_new_daemon_makes_one_teardown(home):
    there = home.gateway(2)
    home.start().up()
    home.interface["batch"] = "8"
    home.reload()
    home.up(2)
    reaches(home, there)
    assert home.log("setup", "teardown", "changed") == [2, 1, 1]


def test_the_first_command_makes_a_new_daemon_and_the_next_none(home):
    told = home.lab.folder / "told"
    there = home.gateway(2)
    home.start().up()
    home.interface["on_establish"] = [f'echo "$INTERFACE" >>{told}']
    home.reload()
    home.up(2)
    reaches(home, there)
    wait_for(told.exists, 10, "the command")
    home.interface["on_establish"] = ["true", "true"]
    home.reload()
    home.settled(2)
    assert home.log("setup", "teardown") == [2, 1]


def test_an_error_is_told_in_checks_words_and_nothing_starts_until_it_is_mended(home):
    there = home.gateway(2)
    home.peers["gw2"]["allowed_ips"] = ["10.77.0.2/33"]
    home.interface["post_up"] = "true"
    home.start()
    home.netifd.wait(f"down {home.name}")
    ((code, words),) = home.errors()
    assert code == "INVALID_CONFIG"
    assert f"{home.name}.post_up: " in words
    assert 'gw2.allowed_ips: "10.77.0.2/33" is no address; write it as' in words
    assert home.device not in home.namespace.ip("link")
    home.reload()
    time.sleep(0.5)
    assert home.log("setup", "down") == [1, 1]
    home.peers["gw2"]["allowed_ips"] = [there.v4, there.v6]
    del home.interface["post_up"]
    home.reload()
    home.up()
    reaches(home, there)
    assert home.errors() == []


def test_an_error_at_a_renew_is_told_once_and_what_runs_goes_on(home):
    there = home.gateway(2)
    home.start().up()
    reaches(home, there)
    home.peers["gw2"]["persistent_keepalive"] = "often"
    home.reload()
    home.settled(1)
    home.reload()
    home.settled(2)
    ((code, words),) = home.errors()
    assert code == "INVALID_CONFIG" and words.startswith("gw2.persistent_keepalive: ")
    assert ping(home.namespace, there.v4, 2).lost == 0
    home.peers["gw2"]["persistent_keepalive"] = "25"
    home.reload()
    home.settled(3)
    assert home.log("setup", "teardown") == [1, 0]
    assert home.shown()["peers"][0]["persistent_keepalive"] == 25


def test_what_will_never_work_is_not_tried_again(home):
    home.interface["user"] = "nobody-of-that-name"
    home.start()
    home.netifd.wait(f"down {home.name}")
    assert [code for code, _ in home.errors()] == ["NEVER"]
    assert home.netifd.happened(f"teardown {home.name} ERROR=78") == 1
    time.sleep(0.5)
    assert home.log("setup") == [1]
    del home.interface["user"]
    home.reload()
    home.up()


@pytest.mark.slow
def test_what_may_work_later_is_tried_again_at_most_each_four_seconds(home):
    other = home.far.start([*Tunlite(home.far, 9).command, "-f", home.name], "other")
    other.wait_line("ready")  # a daemon of that name in another namespace: sockets are shared
    home.start()
    began = time.monotonic()
    home.netifd.wait(f"teardown {home.name} ERROR=1", 3, timeout=30)
    assert time.monotonic() - began > 7
    assert [code for code, _ in home.errors()] == ["AGAIN"]
    other.stop()
    home.up()


@pytest.mark.parametrize("which", ["daemon", pytest.param("pid", marks=pytest.mark.slow)])
def test_a_daemon_that_was_killed_is_replaced(home, which):
    there = home.gateway(2)
    home.start().up()
    reaches(home, there)
    os.kill(getattr(home, which)(), signal.SIGKILL)
    home.up(2)
    reaches(home, there)
    assert home.log("setup", "lost") == [2, 1]


@pytest.mark.slow
def test_a_daemon_does_not_outlive_netifd_and_the_next_netifd_begins_anew(home):
    there = home.gateway(2)
    home.start().up()
    reaches(home, there)
    pid = home.pid()
    home.netifd.kill()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}/exe"), 10, "the daemon's end")
    assert home.device not in home.namespace.ip("link")
    home.netifd = Netifd(home.router)
    for path in (home.netifd.folder / "if" / home.name).iterdir():
        path.unlink()
    (home.netifd.folder / "if" / home.name).rmdir()
    home.netifd.start()
    home.up(2)
    reaches(home, there)


def test_what_a_netifd_left_is_taken_down_and_what_is_somebody_elses_is_not(home):
    there = home.gateway(2)
    home.start().up()
    home.netifd.call(home.name, "down")
    home.netifd.wait(f"down {home.name}")
    os.makedirs(_RUN, exist_ok=True)
    conf = f"{_RUN}/{home.name}.conf"
    with open(conf, "w", opener=lambda p, f: os.open(p, f, 0o600), encoding="utf-8") as file:
        file.write(f"[Interface]\nPrivateKey = {Keys().private}\n")
    words = ["run", "--bare", "--config", conf, "--interface", home.device]
    orphan = home.namespace.start([home.router.root / "usr/sbin/tunlite", *words], "orphan")
    orphan.wait_line("ready")
    home.netifd.call(home.name, "up")
    home.up(2)
    assert orphan.wait() == 0
    reaches(home, there)
    home.netifd.call(home.name, "down")
    home.netifd.wait(f"down {home.name}", 2)
    home.namespace.ip("link", "add", home.device, "type", "veth", "peer", "name", "other-end")
    home.netifd.call(home.name, "up")
    home.netifd.wait(f"teardown {home.name} ERROR=1")
    assert home.device in home.namespace.ip("link")


def test_a_key_is_generated_once_and_stands_in_no_argument(home):
    spy = home.router.root / "sbin/uci"
    spied = home.lab.folder / "spied"
    text = spy.read_text().split("\n", 1)
    spy.write_text(f'{text[0]}\necho "$*" >>{spied}\n{text[1]}')
    home.interface["private_key"] = "generate"
    home.start().up()
    key = home.router.sh(f"uci get network.{home.name}.private_key").stdout.strip()
    assert len(key) == 44 and key not in spied.read_text() and key not in home.netifd.said()
    config = home.router.root / "etc/config/network"
    assert key in config.read_text() and config.stat().st_mode & 0o777 == 0o600
    home.netifd.call(home.name, "down")
    home.netifd.wait(f"down {home.name}")
    home.netifd.call(home.name, "up")
    home.up(2)
    assert home.router.sh(f"uci get network.{home.name}.private_key").stdout.strip() == key


def test_the_pages_example_is_an_interface(home):
    there = home.gateway(2)
    text = _PAGE[_PAGE.index("    config interface 'mesh0'") : _PAGE.index("\nThen:\n")]
    for was, now in (
        ("mesh0", home.name),
        ("'generate'", f"'{home.keys.private}'\noption state_dir '{home.interface['state_dir']}'"),
        ("10.77.0.2/24", "10.77.0.1/24"),
        ("fd77::2/64", "fd77::1/64"),
        ("<key of the gateway>", there.keys.public),
        ("gateway.example.org", home.wire[1].v4),
        ("51820", str(there.port)),
    ):
        assert was in text
        text = text.replace(was, now)
    home.write()
    (home.router.root / "etc/config/network").write_text(text)
    home.netifd.start()
    home.up()
    reaches(home, there)


@pytest.mark.slow
def test_two_hundred_peers_come_up_and_one_of_them_is_edited(home):
    there = home.gateway(2)
    for number in range(199):
        home.peers[f"p{number}"] = {
            "public_key": Keys().public,
            "allowed_ips": [f"10.100.{number}.0/24", f"fd78:{number}::/48"],
            "route_allowed_ips": "1",
            "description": f"router {number}",
        }
    home.start()
    home.netifd.wait(f"up {home.name}", timeout=60)
    reaches(home, there)
    assert len(home.peer_keys()) == 200 and len(home.routes()) >= 199
    home.peers["p7"]["allowed_ips"] = ["10.101.0.0/24"]
    home.reload()
    home.settled(1)
    assert "10.101.0.0/24" in home.routes() and "10.100.7.0/24" not in home.routes()
    assert home.log("setup", "teardown") == [1, 0]


def test_the_daemon_has_the_group_that_is_asked_for_and_a_device_of_any_name(home):
    there = home.gateway(2)
    home.device = f"t-{home.name}"[:15]
    home.interface.update(tunnel_device=home.device, unix_group="nogroup")
    home.start().up()
    reaches(home, there)
    assert row(f"/proc/{home.daemon()}/status", "Gid") == "65534"


def test_who_tells_ubus_of_events_is_begun_where_it_is_installed(home):
    told = home.lab.folder / "told"
    text = f'#!/bin/sh\necho "$2" >>{told}\nexec "$@"\n'
    home.router.install("usr/lib/tunlite/event", text)
    home.start().up()
    assert told.read_text().split()[0] in ("run", "--heap")


def test_an_address_that_somebody_else_set_stays_at_a_renew(home):
    there = home.gateway(2)
    home.start().up()
    home.namespace.ip("addr", "add", "fe80::1234/64", "dev", home.device)  # Gluon's does
    home.peers["gw2"]["persistent_keepalive"] = "5"
    home.reload()
    home.settled(1)
    assert home.addresses() == {"10.77.0.1", "fd77::1", "fe80::1234"}
    reaches(home, there)


# ---- endpoints inside the tunnel -----------------------------------------------------------------


def default_route(home):
    home.namespace.ip("route", "add", "default", "via", home.wire[1].v4, "metric", "100")


@pytest.mark.slow
def test_hosts_routes_are_made_only_where_the_tunnel_would_swallow_an_endpoint(home):
    default_route(home)
    there = home.gateway(2, route_allowed_ips="1")
    home.peers["gw2"]["allowed_ips"] = ["0.0.0.0/0", "::/0"]
    home.peers["v6"] = {"public_key": Keys().public, "endpoint_host": "2001:db8::9"}
    home.peers["name"] = {"public_key": Keys().public, "endpoint_host": "unknown.invalid"}
    home.start().up()
    wait_for(lambda: ping(home.namespace, there.v4, 1, wait=1).received, 15, "an answer")
    assert home.netifd.get(home.name, "hosts") == home.wire[1].v4
    assert home.routes()[home.wire[1].v4] == home.wire[0].name
    assert os.path.exists(f"{_RUN}/{home.name}.waits")


@pytest.mark.parametrize("why", ["nohostroute", "not routed", "elsewhere"])
def test_no_host_route_is_made_where_none_is_needed(home, why):
    default_route(home)
    home.gateway(2, allowed_ips=["10.77.0.0/24"], route_allowed_ips="1")
    if why == "nohostroute":
        home.interface["nohostroute"] = "1"
    if why != "elsewhere":
        home.peers["gw2"]["allowed_ips"] = ["10.0.0.0/8"]
    if why == "not routed":
        home.peers["gw2"]["route_allowed_ips"] = "0"
    home.start().up()
    assert home.netifd.get(home.name, "hosts") == ""


def test_an_endpoint_without_a_way_gets_one_when_an_interface_comes_up(home):
    there = home.gateway(2, route_allowed_ips="1", allowed_ips=["0.0.0.0/1", "128.0.0.0/1"])
    home.start().up()
    assert home.netifd.get(home.name, "hosts") == ""
    default_route(home)
    script = home.router.root / "etc/hotplug.d/iface/60-tunlite"
    home.router.sh(f"ACTION=ifup INTERFACE=wan . {script}")
    home.up(2)
    assert home.netifd.get(home.name, "hosts") == home.wire[1].v4
    wait_for(lambda: ping(home.namespace, there.v4, 1, wait=1).received, 15, "an answer")


def test_with_tunlink_a_new_peer_inside_the_tunnel_gets_its_route_without_a_teardown(home):
    default_route(home)
    home.gateway(2, route_allowed_ips="1", allowed_ips="0.0.0.0/1,128.0.0.0/1")
    home.interface["tunlink"] = "wan"
    home.start().up()
    home.peers["gw3"] = {"public_key": Keys().public, "endpoint_host": "198.51.100.7"}
    home.reload()
    home.settled(1)
    hosts = [f"{host} wan" for host in (home.wire[1].v4, "198.51.100.7")]
    assert home.netifd.get(home.name, "hosts").splitlines() == hosts
    assert home.routes()["198.51.100.7"] == home.wire[0].name
    assert home.log("setup", "teardown") == [1, 0]


def test_addresses_are_compared_as_numbers_and_names_are_looked_up(home):
    head = (
        f"INCLUDE_ONLY=1 . {home.router.root}/lib/netifd/proto/tunlite.sh\n"
        'judge() { printf "%s\\n" "$@" | awk "$_tunlite_inside"; }\n'
    )
    cases = [
        ("10.0.0.0/8", "10.255.0.1", "10.255.0.1"),
        ("10.0.0.0/9", "10.128.0.1", None),
        ("0.0.0.0/0", "192.0.2.1", "192.0.2.1"),
        ("::/0", "192.0.2.1", None),
        ("2001:DB8::/33", "2001:db8:7fff::1", "2001:db8:7fff::1"),
        ("2001:db8::/33", "2001:db8:8000::1", None),
        ("fd00::1", "fd00:0:0:0:0:0:0:1", "fd00:0:0:0:0:0:0:1"),
        ("10.0.0.0/8", "0a0102ff", "10.1.2.255"),
        ("::/0", "20010db8000000000000000000000001", "2001:0db8:0000:0000:0000:0000:0000:0001"),
    ]
    text = "".join(f"judge 'network {net}' 'host x {host}'; echo ';'\n" for net, host, _ in cases)
    said = home.router.sh(head + text).stdout.split(";")[:-1]
    wanted = [f"x {answer}" if answer else "" for _, _, answer in cases]
    assert [line.strip() for line in said] == wanted
    done = home.router.sh(head + "_tunlite_resolved localhost")
    assert "host localhost 7f000001" in done.stdout.splitlines()
