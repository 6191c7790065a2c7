# SPDX-License-Identifier: MIT
"""ways.py: which endpoints are asked about, when, and what becomes of them."""

import struct

import pytest

from lab.fakes.net import Node, World
from tests.unit.test_daemon import System
from tunlite import endpoints
from tunlite.control import ways
from tunlite.plane import plane as planes

OURS, FIRST, SECOND = 7, 2, 3
A, B = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 1])


class Kernel:
    """`links` with a table of its own: the link to an address, by mark and source where it says."""

    def __init__(self):
        self.to = {A: FIRST, B: FIRST}
        self.asked = []
        self.over = {OURS}

    def link_get(self, name, netns=-1):
        return OURS, 1420, True

    def above(self, index):
        return self.over

    def route_get(self, family, address, mark, source=None):
        self.asked.append(address)
        found = self.to.get((address, mark)) or self.to.get(address)
        return (found, 0) if found else None


def head(family, packed, bits):
    """What rtnetlink.route_heads() gives of a route."""
    rows = struct.pack("=HH", 4 + len(packed), 1) + packed if bits else b""
    return bytes([2 if family == 4 else 10, bits]) + bytes(10) + rows


@pytest.fixture
def node():
    return watched(Node(World(), b"\x0a\0\0\x01"), Kernel())


def watched(made, kernel):
    """With two peers, and a kernel whose routes it asks."""
    made.interface.set_private_key(made.port.random_bytes(32))
    made.system = System(made)
    made.kernel = made.system.links = made.port.links = kernel
    made.routes, made.message_ms = [], 0

    def route_changes(fd, heads, let_turn):
        changes, made.routes = made.routes, []
        if changes == "lost":
            raise OSError(105, "lost")
        if changes == "no memory":
            raise MemoryError
        for row in changes:
            made.world.clock.now_ms += made.message_ms
            heads.add(head(*row))
            let_turn()

    made.port.route_monitor = lambda: 70
    made.port.route_changes = route_changes
    made.daemon.watch_routes()
    made.daemon.watch_link()
    for number, address in ((1, A), (2, B)):
        peer = made.interface.add_peer(bytes([number]) * 32)
        made.interface.set_endpoint(peer, 4, address, 51820)
    made.world.run(3)
    made.kernel.asked = []
    return made


def peers(node):
    return list(node.interface.peers.values())


def change(node, *prefixes, seconds=0.1):
    """Routes change; what was asked meanwhile."""
    node.routes = prefixes[0] if isinstance(prefixes[0], str) else list(prefixes)
    node.system.wake(70)
    node.world.run(seconds)
    asked, node.kernel.asked = node.kernel.asked, []
    return asked


def heard(node, peer, address, link, local=b"\x0a\x01\0\x02", way=0):
    """The peer's endpoint is known with a source and the link it came by."""
    record = endpoints.record(4, address, 51820)[:24] + local + bytes(12)
    node.plane = node.daemon.plane
    node.plane.peer_endpoint(peer.handle, record + struct.pack("<II", link, way))


def parts(node, peer):
    """(source, link, way) of its endpoint."""
    record = node.daemon.plane.endpoint_of(peer.handle)
    return record[24:28], *struct.unpack_from("<II", record, 40)


def test_only_endpoints_that_the_change_covers_are_asked_about(node):
    assert change(node, (4, bytes([192, 0, 2, 0]), 24)) == [A]
    node.world.run(1)
    assert change(node, (4, bytes([192, 0, 3, 0]), 24), (6, bytes(16), 0)) == []
    node.world.run(1)
    assert change(node, (4, bytes(4), 0)) == [A, B]
    node.world.run(1)
    assert change(node, (4, A, 32), (4, bytes([198, 51, 0, 0]), 16)) == [A, B]


@pytest.mark.parametrize("why", ["lost", "no memory"])
def test_lost_messages_are_one_look_at_all(node, why):
    assert change(node, why) == [A, B]
    node.world.run(1)
    assert change(node, (4, A, 32)) == [A], "the monitor is read on"


