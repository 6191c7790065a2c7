# SPDX-License-Identifier: MIT
"""Frames in UDP against the kernel's vxlan, as a gateway has it, in a namespace of its own.

packet socket --- vx0 (kernel) --- TUN --- this test: our vxlan
"""

import fcntl
import os
import select
import socket
import struct
import time

import pytest

from tests.native import vxlan_packets as made
from tests.native.devices import (
    IFF_NO_PI,
    IFF_TUN,
    TUNSETIFF,
    in_own_namespace,
    ip_command,
)
from tests.native.layer2_ffi import lib
from tests.native.vxlan_packets import LOCAL, REMOTE, Vxlan, frame_of, packed, tcp4, tcp6

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="needs root and /dev/net/tun"
)
NO_SUMS = ("udp6zerocsumtx", "udp6zerocsumrx")
DIALECTS = {  # family, port, whether there are checksums, words of ip(8)
    "gluon": (6, 4789, False, NO_SUMS),
    "munich": (6, 8472, True, ()),
    "plain, IPv4": (4, 4789, True, ("udpcsum",)),
    "plain, IPv4, no checksums": (4, 4789, False, ("noudpcsum",)),
}
VNI = 4711


class Gateway:
    """The kernel's vxlan on a TUN, and who looks at either end of it."""

    def __init__(self, family, port, words):
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"t0", IFF_TUN | IFF_NO_PI))
        prefix = "/24" if family == 4 else "/64"
        ip_command("link", "set", "t0", "addrgenmode", "none")
        ip_command("link", "set", "t0", "up")
        ip_command("addr", "add", REMOTE[family] + prefix, "dev", "t0", *["nodad"][: family == 6])
        ends = ("local", REMOTE[family], "remote", LOCAL[family], "dev", "t0")
        ip_command(
            *("link", "add", "vx0", "type", "vxlan", "id", str(VNI), "dstport", str(port)),
            *ends,
            *words,
        )
        ip_command("link", "set", "vx0", "addrgenmode", "none")
        ip_command("link", "set", "vx0", "mtu", "1400", "up")
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.wire.bind(("vx0", 0))
        self.wire.setblocking(False)

    def close(self):
        os.close(self.tun)
        self.wire.close()

    def _next(self, handle, read, is_ours):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if select.select([handle], [], [], 1)[0]:
                got = read()
                if is_ours(got):
                    return got
        raise AssertionError("nothing came")

    def frame_of(self, packet):
        """What the kernel takes out of a packet of ours."""
        os.write(self.tun, packet)
        return self._next(self.wire, lambda: self.wire.recv(3000), lambda f: f[:12] == made.MACS)

    def packet_of(self, frame):
        """What the kernel makes of a frame."""
        self.wire.send(frame)
        return self._next(
            self.tun, lambda: os.read(self.tun, 3000), lambda packet: made.MACS in packet
        )


def as_told(frame):
    """As a packet socket tells it: the kernel keeps the outer tag apart."""
    return frame[:12] + frame[16:] if frame[12:14] in (b"\x81\0", b"\x88\xa8") else frame


FRAMES = [
    *(frame_of(n) for n in (14, 60, 61, 999, 1414)),
    *(kind(tos=tos) for kind in (tcp4, tcp6) for tos in (0, 1, 2, 3, 0xB8)),
    tcp6(tos=3, tag=b"\x81\0\0\7"),
    tcp6(tos=2, tag=b"\x88\xa8\0\7\x81\0\0\5"),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@in_own_namespace
def test_the_kernels_vxlan_and_ours_understand_each_other_and_send_the_same(dialect):
    family, port, sums, words = DIALECTS[dialect]
    gateway, vxlan = Gateway(family, port, words), Vxlan(family, VNI, port, sums)
    size = 20 if family == 4 else 40
    here, there = packed(LOCAL[family]), packed(REMOTE[family])
    try:
        for frame in FRAMES:
            ours, tos = vxlan.wrap(frame)
            assert gateway.frame_of(ours) == as_told(frame)
            theirs = gateway.packet_of(frame)
            assert vxlan.unwrap(theirs)[0] == lib.VXLAN_FRAME
            assert vxlan.unwrap(theirs)[1] == frame
            # the same but for ends, source port, identification and what sums those up
            number = int.from_bytes(theirs[4:6], "big") if family == 4 else 0
            sport = int.from_bytes(theirs[size : size + 2], "big")
            datagram = made.udp(frame, there, here, port, VNI, sums, sport=sport)
            assert theirs == made.ip(family, datagram, tos, number)
            assert 32768 <= sport <= 60999
    finally:
        gateway.close()
