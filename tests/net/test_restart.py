# SPDX-License-Identifier: MIT
"""A daemon that was killed, on either side, and starts again.

router ==w1== gateway
"""

import pytest

from lab.topology import Tunnel, wait_for


@pytest.mark.parametrize("side", ["router", "gateway"])
def test_the_tunnel_is_back_after_kill_9_and_a_new_start_of(lab, side):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    victim = getattr(tunnel, side)
    victim.kill9()
    wait_for(
        lambda: victim.name not in victim.namespace.ip("-br", "link"), 5, "its link is gone too"
    )
    victim.start()
    tunnel.wait_up(30)
    assert all(not answer.lost for answer in tunnel.ping(count=5))


def test_a_router_restarted_ten_times_connects_each_time(lab):
    tunnel = Tunnel(lab).start()
    for _ in range(10):
        tunnel.wait_up(30)
        tunnel.router.kill9()
        tunnel.router.start()
    tunnel.wait_up(30)