@pytest.mark.parametrize(("what", "times"), [("lost", 1), ("no memory", 1), ((4, A, 32), 0)])
def test_what_was_lost_may_have_been_a_way_of_ours(node, monkeypatch, what, times):
    """Decision 19: an address or default route that is new forgets losses."""
    told = []
    monkeypatch.setattr(node.interface.groups, "network_changed", lambda: told.append(1))
    change(node, what)
    node.world.run(2)
    assert len(told) == times


def test_a_question_that_fails_is_asked_again(node):
    """A full heap or the end of the descriptors: what is new and what changed are not forgotten."""
    peer, other = peers(node)
    answer = node.kernel.route_get

    def fail(*_):
        raise MemoryError

    node.kernel.route_get = fail
    for each in (peer, other):
        node.interface.set_endpoint(each, 4, A, 1)
    change(node, (4, B, 32))
    node.kernel.route_get = answer
    node.interface.set_endpoint(other, 4, B, 1)
    node.world.run(3)
    assert {A, B} <= set(node.kernel.asked)
    node.kernel.asked = []
    node.interface.set_endpoint(peer, 4, A, 2)
    node.world.run(2)
    assert node.kernel.asked == [A]


@pytest.mark.parametrize("link", [OURS, FIRST])
def test_what_is_barred_is_looked_at_again_when_a_link_changes(node, link):
    """The kernel tells of no IPv4 route that goes with its link, `ip link set wg0 down`."""
    node.interface.set_fwmark(9)
    node.world.run(1.1)
    peer = peers(node)[0]
    peer.where.place = None
    node.kernel.to[A] = OURS
    change(node, (4, A, 32))
    assert parts(node, peer)[2] == endpoints.LOOPS
    node.kernel.to[A] = FIRST
    node.world.run(1)
    for up in (False, True):
        node.system.changes = [(link, "w1", up, 1420, False)]
        node.system.wake(50)
        node.world.run(2)
    assert parts(node, peer)[2] == 0


def test_changes_are_looked_at_together_at_most_once_a_second(node):
    assert change(node, (4, A, 32), seconds=0.06) == [A]
    for _ in range(10):
        assert change(node, (4, A, 32), (4, B, 32), seconds=0.08) == []
    node.world.run(1)
    assert node.kernel.asked == [A, B]


def test_packets_turn_while_many_endpoints_are_asked_about(node, monkeypatch):
    clock, ask = node.world.clock, node.kernel.route_get
    stays, turned_ms = [], [clock.now_ms]

    def turn():
        stays.append(clock.now_ms - turned_ms[0])
        turned_ms[0] = clock.now_ms

    def route_get(*asked):
        clock.now_ms += 1
        return ask(*asked)

    node.kernel.route_get = route_get
    monkeypatch.setattr(node.daemon.plane, "turn", turn)
    for number in range(3, 40):
        peer = node.interface.add_peer(bytes([number]) * 32)
        node.interface.set_endpoint(peer, 4, A, 51820)
    node.interface.commit()
    turned_ms[0] = clock.now_ms
    node.world.run(0.01)
    assert len(node.kernel.asked) == 37 and len(stays) >= 9
    assert max(stays) <= planes.LONG_MS + 1


def test_packets_turn_while_many_changes_are_read(node, monkeypatch):
    turned = []
    monkeypatch.setattr(node.daemon.plane, "turn", lambda: turned.append(node.world.clock.now_ms))
    node.message_ms = 1
    change(node, *[(4, bytes([10, 9, number, 0]), 24) for number in range(200)], seconds=0.06)
    assert len(turned) >= 50
    assert max(b - a for a, b in zip(turned, turned[1:], strict=False)) <= planes.LONG_MS + 1


