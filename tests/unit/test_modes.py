# SPDX-License-Identifier: MIT
"""Whole daemons of layer 2 over a fake network: which mode they agree on, and what they do where
they disagree on layer, version or mode."""

import itertools
import json

import pytest

from lab.fakes.net import Node, World
from tests.unit.test_admission import Commands
from tests.unit.test_endpoint_sets import record
from tunlite import endpoints
from tunlite.plane import plane as planes
from tunlite.protocol import layer, noise, stamp
from tunlite.uapi import status, text

A_AT, B_AT = b"\x0a\0\0\x01", b"\x0a\0\0\x02"
A_INSIDE, B_INSIDE = b"\x01\0\0\x01", b"\x01\0\0\x02"
ON, AUTHENTIC, OFF = 0, 1, 2
LISTS = [p for n in (1, 2, 3) for p in itertools.permutations((ON, AUTHENTIC, OFF), n)]


class Ends:
    """Two daemons that know each other, each with its list of modes; None: as if none was said."""

    def __init__(self, mine=None, theirs=None, layers=(2, 2)):
        self.world = World()
        self.a = Node(self.world, A_AT, layer=layers[0]).start()
        self.b = Node(self.world, B_AT, layer=layers[1]).start()
        self.b_of_a = self.a.add(self.b, B_INSIDE)
        self.a_of_b = self.b.add(self.a, A_INSIDE)
        self.a.interface.protect(mine)
        self.b.interface.protect(theirs)

    def send(self, data=b"one"):
        self.a.send(B_INSIDE, data)

    def run(self, seconds):
        self.world.run(seconds)

    def messages(self, kind, sender=None):
        rows = [row for row in self.world.log if row[3][0] == kind]
        return [row for row in rows if sender is None or row[1][0] == sender.address]

    def flow(self, seconds):
        """Traffic both ways; how much of it was lost."""
        lost = 0
        for i in range(2 * seconds):
            self.send(b"a%d" % i)
            self.b.send(A_INSIDE, b"b%d" % i)
            self.run(0.5)
            lost += 2 - len(self.b.received()) - len(self.a.received())
        return lost

    def mode(self):
        """Of the session that both ends send on; None: there is none."""
        ends = [peer.sessions for peer in (self.b_of_a, self.a_of_b)]
        if None in (ends[0].current, ends[1].current):
            return None
        assert ends[0].terms[0] == ends[1].terms[0]
        sessions = [
            n.native.indices[e.current] for n, e in zip((self.a, self.b), ends, strict=True)
        ]
        assert [session.mode for session in sessions] == [ends[0].terms[0]] * 2
        return ends[0].terms[0]

    def refused(self, node):
        return node.interface.exchange.refused


def agreed(mine, theirs):
    """What decision 21 says, in the fewest words: (mode or None, initiations until then)."""
    if mine[0] in theirs:
        return mine[0], 1
    return (theirs[0], 2) if theirs[0] in mine else (None, 1)


# ---- ends that agree, and ends that do not ---------------------------------------------------


@pytest.mark.parametrize("mine", LISTS, ids=layer.text_of)
def test_every_pair_of_lists_agrees_as_it_is_written_or_has_no_session(mine):
    for theirs in LISTS:
        ends = Ends(mine, theirs)
        ends.send()
        ends.run(3)
        mode, asked = agreed(mine, theirs)
        assert (ends.mode(), len(ends.messages(1))) == (mode, asked), theirs
        assert ends.b.received() == ([b"one"] if mode is not None else [])
        types = {row[3][0] for row in ends.world.log if row[3][0] > 3}
        assert types <= {4, 4 + (mode or 0)}, theirs
        # what is refused leaves nothing behind
        left = [len(node.native.indices) for node in (ends.a, ends.b)]
        assert left == ([1, 1] if mode is not None else [0, 0])


def test_without_a_word_frames_are_sealed():
    ends = Ends()
    ends.send()
    ends.run(1)
    assert ends.mode() == ON and ends.b.received() == [b"one"]
    assert {row[3][0] for row in ends.world.log} == {1, 2, 4}
    assert [len(row[3]) for row in ends.world.log[:2]] == [152, 96]


