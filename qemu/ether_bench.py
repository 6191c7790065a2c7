# SPDX-License-Identifier: MIT
"""Ethernet over tunnels side by side on the instruction clock, batman-adv on top of each.

How frames reach the receiver changes how often TCP acknowledges, which flatters some tunnels. So
each flows twice, as it likes and with an acknowledgement for each read, and what a segment
costs at HALF acknowledgements a segment is on the line through both.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from qemu import boot
from qemu.mips_bench import (
    INSTRUCTIONS_PER_SECOND,
    add_tunlite,
    on_clock,
    router,
    tools_image,
    written,
)

HALF = 0.5
# Two runs whose acknowledgements differ by less say nothing about what one costs.
_APART = 0.05
# As many rows as fit into what a boot may last (mips_bench).
_ROWS_A_BOOT = 2


@dataclass(frozen=True)
class Pair:
    """One figure: a row of ours by another, in the same run. Rows are told in guest/ether.sh."""

    what: str
    ours: str
    theirs: str
    goal: str = ""


PAIRS = (
    Pair("encrypted, by kernel WireGuard + vxlan", "bat:on", "bat:kernel", "1.55 (1.40)"),
    Pair("  on a wire that cuts runs", "bat:on:cut", "bat:kernel:cut"),
    Pair("encrypted, by fastd salsa2012+umac", "bat:on", "bat:fastd-salsa2012", "1.5 (1.35)"),
    Pair("authentic, by fastd null", "bat:authentic", "bat:fastd-null", "1.25 (1.15)"),
    Pair("off, by fastd null", "bat:off", "bat:fastd-null", "1.75 (1.6)"),
    Pair("off, by fastd's L2TP offload", "bat:off", "bat:l2tp", "0.9"),
    Pair("parts by batman-adv's fragments: on", "parts:on", "fragments:on", "1.08"),
    Pair("  authentic", "parts:authentic", "fragments:authentic", "1.2"),
    Pair("  off", "parts:off", "fragments:off", "1.3"),
    Pair(
        "vxlan in the daemon, by the kernel's on tunlite",
        "bat:vxlan-inside",
        "bat:vxlan-on-tunlite",
        "1.12 (1.05)",
    ),
)


def rows_of(pairs: tuple[Pair, ...]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(row for pair in pairs for row in (pair.ours, pair.theirs)))


@dataclass(frozen=True)
class Run:
    """One flow: seconds of CPU and acknowledgements, for each TCP segment of `payload` bytes."""

    cost_s: float
    acks: float
    payload: float

    @classmethod
    def of(cls, values: dict[str, float], name: str) -> "Run":
        """From what the guest said of ROW/plain or ROW/quickack."""
        got = {key.split(":")[-1]: n for key, n in values.items() if key.startswith(f"{name}:")}
        segments = got["segments"]
        busy_s = got["seconds"] - got["idle_ticks"] / 100
        return cls(busy_s / segments, got["acks"] / segments, got["bytes"] / segments)


def at_half(one: Run, other: Run) -> float:
    """What a segment costs, in seconds, at HALF acknowledgements a segment."""
    apart = other.acks - one.acks
    if abs(apart) < _APART:
        return (one.cost_s + other.cost_s) / 2
    return one.cost_s + (other.cost_s - one.cost_s) / apart * (HALF - one.acks)


def row(values: dict[str, float], name: str) -> dict:
    """Figures of one row."""
    plain, quick = (Run.of(values, f"{name}/{how}") for how in ("plain", "quickack"))
    cost_s = at_half(plain, quick)
    return {
        "name": name,
        "mbit_s": round(plain.payload * 8 / cost_s / 1e6, 2),
        "instructions_per_segment": round(cost_s * INSTRUCTIONS_PER_SECOND),
        "plain": [round(plain.payload * 8 / plain.cost_s / 1e6, 2), round(plain.acks, 2)],
        "quickack": [round(quick.payload * 8 / quick.cost_s / 1e6, 2), round(quick.acks, 2)],
        "segment": round(plain.payload),
        "peak_kb": values.get(f"{name}/plain:peak_kb"),
    }


def ether_bench(
    pairs: tuple[Pair, ...] = PAIRS, seconds: int = 4, program: Path | None = None, say=print
) -> dict:
    """{"rows": a dict a row, "pairs": [(what, ratio, goal)]}."""
    target, kernel = router()
    rows, values = rows_of(pairs), {}
    for first in range(0, len(rows), _ROWS_A_BOOT):
        image = tools_image(target, kernel, rows[first : first + _ROWS_A_BOOT], seconds)
        add_tunlite(image, "mipsel", program)
        image.add("tl/main.sh", (boot.GUEST / "ether.sh").read_bytes())
        values |= on_clock(target, kernel, image, 900, say).values
    found = {name: row(values, name) for name in rows}
    return {
        "what": "TCP through batman-adv over one emulated 24K CPU, 4 ns an instruction",
        "kernel": kernel.name,
        "seconds": seconds,
        "rows": list(found.values()),
        "pairs": [
            (pair.what, found[pair.ours]["mbit_s"] / found[pair.theirs]["mbit_s"], pair.goal)
            for pair in pairs
        ],
    }


def table(report: dict) -> str:
    """The report as text."""
    lines = [f"{'':28}{'Mbit/s':>8}{'instr/segment':>15}{'as it likes':>18}{'quickack':>18}"]
    for one in report["rows"]:
        runs = [f"{speed} ({acks})" for speed, acks in (one["plain"], one["quickack"])]
        lines.append(
            f"{one['name']:28}{one['mbit_s']:>8.2f}{one['instructions_per_segment']:>15}"
            f"{runs[0]:>18}{runs[1]:>18}"
        )
    lines.append(f"\n{'':50}{'ratio':>8}   goal (never below)")
    lines += [f"{what:50}{ratio:>8.3f}   {goal}" for what, ratio, goal in report["pairs"]]
    return "\n".join(lines)


def main(only: str = "", seconds: int = 4) -> None:
    """What `./dev bench-mips --layer2` does; `only`: pairs by a piece of a row's name."""
    pairs = tuple(p for p in PAIRS if only in p.ours or only in p.theirs)
    report, path = written("bench-mips-layer2", lambda say: ether_bench(pairs, seconds, say=say))
    print(table(report))
    print(f"\nAt {HALF} acknowledgements a segment (in brackets: as they were). Written: {path}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