@pytest.mark.parametrize("question_ms", [1, 100, 600])
def test_a_storm_s_looks_take_their_share_of_the_time_however_slow_and_a_lone_change_waits_not(
    node, question_ms
):
    clock, kernel = node.world.clock, node.kernel
    look_ms = 2 * question_ms
    ask = kernel.route_get

    def route_get(*asked):
        clock.now_ms += question_ms
        return ask(*asked)

    kernel.route_get = route_get
    assert change(node, (4, bytes(4), 0), seconds=0.06) == [A, B]
    began, looks = clock.now_ms, 0
    for _ in range(20):
        looks += len(change(node, (4, bytes(4), 0), seconds=max(1, look_ms / 20))) / 2
    assert looks * look_ms <= (clock.now_ms - began) / 100
    assert question_ms > 1 or looks >= 9


def test_a_source_whose_link_the_route_has_left_is_forgotten(node):
    peer, other = peers(node)
    heard(node, peer, A, FIRST)
    heard(node, other, B, FIRST)
    node.kernel.to[A] = SECOND
    change(node, (4, bytes(4), 0))
    assert parts(node, peer) == (bytes(4), 0, FIRST)
    assert parts(node, other) == (b"\x0a\x01\0\x02", FIRST, 0)
    node.kernel.to[A] = FIRST
    change(node, (4, bytes(4), 0), seconds=2)
    assert parts(node, peer) == (bytes(4), 0, 0), "it may be learned there again"


def test_a_link_that_changes_is_looked_at_for_those_heard_on_it(node):
    peer, other = peers(node)
    heard(node, peer, A, FIRST)
    heard(node, other, B, SECOND)
    node.kernel.to[A] = SECOND
    node.system.changes = [(FIRST, "w1", False, 1500, False)]
    node.system.wake(50)
    node.world.run(0.1)
    assert set(node.kernel.asked) == {A}
    assert parts(node, peer) == (bytes(4), 0, FIRST)


def test_an_endpoint_routed_into_our_device_is_barred_where_a_mark_is_set(node):
    node.interface.set_fwmark(9)
    node.world.run(1.1)
    peer = peers(node)[0]
    heard(node, peer, A, FIRST)
    node.kernel.to[A] = OURS
    peer.where.place = None
    node.native.peers[peer.handle].staged = [b"it would leave with the next session"]
    change(node, (4, A, 32))
    assert parts(node, peer) == (bytes(4), 0, endpoints.LOOPS)
    assert node.native.peers[peer.handle].staged == []
    assert "192.0.2.1:51820 is routed into fake itself" in node.log.texts("error")[-1]
    node.kernel.to[A, 10] = FIRST
    node.interface.set_fwmark(10)
    node.world.run(1.1)
    assert parts(node, peer) == (bytes(4), 0, 0)


def test_without_a_mark_it_is_barred_only_if_it_still_is_a_second_later(node):
    peer, other = peers(node)
    for each in (peer, other):
        each.where.place = None
    node.kernel.to[A] = node.kernel.to[B] = OURS
    change(node, (4, bytes(4), 0))
    assert parts(node, peer)[2] == parts(node, other)[2] == 0
    node.kernel.to[B] = FIRST  # `up` has set a mark and its rules
    node.world.run(1.2)
    assert parts(node, peer)[2] == endpoints.LOOPS
    assert parts(node, other)[2] == 0


@pytest.mark.parametrize("is_mesh, most", [(True, 50), (True, 1), (False, 50)])
def test_with_a_mesh_above_a_device_of_frames_the_next_look_is_soon(
    node, monkeypatch, is_mesh, most
):
    """What goes round below batman-adv goes round until then; elsewhere C knows it. Looks at many
    peers cost what once a second bounds."""
    monkeypatch.setattr(ways, "_HASTY_PEERS", most)
    is_soon = is_mesh and most > 2
    node.daemon.layer = 2
    node.kernel.over = {OURS, 12} if is_mesh else {OURS}
    node.system.changes = [(OURS, "fake", True, 1420, False)]
    node.system.wake(50)
    node.world.run(3)
    node.kernel.asked = []
    ask = node.kernel.route_get

    def route_get(*asked):
        node.world.clock.now_ms += 10  # a router's
        return ask(*asked)

    node.kernel.route_get = route_get
    assert change(node, (4, bytes(4), 0), seconds=0.06) == [A, B]
    began_ms = node.world.clock.now_ms
    node.kernel.to[A] = OURS
    change(node, (4, A, 32), seconds=0.25)
    assert (parts(node, peers(node)[0])[2] == endpoints.LOOPS) is is_soon
    looks = 0
    for _ in range(100):
        looks += len(change(node, (4, bytes(4), 0), seconds=0.05)) / 2
    assert looks * 20 <= (node.world.clock.now_ms - began_ms) / (8 if is_soon else 100)


