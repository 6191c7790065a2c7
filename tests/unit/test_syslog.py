# SPDX-License-Identifier: MIT
"""The system's log: what a line looks like on /dev/log, and that nothing there holds us up."""

import datetime
import os
import re
import socket

import pytest
from hypothesis import given, strategies

from tunlite import log, syslog
from tunlite.system import port


@given(strategies.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2100, 1, 1)))
def test_a_stamp_is_that_of_the_calendar(when):
    seconds = int((when - datetime.datetime(1970, 1, 1)).total_seconds())
    assert syslog.stamp(seconds) == f"{when:%b} {when.day:2d} {when:%H:%M:%S}"
    assert len(syslog.stamp(seconds)) == 15  # what logd of OpenWrt cuts off, with a blank


@pytest.fixture
def system(tmp_path, monkeypatch):
    path = str(tmp_path / "log")
    monkeypatch.setattr(syslog, "_PATH", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(5)
        yield listener


def _detached(prefix="wg0", level=log.DEBUG):
    printed = []
    say = log.Log(prefix, level, write=printed.append)
    say.leave_terminal()
    return say, printed


def test_each_level_has_its_severity_and_a_line_names_process_and_interface(system):
    say, printed = _detached()
    for level in (say.error, say.info, say.debug):
        level("the text")
    lines = [system.recv(2000).decode() for _ in range(3)]
    for line, priority in zip(lines, (27, 30, 31), strict=True):
        found = re.fullmatch(
            r"<(\d+)>(\w{3} [ \d]\d \d\d:\d\d:\d\d) tunlite\[(\d+)\]: (.*)\n", line
        )
        assert (int(found[1]), int(found[3]), found[4]) == (priority, os.getpid(), "wg0: the text")
    assert printed == []


def test_a_line_below_the_level_is_not_sent_and_a_flood_is_held_back(system):
    say, _ = _detached(level=log.INFO)
    say.debug("hidden")
    for number in range(50):
        say.info(f"number {number}", "kind")
    say.info("last")
    lines = [system.recv(2000).decode().rsplit(": ", 1)[1] for _ in range(6)]
    assert lines == [f"number {n}\n" for n in range(5)] + ["last\n"]


def test_what_has_several_lines_or_is_too_long_becomes_one_that_fits(system):
    say, _ = _detached()
    say.info("two\nlines")
    say.info("x" * 5000)
    assert system.recv(2000).endswith(b": two lines\n")
    long = system.recv(9000)
    assert len(long) < 1024 and long.endswith(b"x\n")


def test_what_is_no_text_becomes_a_line_too(system):
    say, _ = _detached()
    say.error(os.fsdecode(b"a\xff\n\x1b[0m") + ": left out")
    assert system.recv(2000).endswith(b": wg0: a?  [0m: left out\n")


def test_a_log_that_nobody_reads_or_that_is_not_there_holds_nothing_up(system):
    say, _ = _detached()
    for number in range(2000):  # more than any queue of datagrams takes
        say.info(f"number {number}")
    system.close()
    say.info("nobody listens")
    os.unlink(syslog._PATH)
    say.info("there is no such file")


def test_local_seconds_are_those_of_the_wall_here():
    wall = datetime.datetime.now().replace(tzinfo=datetime.UTC).timestamp()
    assert abs(port.local_seconds() - wall) < 60