@pytest.mark.parametrize("layers", [(2, 3), (3, 2)])
def test_the_other_layer_s_initiations_are_counted_told_once_a_minute_and_not_answered(layers):
    ends = Ends(layers=layers)
    for _ in range(17):
        ends.send()
        ends.run(10)
    assert {row[3][0] for row in ends.world.log} == {1}
    count = len(ends.messages(1, ends.a))
    assert ends.b.native.drops == {"other_layer": count} and count > 20
    assert ends.refused(ends.b) == {}
    lines = [line for line in ends.b.log.texts("info") if "layer" in line]
    assert len(lines) == 3
    assert lines[0] == (
        f"10.0.0.1:51820 begins a handshake of layer {layers[0]}, this is layer {layers[1]}:"
        " write the same Layer at both ends"
    )
    assert ends.b_of_a.sessions.current is None and not ends.b.native.indices
    assert ends.a_of_b.shakes.greatest_stamp == b""


def test_the_other_layer_s_addresses_are_hidden_where_all_are():
    ends = Ends(layers=(2, 3))
    ends.b.log.hides = True
    ends.send()
    ends.run(1)
    assert [line.split(" begins")[0] for line in ends.b.log.texts("info")] == ["(hidden)"]


def speaks(node, version, more=0):
    """From now on the node says this version, and has bits in its mode that nobody knows."""
    says = node.interface.modes.says
    node.interface.modes.says = lambda mode: bytes([version, says(mode)[1] | more]) + says(mode)[2:]


@pytest.mark.parametrize("mine", [0, 1, 2, 255])
@pytest.mark.parametrize("theirs", [0, 1, 2, 255])
def test_every_pair_of_versions_speaks_the_lower_one_and_none_below_1(mine, theirs):
    ends = Ends((AUTHENTIC, ON), (AUTHENTIC,))
    speaks(ends.a, mine, more=0xFC)
    speaks(ends.b, theirs, more=0xFC)
    ends.send()
    ends.run(2)
    assert ends.mode() == (AUTHENTIC if mine and theirs else None)
    assert ends.b.received() == ([b"one"] if mine and theirs else [])
    assert (len(ends.messages(2)) > 0) == (mine > 0)


def test_a_mode_that_nobody_knows_is_refused_and_told_by_its_number():
    ends = Ends((ON,), (ON,))
    speaks(ends.b, 1, more=3)
    ends.send()
    ends.run(2)
    assert ends.mode() is None
    assert "its Encryption begins with mode 3, ours is on" in ends.a.log.texts("info")[-1]
    ends = Ends((ON,), (ON, AUTHENTIC, OFF))
    speaks(ends.a, 1, more=3)
    ends.send()
    ends.run(2)
    assert ends.mode() is None and ends.refused(ends.b)["of a mode that is not taken"] > 0


# ---- when it asks again ----------------------------------------------------------------------


def test_a_refused_mode_is_asked_for_otherwise_at_once_and_the_next_attempt_begins_anew():
    ends = Ends((AUTHENTIC, ON), (ON,))
    ends.world.delay_ms = lambda packet: 3
    ends.send()
    ends.run(1)
    asked = ends.messages(1)
    assert len(asked) == 2 and asked[1][0] - asked[0][0] == 6
    assert ends.mode() == ON and ends.b.received() == [b"one"]
    ends.b.interface.protect((AUTHENTIC,))
    assert ends.flow(130) == 0
    assert ends.mode() == AUTHENTIC and len(ends.messages(1, ends.a)) == 3


def test_whoever_takes_none_of_ours_is_told_of_and_asked_again_after_a_minute():
    ends = Ends((AUTHENTIC, ON), (OFF,))
    for _ in range(20):
        ends.send()
        ends.run(10)
    times = [row[0] for row in ends.messages(1)]
    assert len(times) == 4
    for gap in (b - a for a, b in itertools.pairwise(times)):
        assert 60_000 <= gap < 60_200
    (line, *_) = ends.a.log.texts("info")
    assert line.endswith(
        ": its Encryption begins with off, ours is authentic,on; it is asked again in a minute"
    )
    assert ends.refused(ends.b) == {"of a mode that is not taken": 4}
    assert ends.b_of_a.shakes.failed == 4


