# SPDX-License-Identifier: MIT
"""A peer's rates hold, each way, for TCP in super-packets and for UDP that comes twice as fast.

router ==w1== gateway; either limits the way from router to gateway

That no more comes is the bucket's doing and holds on any machine. That no less does holds while
packets are offered: where a busy machine leaves sender or daemon standing for longer than the
bucket's tenth of a second, what might have gone meanwhile is lost. So moments in which nearly
nothing came are no part of the pace, and of all together only so much is asked that TCP which
stalls by our doing is seen: without the short queue of packets that wait it came to 47 to 58 %.
"""

import time
from pathlib import Path

import pytest

from lab.background import repeated
from lab.topology import Tunnel
from lab.traffic import Iperf3

pytestmark = pytest.mark.once

_MBIT = 10
_BUCKET = _MBIT / 10
_UDP = 1200, 28  # payload of a datagram, and its headers inside
_TCP = 1368, 52  # of a segment, with timestamps, at an MTU of 1420
_CHATTER = 0.05  # Mbit, of iperf3's two ends before and after
_MOMENT_S = 0.05


@pytest.fixture(params=["RateIn", "RateOut"])
def limited(lab, request):
    """The tunnel, who limits it, and what drops are called: its peer's own rate, or the one of its
    peer's group."""
    tunnel = Tunnel(lab)
    if request.param == "RateIn":
        me, other, name = tunnel.gateway, tunnel.router, "rate_in"
        me.groups.append({"Name": "routers", "RateIn": f"{_MBIT}M", "RateOut": "1K"})
        me.peers[other.keys.public].update(Group="routers", RateOut="off")
    else:
        me, other, name = tunnel.router, tunnel.gateway, "rate_out"
        me.peers[other.keys.public].update(RateOut=f"{_MBIT}M")
    tunnel.start().wait_up()
    assert me.peer_json(other)[name] == 10**7
    return tunnel, me, name


class _Arrivals:
    """Mbit inside that came out of a tunnel, by its device's counters: [(when, how many)]. A
    super-packet is one of them, with one header; `segment` is what it was made of."""

    def __init__(self, end, segment):
        self._name, self._segment = end.name + ":", segment
        self._rows = []

    def look(self):
        """Inside the end's namespace."""
        payload, headers = self._segment
        looked = time.monotonic()
        lines = Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines()
        words = next(line.split() for line in lines if line.split()[0] == self._name)
        inside = (int(words[1]) - int(words[2]) * headers) * (payload + headers) / payload
        if time.monotonic() - looked < 0.005:  # else it is not known when that was
            self._rows.append((looked, inside * 8 / 1e6))

    def rows(self):
        """From the last look before they came to the first after, so never too short a time."""
        least, most = self._rows[0][1] + _CHATTER, self._rows[-1][1] - _CHATTER
        before = [row for row in self._rows if row[1] <= least]
        after = [row for row in self._rows if row[1] >= most]
        return [before[-1], *(row for row in self._rows if least < row[1] < most), after[0]]


def _speed(moment):
    (begun, had), (ended, has) = moment
    return (has - had) / (ended - begun)


def _pace(rows):
    """Mbit/s of those moments together, after the full bucket's, in which somebody sent."""
    marks = [rows[0]]
    for row in rows:
        if row[0] - marks[-1][0] >= _MOMENT_S:
            marks.append(row)
    moments = zip(marks[4:-1], marks[5:], strict=True)
    busy = [moment for moment in moments if _speed(moment) >= _MBIT / 2]
    seconds = sum(ended[0] - begun[0] for begun, ended in busy)
    return sum(ended[1] - begun[1] for begun, ended in busy) / seconds


def _check_rate(tunnel, segment, *arguments):
    gateway = tunnel.gateway
    arrivals = _Arrivals(gateway, segment)
    with repeated(arrivals.look, 0.01, inside=gateway.namespace):
        server = Iperf3(gateway.namespace, gateway.v4)
        server.run(tunnel.router.namespace, *arguments, seconds=3)
    rows = arrivals.rows()
    (begun, had), last = rows[0], rows[-1]
    rate, pace = _speed(((begun, had + _BUCKET), last)), _pace(rows)
    print(f"{rate:.2f} Mbit/s in all, a pace of {pace:.2f}")
    assert 0.65 * _MBIT <= rate <= 1.03 * _MBIT
    assert pace >= 0.97 * _MBIT


def test_tcp_goes_as_fast_as_it_may_and_does_not_stall(limited):
    tunnel, me, name = limited
    _check_rate(tunnel, _TCP)
    assert set(me.drops()) == {name}


def test_udp_that_comes_twice_as_fast_is_halved(limited):
    tunnel, me, name = limited
    _check_rate(tunnel, _UDP, "-u", "-b", f"{2 * _MBIT}M", "-l", _UDP[0])
    drops = me.drops()
    assert set(drops) == {name} and drops[name] > 1000
