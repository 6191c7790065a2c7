# SPDX-License-Identifier: MIT
"""A bridge loop of somebody else's making: two tunnels between two bridges without STP.

stranger ==w9== left [bridge] ==w1==, ==w2== right [bridge]
"""

import socket
import struct
import time

import pytest

from lab.topology import Tunlite, endpoint, wait_for
from tests.net.test_layer2 import counters, know

pytestmark = pytest.mark.once

_FRAMES = 5
_SECONDS = 5
_EXPERIMENT = 0x88B5  # IEEE 802's own for such


class Ring:
    """`together`: left has one device for both tunnels, and passes frames from peer to peer."""

    def __init__(self, lab, together):
        self.left, self.right = lab.namespace("left"), lab.namespace("right")
        self.stranger = lab.namespace("stranger")
        options = {"Layer": 2, "Address": None}
        near = [Tunlite(self.left, 1, ForwardPeers="on", **options)] if together else []
        self.ends = list(near)
        for number in (1, 2):
            wire = lab.wire(self.left, self.right, number)
            far = Tunlite(self.right, 10 + number, 51820 + number, **options)
            if not together:
                near = [Tunlite(self.left, number, 51820 + number, **options)]
                self.ends += near
            know(near[0], far, endpoint(wire[1].v4, far.port))
            know(far, near[0], endpoint(wire[0].v4, near[0].port))
            self.ends.append(far)
        lab.wire(self.left, self.stranger, 9)

    def up(self):
        for space in (self.left, self.right, self.stranger):
            for scope in ("all", "default"):  # which multicasts what would go round too
                space.sysctl(f"net/ipv6/conf/{scope}/disable_ipv6", 1)
        for end in self.ends:
            end.start()
        for space in (self.left, self.right):
            space.ip("link", "add", "br0", "type", "bridge")
        for space, name in [(e.namespace, e.name) for e in self.ends] + [(self.left, "w9")]:
            space.ip("link", "set", name, "master", "br0")
        for space in (self.right, self.left):
            space.ip("link", "set", "br0", "up")
        return self

    def send(self):
        """Broadcasts of a host behind the left bridge."""

        def go():
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
                sock.bind(("w9", _EXPERIMENT))
                head = b"\xff" * 6 + b"\2\0\0\0\0\x77" + struct.pack("!H", _EXPERIMENT)
                for number in range(_FRAMES):
                    sock.send(head + struct.pack("!I", number) + bytes(46))

        self.stranger.inside(go)

    def written(self):
        return [counters(end)["socket_written"] for end in self.ends]


@pytest.mark.parametrize("together", [False, True])
def test_a_frame_that_comes_back_does_not_multiply_is_counted_and_daemons_answer(lab, together):
    ring = Ring(lab, together).up()
    ring.send()
    wait_for(lambda: min(ring.written()) > 1000, 40, "frames go round")
    before, end = ring.written(), time.monotonic() + _SECONDS
    while time.monotonic() < end:
        after = ring.written()  # all of them answer
    assert all(b - a > 100 for a, b in zip(before, after, strict=True))
    for end in ring.ends:
        found, passes_on = counters(end), "ForwardPeers" in end.interface
        # As many leave as come, for each peer, and what daemons say to each other.
        due = 2 * found["device_read"] + found["socket_read"] if passes_on else found["device_read"]
        assert found["socket_written"] < due + 500
        # One that passes frames on has the address at its device, and holds it there.
        assert found["fdb_held" if passes_on else "came_back"] > 0