def test_one_that_refuses_what_it_said_it_takes_is_asked_again_after_a_minute():
    ends = Ends((AUTHENTIC, ON), (ON,))
    answer = ends.b.interface.modes.answer
    ends.b.interface.modes.answer = lambda peer, said: (
        None,
        layer.says(ON if layer.heard(said)[0] else AUTHENTIC, 1500),
    )
    ends.send()
    ends.run(50)
    assert len(ends.messages(1)) == 2 and ends.mode() is None
    ends.b.interface.modes.answer = answer
    ends.send()
    ends.run(20)
    assert ends.mode() == ON and len(ends.messages(1)) == 4


@pytest.mark.parametrize("how", ["interface", "group", "peer", "other group"])
def test_another_list_is_asked_with_at_once(how):
    ends = Ends((ON,), (AUTHENTIC,))
    group = ends.a.interface.groups.named("nodes")
    if how == "group":
        ends.a.interface.join(ends.b_of_a, "nodes")
    ends.send()
    ends.run(5)
    assert ends.mode() is None and ends.b_of_a.shakes.refused == AUTHENTIC
    if how == "interface":
        ends.a.interface.protect((AUTHENTIC,))
    elif how == "peer":
        ends.b_of_a.protected((AUTHENTIC,))
    else:
        group.protected((AUTHENTIC,))
        ends.a.interface.join(ends.b_of_a, "nodes")
    ends.run(1)
    assert ends.mode() == AUTHENTIC and ends.b_of_a.shakes.refused is None


def test_a_session_that_they_begin_ends_the_wait_of_a_refused_one():
    ends = Ends((OFF,), (ON, OFF))
    ends.b.interface.protect((ON,))
    ends.send()
    ends.run(5)
    assert ends.b_of_a.shakes.refused == ON
    ends.b.interface.protect((OFF, ON))
    ends.b.send(A_INSIDE, b"mine")
    ends.run(2)
    assert ends.mode() == OFF and ends.a.received() == [b"mine"]
    assert ends.b_of_a.shakes.refused is None


def test_a_peer_s_list_counts_before_its_group_s_and_that_before_the_interface_s():
    ends = Ends((ON,))
    modes = ends.a.interface.modes
    group = ends.a.interface.groups.named("nodes")
    ends.a.interface.join(ends.b_of_a, "nodes")
    assert modes.of(ends.b_of_a) == (ON,)
    group.protected((AUTHENTIC, ON))
    assert modes.of(ends.b_of_a) == (AUTHENTIC, ON)
    ends.b_of_a.protected((OFF,))
    assert modes.of(ends.b_of_a) == (OFF,)
    ends.b_of_a.protected(None)
    ends.a.interface.join(ends.b_of_a, "")
    assert modes.of(ends.b_of_a) == (ON,)


def test_refusals_are_answered_at_the_rate_of_handshakes_and_hold_up_no_other():
    ends = Ends((ON,), (ON,))
    shakes = ends.a_of_b.shakes
    assert shakes.may_refuse(b"1" * 12, 1000)
    assert not shakes.may_refuse(b"2" * 12, 1019)
    assert shakes.greatest_stamp == b"1" * 12
    assert shakes.why_refused(b"2" * 12, 1019) is None
    assert shakes.may_refuse(b"2" * 12, 1020)
    assert shakes.why_refused(b"2" * 12, 1020) == "replayed"


def test_both_begin_at_once_in_different_modes_and_have_one_session_after_all():
    ends = Ends((AUTHENTIC, ON), (ON, AUTHENTIC))
    ends.send(b"a")
    ends.b.send(A_INSIDE, b"b")
    ends.run(10)
    assert (ends.a.received(), ends.b.received()) == ([b"b"], [b"a"])
    assert ends.flow(300) == 0
    ends = Ends((AUTHENTIC, ON), (ON,))
    ends.send(b"a")
    ends.b.send(A_INSIDE, b"b")
    ends.run(10)
    assert (ends.a.received(), ends.b.received()) == ([b"b"], [b"a"])


def test_under_load_a_cookie_comes_first_and_then_the_refusal():
    ends = Ends((AUTHENTIC, ON), (ON,))
    ends.b.native.under_load = True
    ends.send()
    ends.run(3)
    assert ends.mode() == ON and ends.b.received() == [b"one"]
    assert len(ends.messages(3)) == 1 and len(ends.messages(1)) == 3


