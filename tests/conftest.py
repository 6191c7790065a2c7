# SPDX-License-Identifier: MIT
"""For every suite: each skip is printed with its reason, and one that nobody expected fails."""

import json
import os
from pathlib import Path

import hypothesis
import pytest

from devtools import skips

# Two busy cores make any deadline a matter of luck; the blob repeats a failure.
hypothesis.settings.register_profile("tunlite", deadline=None, print_blob=True)
hypothesis.settings.load_profile("tunlite")

_skipped = {}


def _reason(report):
    if hasattr(report, "wasxfail"):
        return "expected to fail: " + report.wasxfail
    where = report.longrepr
    text = where[2] if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")


def _note(report):
    if report.skipped:
        _skipped[report.nodeid] = _reason(report)


def pytest_runtest_logreport(report):
    """A test that was skipped."""
    _note(report)


def pytest_collectreport(report):
    """A whole file that was skipped."""
    _note(report)


def pytest_sessionfinish(session, exitstatus):
    """An unexpected skip turns success into failure."""
    if exitstatus == pytest.ExitCode.OK and _unexpected():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unexpected():
    return [test for test, reason in _skipped.items() if not skips.is_expected(test, reason)]


def pytest_terminal_summary(terminalreporter):
    """The skips, and the counts for whoever called (TUNLITE_REPORT names the file)."""
    unexpected = _unexpected()
    if _skipped:
        terminalreporter.section("skips")
    for test, reason in sorted(_skipped.items()):
        verdict = "UNEXPECTED" if test in unexpected else "expected"
        terminalreporter.write_line(f"{verdict} skip: {test}: {reason}")
    stats = terminalreporter.stats
    counts = {key: len(stats.get(key, [])) for key in ("passed", "failed", "error", "skipped")}
    if path := os.environ.get("TUNLITE_REPORT"):
        report = {**counts, "unexpected_skips": len(unexpected)}
        Path(path).write_text(json.dumps(report), encoding="utf-8")
