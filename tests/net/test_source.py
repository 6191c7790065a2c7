# SPDX-License-Identifier: MIT
"""Addresses: who may send as whom inside, and from where answers come outside.

router ==w1== gateway
"""

import pytest

from lab.topology import Tunnel, endpoint, ping


def test_a_source_outside_allowed_ips_is_dropped_and_counted(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    left = tunnel.router.namespace
    left.ip("addr", "add", "10.77.44.44/32", "dev", tunnel.router.name)
    answer = ping(left, tunnel.gateway.v4, count=3, source="10.77.44.44", wait=1)
    assert answer.received == 0
    assert tunnel.gateway.drops()["source_not_allowed"] == 3
    assert ping(left, tunnel.gateway.v4, count=3).received == 3


@pytest.mark.parametrize("second", ["10.99.1.200", "fd99:1::200"])
def test_answers_leave_from_the_address_the_peer_used(lab, second):
    tunnel = Tunnel(lab)
    bits = "/64" if ":" in second else "/24"
    flags = ["nodad"] if ":" in second else []
    tunnel.gateway.namespace.ip("addr", "add", second + bits, "dev", "w1", *flags)
    tunnel.router.peers[tunnel.gateway.keys.public]["Endpoint"] = endpoint(second)
    family = "ip6" if ":" in second else "ip"
    tunnel.router.namespace.nft(
        "table inet t { chain i { type filter hook input priority 0; "
        f"udp sport 51820 {family} saddr != {second} counter drop; }}; }}"
    )
    tunnel.start()
    tunnel.wait_up()
    assert all(not answer.lost for answer in tunnel.ping(count=5))
    # and the other way round: what the gateway begins itself goes there too
    assert ping(tunnel.gateway.namespace, tunnel.router.v4, count=5).received == 5
    assert "counter packets 0" in tunnel.router.namespace.run(["nft", "list", "ruleset"]).stdout


def test_a_source_address_that_goes_away_is_forgotten(lab):
    tunnel = Tunnel(lab)
    right = tunnel.gateway.namespace
    right.ip("addr", "add", "10.99.1.200/24", "dev", "w1")
    tunnel.router.peers[tunnel.gateway.keys.public]["Endpoint"] = endpoint("10.99.1.200")
    tunnel.start()
    tunnel.wait_up()
    right.ip("addr", "del", "10.99.1.200/24", "dev", "w1")
    assert ping(right, tunnel.router.v4, count=3, interval=0.3).received >= 2
    assert tunnel.router.peer_json(tunnel.gateway)["endpoint"].startswith("10.99.1.2:")
