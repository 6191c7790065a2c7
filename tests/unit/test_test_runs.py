# SPDX-License-Identifier: MIT
"""What `./dev test` is made of: no suite of a variant may fall between its processes."""

import pytest

from devtools import test_runs


def _parts(planned):
    """(variant, suite, whether long tests are among it) of all runs."""
    runs = [run for runs in planned for run in runs]
    return sorted(
        (run.variant, suite, mark) for run in runs for suite in run.suites for mark in run.marks
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


def test_what_needs_no_namespace_runs_again_beside_what_does():
    beside, first, then = test_runs.plan(["lint", "native", "net"], ["auto", "basic"], ["slow"])
    assert [str(run) for run in beside] == ["auto: net"]
    assert [str(run) for run in first] == ["auto: lint, native"]
    assert [str(run) for run in then] == ["auto: net", "basic: native", "basic: net"]


def test_each_file_of_tests_is_in_one_suite():
    chosen = [path for paths in test_runs.SUITES.values() for path in paths]
    files = [p.relative_to(test_runs.ROOT) for p in (test_runs.ROOT / "tests").rglob("test_*.py")]
    homes = {str(f): [c for c in chosen if f.is_relative_to(c)] for f in files}
    assert {name: found for name, found in homes.items() if len(found) != 1} == {}


@pytest.mark.parametrize("suite", test_runs.SUITES)
def test_a_single_suite_is_run_on_its_own(suite):
    planned = test_runs.plan([suite], ["auto"], ["slow", "long"])
    assert _parts(planned) == sorted(("auto", suite, mark) for mark in ("not slow", "not long"))
    assert planned[0] == []
