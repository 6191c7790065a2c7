# SPDX-License-Identifier: MIT
"""The instruction clock: the same numbers in every run, and numbers that are known."""

import pytest

from devtools import cross
from qemu import mips_bench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_two_runs_print_the_same_numbers():
    cross.build("mipsel")
    options = mips_bench.Options(rows=("kernel", "tunlite"), seconds=2)
    first, second = mips_bench.mips_bench(options), mips_bench.mips_bench(options)
    assert first["rows"] == second["rows"]
    assert first["values_sha256"] == second["values_sha256"]


def test_the_peers_have_their_known_speeds():
    rows = ("veth", "kernel", "fastd-salsa2012")
    report = mips_bench.mips_bench(mips_bench.Options(rows=rows))
    speeds = {row["name"]: row["mbit_s"] for row in report["rows"]}
    assert speeds["veth"] == pytest.approx(1130, rel=0.03)
    assert speeds["kernel"] == pytest.approx(22.4, rel=0.03)
    assert speeds["fastd-salsa2012"] == pytest.approx(17.0, rel=0.03)


def test_a_mips_router_is_faster_than_its_kernel_and_shakes_hands_quickly():
    cross.build("mipsel")
    rows = ("kernel", "tunlite", "tunlite-to-kernel")
    report = mips_bench.mips_bench(mips_bench.Options(rows=rows))
    kernel, tunlite, mixed = report["rows"]
    assert tunlite["mbit_s"] >= 1.1 * kernel["mbit_s"]
    # Our half of a handshake, the kernel's half and the ping itself, in guest time.
    assert mixed["first_ping_ms"] < 150


def is_one_x25519(stays, side):
    """Whether the daemon's longest stay between two packet turns had an X25519 and nothing else.

    A stay counts from turn to turn, the X25519 from call to return: the rest is a few lines and the
    kernel's timer ticks, 0.5 % in all when this was written.
    """
    return stays[side]["longest_spent_us"] <= 1.02 * stays["x25519_us"]


def test_no_rekey_and_no_garbage_keeps_packets_waiting_longer_than_one_x25519():
    cross.build("mipsel")
    report = mips_bench.mips_bench(mips_bench.Options(rows=(mips_bench.REKEY,)))
    found = report["stays"][mips_bench.REKEY]
    for side in ("near", "far"):
        assert found[side]["completed"] >= 4
        assert is_one_x25519(found, side), found


def test_two_hundred_peers_cost_packets_nothing():
    cross.build("mipsel")
    rows = ("kernel-to-tunlite", "kernel-to-tunlite-peers-200")
    report = mips_bench.mips_bench(mips_bench.Options(rows=rows))
    few, many = report["rows"]
    assert many["mbit_s"] >= 0.97 * few["mbit_s"]
    assert is_one_x25519(report["stays"][rows[1]], "far"), report["stays"]
