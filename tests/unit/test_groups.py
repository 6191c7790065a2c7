# SPDX-License-Identifier: MIT
"""A router's group of gateways on the fakes: who is used, who stands by, deaths and moves."""

import json

import pytest

from lab.fakes.groups import SOURCE, TARGET, Gateways
from tunlite.uapi import get, status, text as uapi

BOTH = pytest.mark.parametrize("probe", [False, True], ids=["handshakes", "echoes"])


def bound_s(gateways, probe, fail_after):
    """What a death may take: the silence, and a candidate beside another."""
    return (fail_after if probe else max(fail_after, 5)) + 1.2


# ---- in use, and standing by ------------------------------------------------------------------


@BOTH
def test_without_a_death_one_member_is_used_and_the_others_hear_nothing(probe):
    lab = Gateways(probe=probe, fail_after=3)
    used = lab.used
    assert lab.ping(60) >= 599
    others = {node.address for i, node in enumerate(lab.gateways) if i != used}
    assert not [row for row in lab.world.log if row[2][0] in others]
    assert lab.used == used and lab.losses == [0, 0, 0]


@BOTH
def test_an_idle_group_wakes_nobody(probe):
    lab = Gateways(probe=probe, choose="order")
    lab.ping(1)
    lab.world.run(700)  # its session ends
    sent, wakes = len(lab.world.log), lab.router.native.wakes
    lab.world.run(8 * 3600)
    assert len(lab.world.log) == sent
    assert lab.router.native.wakes == wakes


def test_a_standby_sends_no_persistent_keepalive():
    lab = Gateways(persistent_s=25)
    lab.world.run(300)
    others = {node.address for i, node in enumerate(lab.gateways) if i != lab.used}
    assert not [row for row in lab.world.log if row[2][0] in others]
    assert [row for row in lab.world.log if row[2][0] == lab.gateways[lab.used].address]


def test_one_that_was_left_gets_no_persistent_keepalive_any_more():
    lab = Gateways(persistent_s=25, choose="order")
    lab.ping(1)
    hold(lab, 1)
    lab.ping(12)  # until it has the keepalive that it is owed
    assert lab.used == 1
    sent = len(lab.world.log)
    lab.world.run(160)
    assert not [row for row in lab.world.log[sent:] if row[2][0] == lab.gateways[0].address]


def test_an_idle_group_asks_nobody_whether_he_is_back():
    lab = Gateways(choose="order")
    lab.ping(1)
    lab.kill(0)
    lab.back_in()
    lab.world.run(700)
    sent = len(lab.world.log)
    lab.world.run(3600)
    assert len(lab.world.log) == sent


def test_a_standby_that_begins_is_answered_and_its_data_comes_in_and_is_acknowledged():
    lab = Gateways()
    lab.ping(1)
    node = lab.gateways[(lab.used + 1) % 3]
    peer = next(iter(p for p in node.interface.peers.values() if p.allowed))
    node.interface.set_endpoint(peer, 4, lab.router.address, 51820)
    node.native.from_device(TARGET + SOURCE + b"from the side")
    lab.world.run(0.2)
    assert b"from the side" in lab.router.received()
    sent = len(lab.world.log)
    lab.world.run(11)
    answers = [row for row in lab.world.log[sent:] if row[2][0] == node.address]
    assert [len(row[3]) for row in answers] == [32]  # the keepalive that it is owed


def test_what_is_used_and_what_is_configured_are_told_apart():
    lab = Gateways()
    told = b"".join([bytes(p) for p in get.pieces(lab.router.interface)]).decode()
    assert told.count("allowed_ip=10.77.0.1/32") == 1
    assert told.count("configured_ip=10.77.0.1/32") == 2
    seen = b"".join(status.pieces(lab.router.daemon)).decode()
    assert seen.count('"allowed_ips":["10.77.0.1/32"]') == 3
    assert f'"used": "{lab.group.choice.used.peer.public.hex()}"' not in seen
    assert '"probed_by": "handshake"' in seen


