# SPDX-License-Identifier: MIT
"""Offloads under Encapsulation = vxlan: a TAP's super-packets with a virtio_net_hdr on one side,
runs of datagrams with a vxlan in them on the other."""

import platform
import sys

import pytest

from tests.native import offload_model as model, offload_packets as packets
from tests.native.offload_packets import QINQ, VLAN, Ip
from tests.native.plane_ffi import KEY_A, KEY_B, seal, unseal
from tests.native.test_engines import OnSockets
from tests.native.test_workers import Crew
from tests.native.vxlan_packets import LOCAL, REMOTE, frame_of, from_remote, ip, packed, udp

ORDER = sys.byteorder
HEADERS = 56
ENDS = {
    **{"vxlan_family": 6, "vxlan_vni": 4711, "vxlan_port": 4789, "mtu": 1350},
    **{"vxlan_local": packed(LOCAL[6]), "vxlan_remote": packed(REMOTE[6])},
}
TAGS = pytest.mark.parametrize("tags", [b"", VLAN, QINQ], ids=["plain", "tag", "tags"])


def super_frame(segments, mss, tags=b"", more=0):
    """A TCP super-packet as the kernel hands it out of a TAP; `more` bytes in a last segment."""
    payload = packets.noise(mss, segments * mss + more)
    packet = packets.tcp(Ip(4), payload)
    frame = packets.super_frame(ORDER, packet, model.GSO_TCP4, mss, l4=20)
    return packets.ethernet_frame(ORDER, frame, tags)


def segments_of(frame):
    return model.split(frame, ORDER, ethernet=True)[1]


def frames_at(outside, n, sums=False):
    """The frames in the next n datagrams, each of which is as Python builds it."""
    return [frame_in(unseal(KEY_A, outside.recv(70000))[2], sums) for _ in range(n)]


def frame_in(packet, sums):
    size = 40 + int.from_bytes(packet[4:6], "big")
    frame, sport = packet[HEADERS:size], int.from_bytes(packet[40:42], "big")
    here, there = packed(LOCAL[6]), packed(REMOTE[6])
    inside = udp(frame, here, there, sums=sums, sport=sport)
    expected = ip(6, inside, source=LOCAL[6], target=REMOTE[6])
    assert packet[:size] == expected and packet[size:] == bytes(len(packet) - size)
    return frame


class FastVxlan(OnSockets):
    """A gateway and its session; the device's frames have the header."""

    run = OnSockets.run_on

    def __init__(self, sums=0):
        super().__init__("mmsg", vxlan_sums=sums, **ENDS)
        self.sums = bool(sums)
        self.take_frames()
        self.peer = self.plane.peer(["fe80::1/128"], self.where)
        self.index = self.plane.session(self.plane.index(self.peer), born_ms=self.now_ms())

    def sent(self, n):
        return frames_at(self.outside, n, self.sums)


@TAGS
@pytest.mark.parametrize("sums", [0, 1])
def test_a_super_packet_leaves_as_one_send_of_wrapped_segments(sums, tags):
    with FastVxlan(sums) as fast:
        frame = super_frame(40, 1290, tags)
        fast.inside.send(frame)
        fast.run()
        assert fast.sent(40) == segments_of(frame)
        assert fast.count("supers_read") == fast.count("runs_written") == 1
        assert fast.plane.drops() == {}


@pytest.mark.parametrize("mss", range(1001, 1017))
def test_padding_and_tag_of_a_segment_do_not_reach_into_the_next_whatever_its_length(mss):
    """A packet of layer 3 is padded to 16 bytes, where a frame of layer 2 is not."""
    with FastVxlan() as fast:
        frame = super_frame(20, mss, more=7)
        fast.inside.send(frame)
        fast.run()
        assert fast.sent(21) == segments_of(frame)


@TAGS
def test_a_run_of_a_gateway_s_segments_is_written_as_one_super_packet(tags):
    with FastVxlan() as fast:
        frame = super_frame(20, 1200, tags)
        segments = segments_of(frame)
        sealed = [
            seal(KEY_B, fast.index, n, from_remote(6, segment, sums=False))
            for n, segment in enumerate(segments)
        ]
        fast.send_run(sealed)
        fast.run()
        got = fast.inside.recv(70000)
        assert segments_of(got) == segments
        assert fast.count("supers_written") == 1 and fast.plane.drops() == {}


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="one worker only on this machine"
)
def test_frames_of_another_worker_s_peer_are_wrapped_once_and_come_back_as_they_were():
    with Crew(2, **ENDS) as crew:
        crew.plane.routes([("fe80::1/128", crew.peers[1])])
        frames = [frame_of(60 + n) for n in range(40)]
        for frame in frames:
            crew.inside.send(frame)
        crew.until(lambda: crew.workers()[1][1] >= 40, "40 datagrams")
        assert frames_at(crew.outside, 40) == frames
        came = [from_remote(6, frame, sums=False) for frame in frames]
        crew.send(*[seal(KEY_B, crew.index[1], n, packet) for n, packet in enumerate(came)])
        assert crew.arrived(40) == frames
        assert crew.plane.drops() == {} and crew.plane.counters()["passed"] == 40
