# SPDX-License-Identifier: MIT
"""Whole daemons over a fake network: handshakes, rotation, loss, restarts, a thousand peers."""

import struct

import pytest

from lab.fakes.net import Node, World
from tunlite import endpoints
from tunlite.plane import plane as planes
from tunlite.protocol import stamp, wire

A_INSIDE, B_INSIDE = b"\x01\0\0\x01", b"\x01\0\0\x02"


class Pair:
    """Two daemons that know each other."""

    def __init__(self, seed=1, psk=None, persistent_s=0):
        self.world = World(seed)
        self.a = Node(self.world, b"\x0a\0\0\x01").start()
        self.b = Node(self.world, b"\x0a\0\0\x02").start()
        self.b_of_a = self.a.add(self.b, B_INSIDE, psk, persistent_s=persistent_s)
        self.a_of_b = self.b.add(self.a, A_INSIDE, psk)

    def run(self, seconds):
        self.world.run(seconds)

    def a_sends(self, data):
        self.a.send(B_INSIDE, data)

    def b_sends(self, data):
        self.b.send(A_INSIDE, data)

    def begin(self, node, peer):
        """A handshake at once, whatever was tried just before."""
        peer.shakes.sent_ms = peer.shakes.retry_ms = 0
        node.interface.exchange.now_ms = self.world.clock.now_ms
        node.interface.exchange.want(peer, True)

    def messages(self, kind, sender=None):
        """Times and senders of the datagrams of one type."""
        return [
            row
            for row in self.world.log
            if row[3][0] == kind and (sender is None or row[1][0] == sender.address)
        ]

    def flow(self, seconds, step=0.5, both=True):
        """Steady traffic; the number of packets that were lost either way."""
        sent_a = sent_b = got_a = got_b = 0
        for i in range(int(seconds / step)):
            self.a_sends(b"a%d" % i)
            sent_a += 1
            if both:
                self.b_sends(b"b%d" % i)
                sent_b += 1
            self.run(step)
            got_a += len(self.b.received())
            got_b += len(self.a.received())
        return sent_a - got_a, sent_b - got_b


@pytest.fixture
def pair():
    return Pair()


def test_the_first_packet_waits_for_the_handshake_and_arrives(pair):
    pair.a_sends(b"one")
    pair.a_sends(b"two")
    pair.run(1)
    assert pair.b.received() == [b"one", b"two"]
    assert [row[3][0] for row in pair.world.log] == [1, 2, 4, 4]


def test_who_wants_a_session_when_one_is_confirmed_begins_no_handshake(pair):
    exchange = pair.b.interface.exchange
    told = exchange.event

    def event(peer, events, now_ms):
        """An answer was staged before Python heard of the first packet: C tells both at once."""
        seen.append(events & planes.CONFIRMED)
        told(peer, events | (planes.WANTS_SESSION if seen[-1] else 0), now_ms)

    seen = []
    exchange.event = event
    pair.a_sends(b"one")
    pair.run(10)
    assert pair.b.received() == [b"one"]
    assert any(seen) and pair.a_of_b.shakes.initiated == 0


def test_a_late_word_of_one_session_does_not_confirm_the_one_that_came_after(pair):
    peer, plane, native = pair.a_of_b, pair.b.interface.plane, pair.b.native
    take = native.tl_events

    def late(*arguments):
        """Another handshake is answered before Python hears of the first one's packet."""
        native.tl_events = take
        index = plane.index_new(peer.handle)
        now_ms = pair.world.clock.now_ms
        plane.session_new(planes.session_record(index, bytes(4), now_ms, False, 16, 120_000))
        peer.sessions.add(index, False, now_ms)
        peer.arm()
        return take(*arguments)

    native.tl_events = late
    pair.a_sends(b"one")
    pair.run(1)
    assert native.tl_events == take and pair.b.received() == [b"one"]
    assert peer.sessions.current is None and peer.sessions.next is not None


