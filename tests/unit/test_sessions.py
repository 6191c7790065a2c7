# SPDX-License-Identifier: MIT
"""sessions.py alone: which session sends, which receives, which are freed."""

import pytest

from tunlite.control.sessions import Sessions


class Exchange:
    """Also its own plane."""

    def __init__(self):
        self.plane = self
        self.freed, self.forgotten, self.used = [], [], []
        self.index_free, self.forget_index = self.freed.append, self.forgotten.append
        self.session_use = self.used.append


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
def sessions(exchange):
    return Sessions(exchange)


def held(sessions):
    return sessions.previous, sessions.current, sessions.next, sessions.parting


def test_an_initiators_session_sends_at_once_and_the_one_before_still_receives(sessions, exchange):
    sessions.add(b"1", True, 100_000)
    sessions.add(b"2", True, 200_000)
    assert held(sessions) == (b"1", b"2", None, None)
    sessions.add(b"3", True, 300_000)
    assert held(sessions) == (b"2", b"3", None, None)
    assert exchange.freed == exchange.forgotten == [b"1"]


def test_a_responders_session_sends_when_it_is_confirmed(sessions, exchange):
    assert not sessions.confirm()
    sessions.add(b"1", False, 100_000)
    assert held(sessions) == (None, None, b"1", None) and exchange.used == []
    assert sessions.confirm() and not sessions.confirm()
    assert held(sessions) == (None, b"1", None, None) and exchange.used == [b"1"]


def test_a_second_answer_replaces_the_one_that_waits(sessions, exchange):
    sessions.add(b"1", False, 100_000)
    sessions.add(b"2", False, 110_000)
    assert sessions.next == b"2" and exchange.freed == [b"1"]


def test_when_both_began_at_once_what_they_may_send_on_still_receives(sessions, exchange):
    sessions.add(b"1", True, 100_000)
    sessions.add(b"2", False, 200_000)
    sessions.add(b"3", True, 200_000)
    assert held(sessions) == (b"2", b"3", None, b"1") and sessions.crossed
    sessions.add(b"4", True, 201_000)  # one parts at a time
    assert held(sessions) == (b"3", b"4", None, b"1") and exchange.freed == [b"2"]


def test_what_parts_receives_for_5_seconds(sessions, exchange):
    sessions.add(b"1", True, 100_000)
    sessions.add(b"2", True, 200_000)
    sessions.add(b"3", True, 204_000)
    assert sessions.parting == b"1"
    sessions.drop_parting(208_999)
    assert sessions.parting == b"1"
    sessions.drop_parting(209_000)
    assert sessions.parting is None and exchange.freed == [b"1"]


def test_dropped_sessions_are_all_freed_and_nothing_is_left_to_wipe(sessions, exchange):
    sessions.add(b"1", True, 100_000)
    sessions.add(b"2", False, 200_000)
    sessions.end_at(740_000)
    sessions.drop()
    assert held(sessions) == (None,) * 4 and sessions.zero_ms == 0
    assert sorted(exchange.freed) == [b"1", b"2"]
