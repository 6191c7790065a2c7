# SPDX-License-Identifier: MIT
"""Either side changes its address and the tunnel follows.

router ==w1== gateway
"""

from lab.topology import BackgroundPing, Tunnel, ping, wait_for


def _endpoint_of(end, other):
    return end.peer_json(other)["endpoint"] or ""


def _move(namespace, old, new):
    """Another address in place of the old one; that it was the primary takes others with it."""
    namespace.ip("addr", "del", old + "/24", "dev", "w1")
    namespace.ip("addr", "add", new + "/24", "dev", "w1")


def test_the_gateway_follows_a_router_that_changes_its_address(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    left = tunnel.router.namespace
    _move(left, "10.99.1.1", "10.99.1.77")
    wait_for(
        lambda: ping(left, tunnel.gateway.v4, count=1).received, 10, "an answer after the move"
    )
    assert _endpoint_of(tunnel.gateway, tunnel.router).startswith("10.99.1.77:")


def test_the_router_follows_a_gateway_that_changes_its_address_while_it_speaks(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    right = tunnel.gateway.namespace
    _move(right, "10.99.1.2", "10.99.1.88")
    wait_for(
        lambda: ping(right, tunnel.router.v4, count=1).received, 10, "an answer after the move"
    )
    assert _endpoint_of(tunnel.router, tunnel.gateway).startswith("10.99.1.88:")
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=5).received == 5


def test_a_router_that_moves_between_families_stays_reachable(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    wire = tunnel.wire[1]
    tunnel.router.wg(
        "set",
        tunnel.router.name,
        "peer",
        tunnel.gateway.keys.public,
        "endpoint",
        f"[{wire.v6}]:51820",
    )
    assert all(not answer.lost for answer in tunnel.ping(count=5))
    assert _endpoint_of(tunnel.gateway, tunnel.router).startswith("[fd99:1::1]:")


def test_a_nat_that_forgets_its_ports_loses_no_tunnel(lab):
    from lab.topology import RelayedTunnel

    tunnel = RelayedTunnel(lab).start()
    tunnel.wait_up()
    before = _endpoint_of(tunnel.gateway, tunnel.router)
    running = BackgroundPing(tunnel.router.namespace, tunnel.gateway.v4)
    running.wait_replies(10)
    tunnel.relay.rebind()
    running.wait_replies(20)
    assert not running.stop().lost
    assert _endpoint_of(tunnel.gateway, tunnel.router) != before
