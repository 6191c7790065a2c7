# SPDX-License-Identifier: MIT
"""What is merged goes through the kernel from one TUN to another, and what a vxlan of it takes."""

import collections
import os
import random
import socket
import struct
import subprocess

import pytest

from tests.native import devices, offload_model, offload_packets
from tests.native.devices import (
    FAR,
    NEAR,
    BareTun,
    Tun,
    far_ip,
    in_own_namespace,
    ip_command,
    os_kernel,
)
from tests.native.offload_model import TCP, UDP

pytestmark = devices.needs_device

PACKETS = 80_000


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
    flows = offload_packets.Flows(random.Random(seed))
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