@pytest.mark.parametrize("frames", ["layer 2", "vxlan"])
def test_a_device_of_frames_has_no_second_to_wait(node, frames):
    if frames == "layer 2":
        node.daemon.layer = 2
    else:
        node.daemon.vxlan = (4, 4711, 4789, 0, bytes(4), bytes(4))
    peer, other = peers(node)
    peer.where.place = None
    node.kernel.to[A] = OURS
    change(node, (4, A, 32))
    assert parts(node, peer)[2] == endpoints.LOOPS
    assert parts(node, other)[2] == 0
    node.kernel.to[A] = FIRST
    node.world.run(1.2)
    change(node, (4, A, 32))
    assert parts(node, peer)[2] == 0


def test_what_lies_above_our_device_is_ours(node):
    node.interface.set_fwmark(9)
    node.world.run(1.1)
    peer = peers(node)[0]
    peer.where.place = None
    node.kernel.to[A] = 12
    node.kernel.over = {OURS, 12}
    node.system.changes = [(12, "bridge", True, 1500, False)]
    node.system.wake(50)
    node.world.run(0.1)
    assert parts(node, peer)[2] == endpoints.LOOPS


BAT0 = 12  # the mesh's device, whose hard interface is ours


class Mesh(Kernel):
    """Of layer 2."""

    def mtu_of(self, index):
        return 1500

    def address_of(self, index):
        return b"\2\0\0\0\0\1"


@pytest.fixture
def mesh():
    return watched(Node(World(), b"\x0a\0\0\x01", layer=2), Mesh())


@pytest.mark.parametrize("mark", [0, 9])
def test_a_default_route_by_bat0_above_our_own_device_refuses_the_endpoint_and_tells(mesh, mark):
    mesh.interface.set_fwmark(mark)
    mesh.interface.link_up()
    mesh.kernel.over = {OURS, BAT0}
    mesh.system.changes = [(BAT0, "bat0", True, 1500, False)]
    mesh.system.wake(50)
    mesh.world.run(3)
    peer = peers(mesh)[0]
    assert parts(mesh, peer)[2] == 0 and mesh.log.texts("error") == []
    peer.where.place = None  # nothing came from there yet
    mesh.kernel.to = {A: BAT0, B: BAT0}
    change(mesh, (4, bytes(4), 0), seconds=3)
    assert parts(mesh, peer)[2] == endpoints.LOOPS
    assert "192.0.2.1:51820 is routed into fake itself" in mesh.log.texts("error")[0]
    mesh.kernel.to = {A: FIRST, B: FIRST}
    change(mesh, (4, bytes(4), 0), seconds=3)
    assert parts(mesh, peer)[2] == 0


def test_a_move_inside_is_undone(node):
    node.interface.set_fwmark(9)
    node.world.run(1.1)
    peer = peers(node)[0]
    inside = bytes([10, 9, 0, 2])
    node.kernel.to[inside] = OURS
    heard(node, peer, inside, FIRST)
    native_peer = node.native.peers[peer.handle]
    node.native.raise_event(native_peer, planes.ROAMED)
    node.world.run(0.1)
    record = node.daemon.plane.endpoint_of(peer.handle)
    assert endpoints.parts(record)[1] == A
    assert native_peer.armed & planes.ROAMED, "the next move is heard of"


def test_a_peer_that_moves_all_the_time_is_looked_at_once_a_second(node):
    peer = peers(node)[0]
    for _ in range(20):
        node.native.raise_event(node.native.peers[peer.handle], planes.ROAMED)
        node.world.run(0.1)
    assert 2 <= len(node.kernel.asked) <= 3


