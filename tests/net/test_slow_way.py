# SPDX-License-Identifier: MIT
"""One slow way stops nobody else.

fast ==w1== router ==w2== slow, the router's end of w2 narrow behind a long queue
"""

import contextlib
import os
import socket
import time

import pytest

from lab.background import repeated
from lab.peers import Tunlite
from lab.topology import endpoint, ping, tcp_transfer, wait_for

_SO_SNDBUFFORCE = 32
_PINGS, _MAY_BE_LOST = 100, 10  # the fault lost 94 and more
# Of the device, in packets. Where a busy machine leaves the daemon standing they wait there: for
# 0.8 s; with the kernel's 500, three times 0.3 s lost 18 of the 100.
_QUEUE = 2000
_FLOOD = 2500  # packets of 1000 bytes a second


class _Star:
    """Three ends; `outside` is the family (4 or 6) of the way to the fast one."""

    def __init__(self, lab, outside=4, **options):
        hub, near, far = (lab.namespace(label) for label in ("router", "fast", "slow"))
        wires = lab.wire(hub, near, number=1)[1], lab.wire(hub, far, number=2)[1]
        self.router = Tunlite(hub, 1, **options)
        self.fast, self.slow = Tunlite(near, 2), Tunlite(far, 3)
        addresses = wires[0].v4 if outside == 4 else wires[0].v6, wires[1].v4
        for end, address in zip((self.fast, self.slow), addresses, strict=True):
            self.router.add_peer(end, endpoint(address))
            end.add_peer(self.router)
            end.start()
        self.router.start()
        hub.ip("link", "set", self.router.name, "txqueuelen", _QUEUE)
        for end in (self.fast, self.slow):
            wait_for(lambda: self.ping(end, 1).received, 15, "an answer")  # noqa: B023

    def ping(self, end, count=_PINGS):
        return ping(self.router.namespace, end.v4, count=count, interval=0.03)

    def narrow(self, queue):
        """2 Mbit/s towards the slow end; `queue`: words of the qdisc in which packets wait."""
        tc = ["tc", "qdisc", "add", "dev", "w2"]
        rate = ["tbf", "rate", "2mbit", "burst", "10k", "limit", "40m"]
        self.router.namespace.run([*tc, "root", "handle", "1:", *rate])
        if queue:
            self.router.namespace.run([*tc, "parent", "1:1", *queue])

    def count(self, counter):
        return self.router.show_json()["counters"].get(counter, 0)

    def shrink_send_buffers(self, size):
        for sock in self.router.udp_sockets():
            with sock:
                sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, size)

    @contextlib.contextmanager
    def flooded(self):
        """While it lasts, 20 Mbit/s go to the slow end."""
        done = time.monotonic()

        def flood():
            """By the clock: a busy machine wakes us late."""
            nonlocal done
            owed = int((time.monotonic() - done) * _FLOOD)
            done += owed / _FLOOD
            for _ in range(min(owed, _QUEUE // 4)):
                with contextlib.suppress(OSError):
                    sock.sendto(bytes(1000), (self.slow.v4, 4000))

        with (
            self.router.namespace.udp_socket(self.router.v4) as sock,
            repeated(flood, 0.002),
        ):
            yield


def _way_full(star):
    return star.router.drops().get("way_full", 0)


@pytest.mark.parametrize("outside", [4, 6])
def test_a_peer_behind_a_slow_way_with_a_queue_of_40_mb_costs_others_nothing(lab, outside):
    star = _Star(lab, outside)
    star.narrow(None)
    with star.flooded():
        wait_for(lambda: _way_full(star), 30, "the socket is full")
        assert star.ping(star.fast).lost <= _MAY_BE_LOST


def test_a_peer_that_takes_more_than_the_slow_one_keeps_taking_it(lab):
    star = _Star(lab)
    star.narrow(None)
    hub, fast = star.router.namespace, star.fast.namespace
    with star.flooded():
        wait_for(lambda: _way_full(star), 30, "the socket is full")
        moved = tcp_transfer(hub, fast, star.fast.v4, size=128 << 20, timeout=60)
    assert moved.is_intact


def test_a_router_s_send_buffer_is_longer_than_the_queue_of_a_slow_link(lab):
    star = _Star(lab, Memory="768K")
    star.narrow(["pfifo", "limit", "1000"])
    with star.flooded():
        time_to_fill = ping(star.router.namespace, star.slow.v4, count=20, interval=0.1, wait=0)
        assert star.ping(star.fast).lost <= _MAY_BE_LOST
    assert time_to_fill.lost, "the way was never full"


def test_on_a_small_machine_what_is_dropped_is_the_flooded_peer_s(lab):
    """Its send buffer is 1 MB, less than 1000 packets."""
    star = _Star(lab, Memory="768K")
    star.shrink_send_buffers(1 << 20)
    star.narrow(["pfifo", "limit", "1000"])
    with star.flooded():
        wait_for(lambda: _way_full(star), 30, "the socket is full")
        assert star.ping(star.fast).lost <= _MAY_BE_LOST
    wait_for(lambda: star.ping(star.slow, 1).received, 60, "an answer from the slow end")


def test_the_send_buffer_is_4_mb_and_more(lab):
    star = _Star(lab, Memory="768K")
    sizes = []
    for sock in star.router.udp_sockets():
        with sock:
            sizes.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    least = 4 << 20 if memory >= 128 << 20 else 1 << 20
    assert len(sizes) == 2 and min(sizes) >= 2 * least  # the kernel doubles it for its own
