# SPDX-License-Identifier: MIT
"""A group whose members are blocked, leave or are said anew, at whatever moment that comes."""

import pytest

from lab.fakes.groups import SOURCE, Gateways
from tunlite.uapi import text as uapi

BOTH = pytest.mark.parametrize("probe", [False, True], ids=["handshakes", "echoes"])


def sent_to(lab, number, since):
    return [row for row in lab.world.log[since:] if row[2][0] == lab.gateways[number].address]


def peer(lab, number):
    return lab.router.interface.peers[lab.gateways[number].interface.me.public]


# ---- blocked ------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("idle_s", [0, 40, 700])
def test_the_one_in_use_is_blocked_and_another_is_used_however_long_nothing_was_sent(probe, idle_s):
    lab = Gateways(choose="order", probe=probe)
    lab.ping(2)
    lab.world.run(idle_s)
    lab.set(f"block={lab.key(0)}")
    assert lab.ping(5) >= 48 and lab.used == 1


def test_where_the_only_one_that_answers_is_blocked_it_is_used_again_as_soon_as_it_may_be():
    lab = Gateways(2, choose="order")
    lab.ping(2)
    lab.set(f"block={lab.key(0)}", f"block={lab.key(1)}")
    assert lab.ping(30) <= 1
    lab.set(f"unblock={lab.key(1)}")
    assert lab.ping(7) >= 10 and lab.used == 1


@pytest.mark.parametrize("choose", ["order", "nearest", "random"])
def test_a_blocked_member_is_no_rule_s_wish(choose):
    lab = Gateways(choose=choose)
    lab.ping(2)
    was = lab.used
    lab.set(f"block={lab.key(was)}")
    lab.ping(5)
    lab.group.choice.preference.draw_ms = 1  # `random` draws as often as it is asked
    since = len(lab.world.log)
    lab.ping(700, every_ms=1000)
    assert lab.used != was and lab.losses[was] == 0
    assert not sent_to(lab, was, since)


def test_a_link_that_was_down_when_another_was_to_be_used_makes_up_for_it():
    lab = Gateways(2, choose="order")
    lab.set(f"block={lab.key(0)}")  # passed over two seconds after the start
    lab.router.interface.link_down()
    lab.world.run(5)
    lab.router.interface.link_up()
    assert lab.ping(5) >= 48 and lab.used == 1


def test_a_link_that_was_down_has_the_day_s_draw_still():
    lab = Gateways(2, choose="random")
    lab.router.interface.link_down()
    lab.router.interface.link_up()
    drawn_ms = lab.group.choice.preference.draw_ms
    lab.world.run(37 * 3600)
    assert lab.group.choice.preference.draw_ms > drawn_ms


# ---- leaving ------------------------------------------------------------------------------------

LEAVES = {
    "its group": ("public_key=KEY", "group=", "allowed_ip=10.77.0.1/32"),
    "a group of no limit": ("group_name=gateways", "group_limit=", "public_key=KEY")
    + ("allowed_ip=10.77.0.1/32",),
    "a group that goes": ("replace_groups=true", "public_key=KEY", "allowed_ip=10.77.0.1/32"),
}


@pytest.mark.parametrize("how", LEAVES)
def test_one_that_stood_by_and_is_in_no_choice_any_more_is_asked_when_there_is_data(how):
    lab = Gateways(choose="order")
    lab.ping(2)
    lab.world.run(700)
    lab.set(*[line.replace("KEY", lab.key(1)) for line in LEAVES[how]])
    since = len(lab.world.log)
    assert lab.ping(5) >= 48
    assert sent_to(lab, 1, since) and not sent_to(lab, 0, since)


@pytest.mark.parametrize("how", LEAVES)
def test_one_that_stood_by_and_is_in_no_choice_any_more_sends_persistent_keepalives(how):
    lab = Gateways(choose="order", persistent_s=25)
    lab.ping(2)
    lab.world.run(300)
    lab.set(*[line.replace("KEY", lab.key(1)) for line in LEAVES[how]])
    since = len(lab.world.log)
    lab.world.run(100)
    assert len(sent_to(lab, 1, since)) >= 4


