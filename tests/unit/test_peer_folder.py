# SPDX-License-Identifier: MIT
"""A folder of peers, as who may write there could fill it."""

import base64
import json
import os
from types import SimpleNamespace

import pytest

from tunlite import log as logs
from tunlite.config import as_uapi
from tunlite.host import errands, peer_folder

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def read(tmp_path):
    """read() gives (names by key, the log)."""
    lines = []

    def read():
        running = as_uapi.Running(iter([]))
        reading = peer_folder._Reading(str(tmp_path), running, {}, {})
        found = sorted(os.listdir(tmp_path))
        list(reading.changes(found, logs.Log("t", write=lines.append)))
        return reading.names, lines

    return read


def _peer(path, number):
    key = base64.b64encode(bytes([number]) * 32).decode()
    path.write_text(f"[Peer]\nPublicKey = {key}\n")
    path.chmod(0o600)
    return key


def test_a_pipe_in_the_folder_holds_up_nobody(tmp_path, read):
    os.mkfifo(tmp_path / "a")
    (tmp_path / "b").symlink_to("/dev/zero")
    key = _peer(tmp_path / "c", 1)
    names, lines = read()
    assert names == {key: "c"}
    assert len([line for line in lines if "left out: it is no file" in line]) == 2


def test_a_file_whose_name_is_no_text_has_a_peer_that_commands_run_for(tmp_path, read):
    path = tmp_path / os.fsdecode(b"a\xff")
    key = _peer(path, 1)
    orders = SimpleNamespace(names={}, files=read()[0])
    assert errands.Orders.name_of(orders, base64.b64decode(key), b"") == "a_"


ROW = ["key", "192.0.2.1:1", [None, None]]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("5", {}),
        ("[]", {}),
        ("null", {}),
        ("[" * 60_000, {}),
        ("{", {}),
        (json.dumps({"a": ROW, "b": 5}), {"a": ROW}),
        (json.dumps({"a": [], "b": [["key"], "", []], "c": ["key", 5, []], "d": ROW}), {"d": ROW}),
    ],
)
def test_what_was_kept_of_the_folder_and_makes_no_sense_counts_as_not_kept(
    tmp_path, monkeypatch, text, rows
):
    monkeypatch.setattr(peer_folder.record, "folder_path", lambda name: str(tmp_path / name))
    (tmp_path / "t").write_text(text)
    assert peer_folder._kept("t") == rows
