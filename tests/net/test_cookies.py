# SPDX-License-Identifier: MIT
"""Cookies in both directions, and a daemon under load that stays as small as it was.

router ==w1== middle (relay, attacker) ==w2== gateway
"""

import pytest

from tests.net.floods import FloodedTunnel
from tests.net.topology import ping, wait_for


@pytest.mark.parametrize("flooded", [["gateway"], ["router"], ["router", "gateway"]], ids="-".join)
def test_a_handshake_completes_by_cookies_while_a_flood_is_on(lab, flooded):
    tunnel = FloodedTunnel(lab).start()
    attacks = tunnel.flood_ends(*flooded)
    for label in flooded:
        tunnel.wait_load(label)
    tunnel.connect()
    for label in flooded:
        tunnel.wait_cookie(label)
    assert all(attack.is_running() for attack in attacks), "a flood ended too early"
    for attack in attacks:
        attack.stop()
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=10).received == 10


def test_a_daemon_under_load_keeps_its_memory_bounded(lab):
    tunnel = FloodedTunnel(lab).start()
    tunnel.wait_up()
    memory = tunnel.gateway.memory_kb("VmHWM")
    (attack,) = tunnel.flood_ends("gateway", rate=12_000)
    wait_for(
        lambda: tunnel.gateway.drops().get("cookie_sent", 0) > 50_000, 60, "50,000 cookies sent"
    )
    attack.stop()
    assert tunnel.gateway.memory_kb("VmHWM") - memory < 2048
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=10).received == 10
