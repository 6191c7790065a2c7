# SPDX-License-Identifier: MIT
"""`invoke bench`: what tunlite is worth beside its peers, measured in one run."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from invoke import task

from devtools import apt

_PACKAGES = ["wireguard-go", "wireguard-tools", "fastd", "tinc", "iperf3", "iputils-ping"]


@task(
    help={
        "rounds": "alternating rounds (default 5)",
        "seconds": "length of each TCP and UDP measurement (default 4)",
        "peer": "another wireguard-go binary to compare with",
        "quick": "only one TCP flow, tunlite and wireguard-go",
        "crypto": "instead: every AEAD beside libsodium and OpenSSL, 64 to 16384 bytes",
        "mips-crypto": "instead: instructions per byte on mips32r2, counted under qemu-user",
        "mips": "instead: beside kernel WireGuard, fastd and tinc on an emulated instruction clock",
        "batch": "with --mips: more rows of tunlite, one for each of these batch sizes (1,4,8)",
    }
)
def bench(
    _,
    rounds=5,
    seconds=4,
    peer=None,
    quick=False,
    crypto=False,
    mips_crypto=False,
    mips=False,
    batch="",
):
    """tunlite beside wireguard-go, fastd and tinc: a table, build/bench.json, build/bench.png."""
    if mips or batch:
        from qemu import mips_bench

        return mips_bench.main(batch)
    if crypto or mips_crypto:
        from devtools import bench_crypto

        options = ["--mips-crypto"] if mips_crypto else ["--rounds", str(rounds)]
        sys.exit(bench_crypto.main(options))
    from bench import report, side_by_side

    apt.need(_PACKAGES + ["iproute2"])
    if not importlib.util.find_spec("matplotlib"):
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-e", ".[bench]"], check=True)
    done = side_by_side.run(int(rounds), int(seconds), peer, quick)
    build = Path("build")
    build.mkdir(exist_ok=True)
    report.write_json(done, side_by_side.facts(peer), build / "bench.json")
    report.draw(done, build / "bench.png")
    print("\nwritten: build/bench.json build/bench.png")
