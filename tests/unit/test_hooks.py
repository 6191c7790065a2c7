# SPDX-License-Identifier: MIT
"""How long hooks may take, on a clock that only waiting moves."""

import pytest

from tunlite.host import hooks

_SIGTERM = 15
_SIGHUP = 1
_HOOK = 7  # the pidfd of a hook that hangs, or ends after so many ms


class Port:
    """The part of tunlite.system.port that hooks use."""

    POLLIN = 1

    def __init__(self):
        self.now = 1000
        self.came = b""
        self.ends_at = None
        self.is_openwrt = False

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
    monkeypatch.setattr(hooks.programs, "run", lambda *_, wait, by_fd3: wait(_HOOK) or 0)
    monkeypatch.setattr(hooks.privileges, "is_openwrt", lambda: made.is_openwrt)
    monkeypatch.setattr(hooks.programs, "end_group", lambda pidfd: None)
    return made


def _asked(port, later=False):
    port.came = bytes([_SIGTERM])
    patience = hooks.Patience()
    patience.later = later
    patience.arrived()
    assert patience.is_asked()
    return patience


def _took(port, patience, takes_ms=None):
    """(whether it was ended, its milliseconds) of a hook."""
    began = port.now
    port.ends_at = None if takes_ms is None else began + takes_ms
    return patience.run(["hook"], b"")[1], port.now - began


def test_a_hook_may_take_any_time_until_a_signal_asks_us_to_end(port):
    patience = hooks.Patience()
    assert _took(port, patience, 100_000) == (False, 100_000)
    port.came = bytes([_SIGHUP])
    assert _took(port, patience, 100_000) == (False, 100_000)


@pytest.mark.parametrize(("is_openwrt", "in_all_ms"), [(True, 4000), (False, 60_000)])
def test_hooks_have_the_supervisors_time_in_all_and_100_ms_at_least(port, is_openwrt, in_all_ms):
    port.is_openwrt = is_openwrt
    patience = _asked(port)
    assert _took(port, patience, in_all_ms - 50) == (False, in_all_ms - 50)
    assert _took(port, patience, 90) == (False, 90)
    assert _took(port, patience) == (True, 100)


@pytest.mark.parametrize("later", [False, True])
def test_a_hook_that_hangs_leaves_those_of_a_later_kind_a_quarter(port, later):
    patience = _asked(port, later)
    assert _took(port, patience) == (True, 45_000 if later else 60_000)
    patience.later = False
    assert _took(port, patience) == (True, 15_000 if later else 100)


def test_a_sighup_while_a_hook_runs_reloads_at_once_or_as_soon_as_there_is_something_to(port):
    patience, calls = hooks.Patience(), []
    port.came = bytes([_SIGHUP])
    assert _took(port, patience, 100) == (False, 100)
    patience.reload = lambda: calls.append(port.now)
    patience.arrived()
    assert len(calls) == 1
    patience.arrived()
    assert len(calls) == 1
    port.came = bytes([_SIGHUP])
    began = port.now
    _took(port, patience, 100)
    assert calls[1:] == [began]


def test_a_sighup_with_a_signal_to_end_reloads_nothing(port):
    patience = _asked(port)
    patience.reload = lambda: pytest.fail("it goes down")
    port.came = bytes([_SIGHUP])
    patience.arrived()


def test_a_shell_that_cannot_be_started_is_told_with_its_reason(port, monkeypatch):
    def fails(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(hooks.programs, "run", fails)
    ours = hooks.Hooks({"PreUp": ["true"]}, {"interface": "t", "path": "f"}, hooks.Patience())
    with pytest.raises(hooks.HookError, match="PreUp: the shell .* started: Cannot allocate"):
        ours.run("PreUp")
