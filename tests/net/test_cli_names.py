# SPDX-License-Identifier: MIT
"""Endpoints with names: resolved in a child, beside the packets.

one namespace, both ends in it: near -- lo -- far, where `localhost` is far's name
"""

import time
from pathlib import Path

import pytest

from lab.topology import BackgroundPing, Tunlite, wait_for

pytestmark = pytest.mark.once


class Pair:
    """near knows far by a name, far knows near by nothing."""

    def __init__(self, lab):
        self.namespace = lab.namespace("host")
        self.near = Tunlite(self.namespace, 1, 51820, Address=None)
        self.far = Tunlite(self.namespace, 2, 51821, Address=None)
        self.near.add_peer(self.far, "localhost:51821", PersistentKeepalive=1)
        self.far.add_peer(self.near)

    def start(self):
        self.far.start()
        self.near.start()
        return self


def test_a_name_is_resolved_while_the_tunnel_runs(lab):
    pair = Pair(lab).start()
    pair.near.wait_handshake(pair.far)
    row = pair.near.peer_json(pair.far)
    assert row["resolver"] == "resolved"
    assert row["endpoint"] in ("127.0.0.1:51821", "[::1]:51821")


def _children(pid):
    """Processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_the_resolvers_child_goes_when_it_has_answered(lab):
    pair = Pair(lab).start()
    pair.near.wait_handshake(pair.far)
    (daemon,) = _children(pair.near.process.pid)
    wait_for(lambda: not _children(daemon), 5, "the resolver's child is gone")


def test_a_name_that_does_not_resolve_holds_up_nothing(lab):
    namespace = lab.namespace("host")
    near = Tunlite(namespace, 1, 51820)
    far = Tunlite(namespace, 2, 51821, Address=None)
    lost = [Tunlite(namespace, number, 51800 + number) for number in range(3, 9)]
    for number, peer in enumerate(lost):
        near.add_peer(peer, f"no-such-host-{number}.invalid:1", PersistentKeepalive=1)
    near.add_peer(far, "127.0.0.1:51821")
    far.add_peer(near)
    far.start()
    begun = time.monotonic()
    near.start()
    assert time.monotonic() - begun < 5
    background = BackgroundPing(namespace, far.v4, interval=0.05)
    near.wait_handshake(far)

    def reasons():
        return [near.peer_json(peer)["resolver"] for peer in lost]

    wait_for(
        lambda: all("cannot be resolved" in reason for reason in reasons()),
        60,
        "every failed name is told",
    )
    assert near.process.is_running()
    background.stop()
    assert near.show_json()["counters"]["away_longest_ms"] < 2000
    # A reload gives the lost ones an address.
    for peer in lost:
        near.peers[peer.keys.public]["Endpoint"] = "127.0.0.1:9"
    near.reload()
    wait_for(lambda: not any(reasons()), 5, "no name is left")
