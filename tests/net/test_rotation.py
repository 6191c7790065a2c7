# SPDX-License-Identifier: MIT
"""Session keys change under traffic.

router ==w1== gateway, RekeyAfter = 5 on both.
"""

from lab.peers import Tunlite
from lab.topology import BackgroundPing, BackgroundTransfer, Tunnel, wait_for


def _rotating(namespace, number):
    return Tunlite(namespace, number, RekeyAfter=5)


def _handshakes(end, other):
    return end.peer_json(other)["handshakes"]["completed"]


def test_keys_rotate_under_traffic_without_a_lost_packet(lab):
    tunnel = Tunnel(lab, router=_rotating, gateway=_rotating).start()
    tunnel.wait_up()
    router, gateway = tunnel.router, tunnel.gateway
    pings = [
        BackgroundPing(router.namespace, gateway.v4, interval=0.005),
        BackgroundPing(gateway.namespace, router.v6, interval=0.005),
    ]
    start = _handshakes(router, gateway)
    wait_for(lambda: _handshakes(router, gateway) >= start + 3, 40, "three new sessions")
    for answer in (running.stop() for running in pings):
        assert answer.sent > 1000 and answer.lost == 0, answer
    assert "replayed" not in router.drops() and "replayed" not in gateway.drops()
    assert "not_authentic" not in router.drops() and "not_authentic" not in gateway.drops()


def test_a_transfer_across_rotations_is_whole(lab):
    tunnel = Tunnel(lab, router=_rotating, gateway=_rotating).start()
    tunnel.wait_up()
    router, gateway = tunnel.router, tunnel.gateway
    start = _handshakes(router, gateway)
    moving = BackgroundTransfer(
        router.namespace, gateway.namespace, gateway.v4, size=48 << 20, rate=4 << 20
    )
    moved = moving.finish(timeout=60)
    assert moved.is_intact
    assert _handshakes(router, gateway) >= start + 2
