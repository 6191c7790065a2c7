# SPDX-License-Identifier: MIT
"""Paths that lose, double, swap and damage datagrams.

router ==w1== middle (relay) ==w2== gateway
"""

import pytest

from lab.topology import Faults, RelayedTunnel, ping, tcp_transfer

CASES = {
    "loss": (Faults(loss=0.02), "lost"),
    "duplication": (Faults(duplicate=0.2), "doubled"),
    "reordering": (Faults(reorder=0.2), "reordered"),
    "damage": (Faults(corrupt=0.02), "corrupted"),
    "everything": (Faults(loss=0.01, duplicate=0.05, reorder=0.05, corrupt=0.01), "lost"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_tcp_transfer_arrives_whole_over_a_path_with(lab, case):
    faults, count = CASES[case]
    tunnel = RelayedTunnel(lab).start()
    tunnel.wait_up()
    tunnel.relay.faults = faults
    moved = tcp_transfer(
        tunnel.router.namespace, tunnel.gateway.namespace, tunnel.gateway.v4, size=4 << 20
    )
    assert moved.is_intact and moved.bytes == 4 << 20
    assert tunnel.relay.counts[count], "the relay did no harm: the test shows nothing"


def test_doubled_datagrams_are_counted_as_replays_and_answered_once(lab):
    tunnel = RelayedTunnel(lab).start()
    tunnel.wait_up()
    tunnel.relay.faults = Faults(duplicate=1.0)
    answer = ping(tunnel.router.namespace, tunnel.gateway.v4, count=20, interval=0.01)
    assert answer.received == 20 and not answer.doubled
    assert tunnel.gateway.drops()["replayed"] >= 20
    assert tunnel.router.drops()["replayed"] >= 20


def test_damaged_datagrams_are_counted_as_not_authentic(lab):
    tunnel = RelayedTunnel(lab).start()
    tunnel.wait_up()

    def flip_last_bit(direction, datagram):
        if direction == "in" and datagram[0] == 4:
            return [datagram[:-1] + bytes([datagram[-1] ^ 1])]
        return [datagram]

    tunnel.relay.watch = flip_last_bit
    answer = ping(tunnel.router.namespace, tunnel.gateway.v4, count=5, interval=0.01)
    assert answer.received == 0
    assert tunnel.gateway.drops()["not_authentic"] >= 5


def test_a_handshake_gets_through_a_path_that_loses_a_third(lab):
    tunnel = RelayedTunnel(lab, faults=Faults(loss=0.33))
    tunnel.start()
    tunnel.wait_up(timeout=60)
