# SPDX-License-Identifier: MIT
"""PeerLimit: how many are established at once, and what the next one meets."""

import pytest

from lab.fakes.net import Node, World
from tests.unit.test_admission import Commands
from tunlite.uapi import get, text as uapi

INSIDE = b"\x0a\x09\0\1"


@pytest.fixture
def world():
    return World()


@pytest.fixture
def gateway(world):
    return Node(world, b"\x0a\0\0\1").start()


@pytest.fixture
def routers(world, gateway):
    found = []
    for last in (2, 3, 4, 5):
        node = Node(world, bytes([10, 0, 0, last])).start()
        node.add(gateway, INSIDE)
        gateway.add(node, bytes([10, 9, 0, last]), endpoint=False)
        found.append(node)
    return found


def say(node, *lines):
    setter = uapi.Setter(node.interface)
    for line in lines:
        setter.line(bytearray(line.encode()))
    setter.end()


def got(node):
    return b"".join(bytes(piece) for piece in get.pieces(node.interface)).decode()


def established(gateway):
    return [peer for peer in gateway.interface.peers.values() if peer.established.began_ms]


def key_of(router):
    return "public_key=" + router.interface.me.public.hex()


def test_the_next_one_is_refused_without_an_answer_counted_and_told_once_a_minute(
    world, gateway, routers
):
    say(gateway, "peer_limit=2")
    assert "peer_limit=2\n" in got(gateway)
    for router in routers[:2]:
        router.send(INSIDE)
        world.run(1)
    answered = len([row for row in world.log if row[2][0] == routers[2].address])
    for _ in range(11):
        routers[2].send(INSIDE)
        world.run(10)
        for router in routers[:2]:
            router.send(INSIDE)
    assert len(established(gateway)) == 2
    assert len([row for row in world.log if row[2][0] == routers[2].address]) == answered
    refused = gateway.interface.exchange.refused["over PeerLimit"]
    assert refused > 10
    told = [line for line in gateway.log.texts("info") if "PeerLimit" in line]
    assert len(told) == 2 and "2 peers are established" in told[0]


def test_when_one_has_left_the_next_one_comes_and_a_rekey_is_nobody_s_place(
    world, gateway, routers
):
    say(gateway, "peer_limit=1")
    for _ in range(30):
        routers[0].send(INSIDE)
        world.run(10)
    assert len(established(gateway)) == 1, "through two rekeys"
    world.run(200)
    routers[1].send(INSIDE)
    world.run(6)
    assert [peer.public for peer in established(gateway)] == [routers[1].interface.me.public]


def test_of_those_who_come_at_the_same_moment_so_many_stay(world, gateway, routers):
    say(gateway, "peer_limit=2")
    for router in routers:
        router.send(INSIDE)
        router.settle()
    world.run(2)
    assert len(established(gateway)) == 2


def test_we_begin_no_handshake_with_one_too_many_and_packets_for_it_wake_us_seldom(
    world, gateway, routers
):
    say(gateway, "peer_limit=1")
    routers[0].send(INSIDE)
    world.run(1)
    peer = gateway.interface.peers[routers[1].interface.me.public]
    gateway.interface.set_endpoint(peer, 4, routers[1].address, 51820)
    wakes = gateway.native.wakes
    for _ in range(40):
        gateway.send(bytes([10, 9, 0, 3]))
        world.run(0.1)
    assert peer.shakes.initiated == 0 and gateway.native.wakes - wakes < 10


def test_members_of_a_group_have_a_limit_of_their_own_and_take_it_along(world, gateway, routers):
    lines = []
    for router in routers[:3]:
        lines += [key_of(router), "group=a"]
    say(gateway, "group_name=a", "group_peer_limit=1", "group_name=b", *lines)
    assert "group_name=a\ngroup_peer_limit=1\ngroup_name=b\n" in got(gateway)
    for router in routers:
        router.send(INSIDE)
        world.run(1)
    names = [peer.group and peer.group.name for peer in established(gateway)]
    assert sorted(names, key=str) == [None, "a"]
    first = next(peer for peer in established(gateway) if peer.group)
    say(gateway, "public_key=" + first.public.hex(), "group=b")
    routers[1].send(INSIDE)
    world.run(6)
    names = [peer.group and peer.group.name for peer in established(gateway)]
    assert sorted(names, key=str) == [None, "a", "b"]


