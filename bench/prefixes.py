# SPDX-License-Identifier: MIT
"""How long very many allowed IPs of one peer take: set, asked for, and the file of them checked.

Seconds of CPU and of the wall. The executable for routers has its largest heap.
"""

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.contenders import static_command
from lab import proc
from lab.netns import Lab, wait_for
from lab.peers import Keys, interface_name

COUNT = 130_560


def _prefixes():
    return [f"{10 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/24" for i in range(COUNT)]


def _ask(name, text):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"/var/run/wireguard/{name}.sock")
        client.sendall(text.encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            answer += client.recv(1 << 20)
    if not answer.endswith(b"errno=0\n\n"):
        raise RuntimeError(answer[-40:])


def _daemon(lab, command):
    """{what: (CPU s, wall s)}"""
    name, key = interface_name(), bytes(range(32)).hex()
    process = lab.namespace("host").start([*command, "-f", name], "daemon")
    wait_for(lambda: os.path.exists(f"/var/run/wireguard/{name}.sock"), 10, "it listens")
    lines = [f"allowed_ip={prefix}\n" for prefix in _prefixes()]
    asked = {"set": f"set=1\npublic_key={key}\n{''.join(lines)}\n", "get": "get=1\n\n"}
    found = {}
    for what, text in asked.items():
        before, begun = proc.cpu_seconds(process.pid), time.monotonic()
        _ask(name, text)
        found[what] = (proc.cpu_seconds(process.pid) - before, time.monotonic() - begun)
    return found


def _check(folder, command):
    path = Path(folder) / "wide.conf"
    path.write_text(
        f"[Interface]\n[Peer]\nPublicKey = {Keys().public}\nAllowedIPs = {', '.join(_prefixes())}\n"
    )
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([*command, "check", str(path)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, time.monotonic() - begun


def main():
    """Measures and prints."""
    commands = {"tunlite": [sys.executable, "-m", "tunlite"]}
    if static_command():
        commands["tunlite static"] = [*static_command(), "--heap", "64M"]
    print(f"{COUNT:,} allowed IPs of one peer: CPU s (wall s)")
    for name, command in commands.items():
        with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
            lab = Lab(folder)
            try:
                found = {**_daemon(lab, command), "check": _check(folder, command)}
            finally:
                lab.close()
        figures = "".join(
            f"{what:>8} {cpu:.1f} ({wall:.1f})" for what, (cpu, wall) in found.items()
        )
        print(f"{name:16}{figures}")