def test_a_preshared_key_of_both_works_and_of_one_does_not():
    pair = Pair(psk=bytes(range(32)))
    pair.a_sends(b"one")
    pair.run(1)
    assert pair.b.received() == [b"one"]
    pair = Pair(psk=bytes(range(32)))
    pair.b.interface.set_psk(pair.a_of_b, bytes(32))
    pair.a_sends(b"one")
    pair.run(20)
    assert pair.b.received() == []
    assert pair.a.interface.exchange.refused == {"not authentic": 4}


def test_a_new_preshared_key_holds_without_dropping_the_session():
    old, new = b"1" * 32, b"2" * 32
    pair = Pair(psk=old)
    assert pair.flow(5) == (0, 0)
    session = pair.b_of_a.sessions.current
    handshakes = len(pair.messages(1))
    pair.a.interface.set_psk(pair.b_of_a, new)
    pair.a.interface.commit()
    assert pair.flow(5) == (0, 0)
    assert pair.b_of_a.sessions.current is session and len(pair.messages(1)) == handshakes
    # it holds for the next handshake: with the old one at the other end there is none
    pair.begin(pair.a, pair.b_of_a)
    assert pair.flow(5) == (0, 0)
    assert pair.b_of_a.sessions.current is session and pair.a.interface.exchange.refused
    pair.b.interface.set_psk(pair.a_of_b, new)
    pair.b.interface.commit()
    assert pair.flow(15) == (0, 0)
    assert pair.b_of_a.sessions.current is not session and pair.b_of_a.shakes.completed == 2


def test_without_staged_packets_the_initiator_confirms_with_a_keepalive():
    pair = Pair(persistent_s=25)
    pair.run(1)
    assert [row[3][0] for row in pair.world.log] == [1, 2, 4]
    assert len(pair.world.log[2][3]) == 32
    assert pair.a_of_b.sessions.current is not None
    assert pair.a_of_b.sessions.next is None


def test_the_responder_sends_only_when_the_initiator_was_heard_on_the_session(pair):
    pair.a.native.tl_peer_keepalive = lambda *_: 0  # swallowed
    pair.world.loses = lambda packet: packet[2][0] == 4 and packet[0][0] == pair.a.address
    pair.a_sends(b"lost")
    pair.run(0.2)
    assert pair.a_of_b.sessions.next is not None
    pair.b_sends(b"waits")
    pair.run(0.2)
    assert pair.a.received() == []
    pair.world.loses = lambda packet: False
    pair.a_sends(b"confirms")
    pair.run(0.2)
    assert pair.a.received() == [b"waits"]
    assert pair.b.received() == [b"confirms"]


def test_an_idle_tunnel_wakes_only_for_its_timers(pair):
    pair.a_sends(b"one")
    pair.run(30)
    before = pair.a.native.wakes
    pair.run(500)
    assert pair.a.native.wakes - before <= 2
    pair.run(60)
    assert pair.b_of_a.sessions.current is None  # keys are wiped after 540 s
    before = pair.a.native.wakes
    pair.run(36_000)
    assert pair.a.native.wakes - before <= 1


def test_data_without_reply_gets_a_keepalive_after_10_seconds(pair):
    pair.a_sends(b"one")
    pair.run(20)
    mine = pair.messages(4, pair.b)
    assert len(mine) == 1
    assert len(mine[0][3]) == 32
    data_ms = pair.messages(4, pair.a)[0][0]
    assert 10_000 <= mine[0][0] - data_ms <= 10_100


def test_steady_traffic_rekeys_every_120_seconds_without_a_lost_packet(pair):
    assert pair.flow(1000) == (0, 0)
    assert 8 <= pair.b_of_a.shakes.completed <= 9
    assert pair.b_of_a.shakes.failed == 0
    assert len(pair.a.native.indices) <= 3


def test_traffic_one_way_rekeys_by_the_initiator_too(pair):
    pair.a_sends(b"one")
    pair.run(1)
    pair.b.received()
    pair.a.received()
    lost = 0
    for i in range(800):
        pair.b_sends(b"b%d" % i)
        pair.run(0.5)
        lost += 1 - len(pair.a.received())
    # 165 s after the session began, the receiving initiator renews it: nothing is ever late.
    assert lost == 0
    assert pair.b_of_a.shakes.initiated == 3


