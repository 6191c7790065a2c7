# SPDX-License-Identifier: MIT
"""The stores of layer 2 under the sanitizers: inputs of a corpus, and what chance makes of them."""

import platform
import subprocess
from pathlib import Path

import pytest

from machine import native_build
from tests.native import corpus_run
from tests.native.layer2_ffi import SOURCES

CORPUS = Path(__file__).parent / "corpus"
TARGETS = sorted(folder.name for folder in CORPUS.iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_joins_what_does_not_belong_together_or_breaks_anything(target):
    corpus_run.run("layer2_fuzz", SOURCES, CORPUS / target)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="one worker only on this machine"
)
def test_workers_that_learn_find_and_sweep_at_once_race_for_nothing():
    sources = ["tests/native/fdb_crew.c", *SOURCES]
    program = native_build.program("fdb_crew_tsan", sources, native_build.SANITIZE["tsan"])
    argv = ["setarch", "--addr-no-randomize", str(program)]  # as test_thread_sanitizer.py says
    result = subprocess.run(argv, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
