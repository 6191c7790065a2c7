# SPDX-License-Identifier: MIT
"""timers.py: the heap against a sorted list, and the decision against the paper's section 6."""

from hypothesis import given, settings, strategies as st

from tunlite.control import timers
from tunlite.protocol import wire

NOW = 1_000_000


def plan(checked=NOW, retry=0, attempts=0, zero=0, persistent=0, tried=0, fired=0, jitter=0):
    return checked, retry, attempts, zero, persistent, tried, fired, jitter


def stamps(sent_any=0, sent_data=0, received_any=0, received_data=0, unanswered=0, unreplied=0):
    return sent_any, sent_data, received_any, received_data, unanswered, unreplied


# ---- the heap ----


class Recorder:
    def __init__(self, name, log):
        self.timer_ms = self.timer_queued = None
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


# ---- what is due ----


def test_a_peer_that_never_had_traffic_has_nothing_due_and_is_watched():
    assert timers.due(NOW, stamps(), plan()) == (timers.WATCH, None)


def test_data_that_got_no_reply_for_10_seconds_gets_a_keepalive():
    given_stamps = stamps(received_any=NOW, received_data=NOW, unreplied=NOW)
    actions, deadline = timers.due(NOW, given_stamps, plan(checked=NOW - 1))
    assert (actions, deadline) == (0, NOW + 10_000)
    actions, _ = timers.due(NOW + 10_000, given_stamps, plan(checked=NOW + 1))
    assert actions & timers.KEEPALIVE


def test_a_keepalive_that_could_not_be_sent_is_not_tried_again_at_once():
    given_stamps = stamps(unreplied=NOW - 60_000)
    actions, deadline = timers.due(NOW, given_stamps, plan(tried=NOW))
    assert not actions & timers.KEEPALIVE
    assert deadline == NOW + 10_000


def test_unanswered_data_asks_for_a_new_handshake_after_15_seconds_and_jitter():
    given_stamps = stamps(sent_any=NOW, sent_data=NOW, unanswered=NOW)
    _, deadline = timers.due(NOW, given_stamps, plan(checked=NOW + 1, jitter=333))
    assert deadline == NOW + 15_333
    actions, _ = timers.due(NOW + 15_333, given_stamps, plan(checked=NOW + 1, jitter=333))
    assert actions & timers.NEW_HANDSHAKE


def test_it_asks_again_only_when_more_data_was_sent():
    quiet = stamps(sent_any=NOW, sent_data=NOW, unanswered=NOW)
    later = NOW + 60_000
    actions, deadline = timers.due(later, quiet, plan(checked=later, fired=NOW + 15_000))
    assert (actions, deadline) == (timers.WATCH, None)
    busy = stamps(sent_any=later, sent_data=later, unanswered=NOW)
    actions, _ = timers.due(later, busy, plan(checked=later, fired=NOW + 15_000))
    assert actions & timers.NEW_HANDSHAKE


def test_persistent_keepalives_count_from_the_last_packet_either_way():
    quiet = stamps(sent_any=NOW - 5000, received_any=NOW - 1000)
    actions, deadline = timers.due(NOW, quiet, plan(persistent=25_000))
    assert (actions, deadline) == (timers.WATCH, NOW + 24_000)
    actions, _ = timers.due(NOW + 24_000, quiet, plan(persistent=25_000))
    assert actions & timers.PERSISTENT


def test_a_persistent_keepalive_of_a_silent_peer_is_due_at_once():
    actions, _ = timers.due(NOW, stamps(), plan(persistent=25_000))
    assert actions & timers.PERSISTENT


def test_a_handshake_is_given_up_after_its_18th_retransmission():
    actions, _ = timers.due(NOW, stamps(), plan(retry=NOW, attempts=wire.ATTEMPTS_MAX))
    assert actions & timers.RETRY
    actions, _ = timers.due(NOW, stamps(), plan(retry=NOW, attempts=wire.ATTEMPTS_MAX + 1))
    assert actions & timers.GIVE_UP
    assert not actions & timers.RETRY


def test_while_data_flows_the_peer_is_looked_at_every_10_seconds():
    flowing = stamps(NOW, NOW, NOW, NOW)
    actions, deadline = timers.due(NOW, flowing, plan(checked=NOW - 10_000))
    assert (actions, deadline) == (0, NOW + 10_000)


def _naive(now, s, p):
    """Each rule of the paper on its own, as (action, when)."""
    sent_any, sent_data, received_any, received_data, unanswered, unreplied = s
    checked, retry, attempts, zero, persistent, tried, fired, jitter = p
    rules = []
    if retry:
        rules.append((timers.GIVE_UP if attempts >= 19 else timers.RETRY, retry))
    if zero:
        rules.append((timers.ZERO, zero))
    if unreplied:
        rules.append((timers.KEEPALIVE, max(unreplied, tried) + 10_000))
    if unanswered and fired < unanswered:
        rules.append((timers.NEW_HANDSHAKE, unanswered + 15_000 + jitter))
    elif unanswered and sent_data > fired:
        rules.append((timers.NEW_HANDSHAKE, fired + 15_000 + jitter))
    if persistent:
        last = max(sent_any, received_any, tried)
        rules.append((timers.PERSISTENT, last + persistent if last else now))
    actions = sum(action for action, when in rules if when <= now)
    times = [when for _, when in rules if when > now]
    if max(sent_data, received_data) and max(sent_data, received_data) >= checked:
        times.append(now + 10_000)
    else:
        actions += timers.WATCH
    return actions, min(times, default=None)


TIME = st.one_of(st.just(0), st.integers(NOW - 40_000, NOW))


@settings(max_examples=500)
@given(
    st.tuples(TIME, TIME, TIME, TIME, TIME, TIME),
    st.tuples(
        st.integers(NOW - 20_000, NOW),
        st.one_of(st.just(0), st.integers(NOW - 9000, NOW + 9000)),
        st.integers(-1, 25),
        st.one_of(st.just(0), st.integers(NOW - 9000, NOW + 540_000)),
        st.sampled_from([0, 1000, 25_000]),
        TIME,
        TIME,
        st.integers(0, 333),
    ),
)
def test_the_decision_is_the_sum_of_the_rules(s, p):
    assert timers.due(NOW, s, p) == _naive(NOW, s, p)
