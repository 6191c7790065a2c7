# SPDX-License-Identifier: MIT
"""Groups on layer 2, on the fakes: who is in use, probes by control frames, and byes."""

import pytest

from lab.fakes.groups import Gateways
from tunlite.plane import plane as planes
from tunlite.uapi import status

ECHO, ANSWER, BYE = b"\2\0", b"\2\1", b"\2\4"


class Mesh(Gateways):
    """Of layer 2."""

    def __init__(self, **options):
        super().__init__(layer=2, **options)

    def uses(self):
        """What C of the router knows of each gateway, in their order."""
        peers = self.router.interface.peers
        handles = [peers[node.interface.me.public].handle for node in self.gateways]
        return [self.router.native.peers[handle].use for handle in handles]

    def frames(self, what, to=None):
        """When control frames of that kind left the router, for a gateway or for all."""
        found = []
        for now_ms, source, target, message in self.world.log:
            is_of = source[0] == self.router.address and message[:1] == b"\4"
            if is_of and message[16:18] == what and (to is None or target[0] == to.address):
                found.append((now_ms, message[18:-16]))
        return found

    def byes(self, number):
        """That a gateway got."""
        return sum([peer.byes for peer in self.gateways[number].native.peers.values()])


def test_of_a_group_one_member_is_in_use_and_who_is_in_none_is():
    mesh = Mesh(choose="order")
    assert mesh.uses() == [planes.IN_USE, planes.STANDBY, planes.STANDBY]
    mesh.set(f"public_key={mesh.key(2)}", "group=")
    assert mesh.uses() == [planes.IN_USE, planes.STANDBY, planes.IN_USE]
    mesh.set(f"public_key={mesh.key(2)}", "group=gateways")
    assert mesh.uses() == [planes.IN_USE, planes.STANDBY, planes.STANDBY]
    mesh.set("group_name=gateways", "group_limit=")
    assert mesh.uses() == [planes.IN_USE] * 3


def test_two_groups_use_two_at_once_and_each_fails_over_by_itself():
    """In place of a Limit of 2, which layer 2 has no more than layer 3."""
    mesh = Mesh(choose="order", fail_after=3)
    mesh.set("group_name=others", "group_limit=1", "group_choose=order")
    mesh.set(f"public_key={mesh.key(2)}", "group=others")
    assert mesh.uses() == [planes.IN_USE, planes.STANDBY, planes.IN_USE]
    mesh.ping(5)
    mesh.kill(0)
    mesh.ping(10)
    assert mesh.uses() == [planes.STANDBY, planes.IN_USE, planes.IN_USE]


def test_a_group_without_a_limit_uses_all():
    assert Mesh(limit="").uses() == [planes.IN_USE] * 3


def test_frames_go_by_the_next_member_after_fail_after_and_nobody_dead_is_kept_for_5_s():
    mesh = Mesh(choose="order", fail_after=3)
    mesh.ping(5)
    assert mesh.used == 0
    mesh.kill(0)
    assert mesh.back_in() < 3000 + 2500
    assert mesh.used == 1
    assert mesh.uses() == [planes.STANDBY, planes.IN_USE, planes.STANDBY]
    assert mesh.losses == [1, 0, 0]


def test_a_silent_member_is_asked_by_control_frames_whose_number_is_drawn():
    mesh = Mesh(choose="order", fail_after=3)
    mesh.ping(3)
    assert mesh.frames(ECHO) == []
    mesh.silent = {0, 1, 2}
    mesh.ping(60, every_ms=500)
    asked = mesh.frames(ECHO)
    assert asked and mesh.used == 0 and mesh.losses == [0, 0, 0]
    numbers = {body for _, body in asked}
    assert all(len(number) == 8 for number in numbers)
    shown = b"".join(status.pieces(mesh.router.daemon)).decode()
    assert '"probed_by": "echo"' in shown


