# SPDX-License-Identifier: MIT
"""The run of `invoke bench`: contenders in alternating rounds, on each place in turn."""

import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import builds, contenders, report, syscalls
from lab.netns import Lab


def choose(peer, quick):
    """The contenders of a run; `peer` is a wireguard-go binary."""
    rows = [contenders.tunlite()]
    static = contenders.static_command()
    if static:
        rows.append(contenders.tunlite("tunlite static", static))
    rows.append(contenders.wireguard_go(peer))
    if not quick:
        rows += [
            contenders.tunlite("tunlite null crypto", builds.null_tunlite(), AEAD="null"),
            contenders.Fastd("null"),
            contenders.Fastd("salsa2012+umac"),
            contenders.Tinc(),
            contenders.BareWire(),
        ]
    return rows


def only(rows, names):
    """Those of these names, the yardstick among them; ValueError says which there are."""
    wanted = [name.strip() for name in names.split(",")] + [report.YARDSTICK]
    unknown = set(wanted) - {row.name for row in rows}
    if unknown:
        known = ", ".join(row.name for row in rows)
        raise ValueError(f"no contender {', '.join(sorted(unknown))}; there are {known}")
    return [row for row in rows if row.name in wanted]


def facts(peer, count_by, control):
    """What the figures belong to."""
    model = next(
        (
            row.split(":", 1)[1].strip()
            for row in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if row.startswith("model name")
        ),
        platform.machine(),
    )
    version = subprocess.run([peer, "--version"], capture_output=True, text=True)
    return {
        "date": datetime.date.today().isoformat(),
        "command": "invoke " + " ".join(sys.argv[1:]),
        "cpu": model,
        "cpus": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
        "kernel": platform.release(),
        "congestion_control": control,
        "system_calls_counted_by": count_by,
        "wireguard_go_program": peer,
        "wireguard_go_says": (version.stdout or version.stderr).splitlines()[0],
    }


def print_facts(found):
    """One line for each."""
    for name, value in found.items():
        print(f"{name.replace('_', ' ')}: {value}")


def counting():
    """How system calls can be counted on this machine."""
    with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
        lab = Lab(folder)
        try:
            return syscalls.way(lab.namespace("counting"))
        finally:
            lab.close()


def _on(lab, contender, place, measure):
    laid = place.lay(lab)
    link = contender.start(laid)
    link.wait_up()
    results = measure(link)
    relayed = laid.relayed()
    return {**results, "relay": relayed} if relayed else results


def one_round(rows, place, measure):
    """Each contender once, on namespaces of its own; {} for one that failed, and its logs."""
    results = {}
    for contender in rows:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
            lab = Lab(folder)
            try:
                results[contender.name] = _on(lab, contender, place, measure)
                said = ""
            except (AssertionError, RuntimeError, OSError, KeyError, ValueError) as e:
                results[contender.name] = {}
                said = f" FAILED: {e!r}\n{lab.logs()}"
            finally:
                lab.close()
        took = time.monotonic() - begun
        print(f"  {contender.name}: {took:.0f} s{said}", file=sys.stderr, flush=True)
    return results


def failures(rounds):
    """Names of contenders that failed in one round or more."""
    return sorted({name for one in rounds for name, row in one.items() if not row})


def run(rows, place, rounds, measure):
    """All rounds on one place; the order of the contenders turns around from round to round."""
    rows = [row for row in rows if row.name not in place.without]
    done = []
    for number in range(rounds):
        print(f"{place.name}, round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        order = rows if number % 2 == 0 else rows[::-1]
        results = one_round(order, place, measure)
        done.append({row.name: results[row.name] for row in rows})
    report.print_table(place.name, done)
    return done