def test_returns_to_python_do_not_grow_with_packets(pair):
    pair.a_sends(b"one")
    pair.run(1)
    before = pair.a.native.returns
    for _ in range(10_000):
        pair.a_sends(b"x")
        pair.world.clock.now_ms += 2
    pair.run(0.1)
    assert pair.a.native.returns - before <= 30


def test_a_lost_initiation_is_sent_again_after_5_seconds_and_a_bit(pair):
    lost = []
    pair.world.loses = lambda packet: packet[2][0] == 1 and len(lost) < 3 and not lost.append(1)
    pair.a_sends(b"one")
    pair.run(30)
    times = [row[0] for row in pair.messages(1)]
    assert len(times) == 4
    for gap in (b - a for a, b in zip(times, times[1:], strict=False)):
        assert 5000 <= gap <= 5333
    assert pair.b.received() == [b"one"]


def note_source(peer, plane):
    """Notes an address of ours as what the peer is reached from; a call: is it so still?"""
    record = plane.peers[peer.handle].endpoint
    plane.peers[peer.handle].endpoint = record[:24] + b"\x0a\0\0\x01" + bytes(20)
    return lambda: plane.peers[peer.handle].endpoint != record


def test_a_retransmission_lets_the_kernel_choose_the_source_address_anew(pair):
    pair.world.loses = lambda packet: True
    is_kept = note_source(pair.b_of_a, pair.a.native)
    pair.a_sends(b"one")
    pair.run(4)
    assert is_kept() and len(pair.messages(1)) == 1
    pair.run(2)
    assert not is_kept() and len(pair.messages(1)) == 2


def test_a_handshake_for_unanswered_data_lets_the_kernel_choose_the_source_address_anew(pair):
    pair.flow(5)
    pair.run(15)
    pair.world.loses = lambda packet: True
    is_kept = note_source(pair.b_of_a, pair.a.native)
    before = len(pair.messages(1))
    pair.a_sends(b"one")
    pair.run(14)
    assert is_kept() and len(pair.messages(1)) == before
    pair.run(2)
    assert not is_kept() and len(pair.messages(1)) == before + 1


def test_an_initiation_that_could_not_leave_is_not_one_that_stays_unanswered(pair):
    pair.a.native.send_error = 101  # no route
    pair.a_sends(b"one")
    pair.run(62)
    assert pair.b_of_a.shakes.initiated > 10 and pair.b_of_a.stamps.unanswered == 0
    pair.a.native.send_error = 0
    pair.world.loses = lambda packet: True
    pair.run(12)
    assert pair.b_of_a.stamps.unanswered >= 2


def test_a_link_that_was_down_goes_on_with_the_stamps_of_its_peers(pair):
    pair.flow(2)
    before = pair.b_of_a.stamps.stamp
    pair.a.interface.link_down()
    assert before and pair.b_of_a.stamps.stamp == before and pair.b_of_a.stamps.unanswered == -1


@pytest.mark.parametrize("is_answered", [True, False])
def test_stamps_leap_only_where_no_initiation_was_answered_in_this_run(pair, is_answered):
    pair.world.clock.synchronised = False
    pair.world.loses = lambda packet: not is_answered
    pair.a_sends(b"one")
    pair.run(20)
    before = pair.b_of_a.stamps.stamp
    pair.world.loses = lambda packet: True
    pair.a_sends(b"two")
    pair.run(60)
    assert (pair.b_of_a.stamps.stamp - before >= stamp.HOUR) != is_answered


@pytest.mark.parametrize("steps", [1, 2])
def test_an_attempt_that_ends_while_its_answer_is_read_makes_no_session(pair, steps):
    exchange = pair.a.interface.exchange
    pair.world.delay_ms = lambda packet: 100
    pair.a_sends(b"one")
    pair.run(0.15)
    pair.world.clock.now_ms += 100
    pair.a.native.inbox += [row[1:] for row in pair.messages(2)]
    pair.a.native.tl_run(0, bytes(8))
    exchange.ring_filled()
    for _ in range(steps):
        exchange.step(pair.world.clock.now_ms)
    assert exchange.busy() and pair.b_of_a.sessions.current is None
    pair.b_of_a.drop_attempts(pair.b_of_a.shakes.under_way)
    while exchange.busy():
        exchange.step(pair.world.clock.now_ms)
    assert pair.b_of_a.sessions.current is None and pair.a.native.indices == {}


