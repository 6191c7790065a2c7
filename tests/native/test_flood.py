# SPDX-License-Identifier: MIT
"""Layer 2: which peers a frame goes to, and floods over turns."""

import pytest

from tests.native.frames import (
    ANY,
    AUTHENTIC,
    BYE,
    IN_USE,
    LEFT,
    OFF,
    STANDBY,
    Bridge,
    control,
    frame,
    mac,
    message,
    whole,
)
from tests.native.plane_ffi import ffi, lib

OURS = 0xFFFF
GROUP = b"\x33\x33\0\0\0\1"


def told(bridge, number):
    return [plain for _, _, plain in bridge.sent().get(number, [])]


def test_a_group_and_an_unknown_address_go_to_all_and_a_known_one_to_its_peer():
    with Bridge(peers=3) as bridge:
        for dst in (ANY, GROUP, mac(7)):
            bridge.put(frame(dst=dst))
            assert bridge.sent_frames() == {n: [frame(dst=dst)] for n in (1, 2, 3)}
        bridge.far[1].frames(frame(src=mac(7)))
        bridge.put(frame(dst=mac(7)), frame(dst=mac(7)), frame(dst=mac(8)))
        sent = bridge.sent_frames()
        assert sent[2] == [frame(dst=mac(7))] * 2 + [frame(dst=mac(8))]
        assert sent[1] == sent[3] == [frame(dst=mac(8))]


def test_all_frames_of_one_peer_go_to_it_without_a_copy():
    with Bridge(peers=1) as bridge:
        bridge.put(*[frame(dst=dst) for dst in (ANY, GROUP, mac(7))])
        assert len(bridge.sent_frames()[1]) == 3
        assert bridge.plane.counters()["floods"] == 0


def test_each_copy_is_sealed_for_its_peer_alone():
    with Bridge(peers=2) as bridge:
        bridge.put(frame(), frame())
        sent = bridge.sent()
        assert [row[1] for row in sent[1]] == [row[1] for row in sent[2]] == [0, 1]


def test_an_address_moves_with_its_host_and_goes_with_its_peers_session():
    with Bridge(peers=2) as bridge:
        bridge.far[0].frames(frame(src=mac(7)))
        assert bridge.table() == {mac(7): bridge.far[0].peer}
        bridge.far[1].frames(frame(src=mac(7)))
        assert bridge.table() == {mac(7): bridge.far[1].peer}
        bridge.plane.call("index_free", bridge.far[1].index)
        assert bridge.table() == {}


def test_a_new_session_keeps_the_addresses():
    with Bridge(peers=2) as bridge:
        far = bridge.far[0]
        far.frames(frame(src=mac(7)))
        old = far.index
        far.begin()
        bridge.plane.call("index_free", old)
        assert bridge.table() == {mac(7): far.peer}


def test_an_address_that_moves_to_and_fro_is_held_where_it_was_first():
    with Bridge(peers=2) as bridge:
        first, other = bridge.far
        first.frames(frame(src=mac(7)))
        for _ in range(3):
            other.frames(frame(src=mac(7)))
            first.frames(frame(src=mac(7)))
        other.frames(frame(src=mac(7)))
        assert bridge.table() == {mac(7): first.peer}
        assert bridge.plane.counters()["fdb_held"] >= 1


def test_a_frame_in_the_clear_takes_no_address_from_a_peer_whose_frames_are_protected():
    """Anybody who sees an index makes up such a frame."""
    with Bridge(peers=3, mode=AUTHENTIC) as bridge:
        first, other, third = bridge.far
        for far in (other, third):
            far.mode = OFF
            far.begin()
        first.frames(frame(src=mac(7)), mode=AUTHENTIC)
        other.frames(frame(src=mac(7)), mode=OFF)
        assert bridge.table() == {mac(7): first.peer}
        assert len(bridge.plane.take_inside()) == 2
        assert bridge.plane.counters()["fdb_held"] == 1
        other.frames(frame(src=mac(8)), mode=OFF)
        third.frames(frame(src=mac(8)), mode=OFF)
        assert bridge.table()[mac(8)] == third.peer
        first.frames(frame(src=mac(8)), mode=AUTHENTIC)
        assert bridge.table()[mac(8)] == first.peer


def test_a_frame_of_the_device_from_behind_a_peer_is_counted_once_a_batch():
    with Bridge() as bridge:
        bridge.put(frame(src=mac(7)))
        assert bridge.plane.counters()["came_back"] == 0
        bridge.far[0].frames(frame(src=mac(7)))
        bridge.put(frame(src=mac(7)), frame(src=mac(7)))
        bridge.put(frame(src=mac(8)))
        assert bridge.plane.counters()["came_back"] == 1
        assert bridge.table() == {mac(7): bridge.far[0].peer}


