# SPDX-License-Identifier: MIT
"""What peers cost a gateway that are no part of its file: those of a folder, strangers that a
command let in, and strangers that wait for it.

    strangers, each with an address of its own ==w1== gateway
"""

import tempfile
import time
from pathlib import Path

from bench.contenders import static_command
from bench.sizing import start_crowd
from lab import proc
from lab.netns import Lab, wait_for
from lab.peers import Keys, Tunlite, tunlite_command

FILES = 10_000
ADMITTED = 1000
PARKED = 64  # the most
_FIRST = 8  # strangers: what the daemon makes once is no stranger's
_VERIFY = """#!/bin/sh
test -e "{wait}" && sleep 9 && exit 1
echo "AllowedIPs = 10.78.${{PEER_ADDRESS#10.98.}}"
"""


def _status(pid, row):
    return proc.row(f"/proc/{pid}/status", row)


def _daemon(gateway):
    """The one of its processes that is confined."""
    parent = _status(gateway.process.pid, "CapEff")
    return next(pid for pid in gateway.pids() if _status(pid, "CapEff") != parent)


def _memory_kb(gateway):
    return int(_status(_daemon(gateway), "VmRSS"))


# ---- a folder's files ----


def _fill(folder, count):
    folder.mkdir()
    for number in range(count):
        path = folder / f"r{number}"
        path.touch(mode=0o600)
        allowed = f"10.{80 + (number >> 16)}.{number >> 8 & 255}.{number & 255}/32"
        path.write_text(f"[Peer]\nPublicKey = {Keys().public}\nAllowedIPs = {allowed}\n")


def _loaded(lab, command, count):
    """Of a gateway with so many files, once they are read: (s of the wall, CPU s of the daemon, of
    its root processes, the daemon's memory in kB)."""
    folder = lab.folder / f"peers{count}"
    _fill(folder, count)
    gateway = Tunlite(lab.namespace(f"gateway{count}"), 1, Peers=folder)
    gateway.command = command
    gateway.start()
    begun = time.monotonic()
    kept = Path(f"/run/tunlite/{gateway.name}.folder")
    wait_for(kept.exists, 300, "the folder is read")
    wall = time.monotonic() - begun
    daemon = proc.cpu_seconds(_daemon(gateway))
    found = wall, daemon, gateway.cpu_seconds() - daemon, _memory_kb(gateway)
    rows = len(gateway.wg("show", gateway.name, "peers").split())
    if rows != count:
        raise RuntimeError(f"{rows} peers of {count} files:\n{gateway.process.log()[-500:]}")
    gateway.stop()
    return found


def _files(lab, command):
    none, all_of_them = _loaded(lab, command, 0), _loaded(lab, command, FILES)
    daemon, root = (all_of_them[i] - none[i] for i in (1, 2))
    print(
        f"{FILES:,} files: {all_of_them[0]:.1f} s; CPU {daemon:.1f} s daemon, {root:.1f} s runner"
    )
    print(f"a folder's peer: {1024 * (all_of_them[3] - none[3]) / FILES:.0f} bytes")


# ---- strangers ----


class _Strangers:
    """They come from 10.98.0.0/16, never two from one address."""

    def __init__(self, lab, command):
        self.left, right = lab.namespace("strangers"), lab.namespace("gateway")
        home, self.address = (end.v4 for end in lab.wire(self.left, right))
        self.left.ip("route", "add", "local", "10.98.0.0/16", "dev", "lo")
        right.ip("route", "add", "10.98.0.0/16", "via", home)
        verify = lab.folder / "verify"
        self.wait = lab.folder / "wait"
        verify.write_text(_VERIFY.format(wait=self.wait), encoding="ascii")
        verify.chmod(0o700)
        self.gateway = Tunlite(right, 1, OnVerify=verify)
        self.gateway.command = command
        self.gateway.start()
        self._next = 1

    def come(self, count):
        numbers = range(self._next, self._next + count)
        self._next += count
        lines = [f"{Keys().private} 10.98.{n >> 8}.{n & 255}" for n in numbers]
        return start_crowd(self.left, self.gateway, self.address, lines)

    def come_in(self, count):
        self.come(count).wait(300)

    def parked(self):
        return self.gateway.show_json()["admission"]["parked"]


def _strangers(lab, command):
    strangers = _Strangers(lab, command)
    strangers.come_in(_FIRST)
    strangers.parked()
    before = _memory_kb(strangers.gateway)
    strangers.wait.touch()
    waiting = strangers.come(PARKED)
    wait_for(lambda: strangers.parked() == PARKED, 30, "all wait for the command")
    parked = _memory_kb(strangers.gateway)
    waiting.stop()
    strangers.wait.unlink()
    wait_for(lambda: strangers.parked() == 0, 60, "nobody waits")
    begun = _memory_kb(strangers.gateway)
    strangers.come_in(ADMITTED)
    admitted = _memory_kb(strangers.gateway)
    print(f"{PARKED} parked strangers: {1024 * (parked - before) / PARKED:.0f} bytes each")
    print(
        f"one that was let in: {1024 * (admitted - begun) / ADMITTED:.0f} bytes, session included"
    )


def main():
    """Measures and prints."""
    commands = {"tunlite": tunlite_command()}
    if static_command():
        commands["tunlite static"] = [*static_command(), "--heap", "64M"]
    for name, command in commands.items():
        print(f"{name}:")
        for measure in (_files, _strangers):
            with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
                lab = Lab(folder)
                try:
                    measure(lab, command)
                finally:
                    lab.close()
