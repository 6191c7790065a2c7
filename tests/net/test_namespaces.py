# SPDX-License-Identifier: MIT
"""The link is moved into another network namespace, its sockets stay (www.wireguard.com/netns).

inside (the link)    router ==w1== gateway
"""

from pathlib import Path

import pytest

from lab.peers import tunlite_command
from lab.topology import Tunlite, Tunnel, ping, tcp_transfer, wait_for


class Moved:
    """A daemon started in `router`, whose link can be in `router` or in `inside`."""

    def __init__(self, lab):
        self.tunnel = Tunnel(lab, gateway=Tunlite)
        self.router, self.gateway = self.tunnel.router, self.tunnel.gateway
        self.home, self.inside = self.router.namespace, lab.namespace("inside")
        self.name = self.router.name
        self.gateway.start()
        argv = [*tunlite_command(), "-f", self.name]
        self.router.process = self.home.start(argv, self.name)
        self.router.process.wait_line("ready")
        self.router.wg_set_conf()

    def move(self, to):
        """Into the other namespace, and up there with its addresses."""
        here = self.home if to is self.inside else self.inside
        here.ip("link", "set", self.name, "netns", to.name)
        self.set_up(to)

    def set_up(self, namespace):
        namespace.ip("addr", "add", self.router.v4 + "/16", "dev", self.name)
        namespace.ip("addr", "add", self.router.v6 + "/64", "dev", self.name, "nodad")
        namespace.ip("link", "set", self.name, "up", "mtu", "1420")

    def wait_answer(self, namespace):
        wait_for(
            lambda: ping(namespace, self.gateway.v4, count=1, wait=1).received,
            15,
            "an answer through the tunnel",
        )

    def udp_sockets(self):
        return len(self.home.run(["ss", "-lnuH"]).stdout.splitlines())


@pytest.fixture
def moved(lab):
    return Moved(lab)


def test_a_link_carries_packets_in_another_namespace_and_back_home(moved):
    for namespace in (moved.inside, moved.home, moved.inside):
        moved.move(namespace)
        moved.wait_answer(namespace)
        for address in (moved.gateway.v4, moved.gateway.v6):
            assert ping(namespace, address, count=10).received == 10
        there = tcp_transfer(namespace, moved.gateway.namespace, moved.gateway.v4, size=4 << 20)
        assert there.is_intact
    assert moved.inside.run(["ss", "-lnuH"]).stdout == "", "a socket is where the link is"
    assert "error" not in moved.router.process.log()


def test_a_link_that_was_up_may_be_moved_under_traffic(moved):
    moved.set_up(moved.home)
    moved.wait_answer(moved.home)
    moved.move(moved.inside)
    moved.wait_answer(moved.inside)


def test_changes_of_the_link_in_another_namespace_are_followed(moved):
    moved.move(moved.inside)
    moved.wait_answer(moved.inside)
    moved.inside.ip("link", "set", moved.name, "mtu", "1333")
    wait_for(lambda: moved.router.show_json()["mtu"] == 1333, 5, "the daemon sees the new MTU")
    moved.inside.ip("link", "set", moved.name, "down")
    wait_for(lambda: not moved.udp_sockets(), 5, "the sockets are closed")
    moved.inside.ip("link", "set", moved.name, "name", "other", "up")
    wait_for(lambda: moved.udp_sockets() == 2, 5, "the sockets are open")
    moved.inside.ip("addr", "add", moved.router.v6 + "/64", "dev", "other", "nodad")
    moved.wait_answer(moved.inside)


def test_another_link_of_the_same_name_at_home_is_not_ours(moved):
    moved.move(moved.inside)
    moved.wait_answer(moved.inside)
    moved.home.ip("link", "add", moved.name, "mtu", "1300", "type", "veth", "peer", "far")
    moved.home.ip("link", "set", moved.name, "up")
    moved.home.ip("link", "del", moved.name)
    moved.wait_answer(moved.inside)
    assert moved.router.show_json()["mtu"] == 1420


def _assert_ends(moved):
    assert moved.router.process.wait(10) == 0
    assert "was deleted" in moved.router.process.log()
    assert not moved.udp_sockets()


@pytest.mark.parametrize("up", [True, False])
def test_a_link_that_is_deleted_in_another_namespace_ends_the_daemon(moved, up):
    moved.home.ip("link", "set", moved.name, "netns", moved.inside.name)
    if up:
        moved.set_up(moved.inside)
        wait_for(lambda: moved.udp_sockets() == 2, 5, "the sockets are open")
    moved.inside.ip("link", "del", moved.name)
    _assert_ends(moved)


def test_a_namespace_that_goes_with_the_link_ends_the_daemon(moved):
    short = moved.home.start(["unshare", "--net", "sleep", "60"], "short")
    place = f"/proc/{short.pid}/ns/net"
    words = Path(f"/proc/{short.pid}/cmdline")
    wait_for(lambda: words.read_bytes().startswith(b"sleep"), 5, "its namespace is there")
    moved.home.ip("link", "set", moved.name, "netns", short.pid)
    moved.home.run(["nsenter", f"--net={place}", "ip", "link", "set", moved.name, "up"])
    wait_for(lambda: moved.udp_sockets() == 2, 5, "the sockets are open")
    short.popen.kill()
    _assert_ends(moved)


def test_what_up_made_is_reloaded_and_taken_down_after_a_move(lab):
    tunnel = Tunnel(lab)
    tunnel.gateway.start()
    router, inside = tunnel.router, lab.namespace("inside")
    router.interface["Table"] = None
    router.write_config()
    path = router.config.rename(router.folder / f"{router.name}.conf")
    router.cli("up", path)
    router.namespace.ip("link", "set", router.name, "netns", inside.name)
    inside.ip("addr", "add", router.v4 + "/16", "dev", router.name)
    inside.ip("link", "set", router.name, "up")
    peer = router.peers[tunnel.gateway.keys.public]
    peer["PersistentKeepalive"] = 21
    router.write_config()
    router.config.replace(path)
    router.cli("reload", router.name)
    assert router.wg_dump()[tunnel.gateway.keys.public]["keepalive"] == "21"
    wait_for(
        lambda: ping(inside, tunnel.gateway.v4, count=1, wait=1).received,
        15,
        "an answer through the tunnel",
    )
    router.cli("down", router.name)
    assert inside.run(["ip", "link", "show", "dev", router.name], check=False).returncode
