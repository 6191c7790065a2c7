# SPDX-License-Identifier: MIT
"""Layer 2: frames that are longer than the way is wide go in equal parts, and are joined again."""

import random
import struct

import pytest

from tests.native.frames import (
    AUTHENTIC,
    OFF,
    ON,
    STANDBY,
    Bridge,
    frame,
    message,
    parts,
    whole,
)
from tests.native.plane_ffi import KEY_A, KEY_B, lib

MODES = [ON, AUTHENTIC, OFF]


def filled(length, seed=1):
    return frame(payload=random.Random(seed).randbytes(length - 14))


def heard(far):
    far.send(b"")
    far.plane.take_outside()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("payload", [508, 1232, 1452])
@pytest.mark.parametrize("length", [474, 475, 1198, 1199, 1436, 1437, 1546, 1551, 1554])
def test_a_frame_is_cut_where_it_must_be_into_the_fewest_equal_parts(mode, payload, length):
    overhead = 16 + 2 + (0 if mode == OFF else 16)
    expected = -(-length // (payload - overhead))
    with Bridge(mode=mode) as bridge:
        far = bridge.far[0]
        heard(far)
        far.path(payload_max=payload)
        bridge.put(filled(length))
        raw = [d for d in bridge.plane.take_outside() if d[0] == 4 + mode and len(d) != 42]
        assert len(raw) == expected and len({len(d) for d in raw}) == 1
        assert len(raw[0]) <= payload
        plains = parts(filled(length), expected) if expected > 1 else [whole(filled(length))]
        counters = [struct.unpack("<Q", d[8:16])[0] for d in raw]
        assert counters == list(range(counters[0], counters[0] + expected))
        assert raw == [
            message(mode, KEY_A, far.remote, counters[0] + i, plain)
            for i, plain in enumerate(plains)
        ]


def test_counters_follow_the_order_of_a_batch_in_which_some_are_cut():
    with Bridge(peers=1) as bridge:
        frames = [filled(100 + 1400 * (n % 2), n) for n in range(8)]
        bridge.put(*frames)
        found = bridge.sent()[1]
        assert [row[1] for row in found] == list(range(12))
        assert [row[2][0] for row in found] == [0, 1, 1] * 4


def test_no_counter_is_used_twice_over_many_batches():
    """Two messages of one key and counter give away what they hold."""
    with Bridge() as bridge:
        for n in range(40):
            bridge.put(*[filled(100 + 350 * ((n + i) % 5), i) for i in range(n % 7)])
        counters = [row[1] for row in bridge.sent()[1]]
        assert len(counters) > 100 and counters == list(range(len(counters)))


def test_each_peers_counters_are_its_own_where_batches_are_mixed():
    with Bridge(peers=3) as bridge:
        bridge.far[1].path(payload_max=2000)
        bridge.put(filled(1500, 1), filled(100, 2), filled(1500, 3), turns=4)
        sent = bridge.sent()
        for number, kinds in ((1, [1, 1, 0, 1, 1]), (2, [0, 0, 0]), (3, [1, 1, 0, 1, 1])):
            assert [row[1] for row in sent[number]] == list(range(len(kinds)))
            assert [row[2][0] for row in sent[number]] == kinds


def test_what_waited_for_a_session_is_cut_when_it_leaves():
    with Bridge(peers=1) as bridge:
        far = bridge.far[0]
        bridge.plane.call("index_free", far.index)
        bridge.put(filled(1500, 1), filled(60, 2), filled(1500, 3))
        far.begin()
        bridge.plane.turn()
        expected = [*parts(filled(1500, 1), 2), whole(filled(60, 2)), *parts(filled(1500, 3), 2)]
        assert [(row[1], row[2]) for row in bridge.sent()[1]] == list(enumerate(expected))


def test_a_frame_of_more_than_eight_parts_is_dropped():
    with Bridge(mtu=9000) as bridge:
        bridge.far[0].path(payload_max=508)
        bridge.put(filled(8 * 474), filled(8 * 474 + 1))
        assert len(bridge.sent()[1]) == 8
        assert bridge.plane.drops() == {"frame_too_long": 1}


def test_a_full_batch_of_frames_has_room_for_its_parts():
    for mtu in (1532, 9000):
        with Bridge(mtu=mtu, pool_bytes=1 << 19) as bridge:
            bridge.far[0].path(payload_max=1232)
            frames = [filled(mtu + 14, n) for n in range(60)]
            bridge.put(*frames, turns=80)
            assert len(bridge.plane.take_outside()) == 60 * (-(-(mtu + 14) // 1198))
            assert bridge.plane.drops() == {}


def test_what_has_no_room_for_its_parts_is_dropped_as_a_whole():
    """The MTU has grown since the queues were made."""
    with Bridge(mtu=1500, pool_bytes=1 << 18) as bridge:
        far = bridge.far[0]
        far.path(payload_max=1400)
        bridge.plane.call("plane_link", 0, 9000)
        bridge.put(*[filled(9014, n) for n in range(200)], turns=30)
        found = [plain for _, _, plain in bridge.sent()[1]]
        assert found == [
            plain for n in range(200) if (all_of := parts(filled(9014, n), 7))[0] in found
            for plain in all_of
        ]  # fmt: skip
        assert len(found) // 7 + bridge.plane.drops()["cut_full"] == 200


def test_whole_frames_behind_parts_that_took_all_places_are_dropped():
    """The MTU has grown here too: 15 frames of 7 parts and one that is whole fill 106 places."""
    with Bridge(mtu=1500, pool_bytes=1 << 18) as bridge:
        bridge.far[0].path(payload_max=1400)
        bridge.plane.call("plane_link", 0, 9000)
        bridge.put(*[frame()] * 24, turns=0)  # so that the batch has grown to 22
        bridge.put(*[filled(9014, n) for n in range(16)], *[frame()] * 6, turns=2)
        assert len(bridge.sent()[1]) == 24
        bridge.plane.turn(2)
        sent = bridge.sent()[1]
        assert [plain[0] for _, _, plain in sent] == [1] * 105 + [0]
        assert bridge.plane.drops() == {"cut_full": 6}


def test_a_full_socket_loses_no_part_and_keeps_their_order():
    with Bridge() as bridge:
        bridge.plane.call("fake_room", lib.TL_FAKE_SOCKET, 3)
        bridge.put(*[filled(1500, n) for n in range(6)], turns=2)
        bridge.plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
        bridge.plane.turn(3)
        expected = [plain for n in range(6) for plain in parts(filled(1500, n), 2)]
        assert [row[2] for row in bridge.sent()[1]] == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [2, 3, 8])
def test_parts_are_joined_in_any_order_and_across_turns(mode, n):
    inner = filled(1501)
    with Bridge(mode=mode) as bridge:
        far = bridge.far[0]
        heard(far)
        chance = random.Random(n)
        for base in range(100, 1000, 50):
            order = list(enumerate(parts(inner, n)))
            chance.shuffle(order)
            for i, plain in order:
                far.send(plain, mode=mode, counter=base + i, turns=chance.randrange(2))
            bridge.plane.turn()
            assert bridge.plane.take_inside() == [inner]
        assert bridge.plane.drops() == {}
        assert bridge.plane.counters()["frames_joined"] == 18


def test_frames_side_by_side_in_one_batch_are_joined_each():
    with Bridge() as bridge:
        plains = [p for n in range(5) for p in parts(filled(1501, n), 2)]
        bridge.far[0].send(*plains)
        assert bridge.plane.take_inside() == [filled(1501, n) for n in range(5)]
        assert bridge.plane.counters()["parts_read"] == 10


def test_a_frame_whose_part_was_lost_never_comes_and_is_given_up():
    with Bridge() as bridge:
        far = bridge.far[0]
        far.send(parts(filled(1501), 2)[0], counter=10)
        far.frames(frame(), counter=10 + 255)
        assert bridge.plane.drops() == {}
        far.frames(frame(), counter=10 + 256)
        assert bridge.plane.drops() == {"parts_lost": 1}
        far.send(parts(filled(1501), 2)[1], counter=11)
        assert len(bridge.plane.take_inside()) == 2


def test_parts_of_two_sessions_are_never_one_frame():
    inner = filled(1501)
    first, second = parts(inner, 2)
    with Bridge() as bridge:
        far = bridge.far[0]
        old = far.index
        far.send(first, counter=10)
        far.begin()
        far.send(second, counter=11)
        bridge.plane.put_outside(message(ON, KEY_B, far.index, 10, second))
        bridge.plane.turn()
        assert bridge.plane.take_inside() == []
        bridge.plane.put_outside(message(ON, KEY_B, old, 11, second), where=far.where)
        bridge.plane.turn()
        assert bridge.plane.take_inside() == [inner]


def test_a_session_that_ends_takes_its_parts_along():
    with Bridge() as bridge:
        far = bridge.far[0]
        far.send(parts(filled(1501), 2)[0], counter=10)
        bridge.plane.call("index_free", far.index)
        far.begin()
        far.send(parts(filled(1501), 2)[1], counter=11)
        assert bridge.plane.take_inside() == []
        assert bridge.plane.drops() == {"parts_lost": 1}


def test_parts_that_lie_are_refused_and_harm_no_other():
    with Bridge() as bridge:
        far = bridge.far[0]
        good = parts(filled(1501), 2)
        far.send(good[0], counter=50)
        lies = [
            bytes([1, 0]),  # nothing
            bytes([1, 8]) + bytes(10),  # the last of one
            bytes([1, 0x80]) + bytes(10),
            bytes([1, 1 | 8 | 7 << 4]) + bytes(10),  # more zeros than parts
            bytes([1, 1 | 8 | 1 << 4]) + b"x" * 10,  # which are none
            bytes([1, 7]) + bytes(10),  # an eighth that is not the last
            bytes([1, 0]) + bytes(9100),  # a frame too long
        ]
        far.counter = iter(range(100, 200))
        for lie in lies:
            far.send(lie)
        assert bridge.plane.drops() == {"received_bad_part": len(lies)}
        far.send(good[1], counter=51)
        assert bridge.plane.take_inside() == [filled(1501)]


def test_a_joined_frame_is_judged_as_any():
    with Bridge(mtu=1500) as bridge:
        far = bridge.far[0]
        far.send(*parts(filled(1523), 2))
        far.send(*parts(bytes(13), 2))
        assert bridge.plane.drops() == {"received_bad_length": 2}
        far.use(STANDBY)
        far.send(*parts(filled(1500), 2))
        assert bridge.plane.drops() == {"not_in_use": 1}


def test_open_frames_are_bounded_and_the_oldest_makes_room():
    with Bridge(peers=20, parts=16) as bridge:
        for far in bridge.far[:16]:
            far.send(parts(filled(1501), 2)[0], counter=10)
        liar = bridge.far[16]
        for n in range(40):
            liar.send(parts(filled(1501), 2)[0], counter=1000 + 10 * n)
        drops = bridge.plane.drops()
        assert drops["parts_full"] >= 36
        for far in bridge.far[4:16]:  # four open frames a session: he took no more places
            far.send(parts(filled(1501), 2)[1], counter=11)
        assert bridge.plane.take_inside() == [filled(1501)] * 12


def test_quiet_peers_with_open_parts_take_nothing_from_the_rest():
    with Bridge(peers=17, pool_bytes=1 << 19) as bridge:
        for far in bridge.far[:16]:
            for n in range(4):
                far.send(parts(filled(1501), 2)[0], counter=10 + 10 * n)
        busy = bridge.far[16]
        for n in range(400):
            busy.send(*parts(filled(1501, n), 2), turns=1)
            bridge.put(filled(1501, n), turns=1)
        bridge.plane.turn(3)
        assert len(bridge.plane.take_inside()) == 400
        assert bridge.plane.counters()["pool_short"] == 0


def test_without_a_buffer_a_frame_is_given_up_and_nothing_leaks():
    """Twice the same: what was taken was given back."""
    with Bridge(pool_bytes=1 << 18) as bridge:
        far = bridge.far[0]
        for n in range(3000):
            far.send(*parts(filled(1501, n), 3), turns=1)
            bridge.plane.take_inside()
            bridge.put(filled(1501, n), turns=1)
            bridge.plane.take_outside()
        assert bridge.plane.counters()["pool_short"] == 0