def test_our_own_address_and_a_groups_are_nobodys_source():
    with Bridge(peers=2) as bridge:
        bridge.macs((mac(100), OURS))
        for src in (mac(100), GROUP, ANY, bytes(6)):
            bridge.far[0].frames(frame(src=src))
            assert bridge.plane.drops() == {"source_not_allowed": 1}
        assert bridge.plane.take_inside() == [] and bridge.table() == {}


def test_a_pinned_address_is_its_peers_alone():
    with Bridge(peers=2) as bridge:
        bridge.macs((mac(100), OURS), (mac(7), bridge.far[1].peer))
        bridge.put(frame(dst=mac(7)))
        assert set(bridge.sent_frames()) == {2}
        bridge.far[0].frames(frame(src=mac(7)))
        assert bridge.plane.drops() == {"source_not_allowed": 1}
        bridge.far[1].frames(frame(src=mac(7)))
        assert bridge.plane.take_inside() == [frame(src=mac(7))]
        bridge.macs()
        bridge.far[0].frames(frame(src=mac(7)))
        assert bridge.plane.drops() == {}


def test_rows_of_addresses_that_are_none_are_einval():
    with Bridge(peers=2) as bridge:
        for rows in (
            [(mac(7), 99)],
            [(ANY, bridge.far[0].peer)],
            [(mac(7), bridge.far[0].peer)] * 2,
            [(mac(7), bridge.far[0].peer), (mac(8), OURS)],
        ):
            with pytest.raises(OSError, match="EINVAL"):
                bridge.macs(*rows)
        with pytest.raises(OSError, match="EINVAL"):
            bridge.plane.call("macs", bytes(7), 7)


def test_who_fills_the_table_fills_his_own_share():
    with Bridge(peers=2, fdb=64, fdb_per_peer=16) as bridge:
        liar, honest = bridge.far
        honest.frames(*[frame(src=mac(n)) for n in range(4)])
        for n in range(1000):
            liar.frames(frame(src=mac(1000 + n)), turns=1)
        table = bridge.table()
        assert [table.get(mac(n)) for n in range(1, 4)] == [honest.peer] * 3
        assert list(table.values()).count(liar.peer) <= 16
        assert len(bridge.plane.take_inside()) == 1004  # who finds no row is heard all the same


# ---- use --------------------------------------------------------------------------------------


def test_a_standby_is_sent_nothing_and_told_bye_once_a_second():
    with Bridge(peers=2) as bridge:
        far = bridge.far[0]
        far.frames(frame(src=mac(7)))
        bridge.plane.take_inside()
        far.use(STANDBY)
        assert bridge.table() == {}
        bridge.put(frame(), frame(dst=mac(7)))
        assert set(bridge.sent()) == {2}
        for ms, byes in ((10, 1), (500, 0), (1009, 0), (1010, 1)):
            bridge.plane.clock(ms)
            far.frames(*[frame(src=mac(7))] * 3)
            assert told(bridge, 1) == [control(BYE)] * byes
        assert bridge.plane.take_inside() == [] and bridge.table() == {}
        assert bridge.plane.drops() == {"not_in_use": 12}
        far.use(IN_USE)
        far.frames(frame(src=mac(7)))
        bridge.put(frame())
        assert bridge.plane.take_inside() == [frame(src=mac(7))] and set(bridge.sent()) == {1, 2}


def test_a_standby_in_the_clear_is_told_too_and_its_echoes_are_answered():
    with Bridge(peers=1, mode=OFF) as bridge:
        far = bridge.far[0]
        far.send(b"")
        far.use(STANDBY)
        far.frames(frame(payload=b"data"), mode=OFF)
        assert told(bridge, 1) == [control(BYE)]
        far.send(control(0, bytes(8)))
        assert told(bridge, 1) == [control(1, bytes(8))]


@pytest.mark.parametrize("more, byes", [(0, 0), (1, 0), (2, 1)])
def test_what_proves_nothing_gets_no_longer_answer_than_itself(more, byes):
    with Bridge(peers=1, mode=OFF) as bridge:
        far = bridge.far[0]
        far.send(b"")
        far.use(STANDBY)
        came = message(OFF, b"", far.index, 1, whole(frame(payload=bytes(more))))
        bridge.plane.put_outside(came, where=far.where)
        bridge.plane.turn(2)
        sent = bridge.plane.take_outside()
        assert len(sent) == byes and all(len(one) <= len(came) for one in sent)