def test_a_lost_response_is_made_good_by_the_next_attempt(pair):
    lost = []
    pair.world.loses = lambda packet: packet[2][0] == 2 and len(lost) < 2 and not lost.append(1)
    pair.a_sends(b"one")
    pair.run(30)
    assert pair.b.received() == [b"one"]
    assert pair.a_of_b.shakes.responded == 3


def test_an_attempt_ends_after_90_seconds_and_what_waited_is_dropped(pair):
    pair.world.loses = lambda packet: True
    pair.a_sends(b"one")
    pair.run(120)
    assert len(pair.messages(1)) == 20  # as the kernel counts: one, and 19 retransmissions
    assert pair.b_of_a.shakes.failed == 1
    assert pair.a.native.peers[pair.b_of_a.handle].staged == []
    assert pair.a.native.indices == {}
    pair.world.loses = lambda packet: False
    pair.a_sends(b"two")
    pair.run(1)
    assert pair.b.received() == [b"two"]


def test_packets_that_keep_coming_begin_a_new_attempt(pair):
    pair.world.loses = lambda packet: True
    for _ in range(300):
        pair.a_sends(b"x")
        pair.run(1)
    assert len(pair.messages(1)) >= 50


def test_packets_that_wait_for_a_handshake_under_way_wake_no_one(pair):
    pair.world.loses = lambda packet: True
    pair.a_sends(b"x")
    pair.run(0.1)
    before = pair.a.native.wakes
    for _ in range(100):
        pair.a_sends(b"x")
        pair.run(0.01)
    assert pair.a.native.wakes == before


def test_a_persistent_peer_never_gives_up():
    pair = Pair(persistent_s=25)
    pair.world.loses = lambda packet: True
    pair.run(3600)
    assert pair.b_of_a.shakes.failed > 20
    pair.world.loses = lambda packet: False
    pair.run(30)
    assert pair.b_of_a.shakes.completed == 1


def test_persistent_keepalives_leave_every_interval():
    pair = Pair(persistent_s=25)
    pair.run(1)
    begin = len(pair.world.log)
    pair.run(100)
    sent = [row for row in pair.world.log[begin:] if row[1][0] == pair.a.address]
    assert [len(row[3]) for row in sent] == [32] * 4


def _keepalives(pair, sender, since):
    rows = pair.messages(4, sender)
    return [row[0] for row in rows if len(row[3]) == 32 and row[0] >= since]


@pytest.mark.parametrize("both", [True, False])
def test_no_persistent_keepalive_on_a_busy_tunnel(both):
    pair = Pair(persistent_s=1)
    pair.run(3)
    busy = pair.world.clock.now_ms
    assert pair.flow(600, step=0.9, both=both) == (0, 0)
    quiet = pair.world.clock.now_ms
    found = _keepalives(pair, pair.a, busy + 1)
    # each session of ours, every 120 s, is confirmed by one where no packet waits to do it
    assert len(found) <= 600 // 120
    pair.run(60)
    assert 55 <= len(_keepalives(pair, pair.a, quiet)) <= 60


def test_two_idle_peers_do_not_keep_each_other_awake_by_keepalives(pair):
    pair.flow(5)
    pair.a_sends(b"unanswered")
    pair.run(11)
    idle = pair.world.clock.now_ms
    keepalives = _keepalives(pair, pair.a, 0) + _keepalives(pair, pair.b, 0)
    assert keepalives, "what was not answered got one"
    pair.run(24 * 3600)
    assert [row for row in pair.world.log if row[0] >= idle] == []