def test_of_several_endpoints_the_one_that_refused_is_asked_again():
    dead = [record(bytes([10, 0, 1, n])) for n in (1, 2)]

    def several(*modes):
        ends = Ends(*modes)
        ends.a.interface.set_endpoints(ends.b_of_a, dead[:1])
        ends.a.interface.set_endpoints(ends.b_of_a, [*dead, record(B_AT)])
        return ends

    ends = several((AUTHENTIC, ON), (ON,))
    ends.send()
    ends.run(2)
    assert ends.mode() == ON and ends.b.received() == [b"one"]
    asked = [row[2][0] for row in ends.messages(1)]
    assert asked[-2:] == [B_AT, B_AT] and len(asked) == 4
    ends = several((AUTHENTIC,), (ON,))
    ends.send()
    ends.run(50)
    assert len(ends.messages(1)) == 3 and not ends.a.native.indices


def test_endpoints_of_one_peer_that_refuse_together_are_one_refusal():
    ends = Ends((AUTHENTIC,), (ON,))
    ends.b.also_at(b"\x0a\0\0\x22")
    ends.world.delay_ms = lambda packet: 300
    ends.a.interface.set_endpoints(ends.b_of_a, [record(B_AT), record(b"\x0a\0\0\x22")])
    ends.send()
    ends.run(30)
    assert len(ends.messages(1)) == 2 and len(ends.messages(2)) == 2
    assert ends.b_of_a.shakes.failed == 1 and len(ends.a.log.texts("info")) == 1
    assert not ends.a.native.indices


def test_after_a_refusal_nothing_waits_and_no_other_endpoint_is_asked():
    ends = Ends((AUTHENTIC,), (ON,))
    dead = [record(bytes([10, 0, 1, n])) for n in (1, 2)]
    ends.a.interface.set_endpoints(ends.b_of_a, [record(B_AT), *dead])
    ends.send()
    ends.run(50)
    assert [row[2][0] for row in ends.messages(1)] == [B_AT]
    assert ends.a.native.peers[ends.b_of_a.handle].staged == []


def refuse_late(ends, before):
    """The other end's refusal is read after `before(exchange)`."""
    ends.send()
    ends.run(0.01)
    exchange = ends.a.interface.exchange
    exchange.now_ms = ends.world.clock.now_ms
    (attempt,) = ends.b_of_a.shakes.under_way
    exchange.answered(ends.b_of_a, attempt)
    before(exchange)
    exchange.turned_down(ends.b_of_a, attempt, ON)
    return exchange


def test_one_that_is_to_be_asked_already_is_not_once_it_refused():
    ends = Ends((AUTHENTIC,), (ON,))
    exchange = refuse_late(ends, lambda exchange: exchange.enqueue(ends.b_of_a))
    assert exchange.queue == [] and not ends.b_of_a.shakes.wanted


def test_a_refusal_that_nobody_waits_for_any_more_asks_nobody():
    ends = Ends((AUTHENTIC, ON), (ON,))
    exchange = refuse_late(ends, lambda exchange: exchange.rest(ends.b_of_a))
    assert exchange.queue == [] and ends.b_of_a.shakes.refused is None
    ends.run(50)
    assert len(ends.messages(1)) == 1


def test_a_measure_of_one_that_refuses_is_answered_and_makes_no_session():
    ends = Ends((AUTHENTIC,), (ON,))
    times = []
    ends.a.interface.exchange.now_ms = ends.world.clock.now_ms
    ends.a.interface.exchange.measure(ends.b_of_a, times.append)
    ends.run(2)
    assert times == [40] and ends.mode() is None and not ends.a.native.indices


# ---- what an initiation does not do ----------------------------------------------------------


def endpoint(node, peer):
    return endpoints.text(node.interface.plane.endpoint_of(peer.handle))


