# SPDX-License-Identifier: MIT
"""Tunnels side by side on an instruction clock: one emulated 24K guest, 4 ns an instruction.

QEMU's `-icount` makes guest time a count of instructions: two runs print the same numbers, whatever
else the host does. It is a model without caches and without memory cost, not a router: it compares
instruction counts, and it always likes larger batches than a router's data cache does.
"""

import hashlib
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from machine.debs import DebsError
from qemu import boot, kernels, targets
from qemu.initramfs import Initramfs
from qemu.router_test import DIST, ROOT, RouterTestError, test_keys
from qemu.userland import add_busybox, sysroot

ICOUNT = ("-icount", "shift=2,sleep=off", "-seed", "1", "-rtc", "base=2024-01-01,clock=vm")
# QEMU 7.2's MIPS timer, on this clock, may be armed for the very moment at which it goes off, and
# then goes off for ever: seen behind 37 s of guest time, also with no tunnel at all. (QEMU 8 arms
# it for the next turn of its counter.) So no boot runs as long; one that falls silent is told.
_BOOT_S = 36
_SILENCE_S = 300
INSTRUCTIONS_PER_SECOND = 250_000_000
# The TCP payload of a full packet: MTU 1420 less IPv4, TCP and the time stamp option.
SEGMENT = 1368
ROWS = (
    *("veth", "kernel", "fastd-salsa2012"),  # one boot with tunlite
    *("tunlite", "tunlite-to-kernel", "kernel-to-tunlite"),
    *("fastd-null", "tinc", "kernel-to-tunlite-peers-200", "tunlite-rekey"),
)
REKEY = "tunlite-rekey"
LABELS = {
    "veth": "bare veth (no tunnel)",
    "kernel": "kernel WireGuard",
    "fastd-null": "fastd null (no crypto)",
    "fastd-salsa2012": "fastd salsa2012+umac",
    "tinc": "tinc",
    "tunlite": "tunlite",
    "tunlite-to-kernel": "tunlite to kernel WireGuard",
    "kernel-to-tunlite": "kernel WireGuard to tunlite",
    "kernel-to-tunlite-peers-200": "  of 200 peers",
    "tunlite-rekey": "tunlite, a new key each 5 s",
}
_PROGRAMS = {
    "iperf3": "usr/bin/iperf3",
    "ip": "bin/ip",
    "wg": "usr/bin/wg",
    "fastd": "usr/bin/fastd",
    "tincd": "usr/sbin/tincd",
}


@dataclass(frozen=True)
class Options:
    """`batches` adds one row of tunlite for each fixed batch size."""

    rows: tuple[str, ...] = ROWS
    batches: tuple[int, ...] = ()
    seconds: int = 5
    limit_s: float = 900
    program: Path | None = None


def _prime(rng: random.Random, bits: int) -> int:
    while True:
        n = rng.getrandbits(bits) | (3 << (bits - 2)) | 1
        if all(n % p for p in (3, 5, 7, 11, 13, 17, 65537)) and pow(2, n - 1, n) == 1:
            return n


def _rsa_pair(seed: int) -> tuple[bytes, bytes]:
    """A throwaway RSA key for tinc, the same in every run so that the numbers are, too."""
    rng = random.Random(seed)
    p, q = _prime(rng, 1024), _prime(rng, 1024)
    e, phi = 65537, (p - 1) * (q - 1)
    d = pow(e, -1, phi)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )
    key = numbers.private_key()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.PKCS1
    )
    return private, public


def _rows(options: Options) -> list[str]:
    return [*options.rows, *(f"tunlite-batch-{n}" for n in options.batches)]


def _boots(options: Options) -> list[list[str]]:
    """The rows of each boot, in their order."""
    boots, left = [], 0.0
    for row in _rows(options):
        # The set-up takes about 2 s of guest time, with 200 peers 10.
        takes = options.seconds * (4 if row == REKEY else 1) + (10 if "peers-" in row else 2)
        if takes > left:
            boots.append([])
            left = _BOOT_S - 2
        boots[-1].append(row)
        left -= takes
    return boots


