# SPDX-License-Identifier: MIT
"""How soon an emulated MIPS router is back when its gateway dies: the scenarios of bench/deaths.py,
with the router in a guest and the pings from a host behind it.

    gateways == way ==w9== host (sends the pings) ==tap0== guest, the router
"""

import socket
import sys
import tempfile
from pathlib import Path

from bench import deaths, failover
from lab import members
from lab.netns import Lab, wait_for
from lab.peers import Tunlite
from lab.pinger import Pinger
from lab.star import COMMON4, ROUTER, Star
from qemu import boot, targets
from qemu.router_test import DIST
from qemu.userland import add_userland

_ARCH = "mipsel"
_HOST, _GUEST, _OUTSIDE = "10.66.0.1", "10.66.0.2", "10.66.0.0/24"
_BEHIND = "10.67.0.1"  # whence the pings come: of the host that is behind the router
_PORT = 9000
_BOOT_S = 300
_SPOTS = 3
_DATA = 4  # the first byte of what carries packets
_PATIENCE_S = 60


class Guest:
    """The emulated router; its console goes to the lab's logs."""

    def __init__(self, star):
        self._host = star.router
        for words in (
            ("tuntap", "add", "dev", "tap0", "mode", "tap"),
            ("addr", "add", _HOST + "/24", "dev", "tap0"),
            ("addr", "add", _BEHIND + "/32", "dev", "tap0"),
            ("link", "set", "tap0", "up"),
            ("route", "add", "10.77.0.0/16", "via", _GUEST, "src", _BEHIND),
        ):
            self._host.ip(*words)
        self._host.sysctl("net/ipv4/ip_forward", 1)
        star.way.ip("route", "add", _OUTSIDE, "via", star.home.v4)
        initrd = star.lab.folder / "initrd.gz"
        initrd.write_bytes(_image().pack())
        target = targets.load(_ARCH)
        nic = ["-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"]
        nic += ["-device", f"{target.nic},netdev=n0"]
        argv = boot.command(target, boot.kernel_of(target), initrd, nic)
        self._host.start(argv, "guest").wait_line("TL: ok ready", _BOOT_S)

    def runs(self, text):
        """From now on tunlite runs there by this configuration."""

        def tell():
            with socket.create_connection((_GUEST, _PORT), 10) as connection:
                connection.sendall(text.encode())

        wait_for(lambda: self._is_told(tell), 20, "the guest takes a configuration")

    def _is_told(self, tell):
        try:
            self._host.inside(tell)
        except OSError:  # it is about to listen again
            return False
        return True


def _image():
    target = targets.load(_ARCH)
    image = boot.base_image(target, boot.kernel_of(target), {})
    add_userland(image, target)
    image.add_program("usr/bin/tunlite", DIST / f"tunlite-{_ARCH}")
    image.add("tl/main.sh", (boot.GUEST / "failover.sh").read_bytes())
    return image


def _router(star, fail_after):
    """The router's daemon as a configuration; the gateways know the host behind it too."""
    inside = {"Address": f"10.77.0.{ROUTER}/16", "StateDir": "/tmp/state"}
    router = Tunlite(star.router, ROUTER, **inside)
    members.join(star, router, Choose="order", FailAfter=fail_after, ProbeAddress=COMMON4)
    for spot in star.spots:
        spot.daemon.peers[router.keys.public]["AllowedIPs"] += f", {_BEHIND}/32"
        spot.daemon.interface["Table"] = None  # it routes to them all
    return router


def _heal(star):
    """Every gateway is there again."""
    for spot in star.spots:
        spot.clear()
        spot.mend()
        if spot.daemon.process and spot.daemon.process.is_running():
            spot.thaw()
        else:
            spot.daemon.start()


def _one(star, guest, router, name):
    _heal(star)
    guest.runs(router.config_text())
    pinger = Pinger(star.router, COMMON4, deaths.PING_S)
    try:
        return deaths.happen(deaths.Run(star, pinger, None, _DATA, _PATIENCE_S), name)
    finally:
        pinger.stop()


class _Row:
    """One FailAfter, as a contender of the table."""

    patience_s = _PATIENCE_S

    def __init__(self, fail_after, runs):
        self.name = f"FailAfter = {fail_after}"
        self.runs = runs
        self._fail_after = fail_after

    def measure(self):
        """{scenario: [seconds of each run]}, in one boot."""
        with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
            lab = Lab(folder)
            try:
                star = Star(lab, _SPOTS)
                return self._measure(star, Guest(star))
            except AssertionError:
                print(lab.logs(), file=sys.stderr)
                raise
            finally:
                lab.close()

    def _measure(self, star, guest):
        router = _router(star, self._fail_after)
        found = {name: [] for name, row in deaths.SCENARIOS.items() if not row.by_name}
        for _ in range(self.runs):
            for name, values in found.items():
                values.append(_one(star, guest, router, name))
                print(f"  {self.name}, {name}: {values[-1]}", file=sys.stderr, flush=True)
        return found


def main(runs):
    """Measures, prints and writes build/failover-mips.json."""
    rows = [_Row(seconds, runs) for seconds in (3, 1)]
    found = {row.name: row.measure() for row in rows}
    failover.print_table(rows, found)
    failover.write(found, Path("build/failover-mips.json"))
