# SPDX-License-Identifier: MIT
"""Offloads of layer 2 end to end: a TAP's frames with a virtio_net_hdr on one side, runs of
datagrams on the other."""

import random
import sys

import pytest

from tests.native import offload_model as model, offload_packets as packets
from tests.native.frames import AUTHENTIC, CONTROL, OFF, ON, WHOLE, message, opened, whole
from tests.native.offload_packets import QINQ, VLAN, Ip, ethernet
from tests.native.plane_ffi import KEY_A, KEY_B
from tests.native.test_engines import OnSockets

ORDER = sys.byteorder
MSS = 1448
REMOTE = b"\7\0\0\0"
MODES = [ON, AUTHENTIC, OFF]


def single(frame):
    """A frame as the kernel hands it out, nothing left to do."""
    return model.vnet_header(ORDER) + frame


def super_frame(segments, tags=b"", seed=5, version=4):
    """A TCP super-packet as the kernel hands it out of a TAP."""
    packet = packets.tcp(Ip(version), packets.noise(seed, segments * MSS))
    kind, l4 = (model.GSO_TCP4, 20) if version == 4 else (model.GSO_TCP6, 40)
    frame = packets.super_frame(ORDER, packet, kind, MSS, l4=l4)
    return packets.ethernet_frame(ORDER, frame, tags)


def segments_of(frame):
    return model.split(frame, ORDER, ethernet=True)[1]


class FastFrames(OnSockets):
    """One peer of layer 2 and its session; the device's frames have the header."""

    run = OnSockets.run_on

    def __init__(self, mode=ON, mtu=1532, payload_max=2000):
        super().__init__("mmsg", layer=2, mtu=mtu)
        self.mode = mode
        self.take_frames()
        self.peer = self.plane.peer(where=self.where)
        fields = {"pad": 1, "mode": mode, "born_ms": self.now_ms()}
        self.index = self.plane.session(self.plane.index(self.peer), REMOTE, **fields)
        self.plane.call("peer_path", self.peer, 65535, payload_max)
        self.counter = 0
        self.deliver(b"\x08\x06" * 20)  # proved: from now on in the clear, where that is the mode
        assert self.inside.recv(70000) == single(b"\x08\x06" * 20)

    def deliver(self, *frames, mode=ON):
        """Messages of these frames, as one run."""
        datagrams = []
        for frame in frames:
            datagrams.append(message(mode, KEY_B, self.index, self.counter, whole(frame)))
            self.counter += 1
        self.send_run(datagrams)
        self.run()

    def sent(self, n):
        """The next n messages: their types are the mode's."""
        found = [opened(KEY_A, self.outside.recv(70000)) for _ in range(n)]
        assert {mode for mode, _, _, _ in found} == {self.mode}
        assert all(plain[:2] == bytes(2) for _, _, _, plain in found)
        return [plain[2:] for _, _, _, plain in found]

    def joined(self, n):
        """The next n frames, put together where they come in parts."""
        found, so_far = [], b""
        while len(found) < n:
            plain = opened(KEY_A, self.outside.recv(70000))[3]
            if plain[:1] in (b"", bytes([CONTROL])):
                continue
            so_far += plain[2:]
            if plain[0] == WHOLE or plain[1] & 8:
                found.append(so_far[: len(so_far) - (plain[1] >> 4)])
                so_far = b""
        return found


# ---- out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", [b"", VLAN, QINQ], ids=["plain", "tag", "tags"])
@pytest.mark.parametrize("mode", MODES)
def test_a_super_packet_of_a_tap_leaves_as_one_send_of_whole_frames(mode, tags):
    with FastFrames(mode) as fast:
        frame = super_frame(40, tags)
        fast.inside.send(frame)
        fast.run()
        assert fast.sent(40) == segments_of(frame)
        assert fast.count("supers_read") == fast.count("runs_written") == 1
        assert fast.plane.drops() == {}


@pytest.mark.parametrize("version", [4, 6])
def test_a_super_packet_of_longer_frames_than_the_way_takes_leaves_in_parts(version):
    with FastFrames(payload_max=1280 - 48) as fast:
        frame = super_frame(7, version=version)
        fast.inside.send(frame)
        fast.run()
        assert fast.joined(7) == segments_of(frame)
        assert fast.count("parts_sent") == 14
        assert fast.plane.drops() == {}


@pytest.mark.parametrize("length", [14, 60, 1532 + 22, 1532 + 23, 9018, 60000])
def test_a_frame_that_is_no_super_packet_leaves_as_it_is_whatever_its_length(length):
    with FastFrames(payload_max=65000) as fast:
        frame = packets.noise(7, length)
        for _ in range(3):
            fast.inside.send(single(frame))
        fast.run()
        assert fast.sent(3) == [frame] * 3
        assert fast.plane.drops() == {}


def test_a_checksum_that_was_left_open_is_whole_in_the_message():
    with FastFrames() as fast:
        packet = packets.udp(Ip(4), b"question")
        frame = packets.super_frame(ORDER, packet, model.GSO_UDP, 0, l4=20)
        frame = frame[:1] + bytes([model.GSO_NONE]) + frame[2:]
        fast.inside.send(packets.ethernet_frame(ORDER, frame, VLAN))
        fast.run()
        assert fast.sent(1) == [ethernet(packet, VLAN)]


# ---- in ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", [b"", VLAN, QINQ], ids=["plain", "tag", "tags"])
@pytest.mark.parametrize("mode", MODES)
def test_a_run_of_frames_is_written_as_one_super_packet(mode, tags):
    with FastFrames(mode) as fast:
        frames = segments_of(super_frame(40, tags))
        fast.deliver(*frames, mode=mode)
        got = fast.inside.recv(70000)
        assert len(got) == 10 + 14 + len(tags) + 40 + 40 * MSS
        assert segments_of(got) == frames
        assert fast.count("supers_written") == 1
        assert fast.plane.drops() == {}


def test_frames_that_batman_adv_wraps_are_written_one_by_one_as_they_came():
    with FastFrames() as fast:
        frames = [ethernet(f)[:12] + b"\x43\x05" + f for f in segments_of(super_frame(9))]
        fast.deliver(*frames)
        assert [fast.inside.recv(70000) for _ in frames] == [single(f) for f in frames]
        assert fast.count("supers_written") == 0 and fast.plane.drops() == {}


@pytest.mark.parametrize("mode", MODES)
def test_random_super_packets_and_frames_cross_both_ways_unharmed(mode):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    with FastFrames(mode, payload_max=rng.choice([1232, 2000])) as fast:
        for _ in range(40):
            tags = rng.choice([b"", b"", VLAN, QINQ])
            frame = super_frame(rng.randrange(1, 41), tags, rng.randrange(99), rng.choice([4, 6]))
            frames = segments_of(frame)
            fast.deliver(*frames, mode=rng.choice([mode, ON]))
            back = []
            while len(back) < len(frames):
                back += segments_of(fast.inside.recv(70000))
            assert back == frames
            fast.inside.send(frame)
            fast.run(0.02)
            assert fast.joined(len(frames)) == frames
        assert fast.plane.drops() == {}
