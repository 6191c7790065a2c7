# SPDX-License-Identifier: MIT
"""Sessions: their indices and their counters."""

import subprocess

import pytest

from machine import native_build
from tests.native.plane_ffi import KEY_A, Plane, ipv4, lib, unseal
from tests.native.test_crypto_cross import build, emulated

_COUNTERS = ["tests/native/counters.c", *native_build.core_sources()]


def test_indices_cannot_be_counted_by_an_observer():
    """Whoever sees two of them learns nothing of how many were drawn in between or for whom."""
    with Plane() as plane:
        peers = [plane.peer(), plane.peer()]
        drawn = [int.from_bytes(plane.index(peers[i % 2]), "little") for i in range(4096)]
    assert len(set(drawn)) == len(drawn)
    # The low four bits name the worker (docs/dataplane.md): of one there is one. The others are all
    # as a coin falls, 12 deviations wide, and so is each one's change from one index to the next.
    assert {index & 15 for index in drawn} == {0}
    changes = [a ^ b for a, b in zip(drawn, drawn[1:], strict=False)]
    for bit in range(4, 32):
        for numbers in (drawn, drawn[::2], changes):
            ones = sum(number >> bit & 1 for number in numbers)
            assert 0.36 < ones / len(numbers) < 0.64, bit


def test_counters_have_64_bits_and_reject_after_messages_holds():
    done = subprocess.run([native_build.program("counters", _COUNTERS)], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"right\n")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("arch", ["mips", "arm"])
def test_counters_have_64_bits_on_32_bit_cpus(arch):
    command = emulated(arch, build(arch, "counters", _COUNTERS))
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"right\n"), done.stderr


def test_reject_after_messages_ends_the_sending_and_asks_for_a_session():
    with Plane() as plane:
        only = plane.peer(["10.0.0.0/24"])
        plane.session(plane.index(only), reject_messages=3)
        plane.arm(only, lib.TL_PEER_WANTS_SESSION)
        plane.put_inside(*[ipv4(payload=bytes([i])) for i in range(5)])
        plane.turn(3)
        assert [unseal(KEY_A, d)[1] for d in plane.take_outside()] == [0, 1, 2]
        assert plane.state(only)["staged"] == 2
        assert plane.events() == {only: lib.TL_PEER_WANTS_SESSION}
