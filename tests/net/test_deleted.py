# SPDX-License-Identifier: MIT
"""The link goes, or goes down, while traffic runs.

router ==w1== gateway
"""

import time

import pytest

from lab.topology import BackgroundPing, BackgroundTransfer, Tunnel, ping, wait_for


@pytest.fixture
def tunnel(lab):
    made = Tunnel(lab).start()
    made.wait_up()
    return made


@pytest.mark.parametrize("side", ["router", "gateway"])
def test_a_link_deleted_under_traffic_ends_its_daemon_cleanly_and_at_once(tunnel, side):
    router, gateway, victim = tunnel.router, tunnel.gateway, getattr(tunnel, side)
    both_ways = [
        BackgroundTransfer(router.namespace, gateway.namespace, gateway.v4, size=1 << 30),
        BackgroundPing(gateway.namespace, router.v6, interval=0.002),
    ]
    wait_for(lambda: both_ways[0].received() > 8 << 20, 20, "the transfer is under way")
    victim.namespace.ip("link", "del", victim.name)
    assert victim.process.wait(5) == 0
    assert "was deleted" in victim.process.log()
    assert "Traceback" not in victim.process.log()
    survivor = gateway if victim is router else router
    assert survivor.show_json()["events_dropped"] == {"error": 0, "memory": 0}
    victim.start()
    tunnel.wait_up(30)


def test_a_link_that_goes_down_under_traffic_comes_up_again(tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    running = BackgroundPing(gateway.namespace, router.v4, interval=0.005)
    running.wait_replies(10)
    name = router.name
    for _ in range(3):
        router.namespace.ip("link", "set", name, "down")
        cpu = router.cpu_seconds()
        time.sleep(0.5)
        assert router.cpu_seconds() - cpu < 0.25, "it spins while the link is down"
        router.namespace.ip("link", "set", name, "up")
        router.namespace.ip("addr", "replace", router.v6 + "/64", "dev", name, "nodad")
        wait_for(
            lambda: ping(router.namespace, gateway.v4, count=1, wait=1).received,
            15,
            "an answer after the link came up",
        )
    running.wait_replies(10)
    assert router.process.is_running()
