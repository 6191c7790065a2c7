# SPDX-License-Identifier: MIT
"""The run of `invoke bench`: contenders in alternating rounds between two namespaces."""

import datetime
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import contenders, measures, report
from tests.net.netns import Lab


def choose(peer, quick):
    """The contenders of a run; `peer` is another wireguard-go binary or None."""
    rows = [contenders.tunlite()]
    static = contenders.static_command()
    if static:
        rows.append(contenders.tunlite("tunlite static", static))
    rows.append(contenders.wireguard_go(peer or "wireguard-go"))
    if not quick:
        rows += [
            contenders.Fastd("null"),
            contenders.Fastd("salsa2012+umac"),
            contenders.Tinc(),
            contenders.BareWire(),
        ]
    return rows


def facts(peer):
    """What the figures belong to."""
    model = next(
        (
            row.split(":", 1)[1].strip()
            for row in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if row.startswith("model name")
        ),
        platform.machine(),
    )
    version = subprocess.run([peer or "wireguard-go", "--version"], capture_output=True, text=True)
    return {
        "date": datetime.date.today().isoformat(),
        "command": "invoke " + " ".join(sys.argv[1:]),
        "cpu": model,
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "congestion_control": measures.congestion_control(),
        "wireguard_go": (version.stdout or version.stderr).splitlines()[0],
    }


def one_round(rows, measure, seconds):
    """Each contender once, on namespaces of its own."""
    results = {}
    for contender in rows:
        print(f"  {contender.name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
            lab = Lab(folder)
            try:
                link = contender.start(lab)
                link.wait_up()
                results[contender.name] = measure(link, seconds)
            finally:
                lab.close()
    return results


def run(rounds, seconds, peer=None, quick=False):
    """All rounds; the order of the contenders turns around from round to round."""
    rows = choose(peer, quick)
    measure = measures.quick_measures if quick else measures.all_measures
    done = []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        order = rows if number % 2 == 0 else rows[::-1]
        results = one_round(order, measure, seconds)
        done.append({row.name: results[row.name] for row in rows})
    report.print_table(done)
    return done
