# SPDX-License-Identifier: MIT
"""A real TUN or TAP in a network namespace of the test's own, and the far end of what goes through
it.

kernel socket (near) --- [bridge] --- device with IFF_VNET_HDR --- the test (far)
"""

import contextlib
import ctypes
import fcntl
import functools
import os
import re
import select
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.native import offload_ffi, offload_model, offload_packets
from tests.native.offload_model import ACK, PSH, SYN, TCP
from tests.native.offload_packets import Ip, ethernet

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x0002, 0x1000, 0x4000
F_CSUM, F_TSO4, F_TSO6, F_USO4, F_USO6 = 0x01, 0x02, 0x04, 0x20, 0x40
CLONE_NEWNET = 0x40000000
MTU = 1420
NEAR = {4: "10.99.0.1", 6: "fd99::1"}
FAR = {4: "10.99.0.2", 6: "fd99::2"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
FAR_PORT, UDP_SEGMENT = 7000, 103
NEAR_MAC, FAR_MAC = "02:00:00:00:00:09", "02:00:00:00:00:01"  # as ethernet() has them

needs_device = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="needs root and /dev/net/tun"
)


def in_own_namespace(function):
    """Runs the test in a thread that has left for a new network namespace."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        failure = []

        def body():
            try:
                if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "unshare")
                function(*args, **kwargs)
            except BaseException as e:
                failure.append(e)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]

    return run


def os_kernel():
    """The kernel's version, to be compared with (6, 8, 5)."""
    return tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:3])


