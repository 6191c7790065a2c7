# SPDX-License-Identifier: MIT
"""programs.py: other programs, started, waited for and ended."""

import os
import signal

import pytest

from tunlite import programs
from tunlite.system import port


@pytest.fixture
def ignored():
    """As some supervisors leave it to who is started by them."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


def test_how_a_program_ended_is_known_also_where_ends_of_children_were_ignored(ignored):
    assert programs.run(["/bin/sh", "-c", "exit 3"]) == 3


def test_how_a_child_ended_is_known_also_where_ends_of_children_were_ignored(ignored):
    pid = port.fork()
    if pid == 0:
        os._exit(3)
    assert port.waitpid(pid, True) == 3


def test_a_signal_to_a_child_that_was_collected_already_reaches_nobody(monkeypatch):
    """The kernel calls it -1 then, whose group would be process 1."""
    pidfd = programs.start(["/bin/true"])
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    killed = []
    monkeypatch.setattr(port, "kill", lambda *words: killed.append(words))
    programs.signal_group(pidfd, signal.SIGTERM)
    os.close(pidfd)
    assert killed == []
