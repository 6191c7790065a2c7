# SPDX-License-Identifier: MIT
"""Layer 2: frames to messages of three types and back, and which types a session takes."""

import pytest

from tests.native.frames import (
    AUTHENTIC,
    OFF,
    ON,
    Bridge,
    control,
    frame,
    mac,
    message,
    whole,
)
from tests.native.plane_ffi import KEY_A, KEY_B, endpoint

MODES = [ON, AUTHENTIC, OFF]
TAGS = b"\x88\xa8\0\1\x81\0\0\2"


def heard(far):
    """Something sealed came on its session: from now on frames may go in the clear."""
    far.send(b"")
    far.plane.take_outside()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", [14, 15, 42, 60, 61, 1514, 1546, 1554])
def test_a_frame_keeps_its_exact_length_both_ways(mode, length):
    out = frame(payload=bytes(i & 0xFF for i in range(length - 14)))
    back = frame(src=mac(2), payload=out[14:])
    with Bridge(mode=mode) as bridge:
        [far] = bridge.far
        heard(far)
        far.path(payload_max=2000)
        bridge.put(out)
        far.frames(back, mode=mode)
        sent = [row for row in bridge.sent()[1] if row[2][0] == 0]
        assert [(row[0], row[2]) for row in sent] == [(mode, whole(out))]
        assert bridge.plane.take_inside() == [back]
        assert bridge.plane.drops() == {}


@pytest.mark.parametrize("mode", MODES)
def test_a_jumbo_frame_with_two_tags_goes_whole_where_the_way_is_wide(mode):
    out = frame(payload=TAGS + bytes(9004))
    with Bridge(mode=mode, mtu=9004) as bridge:
        [far] = bridge.far
        heard(far)
        far.path(payload_max=9200)
        bridge.put(out)
        far.frames(out, mode=mode)
        assert whole(out) in [plain for _, _, plain in bridge.sent()[1]]
        assert bridge.plane.take_inside() == [out] and bridge.plane.drops() == {}


def test_the_first_message_is_the_same_bytes_as_a_slow_one():
    with Bridge(mode=AUTHENTIC) as bridge:
        [far] = bridge.far
        bridge.put(frame())
        [datagram] = bridge.plane.take_outside()
        assert datagram == message(AUTHENTIC, KEY_A, far.remote, 0, whole(frame()))


@pytest.mark.parametrize("length", [0, 1, 13])
def test_what_is_no_frame_is_refused_at_both_ends(length):
    with Bridge() as bridge:
        bridge.far[0].frames(bytes(length))
        assert bridge.plane.drops() == {"received_bad_length": 1}
        bridge.put(b"x" * length) if length else None
        assert bridge.plane.drops() == ({"device_bad_length": 1} if length else {})
        assert bridge.plane.take_inside() == bridge.plane.take_outside() == []


def test_a_frame_longer_than_ours_may_be_is_refused():
    with Bridge(mtu=1500) as bridge:
        bridge.far[0].frames(frame(payload=bytes(1508)), frame(payload=bytes(1509)))
        assert [len(f) for f in bridge.plane.take_inside()] == [1522]
        assert bridge.plane.drops() == {"received_bad_length": 1}


def test_a_frame_longer_than_its_peer_takes_is_not_sent_to_it():
    with Bridge(mode=ON) as bridge:
        bridge.far[0].path(frame_max=100)
        bridge.put(frame(payload=bytes(86)), frame(payload=bytes(87)), frame())
        assert [len(f) for f in bridge.sent_frames()[1]] == [100, 14]
        assert bridge.plane.drops() == {"frame_too_long": 1}


@pytest.mark.parametrize("session", MODES)
@pytest.mark.parametrize("came", MODES)
def test_a_session_takes_its_modes_type_and_what_is_sealed(session, came):
    with Bridge(mode=session) as bridge:
        far = bridge.far[0]
        far.frames(frame(), mode=came)
        ok = came in (session, ON)
        assert bridge.plane.take_inside() == ([frame()] if ok else [])
        assert bridge.plane.drops() == ({} if ok else {"wrong_mode": 1})


def test_a_wrong_mode_is_refused_before_its_tag_is_looked_at():
    """Else it would be not_authentic."""
    with Bridge(mode=ON) as bridge:
        far = bridge.far[0]
        datagram = message(AUTHENTIC, b"x" * 32, far.index, 0, whole(frame()))
        bridge.plane.put_outside(datagram, where=far.where)
        bridge.plane.turn()
        assert bridge.plane.drops() == {"wrong_mode": 1}


@pytest.mark.parametrize("mode", [ON, AUTHENTIC])
def test_what_is_sealed_is_neither_changed_forged_nor_replayed(mode):
    with Bridge(mode=mode) as bridge:
        far = bridge.far[0]
        good = message(mode, KEY_B, far.index, 7, whole(frame()))
        for at in range(8, len(good)):
            bad = bytearray(good)
            bad[at] ^= 1
            bridge.plane.put_outside(bytes(bad), where=endpoint("198.51.100.9"))
        bridge.plane.turn(3)
        assert bridge.plane.drops() == {"not_authentic": len(good) - 8}
        bridge.plane.put_outside(good, good, where=far.where)
        bridge.plane.turn()
        assert bridge.plane.drops() == {"replayed": 1}
        assert bridge.plane.take_inside() == [frame()]
        assert far.state()["endpoint"][:24] == far.where[:24]


def test_batches_of_mixed_types_are_each_judged_by_their_own():
    with Bridge(mode=AUTHENTIC) as bridge:
        far = bridge.far[0]
        expected = []
        for n in range(12):
            inner = frame(payload=bytes([n]))
            kind = ON if n % 3 == 0 else AUTHENTIC
            datagram = message(kind, KEY_B, far.index, n, whole(inner))
            if n % 5 == 4:
                datagram = datagram[:-1] + bytes([datagram[-1] ^ 1])
            else:
                expected.append(inner)
            bridge.plane.put_outside(datagram, where=far.where)
        bridge.plane.turn(2)
        assert bridge.plane.take_inside() == expected
        assert bridge.plane.drops() == {"not_authentic": 2}


@pytest.mark.parametrize("kind", [3, 4, 255])
def test_a_kind_of_message_that_is_none_is_refused(kind):
    with Bridge() as bridge:
        bridge.far[0].send(bytes([kind, 0]) + frame(), bytes([0, 1]) + frame())
        assert bridge.plane.drops() == {"received_bad_frame": 2}


@pytest.mark.parametrize("mode", [AUTHENTIC, OFF])
def test_control_frames_and_keepalives_are_sealed_or_none(mode):
    with Bridge(mode=mode) as bridge:
        bridge.far[0].send(control(2, bytes(14)), mode=mode)  # a path probe, of any length
        reason = "received_bad_control" if mode == AUTHENTIC else "received_bad_frame"
        assert bridge.plane.drops() == {reason: 1}
        bridge.far[0].send(b"", mode=mode)
        short = {"received_bad_length": 1} if mode == AUTHENTIC else {"too_short": 1}
        assert bridge.plane.drops() == short
        assert bridge.plane.take_outside() == []


def test_layer_3_knows_neither_type():
    from tests.native.plane_ffi import Plane

    with Plane() as plane:
        index = plane.session(plane.index(plane.peer(["0.0.0.0/0"])))
        for mode in (AUTHENTIC, OFF):
            plane.put_outside(message(mode, KEY_B, index, 0, whole(frame())))
        plane.turn()
        assert plane.drops() == {"bad_type": 2}
