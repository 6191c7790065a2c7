# SPDX-License-Identifier: MIT
"""A crowd of routers lose their gateway at once, and as many others are at the next one.

routers (each with an address of its own) ==w9== way ==w1== gateway1, ==w2== gateway2: lab/star.py
"""

import json
import sys
import time
from pathlib import Path

import pytest

from lab.peers import Keys, Tunlite
from lab.star import COMMON4, Star
from lab.topology import wait_for

pytestmark = pytest.mark.once

_ROOT = Path(__file__).resolve().parents[2]


def _gateways(star, keys):
    for spot in star.spots:
        spot.daemon = Tunlite(spot.namespace, spot.number)
        for number, key in enumerate(keys):
            section = {"PublicKey": key.public, "AllowedIPs": _inside(number) + "/32"}
            spot.daemon.peers[key.public] = section
        spot.daemon.start()
        spot.namespace.ip("route", "add", "10.78.0.0/16", "dev", spot.daemon.name)


def _inside(number):
    return f"10.78.{number >> 8}.{number & 255}"


def _routers(star, keys):
    """Starts them; outside they live in a whole /16 that is the router's own."""
    star.router.ip("route", "add", "local", "10.98.0.0/16", "dev", "lo")
    star.way.ip("route", "add", "10.98.0.0/16", "via", star.home.v4)
    rows = {
        "gateways": [
            [spot.daemon.keys.public, spot.far.v4, spot.daemon.port] for spot in star.spots
        ],
        "target": COMMON4,
        "routers": [
            [key.private, f"10.98.{n >> 8}.{n & 255}", _inside(n), n % 2]
            for n, key in enumerate(keys)
        ],
    }
    listed = star.lab.folder / "routers.json"
    listed.write_text(json.dumps(rows), encoding="ascii")
    argv = [sys.executable, _ROOT / "lab/routers.py"]
    with open(listed, encoding="ascii") as lines:
        return star.router.start(argv, "routers", stdin=lines, env={"PYTHONPATH": str(_ROOT)})


@pytest.mark.parametrize("each", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_all_of_a_crowd_are_back_in_ten_seconds_and_nobody_else_loses_a_ping(lab, each):
    star = Star(lab)
    keys = [Keys() for _ in range(2 * each)]
    _gateways(star, keys)
    running = _routers(star, keys)
    running.wait_line("all up", timeout=60)
    time.sleep(3)  # of pings that are all answered
    star.spots[0].kill()
    survivor = star.spots[1].daemon

    def all_came():
        rows = survivor.show_json()["peers"]
        return sum(row["handshakes"]["responded"] > 0 for row in rows) == 2 * each

    wait_for(all_came, 30, "every router's handshake")
    time.sleep(3)
    running.stop(timeout=10)
    (lost, stayed) = json.loads(running.log().splitlines()[-1])
    many, moved, widest, _ = lost
    print(f"the longest gap: {widest:.1f} s")
    assert many == moved == each and widest < 10
    assert stayed[:2] == [each, 0] and stayed[3] == 0
