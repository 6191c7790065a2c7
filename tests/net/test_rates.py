# SPDX-License-Identifier: MIT
"""A peer's rates hold, each way, for TCP in super-packets and for UDP that comes twice as fast.

router ==w1== gateway; either limits the way from router to gateway
"""

import pytest

from lab.topology import Tunnel
from lab.traffic import Iperf3

pytestmark = pytest.mark.once

_MBIT = 10
_PAYLOAD = 1200  # of a datagram
_SEGMENT = 1368  # of TCP, with timestamps, at an MTU of 1420


@pytest.fixture(params=["RateIn", "RateOut"])
def limited(lab, request):
    """The tunnel, and who limits it: its peer's own rate, or the one of its peer's group."""
    tunnel = Tunnel(lab)
    if request.param == "RateIn":
        me, other = tunnel.gateway, tunnel.router
        me.groups.append({"Name": "routers", "RateIn": f"{_MBIT}M", "RateOut": "1K"})
        me.peers[other.keys.public].update(Group="routers", RateOut="off")
    else:
        me, other = tunnel.router, tunnel.gateway
        me.peers[other.keys.public].update(RateOut=f"{_MBIT}M")
    tunnel.start().wait_up()
    assert me.peer_json(other)[{"RateIn": "rate_in", "RateOut": "rate_out"}[request.param]] == 10**7
    return tunnel, me


def _iperf3(tunnel, *arguments):
    server = Iperf3(tunnel.gateway.namespace, tunnel.gateway.v4)
    return server.run(tunnel.router.namespace, *arguments, seconds=3)["end"]


def test_tcp_goes_as_fast_as_it_may_and_does_not_stall(limited):
    tunnel, me = limited
    got = _iperf3(tunnel, "-O", 1)["sum_received"]  # the bucket was full at the start
    rate = got["bits_per_second"] / 1e6 * (_SEGMENT + 52) / _SEGMENT
    assert 0.97 * _MBIT <= rate <= 1.03 * _MBIT
    assert set(me.drops()) <= {"rate_in", "rate_out"}


def test_udp_that_comes_twice_as_fast_is_halved(limited):
    tunnel, me = limited
    got = _iperf3(tunnel, "-u", "-b", f"{2 * _MBIT}M", "-l", _PAYLOAD)["sum"]
    arrived = (got["packets"] - got["lost_packets"]) * 8 * (_PAYLOAD + 28) / 1e6
    bucket = _MBIT / 10
    assert 0.97 * _MBIT <= (arrived - bucket) / got["seconds"] <= 1.03 * _MBIT
    assert sum(me.drops().values()) > 1000
