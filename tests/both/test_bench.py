# SPDX-License-Identifier: MIT
"""`tunlite bench` as a whole: a tunnel through this machine's loopback, on both interpreters."""

import json
import os
import subprocess
import sys

import pytest

from devtools import cross


def _cpython():
    return [sys.executable, "-m", "tunlite"]


def _executable():
    return [str(cross.build("x86_64"))]


@pytest.mark.parametrize("command", [_cpython, _executable], ids=["CPython", "executable"])
@pytest.mark.timeout(600)
def test_every_size_goes_through_the_tunnel(command):
    argv = [*command(), "bench", "--json", "--seconds", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [row["size"] for row in found["tunnel"]] == [64, 512, 1420]
    for row in found["tunnel"]:
        assert row["packets_s"] > 0 and row["cpu_ns"] > 0
        assert row["kbit_s"] == row["packets_s"] * row["size"] * 8 // 1000
    sealed = {(row["aead"], row["size"]) for row in found["seal"]}
    assert {(found["aead"], size) for size in (64, 512, 1420)} <= sealed
    assert found["kernel"] and found["engine"] == "mmsg"


def test_without_a_loopback_interface_it_says_what_to_do():
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *as_root, "--net", *_cpython(), "bench"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "ip link set lo up" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "1000", ""])
def test_a_time_out_of_bounds_is_refused(seconds):
    argv = [*_cpython(), "bench", f"--seconds={seconds}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--seconds takes 1 to 999" in done.stderr