def test_one_that_left_has_five_seconds_for_what_is_known_behind_it():
    with Bridge(peers=2) as bridge:
        far = bridge.far[0]
        far.frames(frame(src=mac(7)))
        far.use(LEFT)
        for ms in (0, 4999):
            bridge.plane.clock(ms)
            bridge.plane.take_inside()
            bridge.put(frame(), frame(dst=mac(7)))
            assert bridge.sent_frames() == {1: [frame(dst=mac(7))], 2: [frame()]}
            far.frames(frame(dst=mac(1), src=mac(8)), frame(src=mac(8)))
            assert bridge.plane.take_inside() == [frame(dst=mac(1), src=mac(8))]
            assert bridge.plane.drops() == {"not_in_use": 1}
        assert bridge.table() == {mac(7): far.peer}  # nothing new is learned of it
        bridge.plane.clock(5000)
        bridge.put(frame(dst=mac(7)))
        assert set(bridge.sent_frames()) == {2}
        far.frames(frame(dst=mac(1), src=mac(8)))
        assert bridge.plane.take_inside() == [] and told(bridge, 1) == [control(BYE)]


def test_who_is_alone_again_gets_all_frames_without_a_look():
    with Bridge(peers=2) as bridge:
        bridge.far[0].use(LEFT)
        bridge.put(frame(), turns=3)
        assert bridge.plane.counters()["floods"] == 1
        bridge.plane.clock(7000)
        bridge.plane.turn()
        bridge.put(frame())
        assert bridge.plane.counters()["floods"] == 1


def test_with_nobody_in_use_there_is_no_way():
    with Bridge(peers=1) as bridge:
        bridge.far[0].use(STANDBY)
        bridge.put(frame(), frame(dst=mac(7)))
        assert bridge.plane.drops() == {"no_route": 2}


def test_uses_and_paths_that_are_none_are_errors():
    with Bridge(peers=1) as bridge:
        peer = bridge.far[0].peer
        for name, args, text in (
            ("peer_use", (peer, 3), "EINVAL"),
            ("peer_use", (peer, -1), "EINVAL"),
            ("peer_use", (99, 1), "ENOENT"),
            ("peer_path", (peer, 13, 1280), "EINVAL"),
            ("peer_path", (peer, 14, 507), "EINVAL"),
            ("peer_path", (99, 14, 508), "ENOENT"),
        ):
            with pytest.raises(OSError, match=text):
                bridge.plane.call(name, *args)


def test_how_many_addresses_there_are_is_told_where_not_all_fit():
    with Bridge(1) as bridge:
        bridge.macs(*[(mac(n), bridge.far[0].peer) for n in range(1, 6)])
        out = ffi.new("unsigned char[48]", b"\xee" * 48)
        assert bridge.plane.call("seen", lib.TL_SEEN_FDB, out, 40) == 5
        assert bytes(out)[32:] == b"\xee" * 16 and bytes(out)[16:32] != b"\xee" * 16
        assert bridge.plane.call("seen", lib.TL_SEEN_FDB, out, 0) == 5


def test_layer_3_has_none_of_it():
    from tests.native.plane_ffi import Plane

    with Plane() as plane:
        peer = plane.peer()
        for name, args in (
            ("peer_use", (peer, 1)),
            ("peer_path", (peer, 1500, 1400)),
            ("macs", (b"", 0)),
        ):
            with pytest.raises(OSError, match="ENOTSUP"):
                plane.call(name, *args)
        out = ffi.new("unsigned char[160]")
        assert plane.call("seen", lib.TL_SEEN_FDB, out, 160) == 0


# ---- many -------------------------------------------------------------------------------------


def broadcasts(bridge, count, turns):
    """How often each peer heard each of so many broadcasts, one every `turns` turns."""
    heard = {}
    for n in range(count):
        bridge.put(frame(payload=n.to_bytes(2, "big")), turns=turns)
        for number, frames in bridge.sent_frames().items():
            for found in frames:
                key = (number, found[14:])
                heard[key] = heard.get(key, 0) + 1
    return heard


def test_five_hundred_peers_all_hear_every_broadcast():
    with Bridge(peers=500) as bridge:
        heard = broadcasts(bridge, 20, 10)
        assert len(heard) == 500 * 20 and set(heard.values()) == {1}
        assert bridge.plane.drops() == {}


