# SPDX-License-Identifier: MIT
"""A group leaves a gateway that is alive, and nothing is lost: its HealthCommand fails, or another
one is nearer. What takes longer than half a minute is in tests/unit, on the fakes' clock: `order`
going back, the draw of `random`.

router ==w9== way ==w1== gateway1, ==w2== gateway2: lab/star.py
"""

import pytest

from lab import members
from lab.pinger import Pinger
from lab.relay import Faults, Relay
from lab.star import COMMON4, Star, inside
from lab.topology import endpoint

pytestmark = pytest.mark.once


@pytest.mark.long
def test_a_gateway_whose_health_command_fails_three_times_is_left_and_no_ping_is_lost(lab):
    star = Star(lab)
    told = star.router.folder / "told"
    command = f"echo $HEALTH_ADDRESS >> {told}; ping -c 1 -W 2 $HEALTH_ADDRESS"
    router = members.join(star, Choose="order", HealthCommand=command)
    for spot in star.spots:
        router.peers[spot.daemon.keys.public]["HealthAddress"] = inside(spot.number)
    first, second = star.spots
    first.drop_inside(f"ip daddr {inside(first.number)}")  # it answers all else
    members.run(star, router)
    members.wait_answer(star)
    pinger = Pinger(star.router, COMMON4)
    members.wait_used(star, router, second, 60)
    group = members.group_of(router)
    assert (group["why"], group["trouble"]) == ("health", "")
    assert [router.peer_json(spot.daemon)["losses"] for spot in star.spots] == [1, 0]
    pinger.wait_answers(20)
    assert pinger.stop() == []
    assert told.read_text().split() == [inside(first.number)] * 3


def test_nearest_moves_to_the_gateway_that_answers_sooner_and_no_ping_is_lost(lab):
    star = Star(lab)
    router = members.join(star, Choose="nearest")
    first, second = star.spots
    target, address = (first.far.v4, first.daemon.port), first.near.v4
    relay = Relay(star.way, target, address=address, faults=Faults(delay=0.25))
    lab.on_close(relay.close)
    router.peers[first.daemon.keys.public]["Endpoint"] = endpoint(address, relay.port)
    members.run(star, router)
    members.wait_answer(star)
    assert relay.counts["out"], "the first in the row is used at first"
    pinger = Pinger(star.router, COMMON4)
    members.wait_used(star, router, second)
    assert members.group_of(router)["why"] == "nearest"
    rows = [router.peer_json(spot.daemon) for spot in star.spots]
    assert rows[1]["round_trip_ms"] < 350 and rows[0]["round_trip_ms"] >= 500
    assert [row["losses"] for row in rows] == [0, 0]
    pinger.wait_answers(20)
    assert pinger.stop() == []