def test_the_log_names_the_limit_that_refused_and_how_many_it_counts(world, gateway, routers):
    groups = ["group_name=a", "group_peer_limit=1", "group_name=b", "group_peer_limit=1"]
    for router, name in zip(routers, "aabb", strict=True):
        groups += [key_of(router), "group=" + name]
    say(gateway, *groups)
    for router in routers:
        router.send(INSIDE)
        world.run(1)
    told = [line for line in gateway.log.texts("info") if "PeerLimit" in line]
    assert told == [
        f"1 members of group {name} are established: its PeerLimit refused handshakes of others (1)"
        for name in "ab"
    ]


def test_a_limit_that_is_set_later_counts_who_is_there_and_one_that_is_gone_refuses_nobody(
    world, gateway, routers
):
    routers[0].send(INSIDE)
    world.run(1)
    say(gateway, "peer_limit=1")
    routers[1].send(INSIDE)
    world.run(6)
    assert len(established(gateway)) == 1
    say(gateway, "peer_limit=0")
    world.run(6)
    assert len(established(gateway)) == 2 and "peer_limit" not in got(gateway)
    say(gateway, "peer_limit=1", "replace_peers=true")
    say(gateway, "replace_peers=true")
    assert "peer_limit" not in got(gateway)


def test_a_stranger_is_not_asked_about_where_there_is_no_room(world, gateway, routers):
    commands = gateway.interface.commands = Commands()
    say(gateway, "peer_limit=1")
    routers[0].send(INSIDE)
    world.run(1)
    stranger = Node(world, b"\x0a\0\0\x63").start()
    stranger.add(gateway, INSIDE)
    stranger.send(INSIDE)
    world.run(12)
    assert commands.asked == [] and gateway.native.drops.get("cookie_sent", 0) == 0


@pytest.mark.parametrize("limit", ["group_peer_limit", "peer_limit"])
def test_who_is_taken_into_what_is_full_by_then_is_refused_for_a_minute_and_holds_no_place(
    world, gateway, routers, limit
):
    interface = gateway.interface
    commands = interface.commands = Commands()
    say(gateway, *(["group_name=a", limit + "=1"] if "group" in limit else [limit + "=1"]))
    stranger = Node(world, b"\x0a\0\0\x63").start()
    stranger.add(gateway, INSIDE)
    stranger.send(INSIDE)
    world.run(7)
    assert len(commands.asked) == 1
    if "group" in limit:
        say(gateway, key_of(routers[0]), "group=a")
    routers[0].send(INSIDE)
    world.run(1)
    pairs = [("allowed_ip", b"10.9.0.50/32")] + [("group", b"a")] * ("group" in limit)
    commands.answer(pairs)
    world.run(1)
    assert stranger.interface.me.public not in interface.peers
    assert interface.admission.seen() == {"admitted": 0, "let_in": 0, "parked": 0}
    assert interface.exchange.refused["over PeerLimit"] == 1
    told = [line for line in gateway.log.texts("info") if "established" in line]
    assert len(told) == 1 and "not let in" not in "".join(gateway.log.texts("info"))
    routers[0].interface.remove_peers("test")
    established(gateway)[0].ends("test")
    waited = 0
    while len(commands.asked) == 1:
        stranger.send(INSIDE)
        world.run(1)
        waited += 1
    assert 58 <= waited <= 70
    commands.answer(pairs)
    world.run(1)
    assert established(gateway) == [interface.peers[stranger.interface.me.public]]
