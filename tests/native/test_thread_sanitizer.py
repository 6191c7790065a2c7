# SPDX-License-Identifier: MIT
"""The packet path under ThreadSanitizer; several workers under AddressSanitizer too."""

import platform
import subprocess

import pytest

from machine import native_build

# libtsan of gcc 12 does not start where the kernel randomises more address bits than it expects
_FIXED_ADDRESSES = ["setarch", "--addr-no-randomize"]


def _program(name, sources, kind="tsan"):
    return native_build.program(f"{name}_{kind}", sources, native_build.SANITIZE[kind])


def _run(argv):
    argv = [*_FIXED_ADDRESSES, *map(str, argv)]
    return subprocess.run(argv, capture_output=True, text=True)


def test_random_datagrams_packets_and_calls_show_no_race():
    sources = ["tests/native/plane_fuzz.c", *native_build.core_sources()]
    result = _run([_program("plane_fuzz", sources), 1, 2000])
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="one worker only on this machine"
)
@pytest.mark.parametrize(
    "words",
    [
        ("tsan", 2, 1000, 1),
        ("tsan", 4, 1000, 2),
        ("tsan", 4, 200, 3, "unsteered"),
        ("tsan", 8, 1000, 4),
        ("asan", 8, 1000, 4),
    ],
    ids=lambda words: "-".join(map(str, words)),
)
def test_workers_keep_the_order_while_peers_are_rekeyed_and_removed(words):
    """Ten handshakes a round."""
    sources = ["tests/native/crew.c", *native_build.core_sources()]
    result = _run([_program("crew", sources, words[0]), *words[1:]])
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="one worker only on this machine"
)
@pytest.mark.parametrize(("kind", "workers"), [("tsan", 2), ("tsan", 4), ("asan", 4)])
def test_workers_pass_frames_from_peer_to_peer_while_peers_come_and_go(kind, workers):
    sources = ["tests/native/frames_crew.c", *native_build.core_sources()]
    result = _run([_program("frames_crew", sources, kind), workers, 3000, workers])
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_thread_sanitizer_sees_a_race():
    result = _run([_program("race", ["tests/native/race.c"])])
    assert result.returncode != 0
    assert "data race" in result.stderr
