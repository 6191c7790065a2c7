# SPDX-License-Identifier: MIT
"""The packet path under the sanitizers."""

import os
import random
import subprocess

import pytest

from machine import native_build


@pytest.mark.parametrize("name", ["plane_fuzz", "frames_fuzz"])
def test_random_datagrams_packets_and_calls_break_nothing_under_the_sanitizers(name):
    sources = [f"tests/native/{name}.c", *native_build.core_sources()]
    program = native_build.program(f"{name}_asan", sources, native_build.SANITIZE["asan"])
    seeds = [1, 2, 3, random.randrange(1 << 32)]
    if given := os.environ.get("TUNLITE_FUZZ_SEED"):
        seeds = [int(given)]
    for seed in seeds:
        argv = [str(program), str(seed), os.environ.get("TUNLITE_FUZZ_STEPS", "6000")]
        result = subprocess.run(argv, capture_output=True, text=True)
        assert result.returncode == 0, f"seed {seed}\n" + result.stdout + result.stderr
        print(result.stdout, end="")