def test_so_do_three_where_the_queue_is_short():
    with Bridge(peers=3, pool_bytes=1 << 18, batch=2) as bridge:
        heard = broadcasts(bridge, 40, 5)
        assert len(heard) == 3 * 40 and set(heard.values()) == {1}


def test_a_turn_makes_64_copies_and_frames_of_the_device_go_on_meanwhile():
    with Bridge(peers=200) as bridge:
        bridge.far[0].frames(frame(src=mac(7)))
        bridge.put(frame(), turns=1)
        assert len(bridge.plane.take_outside()) == 64
        bridge.put(frame(dst=mac(7)), turns=1)
        assert len(bridge.plane.take_outside()) == 65
        bridge.plane.turn(2)
        assert len(bridge.plane.take_outside()) == 72


def test_each_frame_begins_at_another_peer():
    with Bridge(peers=5) as bridge:
        firsts = set()
        for _ in range(5):
            bridge.put(frame())
            firsts.add(bridge.plane.take_outside()[0][4:8])
        assert len(firsts) == 5


def test_32_frames_wait_and_what_does_not_fit_is_dropped_as_a_whole():
    with Bridge(peers=100) as bridge:
        bridge.put(*[frame(payload=bytes([n])) for n in range(60)], turns=150)
        sent = list(bridge.sent_frames().values())
        assert len(sent) == 100 and all(sorted(frames) == sent[0] for frames in sent)
        assert bridge.plane.drops() == {"flood_full": 60 - len(sent[0])}
        assert 32 <= len(sent[0]) < 60


def test_a_full_socket_loses_no_copy_of_what_waits():
    with Bridge(peers=10) as bridge:
        bridge.plane.call("fake_room", lib.TL_FAKE_SOCKET, 3)
        bridge.put(frame(), frame(payload=b"2"), turns=3)
        bridge.plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
        bridge.plane.turn(5)
        sent = bridge.sent_frames()
        assert sent == {n: [frame(), frame(payload=b"2")] for n in range(1, 11)}


def test_peers_that_go_amid_a_flood_are_missed_by_nobody_else():
    with Bridge(peers=200) as bridge:
        bridge.put(frame(), turns=1)
        for number in (0, 70, 100, 199):
            bridge.plane.call("peer_free", bridge.far[number].peer)
        bridge.plane.turn(5)
        sent = bridge.sent_frames()
        gone = {1, 71, 101, 200}
        assert {n for n in range(1, 201) if n not in sent} <= gone
        assert all(len(frames) == 1 for frames in sent.values())


def test_who_comes_amid_a_flood_hears_it_at_most_once():
    with Bridge(peers=100) as bridge:
        bridge.far[5].use(STANDBY)
        bridge.put(frame(), turns=1)
        bridge.far[5].use(IN_USE)
        bridge.plane.turn(5)
        assert all(len(frames) == 1 for frames in bridge.sent_frames().values())


def test_who_leaves_and_comes_back_amid_a_flood_hears_it_once():
    with Bridge(peers=100) as bridge:
        bridge.put(frame(), turns=1)
        [*heard] = bridge.sent_frames()
        for number in (heard[0], heard[40]):
            bridge.far[number - 1].use(STANDBY)
            bridge.far[number - 1].use(IN_USE)
        bridge.plane.turn(5)
        later = bridge.sent_frames()
        assert len(heard) == 64 and sorted([*heard, *later]) == list(range(1, 101))


def test_a_freed_number_has_none_of_its_addresses():
    with Bridge(peers=2) as bridge:
        number = bridge.far[0].peer
        bridge.macs((mac(8), number))
        bridge.far[0].frames(frame(src=mac(7)))
        bridge.plane.call("peer_free", number)
        assert bridge.table() == {}
        assert bridge.plane.call("peer_new") == number
        assert bridge.table() == {}


def test_a_peer_without_a_session_is_asked_for_one_and_kept_few_frames():
    with Bridge(peers=2) as bridge:
        far = bridge.far[0]
        bridge.plane.call("index_free", far.index)
        bridge.plane.arm(far.peer, lib.TL_PEER_WANTS_SESSION)
        for _ in range(10):
            bridge.put(frame())
        assert bridge.plane.events() == {far.peer: lib.TL_PEER_WANTS_SESSION}
        assert far.state()["staged"] == 1 and len(bridge.sent_frames()[2]) == 10
        bridge.plane.clock(1000)
        bridge.put(frame())
        assert far.state()["staged"] == 2


# ---- from peer to peer ------------------------------------------------------------------------


@pytest.fixture
def switch():
    with Bridge(peers=4, forward=1) as bridge:
        yield bridge


