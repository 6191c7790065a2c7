# SPDX-License-Identifier: MIT
"""The tests and the linters as tasks."""

import json
import shutil
import subprocess
import sys
import time

from invoke import task

from devtools import lint as linters, test_runs
from devtools.tasks.build import build
from devtools.test_runs import BUILD, ROOT, SUITES
from machine import apt


def _matrix():
    """auto, one variant for each engine and each AEAD of this machine that auto does not choose
    (`tunlite probe` finds them), and the executable for routers."""
    argv = [sys.executable, "-m", "tunlite", "probe", "--json"]
    output = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    prefixes = {"engine": "", "aead": "auto+"}
    found = [
        prefixes[row["kind"]] + row["name"]
        for row in json.loads(output)["features"]
        if row["kind"] in prefixes and row["why"].startswith("available")
    ]
    return ["auto", "static", *found]  # the longest first


def _coverage(*words):
    argv = [sys.executable, "-m", "coverage", *words]
    subprocess.run(argv, cwd=ROOT, check=False)


@task(
    pre=[build],
    help={
        "k": "only tests whose name matches this expression, as pytest's -k",
        "suite": f"only these suites, by commas: {', '.join(SUITES)}",
        "variants": "by commas: the first runs everything; a further ENGINE or ENGINE+AEAD runs "
        "native and net but for tests marked once, static net and interop on routers' executable",
        "matrix": "native and net once per engine and AEAD of this machine, and static",
        "lanes": "so many runs at a time; those in namespaces mostly wait, and more than 3 disturb",
        "all_": "also the tests marked slow: more emulated machines",
        "quick": "without the tests marked long",
        "stop": "stop at the first failure",
    },
)
def test(
    c,
    k="",
    suite="",
    variants="auto",
    matrix=False,
    lanes=3,
    all_=False,
    quick=False,
    stop=False,
):
    """Install what the tests need and run them; every skip is printed with its reason."""
    chosen = suite.split(",") if suite else list(SUITES)
    if unknown := set(chosen) - set(SUITES):
        sys.exit(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    apt.need(apt.packages_for(chosen))
    options = ["--durations=8", "-q", *(["-k", k] if k else []), *(["-x"] if stop else [])]
    names = _matrix() if matrix else variants.split(",")
    left_out = [] if all_ else ["slow"]
    left_out += ["long"] if quick else []
    begun = time.monotonic()
    shutil.rmtree(BUILD / "coverage", ignore_errors=True)
    (BUILD / "coverage").mkdir(parents=True)
    runs = test_runs.plan(chosen, names, left_out)
    passed = test_runs.run_all(runs, options, lanes)
    _coverage("combine", "--quiet")
    _coverage("report", "--skip-empty")
    _finish(runs, passed, time.monotonic() - begun)


def _finish(runs, all_passed, seconds):
    """The closing line, and the exit status that goes with it."""

    def total(*keys):
        return sum(run.counts.get(key, 0) for run in runs for key in keys)

    passed, failed, skipped = total("passed"), total("failed", "error"), total("skipped")
    unexpected = total("unexpected_skips")
    if unexpected:
        print(f"{unexpected} skips were not expected: see devtools/skips.py")
    print(f"{passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s", flush=True)
    sys.exit(1 if failed or unexpected or not all_passed or not passed else 0)


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
