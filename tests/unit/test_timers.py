# SPDX-License-Identifier: MIT
"""timers.py: the heap against a sorted list."""

from hypothesis import given, settings, strategies as st

from tunlite.control import timers


class Recorder(timers.Timer):
    def __init__(self, name, log):
        super().__init__(None)
        self.name, self.log = name, log

    def expired(self, now_ms):
        self.log.append(self.name)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.integers(0, 4), st.integers(1, 100)),
            st.tuples(st.just("cancel"), st.integers(0, 4), st.just(0)),
            st.tuples(st.just("run"), st.just(0), st.integers(0, 20)),
        ),
        max_size=60,
    )
)
def test_the_heap_expires_what_a_plain_table_would(steps):
    heap, log, now, table = timers.Timers(), [], 0, {}
    made = [Recorder(name, log) for name in range(5)]
    for kind, name, number in steps:
        if kind == "set":
            heap.set(made[name], now + number)
            table[name] = now + number
        elif kind == "cancel":
            heap.set(made[name], None)
            table.pop(name, None)
        else:
            now += number
            due = [n for n, when in table.items() if when <= now]
            while heap.next() is not None and heap.next() <= now:
                heap.run(now)
            assert sorted(log) == sorted(due)
            log.clear()
            for n in due:
                del table[n]
        assert heap.next() == min(table.values(), default=None)


def test_a_timer_that_sets_itself_again_at_once_does_not_hold_the_loop():
    heap = timers.Timers()
    calls = []

    def again(now_ms):
        calls.append(now_ms)
        heap.set(timer, now_ms)

    timer = timers.Timer(again)
    heap.set(timer, 5)
    heap.run(5)
    assert calls == [5]


def test_a_thousand_timers_at_once_are_run_in_turns():
    heap = timers.Timers()
    expired = []
    for number in range(1000):
        heap.set(timers.Timer(lambda now_ms, number=number: expired.append(number)), 5)
    for turn in range(1, 101):
        heap.run(7, lambda: len(expired) % 10 == 0)
        assert len(expired) == 10 * turn
    assert sorted(expired) == list(range(1000)) and heap.next() is None


def test_deadlines_that_move_later_do_not_fill_the_heap():
    heap, timer = timers.Timers(), timers.Timer(lambda now_ms: None)
    for when in range(1, 1000):
        heap.set(timer, when)
    assert len(heap._heap) == 1
    assert heap.next() == 999
