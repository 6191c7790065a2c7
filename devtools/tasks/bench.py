# SPDX-License-Identifier: MIT
"""The benches as tasks: `bench` beside other tunnels, the others of one thing each."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from invoke import task

from devtools import cross
from machine import apt, debs, toolchain

_PACKAGES = [
    *("wireguard-tools", "fastd", "tinc", "iperf3", "iputils-ping", "iproute2", "nftables"),
    *("linux-perf", "strace"),
]
_BUILD = Path("build")


# Flags of `bench` until 0.1.0, and the task that each became.
_TASKS = {
    "crypto": "bench-crypto",
    "mips_crypto": "bench-crypto --mips",
    "mips": "bench-mips",
    "batch": "bench-mips --batch",
    "memory_only": "bench-memory",
    "sizing": "bench-sizing",
    "workers": "bench-workers",
}


@task(
    help={
        "rounds": "alternating rounds (default 3, the fewest that allow a conclusion)",
        "seconds": "length of each TCP and UDP measurement (default 1)",
        "peer": "another wireguard-go binary to compare with",
        "quick": "only one TCP flow on a plain cable, tunlite and wireguard-go",
        "only": "contenders, by name and separated by commas; wireguard-go is always there",
        "places": "plain, realistic or both (default: plain,realistic)",
        "tcp": "congestion control of the TCP flows (default: cubic, else reno)",
        "layer2": "Ethernet instead: a TCP flow on the TAP, and a broadcast to 100 peers",
        **{flag: f"now: ./dev {name}" for flag, name in _TASKS.items()},
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
    layer2=False,
    crypto=False,
    mips_crypto=False,
    mips=False,
    batch="",
    memory_only=False,
    sizing=False,
    workers=False,
):
    """tunlite beside wireguard-go, fastd and tinc: a table, build/bench.json, build/bench-*.png."""
    moved = {name: value for name, value in locals().items() if name in _TASKS and value}
    if moved:
        flags = ", ".join("--" + name.replace("_", "-") for name in moved)
        sys.exit(f"{flags}: now ./dev {', ./dev '.join(_TASKS[name] for name in moved)}")
    apt.need(_PACKAGES)
    if layer2:
        _ethernet(rounds, seconds, peer, tcp)
        return
    if not importlib.util.find_spec("matplotlib"):
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-e", ".[bench]"], check=True)
    _side_by_side(rounds, seconds, peer, quick, only, places, tcp)


@task(
    help={
        "rounds": "of which the median is taken (default 5)",
        "mips": "instructions per byte on mips32r2 instead, counted under qemu-user",
    }
)
def bench_crypto(_, rounds=5, mips=False):
    """Every AEAD beside libsodium and OpenSSL, 64 to 16384 bytes."""
    from bench import crypto

    sys.exit(crypto.main(["--mips-crypto"] if mips else ["--rounds", str(rounds)]))


@task(
    help={
        "batch": "more rows of tunlite, one for each of these batch sizes (1,4,8)",
        "layer2": "Ethernet with batman-adv on top instead",
        "only": "with --layer2: ratios of rows with this in their names (off, vxlan, :cut)",
    }
)
def bench_mips(_, batch="", layer2=False, only=""):
    """Beside kernel WireGuard, fastd and tinc on an emulated router, by an instruction clock."""
    from qemu import ether_bench, mips_bench

    _up_to_date("mipsel")
    if layer2:
        ether_bench.main(only)
    else:
        mips_bench.main(batch)


@task(help={"rounds": "of which the median is taken (default 5)"})
def bench_memory(_, rounds=5):
    """The packet path without a kernel, with and without encryption."""
    from bench import memory_only

    memory_only.print_table(memory_only.measure(rounds))


@task
def bench_calls(_):
    """The files that a packet passes, out and in."""
    from bench import calls

    calls.main()


@task
def bench_sizing(_):
    """What a gateway needs for 0, 100 and 1000 peers, 10,000 files, strangers, handshakes."""
    from bench import members, sizing

    apt.need(_PACKAGES)
    sizing.main()
    members.main()


@task(help={"rounds": "alternating rounds (default 3)", "seconds": "of each (default 1)"})
def bench_workers(_, rounds=3, seconds=1):
    """A gateway of one worker beside one of two."""
    from bench import workers

    apt.need(_PACKAGES)
    workers.main(rounds, seconds)


@task(help={"seconds": "of each storm; looks at all endpoints may be 45 s apart (default 120)"})
def bench_routes(_, seconds=120):
    """What 1,000 route changes a second cost a gateway."""
    from bench import route_changes

    apt.need(_PACKAGES)
    route_changes.main(seconds)


@task(
    help={
        "runs": "of each scenario (default 20)",
        "slow_runs": "of those who wait for minutes (default 2)",
        "lanes": "runs at a time: they mostly wait (default 4)",
        "only": "contenders, by name and separated by semicolons",
        "mips": "the router is an emulated MIPS machine instead",
    }
)
def bench_failover(_, runs=20, slow_runs=2, lanes=4, only="", mips=False):
    """How soon a router is back when its gateway dies: tunlite, fastd, wgpeerselector's rule."""
    apt.need(_PACKAGES)
    if mips:
        from qemu import failover as guest

        _up_to_date("mipsel")
        guest.main(runs)
        return
    from bench import contenders, failover

    if contenders.static_command():
        _up_to_date("x86_64")
    if not failover.main(runs, slow_runs, lanes, only):
        sys.exit("a run failed")


@task
def bench_prefixes(_):
    """130,560 allowed IPs of one peer: set, asked for, checked."""
    from bench import prefixes

    apt.need(_PACKAGES)
    prefixes.main()


@task(
    help={
        "rounds": "alternating rounds (default 3)",
        "seconds": "of each (default 1)",
        "tcp": "congestion control (default: cubic, else reno)",
    }
)
def bench_vxlan(_, rounds=3, seconds=1, tcp=""):
    """The kernel's vxlan over the tunnel, with and without checksums."""
    from bench import vxlan

    apt.need(_PACKAGES)
    vxlan.main(rounds, seconds, tcp)


def _up_to_date(arch):
    """dist/tunlite-ARCH is what the sources make today: else an older one would be measured."""
    try:
        cross.build(arch)
    except toolchain.ToolchainError as e:
        sys.exit(str(e))


def _ethernet(rounds, seconds, peer, tcp):
    from bench import contenders, ether, measures, side_by_side

    _up_to_date("x86_64")
    try:
        peer = peer or contenders.newest_wireguard_go()
        control = measures.congestion_control(tcp)
    except (debs.DebsError, ValueError) as e:
        sys.exit(str(e))
    side_by_side.print_facts(side_by_side.facts(peer, "nothing", control))
    done = ether.side_by_side_table(peer, rounds, seconds, control)
    ether.broadcast_table(rounds)
    if side_by_side.failures(done):
        sys.exit("a contender failed")


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
