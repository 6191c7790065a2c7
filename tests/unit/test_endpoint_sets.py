# SPDX-License-Identifier: MIT
"""Peers with several endpoints over a fake network: who is asked when, and whose answer counts."""

import pytest

from lab.fakes.net import Node, World
from tests.unit.test_handshakes import Resolver
from tunlite import endpoints

A_INSIDE, B_INSIDE = b"\x01\0\0\x01", b"\x01\0\0\x02"
A4, A6 = b"\x0a\0\0\x01", b"\xfd" + bytes(14) + b"\x01"
B4, B6 = b"\x0a\0\0\x02", b"\xfd" + bytes(14) + b"\x02"
DEAD = [bytes([10, 0, 1, n]) for n in range(20)]
PORT = 51820


def record(address, port=PORT):
    return endpoints.record(4 if len(address) == 4 else 6, address, port)


class Stacks:
    """A router `a` that knows addresses of a gateway `b`; both have IPv4 and IPv6."""

    def __init__(self, *addresses, seed=1):
        self.world = World(seed)
        self.got, self.mute = [], False
        self.a = Node(self.world, A4).start()
        self.b = Node(self.world, B4).start()
        self.a.also_at(A6)
        self.b.also_at(B6)
        self.peer = self.a.add(self.b, B_INSIDE, endpoint=False)
        self.back = self.b.add(self.a, A_INSIDE, endpoint=False)
        self.a.interface.set_endpoints(self.peer, [record(address) for address in addresses])

    def send(self, data=b"one"):
        self.a.send(B_INSIDE, data)

    def run(self, seconds):
        """The gateway answers what comes, unless it is mute."""
        left = int(seconds * 1000)
        while left > 0:
            self.world.run(min(left, 50) / 1000)
            left -= 50
            for data in self.b.received():
                self.got.append(data)
                if not self.mute:
                    self.b.send(A_INSIDE, b"re " + data)

    def asked(self, since=0):
        """(milliseconds since the first, address) of the router's initiations."""
        rows = [row for row in self.world.log if row[3][0] == 1 and row[1][0] in (A4, A6)][since:]
        return [(row[0] - rows[0][0], row[2][0]) for row in rows]

    def here(self):
        return endpoints.parts(self.a.interface.plane.endpoint_of(self.peer.handle))[1]

    def black_hole(self, *addresses):
        self.world.loses = lambda packet: packet[1][0] in addresses


def test_every_endpoint_is_asked_250_ms_after_the_one_before_until_one_answers():
    stacks = Stacks(*DEAD[:3], B4, DEAD[3])
    stacks.send()
    stacks.run(10)
    assert stacks.asked() == [(0, DEAD[0]), (250, DEAD[1]), (500, DEAD[2]), (750, B4)]
    assert stacks.got == [b"one"] and stacks.here() == B4


def test_each_initiation_is_a_new_one_with_a_later_stamp_and_an_index_of_its_own():
    stacks = Stacks(B6, B4)
    stacks.world.delay_ms = lambda packet: 400 if packet[1][0] == B6 else 20
    stacks.world.loses = lambda packet: packet[2][0] == 2 and packet[1][0] == A6
    stacks.send()
    stacks.run(3)
    first, second = [row[3] for row in stacks.world.log if row[3][0] == 1]
    assert first[4:8] != second[4:8] and first[8:40] != second[8:40]
    # The first comes after the second: an earlier stamp.
    assert stacks.b.interface.exchange.refused == {"replayed": 1}
    assert stacks.got == [b"one"]


def test_the_endpoint_that_worked_last_goes_first_and_then_families_alternate():
    stacks = Stacks(DEAD[0], DEAD[1], B4, DEAD[2], B6, A6[:15] + b"\x09")
    stacks.send()
    stacks.run(3)
    order = [address for _, address in stacks.asked()]
    assert order == [DEAD[0], B6] and stacks.here() == B6
    stacks.world.loses = lambda packet: True
    stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
    stacks.run(5)
    stacks.a.interface.exchange.want(stacks.peer, True)
    stacks.run(2)
    order = [address for _, address in stacks.asked(2)]
    assert order == [B6, DEAD[0], A6[:15] + b"\x09", DEAD[1], B4, DEAD[2]]


