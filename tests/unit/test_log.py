# SPDX-License-Identifier: MIT
"""Log lines: levels, and a kind of line that cannot flood."""

from tunlite import log


class _Clock:
    now = 0

    def __call__(self):
        return self.now


def _make(level=log.INFO):
    lines = []
    clock = _Clock()
    return log.Log("wg0", level, clock, lines.append), lines, clock


def test_a_line_names_program_and_interface():
    say, lines, _ = _make()
    say.info("up")
    assert lines == ["tunlite: wg0: up"]


def test_a_line_below_the_level_is_not_written():
    say, lines, _ = _make(log.ERROR)
    say.info("up")
    say.debug("up")
    say.error("down")
    assert lines == ["tunlite: wg0: down"]


def test_lines_of_one_kind_are_held_back_and_counted():
    say, lines, clock = _make()
    for _ in range(100):
        say.info("no answer", "handshake")
    assert len(lines) == 5
    say.info("other")
    assert len(lines) == 6
    clock.now = 60000
    say.info("no answer", "handshake")
    assert lines[-1] == "tunlite: wg0: no answer (95 more like this left out)"
