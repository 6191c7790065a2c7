# SPDX-License-Identifier: MIT
"""What is kept of an interface that is up."""

import json
import os
import stat

import pytest

from tunlite.host import record as state
from tunlite.system import port


def test_a_process_is_known_by_its_start_so_that_a_reused_pid_is_not_mistaken():
    mine = port.getpid()
    began = state.start_time(mine)
    assert state.is_alive(mine, began)
    assert not state.is_alive(mine, str(int(began) + 1))
    assert not state.is_alive(0, "")
    assert state.start_time(2**22 + 1) == ""


def test_a_process_that_ended_is_dead_before_it_is_collected():
    pid = port.fork()
    if pid == 0:
        port._exit(0)
    began = ""
    while state.start_time(pid):
        began = state.start_time(pid) or began
    assert not state.is_alive(pid, began)
    port.waitpid(pid, True)


def test_what_is_written_is_read_and_nobody_else_may_read_it(tmp_path, monkeypatch):
    folder = tmp_path / "tunlite"
    folder.mkdir(mode=0o777)
    monkeypatch.setattr(state, "FOLDER", str(folder))
    kept = {"interface": "wg0", "pid": 0, "routes": [["10.0.0.0/8", 0]], "busy": []}
    state.write(kept)
    assert state.read("wg0") == kept
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    assert stat.S_IMODE((folder / "wg0.json").stat().st_mode) == 0o600


def test_a_state_that_is_missing_or_broken_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "FOLDER", str(tmp_path))
    assert state.read("wg0") is None
    for text in ("", "{", "null", "[]", "{}", '{"version": 2}', "[" * 200_000):
        (tmp_path / "wg0.json").write_text(text)
        assert state.read("wg0") is None


def test_a_file_that_is_gone_is_dropped_without_a_word(tmp_path):
    path = tmp_path / "x"
    path.write_text("")
    state.drop_file(str(path))
    state.drop_file(str(path))
    assert not path.exists()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "FOLDER", str(tmp_path / "tunlite"))
    return tmp_path / "tunlite"


def _new(**more):
    return {"interface": "wg0", "pid": 0, "began": "", "busy": [], **more}


def _other(doing):
    """A row of another process that lives."""
    parent = os.getppid()
    return [parent, state.start_time(parent), doing]


@pytest.mark.parametrize("doing", ["up", "hook", "down", "reload"])
def test_who_is_at_work_on_an_interface_keeps_all_others_off_and_is_named(folder, doing):
    state.write(_new(busy=[_other(doing)]))
    for wanted in ("up", "down", "reload"):
        if (doing, wanted) == ("hook", "reload"):  # which is what a hook may want
            assert state.claim("wg0", wanted)["busy"][0] == _other(doing)
            continue
        with pytest.raises(state.Busy) as refused:
            state.claim("wg0", wanted, _new() if wanted == "up" else None)
        words, what = refused.value.args
        assert what == doing and f"(pid {os.getppid()})" in words
    assert state.read("wg0")["busy"][0] == _other(doing)


def test_who_died_at_work_keeps_nobody_off(folder):
    row = _other("up")
    state.write(_new(busy=[[row[0], "1", "up"]]))
    mine = [port.getpid(), state.start_time(port.getpid()), "down"]
    assert state.claim("wg0", "down")["busy"] == [mine]
    assert state.read("wg0")["busy"] == [mine]


def test_what_a_reload_wrote_beside_an_up_comes_in_and_its_row_stays(folder):
    ours = state.claim("wg0", "up", _new(routes=["a"]))
    state.hold(ours, "hook")
    theirs = dict(state.read("wg0"), routes=["b"])
    theirs["busy"] = [*theirs["busy"], _other("reload")]
    state._put(theirs)
    state.hold(ours, None, adopt=True)
    assert ours["routes"] == ["b"]
    assert state.read("wg0")["busy"] == ours["busy"] == [_other("reload")]


def test_a_record_of_0_1_0_is_understood_and_a_later_one_refused_in_words(folder):
    state.write(_new())
    path = folder / "wg0.json"
    record = json.loads(path.read_text())
    assert record.pop("version") == state.VERSION
    record.pop("busy")
    path.write_text(json.dumps(record))
    assert state.read("wg0")["busy"] == []
    path.write_text(json.dumps(dict(record, version=state.VERSION + 1)))
    for call in (lambda: state.read("wg0"), lambda: state.claim("wg0", "up", _new())):
        with pytest.raises(state.StateError, match="another tunlite"):
            call()
    assert json.loads(path.read_text())["version"] == state.VERSION + 1


def test_only_one_process_reads_and_writes_records_at_a_time(folder):
    folder.mkdir()
    lock = port.lock(str(folder))
    readable, writable = port.pipe()
    pid = port.fork()
    if pid == 0:
        port.close(lock)  # it came with the fork
        state.claim("wg0", "up", _new())
        port.os_write(writable, b"x")
        port._exit(0)
    assert port.poll([(readable, port.POLLIN)], 100) == []
    assert state.read("wg0") is None
    port.close(lock)
    assert port.os_read(readable, 1) == b"x"
    assert port.waitpid(pid, True) == 0
    assert state.read("wg0")["busy"][0][0] == pid
