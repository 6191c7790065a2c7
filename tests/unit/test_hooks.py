# SPDX-License-Identifier: MIT
"""How long hooks may take, on a clock that only waiting moves."""

import pytest

from tunlite import hooks

_SIGTERM = 15
_SIGHUP = 1
_HOOK = 7  # the pidfd of a hook that hangs, or ends after so many ms


class Port:
    """The part of tunlite.port that hooks use."""

    POLLIN = 1

    def __init__(self):
        self.now = 1000
        self.came = b""
        self.ends_at = None

    def signal_fd(self):
        return 3

    def now_ms(self):
        return self.now

    def os_read(self, _fd, _size):
        came, self.came = self.came, b""
        if not came:
            raise BlockingIOError
        return came

    def poll(self, _rows, wait_ms):
        left_ms = None if self.ends_at is None else max(0, self.ends_at - self.now)
        if left_ms is not None and (wait_ms < 0 or left_ms <= wait_ms):
            self.now += left_ms
            return [(_HOOK, 1)]
        assert wait_ms >= 0, "it would wait for ever"
        self.now += wait_ms
        return []


@pytest.fixture
def port(monkeypatch):
    made = Port()
    monkeypatch.setattr(hooks, "port", made)
    monkeypatch.setattr(hooks.children, "run", lambda argv, wait: wait(_HOOK) or 0)
    monkeypatch.setattr(hooks.children, "end_group", lambda pidfd: None)
    return made


def _asked(port, later=False):
    port.came = bytes([_SIGTERM])
    patience = hooks.Patience()
    patience.later = later
    assert patience.arrived() and patience.is_asked()
    return patience


def _took(port, patience, takes_ms=None):
    """(whether it was ended, its milliseconds) of a hook."""
    began = port.now
    port.ends_at = None if takes_ms is None else began + takes_ms
    return patience.run(["hook"])[1], port.now - began


def test_a_hook_may_take_any_time_until_a_signal_asks_us_to_end(port):
    patience = hooks.Patience()
    assert _took(port, patience, 100_000) == (False, 100_000)
    port.came = bytes([_SIGHUP])
    assert _took(port, patience, 100_000) == (False, 100_000)


def test_hooks_have_350_ms_in_all_and_100_at_least(port):
    patience = _asked(port)
    assert _took(port, patience, 300) == (False, 300)
    assert _took(port, patience, 90) == (False, 90)
    assert _took(port, patience) == (True, 100)


@pytest.mark.parametrize("later", [False, True])
def test_a_hook_that_hangs_leaves_those_of_a_later_kind_their_least(port, later):
    patience = _asked(port, later)
    assert _took(port, patience) == (True, 250 if later else 350)
    patience.later = False
    assert _took(port, patience) == (True, 100)
