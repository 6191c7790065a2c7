# SPDX-License-Identifier: MIT
"""What is kept of an interface that is up."""

import stat

from tunlite import port, state


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
    kept = {"interface": "wg0", "routes": [["10.0.0.0/8", 0]]}
    state.write(kept)
    assert state.read("wg0") == kept
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "wg0.json").stat().st_mode) == 0o600


def test_a_state_that_is_missing_or_broken_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "FOLDER", str(tmp_path))
    assert state.read("wg0") is None
    (tmp_path / "wg0.json").write_text("{")
    assert state.read("wg0") is None


def test_a_file_that_is_gone_is_dropped_without_a_word(tmp_path):
    path = tmp_path / "x"
    path.write_text("")
    state.drop_file(str(path))
    state.drop_file(str(path))
    assert not path.exists()