def test_a_refused_initiation_moves_no_endpoint_and_proves_no_life():
    ends = Ends((ON,), (OFF,))
    before = endpoint(ends.b, ends.a_of_b)
    ends.a.also_at(b"\x0a\0\0\x09")
    ends.a.native.others.reverse()
    ends.a.native.address = b"\x0a\0\0\x09"
    ends.send()
    ends.run(2)
    assert ends.messages(2) and endpoint(ends.b, ends.a_of_b) == before
    state = ends.b.interface.plane.state(ends.a_of_b.handle)
    assert state[planes.RECEIVED_ANY] == 0 and ends.a_of_b.shakes.greatest_stamp != b""


def restarted(ends):
    """The other end begins anew, with its key."""
    private = bytearray(ends.b.interface.me.private)
    ends.b.remove()
    ends.b = Node(ends.world, B_AT, layer=2).start(private)
    ends.a_of_b = ends.b.add(ends.a, A_INSIDE)
    ends.b.interface.protect((OFF,))


def test_a_recorded_initiation_after_a_restart_moves_nothing_and_proves_nothing():
    ends = Ends((OFF,), (OFF,))
    ends.send()
    ends.run(2)
    recorded = ends.messages(1)[0][3]
    ends.a.remove()
    restarted(ends)
    stranger = (b"\xc6\x33\x64\x01", 7)
    ends.world.transmit((stranger, (B_AT, 51820), recorded))
    ends.run(1)
    (answer,) = [row for row in ends.world.log if row[2] == stranger]
    assert answer[3][0] == 2 and endpoint(ends.b, ends.a_of_b) == "10.0.0.1:51820"
    index = answer[3][4:8]
    for kind in (4, 6):
        forged = bytes([kind]) + bytes(3) + index + bytes(8) + bytes(2) + bytes(40)
        ends.world.transmit((stranger, (B_AT, 51820), forged))
    ends.run(1)
    peer = ends.a_of_b
    state = ends.b.interface.plane.state(peer.handle)
    assert state[planes.RECEIVED_ANY] == 0 and ends.b.received() == []
    assert peer.sessions.current is None and peer.established.began_ms == 0
    assert ends.b.native.peers[peer.handle].path == [65535, 1232]
    assert endpoint(ends.b, peer) == "10.0.0.1:51820"


def test_a_peer_whose_endpoint_nobody_knows_is_there_once_it_sent_something_sealed():
    ends = Ends()
    ends.b.interface.remove_peer(ends.a_of_b)
    ends.a_of_b = ends.b.add(ends.a, A_INSIDE, endpoint=False)
    lost = []
    ends.world.loses = lambda packet: packet[2][0] == 4 and not lost and not lost.append(1)
    ends.send()
    ends.run(1)
    assert lost and endpoint(ends.b, ends.a_of_b) == "" and ends.a_of_b.where.nowhere
    ends.send(b"two")
    ends.run(1)
    assert ends.b.received() == [b"two"] and not ends.a_of_b.where.nowhere
    assert ends.flow(3) == 0


def test_the_longest_frame_of_the_other_end_is_known_before_the_first_one_leaves():
    ends = Ends()
    ends.b.interface.plane.mtu = 1532
    sent = []
    use = ends.a.native.tl_session_use
    paths = ends.a.native.peers

    def noting(*arguments):
        sent.append(paths[ends.b_of_a.handle].path[:])
        return use(*arguments)

    ends.a.native.tl_session_use = noting
    ends.send()
    ends.run(1)
    assert sent == [[1554, 1232]]
    assert ends.b.native.peers[ends.a_of_b.handle].path == [1442, 1232]
    assert ends.b_of_a.sessions.terms == (ON, 1554)


def test_whoever_takes_longer_frames_from_now_on_tells_who_has_a_session_and_nobody_else():
    ends = Ends()
    ends.a.daemon._link_is(1500, True)
    ends.run(1)
    assert ends.messages(1) == []
    ends.send()
    ends.run(7)
    ends.a.daemon._link_is(1532, True)
    ends.run(1)
    assert ends.b.native.peers[ends.a_of_b.handle].path[0] == 1554
    ends.a.daemon._link_is(1532, True)
    ends.run(20)
    assert len(ends.messages(1)) == 2 and ends.b.received() == [b"one"]


