# SPDX-License-Identifier: MIT
"""Super-packets against the kernel's own TCP, UDP and bridge, over a real TAP.

kernel socket (near) --- [bridge] --- TAP with IFF_VNET_HDR --- this test (far), frame by frame
"""

import collections
import os
import random
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from tests.native import offload_model, offload_packets
from tests.native.offload_model import TCP, UDP
from tests.native.offload_packets import QINQ, SERVICE, VLAN, ethernet
from tests.native.plane_ffi import Plane, ffi, lib
from tests.native.test_offload_tun import (
    FAMILY,
    FAR,
    FAR_PORT,
    MTU,
    NEAR,
    UDP_SEGMENT,
    FarTcp,
    Flows,
    Tun,
    far_ip,
    in_own_namespace,
    ip_command,
    receive,
)

IFF_TAP = 0x0002
NEAR_MAC, FAR_MAC = "02:00:00:00:00:09", "02:00:00:00:00:01"  # as ethernet() has them
FRAMES = 30_000

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="needs root and /dev/net/tun"
)


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


@pytest.fixture(params=[Tap, BridgedTap], ids=["tap", "bridge"])
def tap(request):
    return request.param


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_the_kernel_s_tcp_takes_a_merged_super_packet(tap, version):
    far = FarTcp(tap(), version)
    data = offload_packets.noise(7, 30000)
    assert far.tun.write(far.segments(data, 1300)) == 1
    assert receive(far.near, len(data)) == data


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_super_packets_of_the_kernel_s_tcp_are_cut_into_sound_segments(tap, version):
    far = FarTcp(tap(), version)
    data = offload_packets.noise(8, 400000)
    sender = threading.Thread(target=far.near.sendall, args=(data,))
    sender.start()
    assert far.receive(len(data)) == data
    sender.join()
    assert far.tun.most_cut >= 10


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_the_kernel_s_udp_takes_merged_datagrams_one_by_one(tap, version):
    device = tap()
    if not device.has_uso:
        pytest.skip("this kernel's TUN has no UDP segmentation (6.2 and later have)")
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as near:
        near.bind((NEAR[version], 0))
        near.settimeout(5)
        ports = (FAR_PORT, near.getsockname()[1])
        wanted = [offload_packets.noise(i, 1200 if i < 19 else 500) for i in range(20)]
        packets = [
            offload_packets.udp(far_ip(version, i), data, ports) for i, data in enumerate(wanted)
        ]
        assert device.write(packets) == 1
        assert [near.recv(2000) for _ in wanted] == wanted


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_super_packets_of_the_kernel_s_udp_are_cut_into_sound_datagrams(tap, version):
    device = tap()
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as near:
        data = offload_packets.noise(9, 12 * 1000 + 300)
        ancillary = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 1000))]
        near.sendmsg([data], ancillary, 0, (FAR[version], FAR_PORT))
        found = []
        while len(b"".join(found)) < len(data):
            found += [p.payload() for p in device.read(UDP)]
        assert found == [data[i : i + 1000] for i in range(0, len(data), 1000)]
        assert device.most_cut == (13 if device.has_uso else 1)


# ---- merged, through a bridge, cut ---------------------------------------------------------------


def joined_taps():
    """Two ports of one bridge, which looks into no packet."""
    first, second = BareTap("tap0"), BareTap("tap1")
    for switch in Path("/proc/sys/net/bridge").glob("bridge-nf-call-ip*"):
        switch.write_text("0", encoding="ascii")
    ip_command("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    for name in ("tap0", "tap1"):
        ip_command("link", "set", name, "txqueuelen", "5000", "master", "br0")
    ip_command("link", "set", "br0", "mtu", "1600")
    Path("/proc/sys/net/ipv6/conf/br0/disable_ipv6").write_text("1", encoding="ascii")
    ip_command("link", "set", "br0", "up")
    for _ in range(500):
        if ip_command("link", "show", "master", "br0").count("state forwarding") == 2:
            break
        first.write([ethernet(bytes(60))])
        if second.read_all():
            break
        time.sleep(0.01)
    return first, second


def by_flow(frames):
    flows = {}
    for frame in frames:
        flow = offload_model.Parsed(frame, (TCP, UDP), ethernet=True).flow
        flows.setdefault(flow, []).append(frame)
    return flows


@in_own_namespace
def test_30000_random_frames_come_through_a_bridge_byte_for_byte_and_in_order():
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng = random.Random(seed)
    flows = Flows(rng)
    first, second = joined_taps()
    count, written, kinds = 0, 0, collections.Counter()
    while count < FRAMES:
        tags = rng.choice([b"", VLAN, SERVICE, QINQ])
        # the kernel throws away what has one byte behind a tag
        frames = [ethernet(p, tags) for p in flows.batch() if len(p) > 1]
        frames = [f + bytes(6) if rng.random() < 0.03 else f for f in frames]
        written += first.write(frames)
        assert by_flow(second.read_all()) == by_flow(frames), tags
        count += len(frames)
        kinds[tags] += 1
    assert len(kinds) == 4
    assert written < count / 2 and second.most_cut >= 20


# ---- as the daemon opens it ----------------------------------------------------------------------


def opened_device(plane):
    """Makes the plane's TAP, up and a port of br0; hands it over."""
    name16 = bytearray(b"mesh0".ljust(16, b"\0"))
    fd = lib.tl_device_open(ffi.from_buffer(name16), 2, 0, 0)
    assert fd >= 0
    ip_command("link", "set", "mesh0", "up", "master", "br0")
    plane.call("plane_device", fd)


@in_own_namespace
def test_a_tap_is_found_to_give_and_take_super_packets_and_nobody_hears_of_it():
    _, other = joined_taps()
    other.read_all()
    with Plane(fake=False, layer=2) as plane:
        opened_device(plane)
        features = plane.features()
        for name in ("tun_vnet", "tun_tso", *(["tun_uso"] if other.has_uso else [])):
            assert features[name] == (True, "chosen")
        assert other.read_all() == []
