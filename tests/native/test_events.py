# SPDX-License-Identifier: MIT
"""Events of peers: raised while armed, once, then quiet until armed again."""

import pytest

from tests.native.plane_ffi import KEY_A, KEY_B, START_MS, Plane, endpoint, ipv4, lib, seal

ALL = 0x1F


@pytest.fixture
def plane():
    with Plane() as p:
        p.only = p.peer(["0.0.0.0/0"])
        yield p


def receive(plane, index, counter, packet=None, key=KEY_B):
    plane.put_outside(seal(key, index, counter, ipv4() if packet is None else packet))
    return plane.turn()


def test_data_either_way_is_activity_once(plane):
    index = plane.session(plane.index(plane.only))
    for act in (lambda n: receive(plane, index, n), lambda n: plane.put_inside(ipv4())):
        plane.arm(plane.only, lib.TL_PEER_ACTIVE)
        act(1)
        plane.turn()
        assert plane.events() == {plane.only: lib.TL_PEER_ACTIVE}
        act(2)
        assert not plane.turn() & lib.TL_WOKE_PEERS
        assert plane.state(plane.only)["events"] == 0


def test_keepalives_are_no_activity(plane):
    index = plane.session(plane.index(plane.only))
    plane.arm(plane.only, lib.TL_PEER_ACTIVE)
    receive(plane, index, 0, b"")
    plane.call("peer_keepalive", plane.only, b"", 0)
    assert not plane.turn() & lib.TL_WOKE_PEERS


def test_the_first_packet_on_a_newer_session_confirms_it(plane):
    old = plane.session(plane.index(plane.only))
    new = plane.session(
        plane.index(plane.only), initiator=0, send=KEY_A, receive=b"n" * 32, use=False
    )
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    assert not receive(plane, old, 0) & lib.TL_WOKE_PEERS
    assert receive(plane, new, 0, b"", key=b"n" * 32) & lib.TL_WOKE_PEERS
    assert plane.events() == {plane.only: lib.TL_PEER_CONFIRMED}
    plane.call("session_use", new)
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    assert not receive(plane, old, 1) & lib.TL_WOKE_PEERS  # the previous one proves nothing
    assert not receive(plane, new, 1, key=b"n" * 32) & lib.TL_WOKE_PEERS


def test_a_newer_session_is_confirmed_though_the_index_grew_since(plane):
    for _ in range(5):
        plane.session(plane.index(plane.only))
    for _ in range(200):
        plane.index(plane.only)
    new = plane.session(plane.index(plane.only), initiator=0, use=False)
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    receive(plane, new, 0)
    assert plane.events() == {plane.only: lib.TL_PEER_CONFIRMED}


def fresh(plane, key):
    """A session as responder that no packet has proved."""
    return plane.session(plane.index(plane.only), initiator=0, receive=key, use=False)


def test_a_late_word_of_one_session_does_not_confirm_the_one_that_came_after(plane):
    first = fresh(plane, b"1" * 32)
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    assert receive(plane, first, 0, key=b"1" * 32) & lib.TL_WOKE_PEERS
    plane.call("index_free", first)
    second = fresh(plane, b"2" * 32)
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    assert plane.events() == {plane.only: 0}
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    receive(plane, second, 0, key=b"2" * 32)
    assert plane.events() == {plane.only: lib.TL_PEER_CONFIRMED}


def test_a_session_is_no_longer_confirmed_once_a_newer_one_sends(plane):
    first = fresh(plane, b"1" * 32)
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    receive(plane, first, 0, key=b"1" * 32)
    plane.session(plane.index(plane.only), initiator=1)
    assert plane.events() == {plane.only: 0}


def test_what_came_before_python_asked_confirms_a_session_too(plane):
    index = fresh(plane, b"1" * 32)
    receive(plane, index, 0, key=b"1" * 32)
    assert plane.events() == {}
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    assert plane.events() == {plane.only: lib.TL_PEER_CONFIRMED}


def test_a_session_confirms_itself_when_none_sends(plane):
    index = plane.session(plane.index(plane.only), initiator=0, use=False)
    plane.arm(plane.only, lib.TL_PEER_CONFIRMED)
    receive(plane, index, 0)
    assert plane.events() == {plane.only: lib.TL_PEER_CONFIRMED}


@pytest.mark.parametrize(("initiator", "expected"), [(1, lib.TL_PEER_REKEY), (0, 0)])
def test_an_old_session_asks_for_a_new_one_when_it_sends_as_initiator(plane, initiator, expected):
    plane.session(plane.index(plane.only), initiator=initiator)
    plane.arm(plane.only, lib.TL_PEER_REKEY)
    plane.clock(119_999)
    plane.put_inside(ipv4())
    assert not plane.turn() & lib.TL_WOKE_PEERS
    plane.clock(120_000)
    plane.put_inside(ipv4())
    plane.turn()
    assert plane.events().get(plane.only, 0) == expected