def test_only_a_persistent_keepalive_that_was_off_leaves_at_once():
    pair = Pair(persistent_s=25)
    pair.run(1)
    before = len(pair.world.log)
    pair.a.interface.set_persistent(pair.b_of_a, 20)
    pair.run(1)
    assert len(pair.world.log) == before
    pair.a.interface.set_persistent(pair.b_of_a, 0)
    pair.a.interface.set_persistent(pair.b_of_a, 20)
    pair.run(1)
    assert [len(row[3]) for row in pair.world.log[before:]] == [32]


def test_unanswered_data_begins_a_new_handshake_after_15_seconds(pair):
    pair.flow(5)
    pair.world.loses = lambda packet: packet[1][0] == pair.a.address
    begin_ms = pair.world.clock.now_ms
    before = len(pair.messages(1, pair.a))
    for _ in range(40):
        pair.a_sends(b"x")
        pair.run(0.5)
    began = pair.messages(1, pair.a)[before:]
    assert 14_500 <= began[0][0] - begin_ms <= 15_900


def test_both_sides_that_begin_at_once_are_connected_at_once():
    for seed in range(5):
        pair = Pair(seed)
        pair.a_sends(b"from a")
        pair.b_sends(b"from b")
        pair.run(0.5)
        assert pair.b.received() == [b"from a"]
        assert pair.a.received() == [b"from b"]
        assert pair.flow(300) == (0, 0)


def test_the_session_before_a_rotation_receives_on_when_the_other_side_rotates_too(pair):
    pair.a_sends(b"one side begins")
    pair.run(10)
    first = pair.b_of_a.sessions.current
    for node, peer in ((pair.a, pair.b_of_a), (pair.b, pair.a_of_b)):
        assert first in pair.a.native.indices
        pair.begin(node, peer)
        pair.run(1)
    assert pair.b_of_a.shakes.completed == 3
    assert pair.b_of_a.sessions.parting == first and first in pair.a.native.indices
    pair.flow(30)
    assert pair.b_of_a.sessions.parting is None and first not in pair.a.native.indices


@pytest.mark.parametrize("restarted", ["a", "b"])
def test_a_side_that_restarts_is_connected_again(restarted):
    pair = Pair()
    pair.flow(5)
    old = getattr(pair, restarted)
    other = pair.b if restarted == "a" else pair.a
    private = bytearray(old.interface.me.private)
    old.remove()
    pair.run(3)
    new = Node(pair.world, old.address, old.port.files, seed=99).start(private)
    setattr(pair, restarted, new)
    new.add(other, B_INSIDE if restarted == "a" else A_INSIDE)
    for _ in range(40):
        pair.a_sends(b"x")
        pair.run(1)
    assert pair.b.received()[-1] == b"x"
    assert pair.flow(10) == (0, 0)


def test_the_endpoint_follows_the_peer(pair):
    pair.flow(2)
    del pair.world.nodes[pair.b.address]
    pair.b.address = pair.b.native.address = b"\x0a\0\0\x63"
    pair.world.nodes[pair.b.address] = pair.b
    pair.b_sends(b"from elsewhere")
    pair.run(1)
    assert pair.a.received() == [b"from elsewhere"]
    assert pair.flow(5) == (0, 0)


def test_a_replayed_initiation_is_refused(pair):
    pair.a_sends(b"one")
    pair.run(1)
    row = pair.messages(1)[0]
    before = pair.a_of_b.sessions.current
    pair.world.transmit((row[1], row[2], row[3]))
    pair.run(1)
    assert pair.b.interface.exchange.refused == {"replayed": 1}
    assert pair.a_of_b.sessions.current == before
    assert pair.a_of_b.sessions.next is None


def test_at_most_fifty_initiations_a_second_are_taken_of_one_peer(pair):
    pair.world.delay_ms = lambda packet: 0
    pair.a_sends(b"one")
    pair.run(0.001)
    pair.begin(pair.a, pair.b_of_a)
    pair.run(0.001)
    assert pair.b.interface.exchange.refused == {"too soon after the last one": 1}


