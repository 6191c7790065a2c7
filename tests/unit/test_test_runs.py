# SPDX-License-Identifier: MIT
"""What `./dev test` is made of: no suite of a variant may fall between its processes."""

import pytest

from devtools import test_runs


def _parts(planned):
    """(variant, suite, whether long tests are among it) of all runs."""
    return sorted(
        (run.variant, suite, mark) for run in planned for suite in run.suites for mark in run.marks
    )


def test_each_suite_of_a_variant_is_in_one_run_and_its_long_tests_too():
    planned = test_runs.plan(list(test_runs.SUITES), ["auto", "basic", "static"], ["slow"])
    spaces = [(v, s) for v, s in [("auto", "net"), ("auto", "interop"), ("basic", "net")]]
    spaces += [("static", "net"), ("static", "interop")]
    others = [("auto", s) for s in test_runs.SUITES if s not in ("net", "interop")]
    others.append(("basic", "native"))
    assert _parts(planned) == sorted(
        [(*part, "not slow") for part in spaces + others]
        + [(*part, "not long") for part in spaces]
        + [("auto", s, mark) for s in ("net", "interop") for mark in ("long", "not slow")]
        + [("static", s, m) for s in ("net", "interop") for m in ("long", "not slow", "once")]
        + [("basic", s, "not once") for s in ("native", "net")]
    )


def test_what_computes_begins_before_what_waits():
    chosen = ["lint", "native", "net", "qemu"]
    planned = test_runs.plan(chosen, ["auto", "basic"], ["slow"])
    assert [str(run) for run in planned] == [
        *("auto: lint, native", "auto: qemu", "auto: net", "auto: net", "basic: net"),
        "basic: native",
    ]
    assert [("long" in run.marks) for run in planned[2:4]] == [True, False]


class _Run:
    """Runs for so many rounds; `seen` gets how many run whenever one begins."""

    going = 0

    def __init__(self, rounds, seen):
        self.rounds, self.seen = rounds, seen
        self._apart = None

    def start(self, options, apart=False):
        _Run.going += 1
        self.seen.append(_Run.going)
        self._apart = apart
        return self

    def is_running(self):
        self.rounds -= 1
        return self.rounds > 0

    def is_apart(self):
        return self._apart

    def finish(self):
        _Run.going -= 1
        return self.rounds != -1


def test_a_run_begins_as_soon_as_there_is_a_lane_and_one_alone_prints(monkeypatch):
    monkeypatch.setattr(test_runs.time, "sleep", lambda seconds: None)
    seen = []
    runs = [_Run(rounds, seen) for rounds in (3, 9, 9, 2, 2)]
    assert test_runs.run_all(runs, [], 3)
    assert seen == [1, 2, 3, 3, 3] and _Run.going == 0
    assert [run.is_apart() for run in runs] == [False, True, True, False, False]


def test_a_run_that_failed_is_told_whatever_the_others_do(monkeypatch):
    monkeypatch.setattr(test_runs.time, "sleep", lambda seconds: None)
    runs = [_Run(rounds, []) for rounds in (2, 0, 2)]  # the second one fails
    assert not test_runs.run_all(runs, [], 2)


def test_each_file_of_tests_is_in_one_suite():
    chosen = [path for paths in test_runs.SUITES.values() for path in paths]
    files = [p.relative_to(test_runs.ROOT) for p in (test_runs.ROOT / "tests").rglob("test_*.py")]
    homes = {str(f): [c for c in chosen if f.is_relative_to(c)] for f in files}
    assert {name: found for name, found in homes.items() if len(found) != 1} == {}


@pytest.mark.parametrize("suite", test_runs.SUITES)
def test_a_single_suite_is_run_on_its_own(suite):
    planned = test_runs.plan([suite], ["auto"], ["slow", "long"])
    assert _parts(planned) == sorted(("auto", suite, mark) for mark in ("not slow", "not long"))
    assert len(planned) == 1
