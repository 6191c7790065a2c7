# SPDX-License-Identifier: MIT
"""The C test programs: under the sanitizers, and under valgrind for constant time."""

import subprocess

import pytest

from machine import apt, native_build
from tests.native import crypto_ffi

VECTORS = crypto_ffi.ROOT / "tests/vectors"
VALGRIND = ["valgrind", "-q", "--error-exitcode=9"]
pytestmark = pytest.mark.timeout(600)  # the compiler too, on a busy machine


def _run(argv):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True)


def _names():
    ffi, lib = crypto_ffi.load()
    found = []
    while lib.aead_list[len(found)] != ffi.NULL:
        found.append(lib.aead_list[len(found)])
    return {ffi.string(a.name).decode() for a in found if a.available()}


def test_the_selftest_passes_under_address_and_undefined_behaviour_sanitizers():
    sources = ["tests/native/crypto_selftest.c", *crypto_ffi.sources()]
    program = native_build.program("crypto_selftest_asan", sources, native_build.SANITIZE["asan"])
    result = _run([program, VECTORS])
    assert result.returncode == 0, result.stdout + result.stderr
    assert {line.split()[0] for line in result.stdout.splitlines() if "checked" in line} == _names()


@pytest.fixture(scope="module")
def ct_check():
    apt.need(["valgrind"])
    sources = ["tests/native/ct_check.c", *crypto_ffi.sources()]
    return native_build.program("ct_check", sources, ["-O2", "-g", "-DTL_CT_CHECK"])


def test_no_branch_and_no_address_depends_on_a_secret(ct_check):
    result = _run([*VALGRIND, ct_check])
    assert result.returncode == 0, result.stdout + result.stderr
    checked = set(result.stdout.split())
    assert checked >= {"messages", "blake2s", "portable"}
    assert checked - {"messages", "blake2s"} <= _names()


def test_the_constant_time_check_sees_a_branch_on_a_secret(ct_check):
    result = _run([*VALGRIND, ct_check, "leak"])
    assert result.returncode == 9
    assert "uninitialised value" in result.stderr


@pytest.mark.parametrize("step", ["begin", "finish"])
def test_what_libcrypto_encrypted_is_not_encrypted_again_when_it_fails(step):
    sources = ["tests/native/libcrypto_fails.c", *crypto_ffi.sources()]
    result = _run([native_build.program("libcrypto_fails", sources), step])
    assert result.returncode == 0, result.stdout + result.stderr
