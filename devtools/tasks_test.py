# SPDX-License-Identifier: MIT
"""The tests and the linters as tasks."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from invoke import task

from devtools import apt, lint as linters, rootless
from devtools.tasks_build import build

_ROOT = Path(__file__).resolve().parent.parent
_BUILD = _ROOT / "build"
_SUITES = {
    "lint": ["tests/test_repo_lint.py"],
    "repo": ["tests/test_repo.py", "tests/test_repo_build.py", "tests/test_repo_dev.py"],
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


def _existing(suites):
    return [path for suite in suites for path in _SUITES[suite] if (_ROOT / path).exists()]


def _wait(process):
    """Its exit status. Ctrl-C reaches it too, and it must have the time to clean up."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            print("ending ...", file=sys.stderr, flush=True)


def _environment(variant):
    """What tells the harness the variant: ENGINE, ENGINE+AEAD, or static (the router's program)."""
    if variant == "static":
        from devtools import tasks_cross

        return {"TUNLITE_BIN": str(tasks_cross.build("x86_64"))}
    if variant == "auto":
        return {}
    engine, _, aead = variant.partition("+")
    return {"TUNLITE_ENGINE": engine, "TUNLITE_AEAD": aead or "auto"}


class _Run:
    """One pytest process: some suites in one variant."""

    def __init__(self, variant, suites):
        self.variant = variant
        self.suites = suites
        self.counts = {}

    def start(self, options):
        """Runs it to its end; the exit status."""
        report = _BUILD / f"test-report-{os.getpid()}.json"
        env = {**os.environ, "TUNLITE_REPORT": str(report), **_environment(self.variant)}
        argv = [sys.executable, "-m", "coverage", "run", "-m", "pytest", *options]
        argv = rootless.wrap(argv) if set(self.suites) & set(_IN_NAMESPACES) else argv
        status = _wait(subprocess.Popen([*argv, *_existing(self.suites)], cwd=_ROOT, env=env))
        if report.exists():
            self.counts = json.loads(report.read_text(encoding="utf-8"))
            report.unlink()
        return status


def _runs(variant, suites):
    """Who is not root runs the suites that need namespaces apart: those have no way to the net."""
    if rootless.has_capabilities():
        return [_Run(variant, suites)]
    apart = [suite for suite in suites if suite in _IN_NAMESPACES]
    return [_Run(variant, [s for s in suites if s not in apart]), _Run(variant, apart)]


def _matrix():
    """One variant for each engine and each AEAD that `tunlite probe` finds on this machine."""
    argv = [sys.executable, "-m", "tunlite", "probe", "--json"]
    output = subprocess.run(argv, cwd=_ROOT, capture_output=True, text=True, check=True).stdout
    prefixes = {"engine": "", "aead": "auto+"}
    return ["auto"] + [
        prefixes[row["kind"]] + row["name"]
        for row in json.loads(output)["features"]
        if row["kind"] in prefixes and (row["on"] or row["why"].startswith("available"))
    ]


def _coverage(*words):
    argv = [sys.executable, "-m", "coverage", *words]
    subprocess.run(argv, cwd=_ROOT, check=False)


@task(
    pre=[build],
    help={
        "k": "only tests whose name matches this expression, as pytest's -k",
        "suite": f"only these suites, by commas: {', '.join(_SUITES)}",
        "variants": "by commas: the first runs everything; a further ENGINE or ENGINE+AEAD runs "
        "native and net, static runs net and interop on the executable for routers",
        "matrix": "native and net once per engine and once per AEAD of this machine",
        "all_": "also the tests marked slow: more emulated machines",
        "quick": "without the tests marked long",
        "stop": "stop at the first failure",
    },
)
def test(c, k="", suite="", variants="auto", matrix=False, all_=False, quick=False, stop=False):
    """Install what the tests need and run them; every skip is printed with its reason."""
    chosen = suite.split(",") if suite else list(_SUITES)
    if unknown := set(chosen) - set(_SUITES):
        sys.exit(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(_SUITES)}")
    apt.need(apt.packages_for(chosen))
    options = ["--durations=8", "-q", *(["-k", k] if k else []), *(["-x"] if stop else [])]
    names = _matrix() if matrix else variants.split(",")
    runs = []
    for name in names:
        repeated = _ON_STATIC if name == "static" else _PER_VARIANT
        runs += _runs(name, [suite for suite in chosen if not runs or suite in repeated])
    begun = time.monotonic()
    shutil.rmtree(_BUILD / "coverage", ignore_errors=True)
    (_BUILD / "coverage").mkdir(parents=True)
    statuses = []
    for run in runs:
        if _existing(run.suites):
            print(f"==== {run.variant}: {', '.join(run.suites)}", flush=True)
            left_out = [] if all_ else ["slow"]
            left_out += ["long"] if quick or run.variant != names[0] else []
            marks = ["-m", " and ".join("not " + mark for mark in left_out)] if left_out else []
            statuses.append(run.start(options + marks))
    _coverage("combine", "--quiet")
    _coverage("report", "--skip-empty")
    _finish(runs, statuses, time.monotonic() - begun)


def _finish(runs, statuses, seconds):
    """The closing line, and the exit status that goes with it."""

    def total(*keys):
        return sum(run.counts.get(key, 0) for run in runs for key in keys)

    passed, failed, skipped = total("passed"), total("failed", "error"), total("skipped")
    unexpected = total("unexpected_skips")
    if unexpected:
        print(f"{unexpected} skips were not expected: see devtools/skips.py")
    print(f"{passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s", flush=True)
    sys.exit(1 if failed or unexpected or any(statuses) or not passed else 0)


@task(help={"fix": "mend what can be mended by a program, then check"})
def lint(c, fix=False):
    """ruff, clang-format and shellcheck over the tree."""
    apt.need(apt.packages_for(["lint"]))
    if fix:
        for argv in linters.fixes():
            linters.run(argv)
    failed = False
    for name, argv in linters.checks().items():
        result = linters.run(argv)
        print(f"{name}: {'failed' if result.returncode else 'ok'}")
        print(result.stdout, end="")
        failed = failed or result.returncode != 0
    sys.exit(1 if failed else 0)
