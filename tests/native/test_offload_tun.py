# SPDX-License-Identifier: MIT
"""Super-packets against the kernel's own TCP and UDP, over a real TUN in a namespace of its own.

kernel socket (near) --- TUN with IFF_VNET_HDR --- this test (far), packet by packet
"""

import ctypes
import fcntl
import functools
import os
import select
import socket
import struct
import subprocess
import threading
import time

import pytest

from tests.native import offload_ffi, offload_model, offload_packets
from tests.native.offload_model import ACK, FIN, PSH, SYN, TCP, UDP
from tests.native.offload_packets import Ip

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
F_CSUM, F_TSO4, F_TSO6, F_USO4, F_USO6 = 0x01, 0x02, 0x04, 0x20, 0x40
CLONE_NEWNET = 0x40000000
MTU = 1420
NEAR = {4: "10.99.0.1", 6: "fd99::1"}
FAR = {4: "10.99.0.2", 6: "fd99::2"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
FAR_PORT, UDP_SEGMENT = 7000, 103

pytestmark = pytest.mark.skipif(
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


def ip_command(*arguments):
    command = ["ip", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Tun:
    """The device, up and addressed, and the far end of what goes through it."""

    def __init__(self):
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"tun0", flags))
        fcntl.ioctl(self.fd, TUNSETOFFLOAD, F_CSUM | F_TSO4 | F_TSO6)
        try:
            fcntl.ioctl(self.fd, TUNSETOFFLOAD, F_CSUM | F_TSO4 | F_TSO6 | F_USO4 | F_USO6)
            self.has_uso = True
        except OSError:
            self.has_uso = False
        ip_command("link", "set", "tun0", "up", "mtu", str(MTU))
        ip_command("addr", "add", NEAR[4] + "/24", "dev", "tun0")
        ip_command("addr", "add", NEAR[6] + "/64", "dev", "tun0", "nodad")
        # the kernel adds the address's own route later, from a work queue
        for _ in range(500):
            if "local" in ip_command("-6", "route", "show", "table", "local", NEAR[6]):
                break
            time.sleep(0.01)
        self.native = offload_ffi.native("here")
        self.most_cut = 0

    def write(self, packets):
        """Packets of the far end, merged; the number of frames it took."""
        kinds = offload_ffi.TCP | (offload_ffi.UDP if self.has_uso else 0)
        groups = self.native.merge(packets, kinds)
        for iovecs, _ in groups:
            assert os.writev(self.fd, iovecs) == sum(map(len, iovecs))
        return len(groups)

    def read(self, protocol, timeout=5):
        """The segments of the next frame of this protocol, parsed, each found sound."""
        while select.select([self.fd], [], [], timeout)[0]:
            frame = os.read(self.fd, 70000)
            begun, after, turns = self.native.split(frame, offload_ffi.Room(size=90000, mtu=MTU))
            assert begun > 0, offload_ffi.REFUSALS[begun]
            packets = [data[o : o + n] for _, slices, data in turns for o, n in slices]
            packets = packets or [after[10:]]
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


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_the_kernel_s_tcp_takes_a_merged_super_packet(version):
    far = FarTcp(Tun(), version)
    data = offload_packets.noise(7, 30000)
    assert far.tun.write(far.segments(data, 1300)) == 1
    assert receive(far.near, len(data)) == data


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_super_packets_of_the_kernel_s_tcp_are_cut_into_sound_segments(version):
    far = FarTcp(Tun(), version)
    data = offload_packets.noise(8, 400000)
    sender = threading.Thread(target=far.near.sendall, args=(data,))
    sender.start()
    assert far.receive(len(data)) == data
    sender.join()
    assert far.tun.most_cut >= 10
    far.near.close()
    (last,) = far.tun.read(TCP)
    assert last.packet[last.l4 + 13] & FIN


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_the_kernel_s_udp_takes_merged_datagrams_one_by_one(version):
    tun = Tun()
    if not tun.has_uso:
        pytest.skip("this kernel's TUN has no UDP segmentation (6.2 and later have)")
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as near:
        near.bind((NEAR[version], 0))
        near.settimeout(5)
        ports = (FAR_PORT, near.getsockname()[1])
        wanted = [offload_packets.noise(i, 1200 if i < 19 else 500) for i in range(20)]
        packets = [
            offload_packets.udp(far_ip(version, i), data, ports) for i, data in enumerate(wanted)
        ]
        assert tun.write(packets) == 1
        assert [near.recv(2000) for _ in wanted] == wanted


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_super_packets_of_the_kernel_s_udp_are_cut_into_sound_datagrams(version):
    tun = Tun()
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as near:
        data = offload_packets.noise(9, 12 * 1000 + 300)
        ancillary = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 1000))]
        near.sendmsg([data], ancillary, 0, (FAR[version], FAR_PORT))
        found = []
        while len(b"".join(found)) < len(data):
            found += [p.payload() for p in tun.read(UDP)]
        assert found == [data[i : i + 1000] for i in range(0, len(data), 1000)]
        assert tun.most_cut == (13 if tun.has_uso else 1)


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_a_checksum_that_the_kernel_left_open_is_completed(version):
    tun = Tun()
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as near:
        near.sendto(b"question", (FAR[version], FAR_PORT))
        (p,) = tun.read(UDP)
        assert p.payload() == b"question"