# ---- sessions --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [ON, AUTHENTIC, OFF])
def test_keys_rotate_in_every_mode_without_a_lost_frame(mode):
    ends = Ends((mode,), (mode,))
    ends.send()
    ends.run(1)
    assert ends.b.received() == [b"one"] and ends.flow(500) == 0
    assert ends.mode() == mode and 4 <= ends.b_of_a.shakes.completed <= 5
    assert ends.b_of_a.shakes.failed == 0 and len(ends.a.native.indices) <= 3
    count = len([row for row in ends.world.log if row[3][0] == 4 + mode])
    assert count >= 1900


@pytest.mark.parametrize("sender", ["a", "b"])
def test_traffic_one_way_without_protection_begins_no_more_handshakes_than_sealed(sender):
    ends = Ends((OFF,), (OFF,))
    ends.send()
    ends.run(2)
    node, to = (ends.a, B_INSIDE) if sender == "a" else (ends.b, A_INSIDE)
    for _ in range(300):
        node.send(to, b"x")
        ends.run(1)
    assert len(ends.messages(1)) <= 3


def test_a_community_moves_from_on_to_authentic_router_by_router_under_traffic():
    world = World()
    nodes = [Node(world, bytes([10, 0, 0, n]), layer=2).start() for n in range(1, 5)]
    inside = {node: bytes([1, 0, 0, node.address[3]]) for node in nodes}
    peers = {(a, b): a.add(b, inside[b]) for a, b in itertools.permutations(nodes, 2)}
    lost = 0

    def flow(seconds):
        for _ in range(seconds):
            for a, b in peers:
                a.send(inside[b], inside[a])
            world.run(1)
            yield sum(3 - len(node.received()) for node in nodes)

    lost += sum(flow(5))
    for modes in ((AUTHENTIC, ON), (AUTHENTIC,)):
        for node in nodes:
            node.interface.protect(modes)
            lost += sum(flow(45))
    lost += sum(flow(200))
    assert lost == 0
    assert {peer.sessions.terms[0] for peer in peers.values()} == {AUTHENTIC}
    assert all(peer.shakes.failed == 0 for peer in peers.values())


def test_a_stranger_who_is_let_in_has_the_mode_that_he_asks_for_or_is_refused():
    for modes, mode in (((ON, AUTHENTIC), AUTHENTIC), ((ON,), ON), ((OFF,), None)):
        ends = Ends((AUTHENTIC, ON))
        asks_to_come(ends, modes).answer(YES)
        ends.run(7)
        ends.a_of_b = ends.b.interface.peers[ends.a.interface.me.public]
        assert ends.mode() == mode
        assert ends.b.received() == ([b"one"] if mode is not None else [])


def asks_to_come(ends, modes):
    """The initiator is a stranger to the other end, which asks a command."""
    ends.b.interface.remove_peer(ends.a_of_b)
    ends.b.interface.commit()
    ends.b.interface.protect(modes)
    commands = ends.b.interface.commands = Commands()
    ends.send()
    ends.run(1)
    return commands


YES = (("description", b"one"),)


def test_a_stranger_whose_newer_handshake_asks_for_another_mode_gets_that():
    ends = Ends((AUTHENTIC,))
    commands = asks_to_come(ends, (AUTHENTIC, ON))
    ends.a.interface.protect((ON,))
    ends.run(5.5)
    assert len(ends.messages(1)) == 3 and len(commands.open) == 1
    commands.answer(YES)
    ends.run(1)
    ends.a_of_b = ends.b.interface.peers[ends.a.interface.me.public]
    assert ends.mode() == ON and len(ends.messages(2)) == 1


def test_a_recorded_handshake_of_one_who_was_let_in_and_went_asks_nobody():
    ends = Ends((ON,))
    commands = asks_to_come(ends, (ON,))
    commands.answer(YES)
    assert ends.flow(130) <= 2
    later = ends.messages(1, ends.a)[-1]
    assert len(ends.messages(1, ends.a)) == 3  # the first one for a cookie
    ends.b.interface.remove_peer(ends.b.interface.peers[ends.a.interface.me.public])
    ends.b.interface.commit()
    proved = bytearray(later[3])
    sender = endpoints.record(4, *later[1])
    proved[-16:] = bytes(16)
    ends.b.native._is_proved = lambda *_: True
    ends.b.native.ring.append((sender, bytes(proved)))
    ends.run(1)
    assert ends.refused(ends.b)["replayed"] == 1 and not commands.open


