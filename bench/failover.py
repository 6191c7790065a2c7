# SPDX-License-Identifier: MIT
"""How long nothing is answered when a gateway dies, and when one or the uplink is back.

Each run is a router and its gateways on namespaces of their own (lab/star.py) and one scenario
(deaths.py). Runs mostly wait, so several go at a time.
"""

import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import deaths
from bench.contenders import static_command
from bench.rivals import FastdGroup, PeerSelector, TunliteGroup
from lab.name_server import NameServer
from lab.netns import Lab
from lab.pinger import Pinger
from lab.star import COMMON4, COMMON6, Star
from lab.topology import endpoint

_OUT = Path("build/failover.json")


def _group(seconds):
    return {"Choose": "order", "FailAfter": seconds}


def contenders(runs, slow_runs):
    """{name: contender}: the static executable where it is built, and the others."""
    command = static_command()
    rows = [
        TunliteGroup(
            f"FailAfter = {seconds}", runs, command, ProbeAddress=COMMON6, **_group(seconds)
        )
        for seconds in (3, 1)
    ]
    rows.append(TunliteGroup("no ProbeAddress", runs, command, ProbeAddress=None, **_group(5)))
    return {row.name: row for row in [*rows, FastdGroup(slow_runs), PeerSelector(slow_runs)]}


def _in(lab, contender, name):
    scenario = deaths.SCENARIOS[name]
    star = Star(lab, scenario.spots)
    outside = {f"gw{i}.test": spot.far.v4 for i, spot in enumerate(star.spots, start=1)}
    server = NameServer(lab, star.router, outside)
    hosts, prefix = outside.values(), ()
    if scenario.by_name:
        hosts, prefix = outside, server.prefix
    contender.start(star, [endpoint(host) for host in hosts], prefix)
    pinger = Pinger(star.router, COMMON4, deaths.PING_S)
    run = deaths.Run(star, pinger, server, contender.data, contender.patience_s)
    try:
        return deaths.happen(run, name)
    finally:
        pinger.stop()


def _one(contender, scenario):
    """Seconds; None where nothing was answered in the contender's time; a str tells a failure."""
    with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
        lab = Lab(folder)
        try:
            found = _in(lab, contender, scenario)
        except (AssertionError, RuntimeError, OSError) as e:
            found = f"failed: {e!r}\n{lab.logs()}"
        finally:
            lab.close()
    print(f"  {contender.name}, {scenario}: {found}", file=sys.stderr, flush=True)
    return found


def measure(rows, lanes):
    """{contender: {scenario: [what each run found]}}; the contenders take turns."""
    jobs = [
        (contender, scenario)
        for number in range(max(row.runs for row in rows))
        for scenario in deaths.SCENARIOS
        for contender in rows
        if number < contender.runs
    ]
    found = {row.name: {} for row in rows}
    with ThreadPoolExecutor(lanes) as pool:
        for (contender, scenario), one in zip(
            jobs, pool.map(lambda job: _one(*job), jobs), strict=True
        ):
            found[contender.name].setdefault(scenario, []).append(one)
    return found


def cell(values, patience_s):
    """Median and worst of a scenario's runs; those that never came back are the worst."""
    seconds = sorted(patience_s if one is None else one for one in values if not _failed(one))
    if not seconds:
        return "failed" if values else "-"
    ends = [statistics.median(seconds), seconds[-1]]
    return " / ".join(f"{end:.2f}" if end < patience_s else f"over {patience_s}" for end in ends)


def _failed(one):
    return isinstance(one, str)


def print_table(rows, found):
    """A line for each scenario; rows are contenders."""
    width = max(map(len, deaths.SCENARIOS))
    print(" " * width + "".join(f"{row.name:>24}" for row in rows))
    for name in deaths.SCENARIOS:
        cells = [cell(found[row.name].get(name, []), row.patience_s) for row in rows]
        print(f"{name:{width}}" + "".join(f"{text:>24}" for text in cells))
    print("median / worst, in seconds; how many:", {row.name: row.runs for row in rows})


def write(found, path):
    """What was found, and where, as JSON."""
    facts = {
        "date": datetime.date.today().isoformat(),
        "command": "./dev " + " ".join(sys.argv[1:]),
        "cpus": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
        "kernel": platform.release(),
        "ping_interval_s": deaths.PING_S,
        "away_s": deaths.AWAY_S,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"facts": facts, "seconds": found}, indent=1), encoding="utf-8")


def main(runs, slow_runs, lanes, only=""):
    """Measures, prints and writes build/failover.json; whether no run failed."""
    rows = contenders(runs, slow_runs)
    wanted = [name.strip() for name in only.split(";")] if only else list(rows)
    if unknown := set(wanted) - set(rows):
        sys.exit(f"no contender {'; '.join(sorted(unknown))}; there are {'; '.join(rows)}")
    rows = [rows[name] for name in wanted]
    found = measure(rows, lanes)
    print_table(rows, found)
    write(found, _OUT)
    return not any(_failed(one) for row in found.values() for v in row.values() for one in v)