@pytest.mark.parametrize(("after_ms", "taken"), [(19, 1), (20, 2)])
def test_the_next_initiation_of_a_peer_is_taken_after_20_ms(pair, after_ms, taken):
    pair.world.delay_ms = lambda packet: 0
    pair.a_sends(b"one")
    pair.run(0.001)
    pair.world.clock.now_ms = pair.a_of_b.shakes.initiation_ms + after_ms
    pair.begin(pair.a, pair.b_of_a)
    pair.run(0)
    assert pair.a_of_b.shakes.responded == taken


def test_a_stranger_is_refused_and_gets_no_answer(pair):
    stranger = Node(pair.world, b"\x0a\0\0\x09").start()
    stranger.add(pair.b, B_INSIDE)
    stranger.send(B_INSIDE, b"hello")
    pair.run(10)
    assert pair.b.received() == []
    assert [row for row in pair.world.log if row[2][0] == stranger.address] == []
    assert pair.b.interface.exchange.refused == {"from an unknown peer": 2}


def test_under_load_a_cookie_lets_the_initiator_in(pair):
    pair.b.native.under_load = True
    pair.a_sends(b"one")
    pair.run(12)
    assert pair.b.received() == [b"one"]
    assert [row[3][0] for row in pair.world.log][:5] == [1, 3, 1, 2, 4]


def test_the_endpoint_does_not_move_by_a_cookie_reply(pair):
    world, elsewhere = pair.world, (b"\x0a\0\0\x09", 9)

    def moved(packet):
        if packet[2][0] == 3 and packet[0] != elsewhere:
            world.transmit((elsewhere, *packet[1:]))
            return True
        return False

    before = pair.a.interface.plane.endpoint_of(pair.b_of_a.handle)
    pair.b.native.under_load, world.loses = True, moved
    pair.a_sends(b"one")
    pair.run(1)
    assert pair.b_of_a.cookies.cookie is not None
    assert pair.a.interface.plane.endpoint_of(pair.b_of_a.handle) == before
    pair.run(9)
    assert pair.b.received() == [b"one"]


def test_an_initiator_under_load_reconnects(pair):
    pair.a.native.under_load = True
    pair.a_sends(b"one")
    pair.run(12)
    assert pair.b.received() == [b"one"]
    assert [row[3][0] for row in pair.world.log][:6] == [1, 2, 3, 1, 2, 4]


@pytest.mark.parametrize("seed", range(6))
def test_with_loss_and_reordering_the_tunnel_recovers_and_stays(seed):
    pair = Pair(seed)
    chance = pair.world.chance
    pair.world.loses = lambda packet: chance.random() < 0.2
    pair.world.delay_ms = lambda packet: chance.randrange(5, 400)
    pair.flow(1500, step=1)
    pair.world.loses = lambda packet: False
    pair.flow(30, step=1)
    pair.run(2)
    pair.a.received(), pair.b.received()
    pair.world.delay_ms = lambda packet: 20
    assert pair.flow(200) == (0, 0)
    assert len(pair.a.native.indices) <= 4
    assert len(pair.b.native.indices) <= 4


def test_a_private_key_that_changes_ends_all_sessions(pair):
    pair.flow(5)
    pair.a.interface.set_private_key(bytearray(range(1, 33)))
    assert pair.b_of_a.sessions.current is None
    assert pair.a.native.indices == {}
    pair.a_sends(b"refused")
    pair.run(10)
    assert pair.b.received() == []
    pair.a_of_b = pair.b.add(pair.a, A_INSIDE)
    pair.run(10)
    assert pair.b.received() == [b"refused"]


def test_a_link_that_goes_down_ends_sessions_and_comes_back():
    pair = Pair(persistent_s=10)
    pair.flow(5)
    pair.a.interface.link_down()
    assert pair.b_of_a.sessions.current is None
    assert pair.a.native.indices == {}
    before = pair.a.native.wakes
    pair.run(300)
    assert pair.a.native.wakes == before
    pair.a.interface.link_up()
    pair.run(1)
    assert pair.b_of_a.shakes.completed == 2