# ---- what is told ----------------------------------------------------------------------------


def peer_row(node):
    (row,) = json.loads(b"".join(status.pieces(node.daemon)))["peers"]
    return row


def test_the_status_tells_mode_and_layer_of_a_session_and_what_was_refused():
    ends = Ends((AUTHENTIC, ON), (AUTHENTIC,))
    row = peer_row(ends.a)
    assert (row["layer"], row["encryption"], row["encryption_refused"]) == (2, None, None)
    ends.send()
    ends.run(1)
    row = peer_row(ends.b)
    assert row["encryption"] == "authentic"
    assert row["encryption_taken"] == "authentic" and row["encryption_refused"] is None
    ends.a_of_b.ends("removed")
    assert peer_row(ends.b)["encryption"] is None
    ends = Ends((ON,), (AUTHENTIC,))
    ends.send()
    ends.run(1)
    row = peer_row(ends.a)
    assert (row["encryption"], row["encryption_refused"]) == (None, "authentic")
    assert row["encryption_taken"] == "on"


def test_the_status_of_layer_3_is_as_it_was():
    ends = Ends(layers=(3, 3))
    ends.send()
    ends.run(1)
    assert not [name for name in peer_row(ends.a) if "encryption" in name or name == "layer"]
    for part in (ends.b_of_a.sessions, ends.b_of_a.shakes, ends.b_of_a):
        assert not {"terms", "next_terms", "mode", "refused", "modes"} & set(vars(part))


def told(node, *lines):
    setter = text.Setter(node.interface)
    for line in lines:
        setter.line(bytearray(line.encode()))
    setter.end()


def test_uapi_sets_the_lists_of_interface_group_and_peer_and_replacing_forgets_them():
    ends = Ends()
    key = f"public_key={ends.b.interface.me.public.hex()}"
    told(ends.a, "encryption=authentic,on", "group_name=nodes", "group_encryption=off")
    told(ends.a, key, "encryption=off,on")
    modes = ends.a.interface.modes
    assert modes.common == (AUTHENTIC, ON) and ends.b_of_a.modes == (OFF, ON)
    assert ends.a.interface.groups.named("nodes").modes == (OFF,)
    told(ends.a, key, "encryption=")
    told(ends.a, "group_name=nodes", "group_encryption=")
    assert ends.b_of_a.modes is None and ends.a.interface.groups.named("nodes").modes is None
    told(ends.a, "replace_peers=true")
    assert modes.common == (ON,)
    for line in ("encryption=none", "encryption=on,on"):
        with pytest.raises(text.UapiError, match="not a list of modes"):
            told(ends.a, line)


def test_layer_3_takes_on_and_nothing_else():
    ends = Ends(layers=(3, 3))
    key = f"public_key={ends.b.interface.me.public.hex()}"
    for lines in (["encryption=on"], ["encryption="], [key, "encryption=on"]):
        told(ends.a, *lines)
    told(ends.a, "group_name=nodes", "group_encryption=")
    for lines in (["encryption=off"], [key, "encryption=authentic,on"]):
        with pytest.raises(text.UapiError, match="only layer 2"):
            told(ends.a, *lines)


def test_a_response_that_says_nothing_of_layer_2_ends_no_attempt():
    ends = Ends()
    respond = noise.respond
    noise.respond = lambda state, them, index, said=b"": respond(state, them, index, b"")
    ends.a.native._size = lambda kind: 152 if kind == 1 else 92
    try:
        ends.send()
        ends.run(1)
    finally:
        noise.respond = respond
    assert ends.refused(ends.a) == {"of no version of layer 2": 1}
    assert ends.b_of_a.shakes.is_asking() and ends.b_of_a.sessions.current is None


def test_stamps_count_alone_not_what_is_said_behind_them():
    ends = Ends((ON,), (ON,))
    when = stamp.tai64n(1_800_000_000_000_000_000)
    assert ends.b.interface.exchange._judge(ends.a_of_b, when + layer.says(ON, 1))[0] == (ON, 23)
    assert ends.b.interface.exchange._judge(ends.a_of_b, when + layer.says(ON, 9)) is None
    assert ends.refused(ends.b) == {"replayed": 1}
