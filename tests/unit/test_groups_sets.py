# SPDX-License-Identifier: MIT
"""Change sets that touch a group with a Limit, or are half sent while it moves."""

import pytest

from lab.fakes.groups import TARGET, Gateways
from tunlite.uapi import text as uapi

BOTH = pytest.mark.parametrize("probe", [False, True], ids=["handshakes", "echoes"])


def ways(lab):
    """Where packets go: the peer of each prefix."""
    rows = lab.router.native.routes
    return {(row[4][:4], row[1]): row[3] for row in rows if row[2] == 0}


@BOTH
def test_wg_set_of_a_standby_changes_what_it_has_when_it_is_used_and_nothing_before(probe):
    lab = Gateways(choose="order", probe=probe)
    lab.ping(5)
    standby, order = lab.group.choice.members[1].peer, list(lab.group.choice.members)
    at = f"public_key={lab.key(1)}"
    sent = len(lab.world.log)

    prefixes = ["allowed_ip=10.77.0.1/32", "allowed_ip=10.78.0.0/16"]
    lab.set(at, "update_only=true", "replace_allowed_ips=true", *prefixes)
    lab.set(at, "update_only=true", "endpoint=10.0.0.9:51820")
    assert lab.ping(20) == 200
    assert lab.used == 0 and standby.standby and lab.group.choice.members == order
    assert ways(lab) == {(TARGET, 32): order[0].peer.handle}
    peers = {row[2][0] for row in lab.world.log[sent:]}
    assert peers == {lab.router.address, lab.gateways[0].address}
    lab.gateways[1].also_at(bytes([10, 0, 0, 9]))
    lab.set(at, "use=true")
    assert lab.ping(5) == 50 and lab.used == 1
    assert ways(lab) == {
        (TARGET, 32): standby.handle,
        (bytes([10, 78, 0, 0]), 16): standby.handle,
    }


@BOTH
def test_wg_set_may_take_a_standby_what_it_shares_and_the_one_in_use_has_it_still(probe):
    lab = Gateways(choose="order", probe=probe)
    lab.ping(5)
    lines = ["update_only=true", "replace_allowed_ips=true", "allowed_ip=10.78.0.0/16"]
    lab.set(f"public_key={lab.key(1)}", *lines)
    assert lab.ping(20) == 200 and lab.used == 0
    third = lab.group.choice.members[2].peer.handle
    rows = {(row[2], row[3]) for row in lab.router.native.routes if row[4][:4] == TARGET}
    assert rows == {(0, lab.group.choice.used.peer.handle), (1, third)}


def half_sent(lab, prefix):
    """Another peer of the router has this prefix; a set that changes it, but for its end."""
    at = f"public_key={'ab' * 32}"
    lab.set(at, f"allowed_ip={prefix}", "allowed_ip=10.0.0.0/8")
    setter = uapi.Setter(lab.router.interface)
    for line in (at, "replace_allowed_ips=true", "allowed_ip=10.91.0.0/16"):
        setter.line(bytearray(line.encode()))
    return setter


@BOTH
def test_a_move_while_a_set_is_half_sent_moves_the_group_and_nothing_else(probe):
    lab = Gateways(probe=probe, choose="order", fail_after=3)
    lab.ping(5)
    setter = half_sent(lab, "10.90.0.0/16")
    before = ways(lab)
    lab.kill(0)
    lab.back_in()
    moved = lab.group.choice.used.peer.handle
    assert lab.used == 1 and ways(lab) == {**before, (TARGET, 32): moved}
    standbys = {row[3] for row in lab.router.native.routes if row[2] == 1}
    assert standbys == {m.peer.handle for m in lab.group.choice.members} - {moved}
    setter.end()
    other = lab.router.interface.peers[b"\xab" * 32].handle
    assert ways(lab) == {(TARGET, 32): moved, (bytes([10, 91, 0, 0]), 16): other}


def test_a_move_while_a_set_has_made_another_group_by_half_moves_the_one_that_was():
    lab = Gateways(choose="order")
    lab.ping(5)
    setter = uapi.Setter(lab.router.interface)
    lines = ["group_name=others", "group_limit=1"]
    for number in (1, 2):
        lines += [f"public_key={number:064x}", "group=others", "allowed_ip=10.92.0.0/16"]
    for line in lines:
        setter.line(bytearray(line.encode()))
    lab.kill(0)
    lab.back_in()
    assert list(ways(lab)) == [(TARGET, 32)]
    setter.end()
    assert sorted(ways(lab)) == [(TARGET, 32), (bytes([10, 92, 0, 0]), 16)]


def test_who_leaves_the_group_by_a_set_that_is_half_sent_does_not_stand_by_when_it_moves():
    lab = Gateways(choose="order", fail_after=3)
    lab.ping(5)
    lab.kill(0, 1, 2)
    lab.ping(10)
    assert lab.group.choice.search
    setter = uapi.Setter(lab.router.interface)
    for line in (f"public_key={lab.key(0)}", "group="):
        setter.line(bytearray(line.encode()))
    lab.revive(1)
    lab.ping(10)
    setter.end()
    left = lab.router.interface.peers[lab.gateways[0].interface.me.public]
    assert lab.used == 1 and not left.standby
    assert lab.group.choice.members[1].peer.standby


@pytest.mark.parametrize("line", ["remove=true", "group="])
@BOTH
def test_a_set_that_takes_long_to_take_the_member_in_use_away_breaks_nothing(line, probe):
    lab = Gateways(probe=probe, fail_after=3)
    lab.ping(5)
    setter = uapi.Setter(lab.router.interface)
    setter.line(bytearray(f"public_key={lab.key(lab.used)}".encode()))
    setter.line(bytearray(line.encode()))
    lab.router.interface.groups.network_changed()  # an address comes meanwhile
    lab.ping(20)
    setter.end()
    assert lab.ping(10) >= 90
    assert not lab.router.log.texts("error")
