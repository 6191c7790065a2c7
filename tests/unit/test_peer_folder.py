# SPDX-License-Identifier: MIT
"""A folder of peers, as who may write there could fill it."""

import base64
import json
import os
from types import SimpleNamespace

import pytest

from tunlite import log as logs
from tunlite.config import as_uapi, secret_text
from tunlite.host import errands, peer_folder
from tunlite.system import port

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


def test_what_looks_like_a_file_and_is_none_is_not_read(tmp_path, read):
    """Reading it would wait, for ever: /proc/kmsg until the kernel says something."""
    (tmp_path / "a").symlink_to("/proc/kmsg")
    (tmp_path / "b").symlink_to("/proc/self/mem")
    (tmp_path / "c").write_text("")
    key = _peer(tmp_path / "d", 1)
    names, lines = read()
    assert names == {key: "d"}
    assert len([line for line in lines if "left out: it is empty" in line]) == 3


@pytest.mark.parametrize("becomes", ["pipe", "kmsg", "terminal"])
def test_a_file_that_becomes_something_else_while_it_is_looked_at_holds_up_nobody(
    tmp_path, read, monkeypatch, becomes
):
    stat, path, other = port.stat, tmp_path / "a", tmp_path.parent / "other"
    _peer(path, 1)
    key = _peer(tmp_path / "b", 2)
    if becomes == "pipe":
        os.mkfifo(other)
    else:
        other.symlink_to({"kmsg": "/proc/kmsg", "terminal": "/dev/ptmx"}[becomes])

    def slow_stat(name):
        found = stat(name)
        if other.is_symlink() or other.exists():
            other.rename(path)
        return found

    monkeypatch.setattr(port, "stat", slow_stat)
    assert read()[0][key] == "b"


def test_a_file_that_is_far_too_long_is_left_out_before_it_is_read(tmp_path, read):
    key = _peer(tmp_path / "a", 1)
    _peer(tmp_path / "b", 2)
    os.truncate(tmp_path / "b", (1 << 20) + 1)
    names, lines = read()
    assert names == {key: "a"}
    assert "b: left out: it is larger than" in lines[0]


def test_a_file_that_takes_all_memory_is_left_out_alone(tmp_path, read, monkeypatch):
    _peer(tmp_path / "a", 1)
    key = _peer(tmp_path / "b", 2)
    full = [MemoryError("full")]
    read_text = secret_text.read_text

    def no_room(fd):
        if full:
            raise full.pop()
        return read_text(fd)

    monkeypatch.setattr(secret_text, "read_text", no_room)
    names, lines = read()
    assert names == {key: "b"}
    assert "a: left out: there is not enough memory for it" in lines[0]


def test_a_file_whose_name_is_no_text_has_a_peer_that_commands_run_for(tmp_path, read):
    path = tmp_path / os.fsdecode(b"a\xff")
    key = _peer(path, 1)
    orders = SimpleNamespace(names={}, files=read()[0])
    assert errands.Orders.name_of(orders, base64.b64decode(key), b"") == "a_"


def test_a_full_disk_tells_no_peer_anew_and_a_roamed_one_stays_where_it_is(tmp_path, monkeypatch):
    """What was told is kept in memory then."""
    path = tmp_path / "peers.d"
    path.mkdir()
    key = _peer(path / "a", 1)
    with (path / "a").open("a") as file:
        file.write("Endpoint = 192.0.2.1:1\n")
    sets, lines, running = [], [], []
    monkeypatch.setattr(peer_folder.client, "get_device", lambda *_, **__: iter(running))
    monkeypatch.setattr(
        peer_folder.client, "set_device", lambda _, pieces, __: sets.extend(map(bytes, pieces))
    )

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(port, "write_file_atomic", full)
    monkeypatch.setattr(peer_folder.record, "folder_path", lambda name: str(tmp_path / name))
    folder = peer_folder.PeerFolder("t", str(path), {}, logs.Log("t", write=lines.append))
    folder.load()
    os.close(folder.watch_fd)
    folder.watch_fd = None
    assert len(sets) == 1 and folder.names == {key: "a"} and folder.due_ms is None
    assert "cannot be written" in lines[-1] and "no peer is changed" not in lines[-1]
    running = [(b"public_key", b"01" * 32), (b"origin", b"folder")]
    running += [(b"endpoint", b"198.51.100.9:9"), (b"protocol_version", b"1")]
    folder.load()
    os.close(folder.watch_fd)
    assert b"endpoint" not in b"".join(sets[1:])


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


def test_an_address_that_another_file_pins_leaves_the_later_one_out(tmp_path, read):
    """Else it was behind the one and the other in turn, at each look."""
    for number, name in ((1, "a"), (2, "b")):
        key = _peer(tmp_path / name, number)
        with open(tmp_path / name, "a") as file:
            file.write(f"MACs = 02:00:00:00:00:0{number}, 02:00:00:00:00:09\n")
    names, lines = read()
    assert list(names.values()) == ["a"] and key not in names
    assert "/b: left out: a pins 02:00:00:00:00:09 too" in lines[0]
