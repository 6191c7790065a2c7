# SPDX-License-Identifier: MIT
"""established.py: when a peer begins and ends to be established, and who is told."""

import json

import pytest

from lab.fakes.net import Node, World
from tunlite import keys
from tunlite.control.established import Established
from tunlite.protocol import wire

A_INSIDE, B_INSIDE = b"\x01\0\0\x01", b"\x01\0\0\x02"


class Listener:
    """What it was told: (ms, what, the peer's allowed IPs)."""

    def __init__(self, node):
        self.rows = []
        self._clock = node.world.clock
        node.interface.listeners.append(self)

    def established(self, peer):
        self._note(peer, "established")

    def left(self, peer, reason):
        self._note(peer, reason)

    def _note(self, peer, what):
        self.rows.append((self._clock.now_ms, what, len(peer.allowed)))

    def words(self):
        return [what for _, what, _ in self.rows]


class Pair:
    def __init__(self):
        self.world = World()
        self.a = Node(self.world, b"\x0a\0\0\x01").start()
        self.b = Node(self.world, b"\x0a\0\0\x02").start()
        self.b_of_a = self.a.add(self.b, B_INSIDE)
        self.a_of_b = self.b.add(self.a, A_INSIDE, endpoint=False)
        self.of_a, self.of_b = Listener(self.a), Listener(self.b)
        self.run = self.world.run

    def connect(self):
        self.a.send(B_INSIDE)
        self.run(1)
        assert self.of_a.words() == self.of_b.words() == ["established"]


@pytest.fixture
def pair():
    return Pair()


@pytest.fixture
def connected(pair):
    pair.connect()
    return pair


def test_an_initiator_is_established_by_the_response_and_a_responder_by_the_first_packet(pair):
    began = pair.world.clock.now_ms
    pair.connect()
    assert pair.of_a.rows == [(began + 40, "established", 1)]
    assert pair.of_b.rows == [(began + 60, "established", 1)]
    assert pair.b_of_a.established.began_ms == began + 40
    assert pair.a_of_b.established.began_ms == began + 60


def test_an_answered_initiation_alone_establishes_nobody(pair):
    pair.world.loses = lambda packet: packet[0][0] == pair.b.address
    pair.a.send(B_INSIDE)
    pair.run(30)
    assert pair.a_of_b.shakes.responded > 1
    assert pair.of_a.rows == pair.of_b.rows == [] and not pair.a_of_b.established.began_ms


def test_a_rekey_is_no_event(connected):
    since = connected.b_of_a.established.began_ms
    for _ in range(400):
        connected.a.send(B_INSIDE)
        connected.run(1)
    assert connected.b_of_a.shakes.completed > 2 and connected.a_of_b.shakes.completed > 2
    assert connected.of_a.words() == connected.of_b.words() == ["established"]
    assert connected.b_of_a.established.began_ms == since


def test_it_ends_when_the_last_session_receives_no_more_and_can_begin_again(connected):
    first, second = connected.of_a.rows[0][0], connected.of_b.rows[0][0]
    connected.run(300)
    assert connected.of_a.rows[1:] == [(first + wire.REJECT_AFTER_MS, "silent", 1)]
    # the responder's session began when it answered, half a way and a way before
    assert connected.of_b.rows[1:] == [(second - 40 + wire.REJECT_AFTER_MS, "silent", 1)]
    assert connected.b_of_a.established.reason == "silent"
    assert not connected.b_of_a.established.began_ms
    connected.run(600)
    assert connected.of_a.words() == ["established", "silent"]
    connected.a.send(B_INSIDE)
    connected.run(1)
    again = ["established", "silent", "established"]
    assert connected.of_a.words() == connected.of_b.words() == again


def test_one_session_after_the_other_counts_from_the_last(connected):
    connected.run(100)
    connected.b_of_a.shakes.sent_ms = 0
    connected.a.interface.exchange.want(connected.b_of_a, True)
    connected.run(1)
    last = connected.b_of_a.shakes.complete_ms
    connected.run(400)
    assert connected.of_a.rows[1:] == [(last + wire.REJECT_AFTER_MS, "silent", 1)]


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("removed", lambda interface, peer: interface.remove_peer(peer)),
        ("blocked", lambda interface, peer: interface.remove_peer(peer, "blocked")),
        ("removed", lambda interface, peer: interface.remove_peers()),
        ("link down", lambda interface, peer: interface.link_down()),
        ("key changed", lambda interface, peer: interface.set_private_key(bytearray(b"7" * 32))),
        ("key changed", lambda interface, peer: interface.set_private_key(None)),
        ("stopped", lambda interface, peer: interface.close()),
    ],
)
def test_each_end_has_its_reason_and_is_told_while_all_is_still_there(connected, reason, end):
    end(connected.a.interface, connected.b_of_a)
    assert connected.of_a.words() == ["established", reason]
    assert connected.of_a.rows[1][2] == 1
    assert connected.b_of_a.established.reason == reason
    connected.a.interface.commit()
    connected.run(600)
    assert connected.of_a.words() == ["established", reason]


def test_who_was_not_established_does_not_leave(pair):
    pair.a.interface.link_down()
    pair.a.interface.remove_peers()
    assert pair.of_a.rows == []


def test_a_listener_that_fails_stops_neither_the_handshake_nor_the_others(pair):
    class Broken:
        def established(self, peer):
            raise ValueError("odd")

        def left(self, peer, reason):
            raise OSError(5, "disk")

    pair.a.interface.listeners.insert(0, Broken())
    pair.connect()
    pair.a.interface.remove_peer(pair.b_of_a)
    pair.a.interface.commit()
    assert pair.of_a.words() == ["established", "removed"]
    told = [text for text in pair.a.log.texts("error") if "session" in text]
    assert len(told) == 2 and told[0].endswith("ValueError: odd")


def test_the_part_alone_says_what_made_a_difference():
    part = Established()
    assert not part.ended("silent") and part.reason == ""
    assert part.proved(200, 20) and not part.proved(300, 120)
    assert (part.began_ms, part.lasts_ms) == (20, 300)
    assert part.ended("silent") and not part.ended("removed")
    assert (part.began_ms, part.lasts_ms, part.reason) == (0, 0, "silent")


def test_programs_are_told_in_json_who_came_and_who_left_and_why(connected):
    connected.b_of_a.described('a "b"')
    connected.run(300)
    rows = [json.loads(text) for text in connected.a.log.texts("event")]
    assert [(row["event"], row["why"], row["name"]) for row in rows] == [
        ("establish", "", ""),
        ("disestablish", "silent", 'a "b"'),
    ]
    assert {row["peer"] for row in rows} == {keys.text(connected.b_of_a.public)}
    assert rows[0]["path_mtu"] is None
