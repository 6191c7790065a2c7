# SPDX-License-Identifier: MIT
"""The bench's realistic host: a cable that takes its time, and two hosts with rules and filters.

router ==w1== relay ==w2== gateway
"""

from bench import places
from tests.net.topology import ping, tcp_transfer


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
