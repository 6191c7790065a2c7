# SPDX-License-Identifier: MIT
"""Layer 2's control frames: what C answers by itself, what Python hears, what is refused."""

import struct

import pytest

from tests.native.frames import (
    BYE,
    CONTROL,
    ECHO,
    ECHO_ANSWER,
    IN_USE,
    ON,
    PATH_ANSWER,
    PATH_PROBE,
    STANDBY,
    Bridge,
    control,
    frame,
    mac,
    whole,
)
from tests.native.plane_ffi import lib

BODY = b"by luck!"


@pytest.fixture
def bridge():
    with Bridge() as b:
        b.plane.arm(b.far[0].peer, 0xFF)
        yield b


def send(bridge, what, body=b""):
    text = control(what, body)
    bridge.plane.call("peer_keepalive", bridge.far[0].peer, text, len(text))


def answers(bridge):
    return [plain for _, _, plain in bridge.sent().get(1, [])]


def told(bridge):
    """Events of control frames."""
    found = bridge.plane.events().get(bridge.far[0].peer, 0)
    bridge.plane.arm(bridge.far[0].peer, 0xFF)
    return found & (lib.TL_PEER_ECHO | lib.TL_PEER_PATH | lib.TL_PEER_BYE)


def test_an_echo_is_answered_with_its_own_bytes(bridge):
    bridge.far[0].send(control(ECHO, BODY))
    assert answers(bridge) == [control(ECHO_ANSWER, BODY)]


@pytest.mark.parametrize("length", [4, 5, 100, 1300])
def test_a_path_probe_is_answered_with_its_number_and_the_payload_that_came(bridge, length):
    bridge.far[0].send(control(PATH_PROBE, b"\1\2\3\4" + bytes(length - 4)))
    payload = struct.pack("<I", 16 + 2 + length + 16)
    assert answers(bridge) == [control(PATH_ANSWER, b"\1\2\3\4" + payload)]


def test_ten_of_them_a_second_are_answered(bridge):
    far = bridge.far[0]
    far.send(*[control(ECHO, BODY)] * 15)
    assert len(answers(bridge)) == 10
    assert bridge.plane.drops() == {"control_limited": 5}
    for second in range(1, 5):
        bridge.plane.clock(1000 * second)
        far.send(*[control(PATH_PROBE, bytes(4))] * 15)
        assert len(answers(bridge)) == 10


def test_python_is_told_of_ten_byes_a_second(bridge):
    """Each is an event, which costs it more than a frame costs us."""
    far = bridge.far[0]
    for second in range(3):
        bridge.plane.clock(1000 * second)
        before = bridge.plane.drops().get("control_limited", 0)
        events = 0
        for _ in range(15):
            far.send(control(BYE))
            events += told(bridge) != 0
        assert events == 10
        assert bridge.plane.drops()["control_limited"] - before == 5


def test_control_frames_are_no_data(bridge):
    far = bridge.far[0]
    far.send(control(ECHO, BODY))
    send(bridge, ECHO, BODY)
    state = far.state()
    assert state["received_any"] and state["sent_any"]
    assert not state["received_data"] and not state["sent_data"]
    assert not state["first_unanswered"] and not state["first_unreplied"]
    assert not bridge.plane.events().get(far.peer, 0) & lib.TL_PEER_ACTIVE
    assert bridge.plane.take_inside() == []


def test_the_answer_to_pythons_last_echo_is_told(bridge):
    send(bridge, ECHO, b"earlier!")
    send(bridge, ECHO, BODY)
    assert answers(bridge) == [control(ECHO, b"earlier!"), control(ECHO, BODY)]
    for other in (b"earlier!", bytes(8)):
        bridge.far[0].send(control(ECHO_ANSWER, other))
        assert told(bridge) == 0
    bridge.far[0].send(control(ECHO_ANSWER, BODY))
    assert told(bridge) == lib.TL_PEER_ECHO


def test_an_answer_to_no_echo_is_told_to_nobody(bridge):
    bridge.far[0].send(control(ECHO_ANSWER, bytes(8)))
    assert told(bridge) == 0 and answers(bridge) == []


def test_the_answer_to_a_path_probe_is_told_with_number_and_length(bridge):
    send(bridge, PATH_PROBE, struct.pack("<I", 77) + bytes(1000))
    assert [len(plain) for plain in answers(bridge)] == [2 + 1004]
    bridge.far[0].send(control(PATH_ANSWER, struct.pack("<II", 77, 1038)))
    assert told(bridge) == lib.TL_PEER_PATH
    state = bridge.far[0].state()
    assert (state["path_number"], state["path_len"]) == (77, 1038)


def test_of_answers_that_come_together_the_longest_is_told(bridge):
    rows = [(5, 1500), (6, 1452), (6, 1232), (6, 50)]
    for number, _ in rows:
        send(bridge, PATH_PROBE, struct.pack("<I", number))
    bridge.far[0].send(*[control(PATH_ANSWER, struct.pack("<II", *row)) for row in rows])
    state = bridge.far[0].state()
    assert (state["path_number"], state["path_len"]) == (6, 1452)


