# SPDX-License-Identifier: MIT
"""What is merged goes through a bridge from one TAP to another; a TAP as the daemon opens it."""

import collections
import os
import random
import time
from pathlib import Path

from tests.native import devices, offload_model, offload_packets
from tests.native.devices import BareTap, in_own_namespace, ip_command
from tests.native.offload_model import TCP, UDP
from tests.native.offload_packets import QINQ, SERVICE, VLAN, ethernet
from tests.native.plane_ffi import Plane, ffi, lib

FRAMES = 30_000

pytestmark = devices.needs_device


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
    flows = offload_packets.Flows(rng)
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
