# SPDX-License-Identifier: MIT
"""How often packets and silence wake Python: only when there is something for it to do.

router ==w1== gateway
"""

import time

from lab.topology import Tunnel, wait_for


def _returns(end):
    return end.show_json()["returns"]["total"]


def test_ten_thousand_packets_paced_at_2_ms_return_to_python_at_most_30_times(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    router, gateway = tunnel.router, tunnel.gateway
    before = [_returns(end) for end in (router, gateway)]
    read = gateway.show_json()["counters"]["device_written"]
    sock = router.namespace.udp_socket(router.v4)
    with sock:
        begun = time.monotonic()
        for number in range(10_000):
            sock.sendto(b"x" * 100, (gateway.v4, 9))
            ahead = begun + number * 0.002 - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
    wait_for(
        lambda: gateway.show_json()["counters"]["device_written"] - read >= 9_990,
        10,
        "the packets arrive",
    )
    after = [_returns(end) for end in (router, gateway)]
    # each look by show_json is itself a few returns: the socket's listener, the client, its end
    assert after[0] - before[0] <= 30
    assert after[1] - before[1] <= 60


def _sent_bytes(tunnel):
    """Of both ends, keepalives included."""
    router, gateway = tunnel.router, tunnel.gateway
    return router.wg_dump()[gateway.keys.public], gateway.wg_dump()[router.keys.public]


def test_an_idle_tunnel_wakes_only_for_its_timers(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    returns = _returns(tunnel.router)
    time.sleep(12)  # the passive keepalive has passed: nothing is left to do
    sent = _sent_bytes(tunnel)
    waits = tunnel.router.waits()  # /proc tells them: a look at the daemon would be some by itself
    time.sleep(20)
    assert tunnel.router.waits() - waits <= 3  # the kernel may solicit a router; once each 5 s is 4
    assert _sent_bytes(tunnel) == sent, "two idle peers do not keep each other awake by keepalives"
    # show_json's own are some ten; a loop that does not even wait makes thousands
    assert _returns(tunnel.router) - returns < 100
