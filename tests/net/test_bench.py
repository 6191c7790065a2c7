# SPDX-License-Identifier: MIT
"""What the bench stands on: its realistic host, and its count of what full sockets lost.

router ==w1== relay ==w2== gateway, a cable that takes its time between hosts with rules and filters
"""

import socket

import pytest

from bench import measures, places
from lab.topology import ping, tcp_transfer

pytestmark = pytest.mark.once


def test_the_relay_delays_every_frame_and_loses_none(lab):
    laid = places.Realistic().lay(lab)
    answers = ping(laid.left, laid.address, count=10)
    assert answers.received == 10
    assert min(answers.times_ms.values()) >= 2 * places.DELAY_MS
    moved = tcp_transfer(laid.left, laid.right, laid.address, size=32 << 20)
    assert moved.is_intact and moved.bytes == 32 << 20
    relayed = laid.relayed()
    assert relayed["lost"] == 0 and relayed["frames"] > 20


def test_both_hosts_have_their_rules_and_the_one_in_the_middle_no_address(lab):
    laid = places.Realistic().lay(lab)
    for host in (laid.left, laid.right):
        assert host.ip("rule").count("198.51.100.") == places.RULES
        listing = host.run(["nft", "list", "chain", "inet", "bench", "long"]).stdout
        assert sum(line.rstrip().endswith("drop") for line in listing.splitlines()) == 200
    assert ping(laid.right, "10.99.1.1", count=3).received == 3


def test_what_a_full_socket_lost_is_counted_and_what_a_daemons_lost_is_not(lab):
    host = lab.namespace("host")
    with host.udp_socket("127.0.0.1") as daemon, host.udp_socket("127.0.0.1") as sender:
        _fill(sender, daemon)
        full = measures.FullSockets(host)
        assert full.dropped() == 0
        with host.udp_socket("127.0.0.1") as receiver:
            _fill(sender, daemon)
            assert full.dropped() == 0
            lost = _fill(sender, receiver)
            assert full.dropped() == lost > 0


def _fill(sender, receiver):
    """Sends 1000 datagrams of 1000 bytes, then takes what arrived; how many did not."""
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
    for _ in range(1000):
        sender.sendto(bytes(1000), receiver.getsockname())
    receiver.setblocking(False)
    taken = 0
    try:
        while receiver.recv(2000):
            taken += 1
    except BlockingIOError:
        return 1000 - taken