def test_members_share_prefixes_and_without_a_limit_again_the_newest_has_them():
    lab = Gateways()
    assert [len(m.peer.allowed) for m in lab.group.choice.members] == [1, 1, 1]
    lab.set("group_name=gateways", "group_limit=")
    assert lab.group.choice is None
    peers = list(lab.group.members.values())
    assert sorted(len(peer.allowed) for peer in peers) == [0, 0, 1]
    assert not [peer for peer in peers if peer.standby]


def test_a_used_member_that_is_removed_is_followed_by_another_at_once():
    lab = Gateways(choose="order")
    assert lab.used == 0
    lab.set(f"public_key={lab.key(0)}", "remove=true")
    assert lab.group.choice.used.peer.public == lab.gateways[1].interface.me.public
    assert lab.ping(5) >= 48


def test_order_is_the_order_in_which_members_are_named_last():
    lab = Gateways(choose="order")
    lab.set(*[line for i in (2, 1, 0) for line in (f"public_key={lab.key(i)}", "group=gateways")])
    assert [m.peer.description for m in lab.group.choice.members] == ["gw2", "gw1", "gw0"]


# ---- deaths -----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("fail_after", [1, 3, 5])
def test_a_dead_gateway_is_left_in_time(probe, seed, fail_after):
    lab = Gateways(probe=probe, seed=seed, fail_after=fail_after)
    assert lab.ping(20 + seed / 7)
    dead = lab.used
    lab.kill(dead)
    assert lab.back_in() <= 1000 * bound_s(lab, probe, fail_after)
    assert lab.used != dead and lab.losses[dead] == 1
    assert lab.group.choice.moves == {"first": 1, "silent": 1}
    assert lab.ping(30) >= 299


@pytest.mark.parametrize("fail_after", [1, 3, 5, 7])
def test_the_next_one_is_asked_when_fail_after_is_over_and_not_a_probe_later(fail_after):
    lab = Gateways(2, probe=True, fail_after=fail_after, choose="order")
    lab.ping(10)
    lab.kill(0)
    sent, died_ms = len(lab.world.log), lab.world.clock.now_ms
    lab.ping(fail_after + 1, 10)
    other = lab.gateways[1].address
    asked_ms = min(row[0] for row in lab.world.log[sent:] if row[2][0] == other)
    assert 0 <= asked_ms - died_ms - 1000 * fail_after <= 30


@BOTH
def test_a_gateway_to_which_nothing_gets_is_left_though_it_speaks(probe):
    lab = Gateways(probe=probe, fail_after=3)
    lab.ping(10)
    dead = lab.used
    lab.deaf.add(lab.gateways[dead].address)
    assert lab.back_in() <= 1000 * bound_s(lab, probe, 3)
    assert lab.used != dead


@BOTH
def test_two_of_three_die_together(probe):
    lab = Gateways(probe=probe, fail_after=3, choose="order")
    lab.ping(10)
    lab.kill(0, 1)
    assert lab.back_in() <= 1000 * (bound_s(lab, probe, 3) + 1)
    assert lab.used == 2 and lab.losses == [1, 1, 0]
    lab.router.interface.remove_peer(lab.group.choice.members[0].peer)
    lab.router.interface.commit()
    assert len(lab.group.members) == 2 and lab.group.choice.losses == 2  # it never goes back


@pytest.mark.parametrize("seed", range(1, 6))
def test_two_of_three_die_together_and_a_short_fail_after_is_kept(seed):
    lab = Gateways(probe=True, seed=seed, fail_after=1, choose="order")
    lab.ping(10 + seed / 7)
    lab.kill(0, 1)
    assert lab.back_in(every_ms=20) <= 1800
    assert lab.used == 2 and lab.losses == [1, 1, 0]


