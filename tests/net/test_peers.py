# SPDX-License-Identifier: MIT
"""Peers that come and go while a tunnel runs: tunlite add, remove, block, unblock.

router ==w1== gateway
"""

import pytest

from lab.peers import Keys
from lab.topology import Tunlite, Tunnel, ping, preshared_key, wait_for

pytestmark = pytest.mark.once


@pytest.fixture
def tunnel(lab):
    return Tunnel(lab, Tunlite, Tunlite).start()


def _rows(end):
    return {row["public_key"]: row for row in end.show_json()["peers"]}


def test_a_peer_that_was_added_is_reached_until_it_is_removed(lab):
    tunnel = Tunnel(lab, Tunlite, Tunlite)
    router, gateway = tunnel.router, tunnel.gateway
    psk = preshared_key()
    router.peers[gateway.keys.public]["PresharedKey"] = psk
    gateway.peers.clear()
    tunnel.start()
    assert not ping(router.namespace, gateway.v4, count=1, wait=0.3).received
    words = [gateway.name, router.keys.public, f"AllowedIPs={router.v4}", "Description=a laptop"]
    gateway.cli("add", "--preshared-key", "-", *words, input=psk + "\n")
    tunnel.wait_up()
    row = gateway.peer_json(router)
    assert (row["origin"], row["description"], row["preshared"]) == ("added", "a laptop", True)
    assert router.keys.public in gateway.wg("show", gateway.name)
    gateway.cli("remove", gateway.name, router.keys.public)
    assert not ping(router.namespace, gateway.v4, count=1, wait=0.3).received
    failed = gateway.cli("remove", gateway.name, router.keys.public, check=False)
    assert failed.returncode == 1 and "it has no such peer" in failed.stderr


def test_a_reload_leaves_added_peers_takes_those_of_wg_and_neither_is_saved_or_lost(tunnel):
    gateway, router = tunnel.gateway, tunnel.router
    added, wgs = Keys().public, Keys().public
    gateway.cli("add", gateway.name, added, "AllowedIPs=10.9.0.1")
    gateway.wg("set", gateway.name, "peer", wgs, "allowed-ips", "10.9.0.2/32")
    gateway.interface["SaveConfig"] = "true"
    gateway.reload()
    wait_for(lambda: wgs not in _rows(gateway), 10, "the peer of wg is gone")
    assert set(_rows(gateway)) == {router.keys.public, added}
    tunnel.wait_up()
    refused = gateway.cli("add", gateway.name, router.keys.public, check=False)
    assert refused.returncode == 1 and "change it there" in refused.stderr
    assert gateway.stop() == 0
    assert added not in gateway.config.read_text()
    assert router.keys.public in gateway.config.read_text()


def test_a_blocked_key_is_out_at_once_and_after_a_restart_until_it_is_unblocked(tunnel):
    gateway, router = tunnel.gateway, tunnel.router
    tunnel.wait_up()
    gateway.cli("block", gateway.name, router.keys.public)
    assert not ping(router.namespace, gateway.v4, count=2, wait=0.3).received
    assert gateway.stop() == 0
    gateway.start()
    assert gateway.peer_json(router)["blocked"]
    assert not ping(router.namespace, gateway.v4, count=2, wait=0.3).received
    gateway.cli("unblock", gateway.name, router.keys.public)
    tunnel.wait_up(20)
    failed = gateway.cli("unblock", gateway.name, router.keys.public, check=False)
    assert failed.returncode == 1 and "this key is not blocked" in failed.stderr


def test_a_peer_with_a_lifetime_is_reached_and_goes_when_it_is_over(lab):
    tunnel = Tunnel(lab, Tunlite, Tunlite)
    router, gateway = tunnel.router, tunnel.gateway
    gateway.peers[router.keys.public]["Lifetime"] = 8
    tunnel.start()
    added = Keys().public
    gateway.cli("add", gateway.name, added, "AllowedIPs=10.9.0.1", "Lifetime=8")
    tunnel.wait_up()
    assert set(_rows(gateway)) == {router.keys.public, added}
    wait_for(lambda: _rows(gateway) == {}, 20, "the end of both")
    assert not ping(router.namespace, gateway.v4, count=2, wait=0.3).received
