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


def test_in_the_foreground_information_goes_to_stdout_and_errors_to_stderr(monkeypatch):
    """procd logs what comes on stderr as errors."""
    say, lines, _ = _make(log.DEBUG)
    say.foreground = True
    written = []
    monkeypatch.setattr(log.port, "write_out", written.append)
    for tell in (say.error, say.info, say.debug):
        tell("x")
    assert lines == ["tunlite: wg0: x"]
    assert written == ["tunlite: wg0: x\n"] * 2

    def closed(_):
        raise OSError(32, "Broken pipe")

    monkeypatch.setattr(log.port, "write_out", closed)
    say.info("nobody reads it, and nobody falls over it")


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


def test_what_others_say_in_a_line_makes_no_second_line_and_steers_no_terminal():
    """A name of a file in a folder of peers, or what a command answers."""
    say, lines, _ = _make()
    say.error("a\nb\r\x1b[31mc\x9b2J\x7fGrüße\udcff: left out")
    assert lines == ["tunlite: wg0: a b  [31mc 2J Grüße?: left out"]