def ip_command(*arguments):
    command = ["ip", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Tun:
    """The device, up and addressed, and the far end of what goes through it."""

    kind, is_ethernet, mtu = IFF_TUN, False, MTU

    def __init__(self, name="tun0"):
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = self.kind | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fcntl.ioctl(self.fd, TUNSETOFFLOAD, F_CSUM | F_TSO4 | F_TSO6)
        try:
            fcntl.ioctl(self.fd, TUNSETOFFLOAD, F_CSUM | F_TSO4 | F_TSO6 | F_USO4 | F_USO6)
            self.has_uso = True
        except OSError:
            self.has_uso = False
        self.native = offload_ffi.native("here")
        self.most_cut = 0
        ip_command("link", "set", name, "up", "mtu", str(self.mtu))
        self.address(name)

    def address(self, name):
        """The near end's addresses."""
        ip_command("addr", "add", NEAR[4] + "/24", "dev", name)
        ip_command("addr", "add", NEAR[6] + "/64", "dev", name, "nodad")
        # the kernel adds the address's own route later, from a work queue
        for _ in range(500):
            if "local" in ip_command("-6", "route", "show", "table", "local", NEAR[6]):
                break
            time.sleep(0.01)

    def write(self, packets):
        """Packets of the far end, merged; the number of frames it took."""
        kinds = offload_ffi.TCP | (offload_ffi.UDP if self.has_uso else 0)
        groups = self.native.merge(packets, kinds, ethernet=self.is_ethernet)
        for iovecs, _ in groups:
            assert os.writev(self.fd, iovecs) == sum(map(len, iovecs))
        return len(groups)

    def _cut(self, frame):
        room = offload_ffi.Room(size=90000, mtu=self.mtu)
        begun, after, turns = self.native.split(frame, room, ethernet=self.is_ethernet)
        assert begun > 0, offload_ffi.REFUSALS[begun]
        packets = [data[o : o + n] for _, slices, data in turns for o, n in slices]
        return packets or [after[10:]]

    def read_all(self):
        """The packets of all frames that are there."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                packets = self._cut(os.read(self.fd, 70000))
                self.most_cut = max(self.most_cut, len(packets))
                found += packets
        return found

    def read(self, protocol, timeout=5):
        """The segments of the next frame of this protocol, parsed, each found sound."""
        while select.select([self.fd], [], [], timeout)[0]:
            packets = self._cut(os.read(self.fd, 70000))
            if offload_packets.protocol_of(packets[0]) == protocol:
                parsed = [offload_model.Parsed(p, (protocol,)) for p in packets]
                assert all(p.is_sound() and len(p.packet) <= MTU for p in parsed)
                self.most_cut = max(self.most_cut, len(packets))
                return parsed
        raise AssertionError("the kernel sent nothing")


def far_ip(version, number=0):
    """The far end's IP header for packet `number`."""
    family = FAMILY[version]
    ip = Ip(version, id=number % 65536)
    ip.source = socket.inet_pton(family, FAR[version])
    ip.target = socket.inet_pton(family, NEAR[version])
    return ip


class BareTun(Tun):
    """A device that the kernel sends nothing to by itself."""

    def address(self, name):
        """None."""
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1", encoding="ascii")


class BareTap(Tun):
    """A TAP that the kernel sends nothing to by itself; what goes through it are frames."""

    kind, is_ethernet, mtu = IFF_TAP, True, 1600

    def address(self, name):
        """None."""
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1", encoding="ascii")


class Tap(BareTap):
    """One with the near end's addresses; what goes through it are IP packets."""

    mtu = MTU

    def address(self, name):
        """Of the device itself, and the far end's neighbours."""
        ip_command("link", "set", name, "address", NEAR_MAC)
        Tun.address(self, name)
        for far in FAR.values():
            ip_command("neigh", "add", far, "lladdr", FAR_MAC, "dev", name, "nud", "permanent")

    def write(self, packets):
        return super().write([ethernet(p) for p in packets])

    def _cut(self, frame):
        """Other than IP is nothing."""
        is_ip = frame[10 + 12 : 10 + 14] in (b"\x08\0", b"\x86\xdd")
        return [p[14:] for p in super()._cut(frame)] if is_ip else [bytes(20)]


class BridgedTap(Tap):
    """One that is a port of a bridge, which has the addresses."""

    def address(self, name):
        ip_command("link", "add", "br0", "mtu", str(MTU), "type", "bridge")
        ip_command("link", "set", name, "master", "br0")
        ip_command("link", "set", "br0", "up")
        super().address("br0")


class FarTcp:
    """A TCP of a few lines: it acknowledges everything and loses nothing."""

    def __init__(self, tun, version):
        self.tun, self.version = tun, version
        self.listener = socket.socket(FAMILY[version], socket.SOCK_STREAM)
        self.listener.bind((NEAR[version], 0))
        self.listener.listen()
        self.listener.settimeout(5)
        self.ports = (FAR_PORT, self.listener.getsockname()[1])
        self.seq, self.ack, self.number = 2**32 - 20000, 0, 0
        options = struct.pack(">BBHBBBB", 2, 4, MTU - (40 if version == 4 else 60), 3, 3, 8, 0)
        tun.write([self.packet(b"", SYN, options)])
        (answer,) = tun.read(TCP)
        self.ack = int.from_bytes(answer.packet[answer.l4 + 4 : answer.l4 + 8], "big") + 1
        self.seq += 1
        tun.write([self.packet(b"", ACK)])
        self.near = self.listener.accept()[0]
        self.near.settimeout(5)

    def packet(self, payload, flags=ACK, options=b""):
        self.number += 1
        ip = far_ip(self.version, self.number)
        fields = {"ports": self.ports, "ack": self.ack, "window": 65535, "options": options}
        return offload_packets.tcp(ip, payload, self.seq, flags, **fields)

    def segments(self, data, size):
        out = []
        for i in range(0, len(data), size):
            chunk = data[i : i + size]
            out.append(self.packet(chunk, ACK | (PSH if i + size >= len(data) else 0)))
            self.seq += len(chunk)
        return out

    def receive(self, length):
        """That many bytes of the stream, acknowledged as they come."""
        data, start = bytearray(), self.ack
        while len(data) < length:
            for p in self.tun.read(TCP):
                assert p.seq == start + len(data)
                data += p.payload()
            self.ack = start + len(data)
            self.tun.write([self.packet(b"")])
        return bytes(data)


def receive(connection, length):
    data = b""
    while len(data) < length:
        data += connection.recv(length)
    return data