def test_an_endpoint_is_left_in_peace_for_5_s_while_others_are_asked():
    stacks = Stacks(*DEAD[:16])
    stacks.send()
    stacks.run(60)
    last = {}
    for when_ms, address in stacks.asked():
        assert when_ms - last.get(address, -5000) >= 5000
        last[address] = when_ms
    assert len(last) == 16
    times = [when_ms for when_ms, _ in stacks.asked()]
    assert min([b - a for a, b in zip(times, times[1:], strict=False)]) >= 250


def test_four_initiations_wait_for_an_answer_and_a_fifth_closes_the_oldest():
    stacks = Stacks(B4, *DEAD[:5])
    delays = {B4: 1200}
    stacks.world.delay_ms = lambda packet: delays.get(packet[1][0], 20)
    stacks.send()
    stacks.run(0.9)
    assert len(stacks.peer.shakes.under_way) == 4
    first = stacks.peer.shakes.under_way[0].state
    stacks.run(0.2)
    begun = stacks.peer.shakes.under_way
    assert len(begun) == 4 and first not in [attempt.state for attempt in begun]
    assert first._secret == bytes(192)
    stacks.run(1)
    assert stacks.a.native.drops == {"unknown_index": 1}
    assert stacks.peer.shakes.completed == 0


def test_once_a_response_was_read_no_further_initiation_leaves_and_those_that_left_stay_for_5_s():
    stacks = Stacks(B4, DEAD[0], DEAD[1], DEAD[2])
    stacks.world.delay_ms = lambda packet: 300 if packet[1][0] in (A4, B4) else 20
    stacks.send()
    stacks.run(2)
    assert stacks.asked()[:3] == [(0, B4), (250, DEAD[0]), (500, DEAD[1])]
    left = [attempt.state.index for attempt in stacks.peer.shakes.under_way]
    assert stacks.peer.shakes.completed == 1 and len(left) == 2 and len(stacks.asked()) == 3
    stacks.run(4)
    assert stacks.peer.shakes.under_way == () and not set(left) & set(stacks.a.native.indices)
    assert len(stacks.asked()) == 3


def test_a_response_to_a_later_initiation_replaces_an_earlier_ones_session():
    stacks = Stacks(B6, B4)
    # B4's initiation is under way when the first response comes.
    stacks.world.delay_ms = lambda packet: 200
    stacks.send()
    stacks.run(0.41)
    first = stacks.peer.sessions.current
    assert first is not None and len(stacks.peer.shakes.under_way) == 1
    stacks.run(0.3)
    assert stacks.peer.sessions.current != first and stacks.here() == B4
    for i in range(20):
        stacks.send(b"%d" % i)
        stacks.run(0.5)
    assert len(stacks.got) >= 20 and len(stacks.a.received()) >= 20
    assert len(stacks.asked()) == 2


def test_where_nothing_comes_for_a_second_the_endpoint_that_answered_is_asked_alone():
    stacks = Stacks(B6, B4)
    # The responder takes the session of a later initiation, whose response is lost.
    stacks.black_hole(A4)
    stacks.world.delay_ms = lambda packet: 150 if packet[1][0] in (A6, B6) else 40
    stacks.send()
    stacks.run(0.35)
    assert stacks.here() == B6 and len(stacks.asked()) == 2
    stacks.send(b"two")
    stacks.run(3)
    assert stacks.asked()[2][1] == B6 and 1250 <= stacks.asked()[2][0] <= 1400
    assert len(stacks.asked()) == 3
    stacks.send(b"three")
    stacks.run(1)
    assert stacks.got[-1] == b"three" and stacks.a.received()[-1] == b"re three"


def test_data_that_comes_long_after_the_response_is_waited_for_too_and_an_idle_peer_wakes_nobody():
    stacks = Stacks(B6, B4)
    stacks.world.delay_ms = lambda packet: 150 if packet[1][0] in (A6, B6) else 40
    stacks.black_hole(A4)
    stacks.a.interface.set_persistent(stacks.peer, 3600)
    stacks.run(30)
    before = stacks.a.native.wakes
    stacks.run(60)
    assert stacks.a.native.wakes - before <= 1 and len(stacks.asked()) == 2
    stacks.send()
    stacks.run(2)
    assert len(stacks.asked()) == 3