@pytest.mark.parametrize("number", [0, 2])
def test_who_leaves_takes_nothing_of_what_the_others_share(number):
    """As a reload says it, for which the others have not changed."""
    lab = Gateways(choose="order")
    lab.ping(2)
    lab.set(f"public_key={lab.key(number)}", "group=", "allowed_ip=10.77.0.9/32")
    assert [len(peer(lab, i).allowed) for i in range(3)] == [1, 1, 1]
    assert lab.ping(5) >= 48 and lab.used == (1 if number == 0 else 0)


def test_who_leaves_keeps_what_nobody_else_has():
    lab = Gateways(1)
    lab.set(f"public_key={lab.key(0)}", "group=")
    assert lab.ping(2) >= 19


@BOTH
def test_who_left_in_a_set_that_takes_long_gets_packets_though_another_is_moved_to_meanwhile(probe):
    lab = Gateways(choose="order", fail_after=3, probe=probe)
    lab.ping(2)
    lab.kill(0)
    lab.ping(3 if probe else 5)
    setter = uapi.Setter(lab.router.interface)
    for line in (f"public_key={lab.key(2)}", "group=", "allowed_ip=10.77.0.9/32"):
        setter.line(bytearray(line.encode()))
    lab.ping(3)
    assert lab.used == 1  # the search ended in the middle of the set
    setter.end()
    assert not peer(lab, 2).standby
    since = len(lab.world.log)
    lab.router.native.from_device(SOURCE + b"\x0a\x4d\0\x09" + b"for it alone")
    lab.world.run(20)
    assert sent_to(lab, 2, since)
    assert not lab.router.log.texts("error")


# ---- said anew ----------------------------------------------------------------------------------


def said_again(lab):
    """As each reload does for `order`."""
    return [line for i in range(3) for line in (f"public_key={lab.key(i)}", "group=gateways")]


@BOTH
@pytest.mark.parametrize("choose", ["order", "random", "nearest"])
def test_a_reload_amid_a_move_lets_it_go_on(probe, choose):
    lab = Gateways(probe=probe, choose=choose)
    lab.ping(2)
    wanted = (lab.used + 1) % 3
    lab.set(f"public_key={lab.key(wanted)}", "use=true")
    lab.ping(0.1, every_ms=10)
    assert lab.group.choice.move is not None
    lab.set(*said_again(lab))
    assert lab.ping(5) >= 48 and lab.used == wanted and lab.group.choice.is_held


def test_a_member_may_be_used_in_the_set_that_names_it():
    lab = Gateways(choose="order")
    lab.ping(2)
    lab.set(f"public_key={lab.key(2)}", "group=gateways", "use=true")
    lab.ping(5)
    assert lab.used == 2


@BOTH
def test_who_is_new_is_used_when_the_set_that_names_it_ends_however_long_that_takes(probe):
    lab = Gateways(choose="order", probe=probe, fail_after=3)
    lab.set(f"public_key={lab.key(2)}", "group=", "replace_allowed_ips=true")
    lab.ping(2)
    setter = uapi.Setter(lab.router.interface)
    lines = [f"public_key={lab.key(2)}", "group=gateways", "use=true", "allowed_ip=10.77.0.1/32"]
    for line in lines:
        setter.line(bytearray(line.encode()))
        assert lab.ping(2) >= 19
    lab.kill(0)
    assert lab.back_in() <= 8000 and lab.used == 1
    setter.end()
    assert not lab.router.log.texts("error")
    lab.set(f"public_key={lab.key(2)}", "use=true")
    assert lab.ping(3) >= 29 and lab.used == 2


def test_who_is_to_be_used_and_leaves_amid_the_move_holds_nobody():
    lab = Gateways(choose="order")
    lab.ping(2)
    lab.set(f"public_key={lab.key(2)}", "use=true")
    lab.set(f"public_key={lab.key(2)}", "remove=true")
    choice = lab.group.choice
    assert choice.move is None and not choice.is_held
    assert lab.ping(5) >= 48 and lab.used == 0


@BOTH
def test_reloads_amid_a_search_delay_it_by_nothing(probe):
    lab = Gateways(probe=probe, choose="order", fail_after=3)
    lab.ping(2)
    lab.kill(0, 1)
    for _ in range(30):
        lab.ping(0.3)
        lab.set(*said_again(lab))
    assert lab.used == 2 and lab.ping(1) >= 9
