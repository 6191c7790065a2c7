# SPDX-License-Identifier: MIT
"""The packet path without a kernel, by bench/pipeline.c: ns a packet and Gbit/s, in and out."""

import statistics
import subprocess

from bench import builds

SIZES = ("64", "1420", "super")
AEADS = ("auto", "null")  # `auto` is what the shipped build would choose


def parse(line):
    """{name: int or str} of a line of name=value."""
    pairs = (word.split("=", 1) for word in line.split())
    return {name: int(value) if value.isdigit() else value for name, value in pairs}


def figures(lines):
    """Of several lines for one row: medians, and the spread of both times together."""
    rows = [parse(line) for line in lines]
    for row in rows:
        if row["arrived"] != row["packets"]:
            raise RuntimeError(f"packets were lost in memory: {row}")
    found = {"bytes": rows[0]["bytes"], "aead": rows[0]["aead"]}
    for way in ("tx", "rx"):
        ns = [row[f"{way}_ps"] / 1000 for row in rows]
        found[f"{way}_ns"] = statistics.median(ns)
        found[f"{way}_gbit_s"] = rows[0]["bytes"] * 8 / found[f"{way}_ns"]
        found[f"{way}_spread"] = (max(ns) - min(ns)) / found[f"{way}_ns"]
    return found


def _chosen():
    """The AEAD that this machine's tunlite chooses; the bench's own build would choose `null`."""
    from tunlite.cli import probe

    return probe.collect()["aead"]


def measure(rounds=5, ms=200):
    """{row: figures}; rows are named "64, avx2" and the like. They take turns."""
    program = builds.pipeline()
    aeads = [_chosen() if name == "auto" else name for name in AEADS]
    lines = {}
    for _ in range(rounds):
        for size in SIZES:
            for aead in aeads:
                argv = [program, aead, size, str(ms)]
                done = subprocess.run(argv, capture_output=True, text=True, check=True)
                lines.setdefault((size, aead), []).append(done.stdout)
    return {f"{size}, {aead}": figures(found) for (size, aead), found in lines.items()}


def print_table(rows):
    """One line for each row."""
    print("\nwithout a kernel (bench/pipeline.c): ns of CPU a packet, Gbit/s of one core")
    print(f"  {'':24}{'tx ns':>9}{'Gbit/s':>9}{'rx ns':>9}{'Gbit/s':>9}{'spread':>9}")
    for name, row in rows.items():
        times = "".join(f"{row[f'{w}_ns']:9.0f}{row[f'{w}_gbit_s']:9.1f}" for w in ("tx", "rx"))
        print(f"  {name:24}{times}{max(row['tx_spread'], row['rx_spread']):9.2f}")
