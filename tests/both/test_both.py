# SPDX-License-Identifier: MIT
"""One script, two interpreters, five architectures: CPython's output is what the others must print.

The executables are the router build with the compiler in (`TL_COMPILER=1`), x86_64 natively and the
others under qemu-user with the smallest CPU that they are for.
"""

import difflib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devtools import cross
from machine import toolchain

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPTS = sorted(path.name for path in (_ROOT / "tests/both/scripts").glob("*.py"))


def runner(arch):
    """What runs this architecture's executables here; empty where the machine itself does."""
    qemu = toolchain.TARGETS[arch].qemu
    if arch == platform.machine():
        return []
    name, cpu = qemu or (arch, "max")
    return [f"qemu-{name}-static", "-cpu", cpu]


@pytest.fixture(scope="module", params=list(toolchain.TARGETS))
def executable(request):
    """The command that runs a script on this architecture."""
    path = cross.build(request.param, test=True)
    return [*runner(request.param), str(path), "--script"]


def _run(command, script, folder):
    folder.mkdir()
    shutil.copy(_ROOT / "tests/vectors.py", folder)
    done = subprocess.run(
        [*command, f"tests/both/scripts/{script}", str(folder)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "TUNLITE_BOTH": "yes"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{script}: {done.stdout[-500:]}"
    return done.stdout


@pytest.mark.parametrize("script", _SCRIPTS)
@pytest.mark.timeout(600)
def test_a_script_prints_the_same_on_every_interpreter(executable, script, tmp_path):
    expected = _run([sys.executable], script, tmp_path / "cpython")
    found = _run(executable, script, tmp_path / "micropython")
    difference = difflib.unified_diff(
        expected.splitlines(), found.splitlines(), "CPython", executable[-2], lineterm=""
    )
    assert expected.count("\n") > 5
    assert " BAD\n" not in expected
    assert "\n".join(difference) == ""
