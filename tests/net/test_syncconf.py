# SPDX-License-Identifier: MIT
"""Peers come, change and go by `wg syncconf` while others' traffic runs.

router ==w1== gateway
"""

import pytest

from lab.peers import Tunlite
from lab.topology import BackgroundPing, Keys, Tunnel, endpoint, ping, wait_for

pytestmark = pytest.mark.once


class _Stranger:
    """A peer that is only a key and an address."""

    def __init__(self, number):
        self.keys = Keys()
        self.v4, self.v6 = f"10.77.9.{number}", f"fd77::9:{number}"


def test_no_ping_is_lost_while_wg_syncconf_adds_changes_and_removes_other_peers(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    router, gateway = tunnel.router, tunnel.gateway
    running = BackgroundPing(router.namespace, gateway.v4, interval=0.005)
    running.wait_replies(20)
    for round_ in range(10):
        strangers = [_Stranger(number) for number in range(1, 21)]
        for stranger in strangers:
            gateway.add_peer(stranger)
        gateway.wg_set_conf("syncconf")
        assert len(gateway.wg_dump()) == 21
        for stranger in strangers[::2]:
            gateway.peers[stranger.keys.public]["PersistentKeepalive"] = 25 + round_
        gateway.wg_set_conf("syncconf")
        for stranger in strangers:
            del gateway.peers[stranger.keys.public]
        gateway.wg_set_conf("syncconf")
        assert len(gateway.wg_dump()) == 1
        running.wait_replies(5)
    running.wait_replies(50)
    answer = running.stop()
    assert answer.sent > 100 and answer.lost == 0


def test_an_added_peer_connects_at_once_and_a_removed_one_is_cut_off(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    left, gateway = tunnel.router.namespace, tunnel.gateway
    second = Tunlite(left, 3, port=51830)
    second.interface["Address"] = second.v4 + "/32"
    second.add_peer(gateway, endpoint(tunnel.outside), AllowedIPs=gateway.v4 + "/32")
    second.start()
    left.ip("route", "add", gateway.v4, "dev", second.name, "src", second.v4, "metric", 5000)
    words = {"count": 1, "wait": 1, "source": second.name}
    assert not ping(left, gateway.v4, **words).received
    gateway.add_peer(second)
    gateway.wg_set_conf("addconf")
    wait_for(lambda: ping(left, gateway.v4, **words).received, 20, "the new peer is served")
    gateway.wg("set", gateway.name, "peer", second.keys.public, "remove")
    assert not ping(left, gateway.v4, **words).received
    assert ping(left, gateway.v4, count=3, source=tunnel.router.name).received == 3
    assert gateway.drops()["unknown_index"]


def test_allowed_ips_move_to_the_peer_that_claimed_them_last(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    gateway, router = tunnel.gateway, tunnel.router
    thief = Keys().public
    gateway.wg("set", gateway.name, "peer", thief, "allowed-ips", router.v4 + "/32")
    assert not ping(router.namespace, gateway.v4, count=2, wait=1).received
    assert gateway.drops()["source_not_allowed"] >= 2
    both = f"{router.v4}/32,{router.v6}/128"
    gateway.wg("set", gateway.name, "peer", router.keys.public, "allowed-ips", both)
    assert ping(router.namespace, gateway.v4, count=3).received == 3


def test_a_packet_goes_to_the_peer_with_the_longest_prefix(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    gateway, router = tunnel.gateway, tunnel.router
    wide = Keys().public
    gateway.wg("set", gateway.name, "peer", wide, "allowed-ips", "10.77.0.0/16,fd77::/64")
    assert all(not answer.lost for answer in tunnel.ping(count=3))
    assert ping(gateway.namespace, router.v4, count=3).received == 3
    assert ping(gateway.namespace, "10.77.5.5", count=1, wait=1).received == 0
    assert gateway.drops()["no_endpoint"] >= 1
