# SPDX-License-Identifier: MIT
"""tests/vectors/layer2.txt is what the second implementation makes, and that is sound by itself.
What ships reads it in tests/both/scripts/layer2.py, which runs here on CPython too."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests import layer2_model as model, vectors

ROOT = Path(__file__).resolve().parents[2]


def test_the_file_is_what_the_model_writes():
    assert model.PATH.read_text() == model.render()


def test_what_ships_comes_to_the_same_bytes():
    command = [sys.executable, "tests/both/scripts/layer2.py", "tests"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert " BAD" not in done.stdout and done.stdout.count(" good\n") == 42
    assert "False" not in done.stdout


def test_the_model_reads_what_it_writes_and_refuses_the_rest():
    for record in vectors.read(model.PATH, "frame"):
        size = len(record["datagrams"]) // record["count"]
        sent = [record["datagrams"][i * size :][:size] for i in range(record["count"])]
        read = [model.read(record["mode"][0], record["key"], one) for one in sent]
        assert [n for n, _ in read] == [record["counter"] + i for i in range(len(sent))]
        parts = [inside for _, inside in read]
        whole = parts[0][2:] if parts[0][0] == model.WHOLE else model.join(parts)
        assert whole == record["frame"]
    for record in vectors.read(model.PATH, "control"):
        read = model.read(0, record["key"], record["datagram"])
        assert read == (record["counter"], record["inside"])
    refused = vectors.read(model.PATH, "refused")
    assert len(refused) == len(model.REFUSED)
    for record in refused:
        with pytest.raises(model.Refused):
            model.read(record["mode"][0], record["key"], record["datagram"])


@given(frame=st.binary(min_size=14, max_size=3000), room=st.integers(300, 1500))
def test_parts_are_the_fewest_equal_and_joined_again(frame, room):
    try:
        parts = model.cut(frame, room)
    except model.Refused:
        assert len(frame) > 8 * room
        return
    assert len({len(part) for part in parts}) == 1 and len(parts[0]) <= room + 2
    if len(parts) == 1:
        assert parts == [b"\0\0" + frame]
    else:
        assert model.join(parts) == frame and len(frame) > (len(parts) - 1) * room


@pytest.mark.parametrize(
    "lie", ["order", "index", "bit 7", "early last", "no last", "fill", "size"]
)
def test_the_model_joins_no_parts_that_contradict_themselves(lie):
    parts = [bytearray(part) for part in model.cut(model.drawn("x", 1000), 340)]
    assert len(parts) == 3 and parts[2][1] == 2 | 8 | 2 << 4
    if lie == "order":
        parts.reverse()
    elif lie == "size":
        parts[1] += b"\0"
    else:
        at, about = {
            **{"index": (1, 2), "bit 7": (1, 0x81), "early last": (0, 8)},
            **{"no last": (2, 2), "fill": (2, 2 | 8 | 3 << 4)},
        }[lie]
        parts[at][1] = about
    with pytest.raises(model.Refused):
        model.join([bytes(part) for part in parts])