@pytest.mark.parametrize("hole", [B4, B6, A4, A6])
@pytest.mark.parametrize("order", [(B4, B6), (B6, B4)])
@pytest.mark.parametrize("way_ms", [1, 40, 140, 300])
def test_a_family_that_is_black_holed_either_way_costs_a_second_at_most(hole, order, way_ms):
    stacks = Stacks(*order)
    stacks.world.delay_ms = lambda packet: way_ms
    stacks.black_hole(hole)
    began_ms = stacks.world.clock.now_ms
    stacks.send(b"first")
    while not stacks.a.received():
        stacks.run(0.02)
        stacks.send(b"more")
        assert stacks.world.clock.now_ms - began_ms < 9000
    # Without the hole: a round trip for the handshake, another for data and its answer.
    assert stacks.world.clock.now_ms - began_ms <= 4 * way_ms + 60 + 1000 + 2 * way_ms


def test_a_peer_with_one_endpoint_has_no_set_and_is_asked_every_5_s():
    stacks = Stacks(DEAD[0])
    stacks.send()
    stacks.run(20)
    assert stacks.peer.where.places == () and stacks.peer.where.entries == ()
    steps = [b[0] - a[0] for a, b in zip(stacks.asked(), stacks.asked()[1:], strict=False)]
    assert len(steps) == 3 and all([5000 <= step <= 5333 for step in steps])


def test_a_place_that_the_peer_moved_to_itself_is_asked_first():
    stacks = Stacks(B4, B6)
    stacks.send()
    stacks.run(2)
    moved = b"\x0a\0\0\x07"
    stacks.b.also_at(moved)
    stacks.b.native.peers[stacks.back.handle].endpoint = record(A4)[:24] + moved + bytes(20)
    stacks.b.send(A_INSIDE, b"from elsewhere")
    stacks.run(4)
    assert stacks.here() == moved
    stacks.world.loses = lambda packet: True
    stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
    stacks.a.interface.exchange.want(stacks.peer, True)
    stacks.run(2)
    assert [address for _, address in stacks.asked(1)] == [moved, B6, B4]


def test_where_no_initiation_can_leave_for_an_endpoint_the_next_is_asked_at_once():
    stacks = Stacks(B6, B4)
    send = stacks.a.native.tl_send

    def refused(plane, handle, record, message, size):
        return -101 if record[0] == 6 else send(plane, handle, record, message, size)

    stacks.a.native.tl_send = refused
    began_ms = stacks.world.clock.now_ms
    stacks.send()
    stacks.run(1)
    assert stacks.got == [b"one"]
    assert [row[0] for row in stacks.world.log if row[3][0] == 1] == [began_ms]


def test_where_none_can_leave_for_the_second_the_third_is_asked_at_once():
    stacks = Stacks(DEAD[0], B6, B4)
    send = stacks.a.native.tl_send

    def refused(plane, handle, record, message, size):
        return -101 if record[0] == 6 else send(plane, handle, record, message, size)

    stacks.a.native.tl_send = refused
    stacks.send()
    stacks.run(1)
    assert stacks.asked() == [(0, DEAD[0]), (250, B4)]


def test_an_endpoint_that_was_asked_just_before_waits_while_the_others_of_a_new_round_do_not():
    stacks = Stacks(B4, DEAD[0], DEAD[1])
    stacks.send()
    stacks.run(2)
    stacks.world.loses = lambda packet: True
    stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
    stacks.a.interface.exchange.want(stacks.peer, True)
    stacks.run(4.5)
    times = dict((address, when_ms) for when_ms, address in stacks.asked())
    assert [address for _, address in stacks.asked()] == [B4, DEAD[0], DEAD[1], B4]
    assert times[B4] == 5000


def test_an_endpoint_that_is_routed_into_us_is_not_asked():
    stacks = Stacks(DEAD[0], B4)
    assert not stacks.peer.where.places.rows[0].judged(True, True)
    stacks.send()
    stacks.run(1)
    assert stacks.asked() == [(0, B4)]


