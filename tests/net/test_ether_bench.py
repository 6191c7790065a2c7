# SPDX-License-Identifier: MIT
"""The bench of Ethernet on this machine: its contenders carry, its broadcast reaches each peer."""

import pytest

from bench import ether
from bench.places import PLACES
from lab.topology import ping

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", ["tunlite", "fastd null", "tinc"])
def test_what_is_compared_has_a_tap_that_carries_frames(lab, name):
    (row,) = [row for row in ether.choose("wireguard-go") if row.name == name]
    link = row.start(PLACES["plain"].lay(lab))
    link.wait_up()
    (device,) = link.target.run(["ip", "-br", "link", "show", "type", "tun"]).stdout.splitlines()
    answers = ping(link.source, link.address, count=2, size=1300)
    assert answers.received == 2
    assert device.split()[2] in link.source.ip("neigh", "show", link.address)


def test_every_peer_hears_what_the_bench_sends_to_all():
    found = ether.broadcast(3, 1, a_second=50)
    assert found["sent"] == 50 and found["heard"] >= 49
    assert 0 <= found["core"] < 1


def test_a_ratio_is_of_one_round_and_of_those_that_have_both():
    flow = {"tcp 1 flow": {"mbit_s": 300}}
    half = {"tcp 1 flow": {"mbit_s": 200}}
    rounds = [{ether.OURS: flow, "tinc": half}, {ether.OURS: flow, "tinc": {}}]
    assert ether.ratios(rounds, "tinc") == [1.5]