@BOTH
@pytest.mark.parametrize("ago", [0.5, 2, 4.5])
def test_a_gateway_that_began_a_handshake_of_its_own_just_before_is_not_passed_over(probe, ago):
    """Our answer to it is no initiation, which would keep us from another one for 5 s."""
    lab = Gateways(probe=probe, fail_after=3, choose="order")
    lab.ping(10)
    lab.kill(0)
    silence = (3 if probe else 5) - ago
    before = lab.ping(silence)
    node = lab.gateways[1]
    peer = next(iter(p for p in node.interface.peers.values() if p.allowed))
    node.interface.set_endpoint(peer, 4, lab.router.address, 51820)
    node.native.from_device(TARGET + SOURCE + b"from the side")
    assert before <= 1 and lab.back_in(every_ms=20) <= 1000 * ago + 400
    assert lab.used == 1 and lab.losses == [1, 0, 0]


@BOTH
@pytest.mark.parametrize("back", [0, 1, 2])
def test_when_all_are_dead_nobody_loses_and_the_first_that_is_back_is_used(probe, back):
    lab = Gateways(probe=probe, fail_after=3)
    lab.ping(10)
    lab.kill(0, 1, 2)
    assert lab.ping(80) <= 1
    assert lab.losses == [0, 0, 0]
    lab.revive(back)
    assert lab.back_in() <= 6000
    assert lab.used == back


def test_the_first_chosen_one_is_dead_and_the_next_begins_after_a_second():
    lab = Gateways(choose="order")
    lab.kill(0)
    assert lab.back_in() <= 1300
    assert lab.used == 1


@BOTH
def test_one_way_traffic_for_a_minute_is_no_death(probe):
    lab = Gateways(probe=probe, fail_after=3)
    lab.ping(5)
    used = lab.used
    lab.ping(60, answered=False)
    assert lab.used == used and lab.losses == [0, 0, 0]


@BOTH
@pytest.mark.parametrize("seed", [1, 8, 10, 42, 51])
def test_a_third_of_loss_for_five_minutes_is_no_death(probe, seed):
    """Of other seeds than the first one, three initiations in a row are lost that rekey."""
    lab = Gateways(probe=probe, seed=seed, fail_after=3)
    lab.ping(5)
    used = lab.used
    lab.loss = 0.3
    lab.ping(300)
    assert lab.used == used and lab.losses == [0, 0, 0]


@BOTH
@pytest.mark.parametrize("seconds", [15, 60, 600])
def test_who_slept_finds_nobody_dead_whatever_the_wall_clock_says(probe, seconds):
    lab = Gateways(probe=probe, fail_after=3)
    lab.ping(5)
    used = lab.used
    lab.router.native.from_device(SOURCE + TARGET + b"unanswered")
    lab.world.clock.now_ms += 1000 * seconds
    lab.world.clock.wall_s -= 7_200
    assert lab.ping(60) >= 570
    assert lab.used == used and lab.losses == [0, 0, 0]


def test_a_search_ends_when_nobody_sends_any_more_and_begins_anew_with_data():
    lab = Gateways(fail_after=3)
    lab.ping(5)
    lab.kill(0, 1, 2)
    lab.ping(20)
    lab.world.run(300)
    sent = len(lab.world.log)
    lab.world.run(3600)
    assert len(lab.world.log) == sent
    lab.revive(0, 1, 2)
    assert lab.back_in() <= 1500


# ---- ProbeAddress -----------------------------------------------------------------------------


def test_a_gateway_that_answers_handshakes_and_drops_data_is_left():
    lab = Gateways(probe=True, fail_after=3)
    lab.ping(5)
    lab.ping(2, answered=False)  # an echo is answered: they are by all
    mute = lab.used
    lab.silent.add(mute)
    lab.gateways[mute].native.answers = set()
    assert lab.back_in() <= 5000
    assert lab.used != mute and lab.losses[mute] == 1


@pytest.mark.parametrize("seed", range(1, 4))
def test_it_is_left_also_when_it_was_the_first_one_chosen(seed):
    lab = Gateways(probe=True, fail_after=3, seed=seed)
    mute = lab.used
    lab.silent.add(mute)
    lab.gateways[mute].native.answers = set()
    lab.ping(0.1)
    assert lab.back_in() <= 8000
    assert lab.used != mute


