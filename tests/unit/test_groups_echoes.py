# SPDX-License-Identifier: MIT
"""ProbeAddress that no member answers, and another one by a reload, on the fakes."""

import pytest

from lab.fakes.groups import SOURCE, Gateways
from tunlite.uapi import status

OF_WHOM = pytest.mark.parametrize("of_whom", ["the group", "a member"])


@pytest.mark.parametrize("fail_after", [1, 3])
def test_where_no_member_answers_echoes_fail_after_counts_as_five_seconds(fail_after):
    lab = Gateways(probe=True, fail_after=fail_after)
    for node in lab.gateways:
        node.native.answers = set()
    lab.ping(5)
    lab.ping(60, answered=False)
    before = lab.losses
    assert "handshakes judge" in lab.group.choice.trouble
    assert '"fails_after_s": 5' in b"".join(status.pieces(lab.router.daemon)).decode()
    lab.loss = 0.1
    lab.ping(300, answered=False)
    assert lab.losses == before


def ask_at(lab, of_whom, address):
    if of_whom == "the group":
        lab.set("group_name=gateways", f"group_probe_address={address}")
    else:
        lines = []
        for number in range(len(lab.gateways)):
            lines += [f"public_key={lab.key(number)}", f"probe_address={address}"]
        lab.set(*lines)


@OF_WHOM
def test_another_probe_address_that_nobody_answers_is_no_gateways_fault(of_whom):
    lab = Gateways(probe=True, fail_after=3)
    lab.ping(5)
    lab.ping(2, answered=False)
    assert lab.group.choice.is_proven
    ask_at(lab, of_whom, "10.77.0.9")
    lab.ping(60, answered=False)
    assert lab.losses == [0, 0, 0]
    assert "no member answers ProbeAddress" in lab.group.choice.trouble
    ask_at(lab, of_whom, "10.77.0.1")
    assert not lab.group.choice.trouble
    lab.ping(5, answered=False)
    assert lab.group.choice.is_proven and lab.losses == [0, 0, 0]


@OF_WHOM
def test_an_answer_from_the_address_before_proves_nothing_of_another(of_whom):
    lab = Gateways(probe=True, fail_after=3)
    lab.world.delay_ms = lambda packet: 50
    lab.ping(5)
    member = lab.group.choice.used
    while not member.probes:
        lab.ping(0.01, 10, answered=False)
    ask_at(lab, of_whom, "10.77.0.9")
    lab.ping(60, answered=False)
    assert not lab.group.choice.is_proven and lab.losses == [0, 0, 0]


@OF_WHOM
def test_the_same_probe_address_told_again_leaves_what_was_proved(of_whom):
    lab = Gateways(probe=True, fail_after=3)
    ask_at(lab, of_whom, "10.77.0.1")
    lab.ping(5)
    lab.ping(2, answered=False)
    ask_at(lab, of_whom, "10.77.0.1")
    assert lab.group.choice.is_proven


def test_answers_that_nobody_waits_for_wake_nobody():
    """A gateway that repeats one without end would have Python run for each batch of packets."""
    lab = Gateways(2, probe=True, choose="order", fail_after=3)
    lab.ping(5)
    lab.ping(2, answered=False)
    assert lab.group.choice.is_proven
    lab.ping(1)
    echo = lab.router.native.peers[lab.group.choice.used.peer.handle].echo
    answer = echo[:12] + echo[16:20] + echo[12:16] + b"\0" + echo[21:]
    lab.router.received()
    wakes = lab.router.native.wakes
    for _ in range(500):
        lab.gateways[0].native._from_device(answer, SOURCE)
        lab.world.run(0.001)
    assert lab.router.native.wakes - wakes < 20
    # They end before the device as ever.
    assert all(payload.startswith(b"pong") for payload in lab.router.received())
    lab.ping(2, answered=False)
    assert lab.losses == [0, 0]
