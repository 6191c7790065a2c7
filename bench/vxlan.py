# SPDX-License-Identifier: MIT
"""VXLAN over the tunnel, as mesh networks use one: the kernel's vxlan on tunlite's device.

left ==w1== right        both ends, their vxlans and iperf3 share this machine's cores
"""

import statistics
import tempfile

from bench import measures
from bench.contenders import Link
from lab.netns import Lab
from lab.peers import Tunlite
from lab.topology import Iperf3, endpoint

NO_CHECKSUM = {4: ["noudpcsum"], 6: ["udp6zerocsumtx", "udp6zerocsumrx"]}
_CHECKSUM = {4: ["udpcsum"], 6: ["noudp6zerocsumtx", "noudp6zerocsumrx"]}
_ROWS = {  # family inside the tunnel, the vxlan's checksums, what tunlite leaves off
    "IPv4, no checksum": (4, NO_CHECKSUM, None),
    "IPv4, checksum": (4, _CHECKSUM, None),
    "IPv4, no checksum, tun_uso off": (4, NO_CHECKSUM, "tun_uso"),
    "IPv6, no checksum": (6, NO_CHECKSUM, None),
    "IPv6, checksum": (6, _CHECKSUM, None),
}


def _vxlan(end, other, family, words):
    """A vxlan from `end` to `other`, by their addresses inside the tunnel; its own address."""
    here, there = (e.v4 if family == 4 else e.v6 for e in (end, other))
    ways = ["local", here, "remote", there, "dstport", 4789, *words[family]]
    end.namespace.ip("link", "add", "vx0", "type", "vxlan", "id", 7, *ways)
    end.namespace.ip("addr", "add", f"10.88.0.{end.number}/24", "dev", "vx0")
    end.namespace.ip("link", "set", "vx0", "mtu", 1370 if family == 4 else 1350, "up")
    return f"10.88.0.{end.number}"


def lay(lab, family, words, off=None):
    """The tunnel with a vxlan in it, up: a Link, and its receiving end."""
    options = {"Offloads": off} if off else {}
    left, right = (Tunlite(lab.namespace(n), i, **options) for i, n in ((1, "left"), (2, "right")))
    far = lab.wire(left.namespace, right.namespace)[1]
    left.add_peer(right, endpoint(far.v4))
    right.add_peer(left)
    right.start()
    left.start()
    _vxlan(left, right, family, words)
    address = _vxlan(right, left, family, words)
    daemons = {"sender": left.pids(), "receiver": right.pids()}
    return Link(left.namespace, right.namespace, address, daemons), right


def _measure(row, seconds, control):
    """Figures of one TCP flow; beside them writes to the receiver's device for each packet."""
    with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
        lab = Lab(folder)
        try:
            link, right = lay(lab, *row)
            link.wait_up()
            server, before = Iperf3(link.target, link.address), right.show_json()["counters"]
            found = measures.tcp(link, server, seconds, control)
            now = right.show_json()["counters"]
        finally:
            lab.close()
    packets, calls = (now[key] - before[key] for key in ("device_written", "write_calls"))
    return found["mbit_s"], found["cpu_s_per_gb"], calls / packets


def main(rounds, seconds, control=""):
    """Alternating rounds, and a table of medians."""
    control = measures.congestion_control(control)
    found = {name: [] for name in _ROWS}
    for number in range(rounds):
        for name in list(_ROWS)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(_measure(_ROWS[name], seconds, control))
    print(f"\nVXLAN over the tunnel, one TCP flow ({control}), medians of {rounds} rounds")
    print(f"  {'':32}{'Mbit/s':>9}{'CPU s/GB':>10}{'writes a packet':>17}")
    for name, rows in found.items():
        speed, cpu, writes = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"  {name:32}{speed:9.0f}{cpu:10.2f}{writes:17.3f}")
