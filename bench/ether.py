# SPDX-License-Identifier: MIT
"""Ethernet over tunnels: one TCP flow on a TAP beside others, and a broadcast to many peers.

router ==w1== gateway             100 routers, which are daemons of one namespace, ==w1== gateway
"""

import socket
import statistics
import tempfile
import time
from pathlib import Path

from bench import contenders, measures, report, side_by_side
from bench.places import PLACES
from lab.netns import Lab, wait_for
from lab.peers import Tunlite
from lab.topology import endpoint

MTU = 1420  # frames of it fit into each of the tunnels, and are as long in all
OURS = "tunlite"
GOALS = {
    report.YARDSTICK: "2.3 (2.0)",
    "fastd salsa2012+umac": "4.5",
    "fastd null": "3.5",
    "tinc": "6.5",
}
PEERS = 100
A_SECOND = 100
_BROADCAST = "10.77.255.255"
_PORT = 9  # discard


def choose(peer):
    """tunlite's layer 2 by CPython, wireguard-go's layer 3, fastd and tinc with a TAP."""
    return [
        contenders.tunlite(OURS, Layer=2, MTU=MTU),
        contenders.wireguard_go(peer),
        contenders.Fastd("salsa2012+umac", "tap"),
        contenders.Fastd("null", "tap"),
        contenders.Tinc("switch"),
    ]


def ratios(rounds, theirs):
    """Mbit/s of ours by theirs, of each round that has both."""
    flows = ([one[name].get("tcp 1 flow") for name in (OURS, theirs)] for one in rounds)
    return [ours["mbit_s"] / other["mbit_s"] for ours, other in flows if ours and other]


def side_by_side_table(peer, rounds, seconds, control):
    """One TCP flow; prints tables, the rounds."""
    done = side_by_side.run(
        choose(peer),
        PLACES["plain"],
        rounds,
        lambda link: measures.quick_measures(link, seconds, control),
    )
    print(f"\nEthernet on the TAP: {OURS} by each in the same round, median (least to most)")
    for name, goal in GOALS.items():
        found = ratios(done, name)
        if found:
            middle, least, most = statistics.median(found), min(found), max(found)
            print(f"  {name:24}{middle:6.2f} ({least:.2f} to {most:.2f})   goal {goal}")
    return done


class Crowd:
    """A gateway with many routers on layer 2, all of them up; routers are static executables."""

    def __init__(self, lab, count, command=None):
        left, right = lab.namespace("routers"), lab.namespace("gateway")
        address = lab.wire(left, right)[1].v4
        self.gateway = Tunlite(right, 1, Layer=2)
        self.gateway.command = list(command or self.gateway.command)
        self.routers = [self._router(left, 2 + n, address) for n in range(count)]
        self.gateway.start()
        for router in self.routers:
            router.start(ready=False)
        wait_for(self._all_up, 60 + count, "each router has a session")

    def _router(self, namespace, number, address):
        router = Tunlite(namespace, number, 51820 + number, Layer=2, Address=None)
        router.command = contenders.static_command() or router.command
        keepalive = {"Endpoint": endpoint(address), "PersistentKeepalive": 25}
        router.peers[self.gateway.keys.public] = {
            "PublicKey": self.gateway.keys.public,
            **keepalive,
        }
        self.gateway.peers[router.keys.public] = {"PublicKey": router.keys.public}
        return router

    def _all_up(self):
        rows = self.gateway.show_json()["peers"]
        return all(row["rx_bytes"] and row["latest_handshake"] for row in rows)

    def heard(self):
        """Frames that came out of each router's device."""
        listed = self.routers[0].namespace.run(["cat", "/proc/net/dev"]).stdout.splitlines()
        frames = {row.split(":")[0].strip(): int(row.split()[2]) for row in listed[2:]}
        return [frames[router.name] for router in self.routers]

    def broadcast(self, seconds, a_second):
        """Sends datagrams of 100 bytes to all; how many."""
        with self.gateway.namespace.udp_socket(self.gateway.v4) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            begun = time.monotonic()
            for number in range(seconds * a_second):
                time.sleep(max(0, begun + number / a_second - time.monotonic()))
                sender.sendto(bytes(100), (_BROADCAST, _PORT))
        return seconds * a_second


def broadcast(count, seconds, a_second=A_SECOND, command=None):
    """{"core": share of one that the gateway took, "idle": without, "heard": frames at the router
    that got fewest, "sent": frames}."""
    with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
        lab = Lab(Path(folder))
        try:
            crowd = Crowd(lab, count, command)
            start = crowd.gateway.cpu_seconds()
            time.sleep(seconds)
            idle = crowd.gateway.cpu_seconds() - start
            before = crowd.heard()
            sent = crowd.broadcast(seconds, a_second)
            core = crowd.gateway.cpu_seconds() - start - idle
            time.sleep(0.5)
            heard = min(now - then for now, then in zip(crowd.heard(), before, strict=True))
        finally:
            lab.close()
    return {"core": core / seconds, "idle": idle / seconds, "heard": heard, "sent": sent}


def broadcast_table(rounds, seconds=10):
    """Prints it, CPython and the static executable by turns."""
    print(f"\n{A_SECOND} broadcasts a second to {PEERS} peers, % of a core (goal: under 5)")
    for name, command in ((OURS, None), ("static", contenders.static_command())):
        found = [broadcast(PEERS, seconds, command=command) for _ in range(rounds)]
        shares = [100 * one["core"] for one in found]
        least = min(one["heard"] / one["sent"] for one in found)
        print(
            f"  {name:10}{statistics.median(shares):5.2f} ({min(shares):.2f} to {max(shares):.2f}),"
            f" idle {100 * found[0]['idle']:.2f}; the router that heard least had {least:.0%}"
        )