def test_a_response_to_an_earlier_initiation_is_not_taken_after_one_to_a_later():
    stacks = Stacks(B6, B4)
    # The first is answered, but that takes its time.
    stacks.world.delay_ms = lambda packet: 500 if packet[1][0] == A6 else 20
    stacks.send()
    stacks.run(0.4)
    current = stacks.peer.sessions.current
    assert stacks.here() == B4 and len(stacks.peer.shakes.under_way) == 0
    stacks.run(1)
    assert stacks.peer.sessions.current == current and stacks.here() == B4
    assert stacks.a.native.drops == {"unknown_index": 1}


def asks_ipv6_for_cookies(node):
    """It is under load, and takes what IPv4 sends without a cookie."""
    judge = node.native._has_mac2
    node.native.under_load = True
    node.native._has_mac2 = lambda rec, message: rec[0] == 4 or judge(rec, message)


def test_what_a_cookie_came_for_is_not_repeated_once_another_endpoint_answered():
    stacks = Stacks(B6, B4)
    asks_ipv6_for_cookies(stacks.b)
    # The cookie's half second has not passed when the second endpoint answers.
    stacks.a.port.random_bytes = lambda n: bytearray(b"\x01\x2c")[:n] + bytes(max(0, n - 2))
    stacks.send()
    stacks.run(0.1)
    (first,) = stacks.peer.shakes.under_way
    assert first.repeat_ms
    stacks.run(3)
    assert [address for _, address in stacks.asked()] == [B6, B4]


def test_what_a_cookie_came_for_does_not_leave_in_a_later_attempt():
    stacks = Stacks(B4, B6)
    asks_ipv6_for_cookies(stacks.b)
    stacks.a.port.random_bytes = lambda n: bytearray(b"\x01\x2c")[:n] + bytes(max(0, n - 2))
    stacks.world.delay_ms = lambda packet: 300 if packet[1][0] in (A4, B4) else 20
    stacks.send()
    stacks.run(0.5)
    assert [attempt.repeat_ms > 0 for attempt in stacks.peer.shakes.under_way] == [False, True]
    stacks.run(0.5)
    assert stacks.peer.shakes.completed == 1 and len(stacks.peer.shakes.under_way) == 1
    stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
    stacks.a.interface.exchange.want(stacks.peer, True)
    stacks.run(3.5)
    assert stacks.asked() == [(0, B4), (250, B6)]


def test_what_was_not_asked_when_a_response_came_does_not_go_on_while_another_is_put_off():
    stacks = Stacks(B4, B6, DEAD[0])
    stacks.send()
    stacks.run(1)
    stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
    stacks.peer.shakes.answered(stacks.world.clock.now_ms)  # an initiation of theirs
    stacks.a.interface.exchange.want(stacks.peer, True)
    stacks.a.interface.exchange.look_soon(stacks.peer, stacks.world.clock.now_ms)
    stacks.run(4.5)
    assert stacks.asked() == [(0, B4)]


def test_what_is_asked_alone_ends_the_round():
    stacks = Stacks(*DEAD[:4])
    stacks.send()
    stacks.run(0.3)
    stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
    stacks.a.interface.exchange.ask(stacks.peer)
    stacks.run(4)
    assert stacks.asked() == [(0, DEAD[0]), (250, DEAD[1]), (300, DEAD[0])]


def test_a_peer_that_moved_itself_stays_there_when_a_name_is_answered_anew():
    stacks = Stacks(B4)
    resolver = stacks.a.interface.resolver = Resolver()
    resolver.answers[("gw.example", PORT)] = [record(DEAD[0])[:24], record(B4)[:24]]
    stacks.a.interface.set_endpoints(stacks.peer, [("gw.example", PORT)])
    moved = record(b"\x0a\0\0\x07")
    stacks.a.interface.plane.peer_endpoint(stacks.peer.handle, moved)
    resolver.answers[("gw.example", PORT)] = [record(DEAD[1])[:24], record(B6)[:24]]
    stacks.a.interface.resolved(stacks.peer.public)
    assert stacks.here() == moved[4:8]


