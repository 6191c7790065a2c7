# SPDX-License-Identifier: MIT
"""What a gateway needs: memory for its peers, and CPU time when all of them connect at once.

    routers ==w1== gateway        the routers are one process, lab/crowd.py

The crowd takes the other core: only the gateway's own CPU time is counted.
"""

import sys
import tempfile
from pathlib import Path

from bench.contenders import static_command
from lab import crowd
from lab.netns import Lab
from lab.peers import Keys, Tunlite

PEERS = (0, 100, 1000)


def _gateway(namespace, command, members):
    gateway = Tunlite(namespace, 1)
    if command:
        gateway.command = command
    for number, keys in enumerate(members):
        allowed = f"10.78.{number >> 8}.{number & 255}/32"
        gateway.peers[keys.public] = {"PublicKey": keys.public, "AllowedIPs": allowed}
    return gateway.start()


def start_crowd(left, gateway, address, lines):
    """A process of lab/crowd.py; `lines` as it reads them."""
    listed = gateway.folder / "keys"
    listed.touch(mode=0o600)
    listed.write_text("".join(line + "\n" for line in lines), encoding="ascii")
    argv = [sys.executable, crowd.__file__, address, gateway.port, gateway.keys.public]
    with open(listed, encoding="ascii") as keys:
        return left.start(argv, "crowd", stdin=keys, env={"PYTHONPATH": str(Path.cwd())})


def _reconnect(left, gateway, address, members):
    running = start_crowd(left, gateway, address, [keys.private for keys in members])
    running.wait_line("all up", timeout=300)
    running.wait(30)


def _one(lab, command, count):
    left, right = lab.namespace("router"), lab.namespace("gateway")
    address = lab.wire(left, right)[1].v4
    members = [Keys() for _ in range(count)]
    gateway = _gateway(right, command, members)
    row = {"peers": count, "start_kb": gateway.memory_kb("VmHWM")}
    if members:
        before = gateway.cpu_seconds()
        _reconnect(left, gateway, address, members)
        spent = gateway.cpu_seconds() - before
        row["ms_per_handshake"] = 1000 * spent / count
        row["handshakes_per_s"] = count / spent
    row["peak_kb"] = gateway.memory_kb("VmHWM")
    row["all_kb"] = gateway.memory_all_kb()
    return row


def measure():
    """{"tunlite" or "tunlite static": [row for each of PEERS]}."""
    commands = {"tunlite": None}
    if static_command():
        commands["tunlite static"] = static_command()
    found = {}
    for name, command in commands.items():
        for count in PEERS:
            with tempfile.TemporaryDirectory(prefix="tunlite-bench-") as folder:
                lab = Lab(folder)
                try:
                    found.setdefault(name, []).append(_one(lab, command, count))
                finally:
                    lab.close()
    return found


def print_table(found):
    """One line for each number of peers."""
    print(f"{'':16}{'peers':>7}{'peak kB':>10}{'in all':>10}{'ms CPU':>10}{'handshakes/s':>14}")
    for name, rows in found.items():
        for row in rows:
            line = f"{name:16}{row['peers']:7}{row['peak_kb']:10}{row['all_kb']:10}"
            if "ms_per_handshake" in row:
                line += f"{row['ms_per_handshake']:10.2f}{row['handshakes_per_s']:14.0f}"
            print(line)
    print(
        "peak: VmHWM of the daemon's largest process; in all: Pss of daemon and parent, after all"
        " peers connected;\nms CPU: of the gateway for one handshake; handshakes/s: of one core"
    )


def main():
    """Measures and prints."""
    print_table(measure())