def test_what_waited_when_the_link_went_down_is_not_sent_when_it_comes_up(pair):
    pair.world.loses = lambda packet: True
    pair.a_sends(b"old")
    pair.run(1)
    pair.a.interface.link_down()
    pair.world.loses = lambda packet: False
    pair.run(60)
    pair.a.interface.link_up()
    pair.a_sends(b"new")
    pair.run(1)
    assert pair.b.received() == [b"new"]


@pytest.mark.parametrize("when", range(3))
def test_a_peer_removed_during_its_handshake_leaves_nothing_behind(pair, when):
    exchange = pair.a.interface.exchange
    pair.a_sends(b"one")
    pair.a.turn()
    for steps in range(4):
        if steps == when:
            pair.a.interface.remove_peer(pair.b_of_a)
            pair.a.interface.commit()
        exchange.step(pair.world.clock.now_ms)
    pair.run(10)
    assert pair.a.native.indices == {}
    assert pair.a.native.peers == {}
    assert pair.messages(1) == []


def test_packets_turn_between_the_multiplications_of_a_handshake(pair):
    pair.a_sends(b"one")
    pair.a.turn()
    turns = pair.a.native.returns
    while pair.a.interface.exchange.busy():
        pair.a.turn()
    assert pair.a.native.returns - turns >= 3


class Resolver:
    """Notes what it is asked; the test answers."""

    def __init__(self):
        self.wanted, self.answers, self.asked_again = [], {}, 0

    def want(self, key, names):
        self.wanted.append((key, names))

    def found(self, name):
        return self.answers.get(name, [])

    def again(self, key):
        self.asked_again += 1

    def answer(self, interface, peer, name, *addresses):
        self.answers[name] = [endpoints.record(4, address, name[1])[:24] for address in addresses]
        interface.resolved(peer.public)


def test_a_peer_whose_name_is_not_resolved_yet_waits_without_waking_anyone():
    pair = Pair()
    interface, resolver, name = pair.a.interface, Resolver(), ("gateway.example", 51820)
    interface.resolver = resolver
    pair.a.interface.remove_peers()
    pair.a.interface.commit()
    peer = pair.a.add(pair.b, B_INSIDE, endpoint=False)
    interface.set_endpoints(peer, [name])
    assert resolver.wanted[-1] == (peer.public, [name])
    pair.run(1)
    before = pair.a.native.wakes
    pair.a_sends(b"too early")
    pair.run(300)
    assert pair.a.native.wakes - before <= 1
    resolver.answer(interface, peer, name, b"\x0a\0\0\x63")
    pair.a_sends(b"to a wrong address")
    pair.run(60)
    assert resolver.asked_again >= 1
    resolver.answer(interface, peer, name, pair.b.address)
    pair.run(10)
    assert pair.b.received() == [b"to a wrong address"]


def test_a_persistent_peer_is_spoken_to_as_soon_as_its_name_is_resolved():
    pair, name = Pair(), ("gateway.example", 51820)
    resolver = pair.a.interface.resolver = Resolver()
    pair.a.interface.remove_peers()
    pair.a.interface.commit()
    peer = pair.a.add(pair.b, B_INSIDE, endpoint=False, persistent_s=25)
    pair.a.interface.set_endpoints(peer, [name])
    pair.run(40)
    resolver.answer(pair.a.interface, peer, name, pair.b.address)
    pair.run(1)
    assert peer.shakes.completed == 1


def test_a_thousand_peers_reconnect_at_once():
    world = World()
    gateway = Node(world, b"\x0a\0\0\0").start()
    routers = []
    for i in range(1000):
        address = b"\x0b\0" + bytes(divmod(i, 256))
        router = Node(world, address, seed=1000 + i).start()
        router.add(gateway, b"\x01\0\0\x01", persistent_s=25)
        gateway.add(router, b"\x02\0" + address[2:], endpoint=False)
        routers.append(router)
    world.run(20)
    assert all(peer.sessions.current is not None for peer in gateway.interface.peers.values())
    for router in routers:
        gateway.send(b"\x02\0" + router.address[2:], b"hello")
    world.run(1)
    assert all(router.received() == [b"hello"] for router in routers)


