# SPDX-License-Identifier: MIT
"""A machine that sleeps: the wait's clock stands still meanwhile, the deadline's goes on.

No test can send this machine to sleep; here the plane's clock leaps, and its timer, which the
kernel would let go off then, is made to.
"""

import ctypes
import os
import re
import select
import struct
import threading
import time
from pathlib import Path

import pytest

from tests.native.plane_ffi import ffi, lib
from tests.native.test_engines import Wired

MINUTE_MS = 60_000
CLOCK_BOOTTIME = 7


def _timers():
    found = set()
    for entry in os.scandir("/proc/self/fd"):
        try:
            if os.readlink(entry.path) == "anon_inode:[timerfd]":
                found.add(int(entry.name))
        except FileNotFoundError:
            pass  # scandir's own
    return found


class Timer:
    """The plane's timer as the kernel has it."""

    def __init__(self, make):
        before = _timers()
        self.wired = make()
        [self.fd] = _timers() - before

    def left(self):
        """(clock, seconds until it goes off or 0.0)."""
        text = Path(f"/proc/self/fdinfo/{self.fd}").read_text(encoding="ascii")
        seconds, ns = re.search(r"it_value: \((\d+), (\d+)\)", text).groups()
        return int(re.search(r"clockid: (\d+)", text)[1]), int(seconds) + int(ns) / 1e9

    def wait_set(self):
        """Until a wait has set it."""
        while not self.left()[1]:
            time.sleep(0.001)

    def go_off(self):
        """As after a sleep."""
        soon = (ctypes.c_long * 4)(0, 0, 0, 1)
        assert ctypes.CDLL(None).timerfd_settime(self.fd, 0, soon, None) == 0


@pytest.fixture
def timer():
    made = Timer(lambda: Wired("mmsg"))
    with made.wired:
        yield made


def _run(wired, ms):
    return wired.plane.call("run", struct.pack("<Q", wired.now_ms() + ms))


def _ready(wired):
    out = ffi.new("unsigned char[128]")
    return wired.plane.call("ready", out, 128)


def test_a_sleep_past_the_deadline_ends_the_wait_for_it(timer):
    wired = timer.wired

    def sleep():
        timer.wait_set()
        wired.plane.call("fake_ahead", 2 * MINUTE_MS)
        timer.go_off()

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    assert _run(wired, MINUTE_MS) & lib.TL_WOKE_DEADLINE
    sleeper.join()
    assert wired.plane.counters()["returns"] == 1
    assert _ready(wired) == 0, "Python is not told of a descriptor that it does not know"
    assert _run(wired, 1) == lib.TL_WOKE_DEADLINE


def test_descriptors_of_python_are_told_beside_it(timer):
    wired = timer.wired
    readable, writable = os.pipe()
    wired.plane.call("watch", readable, select.EPOLLIN)
    os.write(writable, b".")
    _run(wired, MINUTE_MS)
    timer.go_off()
    select.select([timer.fd], [], [], 10)
    out = ffi.new("unsigned char[128]")
    assert wired.plane.call("ready", out, 128) == 1
    assert struct.unpack_from("<II", bytes(out)) == (readable, select.EPOLLIN)
    os.close(readable)
    os.close(writable)


def test_it_stands_behind_far_deadlines_only_and_counts_the_time_asleep(timer):
    wired = timer.wired
    readable, writable = os.pipe()
    wired.plane.call("watch", readable, select.EPOLLIN)
    os.write(writable, b".")
    for ms in (MINUTE_MS, 5 * MINUTE_MS):
        assert _run(wired, ms) == lib.TL_WOKE_CONTROL
        clock, left = timer.left()
        assert clock == CLOCK_BOOTTIME
        assert ms / 1000 - 30 < left < ms / 1000 + 1
    for deadline in (bytes(8), struct.pack("<Q", wired.now_ms() + 500), b"\xff" * 8):
        wired.plane.call("run", deadline)
        assert timer.left()[1] == 0
        _run(wired, MINUTE_MS)
    os.close(readable)
    os.close(writable)


def test_it_goes_with_its_plane(timer):
    timer.wired.plane.__exit__()
    assert timer.fd not in _timers()
    timer.wired.plane = Wired("mmsg").plane  # for the fixture
