# SPDX-License-Identifier: MIT
"""Runs a fuzzer of mutate.h over its corpus, under the sanitizers.

TUNLITE_FUZZ_SEED and TUNLITE_FUZZ_STEPS go on for longer.
"""

import os
import random
import subprocess

from machine import native_build


def run(name, sources, corpus):
    """tests/native/NAME.c with `sources`; the target is named as the folder of its inputs."""
    sources = [f"tests/native/{name}.c", *sources]
    program = native_build.program(f"{name}_asan", sources, native_build.SANITIZE["asan"])
    seed = os.environ.get("TUNLITE_FUZZ_SEED", str(random.randrange(1 << 32)))
    steps = os.environ.get("TUNLITE_FUZZ_STEPS", "20000")
    argv = [str(program), corpus.name, seed, steps, *sorted(map(str, corpus.iterdir()))]
    result = subprocess.run(argv, capture_output=True, text=True)
    assert result.returncode == 0, f"seed {seed}\n" + result.stdout + result.stderr
    print(result.stdout, end="")
