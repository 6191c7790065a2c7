# SPDX-License-Identifier: MIT
"""tunnel.py: ways down that meet."""

import pytest

from tunlite.host import failures, hooks, record as states, tunnel


def test_a_down_that_comes_when_another_has_just_ended_takes_nothing_down_again(monkeypatch):
    record = {"parent": 0, "parent_began": "", "busy": []}
    taken = []
    monkeypatch.setattr(states, "read", lambda name: record)
    monkeypatch.setattr(states, "claim", lambda name, doing: None)
    monkeypatch.setattr(hooks, "Patience", lambda: None)
    monkeypatch.setattr(tunnel, "take_down", lambda *_: taken.append(1))
    with pytest.raises(failures.QuickError, match="was not brought up"):
        tunnel.down("t", None)
    assert not taken
