# SPDX-License-Identifier: MIT
"""Super-packets against the kernel's own TCP and UDP: over a TUN, a TAP, and a bridge's port."""

import socket
import struct
import threading

import pytest

from tests.native import devices, offload_packets
from tests.native.devices import (
    FAMILY,
    FAR,
    FAR_PORT,
    NEAR,
    UDP_SEGMENT,
    FarTcp,
    far_ip,
    in_own_namespace,
    receive,
)
from tests.native.offload_model import FIN, TCP, UDP

pytestmark = devices.needs_device


@pytest.fixture(params=[devices.Tun, devices.Tap, devices.BridgedTap], ids=["tun", "tap", "bridge"])
def device(request):
    return request.param


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_the_kernel_s_tcp_takes_a_merged_super_packet(device, version):
    far = FarTcp(device(), version)
    data = offload_packets.noise(7, 30000)
    assert far.tun.write(far.segments(data, 1300)) == 1
    assert receive(far.near, len(data)) == data


@pytest.mark.parametrize("version", [4, 6])
@in_own_namespace
def test_super_packets_of_the_kernel_s_tcp_are_cut_into_sound_segments(device, version):
    far = FarTcp(device(), version)
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
def test_the_kernel_s_udp_takes_merged_datagrams_one_by_one(device, version):
    tun = device()
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
def test_super_packets_of_the_kernel_s_udp_are_cut_into_sound_datagrams(device, version):
    tun = device()
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
def test_a_checksum_that_the_kernel_left_open_is_completed(device, version):
    tun = device()
    with socket.socket(FAMILY[version], socket.SOCK_DGRAM) as near:
        near.sendto(b"question", (FAR[version], FAR_PORT))
        (p,) = tun.read(UDP)
        assert p.payload() == b"question"
