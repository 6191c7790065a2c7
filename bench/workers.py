# SPDX-License-Identifier: MIT
"""One worker beside several: a gateway sends to two routers and receives from them, all at once.

router 1 ==w1== gateway ==w2== router 2        both ends and iperf3 share this machine's cores
"""

import os
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor

from lab.netns import Lab
from lab.peers import Tunlite
from lab.topology import Iperf3, endpoint, ping, wait_for

_COUNTS = (1, 2)
_ROUTERS = 2


def _lay(lab, workers):
    """The gateway and its routers, up."""
    gateway = Tunlite(lab.namespace("gateway"), 1, Workers=workers, Engine="mmsg")
    routers = []
    for number in range(1, _ROUTERS + 1):
        namespace = lab.namespace(f"router{number}")
        near, far = lab.wire(namespace, gateway.namespace, number=number)
        router = Tunlite(namespace, 1 + number)
        router.add_peer(gateway, endpoint(far.v4))
        gateway.add_peer(router, endpoint(near.v4))
        routers.append(router)
    for end in [gateway, *routers]:
        end.start()
    for router in routers:
        wait_for(lambda r=router: ping(r.namespace, gateway.v4, count=1).received, 15, "an answer")
    return gateway, routers


def _measure(workers, seconds):
    """Mbit/s of all flows together, and the gateway's CPU seconds for a GB."""
    with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
        lab = Lab(folder)
        try:
            gateway, routers = _lay(lab, workers)
            servers = [Iperf3(router.namespace, router.v4) for router in routers]
            before = gateway.cpu_seconds()
            with ThreadPoolExecutor(_ROUTERS) as pool:
                runs = [
                    pool.submit(server.run, gateway.namespace, "--bidir", seconds=seconds)
                    for server in servers
                ]
                ends = [run.result()["end"] for run in runs]
            spent = gateway.cpu_seconds() - before
        finally:
            lab.close()
    received = [e[key]["bytes"] for e in ends for key in _BOTH]
    return sum(received) * 8 / seconds / 1e6, spent / (sum(received) / 1e9)


_BOTH = ("sum_received", "sum_received_bidir_reverse")


def main(rounds, seconds):
    """Alternating rounds, and a table."""
    found = {count: [] for count in _COUNTS}
    for _ in range(rounds):
        for count in _COUNTS:
            found[count].append(_measure(count, seconds))
    print(f"{os.cpu_count()} cores for the gateway, two routers and iperf3; median (least, most)")
    for count, rows in found.items():
        speeds, costs = zip(*rows, strict=True)
        print(
            f"workers {count}: {_spread(speeds, 0)} Mbit/s, {_spread(costs, 2)} CPU s per GB"
            " at the gateway"
        )


def _spread(numbers, digits):
    middle = statistics.median(numbers)
    return f"{middle:.{digits}f} ({min(numbers):.{digits}f}, {max(numbers):.{digits}f})"