def test_a_frame_for_all_does_not_come_back_to_one_that_was_a_standby_meanwhile():
    with Bridge(peers=100, forward=1) as bridge:
        bridge.far[50].frames(frame(), turns=1)
        bridge.far[50].use(STANDBY)
        bridge.far[50].use(IN_USE)
        bridge.plane.turn(5)
        assert set(bridge.sent_frames()) == set(range(1, 101)) - {51}


def test_peers_reach_each_other_only_where_they_may():
    with Bridge(peers=3) as bridge:
        bridge.far[1].frames(frame(src=mac(7)))
        bridge.far[0].frames(frame(dst=mac(7)), frame(), turns=3)
        assert bridge.sent() == {}
        assert len(bridge.plane.take_inside()) == 3


def test_a_frame_for_all_goes_to_all_but_its_sender_and_to_the_device(switch):
    switch.far[0].frames(frame(), turns=3)
    assert switch.sent_frames() == {n: [frame()] for n in (2, 3, 4)}
    assert switch.plane.take_inside() == [frame()]


def test_a_frame_for_a_known_address_goes_there_alone(switch):
    switch.far[1].frames(frame(src=mac(7)), turns=3)
    switch.plane.take_inside(), switch.sent()
    switch.far[0].frames(frame(dst=mac(7)), frame(dst=mac(7), payload=b"2"), turns=3)
    assert switch.sent_frames() == {2: [frame(dst=mac(7)), frame(dst=mac(7), payload=b"2")]}
    assert switch.plane.take_inside() == []
    assert switch.plane.counters()["forwarded"] == 2


def test_a_frame_for_a_host_at_our_side_goes_to_the_device_alone(switch):
    switch.put(frame(src=mac(50)))
    switch.macs((mac(100), OURS))
    switch.sent()
    for dst in (mac(50), mac(100)):
        switch.far[0].frames(frame(dst=dst), turns=3)
        assert switch.sent() == {} and switch.plane.take_inside() == [frame(dst=dst)]


def test_a_frame_for_its_own_senders_side_goes_to_no_other(switch):
    switch.far[0].frames(frame(src=mac(7)), turns=3)
    switch.sent()
    switch.far[0].frames(frame(dst=mac(7), src=mac(8)), turns=3)
    assert switch.sent() == {}


def test_frames_of_peers_leave_half_of_the_places_to_ours(switch):
    switch.plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    switch.far[0].frames(*[frame(payload=bytes([n])) for n in range(60)], turns=3)
    switch.put(*[frame(src=mac(2), payload=bytes([n])) for n in range(5)], turns=2)
    switch.plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
    switch.plane.turn(9)
    ours = [f for f in switch.sent_frames()[3] if f[6:12] == mac(2)]
    assert len(ours) == 5
    assert switch.plane.drops()["flood_full"]


def test_a_full_socket_drops_what_goes_on_and_keeps_the_device(switch):
    switch.far[1].frames(frame(src=mac(7)), turns=3)
    switch.plane.take_inside(), switch.sent()
    switch.plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    for _ in range(30):
        switch.far[0].frames(*[frame(dst=mac(7))] * 100, frame(dst=mac(1)), turns=1)
    drops = switch.plane.drops()
    assert drops["forward_full"] and set(drops) <= {"forward_full", "flood_full", "way_full"}
    switch.plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
    switch.plane.turn(9)
    assert len(switch.sent_frames()[2]) + drops["forward_full"] >= 3000 - drops.get("way_full", 0)


def test_what_goes_on_keeps_its_rate(switch):
    import struct

    switch.far[1].frames(frame(src=mac(7)), turns=3)
    switch.plane.take_inside(), switch.sent()
    switch.far[1].path()
    switch.plane.call("peer_rates", switch.far[0].peer, struct.pack("<QQ", 1_000_000, 0))
    switch.far[0].frames(*[frame(dst=mac(7), payload=bytes(1236))] * 20, turns=3)
    assert len(switch.sent_frames()[2]) == 10
    switch.plane.clock(100)
    switch.plane.turn(3)
    assert len(switch.sent_frames()[2]) == 10


def test_a_frame_goes_on_in_the_mode_of_its_receiver():
    with Bridge(peers=2, mode=OFF, forward=1) as bridge:
        for far in bridge.far:
            far.send(b"")
        bridge.far[0].frames(frame(), mode=OFF, turns=3)
        assert (OFF, whole(frame())) in [(m, plain) for m, _, plain in bridge.sent()[2]]