def tools_image(
    target: targets.Target, kernel: boot.Kernel, rows: list[str], seconds: int
) -> Initramfs:
    """A guest with the tools that benches on this clock compare and measure by, and two keys."""
    params = {"TL_ROWS": " ".join(rows), "TL_SECONDS": str(seconds), "TL_WAIT_S": "20"}
    image = boot.base_image(target, kernel, params)
    add_busybox(image, target.deb_arch)
    packages = ["iperf3", "iproute2", "wireguard-tools", "fastd", "tinc"]
    root = sysroot(target.deb_arch, packages)
    for name, path in _PROGRAMS.items():
        image.add_program(f"bin/{name}", root / path, root)
    for script in ("lib.sh", "bench_lib.sh"):
        image.add(f"tl/{script}", (boot.GUEST / script).read_bytes())
    keys = [f"{n} {private} {public}\n" for n, (private, public) in enumerate(test_keys())]
    image.add("tl/keys", "".join(keys), 0o600)
    return image


def add_tunlite(image: Initramfs, arch: str, program: Path | None = None) -> None:
    """Ours, or another one."""
    program = program or DIST / f"tunlite-{arch}"
    if not program.is_file():
        raise RouterTestError(f"no {program}: run `./dev cross-build --arch {arch}` first")
    image.add_program("usr/bin/tunlite", program)


def _image(
    target: targets.Target, kernel: boot.Kernel, options: Options, rows: list[str]
) -> Initramfs:
    image = tools_image(target, kernel, rows, options.seconds)
    if any("tunlite" in row for row in rows):
        add_tunlite(image, "mipsel", options.program)
    image.add("tl/main.sh", (boot.GUEST / "bench.sh").read_bytes())
    if "tinc" in rows:
        for seed, side in enumerate(("near", "far"), start=1):
            private, public = _rsa_pair(seed)
            image.add(f"tl/tinc/{side}.key", private, 0o600)
            image.add(f"tl/tinc/{side}.pub", public)
    return image


def on_clock(
    target: targets.Target, kernel: boot.Kernel, image: Initramfs, limit_s: float, say
) -> boot.Result:
    """One boot by the instruction clock; RouterTestError with its console if a row failed."""
    clock = [*ICOUNT, "-nic", "none"]
    result = boot.boot(target, kernel, image, limit_s, clock, [], say, _SILENCE_S)
    if not result.ended or result.failed:
        raise RouterTestError("\n".join([*result.console[-60:], result.why_not_ok()]))
    return result


def router() -> tuple[targets.Target, boot.Kernel]:
    """The emulated router and its kernel."""
    target = replace(targets.load("mipsel"), memory_mb=128, append="nowait", reboots=True)
    return target, boot.Kernel(kernels.build("malta-bench"), None, "malta-bench (6.1)")


def _row(name: str, values: dict[str, float]) -> dict:
    """Figures of one row: Mbit/s of TCP payload, instructions per full packet, kB of one daemon."""
    got = {key.split(":")[1]: n for key, n in values.items() if key.split(":")[0] == name}
    packets = got["bytes"] / SEGMENT
    busy_s = got["seconds"] - got["idle_ticks"] / 100
    return {
        "name": name,
        "mbit_s": round(got["bytes"] * 8 / got["seconds"] / 1e6, 2),
        "instructions_per_packet": round(busy_s * INSTRUCTIONS_PER_SECOND / packets),
        "peak_kb": int(got["peak_kb"]) if "peak_kb" in got else None,
        "first_ping_ms": got["first_ping_ms"],
        "bytes": int(got["bytes"]),
        "seconds": got["seconds"],
        "busy_s": round(busy_s, 2),
    }


