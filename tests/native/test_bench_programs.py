# SPDX-License-Identifier: MIT
"""The bench's own programs lose no packet in memory, and no cipher that does nothing ships."""

import subprocess
import sys

import pytest

from bench import builds, calls, memory_only
from machine import native_build
from tests.native.plane_ffi import lib, names


@pytest.mark.parametrize("size", memory_only.SIZES)
@pytest.mark.parametrize("aead", ["null", "portable"])
def test_every_packet_comes_through_the_pipeline(size, aead):
    done = subprocess.run([builds.pipeline(), aead, size, "20"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    row = memory_only.parse(done.stdout)
    assert row["aead"] == aead and row["arrived"] == row["packets"] > 0
    assert row["tx_ps"] > 0 and row["rx_ps"] > 0


def test_the_files_that_a_packet_passes_are_named_in_its_order():
    passed = calls.passed()
    out = ["turn/turn.c", "path/tx.c", "inside/vnet.c", "path/layer3.c", "crypto"]
    assert [file for file in passed["turn_out"] if file in out] == out
    back = ["turn/turn.c", "path/rx.c", "outside/io_mmsg.c", "crypto", "inside/vnet.c"]
    assert [file for file in passed["turn_in"] if file in back] == back
    assert not [file for files in passed.values() for file in files if file[-2:] == ".h"]


def _aeads(command):
    names = "print(*features.names(port.native))"
    code = f"from tunlite.plane import features; from tunlite.system import port; {names}"
    argv = [*command[:-2], "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def test_the_cipher_that_does_nothing_is_in_no_build_but_the_benchs():
    assert "null" in _aeads(builds.null_tunlite())
    assert "null" not in _aeads([sys.executable, "-m", "tunlite"])
    assert "null" not in names(lib.TL_SEEN_FEATURE_NAMES)
    assert b"aead_null" not in native_build.EXTENSION.read_bytes()
    sources = set(native_build.core_sources()) | set(native_build.build_ffi().sources())
    assert not [source for source in sources if "null" in source]


def test_a_configuration_cannot_ask_for_it(tmp_path):
    path = tmp_path / "wide.conf"
    path.write_text("[Interface]\nPrivateKey = " + "A" * 42 + "E=\nAEAD = null\n", encoding="ascii")
    path.chmod(0o600)
    argv = [sys.executable, "-m", "tunlite", "check", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 1 and "AEAD" in done.stderr
