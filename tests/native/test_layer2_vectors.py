# SPDX-License-Identifier: MIT
"""The packet path comes to the bytes that tests/layer2_model.py wrote, and takes and refuses them.

A vector's receiver index is exchanged for the session's: it is in no tag.
"""

import pytest

from tests import layer2_model as model, vectors
from tests.native.frames import OFF, Bridge, opened
from tests.native.plane_ffi import KEY_A, KEY_B


def records(kind):
    return [pytest.param(row, id=row["where"]) for row in vectors.read(model.PATH, kind)]


def bridge_of(record, **keys):
    """One peer, whose session has this mode and these keys; something sealed came on it."""
    bridge = Bridge(mode=record.get("mode", b"\0")[0], mtu=9018)
    bridge.far[0].begin(**{"receive": KEY_B, **keys})
    put(bridge, model.datagram(0, keys.get("receive", KEY_B), bytes(4), 200, b""))
    bridge.plane.take_outside()
    return bridge


def each(record):
    size = len(record["datagrams"]) // record["count"]
    return [record["datagrams"][i * size :][:size] for i in range(record["count"])]


def put(bridge, *datagrams):
    far = bridge.far[0]
    for one in datagrams:
        bridge.plane.put_outside(one[:4] + far.index + one[8:], where=far.where)
    bridge.plane.turn(2)


@pytest.mark.parametrize("record", records("frame"))
def test_what_comes_is_the_frame(record):
    with bridge_of(record, receive=record["key"]) as bridge:
        put(bridge, *each(record))
        assert bridge.plane.take_inside() == [record["frame"]]
        assert bridge.plane.drops() == {}


@pytest.mark.parametrize("record", records("frame"))
def test_a_frame_leaves_as_these_datagrams(record):
    mode = record["mode"][0]
    with bridge_of(record, send=record["key"]) as bridge:
        far = bridge.far[0]
        overhead = 16 if mode == OFF else 32
        far.path(payload_max=record["room"] + 2 + overhead)
        # what takes the counters before, one each
        for i in range(record["counter"] - (mode == OFF)):  # which sends an echo each 2 s
            bridge.put(model.drawn_frame(str(i), 60))
        bridge.plane.take_outside()
        bridge.put(record["frame"])
        sent = [one for one in bridge.plane.take_outside() if one[0] == 4 + mode]
        expected = [one[:4] + far.remote + one[8:] for one in each(record)]
        assert sent == expected


@pytest.mark.parametrize("record", records("control"))
def test_a_control_frame_is_taken_and_answered_as_written(record):
    answers = {"echo": "answer to it", "path probe": "answer to it"}
    with bridge_of(record, receive=record["key"], send=KEY_A) as bridge:
        put(bridge, record["datagram"])
        found = [opened(KEY_A, one)[3] for one in bridge.plane.take_outside()]
        rows = vectors.read(model.PATH, "control")
        after = rows[[row["inside"] for row in rows].index(record["inside"]) + 1 :]
        expected = [after[0]["inside"]] if record["where"] in answers else []
        assert found == expected and bridge.plane.take_inside() == []
        assert bridge.plane.drops() == {}


@pytest.mark.parametrize("record", records("refused"))
def test_what_the_model_refuses_ends_as_one_drop(record):
    with bridge_of(record, receive=record["key"]) as bridge:
        put(bridge, record["datagram"])
        assert bridge.plane.take_inside() == [] and bridge.plane.take_outside() == []
        assert sum(bridge.plane.drops().values()) == 1


def test_every_kind_of_drop_of_the_vectors_is_brought_about():
    found = set()
    for param in records("refused"):
        (record,) = param.values
        with bridge_of(record, receive=record["key"]) as bridge:
            put(bridge, record["datagram"])
            found |= set(bridge.plane.drops())
    assert {"wrong_mode", "received_bad_control", "received_bad_frame"} <= found
