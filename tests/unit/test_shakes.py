# SPDX-License-Identifier: MIT
"""shakes.py alone: ours under way, theirs that come, what is counted."""

from tunlite.control import shakes as shakes_
from tunlite.control.shakes import Attempt, Shakes


class State:
    wiped = False
    index = b"1111"

    def wipe(self):
        self.wiped = True


def test_a_handshake_that_comes_too_early_has_its_first_attempt_by_the_timer():
    shakes = Shakes()
    shakes.put_off(5000)
    assert (shakes.attempts, shakes.retry_ms, shakes.wanted) == (-1, 5000, False)
    shakes.retried()
    shakes.queued()
    assert (shakes.attempts, shakes.retry_ms, shakes.wanted) == (0, 0, True)
    shakes.unqueued()
    assert not shakes.wanted


def test_a_fresh_reason_begins_the_retries_anew_but_not_what_is_unmet():
    shakes = Shakes()
    for now_ms in (1, 2, 3):
        shakes.left(now_ms, True)
        shakes.unanswered()
        shakes.retried()
    shakes.asked_anew()
    assert (shakes.attempts, shakes.unmet, shakes.initiated, shakes.sent_ms) == (0, 3, 3, 3)


def test_an_attempt_that_ends_is_wiped():
    shakes, attempt = Shakes(), Attempt(State(), None, 5, 0)
    shakes.begun(attempt)
    assert shakes.attempt_of(b"1111") is attempt and shakes.attempt_of(b"2222") is None
    shakes.ended(attempt)
    assert shakes.under_way == () and attempt.state.wiped


def test_an_attempt_is_repeated_for_a_cookie_but_what_repeats_it_is_not():
    shakes = Shakes()
    first = Attempt(State(), None, 5, 0)
    second = Attempt(State(), None, 5, shakes_.REPEATED)
    for attempt in (first, second):
        shakes.begun(attempt)
        attempt.cookie_came(300)
    assert shakes.to_repeat(299) is None and shakes.to_repeat(300) is first
    first.is_only_waited_for()
    assert shakes.to_repeat(300) is None


def test_what_is_only_measured_is_no_attempt_at_a_session():
    shakes = Shakes()
    shakes.measures_only(True)
    shakes.queued()
    assert shakes.wanted and not shakes.is_asking()
    shakes.begun(Attempt(State(), None, 5, shakes_.MEASURED))
    assert shakes.for_sessions() == []
    shakes.complete(8, 9)
    assert not shakes.measures and shakes.is_asking()


def test_giving_up_is_counted_and_leaves_what_was_sent():
    shakes = Shakes()
    shakes.left(7, True)
    shakes.retry_at(9)
    shakes.gave_up()
    assert (shakes.attempts, shakes.retry_ms, shakes.failed, shakes.sent_ms) == (0, 0, 1, 7)


def test_what_was_stopped_counts_nothing_as_sent():
    shakes = Shakes()
    shakes.left(7, True)
    shakes.put_off(9)
    shakes.stopped()
    assert (shakes.attempts, shakes.retry_ms, shakes.sent_ms) == (0, 0, 0)


def test_an_initiation_is_taken_with_a_greater_stamp_and_not_at_once_after_another():
    shakes = Shakes()
    assert shakes.why_refused(b"b", 0) is None
    shakes.came(b"b", 1000)
    assert shakes.why_refused(b"b", 9000) == shakes.why_refused(b"a", 9000) == "replayed"
    assert shakes.why_refused(b"c", 1001) == "too soon after the last one"
    assert shakes.why_refused(b"c", 9000) is None


def test_an_answer_of_ours_is_counted_and_a_complete_handshake_ends_the_retries():
    shakes = Shakes()
    shakes.left(1, True)
    shakes.put_off(5)
    shakes.answered(6)
    assert (shakes.responded, shakes.sent_ms, shakes.complete_ns) == (1, 6, 0)
    shakes.complete(8, 1_000_000_005)
    assert (shakes.attempts, shakes.retry_ms, shakes.unmet, shakes.completed) == (0, 0, 0, 1)
    assert (shakes.complete_ms, shakes.complete_ns, shakes.sent_ms) == (8, 1_000_000_005, 6)


def test_peers_share_nothing():
    one, other = Shakes(), Shakes()
    one.left(1, True)
    one.gave_up()
    assert (other.initiated, other.failed) == (0, 0)