def test_a_peer_that_goes_while_it_waits_is_left_alone(node):
    peer, other = peers(node)
    node.routes = [(4, bytes(4), 0)]
    node.system.wake(70)
    for each in (peer, other):
        each.where.judged_ms = node.port.now_ms()
        node.interface.set_endpoint(each, 4, B, 1)
    node.interface.remove_peer(peer)
    node.interface.remove_peer(other)
    node.interface.commit()
    node.world.run(2)
    assert node.kernel.asked == [] and node.log.texts("error") == []


def test_the_sources_of_endpoints_with_a_zone_go_by_it(node):
    peer = peers(node)[0]
    where = bytes.fromhex("fe80" + "0" * 27 + "1")
    node.interface.set_endpoint(peer, 6, where, 51820, OURS)
    node.world.run(3)
    assert parts(node, peer)[2] == endpoints.LOOPS and node.kernel.asked == []


def test_the_first_place_of_a_peer_is_judged_at_once(node):
    """A look at all meanwhile does not count: there was nothing to look at."""
    peer = node.interface.add_peer(bytes(31) + b"\3")
    change(node, "lost")
    heard(node, peer, A, FIRST)
    node.native.raise_event(node.native.peers[peer.handle], planes.ROAMED)
    node.world.run(0.01)
    assert node.kernel.asked == [A] and peer.where.place


# ---- peers with several endpoints ----

C = bytes([203, 0, 113, 1])


def several(node, *addresses):
    peer = peers(node)[0]
    entries = [endpoints.record(4, address, 51820) for address in addresses]
    node.interface.set_endpoints(peer, entries)
    node.world.run(3)
    node.kernel.asked = []
    return peer


def in_use(node, peer):
    record = node.daemon.plane.endpoint_of(peer.handle)
    return record[4:8], struct.unpack_from("<I", record, 44)[0] == endpoints.LOOPS


def barred(peer):
    return [place.barred for place in peer.where.places.rows]


def test_of_several_endpoints_one_that_is_routed_into_us_is_not_used_and_another_is(node):
    node.interface.set_fwmark(7)
    node.kernel.to[C] = OURS
    peer = several(node, C, A)
    assert in_use(node, peer) == (A, False) and barred(peer) == [True, False]
    (told,) = node.log.texts("error")
    assert "203.0.113.1:51820" in told
    node.kernel.to[C] = SECOND
    change(node, (4, C, 32))
    assert barred(peer) == [False, False] and in_use(node, peer) == (A, False)


def test_without_a_mark_one_of_several_is_barred_only_if_it_still_is_a_second_later(node):
    node.kernel.to[C] = OURS
    peer = peers(node)[0]
    entries = [endpoints.record(4, address, 51820) for address in (A, C)]
    node.interface.set_endpoints(peer, entries)
    node.world.run(0.5)
    assert barred(peer) == [False, False]
    node.world.run(1)
    assert barred(peer) == [False, True] and in_use(node, peer) == (A, False)


def test_one_of_several_waits_no_second_with_a_device_of_frames(node):
    node.daemon.layer = 2
    node.kernel.to[C] = OURS
    peer = peers(node)[0]
    entries = [endpoints.record(4, address, 51820) for address in (A, C)]
    node.interface.set_endpoints(peer, entries)
    node.world.run(0.5)
    assert barred(peer) == [False, True] and in_use(node, peer) == (A, False)


def test_where_all_are_routed_into_us_nothing_is_sent_until_one_is_not(node):
    node.interface.set_fwmark(7)
    node.kernel.to[C] = node.kernel.to[A] = OURS
    peer = several(node, C, A)
    assert in_use(node, peer) == (A, True) and barred(peer) == [True, True]
    node.kernel.to[C] = SECOND
    change(node, (4, C, 32))
    assert in_use(node, peer) == (C, False) and barred(peer) == [False, True]


def test_a_change_that_covers_only_one_of_several_asks_about_its_peer(node):
    peer = several(node, A, C)
    heard(node, peer, A, FIRST)
    asked = change(node, (4, C, 32))
    assert set(asked) == {A, C} and parts(node, peer)[0] == b"\x0a\x01\0\x02"
