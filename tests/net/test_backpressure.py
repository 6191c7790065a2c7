# SPDX-License-Identifier: MIT
"""Queues that are full: what fits waits, what must go is counted, nothing hangs or grows.

router ==w1== gateway, the router's end of the wire narrow (tbf)
"""

import json
import socket
import time

import pytest

from lab.topology import Tunnel, ping, tcp_transfer, wait_for

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33


def _shrink_send_buffers(end):
    """The smallest SO_SNDBUF that the kernel allows, on the daemon's own sockets."""
    sockets = end.udp_sockets()
    assert sockets, "the daemon has no UDP socket"
    for sock in sockets:
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 10_000


def _narrow(namespace, rate):
    """The wire takes `rate`; its queue is longer than any send buffer, so that it loses nothing."""
    words = ["tbf", "rate", rate, "burst", "10k", "limit", "4m"]
    namespace.run(["tc", "qdisc", "replace", "dev", "w1", "root", *words])


def _wire_drops(namespace):
    listed = namespace.run(["tc", "-s", "-j", "qdisc", "show", "dev", "w1"]).stdout
    return sum(row["drops"] for row in json.loads(listed))


def _lost_at_the_device(end):
    return end.namespace.link(end.name)["stats64"]["tx"]["dropped"]


def _refused(*ends):
    """Drops but for packets to nobody: the kernel's own, to multicast groups."""
    rows = [end.drops() for end in ends]
    return sum(n for drops in rows for reason, n in drops.items() if reason != "no_route")


def _count(end, counter):
    return end.show_json()["counters"].get(counter, 0)


@pytest.fixture
def tunnel(lab):
    made = Tunnel(lab).start()
    made.wait_up()
    return made


def test_a_tcp_transfer_through_a_tiny_send_buffer_stays_whole(tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    _shrink_send_buffers(router)
    _narrow(router.namespace, "60mbit")
    memory = router.memory_kb("VmHWM")
    for address in (gateway.v4, gateway.v6):
        moved = tcp_transfer(router.namespace, gateway.namespace, address, size=8 << 20)
        assert moved.is_intact and moved.bytes == 8 << 20
    assert _count(router, "socket_blocked") > 0, "the socket was never full"
    assert router.memory_kb("VmHWM") - memory < 4096


def test_a_tcp_transfer_through_a_tiny_device_queue_stays_whole(tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    for end in (router, gateway):
        end.namespace.ip("link", "set", end.name, "txqueuelen", 2)
    for source, target in ((router, gateway), (gateway, router)):
        moved = tcp_transfer(source.namespace, target.namespace, target.v4, size=8 << 20)
        assert moved.is_intact and moved.bytes == 8 << 20
    assert _lost_at_the_device(router), "the device's queue was never full"


def _receiver(end):
    sock = end.namespace.udp_socket(end.v4, 4000)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
    sock.setblocking(False)
    return sock


def _arrived(sock):
    """How many datagrams have come; ends when none came for a second."""
    count, last = 0, time.monotonic()
    while time.monotonic() - last < 1:
        try:
            sock.recv(2000)
        except BlockingIOError:
            time.sleep(0.01)
            continue
        count, last = count + 1, time.monotonic()
    return count


def test_every_packet_of_a_flood_into_a_full_socket_arrives_or_is_counted(tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    _shrink_send_buffers(router)
    _narrow(router.namespace, "30mbit")
    memory, lost_before = router.memory_kb("VmHWM"), _lost_at_the_device(router)
    with _receiver(gateway) as there, router.namespace.udp_socket(router.v4) as here:
        here.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 64 << 20)
        for _ in range(10_000):
            here.sendto(bytes(1000), (gateway.v4, 4000))
        arrived = _arrived(there)
    at_the_device = _lost_at_the_device(router) - lost_before
    assert _wire_drops(router.namespace) == 0
    refused = _refused(router, gateway)
    assert arrived + at_the_device + refused == 10_000
    assert at_the_device + refused > 1000, "nothing was ever full"
    assert _count(router, "socket_blocked") > 0, "the socket was never full"
    assert router.memory_kb("VmHWM") - memory < 4096


def test_a_wire_that_stands_still_hangs_nothing_and_costs_no_cpu(tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    _shrink_send_buffers(router)
    _narrow(router.namespace, "8kbit")
    memory = router.memory_kb("VmHWM")
    with router.namespace.udp_socket(router.v4) as here:
        for _ in range(20_000):
            here.sendto(bytes(1000), (gateway.v4, 4000))
        cpu = router.cpu_seconds()
        begun = time.monotonic()
        while time.monotonic() - begun < 3:
            here.sendto(bytes(1000), (gateway.v4, 4000))
            time.sleep(0.005)
        assert router.cpu_seconds() - cpu < 0.5
    begun = time.monotonic()
    assert _count(router, "socket_blocked")
    assert time.monotonic() - begun < 2
    assert router.memory_kb("VmHWM") - memory < 4096
    router.namespace.run(["tc", "qdisc", "del", "dev", "w1", "root"])
    wait_for(
        lambda: ping(router.namespace, gateway.v4, count=1, wait=1).received,
        5,
        "packets pass as soon as the wire does",
    )
