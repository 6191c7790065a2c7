# SPDX-License-Identifier: MIT
"""Cookies between tunlite and wireguard-go, whoever of them is under load.

router ==w1== middle (relay, attacker) ==w2== gateway
"""

import pytest

from lab.floods import FloodedTunnel
from lab.topology import Tunlite, WireguardGo, ping

# wireguard-go works on every core: only a burst that outruns all of them fills its queue
_RATE = {Tunlite: 6000, WireguardGo: 30_000}


@pytest.mark.parametrize("flooded", ["router", "gateway"])
@pytest.mark.parametrize(
    ("router", "gateway"),
    [(Tunlite, WireguardGo), (WireguardGo, Tunlite)],
    ids=["tunlite-initiates", "wireguard-go-initiates"],
)
def test_the_cookie_of_a_flooded_end_is_followed(lab, router, gateway, flooded):
    tunnel = FloodedTunnel(lab, router=router, gateway=gateway).start()
    tunnel.tap.sought = [flooded]
    rate = _RATE[router if flooded == "router" else gateway]
    (attack,) = tunnel.flood_ends(flooded, rate=rate)
    tunnel.wait_load(flooded)
    tunnel.wait_cookie(flooded)
    tunnel.wait_up(45)
    assert attack.is_running(), "the flood ended too early"
    attack.stop()
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=10).received == 10
