# SPDX-License-Identifier: MIT
"""`invoke bench`: what tunlite is worth beside its peers, measured in one run."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from invoke import task

from devtools import tasks_cross
from machine import apt, debs, toolchain

_PACKAGES = [
    *("wireguard-tools", "fastd", "tinc", "iperf3", "iputils-ping", "iproute2", "nftables"),
    *("linux-perf", "strace"),
]
_BUILD = Path("build")


@task(
    help={
        "rounds": "alternating rounds (default 3, the fewest that allow a conclusion)",
        "seconds": "length of each TCP and UDP measurement (default 1)",
        "peer": "another wireguard-go binary to compare with",
        "quick": "only one TCP flow on a plain cable, tunlite and wireguard-go",
        "only": "contenders, by name and separated by commas; wireguard-go is always there",
        "places": "plain, realistic or both (default: plain,realistic)",
        "tcp": "congestion control of the TCP flows (default: cubic, else reno)",
        "crypto": "instead: every AEAD beside libsodium and OpenSSL, 64 to 16384 bytes",
        "mips-crypto": "instead: instructions per byte on mips32r2, counted under qemu-user",
        "mips": "instead: beside kernel WireGuard, fastd and tinc on an emulated instruction clock",
        "batch": "with --mips: more rows of tunlite, one for each of these batch sizes (1,4,8)",
        "memory-only": "instead: the packet path without a kernel, with and without encryption",
        "sizing": "instead: what a gateway needs for 0, 100 and 1000 peers, and their handshakes",
        "workers": "instead: a gateway of one worker beside one of two",
        "routes": "instead: what 1,000 route changes a second cost a gateway",
        "prefixes": "instead: 130,560 allowed IPs of one peer: set, asked for, checked",
        "vxlan": "instead: the kernel's vxlan over the tunnel, with and without checksums",
    }
)
def bench(
    _,
    rounds=3,
    seconds=1,
    peer=None,
    quick=False,
    only="",
    places="plain,realistic",
    tcp="",
    crypto=False,
    mips_crypto=False,
    mips=False,
    batch="",
    memory_only=False,
    sizing=False,
    workers=False,
    routes=False,
    prefixes=False,
    vxlan=False,
):
    """tunlite beside wireguard-go, fastd and tinc: a table, build/bench.json, build/bench-*.png."""
    if mips or batch:
        from qemu import mips_bench

        _up_to_date("mipsel")
        return mips_bench.main(batch)
    if crypto or mips_crypto:
        from bench import crypto as bench_crypto

        options = ["--mips-crypto"] if mips_crypto else ["--rounds", str(max(5, rounds))]
        sys.exit(bench_crypto.main(options))
    if memory_only:
        from bench import memory_only

        return memory_only.print_table(memory_only.measure(max(5, rounds)))
    apt.need(_PACKAGES)
    if workers:
        from bench import workers as several

        return several.main(int(rounds), int(seconds))
    if routes:
        from bench import route_changes

        return route_changes.main(10)
    if prefixes:
        from bench import prefixes as wide

        return wide.main()
    if vxlan:
        from bench import vxlan as over

        return over.main(int(rounds), int(seconds), tcp)
    if sizing:
        from bench import sizing

        return sizing.main()
    if not importlib.util.find_spec("matplotlib"):
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-e", ".[bench]"], check=True)
    _side_by_side(rounds, seconds, peer, quick, only, places, tcp)


def _up_to_date(arch):
    """dist/tunlite-ARCH is what the sources make today: else an older one would be measured."""
    try:
        tasks_cross.build(arch)
    except toolchain.ToolchainError as e:
        sys.exit(str(e))


def _side_by_side(rounds, seconds, peer, quick, names, places, tcp):
    from bench import contenders, measures, memory_only, report, side_by_side
    from bench.places import PLACES

    if contenders.static_command():
        _up_to_date("x86_64")
    try:
        peer = peer or contenders.newest_wireguard_go()
        rows = side_by_side.choose(peer, quick)
        rows = side_by_side.only(rows, names) if names else rows
        wanted = ["plain"] if quick else places.split(",")
        control = measures.congestion_control(tcp)
        grounds = [PLACES[name] for name in wanted]
    except (debs.DebsError, ValueError) as e:
        sys.exit(str(e))
    except KeyError as e:
        sys.exit(f"--places {e.args[0]} is none of {', '.join(PLACES)}")
    count_by = side_by_side.counting()
    facts = side_by_side.facts(peer, count_by, control)
    side_by_side.print_facts(facts)
    chosen = measures.quick_measures if quick else measures.all_measures
    found = {}
    for place in grounds:
        # Counting calls once is enough: they are the tunnel's, not the cable's.
        way = count_by if place.name == "plain" else None
        found[place.name] = side_by_side.run(
            rows, place, rounds, lambda link, way=way: chosen(link, seconds, control, way)
        )
    in_memory = {} if quick else memory_only.measure()
    if in_memory:
        memory_only.print_table(in_memory)
    _BUILD.mkdir(exist_ok=True)
    report.write_json(found, in_memory, facts, _BUILD / "bench.json")
    for name, done in found.items():
        report.draw(name, done, _BUILD / f"bench-{name}.png")
    print("\nwritten: build/bench.json", *(f"build/bench-{name}.png" for name in found))
    failed = {name for done in found.values() for name in side_by_side.failures(done)}
    if failed:
        sys.exit(f"failed in at least one round: {', '.join(sorted(failed))}")