@pytest.mark.parametrize("fail_after", [1, 3])
@pytest.mark.parametrize("delay_ms", [1, 20])
def test_before_any_echo_was_answered_it_is_left_as_soon_as_a_dead_one(fail_after, delay_ms):
    """Its handshakes are answered meanwhile; those of the move are not too close together."""
    lab = Gateways(probe=True, fail_after=fail_after)
    lab.world.delay_ms = lambda packet: delay_ms
    lab.ping(5.3)
    mute = lab.used
    lab.silent.add(mute)
    lab.gateways[mute].native.answers = set()
    assert lab.back_in() <= 1000 * fail_after + 600
    assert lab.used != mute


def test_when_no_member_answers_echoes_each_is_tried_once_and_the_first_is_kept():
    lab = Gateways(probe=True, fail_after=3)
    for node in lab.gateways:
        node.native.answers = set()
    first = lab.used
    used = []
    for _ in range(60):
        lab.ping(1, answered=False)
        used.append(lab.used)
    assert set(used) == {0, 1, 2}
    assert used[-30:] == [first] * 30
    assert "handshakes judge" in lab.group.choice.trouble
    lab.kill(first)
    assert lab.back_in() <= 7000
    lab.gateways[lab.used].native.answers = {TARGET}
    lab.ping(5, answered=False)
    assert lab.group.choice.is_proven and not lab.group.choice.trouble


def test_another_probe_address_is_judged_by_its_own_echoes():
    lab = Gateways(probe=True, fail_after=3)
    for node in lab.gateways:
        node.native.answers = set()
    for _ in range(60):
        lab.ping(1, answered=False)
    choice = lab.group.choice
    assert "ProbeAddress" in choice.trouble
    lab.set("group_name=gateways", "group_probe_address=10.77.0.1")
    assert "ProbeAddress" in choice.trouble, "it is the same"
    lab.set("group_name=gateways", "group_probe_address=")
    assert not choice.trouble and not choice.hands.trouble()
    for node in lab.gateways:
        node.native.answers = {TARGET}
    lab.set(f"public_key={lab.key(lab.used)}", "probe_address=10.77.0.1")
    lab.ping(10, answered=False)
    assert choice.is_proven
    lab.set(f"public_key={lab.key(lab.used)}", "probe_address=10.77.0.9")
    assert not choice.is_proven


def test_sources_of_targets_of_earlier_configurations_are_forgotten():
    lab = Gateways(probe=True)
    hands = lab.group.choice.hands
    for number in range(1, 100):
        lab.set("group_name=gateways", f"group_probe_address=10.77.0.{number}")
        hands.echoes(lab.group.choice.used.peer)
        lab.world.run(1)
    assert len(hands._pings._sources) < 20


def test_all_members_drop_echoes_and_answer_data_and_nobody_is_left():
    lab = Gateways(probe=True, fail_after=3)
    for node in lab.gateways:
        node.native.answers = set()
    used = lab.used
    assert lab.ping(60) >= 598
    assert lab.used == used and lab.losses == [0, 0, 0]


def test_an_address_that_cannot_ask_makes_handshakes_judge_and_is_told():
    lab = Gateways(probe=True, fail_after=3)
    lab.router.port.links.rows = []
    lab.router.interface.device = 1
    lab.ping(15)
    seen = b"".join(status.pieces(lab.router.daemon)).decode()
    assert "has no address that can ask ProbeAddress 10.77.0.1" in seen
    assert '"fails_after_s": 5' in seen
    lab.kill(lab.used)
    assert lab.back_in() <= 6200


def test_persistent_keepalives_are_silence_where_an_echo_can_tell():
    lab = Gateways(probe=True, fail_after=3, persistent_s=25)
    lab.ping(1)
    lab.ping(1, answered=False)
    lab.world.run(60)
    used = lab.used
    lab.kill(used)
    lab.world.run(31)
    assert lab.used != used


# ---- losing -----------------------------------------------------------------------------------