def test_probes_are_a_fifteenth_of_fail_after_apart_and_the_first_after_a_third_of_it():
    mesh = Mesh(choose="order", fail_after=3)
    mesh.ping(5)
    began_ms = mesh.world.clock.now_ms
    mesh.kill(0)
    mesh.ping(2.9)
    times = [when_ms for when_ms, _ in mesh.frames(ECHO, mesh.gateways[0])]
    assert 1000 <= times[0] - began_ms <= 1300
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert 5 <= len(times) <= 11 and all(190 <= gap <= 320 for gap in gaps)


def test_handshakes_that_are_answered_prove_no_life_where_control_frames_are_not():
    """Its packet path is stuck: C of such a gateway answers nothing, its Python does."""
    mesh = Mesh(choose="order", fail_after=3)
    mesh.ping(5)
    mesh.world.loses = lambda p: p[0][0] == mesh.gateways[0].address and p[2][0] == 4
    assert mesh.back_in() < 15_000
    assert mesh.used == 1


def test_who_is_left_on_a_planned_move_is_told_and_served_5_s_more():
    mesh = Mesh(choose="order")
    mesh.ping(5)
    mesh.router.interface.exchange.now_ms = mesh.world.clock.now_ms
    mesh.set(f"public_key={mesh.key(2)}", "use=true")
    assert mesh.ping(10) == 100
    assert mesh.used == 2
    assert mesh.uses() == [planes.LEFT, planes.STANDBY, planes.IN_USE]
    assert mesh.byes(0) == 1 and len(mesh.frames(BYE)) == 1
    assert mesh.router.native.drops.get("not_in_use", 0) == 0


def test_a_planned_move_waits_for_a_control_frame_that_is_answered():
    mesh = Mesh(choose="order")
    mesh.ping(5)
    there = mesh.gateways[2].address
    mesh.world.loses = lambda p: p[0][0] == there and p[2][0] == 4
    mesh.set(f"public_key={mesh.key(2)}", "use=true")
    mesh.ping(40)
    assert mesh.used == 0 and mesh.losses == [0, 0, 1]
    assert mesh.byes(0) == 0


def test_a_way_of_one_second_still_proves_a_planned_move():
    mesh = Mesh(choose="order", fail_after=1)
    mesh.ping(5)
    mesh.world.delay_ms = lambda packet: (
        500 if mesh.gateways[2].address in (packet[0][0], packet[1][0]) else 20
    )
    mesh.set(f"public_key={mesh.key(2)}", "use=true")
    mesh.ping(15)
    assert mesh.used == 2


def test_frames_of_a_standby_are_answered_with_a_bye():
    mesh = Mesh(choose="order")
    mesh.ping(5)
    mesh.set(f"public_key={mesh.key(1)}", "use=true")
    mesh.ping(20)
    mesh.gateways[0].send(b"\x0a\x4d\0\x02", b"late")
    mesh.world.run(1)
    assert mesh.router.native.drops["not_in_use"] == 1 and mesh.byes(0) == 2


def test_a_gateway_that_ends_says_so_and_another_is_used_before_fail_after():
    mesh = Mesh(choose="order", fail_after=10)
    mesh.ping(5)
    mesh.gateways[0].interface.link_down()
    assert mesh.back_in() < 4000
    assert mesh.used == 1


def test_an_idle_group_sends_nothing():
    mesh = Mesh(choose="order")
    mesh.ping(5)
    mesh.world.run(300)
    before = len(mesh.world.log)
    mesh.world.run(600)
    assert len(mesh.world.log) == before


def test_layer_3_publishes_no_use():
    lab = Gateways(choose="order")
    lab.ping(2)
    assert lab.router.interface.bridge is None
    assert lab.router.interface.usage is lab.router.interface.allowed


@pytest.mark.parametrize("seed", range(3))
def test_the_new_one_is_in_use_before_the_old_one_is_not(seed):
    mesh = Mesh(seed=seed + 1)
    mesh.ping(3)
    told = []
    native = mesh.router.native
    use = native.tl_peer_use
    native.tl_peer_use = lambda *row: told.append(row[2]) or use(*row)
    mesh.kill(mesh.used)
    mesh.back_in()
    assert told == [planes.IN_USE, planes.STANDBY]
