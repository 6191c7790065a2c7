# SPDX-License-Identifier: MIT
"""Super-packets against the kernel's own TCP and UDP, over a real TUN in a namespace of its own.

kernel socket (near) --- TUN with IFF_VNET_HDR --- this test (far), packet by packet
"""

import collections
import contextlib
import ctypes
import fcntl
import functools
import os
import random
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


# ---- merged, through the kernel, cut -------------------------------------------------------------

PACKETS = 80_000


class Flows:
    """Packets of interleaved flows, as drawn: most regular, some odd in one way."""

    def __init__(self, draw):
        self._draw = draw
        self._senders = []

    def _sender(self):
        protocol = self._draw.choice([TCP, TCP, UDP, UDP])
        ports = self._draw.randrange(1024, 65536), self._draw.choice([80, 53, 4789, 8472])
        size = self._draw.choice([2, 16, 100, 100, 500, 1368])
        return offload_packets.Sender(self._draw.choice([4, 6]), protocol, ports, size)

    def batch(self):
        """At most 256 packets of a few flows, in bursts."""
        draw, found = self._draw, []
        self._senders = [s for s in self._senders if draw.random() < 0.8]
        self._senders += [self._sender() for _ in range(6 - len(self._senders))]
        is_bare = draw.random() < 0.2  # no datagram of the batch has a checksum
        while len(found) < 200:
            sender = draw.choice(self._senders)
            for _ in range(draw.choice([1, 1, 2, 8, 30])):
                word = draw.choice(offload_packets.ODD) if draw.random() < 0.06 else "plain"
                word = "no sum" if is_bare and word == "plain" else word
                found.append(sender.step(word, draw.randrange(1000)))
        return found[:256]


def came_as(sent, got):
    """How a packet came: "as sent"; "with a checksum" it lacked; "with another id", which counts
    where all were the same and DF made them meaningless (RFC 6864); "changed" in any other way."""
    if got == sent:
        return "as sent"
    want, how = offload_model.filled_in(sent), "with a checksum"
    is_atomic = want[0] >> 4 == 4 and len(want) >= 20 and want[6] & 0x40
    if is_atomic and got[4:6] != want[4:6] and offload_model.internet_sum(want[:20]) == 0xFFFF:
        head = offload_model.with_ip4_checksum(want[:4] + got[4:6] + want[6:20])
        want, how = head + want[20:], "with another id"
    return how if got == want else "changed"


def by_flow(packets):
    """The packets of each flow in order; those of none together."""
    flows = {}
    for packet in packets:
        flows.setdefault(offload_model.Parsed(packet, (TCP, UDP)).flow, []).append(packet)
    return flows


def joined_tuns():
    """Two devices: what is written to the first is read from the second, by no routing."""
    first, second = BareTun("tun0"), BareTun("tun1")
    for name in ("tun0", "tun1"):
        ip_command("link", "set", name, "txqueuelen", "5000")
    hook = 'type filter hook ingress device "tun0" priority 0'
    rules = f'table netdev t {{ chain c {{ {hook}; fwd to "tun1"; }}; }}'
    subprocess.run(["nft", "-f", "-"], input=rules, check=True, capture_output=True, text=True)
    second.read_all()  # the kernel's words about multicast groups
    return first, second


@in_own_namespace
def test_80000_random_packets_come_through_two_devices_as_sent_and_in_order():
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    flows = Flows(random.Random(seed))
    first, second = joined_tuns()
    count, frames, how = 0, 0, collections.Counter()
    while count < PACKETS:
        packets = flows.batch()
        frames += first.write(packets)
        sent, got = by_flow(packets), by_flow(second.read_all())
        assert sent.keys() == got.keys()
        for flow, wanted in sent.items():
            how.update(came_as(*pair) for pair in zip(wanted, got[flow], strict=True))
        count += len(packets)
    assert set(how) <= {"as sent", "with a checksum", "with another id"}
    assert how["as sent"] > count / 2 and how["with a checksum"] and how["with another id"]
    assert frames < count / 3 and second.most_cut >= 20


# ---- a vxlan's datagrams without checksums -------------------------------------------------------

VNI, VXLAN_PORT, ETH_ALL = 7, 4789, 3


def vxlan_device(version):
    """One on the TUN, as OpenWrt makes it; a socket that hears what comes out of it."""
    words = ["local", NEAR[version], "remote", FAR[version], "dstport", str(VXLAN_PORT)]
    if version == 6:
        words += ["udp6zerocsumtx", "udp6zerocsumrx"]
    ip_command("link", "add", "vx0", "type", "vxlan", "id", str(VNI), *words)
    ip_command("link", "set", "vx0", "up")
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_ALL))
    heard.bind(("vx0", 0))
    heard.settimeout(5)
    return heard


def in_vxlan(version, number, frame):
    """The packet that carries an Ethernet frame, without UDP checksum."""
    payload = struct.pack(">II", 1 << 27, VNI << 8) + frame
    packet = offload_packets.udp(far_ip(version, number), payload, (50000, VXLAN_PORT))
    at = len(packet) - len(payload) - 2
    return packet[:at] + b"\0\0" + packet[at + 2 :]


def frames_for(heard, n):
    """The next n frames of the type of experiments."""
    found = []
    while len(found) < n:
        frame = heard.recv(2000)
        if frame[12:14] == b"\x88\xb5":
            found.append(frame)
    return found


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_a_vxlan_takes_merged_datagrams_that_had_no_checksum(version):
    tun = Tun()
    if not tun.has_uso or os_kernel() < (6, 8, 5):
        pytest.skip("this kernel's TUN takes no UDP super-packets for a vxlan")
    with vxlan_device(version) as heard:
        head = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5"
        sent = [head + offload_packets.noise(i + 2, 1200) for i in range(20)]
        assert tun.write([in_vxlan(version, i, frame) for i, frame in enumerate(sent)]) == 1
        assert frames_for(heard, 20) == sent
