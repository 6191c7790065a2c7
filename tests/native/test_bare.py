# SPDX-License-Identifier: MIT
"""Layer 2 in the clear (`off`): what nobody sealed proves nothing, and what is sealed says where a
peer is."""

import pytest

from tests.native.frames import (
    AUTHENTIC,
    BYE,
    ECHO,
    ECHO_ANSWER,
    OFF,
    ON,
    Bridge,
    control,
    frame,
    mac,
    parts,
    whole,
)
from tests.native.plane_ffi import endpoint, lib

ELSEWHERE = endpoint("198.51.100.7", 999)


@pytest.fixture(params=[True, False], ids=["initiator", "responder"])
def bridge(request):
    """One peer; something sealed has come on its session."""
    with Bridge(mode=OFF, initiator=request.param) as b:
        b.plane.arm(b.far[0].peer, 0xFF)
        b.far[0].send(b"")
        b.plane.take_outside()
        b.plane.events()
        b.plane.arm(b.far[0].peer, 0xFF)
        yield b


def stamps(far):
    keys = "received_any received_data first_unanswered first_unreplied endpoint has_session"
    return [far.state()[key] for key in keys.split()]


def test_a_bare_frame_is_delivered_and_proves_nothing(bridge):
    far = bridge.far[0]
    before = stamps(far)
    bridge.plane.clock(1000)
    far.frames(frame(), mode=OFF)
    assert bridge.plane.take_inside() == [frame()]
    assert stamps(far) == before
    assert bridge.plane.events() == {} and bridge.plane.take_outside() == []


def test_a_bare_frame_moves_no_window(bridge):
    """Neither forward, nor are its own replays refused."""
    far = bridge.far[0]
    far.frames(frame(), mode=OFF, counter=1 << 40)
    far.frames(frame(), mode=OFF, counter=5)
    far.frames(frame(), mode=OFF, counter=5)
    assert len(bridge.plane.take_inside()) == 3
    far.frames(frame(), mode=ON, counter=5)
    far.frames(frame(), mode=ON, counter=5)
    assert len(bridge.plane.take_inside()) == 1
    assert bridge.plane.drops() == {"replayed": 1}


@pytest.mark.parametrize(
    "where",
    [
        endpoint("192.0.2.1", 51821),
        endpoint("192.0.2.2"),
        endpoint("2001:db8::1"),
    ],
)
def test_a_bare_frame_is_taken_from_the_endpoint_alone_and_moves_it_nowhere(bridge, where):
    far = bridge.far[0]
    far.frames(frame(), mode=OFF, where=where)
    assert bridge.plane.take_inside() == [] and bridge.plane.drops() == {"bare_refused": 1}
    assert far.state()["endpoint"][:24] == far.where[:24]
    far.frames(frame(), where=where)
    assert bridge.plane.take_inside() == [frame()]
    assert far.state()["endpoint"][:24] == where[:24]
    far.frames(frame(), mode=OFF, where=where)
    far.frames(frame(), mode=OFF)
    assert bridge.plane.take_inside() == [frame()]
    assert bridge.plane.drops() == {"bare_refused": 1}


@pytest.mark.parametrize("mode", [ON, AUTHENTIC, OFF])
def test_a_session_of_a_recorded_initiation_takes_nothing_that_is_not_sealed(mode):
    """Who sends it anew after our restart learns the index of the answer, and is the endpoint, but
    has no key: no frame arrives, nothing is confirmed, heard or answered."""
    with Bridge(mode=mode, initiator=False) as bridge:
        far = bridge.far[0]
        bridge.plane.arm(far.peer, 0xFF)
        far.begin(initiator=False, use=False)
        before = stamps(far)
        for kind in (OFF, AUTHENTIC, ON):
            for plain in (whole(frame()), control(ECHO, bytes(8)), control(BYE), b""):
                datagram = bytes([4 + kind, 0, 0, 0]) + far.index + bytes(8) + plain
                bridge.plane.put_outside(datagram + (b"" if kind == OFF else bytes(16)))
        bridge.plane.turn(2)
        assert bridge.plane.take_inside() == [] and bridge.plane.take_outside() == []
        assert bridge.plane.events() == {} and stamps(far) == before
        allowed = {"bare_refused", "wrong_mode", "not_authentic", "too_short"}
        assert set(bridge.plane.drops()) <= allowed


