# SPDX-License-Identifier: MIT
"""What a routing daemon beside a gateway costs it: 1,000 route changes a second, for some seconds.

Half of the changes add a route and half take it away, paced over each second. `far`: no endpoint
of a peer lies behind them. `over all`: the default route is among them, so that every second all
endpoints are asked about.
"""

import tempfile
import time

from bench.contenders import static_command
from lab.netns import Lab
from lab.peers import Keys, Tunlite
from tunlite.system import cpython_links

PEERS = (1000,)
_A_SECOND = 1000
_STEP = 10  # changes at once


def _gateway(lab, command, count):
    space, other = lab.namespace("gateway"), lab.namespace("other")
    gate = lab.wire(space, other)[1].v4
    space.ip("route", "add", "default", "via", gate)
    gateway = Tunlite(space, 1)
    if command:
        gateway.command = command
    for number in range(count):
        key = Keys().public
        gateway.peers[key] = {
            "PublicKey": key,
            "AllowedIPs": f"10.78.{number >> 8}.{number & 255}/32",
            "Endpoint": f"10.201.{number >> 8}.{number & 255}:51820",
        }
    return gateway.start()


def _change(seconds, over_all):
    """Changes routes from inside a namespace; how many it were."""
    links = cpython_links.new()
    done, begun = 0, time.monotonic()
    while time.monotonic() - begun < seconds:
        for _ in range(_STEP):
            number = done // 2 % 250
            prefix = (4, bytes([10, 202, number, 0]), 24)
            if over_all and number == 0:
                prefix = (4, bytes([10, 200, 0, 0]), 14)
            (links.route_del if done % 2 else links.route_add)("w1", prefix, 0)
            done += 1
        time.sleep(max(0, begun + done / _A_SECOND - time.monotonic()))
    links.close()
    return done


def _one(command, count, seconds):
    """[% of a core: without changes, far, over all], and changes a second."""
    with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
        lab = Lab(folder)
        try:
            gateway = _gateway(lab, command, count)
            time.sleep(2)
            row = []
            for over_all in (None, False, True):
                before, begun = gateway.cpu_seconds(), time.monotonic()
                if over_all is None:
                    time.sleep(seconds)
                else:
                    rate = gateway.namespace.inside(_change, seconds, over_all) / seconds
                spent = gateway.cpu_seconds() - before
                row.append(100 * spent / (time.monotonic() - begun))
            return row, rate
        finally:
            lab.close()


def main(seconds):
    """Measures and prints."""
    commands = {"tunlite": None}
    if static_command():
        commands["tunlite static"] = static_command()
    print(
        f"{'% of a core':16}{'peers':>7}{'no change':>11}{'far':>8}{'over all':>10}{'a second':>10}"
    )
    for name, command in commands.items():
        for count in PEERS:
            (idle, far, over), rate = _one(command, count, seconds)
            print(f"{name:16}{count:7}{idle:11.2f}{far:8.2f}{over:10.2f}{rate:10.0f}", flush=True)
