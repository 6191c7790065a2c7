# SPDX-License-Identifier: MIT
"""A gateway with several endpoints, some of them dead.

router ==w1== gateway, IPv4 and IPv6
"""

import time

import pytest

from lab.name_server import NameServer
from lab.topology import Tunlite, Tunnel, WireguardGo, endpoint, ping, wait_for

pytestmark = pytest.mark.once

V4, V6 = "10.99.1.2", "fd99:1::2"


@pytest.fixture
def tunnel(lab):
    return Tunnel(lab)


def several(tunnel, *texts, **options):
    section = tunnel.router.peers[tunnel.gateway.keys.public]
    section.update(Endpoint=", ".join(texts), **options)


def in_use(tunnel):
    return tunnel.router.peer_json(tunnel.gateway)["endpoint"]


def black_hole(tunnel, family, to_gateway):
    """Datagrams of one family are lost one way."""
    where = tunnel.gateway if to_gateway else tunnel.router
    where.namespace.nft(
        "table inet hole { chain c { type filter hook prerouting priority -300; "
        f"iifname w1 meta nfproto ipv{family} meta l4proto udp drop; }}; }}"
    )


@pytest.mark.parametrize("far", [Tunlite, WireguardGo])
@pytest.mark.parametrize("to_gateway", [True, False], ids=["there", "back"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_family_that_is_black_holed_costs_the_first_ping_a_second_at_most(
    lab, family, to_gateway, far
):
    tunnel = Tunnel(lab, gateway=far)
    first, second = (V4, V6) if family == 4 else (V6, V4)
    several(tunnel, endpoint(first), endpoint(second))
    for address in (V4, V6):  # the neighbours know each other: that may take a second of its own
        wait_for(
            lambda a=address: ping(tunnel.router.namespace, a, count=1, wait=1).received,
            10,
            "an answer on the wire",
        )
    black_hole(tunnel, family, to_gateway)
    tunnel.start()
    answer = ping(tunnel.router.namespace, tunnel.gateway.v4, count=1, wait=5)
    assert answer.received == 1 and max(answer.times_ms.values()) <= 1000
    assert in_use(tunnel) == endpoint(second)
    assert all(not one.lost for one in tunnel.ping(count=3))


def test_a_name_means_all_its_addresses_of_both_families(lab, tunnel):
    server = NameServer(lab, tunnel.router.namespace, {"gw.test": ["10.99.1.99", V4, V6]})
    server.serve(tunnel.router)
    several(tunnel, "gw.test:51820", PersistentKeepalive=1)
    black_hole(tunnel, 4, True)
    tunnel.start()
    tunnel.wait_up(5)
    assert in_use(tunnel) == endpoint(V6)
    rows = tunnel.router.peer_json(tunnel.gateway)["endpoints"]
    assert {row["endpoint"] for row in rows} == {endpoint(a) for a in ("10.99.1.99", V4, V6)}


def test_a_name_whose_addresses_change_is_followed(lab, tunnel):
    dead = ["10.99.1.98", "10.99.1.99", "fd99:1::99"]
    server = NameServer(lab, tunnel.router.namespace, {"gw.test": dead})
    server.serve(tunnel.router)
    several(tunnel, "gw.test:51820", PersistentKeepalive=1)
    tunnel.start()
    wait_for(lambda: in_use(tunnel), 10, "the old addresses")
    server.names = {"gw.test": [*dead, V6]}
    tunnel.router.wait_handshake(tunnel.gateway, timeout=30)
    assert in_use(tunnel) == endpoint(V6)
    tunnel.wait_up(5)


def test_a_dead_resolver_harms_nobody_who_has_an_address(lab, tunnel):
    NameServer(lab, tunnel.router.namespace, silent=True).serve(tunnel.router)
    several(tunnel, "gw.test:51820", endpoint(V4))
    begun = time.monotonic()
    tunnel.start()
    tunnel.wait_up(5)
    assert time.monotonic() - begun < 5
    assert tunnel.router.peer_json(tunnel.gateway)["resolver"] == "resolving"


def test_an_endpoint_of_several_that_is_routed_into_the_tunnel_is_not_used(lab, tunnel):
    inside = "10.77.7.7:51820"
    several(tunnel, inside, endpoint(V4), AllowedIPs="10.77.0.0/16, fd77::/64")
    tunnel.start()

    def judged():
        rows = tunnel.router.peer_json(tunnel.gateway)["endpoints"]
        return [row["endpoint"] for row in rows if row["loops"]] == [inside]

    wait_for(judged, 5, "the look at the ways")
    tunnel.wait_up(5)
    assert in_use(tunnel) == endpoint(V4)
    assert f"the endpoint {inside} is routed into" in tunnel.router.process.log()


def test_wg_shows_the_endpoint_in_use_and_sets_one_in_place_of_all(lab, tunnel):
    several(tunnel, endpoint("10.99.1.99"), endpoint(V4), PersistentKeepalive=1)
    tunnel.start()
    tunnel.wait_up(5)
    assert tunnel.router.wg_dump()[tunnel.gateway.keys.public]["endpoint"] == endpoint(V4)
    key = tunnel.gateway.keys.public
    tunnel.router.wg("set", tunnel.router.name, "peer", key, "endpoint", endpoint(V6))
    assert tunnel.router.peer_json(tunnel.gateway)["endpoints"] == []
    wait_for(lambda: in_use(tunnel) == endpoint(V6), 10, "what wg set")
    tunnel.wait_up(5)