def test_a_round_counts_once_for_stamps_and_names():
    stacks = Stacks(*DEAD[:4])
    stacks.send()
    stacks.run(1.5)
    assert len(stacks.asked()) == 4
    assert stacks.peer.stamps.unanswered == stacks.peer.shakes.unmet == 1
    stacks.run(5)
    assert stacks.peer.stamps.unanswered == stacks.peer.shakes.unmet == 2


def test_a_set_gives_up_after_90_s_as_one_endpoint_does():
    stacks = Stacks(*DEAD[:3])
    stacks.send()
    stacks.run(120)
    assert stacks.peer.shakes.failed == 1 and stacks.peer.shakes.under_way == ()
    count = len(stacks.asked())
    stacks.run(300)
    assert len(stacks.asked()) == count


# ---- names ----


def test_addresses_that_a_name_gets_while_others_are_asked_are_asked_in_the_same_round():
    stacks = Stacks(DEAD[0])
    resolver = stacks.a.interface.resolver = Resolver()
    stacks.a.interface.set_endpoints(stacks.peer, [record(DEAD[0]), ("gw.example", PORT)])
    stacks.send()
    stacks.run(0.1)
    assert stacks.asked() == [(0, DEAD[0])]
    resolver.answers[("gw.example", PORT)] = [record(DEAD[1])[:24], record(B6)[:24]]
    stacks.a.interface.resolved(stacks.peer.public)
    stacks.run(2)
    assert stacks.asked() == [(0, DEAD[0]), (250, B6)] and stacks.got == [b"one"]


def test_a_dead_resolver_harms_nobody_who_has_an_address():
    stacks = Stacks(DEAD[0])
    stacks.a.interface.resolver = Resolver()
    stacks.a.interface.set_endpoints(stacks.peer, [("gw.example", PORT), record(B4)])
    stacks.send()
    stacks.run(0.2)
    assert stacks.got == [b"one"]


def test_a_name_whose_addresses_change_is_followed_and_one_that_works_stays():
    stacks = Stacks(DEAD[0])
    resolver = stacks.a.interface.resolver = Resolver()
    stacks.a.interface.set_endpoints(stacks.peer, [("gw.example", PORT)])
    resolver.answers[("gw.example", PORT)] = [record(DEAD[0])[:24], record(B4)[:24]]
    stacks.a.interface.resolved(stacks.peer.public)
    stacks.send()
    stacks.run(2)
    assert stacks.here() == B4
    resolver.answers[("gw.example", PORT)] = [record(DEAD[1])[:24], record(B4)[:24]]
    stacks.a.interface.resolved(stacks.peer.public)
    assert stacks.here() == B4
    resolver.answers[("gw.example", PORT)] = [record(DEAD[1])[:24], record(B6)[:24]]
    stacks.a.interface.resolved(stacks.peer.public)
    assert stacks.here() == DEAD[1]
    resolver.answers[("gw.example", PORT)] = [record(B6)[:24]]
    stacks.a.interface.resolved(stacks.peer.public)
    assert stacks.here() == B6 and stacks.peer.where.places == ()


def test_no_name_takes_the_places_of_the_others():
    stacks = Stacks(DEAD[0])
    resolver = stacks.a.interface.resolver = Resolver()
    many = [record(bytes([10, 9, 0, n]))[:24] for n in range(40)]
    resolver.answers[("many.example", PORT)] = many
    entries = [("many.example", PORT), record(B4), record(B6), record(B4)]
    stacks.a.interface.set_endpoints(stacks.peer, entries)
    rows = [place.record for place in stacks.peer.where.places.rows]
    assert len(rows) == endpoints.MOST and record(B4)[:24] in rows and record(B6)[:24] in rows


# ---- cookies ----


def test_after_a_cookie_the_handshake_is_begun_anew_within_half_a_second_and_once():
    stacks = Stacks(B4)
    stacks.b.native.under_load = True
    stacks.send()
    stacks.run(2)
    first, second = [row for row in stacks.world.log if row[3][0] == 1]
    assert 200 <= second[0] - first[0] - 40 <= 500
    assert first[3][8:40] != second[3][8:40] and any(second[3][-16:])
    assert stacks.got == [b"one"]