def test_a_loss_lasts_30_s_and_doubles_up_to_ten_minutes():
    member = Gateways().group.choice.members[0]
    spans = []
    now_ms = 0
    for _ in range(7):
        member.lose(now_ms)
        spans.append((member.lost_ms - now_ms) // 1000)
        now_ms = member.lost_ms + 1000
    assert spans == [30, 60, 120, 240, 480, 600, 600]
    member.lose(now_ms + 1_200_000)
    assert member.lost_ms - now_ms - 1_200_000 == 30_000
    member.forget()
    assert not member.is_loser(now_ms)


def test_losers_are_the_end_of_the_row():
    lab = Gateways(count=4, choose="order")
    now_ms = lab.world.clock.now_ms
    members = lab.group.choice.members
    members[1].lose(now_ms)
    members[0].lose(now_ms + 500)
    assert lab.group.choice.row(now_ms) == [members[2], members[3], members[1], members[0]]
    assert lab.group.choice.row(now_ms + 30_501) == members


def test_a_new_way_of_ours_forgets_losses_and_asks_at_once():
    lab = Gateways(fail_after=3)
    lab.ping(5)
    lab.kill(0, 1, 2)
    lab.ping(62)
    lab.group.choice.members[0].lose(lab.world.clock.now_ms)
    lab.revive(0, 1, 2)
    lab.router.interface.groups.network_changed()
    assert lab.back_in() <= 1500
    assert not [m for m in lab.group.choice.members if m.lost_ms]


# ---- planned moves ----------------------------------------------------------------------------


def hold(lab, number):
    lab.set(f"public_key={lab.key(number)}", "use=true")


@BOTH
def test_use_moves_without_a_lost_ping_and_holds(probe):
    lab = Gateways(probe=probe, choose="order", fail_after=3)
    lab.ping(2)
    if probe:
        lab.ping(2, answered=False)
    lab.lost()
    for number in (2, 1, 2):
        hold(lab, number)
        lab.ping(5, 5)
        assert lab.used == number
    assert lab.lost() == 0
    lab.ping(300)
    assert lab.used == 2 and lab.losses == [0, 0, 0]


@pytest.mark.parametrize("delay_ms", [1, 20])
def test_a_move_takes_a_few_round_trips_however_near_the_peer_is(delay_ms):
    """A responder takes an initiation of the same peer each 20 ms at most."""
    lab = Gateways(choose="order")
    lab.world.delay_ms = lambda packet: delay_ms
    lab.ping(2)
    hold(lab, 2)
    lab.ping(0.3)
    assert lab.used == 2


def test_use_holds_until_that_peer_loses():
    lab = Gateways(choose="order")
    lab.ping(2)
    hold(lab, 2)
    lab.ping(2)
    lab.kill(2)
    lab.back_in()
    assert lab.used == 0 and not lab.group.choice.is_held


def test_use_of_a_dead_peer_changes_nothing_and_is_told():
    lab = Gateways(choose="order")
    lab.ping(2)
    lab.kill(2)
    hold(lab, 2)
    assert lab.ping(20) >= 199
    assert lab.used == 0 and lab.losses == [0, 0, 1] and lab.group.choice.losses == 1
    assert "does not answer" in lab.group.choice.trouble


def test_auto_lets_the_rule_choose_again():
    lab = Gateways(choose="order")
    lab.ping(2)
    hold(lab, 2)
    lab.ping(100)
    assert lab.used == 2
    lab.set("use=auto")
    assert lab.ping(100) >= 998
    assert lab.used == 0


def test_use_is_refused_for_who_is_in_no_such_group():
    lab = Gateways()
    lab.set("public_key=" + "ab" * 32)
    with pytest.raises(uapi.UapiError):
        lab.set("public_key=" + "ab" * 32, "use=true")


def test_order_goes_back_after_the_loss_ran_out_and_a_minute_of_answers():
    lab = Gateways(choose="order")
    lab.ping(5)
    lab.kill(0)
    lab.back_in()
    lab.revive(0)
    assert lab.ping(80) >= 799
    assert lab.used == 1
    assert lab.ping(20) >= 199
    assert lab.used == 0


@BOTH
def test_order_goes_back_without_a_lost_ping(probe):
    lab = Gateways(choose="order", probe=probe, fail_after=3)
    lab.ping(5)
    lab.kill(0)
    lab.back_in()
    lab.revive(0)
    lab.ping(85)
    assert lab.used == 1
    lab.lost()
    lab.ping(15, 5)
    assert lab.used == 0 and lab.group.choice.why == "order"
    assert lab.lost() == 0


def test_order_asks_a_dead_earlier_one_ever_more_rarely():
    lab = Gateways(choose="order")
    lab.ping(5)
    lab.kill(0)
    lab.back_in()
    began = lab.world.clock.now_ms
    lab.ping(3600, 1000)
    asked = [row[0] for row in lab.world.log if row[2][0] == lab.gateways[0].address]
    asked = [(ms - began) // 60_000 for ms in asked if ms > began]
    assert lab.used == 1 and len(set(asked)) <= 11


def test_a_candidate_that_drops_data_is_not_moved_to():
    lab = Gateways(probe=True, choose="order", fail_after=3)
    lab.ping(2)
    lab.ping(2, answered=False)
    lab.silent.add(2)
    lab.gateways[2].native.answers = set()
    hold(lab, 2)
    assert lab.ping(20) >= 199
    assert lab.used == 0 and lab.losses == [0, 0, 1]


def test_the_draw_comes_between_12_and_36_hours():
    lab = Gateways()
    lab.ping(2)
    drawn = []
    for _ in range(60):
        began_ms = lab.world.clock.now_ms
        at_ms = lab.group.choice.preference.draw_ms
        lab.world.run((at_ms - began_ms) / 1000 + 10)
        drawn.append((lab.used, lab.group.choice.preference.draw_ms - at_ms))
    hours = [ms / 3_600_000 for _, ms in drawn]
    assert min(hours) >= 12 and max(hours) <= 36 and max(hours) - min(hours) > 12
    for number in range(3):
        assert 8 <= [used for used, _ in drawn].count(number) <= 32
    assert lab.losses == [0, 0, 0]


@BOTH
def test_the_draw_moves_without_a_lost_ping(probe):
    lab = Gateways(probe=probe, fail_after=3)
    lab.ping(2)
    if probe:
        lab.ping(2, answered=False)
        lab.lost()
    moves = 0
    for _ in range(12):
        used, draw_ms = lab.used, lab.group.choice.preference.draw_ms
        lab.world.run((draw_ms - lab.world.clock.now_ms) / 1000 - 1)
        lab.ping(3, 5)
        moves += lab.used != used
    assert moves >= 4 and lab.group.choice.why == "draw" and lab.losses == [0, 0, 0]
    assert lab.lost() == 0


def test_nearest_moves_to_one_that_is_nearer_by_a_third_and_measures_every_ten_minutes():
    far = {0: 60, 1: 40, 2: 20}
    lab = Gateways(choose="nearest")
    delays = {node.address: far[i] for i, node in enumerate(lab.gateways)}
    lab.world.delay_ms = lambda packet: delays.get(packet[0][0]) or delays[packet[1][0]]
    lab.ping(20, 200)
    assert lab.used == 2
    began = len(lab.world.log)
    delays[lab.gateways[1].address] = 16
    lab.ping(9000, 5000)
    assert lab.used == 2
    delays[lab.gateways[1].address] = 8
    lab.ping(5000, 1000)
    assert lab.used == 1
    asked = [row for row in lab.world.log[began:] if row[2][0] == lab.gateways[0].address]
    assert 18 <= len(asked) <= 26 and lab.losses == [0, 0, 0]


def test_a_gateway_that_drains_is_left_while_its_data_still_comes():
    lab = Gateways(choose="order")
    lab.ping(100)
    used = lab.gateways[0]
    refused = lab.world.loses
    lab.world.loses = lambda packet: (
        refused(packet) or (packet[1][0] == used.address and packet[2][0] == 1)
    )
    assert lab.ping(80) >= 799
    assert lab.used == 1


@BOTH
@pytest.mark.parametrize("fail_after", [3, 60])
def test_a_rekey_that_is_not_answered_is_asked_for_each_second_before_anybody_is_left(
    probe, fail_after
):
    lab = Gateways(choose="order", probe=probe, fail_after=fail_after)
    lab.ping(100)
    used = lab.gateways[0]
    asked = []

    def loses(packet):
        is_asked = packet[1][0] == used.address and packet[2][0] == 1
        if is_asked:
            asked.append(lab.world.clock.now_ms)
        return is_asked and asked[-1] - asked[0] < 12_000

    lab.world.loses = loses
    assert lab.ping(200) == 2000
    assert lab.used == 0 and lab.losses == [0, 0, 0]
    times = [ms - asked[0] for ms in asked if ms < asked[0] + 60_000]
    assert (7 if fail_after == 60 else 11) <= len(times) <= 14 and 12_000 <= times[-1] < 14_000
    lab.world.loses = lambda packet: False
    sent = len(lab.world.log)
    lab.ping(500)
    assert [row[3][0] for row in lab.world.log[sent:]].count(1) == 4, "one of each rekey"


@BOTH
def test_who_slept_while_a_rekey_waited_for_its_answer_gives_it_its_time_again(probe):
    lab = Gateways(choose="order", probe=probe, fail_after=3)
    lab.ping(115)
    ends = {lab.router.address, lab.gateways[0].address}
    lab.world.loses = lambda packet: packet[2][0] == 1 and {packet[0][0], packet[1][0]} == ends
    lab.ping(10)
    assert lab.group.choice.silence.unmet_ms
    lab.world.clock.now_ms += 30_000
    lab.ping(1)
    assert lab.group.choice.move is None
    lab.world.loses = lambda packet: False
    lab.ping(30)
    assert lab.used == 0 and lab.losses == [0, 0, 0]


@BOTH
def test_a_probe_s_handshake_that_is_lost_is_no_rekey_that_nobody_answers(probe):
    lab = Gateways(choose="order", probe=probe, fail_after=3)
    lab.ping(5)
    used = lab.gateways[0]
    refused = lab.world.loses
    lab.world.loses = lambda packet: (
        refused(packet) or (packet[1][0] == used.address and packet[2][0] == 1)
    )
    lab.kill(0)
    lab.ping(2.5)
    lab.revive(0)
    lab.ping(40)
    shakes = lab.group.choice.used.peer.shakes
    assert shakes.unmet_ms and lab.world.clock.now_ms - shakes.unmet_ms > 20_000
    assert lab.used == 0 and lab.losses == [0, 0, 0]


def test_a_name_without_an_address_does_not_keep_the_group_waiting():
    lab = Gateways(choose="order")
    peer = lab.group.choice.members[0].peer
    peer.where.moved(True)
    lab.router.native.peers[peer.handle].endpoint = bytes(48)
    lab.set(f"public_key={lab.key(1)}", "endpoint=10.0.0.3:51820")
    lab.world.run(2.5)
    assert lab.used == 1
    assert lab.ping(5) >= 48


# ---- HealthCommand ----------------------------------------------------------------------------


class Commands:
    """Of a runner: fails for the gateways whose HealthAddress is in `ill`."""

    def __init__(self, lab):
        self.world = lab.world
        self.ill = set()
        self.runs = []  # (ms, group, address)

    def health(self, group, address, done):
        self.runs.append((self.world.clock.now_ms, group, address))
        self.world.at(self.world.clock.now_ms + 2000, lambda: done(address not in self.ill))
        return True


def with_health(count=3, **options):
    lab = Gateways(count, choose="order", health="true", **options)
    for number in range(count):
        lab.set(f"public_key={lab.key(number)}", f"health_address=10.9.0.{number}")
    lab.router.interface.commands = Commands(lab)
    return lab, lab.router.interface.commands


@pytest.mark.parametrize("delay_ms", [1, 60])
def test_health_is_asked_of_the_one_in_use_alone_every_ten_seconds(delay_ms):
    """Whatever is on its way."""
    lab, commands = with_health()
    lab.world.delay_ms = lambda packet: delay_ms
    lab.ping(100, 70)
    assert {run[1:] for run in commands.runs} == {("gateways", "10.9.0.0")}
    times = [run[0] for run in commands.runs]
    assert {after - before for before, after in zip(times, times[1:], strict=False)} == {10_000}


def test_three_failures_in_a_row_are_a_reason_to_leave_and_no_ping_is_lost():
    lab, commands = with_health()
    lab.ping(1)
    commands.ill = {"10.9.0.0"}
    lab.ping(28)
    commands.ill = set()  # the third goes well
    lab.ping(20)
    assert lab.used == 0
    commands.ill = {"10.9.0.0"}
    assert lab.ping(45) >= 448
    assert lab.used == 1 and lab.losses == [1, 0, 0] and lab.group.choice.why == "health"
    assert lab.group.choice.losses == 1 and lab.group.choice.moves == {"first": 1, "health": 1}


def test_where_health_fails_at_every_member_one_that_answers_is_kept_and_that_is_told():
    lab, commands = with_health()
    lab.ping(1)
    commands.ill = {f"10.9.0.{number}" for number in range(3)}
    lab.kill(2)
    assert lab.ping(200) >= 1995
    kept = lab.used
    assert kept in (0, 1) and "at every member that answers" in lab.group.choice.trouble
    commands.ill = set()
    lab.ping(15)
    assert not lab.group.choice.trouble


@pytest.mark.parametrize("kept", [0, 1])
def test_where_health_failed_at_every_member_another_is_tried_again_within_ten_minutes(kept):
    lab, commands = with_health(count=2)
    lab.ping(1)
    commands.ill = {"10.9.0.0", "10.9.0.1"}
    lab.ping(200)
    hold(lab, kept)
    lab.ping(60)
    assert lab.used == kept and "at every member" in lab.group.choice.trouble
    commands.ill = {f"10.9.0.{kept}"}
    assert lab.ping(580) >= 5798
    assert lab.used != kept
    lab.ping(15)
    assert not lab.group.choice.trouble


def test_while_health_fails_at_every_member_a_member_is_kept_for_minutes():
    lab, commands = with_health()
    lab.ping(1)
    commands.ill = {f"10.9.0.{number}" for number in range(3)}
    lab.ping(200)
    used = []
    for _ in range(120):
        lab.ping(30, 500)
        used.append(lab.used)
    moves = sum([before != after for before, after in zip(used, used[1:], strict=False)])
    assert set(used) == {0, 1, 2} and moves <= 20


def test_without_a_runner_nothing_is_asked_and_nobody_is_left():
    lab, _ = with_health()
    lab.router.interface.commands = None
    assert lab.ping(60) >= 598
    assert lab.used == 0


# ---- what goes wrong ---------------------------------------------------------------------------


def test_a_group_whose_look_failed_is_looked_at_again():
    lab = Gateways(probe=True, fail_after=3)
    lab.ping(5)
    hands, echo = lab.group.choice.hands, lab.group.choice.hands.echo
    failures = []

    def broken(peer):
        failures.append(peer)
        raise OSError(5, "broken")

    hands.echo = broken
    lab.kill(lab.used)
    lab.ping(2)
    hands.echo = echo
    assert failures
    assert lab.back_in() <= 6000


def test_programs_are_told_whom_a_group_uses_and_why():
    lab = Gateways(choose="order")
    lab.ping(2)
    hold(lab, 2)
    lab.ping(2)
    rows = [json.loads(text) for text in lab.router.log.texts("event")]
    used = [(row["name"], row["why"]) for row in rows if row["event"] == "use"]
    assert used == [("gw0", "first"), ("gw2", "use")]