def _stays(console: list[str]) -> dict[str, dict]:
    """By row: what an X25519 takes, and the longest time between two packet turns of each daemon.

    Of it, `spent_us` is the daemon's own CPU time: here the other end, iperf3 and the kernel's work
    for them run on the same CPU in between, which on a router they do not.
    """
    rows = {}
    for name, text in boot.documents(console, "json").items():
        (row, who), told = name.split(":"), json.loads(text)
        found = rows.setdefault(row, {})
        if who == "probe":
            found["x25519_us"] = told["x25519_us"]
            continue
        found[who] = {
            "completed": sum(peer["handshakes"]["completed"] for peer in told["peers"]),
            "longest_ms": told["counters"]["away_longest_ms"],
            "longest_spent_us": told["counters"]["away_spent_longest_us"],
        }
    return rows


def mips_bench(options: Options = Options(), say=print) -> dict:
    """Run the bench; {"rows", "kernel", "stays", "values_sha256"}, a dict per row that ran."""
    target, kernel = router()
    values, passed, console = {}, [], []
    for rows in _boots(options):
        image = _image(target, kernel, options, rows)
        result = on_clock(target, kernel, image, options.limit_s, say)
        values |= result.values
        passed += result.passed
        console += result.console
    rows = [_row(name, values) for name in _rows(options) if name in passed]
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return {
        "what": "TCP over one emulated 24K CPU, 4 ns an instruction, both tunnel ends in one guest",
        "kernel": kernel.name,
        "seconds": options.seconds,
        "rows": rows,
        "stays": _stays(console),
        "values_sha256": digest,
    }


def _stay(end: dict) -> str:
    return (
        f"{end['completed']} handshakes, at most {end['longest_spent_us'] / 1000:.2f} ms of its own"
        f" work between two packet turns ({end['longest_ms']} ms by the clock)"
    )


def table(report: dict) -> str:
    """The report as text: one line per row, with ratios to kernel WireGuard."""
    kernel = next((r["mbit_s"] for r in report["rows"] if r["name"] == "kernel"), None)
    lines = [
        f"{'':28}{'Mbit/s':>9}{'x kernel':>10}{'instr/packet':>14}{'1st ping ms':>13}{'peak kB':>9}"
    ]
    for row in report["rows"]:
        ratio = f"{row['mbit_s'] / kernel:.2f}" if kernel else ""
        label = LABELS.get(row["name"], row["name"])
        memory = row["peak_kb"] or ""
        lines.append(
            f"{label:28}{row['mbit_s']:>9.1f}{ratio:>10}"
            f"{row['instructions_per_packet']:>14}{row['first_ping_ms']:>13.1f}{memory:>9}"
        )
    for row, found in report["stays"].items():
        label = LABELS.get(row, row).strip()
        lines.append(f"{label}, where an X25519 takes {found['x25519_us'] / 1000:.2f} ms:")
        lines += [f"  {side}: {_stay(found[side])}" for side in ("near", "far") if side in found]
    return "\n".join(lines)


def written(name: str, measure: Callable[[Callable[[str], None]], dict]) -> tuple[dict, Path]:
    """measure(say)'s report, and build/NAME.json, which has it now; what cannot be measured ends
    the program with its reason."""
    try:
        report = measure(lambda line: print(line, file=sys.stderr, flush=True))
    except (DebsError, kernels.KernelError, RouterTestError) as e:
        sys.exit(str(e))
    path = ROOT / "build" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    return report, path


def main(batch: str = "", seconds: int = 5, rows: str = "") -> None:
    """What `invoke bench-mips` does: the table, and the report in build/bench-mips.json.

    `batch` is a list such as "1,4,8": a row of tunlite for each of these batch sizes.
    """
    defaults = Options()
    options = Options(
        rows=tuple(rows.split(",")) if rows else defaults.rows,
        batches=tuple(int(n) for n in batch.split(",")) if batch else (),
        seconds=seconds,
    )
    report, path = written("bench-mips", lambda say: mips_bench(options, say))
    print(table(report))
    print(f"\nA model that counts instructions, without caches: not a router. Written: {path}")


if __name__ == "__main__":
    main(rows=",".join(sys.argv[1:]))
