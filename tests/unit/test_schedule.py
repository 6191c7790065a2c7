# SPDX-License-Identifier: MIT
"""schedule.py: the decision against the paper's section 6."""

from hypothesis import given, settings, strategies as st

from tunlite.protocol import schedule, wire

NOW = 1_000_000


def plan(
    checked=NOW, retry=0, attempts=0, until=0, zero=0, persistent=0, tried=0, fired=0, jitter=0
):
    return checked, retry, attempts, until, zero, persistent, tried, fired, jitter


def stamps(sent_any=0, sent_data=0, received_any=0, received_data=0, unanswered=0, unreplied=0):
    return sent_any, sent_data, received_any, received_data, unanswered, unreplied


def test_a_peer_that_never_had_traffic_has_nothing_due_and_is_watched():
    assert schedule.due(NOW, stamps(), plan()) == (schedule.WATCH, None)


def test_data_that_got_no_reply_for_10_seconds_gets_a_keepalive():
    given_stamps = stamps(received_any=NOW, received_data=NOW, unreplied=NOW)
    actions, deadline = schedule.due(NOW, given_stamps, plan(checked=NOW - 1))
    assert (actions, deadline) == (0, NOW + 10_000)
    actions, _ = schedule.due(NOW + 10_000, given_stamps, plan(checked=NOW + 1))
    assert actions & schedule.KEEPALIVE


def test_a_keepalive_that_could_not_be_sent_is_not_tried_again_at_once():
    given_stamps = stamps(unreplied=NOW - 60_000)
    actions, deadline = schedule.due(NOW, given_stamps, plan(tried=NOW))
    assert not actions & schedule.KEEPALIVE
    assert deadline == NOW + 10_000


def test_unanswered_data_asks_for_a_new_handshake_after_15_seconds_and_jitter():
    given_stamps = stamps(sent_any=NOW, sent_data=NOW, unanswered=NOW)
    _, deadline = schedule.due(NOW, given_stamps, plan(checked=NOW + 1, jitter=333))
    assert deadline == NOW + 15_333
    actions, _ = schedule.due(NOW + 15_333, given_stamps, plan(checked=NOW + 1, jitter=333))
    assert actions & schedule.NEW_HANDSHAKE


def test_it_asks_again_only_when_more_data_was_sent():
    quiet = stamps(sent_any=NOW, sent_data=NOW, unanswered=NOW)
    later = NOW + 60_000
    actions, deadline = schedule.due(later, quiet, plan(checked=later, fired=NOW + 15_000))
    assert (actions, deadline) == (schedule.WATCH, None)
    busy = stamps(sent_any=later, sent_data=later, unanswered=NOW)
    actions, _ = schedule.due(later, busy, plan(checked=later, fired=NOW + 15_000))
    assert actions & schedule.NEW_HANDSHAKE


def test_persistent_keepalives_count_from_the_last_packet_either_way():
    quiet = stamps(sent_any=NOW - 5000, received_any=NOW - 1000)
    actions, deadline = schedule.due(NOW, quiet, plan(persistent=25_000))
    assert (actions, deadline) == (schedule.WATCH, NOW + 24_000)
    actions, _ = schedule.due(NOW + 24_000, quiet, plan(persistent=25_000))
    assert actions & schedule.PERSISTENT


def test_a_persistent_keepalive_of_a_silent_peer_is_due_at_once():
    actions, _ = schedule.due(NOW, stamps(), plan(persistent=25_000))
    assert actions & schedule.PERSISTENT


def test_a_handshake_is_given_up_after_its_18th_retransmission():
    actions, _ = schedule.due(NOW, stamps(), plan(retry=NOW, attempts=wire.ATTEMPTS_MAX))
    assert actions & schedule.RETRY
    actions, _ = schedule.due(NOW, stamps(), plan(retry=NOW, attempts=wire.ATTEMPTS_MAX + 1))
    assert actions & schedule.GIVE_UP
    assert not actions & schedule.RETRY


def test_while_data_flows_the_peer_is_looked_at_every_10_seconds():
    flowing = stamps(NOW, NOW, NOW, NOW)
    actions, deadline = schedule.due(NOW, flowing, plan(checked=NOW - 10_000))
    assert (actions, deadline) == (0, NOW + 10_000)


def _naive(now, s, p):
    """Each rule of the paper on its own, as (action, when)."""
    sent_any, sent_data, received_any, received_data, unanswered, unreplied = s
    checked, retry, attempts, until, zero, persistent, tried, fired, jitter = p
    rules = []
    if retry:
        rules.append((schedule.GIVE_UP if attempts >= 19 else schedule.RETRY, retry))
    if until:
        rules.append((schedule.SILENT, until))
    if zero:
        rules.append((schedule.ZERO, zero))
    if unreplied:
        rules.append((schedule.KEEPALIVE, max(unreplied, tried) + 10_000))
    if unanswered and fired < unanswered:
        rules.append((schedule.NEW_HANDSHAKE, unanswered + 15_000 + jitter))
    elif unanswered and sent_data > fired:
        rules.append((schedule.NEW_HANDSHAKE, fired + 15_000 + jitter))
    if persistent:
        last = max(sent_any, received_any, tried)
        rules.append((schedule.PERSISTENT, last + persistent if last else now))
    actions = sum(action for action, when in rules if when <= now)
    times = [when for _, when in rules if when > now]
    if max(sent_data, received_data) and max(sent_data, received_data) >= checked:
        times.append(now + 10_000)
    else:
        actions += schedule.WATCH
    return actions, min(times, default=None)


TIME = st.one_of(st.just(0), st.integers(NOW - 40_000, NOW))


@settings(max_examples=500)
@given(
    st.tuples(TIME, TIME, TIME, TIME, TIME, TIME),
    st.tuples(
        st.integers(NOW - 20_000, NOW),
        st.one_of(st.just(0), st.integers(NOW - 9000, NOW + 9000)),
        st.integers(-1, 25),
        st.one_of(st.just(0), st.integers(NOW - 9000, NOW + 180_000)),
        st.one_of(st.just(0), st.integers(NOW - 9000, NOW + 540_000)),
        st.sampled_from([0, 1000, 25_000]),
        TIME,
        TIME,
        st.integers(0, 333),
    ),
)
def test_the_decision_is_the_sum_of_the_rules(s, p):
    assert schedule.due(NOW, s, p) == _naive(NOW, s, p)


def test_a_plan_is_idle_until_data_flows_and_remembers_what_was_asked_for():
    plan = schedule.Plan()
    assert plan.idle and plan.fired_ms == plan.jitter_ms == plan.tried_ms == plan.persistent_s == 0
    plan.looked(5, False)
    plan.fired(6, 7)
    plan.tried(8)
    plan.persist(25)
    assert (plan.checked_ms, plan.idle, plan.fired_ms, plan.jitter_ms) == (5, False, 6, 7)
    assert (plan.tried_ms, plan.persistent_s) == (8, 25)
