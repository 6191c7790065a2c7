# SPDX-License-Identifier: MIT
"""1,000 peers: files, the daemon's answers and what is sent to it go peer by peer.

host, alone in its namespace. The executable for routers runs with its usual heap, and what only
asks or tells a daemon with far less.
"""

import base64
import json
import sys

import pytest

from devtools import cross
from lab.peers import ini, interface_name, preshared_key

pytestmark = pytest.mark.once

PEERS = 1000
HEAP_TO_ASK = "512K"
HEAP_TO_TELL = "1M"
_CPYTHON = [sys.executable, "-m", "tunlite"]
# What differs between two questions, or between two daemons.
_MOVING = ("memory_kb", "uptime_s", "counters", "returns", "drops")


@pytest.fixture(scope="module")
def static():
    return str(cross.build("x86_64"))


def _key(number):
    """A public key of no one: it is never computed with."""
    return base64.b64encode(number.to_bytes(32, "big")).decode()


def _sections(count, keepalive=25):
    interface = {"PrivateKey": preshared_key(), "ListenPort": 51820, "Table": "off"}
    peers = [
        {
            "PublicKey": _key(number),
            "PresharedKey": preshared_key(),
            "AllowedIPs": f"10.{number >> 8}.{number & 255}.1/32, fd00::{number:x}/128",
            "Description": f"number {number}, ]}},{{ and more",
            "PersistentKeepalive": keepalive + number % 3,
        }
        for number in range(1, count + 1)
    ]
    return [("Interface", interface), *(("Peer", peer) for peer in peers)]


class _Host:
    def __init__(self, lab):
        self.lab = lab
        self.namespace = lab.namespace("host")

    def write(self, name, sections):
        path = self.lab.folder / f"{name}.conf"
        path.touch(mode=0o600)
        path.write_text(ini(sections))
        return path

    def run(self, *words):
        return self.namespace.run(list(words)).stdout

    def status(self, command, name):
        found = json.loads(self.run(*command, "show", name, "--json"))
        return {member: value for member, value in found.items() if member not in _MOVING}


def _page(text):
    """Its lines without those that differ between two questions."""
    return [
        line
        for line in text.splitlines()
        if not line.startswith(("  memory", "  up for", "  returns", "  dropped"))
    ]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("daemon", ["static", "cpython"])
def test_both_interpreters_bring_up_and_show_a_thousand_peers(lab, static, daemon):
    host = _Host(lab)
    command = [static] if daemon == "static" else _CPYTHON
    ask = [static, "--heap", HEAP_TO_ASK]
    tell = [static, "--heap", HEAP_TO_TELL]
    name = interface_name()
    sections = _sections(PEERS)
    path = host.write(name, sections)
    host.run(*command, "up", path)
    try:
        found = host.status(ask, name)
        assert found == host.status(_CPYTHON, name)
        wanted = {peer["PublicKey"]: peer for kind, peer in sections if kind == "Peer"}
        assert {row["public_key"] for row in found["peers"]} == set(wanted)
        for row in found["peers"]:
            peer = wanted[row["public_key"]]
            assert ", ".join(row["allowed_ips"]) == peer["AllowedIPs"]
            assert row["description"] == peer["Description"] and row["preshared"]
            assert row["persistent_keepalive"] == peer["PersistentKeepalive"]
        pages = [_page(host.run(*words, "show", name)) for words in (ask, _CPYTHON)]
        assert pages[0] == pages[1]
        assert sum(line.startswith("peer: ") for line in pages[0]) == PEERS
        host.run("wg", "set", name, "peer", _key(1), "persistent-keepalive", "77")
        # Half of them go, one is as the file has it again.
        fewer = [sections[0], *sections[1 : PEERS // 2 + 1]]
        bare = [
            ("Interface", {k: v for k, v in sections[0][1].items() if k != "Table"}),
            *fewer[1:],
        ]
        host.run(*tell, "syncconf", name, host.write("bare", bare))
        left = host.status(ask, name)["peers"]
        assert len(left) == PEERS // 2
        assert {row["persistent_keepalive"] for row in left} == {25, 26, 27}
        host.write(name, _sections(PEERS, keepalive=40))
        host.run(*command, "reload", name)
        rows = host.status(ask, name)["peers"]
        assert len(rows) == PEERS
        assert {row["persistent_keepalive"] for row in rows} == {40, 41, 42}
    finally:
        host.run(*command, "down", name)
