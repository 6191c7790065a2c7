# SPDX-License-Identifier: MIT
"""The C self-test built for each router CPU, under qemu-user; and what MIPS pays for a byte."""

import os
import subprocess

import pytest

from bench import crypto as bench_crypto
from machine import apt, toolchain
from tests.native import crypto_ffi

VECTORS = crypto_ffi.ROOT / "tests/vectors"
EXPECTED = {
    "mips": {"portable"},
    "mipsel": {"portable"},
    "arm": {"neon", "portable"},
    "aarch64": {"neon", "portable64", "portable"},
}
pytestmark = pytest.mark.timeout(900)


def build(arch, name, sources):
    """The program of these sources, relative to the root, for a router's CPU."""
    target = toolchain.TARGETS[arch]
    program = crypto_ffi.ROOT / "build" / f"{name}-{arch}"
    program.parent.mkdir(exist_ok=True)
    half = program.with_name(f"{program.name}.{os.getpid()}")
    command = ["nice", str(toolchain.zig()), "cc", "-target", target.triple]
    command += [f"-mcpu={target.cpu}", "-std=gnu11", "-O2", "-static"]
    command += ["-Inative", "-Inative/include"]
    command += ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-o", str(half)]
    command += sources
    environment = toolchain.environment()
    done = subprocess.run(
        command, cwd=crypto_ffi.ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    half.replace(program)
    return program


def emulated(arch, program):
    """The command that runs it here."""
    apt.need(["qemu-user-static"])
    emulator, cpu = toolchain.TARGETS[arch].qemu
    return [f"qemu-{emulator}-static", "-cpu", cpu, str(program)]


@pytest.mark.parametrize("arch", EXPECTED)
def test_the_selftest_passes_on_a_router_s_cpu(arch):
    sources = ["tests/native/crypto_selftest.c", *crypto_ffi.sources()]
    command = emulated(arch, build(arch, "crypto_selftest", sources))
    done = subprocess.run([*command, str(VECTORS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    checked = {line.split()[0] for line in done.stdout.splitlines() if "checked" in line}
    assert checked == EXPECTED[arch]


def test_on_mips_1420_bytes_take_at_most_24_instructions_a_byte_and_6_in_the_clear():
    count = bench_crypto.count_mips(batch=4, lengths=[1420])
    assert count["seal"][1420] / 1420 <= 24
    assert count["open"][1420] / 1420 <= 24
    assert count["authenticate"][1420] / 1420 <= 6
    assert count["verify"][1420] / 1420 <= 6
