# SPDX-License-Identifier: MIT
"""Keys that do not fit: no tunnel, no answer, and a tunnel as soon as they are mended.

router ==w1== gateway
"""

import time

import pytest

from lab.topology import Keys, Tunnel, ping, preshared_key, wait_for

pytestmark = pytest.mark.once


def _stays_down(tunnel, seconds=3):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ping(tunnel.router.namespace, tunnel.gateway.v4, count=1, wait=1).received:
            return False
    return True


def test_a_preshared_key_mismatch_lets_nothing_through_until_it_is_mended(lab):
    tunnel = Tunnel(lab)
    router, gateway = tunnel.router, tunnel.gateway
    router.peers[gateway.keys.public]["PresharedKey"] = preshared_key()
    gateway.peers[router.keys.public]["PresharedKey"] = preshared_key()
    tunnel.start()
    assert _stays_down(tunnel)
    assert router.peer_json(gateway)["handshakes"]["completed"] == 0
    assert router.peer_json(gateway)["rx_bytes"] == 0
    router.peers[gateway.keys.public]["PresharedKey"] = gateway.peers[router.keys.public][
        "PresharedKey"
    ]
    router.wg_set_conf("syncconf")
    tunnel.wait_up(30)


def test_a_gateway_does_not_answer_a_key_it_does_not_know(lab):
    tunnel = Tunnel(lab)
    known = tunnel.gateway.peers.pop(tunnel.router.keys.public)
    stranger = Keys().public
    tunnel.gateway.peers[stranger] = known | {"PublicKey": stranger}
    tunnel.start()
    assert _stays_down(tunnel)
    sent = tunnel.router.peer_json(tunnel.gateway)
    assert sent["tx_bytes"] > 0 and sent["rx_bytes"] == 0
    tunnel.gateway.peers = {tunnel.router.keys.public: known}
    tunnel.gateway.wg_set_conf("syncconf")
    tunnel.wait_up(30)


def test_an_initiation_to_another_public_key_is_dropped_before_python_sees_it(lab):
    tunnel = Tunnel(lab)
    known = tunnel.router.peers.pop(tunnel.gateway.keys.public)
    wrong = Keys().public
    tunnel.router.peers[wrong] = known | {"PublicKey": wrong}
    tunnel.start()
    assert _stays_down(tunnel)
    wait_for(lambda: tunnel.gateway.drops().get("bad_mac1"), 10, "a drop for its mac1")
    assert "handshake" not in tunnel.gateway.show_json()["returns"]