def test_a_peer_wakes_nobody_with_more_answers_to_probes_than_there_were_probes(bridge):
    answer = control(PATH_ANSWER, struct.pack("<II", 77, 1038))
    bridge.far[0].send(answer)
    assert told(bridge) == 0 and bridge.far[0].state()["path_number"] == 0
    for _ in range(3):
        send(bridge, PATH_PROBE, struct.pack("<I", 77))
    for wakes in (1, 1, 1, 0, 0):
        bridge.far[0].send(answer)
        assert told(bridge) == wakes * lib.TL_PEER_PATH


def test_nor_has_it_many_of_them_saved_up(bridge):
    for _ in range(100):
        send(bridge, PATH_PROBE, bytes(4))
        answers(bridge)
    wakes = 0
    for _ in range(100):
        bridge.far[0].send(control(PATH_ANSWER, bytes(8)))
        wakes += told(bridge) != 0
    assert wakes == 16


def test_a_bye_is_told_and_ends_what_is_sent_there_until_a_frame_comes():
    with Bridge(peers=3) as bridge:
        far = bridge.far[0]
        bridge.plane.arm(far.peer, 0xFF)
        far.frames(frame(src=mac(9)))
        far.send(control(BYE))
        assert told(bridge) == lib.TL_PEER_BYE
        bridge.put(frame())
        assert set(bridge.sent()) == {2, 3}
        bridge.put(frame(dst=mac(9)))
        assert set(bridge.sent()) == {2, 3}  # as if nobody knew it
        far.frames(frame(src=mac(9)))
        bridge.put(frame(dst=mac(9)))
        assert set(bridge.sent()) == {1}


def test_a_bye_goes_with_its_session_for_who_said_it_may_have_begun_anew():
    """And be quiet until it is asked: whoever wants no frames says so again."""
    with Bridge(peers=2) as bridge:
        bridge.far[0].send(control(BYE))
        bridge.far[0].begin(use=False)
        bridge.put(frame())
        assert set(bridge.sent()) == {2}
        bridge.plane.call("session_use", bridge.far[0].index)
        bridge.put(frame())
        assert set(bridge.sent()) == {1, 2}


def test_whoever_comes_into_use_is_sent_frames_although_it_said_bye():
    with Bridge(peers=2) as bridge:
        bridge.far[0].send(control(BYE))
        bridge.far[0].use(IN_USE)
        bridge.put(frame())
        assert set(bridge.sent()) == {1, 2}


@pytest.mark.parametrize(
    "text",
    [
        bytes([CONTROL, 5]),
        bytes([CONTROL, 255]) + bytes(8),
        control(ECHO),
        control(ECHO, bytes(7)),
        control(ECHO, bytes(9)),
        control(ECHO_ANSWER, bytes(7)),
        control(ECHO_ANSWER, bytes(9)),
        control(PATH_PROBE, bytes(3)),
        control(PATH_ANSWER, bytes(7)),
        control(PATH_ANSWER, bytes(9)),
        control(BYE, b"\0"),
    ],
)
def test_another_length_or_question_is_refused(bridge, text):
    bridge.far[0].send(text)
    assert bridge.plane.drops() == {"received_bad_control": 1}
    assert answers(bridge) == [] and told(bridge) == 0
    if text[1] != ECHO_ANSWER and text[1] != PATH_ANSWER:
        with pytest.raises(OSError, match="EINVAL"):
            bridge.plane.call("peer_keepalive", bridge.far[0].peer, text, len(text))


@pytest.mark.parametrize("what", [ECHO_ANSWER, PATH_ANSWER])
def test_answers_are_not_pythons_to_send(bridge, what):
    with pytest.raises(OSError, match="EINVAL"):
        send(bridge, what, bytes(8))


@pytest.mark.parametrize("mode", [0, 2])
def test_nothing_is_answered_where_the_way_leads_into_our_own_device(mode):
    """Not by itself, either: what goes there would go into the tunnel."""
    with Bridge(mode=mode, initiator=False) as bridge:
        far = bridge.far[0]
        bridge.plane.call("peer_endpoint", far.peer, far.where[:-4] + b"\xff" * 4)
        far.send(control(ECHO, BODY), control(PATH_PROBE, bytes(4)), whole(frame()))
        far.use(STANDBY)
        far.frames(frame())
        assert bridge.plane.take_outside() == []


def test_a_replayed_answer_is_an_answer_once(bridge):
    send(bridge, ECHO, BODY)
    bridge.far[0].send(control(ECHO_ANSWER, BODY), counter=3)
    assert told(bridge) == lib.TL_PEER_ECHO
    bridge.far[0].send(control(ECHO_ANSWER, BODY), counter=3)
    assert told(bridge) == 0 and bridge.plane.drops() == {"replayed": 1}


def test_a_probe_wider_than_our_link_says_so(bridge):
    import errno

    bridge.plane.call("fake_fail", lib.TL_FAKE_SOCKET, errno.EMSGSIZE, 1)
    with pytest.raises(OSError, match="EMSGSIZE"):
        send(bridge, PATH_PROBE, bytes(1500))
    send(bridge, PATH_PROBE, bytes(1500))
    assert len(answers(bridge)) == 1


def test_every_answer_is_sealed(bridge):
    for mode in (1, 2):
        with Bridge(mode=mode) as other:
            other.far[0].send(control(ECHO, BODY))
            assert [row[0] for row in other.sent()[1]] == [ON]
