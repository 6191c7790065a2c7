# SPDX-License-Identifier: MIT
"""The launcher and what it leans on: packages, skips, the progress bar."""

import io
import os
import re
import subprocess
import sys

import pytest

from devtools import lint, skips
from devtools.progress import Progress
from machine import apt


def test_the_launcher_lists_the_tasks_from_any_folder(tmp_path):
    result = subprocess.run(
        [lint.ROOT / "dev", "--list"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    for name in ("build", "demo", "lint", "test"):
        assert f"\n  {name} " in result.stdout


def test_the_launcher_hands_over_the_exit_status(tmp_path):
    result = subprocess.run([lint.ROOT / "dev", "no-such-task"], cwd=tmp_path, capture_output=True)
    assert result.returncode != 0


@pytest.fixture
def calls(monkeypatch):
    """What apt-get is asked for on a machine that has nothing installed."""
    made = []
    monkeypatch.setattr(apt, "_installed", lambda packages: set())
    monkeypatch.setattr(apt, "_may_install", lambda: True)
    monkeypatch.setattr(apt, "_apt_get", lambda *words: made.append(words[0]) or (0, ""))
    return made


def test_stale_package_lists_are_updated_before_an_install(calls, monkeypatch):
    monkeypatch.setattr(apt, "_lists_are_stale", lambda: True)
    apt.need(["a", "b"])
    assert calls == ["update", "install"]


def test_fresh_package_lists_are_used_as_they_are(calls, monkeypatch):
    monkeypatch.setattr(apt, "_lists_are_stale", lambda: False)
    apt.need(["a"])
    assert calls == ["install"]


def test_a_failed_install_is_tried_again_with_new_lists(calls, monkeypatch):
    monkeypatch.setattr(apt, "_lists_are_stale", lambda: False)
    outcomes = iter([(100, "404"), (0, ""), (0, "")])
    monkeypatch.setattr(apt, "_apt_get", lambda *w: calls.append(w[0]) or next(outcomes))
    apt.need(["a"])
    assert calls == ["install", "update", "install"]


def test_who_may_not_install_is_told_the_command(monkeypatch):
    monkeypatch.setattr(apt, "_installed", lambda packages: {"here"})
    monkeypatch.setattr(apt, "_may_install", lambda: False)
    with pytest.raises(apt.AptError) as e:
        apt.need(["missing", "here"])
    assert "sudo apt-get install --no-install-recommends -y missing" in str(e.value)
    assert "here" not in str(e.value)


def test_an_installed_package_is_known_to_be_there():
    assert apt._installed(["dpkg", "no-such-package-at-all"]) == {"dpkg"}


def test_packages_are_named_by_suite():
    assert "valgrind" in apt.packages_for(["native"])
    assert "valgrind" not in apt.packages_for(["demo"])
    assert apt.packages_for([]) == []


def test_a_skip_is_expected_only_where_the_machine_makes_it_so(monkeypatch):
    monkeypatch.setattr(skips, "ALLOWED", [(r"test_wide", r"no avx-?512", lambda: True)])
    assert skips.is_expected("tests/native/test_wide.py::test_a", "this CPU has no AVX-512")
    assert not skips.is_expected("tests/native/test_wide.py::test_a", "not today")
    assert not skips.is_expected("tests/native/test_other.py::test_a", "no AVX-512")
    monkeypatch.setattr(skips, "ALLOWED", [(r"test_wide", r"no avx-?512", lambda: False)])
    assert not skips.is_expected("tests/native/test_wide.py::test_a", "no AVX-512")


def _run_pytest(folder, text):
    """Runs a test file under our conftest; the CompletedProcess."""
    (folder / "conftest.py").write_text((lint.ROOT / "tests/conftest.py").read_text())
    (folder / "test_it.py").write_text(text)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "TUNLITE"))}
    env["PYTHONPATH"] = str(lint.ROOT)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)


def test_an_unexpected_skip_fails_the_run_and_is_printed(tmp_path):
    text = "import pytest\ndef test_a(): pytest.skip('it is Friday')\ndef test_b(): pass\n"
    result = _run_pytest(tmp_path, text)
    assert result.returncode == 1
    assert "UNEXPECTED skip: test_it.py::test_a: it is Friday" in result.stdout


def test_a_skipped_file_counts_as_a_skip(tmp_path):
    result = _run_pytest(
        tmp_path, "import pytest\npytest.importorskip('no_such_module')\ndef test_a(): pass\n"
    )
    assert result.returncode != 0
    assert "UNEXPECTED skip: test_it.py" in result.stdout


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_grows_to_the_end_of_its_steps():
    stream = _Terminal()
    progress = Progress([("a", 1), ("b", 3)], stream)
    progress.step("a", "first")
    progress.step("b", "second")
    progress.advance(1.0)
    assert re.findall(r"(\d+)%", stream.getvalue()) == ["0", "25", "100"]


def test_without_a_terminal_each_step_is_one_line():
    stream = io.StringIO()
    progress = Progress([("a", 1), ("b", 1)], stream)
    progress.step("a", "first")
    progress.advance(0.5)
    progress.step("b", "second")
    progress.close()
    assert stream.getvalue() == "first\nsecond\n"


@pytest.mark.parametrize(
    "flags, task",
    [
        (["--memory-only"], "./dev bench-memory"),
        (["--mips-crypto"], "./dev bench-crypto --mips"),
        (["--mips", "--batch", "1,4"], "./dev bench-mips, ./dev bench-mips --batch"),
        (["--sizing"], "./dev bench-sizing"),
        (["--workers"], "./dev bench-workers"),
    ],
)
def test_a_bench_s_old_flag_names_the_task_that_it_became(flags, task):
    done = subprocess.run(
        [lint.ROOT / "dev", "bench", *flags], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and done.stderr.strip().endswith("now " + task)
