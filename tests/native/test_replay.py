# SPDX-License-Identifier: MIT
"""The replay window against a set of all counters that were ever seen."""

import pytest
from hypothesis import given, strategies as st

from tests.native.plane_ffi import ffi, lib

LAST = (1 << 64) - (1 << 13) - 2


class Window:
    """C's window, and the answer it should give."""

    def __init__(self, bits):
        self.ring = ffi.new("uint64_t[]", bits // 64)
        self.c = ffi.new("struct replay *", {"words": bits // 64, "ring": self.ring})
        self.window = bits - 64
        self.seen = set()
        self.highest = -1

    def accept(self, counter):
        """C's answer."""
        return lib.replay_accept(self.c, counter)

    def expected(self, counter):
        """The set's answer."""
        if counter in self.seen or self.highest - counter >= self.window:
            return False
        self.seen.add(counter)
        self.highest = max(self.highest, counter)
        return True


@pytest.mark.parametrize("bits", [128, 2048, 8192])
@given(data=st.data())
def test_any_order_of_counters_is_judged_as_by_a_set(bits, data):
    window = Window(bits)
    near = st.integers(-bits - 70, bits + 70)
    far = st.integers(0, LAST)
    at = 0
    for _ in range(data.draw(st.integers(0, 200))):
        step = data.draw(st.one_of(st.integers(-3, 3), near, st.none()))
        at = data.draw(far) if step is None else min(max(at + step, 0), LAST)
        assert window.accept(at) == window.expected(at)


@pytest.mark.parametrize("bits", [128, 2048, 8192])
def test_the_edges_of_the_window(bits):
    window = Window(bits)
    size = bits - 64
    for counter in (0, 0, 1, size, size, 1, 0, 2, size + 1, 2, 3, LAST, LAST, LAST - size, 5):
        assert window.accept(counter) == window.expected(counter)


def test_a_long_run_in_order_is_accepted_whole_and_refused_whole_the_second_time():
    window = Window(2048)
    assert all(window.accept(i) for i in range(5000))
    assert not any(window.accept(i) for i in range(5000))