@pytest.mark.parametrize(("initiator", "expected"), [(1, lib.TL_PEER_REKEY), (0, 0)])
def test_an_old_session_asks_for_a_new_one_when_it_receives_as_initiator(
    plane, initiator, expected
):
    index = plane.session(plane.index(plane.only), initiator=initiator)
    plane.arm(plane.only, lib.TL_PEER_REKEY)
    plane.clock(164_999)
    assert not receive(plane, index, 0) & lib.TL_WOKE_PEERS
    plane.clock(165_000)
    receive(plane, index, 1)
    assert plane.events().get(plane.only, 0) == expected


def test_what_still_comes_on_an_old_session_asks_for_no_other_one(plane):
    old = plane.session(plane.index(plane.only))
    plane.session(plane.index(plane.only), born_ms=START_MS + 165_000)
    plane.clock(165_000)
    plane.arm(plane.only, lib.TL_PEER_REKEY)
    assert not receive(plane, old, 0) & lib.TL_WOKE_PEERS


def test_a_used_up_session_asks_for_a_new_one_on_both_sides(plane):
    plane.session(plane.index(plane.only), initiator=0, rekey_messages=5)
    plane.arm(plane.only, lib.TL_PEER_REKEY)
    plane.put_inside(*[ipv4()] * 4)
    assert not plane.turn() & lib.TL_WOKE_PEERS
    plane.put_inside(ipv4())
    plane.turn()
    assert plane.events() == {plane.only: lib.TL_PEER_REKEY}


def test_roaming_is_told_only_for_another_place(plane):
    index = plane.session(plane.index(plane.only))
    plane.arm(plane.only, lib.TL_PEER_ROAMED)
    assert not receive(plane, index, 0) & lib.TL_WOKE_PEERS
    plane.put_outside(seal(KEY_B, index, 1, b""), where=endpoint(local="192.0.2.200", ifindex=9))
    assert not plane.turn() & lib.TL_WOKE_PEERS
    plane.put_outside(seal(KEY_B, index, 2, b""), where=endpoint(port=51821))
    plane.turn()
    assert plane.events() == {plane.only: lib.TL_PEER_ROAMED}


def test_a_handshake_that_python_authenticated_moves_the_endpoint_too(plane):
    there = endpoint("203.0.113.5", 1)
    plane.clock(77)
    plane.call("peer_heard", plane.only, there, 148)
    state = plane.state(plane.only)
    assert (state["endpoint"], state["rx_bytes"]) == (there, 148)
    assert state["received_any"] == 1_000_077 and state["received_data"] == 0


def test_events_wait_until_they_are_taken_and_end_with_their_peer(plane):
    other = plane.peer()
    plane.routes([("10.0.0.0/24", plane.only), ("10.0.1.0/24", other)])
    for peer in (plane.only, other):
        plane.arm(peer)
    plane.put_inside(ipv4(), ipv4(dst="10.0.1.1"))
    assert plane.turn() & lib.TL_WOKE_PEERS
    assert plane.turn() & lib.TL_WOKE_PEERS
    plane.call("peer_free", plane.only)
    assert plane.events() == {other: lib.TL_PEER_WANTS_SESSION}
    assert not plane.turn() & lib.TL_WOKE_PEERS


@pytest.mark.parametrize("gone", range(3))
def test_events_of_others_before_and_after_a_peer_that_goes_are_told(plane, gone):
    peers = [plane.only, *(plane.peer() for _ in range(3))]
    plane.routes([(f"10.0.{i}.0/24", peer) for i, peer in enumerate(peers)])
    for peer in peers:
        plane.arm(peer)
    plane.put_inside(*[ipv4(dst=f"10.0.{i}.1") for i in range(3)])
    plane.turn()
    plane.call("peer_free", peers.pop(gone))
    plane.routes([(f"10.0.{i}.0/24", peer) for i, peer in enumerate(peers)])
    plane.put_inside(ipv4(dst="10.0.2.1"))
    plane.turn()
    assert plane.events() == dict.fromkeys(peers, lib.TL_PEER_WANTS_SESSION)


def test_a_freed_session_stops_sending_and_its_packets_are_unknown(plane):
    index = plane.session(plane.index(plane.only))
    plane.call("index_free", index)
    assert plane.state(plane.only)["has_session"] == 0
    receive(plane, index, 0)
    assert plane.drops() == {"unknown_index": 1}
    plane.put_inside(ipv4())
    plane.turn()
    assert plane.state(plane.only)["staged"] == 1


def test_a_peers_handle_is_handed_out_again_without_its_past(plane):
    plane.session(plane.index(plane.only))
    plane.call("peer_free", plane.only)
    assert plane.call("peer_new") == plane.only
    assert plane.state(plane.only)["endpoint"] == bytes(48)
    plane.put_inside(ipv4())
    plane.turn()
    assert plane.drops() == {"no_route": 1}
