# SPDX-License-Identifier: MIT
"""What tests and figures of fail-over stand on: each fault is what its name says, and is undone.

router ==w9== way ==w1== gateway1, ==w2== gateway2: lab/star.py; the router knows the first alone
"""

import time

import pytest

from lab.peers import Tunlite
from lab.pinger import Pinger, UdpEcho, UdpEchoServer
from lab.star import BEHIND, COMMON4, COMMON6, ROUTER, Star, inside
from lab.topology import endpoint, ping, wait_for

pytestmark = pytest.mark.once


def _start(star):
    first, router = star.spots[0], Tunlite(star.router, ROUTER)
    first.daemon = Tunlite(first.namespace, first.number)
    first.daemon.add_peer(router)
    outside = endpoint(first.far.v4)
    router.add_peer(first.daemon, outside, AllowedIPs="0.0.0.0/0, ::/0", PersistentKeepalive=1)
    first.daemon.start()
    router.start()
    return router


def _answers(star, address, count=3):
    return ping(star.router, address, count=count, wait=0.3).received


@pytest.mark.parametrize(
    "fault, undo, is_outside",
    [
        (lambda spot: spot.cut(), lambda spot: spot.mend(), True),
        (lambda spot: spot.black_hole(), lambda spot: spot.clear(), True),
        (lambda spot: spot.black_hole(back=False), lambda spot: spot.clear(), True),
        (lambda spot: spot.black_hole(to=False), lambda spot: spot.clear(), True),
        (lambda spot: spot.lose_kind(4), lambda spot: spot.clear(), False),
        (lambda spot: spot.freeze(), lambda spot: spot.thaw(), False),
        (
            lambda spot: spot.drop_inside("meta l4proto { icmp, ipv6-icmp }"),
            lambda spot: spot.clear(),
            False,
        ),
    ],
    ids=["cut", "hole", "to", "back", "data", "frozen", "icmp"],
)
def test_a_fault_takes_its_gateway_alone_and_all_answer_when_it_is_undone(
    lab, fault, undo, is_outside
):
    star = Star(lab)
    _start(star)
    first, second = star.spots
    wait_for(lambda: _answers(star, COMMON6), 10, "an answer")
    fault(first)
    assert not _answers(star, COMMON4) and not _answers(star, COMMON6)
    assert bool(_answers(star, first.far.v4)) != is_outside
    assert _answers(star, second.far.v4) == _answers(star, second.far.v6) == 3
    undo(first)
    for address in (COMMON4, COMMON6, first.far.v4, first.far.v6):
        wait_for(lambda address=address: _answers(star, address), 15, f"{address} answers")


def test_a_pinger_tells_the_gap_and_the_way_back_and_names_what_was_lost(lab):
    star = Star(lab)
    _start(star)
    first = star.spots[0]
    wait_for(lambda: _answers(star, COMMON4), 10, "an answer")
    UdpEchoServer(lab, first.namespace, COMMON6)
    pingers = [
        Pinger(star.router, COMMON4, interval=0.02),
        Pinger(star.router, COMMON6, interval=0.02, kind=UdpEcho),
    ]
    for pinger in pingers:
        pinger.wait_answers(5)
    first.black_hole()
    fault = time.monotonic()
    time.sleep(0.5)
    first.clear()
    moment = time.monotonic()
    for pinger in pingers:
        assert 0.5 <= pinger.gap(fault) < 5
        assert pinger.back(moment) < 2
        assert len(pinger.stop()) >= 20


def test_an_uplink_that_is_back_is_used_again(lab):
    star = Star(lab)
    _start(star)
    wait_for(lambda: _answers(star, COMMON4), 10, "an answer")
    star.uplink_away()
    assert not _answers(star, star.spots[1].far.v4)
    star.uplink_back()
    for address in (COMMON4, star.spots[1].far.v4, star.spots[1].far.v6):
        wait_for(lambda address=address: _answers(star, address), 15, f"{address} answers")


def test_gateways_reach_each_other_inside_and_what_is_behind_answers_the_router(lab):
    star = Star(lab)
    star.connect_inside()
    router = _start(star)
    star.router.ip("route", "add", BEHIND + "/32", "dev", router.name)
    wait_for(lambda: _answers(star, BEHIND), 10, "an answer from behind")
    mine, theirs = (inside(spot.number) for spot in star.spots)
    for spot, address in zip(star.spots, (mine, theirs), strict=True):
        spot.namespace.ip("addr", "replace", address + "/32", "dev", "lo")
    assert ping(star.spots[1].namespace, mine, count=3, source=theirs).received == 3


def test_what_is_lost_on_the_way_is_about_the_share_that_was_asked_for(lab):
    star = Star(lab)
    star.lose(30)
    got = ping(star.router, star.spots[0].far.v4, count=200, interval=0.002, wait=0.3).received
    assert 50 < got < 150  # 98, by chance: 0.7 each way
    star.lose(0)
    assert _answers(star, star.spots[0].far.v4) == 3
