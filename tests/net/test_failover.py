# SPDX-License-Identifier: MIT
"""One of three gateways dies, in several ways, and the router goes on at another one; a planned
move loses nothing.

router ==w9== way ==w1== gateway1, ==w2== gateway2, ==w3== gateway3: lab/star.py
"""

import time

import pytest

from lab import members
from lab.peers import Tunlite
from lab.pinger import Pinger
from lab.star import COMMON4, COMMON6, ROUTER, Star
from lab.topology import wait_for

# FailAfter, the second that a candidate may take beside the one before it, and a busy machine.
BOUND_S = 3 + 1 + 1.5

FAULTS = {
    "killed": lambda spot: spot.kill(),
    "frozen": lambda spot: spot.freeze(),
    "black-holed": lambda spot: spot.black_hole(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_dead_gateway_is_left_within_seconds(lab, fault):
    star = Star(lab, 3)
    router = members.start(star)
    pinger = Pinger(star.router, COMMON6)
    pinger.wait_answers(5)
    dead = members.used(star, router)
    moment = time.monotonic()
    FAULTS[fault](dead)
    assert pinger.gap(moment) < BOUND_S
    pinger.wait_answers(20)
    pinger.stop()
    assert members.used(star, router) is not dead
    row = router.peer_json(dead.daemon)
    assert row["losses"] == 1 and row["standby"]
    assert members.group_of(router)["why"] == "silent"
    if fault == "frozen":
        dead.thaw()


def test_use_loses_no_ping_of_two_hundred_a_second(lab):
    star = Star(lab, 3)
    router = members.start(star, Choose="order")
    pingers = [Pinger(star.router, address, interval=0.005) for address in (COMMON4, COMMON6)]
    for pinger in pingers:
        pinger.wait_answers(100)
    for name, spot in (("gw3", star.spots[2]), ("gw2", star.spots[1]), ("gw1", star.spots[0])):
        router.cli("use", router.name, name)
        assert members.used(star, router) is spot
        for pinger in pingers:
            pinger.wait_answers(50)
    assert [pinger.stop() for pinger in pingers] == [[], []]


def test_use_fails_where_the_peer_does_not_answer_and_words_are_told(lab):
    star = Star(lab, 2)
    router = members.start(star, Choose="order", ProbeAddress=None)
    star.spots[1].kill()
    found = router.cli("use", router.name, "gw2", check=False)
    assert found.returncode == 1 and "gw2 does not answer; the group stays" in found.stderr
    found = router.cli("use", router.name, "gw9", check=False)
    assert found.returncode == 1 and "no peer of it is called gw9" in found.stderr
    assert router.cli("use", router.name, "auto").returncode == 0
    assert members.used(star, router) is star.spots[0]
    assert "FailAfter is 5 seconds at least" in router.cli("show", router.name).stdout


def test_wg_shows_what_is_used_and_reload_and_syncconf_know_the_rest(lab):
    star = Star(lab, 2)
    router = members.start(star, Choose="order")
    first, second = (spot.daemon.keys.public for spot in star.spots)
    dump = router.wg_dump()
    assert (
        dump[first]["allowed_ips"] == "0.0.0.0/0,::/0" and dump[second]["allowed_ips"] == "(none)"
    )
    pinger = Pinger(star.router, COMMON4, interval=0.02)
    router.groups[0]["FailAfter"] = 4
    router.reload()
    wait_for(lambda: members.group_of(router)["fail_after_s"] == 4, 10, "the reload")
    assert members.group_of(router)["members"] == 2
    assert router.peer_json(star.spots[1].daemon)["allowed_ips"] == ["0.0.0.0/0", "::/0"]
    router.cli("use", router.name, "gw2")
    dump = router.wg_dump()
    assert (
        dump[second]["allowed_ips"] == "0.0.0.0/0,::/0" and dump[first]["allowed_ips"] == "(none)"
    )
    ours = ("Group", "Description")
    for peer in router.peers.values():
        for option in ours:
            peer.pop(option)
    router.wg_set_conf("syncconf")
    assert members.group_of(router)["members"] == 2
    for spot in star.spots:
        assert router.peer_json(spot.daemon)["allowed_ips"] == ["0.0.0.0/0", "::/0"]
    assert members.used(star, router) is star.spots[1]
    pinger.wait_answers(20)
    assert pinger.stop() == []


def test_health_is_asked_with_the_address_of_the_member_in_use(lab):
    star = Star(lab, 2)
    told = star.router.folder / "told"
    router = Tunlite(star.router, ROUTER)
    command = f'echo "$GROUP $HEALTH_ADDRESS" >> {told}'
    peer = {"HealthAddress": COMMON4}
    members.start(star, router, peer=peer, Choose="order", HealthCommand=command)
    wait_for(told.exists, 15, "a run of HealthCommand")
    wait_for(told.read_text, 5, "its output")
    assert told.read_text() == f"gateways {COMMON4}\n"
