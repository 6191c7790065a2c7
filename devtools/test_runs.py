# SPDX-License-Identifier: MIT
"""The pytest processes that one `./dev test` is made of."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from machine import rootless

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SUITES = {
    "lint": ["tests/test_repo_lint.py"],
    "repo": [f"tests/test_repo{part}.py" for part in ("", "_build", "_dev", "_floors", "_owners")],
    "native": ["tests/native"],
    "unit": ["tests/unit"],
    "both": ["tests/both"],
    "openwrt": ["tests/openwrt"],
    "net": ["tests/net"],
    "interop": ["tests/interop"],
    "qemu": ["tests/qemu"],
}
_PER_VARIANT = ["native", "net"]
_ON_STATIC = ["net", "interop"]
_IN_NAMESPACES = ["net", "interop"]
_ONCE = "once"  # the mark of a test that neither engine nor cipher can change
_NOTHING_COLLECTED = 5  # pytest's exit status


def _environment(variant):
    """What tells the harness the variant: ENGINE, ENGINE+AEAD, or static (the router's program)."""
    if variant == "static":
        from devtools import cross

        return {"TUNLITE_BIN": str(cross.build("x86_64"))}
    if variant == "auto":
        return {}
    engine, _, aead = variant.partition("+")
    return {"TUNLITE_ENGINE": engine, "TUNLITE_AEAD": aead or "auto"}


def _wait(process):
    """Its exit status. Ctrl-C reaches it too, and it must have the time to clean up."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            print("ending ...", file=sys.stderr, flush=True)


class Run:
    """Some suites in one variant; of their tests those that all of `marks` select."""

    def __init__(self, variant, suites, marks):
        self.variant = variant
        self.suites = suites
        self.marks = marks
        self.counts = {}
        self._name = f"test-run-{os.getpid()}-{id(self)}"
        self._process = self._log = None

    def __str__(self):
        return f"{self.variant}: {', '.join(self.suites)}"

    def start(self, options, apart=False):
        """Starts it. Of one that runs `apart`, beside others, finish() prints what it said."""
        env = {**os.environ, "TUNLITE_REPORT": str(self._report), **_environment(self.variant)}
        argv = [sys.executable, "-m", "coverage", "run", "-m", "pytest", *options]
        argv += ["-m", " and ".join(self.marks)] if self.marks else []
        argv = rootless.wrap(argv) if set(self.suites) & set(_IN_NAMESPACES) else argv
        argv += [path for suite in self.suites for path in SUITES[suite]]
        self._log = open(BUILD / f"{self._name}.log", "w+", encoding="utf-8") if apart else None
        print(f"==== {self}{', beside the next' if apart else ''}", flush=True)
        self._process = subprocess.Popen(
            argv, cwd=ROOT, env=env, stdout=self._log, stderr=subprocess.STDOUT if apart else None
        )
        return self

    def is_running(self):
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def is_apart(self):
        """Whether finish() has yet to print what it said."""
        return self._log is not None

    def finish(self):
        """Waits for its end; True unless something failed. That nothing was selected is no failure:
        the sum of all runs tells.
        """
        status = _wait(self._process)
        if self._log:
            self._log.seek(0)
            print(f"==== {self}, beside another\n{self._log.read()}", flush=True)
            self._log.close()
            os.unlink(self._log.name)
        if self._report.exists():
            self.counts = json.loads(self._report.read_text(encoding="utf-8"))
            self._report.unlink()
        return status in (0, _NOTHING_COLLECTED)

    @property
    def _report(self):
        return BUILD / f"{self._name}.json"


def plan(chosen, variants, left_out):
    """The runs, in the order in which they begin; `left_out` are marks.

    The first variant runs all suites; a further engine or cipher leaves out the tests marked once,
    the static executable does not: of the long tests it runs these and no others. What computes
    comes first (sanitizers, emulated machines), the longest before the shorter; what needs a
    namespace mostly waits, for timers of the protocol, and runs beside it.
    It is a process of its own also because who is not root enters a user namespace for it, which
    has no way to the net.
    """
    others, machines, long, spaces = [], [], [], []
    selected = [f"not {mark}" for mark in left_out]
    for variant in variants:
        suites, marks = list(chosen), list(selected)
        is_first = variant == variants[0]
        if not is_first:
            again = _ON_STATIC if variant == "static" else _PER_VARIANT
            suites = [suite for suite in chosen if suite in again]
            marks += [f"not {_ONCE}"] if variant != "static" else []
        in_spaces = [suite for suite in suites if suite in _IN_NAMESPACES]
        alone = [suite for suite in suites if suite not in (*in_spaces, "qemu")]
        if alone:
            others.append(Run(variant, alone, marks))
        if in_spaces and "long" not in left_out:
            marks = [*marks, "not long"]
            if is_first or variant == "static":
                only = [] if is_first else [_ONCE]
                long.append(Run(variant, in_spaces, [*selected, "long", *only]))
        if "qemu" in suites:
            machines.append(Run(variant, ["qemu"], selected))
        spaces += [Run(variant, in_spaces, marks)] if in_spaces else []
    return [*others[:1], *machines, *long, *spaces, *others[1:]]


def run_all(planned, options, lanes):
    """Runs a plan, so many runs at a time; whether none failed. One says what it does as it does
    it.
    """
    waiting, running, passed = list(planned), [], []
    while waiting or running:
        while waiting and len(running) < lanes:
            apart = any(not run.is_apart() for run in running)
            running.append(waiting.pop(0).start(options, apart))
        ended = [run for run in running if not run.is_running()]
        running = [run for run in running if run not in ended]
        passed += [run.finish() for run in ended]
        try:
            time.sleep(0.2)
        except KeyboardInterrupt:
            waiting = []  # those that run have heard it too
    return all(passed)
