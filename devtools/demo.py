# SPDX-License-Identifier: MIT
"""Two tunlite daemons in two network namespaces, a tunnel between them, and what it does.

router ==veth== gateway
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from devtools.progress import Progress
from lab import netns
from lab.topology import BackgroundTransfer, Tunnel, ping, wait_for
from machine import rootless

_STEPS = [
    ("namespaces", 0.3),
    ("daemons", 1.0),
    ("handshake", 0.3),
    ("ping4", 0.5),
    ("ping6", 0.5),
    ("tcp", 5.0),
    ("figures", 0.5),
]
_MB = 1_000_000


class DemoError(Exception):
    """The tunnel did not do what the demo shows; the text says what."""


def _start(lab, progress):
    progress.step("namespaces", "two namespaces joined by a veth pair, keys")
    tunnel = Tunnel(lab)
    progress.step("daemons", "a tunlite daemon in each")
    begun = time.monotonic()
    tunnel.start()
    return tunnel, round((time.monotonic() - begun) * 1000)


def _handshake(tunnel, progress):
    """The first ping makes the router shake hands: how long until both ends agree, in ms."""
    progress.step("handshake", "the handshake")
    begun = time.monotonic()
    first = ping(tunnel.router.namespace, tunnel.gateway.v4, count=1, wait=5)
    if not first.received:
        raise DemoError("no answer to the first ping")
    waited = round((time.monotonic() - begun) * 1000, 1)
    wait_for(
        lambda: tunnel.gateway.peer_json(tunnel.router)["latest_handshake"],
        5,
        "the gateway counts the handshake",
    )
    row = tunnel.router.peer_json(tunnel.gateway)
    return {
        "router_public_key": tunnel.router.keys.public,
        "gateway_public_key": tunnel.gateway.keys.public,
        "endpoint": row["endpoint"],
        "latest_handshake": row["latest_handshake"],
        "first_answer_ms": waited,
    }


def _ping(tunnel, address, progress, family):
    progress.step(f"ping{family}", f"ping on IPv{family}")
    result = ping(tunnel.router.namespace, address, count=10, interval=0.02)
    if result.lost or not result.sent:
        raise DemoError(f"ping on IPv{family}: {result}")
    times = sorted(result.times_ms.values())
    return {
        "sent": result.sent,
        "received": result.received,
        "min_ms": times[0],
        "median_ms": times[len(times) // 2],
        "max_ms": times[-1],
    }


def _tcp(tunnel, size, progress):
    """A transfer from router to gateway, and the CPU seconds that each daemon spent on it."""
    progress.step("tcp", f"TCP, {size // _MB} MB")
    ends = (tunnel.router, tunnel.gateway)
    before = [end.cpu_seconds() for end in ends]
    transfer = BackgroundTransfer(
        tunnel.router.namespace, tunnel.gateway.namespace, tunnel.gateway.v4, size
    )
    while transfer.is_running():
        progress.advance(transfer.received() / size)
        time.sleep(0.05)
    done = transfer.finish()
    spent = [end.cpu_seconds() - was for end, was in zip(ends, before, strict=True)]
    if not done.is_intact or done.bytes != size:
        raise DemoError(f"sent {done.sent_sha256}, received {done.received_sha256}")
    return spent, {
        "bytes": done.bytes,
        "seconds": round(done.seconds, 3),
        "mbit_s": round(done.mbit_s, 1),
        "sha256_sent": done.sent_sha256,
        "sha256_received": done.received_sha256,
        "equal": done.is_intact,
    }


def _end_figures(end, cpu_seconds, size):
    show = end.show_json()
    return {
        "engine": show["engine"],
        "aead": show["aead"],
        "offloads": [row["name"] for row in show["offloads"] if row["on"]],
        "cpu_seconds": round(cpu_seconds, 2),
        "cpu_seconds_per_gb": round(cpu_seconds / size * 1e9, 2),
        "memory_kb": end.memory_all_kb(),
        "memory_largest_kb": end.memory_kb("VmRSS"),
        "memory_peak_kb": end.memory_kb("VmHWM"),
        "drops": {reason: n for reason, n in show["drops"].items() if n},
    }


def run(lab, size, progress):
    """The whole demo; everything it found out, as a dict."""
    tunnel, start_ms = _start(lab, progress)
    figures = {"start_ms": start_ms, "handshake": _handshake(tunnel, progress)}
    figures["ping"] = {
        "ipv4": _ping(tunnel, tunnel.gateway.v4, progress, 4),
        "ipv6": _ping(tunnel, tunnel.gateway.v6, progress, 6),
    }
    spent, figures["tcp"] = _tcp(tunnel, size, progress)
    progress.step("figures", "figures")
    ends = {"router": tunnel.router, "gateway": tunnel.gateway}
    figures["ends"] = {
        name: _end_figures(end, seconds, size)
        for (name, end), seconds in zip(ends.items(), spent, strict=True)
    }
    figures["cpu_seconds_per_gb"] = round(sum(spent) / size * 1e9, 2)
    return figures


def _row(name, *values):
    return f"  {name:<26}" + "".join(f"{value:>20}" for value in values)


def _drop_rows(router, gateway):
    """A row for each reason that either end has; one row when nothing was dropped."""
    reasons = sorted({*router["drops"], *gateway["drops"]})
    if not reasons:
        return [_row("dropped packets", 0, 0)]
    drops = [end["drops"] for end in (router, gateway)]
    return [_row(f"dropped: {name}", *(d.get(name, 0) for d in drops)) for name in reasons]


def table(figures):
    """The figures for people."""
    hello, tcp = figures["handshake"], figures["tcp"]
    router, gateway = (figures["ends"][name] for name in ("router", "gateway"))
    lines = [
        f"router  {hello['router_public_key']}",
        f"gateway {hello['gateway_public_key']} at {hello['endpoint']}",
        f"handshake and first answer after {hello['first_answer_ms']} ms",
    ]
    for family, row in figures["ping"].items():
        name = family.replace("ip", "IP")
        counts = f"{row['received']} of {row['sent']} answered"
        lines.append(f"ping on {name}: {counts}, median {row['median_ms']} ms")
    lines += [
        f"TCP: {tcp['bytes'] // _MB} MB in {tcp['seconds']} s, SHA-256 equal at both ends",
        f"     {tcp['sha256_received']}",
        "",
        _row("", "router (sends)", "gateway (receives)"),
        _row("throughput", f"{tcp['mbit_s']:.0f} Mbit/s", f"{tcp['mbit_s']:.0f} Mbit/s"),
        _row("CPU seconds per GB", router["cpu_seconds_per_gb"], gateway["cpu_seconds_per_gb"]),
        _row("resident memory", *(f"{e['memory_kb'] / 1024:.1f} MiB" for e in (router, gateway))),
        _row("I/O engine", router["engine"], gateway["engine"]),
        _row("AEAD", router["aead"], gateway["aead"]),
        *_drop_rows(router, gateway),
    ]
    return "\n".join(lines)


def _interrupted(signum, frame):
    raise KeyboardInterrupt


def main():
    """The command line: exit status 0 when everything it shows is true, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--megabytes", type=int, default=300)
    arguments = parser.parse_args()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupted)
    rootless.enter()
    progress = Progress(_STEPS)
    with tempfile.TemporaryDirectory(prefix="tunlite-demo-") as folder:
        lab = netns.Lab(Path(folder))
        try:
            figures = run(lab, arguments.megabytes * _MB, progress)
        except KeyboardInterrupt:
            progress.close()
            print("interrupted; cleaning up", file=sys.stderr)
            sys.exit(130)
        except (DemoError, AssertionError, RuntimeError) as e:
            progress.close()
            sys.exit(f"the demo failed: {e}\n{lab.logs()}")
        finally:
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)  # cleaning up is not interrupted again
            lab.close()
    progress.close()
    print(json.dumps(figures, indent=2) if arguments.json else table(figures))


if __name__ == "__main__":
    main()
