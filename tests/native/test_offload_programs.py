# SPDX-License-Identifier: MIT
"""Cutting and merging under the sanitizers: inputs of a corpus, and what chance makes of them."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from machine import native_build
from tests.native import offload_ffi

CORPUS = Path(__file__).parent / "offload_corpus"


@pytest.mark.parametrize("target", ["cut", "merge"])
def test_no_input_loses_changes_or_invents_a_byte(target):
    """TUNLITE_FUZZ_SEED and TUNLITE_FUZZ_STEPS go on for longer."""
    sources = ["tests/native/offload_fuzz.c", *offload_ffi.core_sources()]
    program = native_build.program("offload_fuzz_asan", sources, native_build.SANITIZE["asan"])
    seed = os.environ.get("TUNLITE_FUZZ_SEED", str(random.randrange(1 << 32)))
    steps = os.environ.get("TUNLITE_FUZZ_STEPS", "20000")
    files = sorted(map(str, (CORPUS / target).iterdir()))
    argv = [str(program), target, seed, steps, *files]
    result = subprocess.run(argv, capture_output=True, text=True)
    assert result.returncode == 0, f"seed {seed}\n" + result.stdout + result.stderr
    print(result.stdout, end="")
