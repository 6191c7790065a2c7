# SPDX-License-Identifier: MIT
"""allowed_ips.py: who has which prefix, and what the packet path is told of it."""

import struct

import pytest

from tunlite import prefixes
from tunlite.plane import allowed_ips

EIGHT = (4, b"\x0a\0\0\0", 8)
ALL = (6, bytes(16), 0)


class Peer:
    origin = ""
    sharing = None
    standby = False

    def __init__(self, handle):
        self.handle = handle
        self.allowed = []

    def allows(self, keys):
        self.allowed = keys

    def shares(self, sharing):
        self.sharing = sharing

    def stands_by(self, standby):
        self.standby = standby


class Published:
    """The allowed IPs, and the plane that they are told to."""

    def __init__(self):
        self.allowed = allowed_ips.AllowedIPs()
        self.peers = [Peer(handle) for handle in range(4)]
        self.times = 0
        self._rows = b""

    def routes(self, rows):
        self._rows = bytes(rows)
        self.times += 1

    def rows(self):
        """{(bits, peer): whether it stands by} as the plane has them now."""
        self.allowed.publish(self, lambda: None)
        found = struct.iter_unpack("<BBHI16s", self._rows)
        return {(bits, peer): bool(flags) for _, bits, flags, peer, _ in found}


@pytest.fixture
def table():
    return Published()


@pytest.fixture
def group(table):
    """Peers 0 to 2 of a group, all with both prefixes; 0 is used."""
    for peer in table.peers[:3]:
        table.allowed.share(peer, table)
        table.allowed.stand_by(peer, peer.handle != 0)
        table.allowed.add(peer, EIGHT)
        table.allowed.add(peer, ALL)
    return table.peers


def test_a_prefix_is_its_newest_owners_alone(table):
    for peer in table.peers:
        table.allowed.add(peer, EIGHT)
    assert table.rows() == {(8, 3): False}
    assert [len(peer.allowed) for peer in table.peers] == [0, 0, 0, 1]


def test_peers_of_one_group_share_prefixes_and_one_gets_what_goes_there(table, group):
    found = {(8, 0): False, (8, 1): True, (8, 2): True}
    found.update({(0, 0): False, (0, 1): True, (0, 2): True})
    assert table.rows() == found
    assert [len(peer.allowed) for peer in group] == [2, 2, 2, 0]


def test_of_two_that_do_not_stand_by_one_is_taken(table, group):
    table.allowed.stand_by(group[2], False)
    assert sorted(table.rows().values()) == [False, False, True, True, True, True]


def test_a_move_is_published_once(table, group):
    table.rows()
    table.allowed.stand_by(group[0], True)
    table.allowed.stand_by(group[1], False)
    found = table.rows()
    table.rows()
    assert table.times == 2
    assert [found[8, handle] for handle in range(3)] == [True, False, True]


def test_a_peer_of_no_group_takes_a_prefix_from_all_who_share_it(table, group):
    table.allowed.add(group[3], EIGHT)
    assert table.rows()[8, 3] is False
    assert [len(peer.allowed) for peer in group] == [1, 1, 1, 1]


def test_a_group_takes_a_prefix_from_a_peer_that_is_not_in_it(table):
    first, second = table.peers[:2]
    table.allowed.add(first, EIGHT)
    table.allowed.share(second, table)
    table.allowed.add(second, EIGHT)
    assert table.rows() == {(8, 1): False}
    assert first.allowed == []


def test_groups_do_not_share_with_each_other(table):
    for number, peer in enumerate(table.peers):
        table.allowed.share(peer, (table, table.allowed)[number % 2])
        table.allowed.add(peer, EIGHT)
    assert table.rows() == {(8, 3): False}


@pytest.mark.parametrize("how", ["remove", "clear"])
def test_who_leaves_a_shared_prefix_leaves_it_to_the_others(table, group, how):
    if how == "remove":
        table.allowed.remove(group[1], EIGHT)
        table.allowed.remove(group[1], ALL)
    else:
        table.allowed.clear(group[1])
    assert table.rows() == {(8, 0): False, (8, 2): True, (0, 0): False, (0, 2): True}
    assert group[1].allowed == []


def test_who_leaves_a_group_leaves_it_what_is_shared_and_keeps_what_it_has_alone(table, group):
    """A reload says nothing of those who stay."""
    own = (4, b"\x09\0\0\0", 8)
    table.allowed.add(group[1], own)
    table.allowed.share(group[1], None)
    table.allowed.stand_by(group[1], False)
    assert table.rows() == {
        (8, 0): False,
        (8, 2): True,
        (0, 0): False,
        (0, 2): True,
        (8, 1): False,
    }
    assert group[1].allowed == [prefixes.key_of(own)]


def test_the_last_to_leave_a_group_has_what_all_shared(table, group):
    for peer in group[:3]:
        table.allowed.share(peer, None)
    assert {row[1] for row in table.rows()} == {2}


def test_the_same_prefix_twice_is_one(table, group):
    table.allowed.add(group[1], EIGHT)
    table.rows()
    assert len(group[1].allowed) == 2


def test_packets_turn_while_what_lies_in_a_prefix_is_put_in_order(table):
    """65,000 admitted peers were one sort of 320 ms; a piece may take a few milliseconds."""
    for number in range(20_000):
        address = b"\x0a" + number.to_bytes(3, "big")
        table.allowed.add(table.peers[0], (4, address, 32))
    turns = []
    found = list(table.allowed.overlapping(EIGHT, lambda: turns.append(0)))
    assert len(found) == 20_000
    assert len(turns) > 400
    del turns[:]
    table.allowed.add(table.peers[1], (4, b"\x0a\xff\0\0", 16))
    assert len(list(table.allowed.overlapping(EIGHT, lambda: turns.append(0)))) == 20_001
    assert not turns, "it is put in order once"