def test_a_cookie_for_the_repeat_itself_is_no_reason_for_another():
    stacks = Stacks(B4)
    stacks.b.native.under_load = True
    judge = stacks.b.native._has_mac2

    def forgets(record, message):
        stacks.b.native.cookie_secret = stacks.world.chance.randbytes(32)
        return judge(record, message)

    stacks.b.native._has_mac2 = forgets
    stacks.send()
    stacks.run(4.9)
    assert len(stacks.asked()) == 2
    stacks.run(6)
    assert len(stacks.asked()) == 4
    assert stacks.peer.stamps.unanswered == 2


def test_each_endpoint_has_a_cookie_of_its_own():
    stacks = Stacks(B6, B4)
    stacks.b.native.under_load = True
    stacks.world.delay_ms = lambda packet: 60
    stacks.world.loses = lambda packet: packet[2][0] == 2  # so both go on
    stacks.send()
    stacks.run(1)
    jars = [place.cookies.cookie for place in stacks.peer.where.places.rows]
    assert None not in jars and jars[0] != jars[1]
    assert [address for _, address in stacks.asked()].count(B6) == 2
    assert [address for _, address in stacks.asked()].count(B4) == 2
    assert stacks.peer.cookies.cookie is None


# ---- what groups ask for ----


def test_a_measure_tells_the_round_trip_and_makes_no_session():
    stacks = Stacks(DEAD[0], B4)
    told = []
    exchange = stacks.a.interface.exchange
    exchange.now_ms = stacks.world.clock.now_ms
    stacks.world.delay_ms = lambda packet: 35
    assert exchange.measure(stacks.peer, told.append)
    assert not exchange.measure(stacks.peer, told.append)
    stacks.run(1)
    assert told == [70] and stacks.here() == B4
    assert stacks.peer.sessions.current is None and stacks.peer.shakes.completed == 0
    assert {row[3][0] for row in stacks.world.log} == {1, 2}
    # Wanted right behind it, a session is made at once.
    exchange.now_ms = stacks.world.clock.now_ms
    exchange.want(stacks.peer, True)
    stacks.run(0.3)
    assert stacks.peer.shakes.completed == 1 and len(stacks.asked()) == 3


def test_a_measure_that_nobody_answers_tells_so_after_5_s_and_retries_nothing():
    stacks = Stacks(DEAD[0], DEAD[1])
    told = []
    stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
    stacks.a.interface.exchange.measure(stacks.peer, told.append)
    stacks.run(4.9)
    assert told == []
    stacks.run(0.2)
    assert told == [None] and len(stacks.asked()) == 2
    stacks.run(30)
    assert len(stacks.asked()) == 2 and stacks.peer.shakes.under_way == ()


def test_a_session_that_is_wanted_amid_a_measure_is_made_and_answers_both():
    stacks = Stacks(B4)
    told = []
    exchange = stacks.a.interface.exchange
    exchange.now_ms = stacks.world.clock.now_ms
    exchange.measure(stacks.peer, told.append)
    stacks.world.loses = lambda packet: packet[2][0] == 2 and not told
    stacks.run(0.01)
    stacks.world.loses = lambda packet: False
    stacks.send()
    stacks.run(1)
    assert len(told) == 1 and told[0] <= 200 and stacks.got == [b"one"]


def test_a_peer_that_goes_amid_a_measure_tells_that_nobody_answered():
    stacks = Stacks(DEAD[0])
    told = []
    stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
    stacks.a.interface.exchange.measure(stacks.peer, told.append)
    stacks.run(0.1)
    stacks.a.interface.remove_peer(stacks.peer)
    assert told == [None]


def test_the_endpoint_in_use_may_be_asked_outside_the_5_s_and_its_response_is_used():
    stacks = Stacks(B6, B4)
    stacks.send()
    stacks.run(0.5)
    for _ in range(3):
        stacks.run(1)
        stacks.a.interface.exchange.now_ms = stacks.world.clock.now_ms
        stacks.a.interface.exchange.ask(stacks.peer)
    stacks.run(1)
    assert [address for _, address in stacks.asked()] == [B6] * 4
    assert stacks.peer.shakes.completed == 4