def test_an_initiators_bare_frames_wait_for_something_sealed():
    with Bridge(mode=OFF, initiator=True) as bridge:
        far = bridge.far[0]
        bridge.put(frame(), frame())
        assert [row[0] for row in bridge.sent()[1]] == [ON, ON]
        far.frames(frame(src=mac(2)), mode=OFF)
        bridge.put(frame())
        assert [row[0] for row in bridge.sent()[1]] == [ON]
        far.send(b"")
        bridge.put(frame(), frame())
        modes = [(row[0], row[2][0]) for row in bridge.sent()[1]]
        assert modes[:2] == [(OFF, 0), (OFF, 0)] and modes[2:] == [(ON, 2)]


def test_what_is_sealed_wins_an_answer_from_a_responder_once_a_second():
    with Bridge(mode=OFF, initiator=False) as bridge:
        far = bridge.far[0]
        far.frames(*[frame()] * 5)
        assert bridge.sent() == {1: [(ON, 0, b"")]}
        far.frames(frame())
        assert bridge.sent() == {}
        bridge.plane.clock(1000)
        far.send(b"", control(ECHO_ANSWER, bytes(8)))
        far.frames(frame(), mode=OFF)
        assert bridge.sent() == {}
        far.frames(frame())
        assert [plain for _, _, plain in bridge.sent()[1]] == [b""]


@pytest.mark.parametrize("mode, initiator", [(OFF, True), (ON, False), (AUTHENTIC, False)])
def test_nobody_else_answers_so(mode, initiator):
    with Bridge(mode=mode, initiator=initiator) as bridge:
        bridge.far[0].frames(frame())
        assert bridge.sent() == {}


def test_whoever_sends_bare_frames_says_where_he_is_every_two_seconds(bridge):
    said = []
    for ms in range(0, 6001, 250):
        bridge.plane.clock(ms)
        bridge.put(frame())
        for mode, _, plain in bridge.sent()[1]:
            assert mode == (OFF if plain[0] == 0 else ON)
            said += [ms] if plain[0] else []
            assert plain in (whole(frame()), control(ECHO, bytes(8)))
    assert said == [0, 2000, 4000, 6000]


def test_his_answer_is_proof_of_life(bridge):
    far = bridge.far[0]
    bridge.put(frame())
    assert far.state()["first_unanswered"]
    far.send(control(ECHO_ANSWER, bytes(8)))
    assert not far.state()["first_unanswered"]
    assert not bridge.plane.events().get(far.peer, 0) & lib.TL_PEER_ECHO


def test_a_full_queue_of_frames_leaves_room_to_say_so():
    with Bridge(mode=OFF, pool_bytes=1 << 18) as bridge:
        far = bridge.far[0]
        far.send(b"")
        bridge.put(*[frame(payload=bytes([n])) for n in range(200)], turns=4)
        bridge.sent()
        bridge.plane.clock(2000)
        bridge.plane.turn()
        sent = bridge.sent()[1]
        assert [row[0] for row in sent][:-1] == [OFF] * bridge.plane.counters()["batch_largest"]
        assert sent[-1][2] == control(ECHO, bytes(8))


def test_parts_in_the_clear_are_never_joined_with_sealed_ones(bridge):
    far = bridge.far[0]
    first, second = parts(frame(payload=bytes(2001)[:1001]), 2)
    far.send(first, mode=ON, counter=10)
    far.send(second, mode=OFF, counter=11)
    assert bridge.plane.take_inside() == []
    far.send(first, mode=OFF, counter=10)
    assert bridge.plane.take_inside() == [frame(payload=bytes(1001))]
    far.send(second, mode=ON, counter=11)
    assert bridge.plane.take_inside() == [frame(payload=bytes(1001))]


def test_bare_frames_are_counted_for_their_peer(bridge):
    before = bridge.far[0].state()["rx_bytes"]
    bridge.far[0].frames(frame(), mode=OFF)
    assert bridge.far[0].state()["rx_bytes"] == before + 16 + 2 + 14