def test_a_rekey_interval_from_the_configuration_is_kept(pair):
    pair.a.interface.rekey_ms = 5000
    assert pair.flow(60) == (0, 0)
    assert pair.b_of_a.shakes.completed >= 8


def test_the_session_record_holds_the_limits_of_the_paper():
    record = planes.session_record(b"IIII", b"RRRR", 5, True, 16, wire.REKEY_AFTER_MS)
    assert len(record) == 120
    assert record[:8] == b"IIIIRRRR"
    assert int.from_bytes(record[104:112], "little") == 1 << 60
    assert int.from_bytes(record[112:120], "little") == (1 << 64) - (1 << 13) - 1


def test_sessions_are_made_with_the_ages_of_the_paper(pair):
    records = []
    for node in (pair.a, pair.b):
        made = node.native.tl_session_new

        def new(plane, record, size, made=made):
            records.append(bytes(record))
            return made(plane, record, size)

        node.native.tl_session_new = new
    pair.a_sends(b"one")
    pair.run(1)
    ages = [struct.unpack_from("<6I", record, 80) for record in records]
    assert ages == [(i, 16, 120_000, 165_000, 180_000, 0) for i in (0, 1)]


def test_what_a_removed_peers_handshake_computed_is_wiped(pair):
    peer = pair.b_of_a
    pair.a.interface._reset_peers("")
    pair.a_sends(b"one")
    pair.a.turn()
    exchange = pair.a.interface.exchange
    exchange.step(pair.world.clock.now_ms)
    pair.a.interface.remove_peer(peer)
    pair.a.interface.commit()
    while exchange.busy():
        exchange.step(pair.world.clock.now_ms)
    assert peer.static_static is None


def test_a_message_that_waits_when_the_link_goes_down_makes_no_session(pair):
    pair.a_sends(b"one")
    pair.run(0.001)
    pair.b.native.inbox.append(pair.world.log[0][1:])
    pair.b.native.tl_run(0, bytes(8))
    assert len(pair.b.native.ring) == 1
    pair.b.interface.exchange.ring_filled()
    pair.b.interface.link_down()
    while pair.b.interface.exchange.busy():
        pair.b.interface.exchange.step(pair.world.clock.now_ms)
    assert pair.b.native.indices == {}


def test_a_link_that_comes_up_is_silent_though_data_went_unanswered_before(pair):
    pair.flow(5)
    pair.b.remove()
    pair.a_sends(b"unanswered")
    pair.run(1)
    pair.a.interface.link_down()
    pair.run(60)
    before = len(pair.world.log)
    pair.a.interface.link_up()
    pair.run(60)
    assert len(pair.world.log) == before


@pytest.mark.parametrize("delays", [(50, 50), (10, 90), (90, 10), (3, 4)])
def test_sides_that_begin_at_once_lose_no_packet_then_nor_at_later_rotations(delays):
    pair = Pair()
    there, back = delays
    pair.world.delay_ms = lambda packet: there if packet[0][0] == pair.a.address else back
    pair.b.interface.set_endpoint(pair.a_of_b, 4, pair.a.address, 51820)
    pair.a_sends(b"first"), pair.b_sends(b"first")
    pair.run(2)
    pair.a.received(), pair.b.received()
    got_a = got_b = sent = 0
    for i in range(20_000):
        if i == 5000:  # as initiator of one and the same session only one side would
            for node, peer in ((pair.a, pair.b_of_a), (pair.b, pair.a_of_b)):
                node.interface.exchange.want(peer, True)
        pair.a_sends(b"a"), pair.b_sends(b"b")
        sent += 1
        pair.run(0.02)
        got_a += len(pair.a.received())
        got_b += len(pair.b.received())
    pair.run(2)
    assert (got_a + len(pair.a.received()), got_b + len(pair.b.received())) == (sent, sent)
    assert pair.b_of_a.shakes.completed >= 4
    pair.run(20)
    assert len(pair.a.native.indices) <= 3 and len(pair.b.native.indices) <= 3
