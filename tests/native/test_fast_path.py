# SPDX-License-Identifier: MIT
"""Offloads end to end: frames with a virtio_net_hdr on one side, runs of datagrams on the other."""

import contextlib
import errno
import itertools
import os
import random
import socket
import struct
import sys
import time

import pytest

from tests.native import offload_model as model, offload_packets as packets
from tests.native.devices import in_own_namespace, ip_command
from tests.native.offload_packets import Ip
from tests.native.plane_ffi import (
    KEY_A,
    KEY_B,
    NEVER,
    Plane,
    endpoint,
    ipv4,
    lib,
    seal,
    unseal,
)
from tests.native.test_engines import ALL_OFF, Wired

ORDER = sys.byteorder
MSS = 1380  # MTU 1420, no TCP options
TEN_MINUTES_MS = 600_000


def frame(packet):
    """A packet as the kernel hands it out, nothing left to do."""
    return model.vnet_header(ORDER) + packet


def super_packet(segments, seed=5, mss=MSS, **fields):
    """A TCP super-packet as the kernel hands it out, and its payload."""
    payload = packets.noise(seed, segments * mss)
    packet = packets.tcp(Ip(4, **fields), payload)
    return packets.super_frame(ORDER, packet, model.GSO_TCP4, mss, l4=20), payload


class Fast(Wired):
    """Wired, with a device whose frames have the header, and large queues."""

    run = Wired.run_on

    def __init__(self, offloads_off=0, **changes):
        super().__init__("mmsg", offloads_off=offloads_off, **changes)
        self.take_frames()

    def opened(self, n):
        """The next n datagrams at the peer, opened: [(counter, packet)] by the IP length."""
        found = []
        for _ in range(n):
            _, counter, packet = unseal(KEY_A, self.outside.recv(70000))
            found.append((counter, packet[: int.from_bytes(packet[2:4], "big")]))
        return found

    def carries(self, segments, seed=5):
        """Sends a super-packet through; every segment must arrive once, in order, sound."""
        data, payload = super_packet(segments, seed)
        before = self.plane.state(self.peer)["send_counter"]
        self.inside.send(data)
        self.run()
        got = self.opened(segments)
        assert [counter for counter, _ in got] == list(range(before, before + segments))
        parsed = [model.Parsed(packet, (model.TCP,)) for _, packet in got]
        assert all(p.is_sound() for p in parsed)
        assert b"".join(p.payload() for p in parsed) == payload

    def sealed(self, n, seed=3, first=0, **fields):
        """n segments of one TCP flow as datagrams for us, and what they carry."""
        payload = packets.noise(seed, n * MSS)
        chunks = [payload[i : i + MSS] for i in range(0, len(payload), MSS)]
        inner = [
            packets.tcp(Ip(4, id=1000 + i, **fields), chunk, seq=1 + i * MSS)
            for i, chunk in enumerate(chunks)
        ]
        return [seal(KEY_B, self.index, first + i, p) for i, p in enumerate(inner)], inner, payload


# ---- out ---------------------------------------------------------------------------------------


def test_a_super_packet_leaves_as_one_send_of_sound_segments():
    with Fast() as fast:
        fast.carries(45)
        assert fast.count("supers_read") == fast.count("runs_written") == 1
        assert fast.count("socket_written") == 45
        assert fast.plane.drops() == {}


def test_a_send_has_at_most_65507_bytes_and_64_datagrams():
    with Fast() as fast:
        fast.carries(47)  # of 1452 bytes each: 45 fit
        assert fast.count("runs_written") == 2
        data, _ = super_packet(200, mss=100)
        fast.inside.send(data)
        fast.run()
        assert len(fast.opened(200)) == 200
        assert fast.count("runs_written") == 2 + 4
        data, _ = super_packet(66, mss=100)
        fast.inside.send(data)
        fast.run()
        assert len(fast.opened(66)) == 66
        assert fast.count("runs_written") == 2 + 4 + 2


def test_single_packets_of_one_size_leave_together_and_a_shorter_one_ends_the_run():
    with Fast(batch=64) as fast:
        sizes = [1000] * 5 + [300] + [1000] * 3
        fast.plane.turn(1)
        for i, size in enumerate(sizes):
            fast.inside.send(frame(ipv4(payload=bytes([i]) * size)))
        fast.run()
        assert [p[20] for _, p in fast.opened(9)] == list(range(9))
        assert fast.count("runs_written") in (2, 3)  # the first turn may see a part only
        assert fast.plane.drops() == {}


def test_a_lone_datagram_is_no_run():
    with Fast() as fast:
        fast.inside.send(frame(ipv4(payload=bytes(100))))
        fast.run()
        assert len(fast.opened(1)) == 1
        assert fast.count("runs_written") == 0


def test_packets_with_other_ecn_bits_leave_in_other_sends():
    with Fast() as fast:
        fast.outside.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        for i in range(6):
            fast.inside.send(frame(ipv4(payload=bytes(500), tos=2 if i < 3 else 3)))
        fast.run()
        marks = [fast.outside.recvmsg(2000, 64)[1][0][2][0] for _ in range(6)]
        assert marks == [2] * 3 + [3] * 3


def test_a_hundred_interleaved_peers_still_get_eight_segments_a_send():
    with Fast(pool_bytes=16 << 20) as fast:
        ends, peers = [], []
        for i in range(100):
            end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            end.bind(("127.0.0.1", 0))
            end.settimeout(5)
            where = endpoint("127.0.0.1", end.getsockname()[1])
            peer = fast.plane.peer(where=where)
            born = time.clock_gettime_ns(7) // 10**6
            fast.plane.session(fast.plane.index(peer), remote=struct.pack("<I", i), born_ms=born)
            ends.append(end)
            peers.append(peer)
        fast.plane.routes([(f"10.1.{i}.0/24", peer) for i, peer in enumerate(peers)])
        for _ in range(8):  # the batch grows to what it finds
            for _ in range(800):
                fast.inside.send(frame(ipv4(dst="10.9.0.1", payload=bytes(60))))
            fast.run()
        fast.plane.drops()
        calls, runs = fast.count("socket_written"), fast.count("runs_written")
        for number in range(8):
            for i in range(100):
                packet = ipv4(dst=f"10.1.{i}.9", payload=struct.pack("!I", number) + bytes(56))
                fast.inside.send(frame(packet))
        fast.run()
        assert fast.plane.drops() == {}
        for end in ends:
            counters = [unseal(KEY_A, end.recv(2000))[1] for _ in range(8)]
            assert counters == list(range(8))
            end.close()
        sent, sends = fast.count("socket_written") - calls, fast.count("runs_written") - runs
        assert sent == 800 and sent / sends >= 8


def test_a_super_packet_that_no_queue_holds_goes_on_when_the_socket_has_room_again():
    with Fast(pool_bytes=1 << 19) as fast:
        data, payload = super_packet(45)
        fast.plane.call("fake_refuse", lib.TL_FAKE_SOCKET, errno.EAGAIN, 2)
        fast.inside.send(data)
        fast.run()
        got = fast.opened(45)
        assert [counter for counter, _ in got] == list(range(45))
        assert b"".join(packet[40:] for _, packet in got) == payload
        assert fast.count("socket_blocked") == 2 and fast.plane.drops() == {}


def test_the_rest_of_a_super_packet_does_not_wait_for_more_to_come_after_python_s_turn():
    with Fast(pool_bytes=1) as fast:
        fast.plane.arm(fast.peer)
        fast.inside.send(super_packet(47)[0])
        assert fast.plane.call("run", NEVER) & lib.TL_WOKE_PEERS
        fast.plane.events()
        assert fast.count("socket_written") < 47
        assert fast.run_until(lambda: [counter for counter, _ in fast.opened(47)] == [*range(47)])


@pytest.mark.parametrize("length", [1420, 1421, 9000, 65000])
def test_a_single_packet_of_any_length_leaves_whole(length):
    with Fast() as fast:
        packet = ipv4(payload=packets.noise(3, length - 20))
        fast.inside.send(frame(packet))
        fast.run()
        assert [p for _, p in fast.opened(1)] == [packet]


def test_a_packet_that_waits_for_a_buffer_waits_for_a_place_in_the_batch_too():
    with Fast(pool_bytes=1) as fast:
        plane, batch, big = fast.plane, 24, ipv4(payload=packets.noise(3, 65000))
        index = plane.index(fast.peer)
        plane.call("index_free", fast.index)
        for _ in range(2 * batch):
            fast.inside.send(frame(ipv4()))
            plane.turn()
        assert plane.state(fast.peer)["staged"] == 2 * batch

        fast.take_frames(room=1)
        other = plane.peer()
        receiver = plane.session(plane.index(other), born_ms=fast.now_ms())
        plane.routes([("10.0.0.0/8", fast.peer), ("192.0.2.0/24", other)])
        counter = itertools.count()

        def datagram():
            return seal(KEY_B, receiver, next(counter), ipv4("192.0.2.1", payload=bytes(1000)))

        while fast.count("device_blocked") == 0:
            fast.send(datagram())
            plane.turn()
        fast.inside.recv(70000)  # a place for the one that waits, and none for these
        fast.send(datagram(), datagram(), datagram())
        for _ in range(5):
            fast.send_run([datagram(), datagram()])  # a slab each
        plane.turn(2)
        fast.inside.send(frame(big))
        plane.turn()
        assert fast.count("pool_short") > 0

        plane.call("fake_full", 3)
        plane.session(index, born_ms=fast.now_ms())
        fast.inside.setblocking(False)
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):
                while fast.inside.recv(70000):
                    pass
            plane.turn()
        plane.call("fake_full", 0)
        sent = fast.count("socket_written")
        plane.turn()
        assert fast.count("socket_written") - sent == 2 * batch
        plane.turn()
        assert [packet for _, packet in fast.opened(2 * batch + 1)][-1] == big


def test_a_checksum_that_the_kernel_left_to_us_is_complete():
    with Fast() as fast:
        packet = packets.tcp(Ip(4), b"a question")
        fast.inside.send(packets.super_frame(ORDER, packet, model.GSO_NONE, 0, l4=20))
        fast.run()
        assert [p for _, p in fast.opened(1)] == [packet]


def test_a_frame_that_cannot_be_cut_is_dropped_and_counted():
    with Fast() as fast:
        payload = bytes(3 * MSS)
        syn = packets.tcp(Ip(4), payload, flags=model.SYN)
        fast.inside.send(packets.super_frame(ORDER, syn, model.GSO_TCP4, MSS, l4=20))
        fast.inside.send(b"\0" * 5)
        fast.run()
        assert fast.plane.drops() == {"device_unsplittable": 1, "device_bad_length": 1}
        fast.carries(3)


# ---- in ----------------------------------------------------------------------------------------


def test_a_run_is_received_in_one_call_and_written_as_one_super_packet():
    with Fast() as fast:
        datagrams, inner, payload = fast.sealed(40)
        fast.send_run(datagrams)
        fast.run()
        got = fast.inside.recv(70000)
        flags, kind, _, size, start, offset = model.vnet_fields(ORDER, got)
        assert (flags, kind, size, start, offset) == (1, model.GSO_TCP4, MSS, 20, 16)
        assert model.split(got, ORDER) == (False, inner) and got[10 + 40 :] == payload
        assert fast.count("runs_read") == fast.count("supers_written") == 1
        assert fast.plane.drops() == {}


def test_a_run_s_datagrams_inherit_its_ecn_mark_and_place():
    with Fast() as fast:
        datagrams, _, _ = fast.sealed(10, tos=2)
        fast.send_run(datagrams, tos=3)
        fast.run()
        got = fast.inside.recv(70000)
        assert got[10 + 1] & 3 == 3 and fast.count("supers_written") == 1
        there = fast.plane.state(fast.peer)["endpoint"]
        assert there[24:28] == socket.inet_aton("127.0.0.1")


def test_what_a_peer_may_not_send_is_dropped_before_it_is_merged():
    with Fast() as fast:
        fast.plane.routes([("10.0.0.1/32", fast.peer)])
        good, inner, _ = fast.sealed(4)
        foreign, _, _ = fast.sealed(4, first=4, source=b"\x0a\0\0\x63")
        fast.send_run(good + foreign)
        fast.run()
        got = fast.inside.recv(70000)
        assert len(got) == 10 + 40 + 4 * MSS and got[10 + 12 : 10 + 16] == inner[0][12:16]
        assert fast.plane.drops() == {"source_not_allowed": 4}


def test_a_segment_with_a_wrong_checksum_stays_alone():
    with Fast() as fast:
        _, inner, _ = fast.sealed(5)
        inner[2] = inner[2][:-1] + bytes([inner[2][-1] ^ 1])
        fast.send_run([seal(KEY_B, fast.index, i, p) for i, p in enumerate(inner)])
        fast.run()
        got = fast.receive(3)
        assert [len(g) for g in got] == [10 + 40 + n * MSS for n in (2, 1, 2)]
        assert got[1][10:] == inner[2]


def test_a_flood_of_small_datagrams_shares_slabs():
    with Fast() as fast:
        sent = [ipv4(payload=struct.pack("!I", i)) for i in range(900)]
        fast.send(*[seal(KEY_B, fast.index, i, p) for i, p in enumerate(sent)])
        fast.inside.setblocking(False)
        assert [g[10:] for g in fast.receive(900)] == sent
        assert fast.plane.drops() == {}


# ---- refusals ----------------------------------------------------------------------------------


def test_a_run_too_long_for_its_path_is_sent_singly_and_tried_again_after_ten_minutes():
    with Fast() as fast:
        fast.plane.call("fake_refuse", lib.TL_FAKE_SOCKET, errno.EMSGSIZE, 1)
        fast.carries(10)
        assert (fast.count("runs_refused"), fast.count("runs_written")) == (1, 0)
        fast.carries(10)
        assert fast.count("runs_written") == 0
        for _ in range(3):  # shorter than what was refused
            fast.inside.send(frame(ipv4(payload=bytes(500))))
        fast.run()
        assert len(fast.opened(3)) == 3 and fast.count("runs_written") == 1
        fast.plane.call("fake_ahead", TEN_MINUTES_MS + 1000)
        fast.plane.session(
            fast.plane.index(fast.peer), born_ms=time.clock_gettime_ns(7) // 10**6 + TEN_MINUTES_MS
        )
        fast.carries(10)
        assert (fast.count("runs_refused"), fast.count("runs_written")) == (1, 2)
        assert fast.plane.drops() == {} and fast.plane.features()["udp_gso"] == (True, "chosen")


def test_of_two_lengths_that_a_path_refused_the_shorter_one_is_remembered():
    with Fast() as fast:
        fast.plane.call("fake_refuse", lib.TL_FAKE_SOCKET, errno.EMSGSIZE, 1)
        fast.carries(10)
        fast.plane.call("fake_refuse", lib.TL_FAKE_SOCKET, errno.EMSGSIZE, 1)
        for length, written in ((500, 0), (500, 0), (300, 1)):
            for _ in range(3):
                fast.inside.send(frame(ipv4(payload=bytes(length))))
            fast.run()
            assert len(fast.opened(3)) == 3
            assert (fast.count("runs_refused"), fast.count("runs_written")) == (2, written)
        assert fast.plane.drops() == {}


@pytest.mark.parametrize("err", [errno.EIO, errno.EINVAL])
def test_a_path_that_refuses_runs_gets_datagrams_one_by_one_until_it_is_another(err):
    with Fast() as fast:
        fast.plane.call("fake_refuse", lib.TL_FAKE_SOCKET, err, 1)
        fast.carries(10)
        fast.carries(10)
        assert (fast.count("runs_refused"), fast.count("runs_written")) == (1, 0)
        on, why = fast.plane.features()["udp_gso"]
        assert on and "not to every endpoint" in why
        where = endpoint("127.0.0.1", fast.outside.getsockname()[1])
        fast.plane.call("peer_endpoint", fast.peer, where)
        fast.carries(10)
        assert fast.count("runs_written") == 1 and fast.plane.drops() == {}
        assert fast.plane.features()["udp_gso"] == (True, "chosen")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@in_own_namespace
def test_towards_a_ppp_link_datagrams_go_one_by_one_until_the_peer_is_elsewhere():
    ip_command("link", "set", "lo", "up")
    ip_command("tuntap", "add", "ppp7", "mode", "tun")
    with Fast() as fast:
        port = fast.outside.getsockname()[1]
        where = endpoint("127.0.0.1", port, ifindex=socket.if_nametoindex("ppp7"))
        fast.plane.call("peer_endpoint", fast.peer, where)
        fast.carries(10)
        assert fast.count("runs_written") == fast.count("runs_refused") == 0
        on, why = fast.plane.features()["udp_gso"]
        assert on and "begins at a ppp link" in why
        fast.send(seal(KEY_B, fast.index, 0, b""))  # by way of lo
        fast.run()
        fast.carries(10)
        assert fast.count("runs_written") == 1 and fast.plane.drops() == {}
        assert fast.plane.features()["udp_gso"] == (True, "chosen")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_source_address_that_went_away_does_not_end_the_runs_to_that_endpoint(family):
    """IPv6, and IPv4 on older kernels, say EINVAL of it, as of a run that a path does not take."""
    gone = "203.0.113.77" if family == socket.AF_INET else "2001:db8::77"
    with Fast(family=family) as fast:
        where = endpoint(fast.host, fast.outside.getsockname()[1], local=gone)
        fast.plane.call("peer_endpoint", fast.peer, where)
        fast.carries(10)
        runs = fast.count("runs_written")
        fast.carries(10)
        assert fast.count("runs_written") == runs + 1 and fast.count("source_reset") == 1
        assert fast.plane.features()["udp_gso"] == (True, "chosen") and fast.plane.drops() == {}


def test_a_run_that_cannot_go_at_all_is_dropped_packet_by_packet():
    with Fast() as fast:
        fast.plane.call("fake_refuse", lib.TL_FAKE_SOCKET, errno.EPERM, 1)
        data, _ = super_packet(10)
        fast.inside.send(data)
        fast.run()
        assert fast.plane.drops() == {"send_filtered": 10}
        assert fast.count("runs_refused") == 0


def test_a_super_packet_that_the_device_refuses_is_written_packet_by_packet():
    with Fast() as fast:
        fast.plane.call("fake_refuse", lib.TL_FAKE_DEVICE, errno.EINVAL, 1)
        datagrams, inner, _ = fast.sealed(10)
        fast.send_run(datagrams)
        fast.run()
        assert [g[10:] for g in fast.receive(10)] == inner
        assert fast.count("supers_refused") == 1 and fast.plane.drops() == {}


def test_a_super_packet_that_the_full_device_did_not_take_is_written_later():
    with Fast() as fast:
        fast.plane.call("fake_refuse", lib.TL_FAKE_DEVICE, errno.EAGAIN, 1)
        datagrams, _, payload = fast.sealed(10)
        other, inner, _ = fast.sealed(1, first=10, host=9)
        fast.send_run(datagrams)
        fast.send(other[0])
        fast.run()
        got = fast.receive(2)
        assert got[0][10 + 40 :] == payload and got[1][10:] == inner[0]
        assert fast.count("device_blocked") == 1 and fast.plane.drops() == {}


# ---- what is on, and why -----------------------------------------------------------------------


def test_all_offloads_can_be_switched_off():
    with Wired("mmsg", offloads_off=ALL_OFF) as wired:
        features = wired.plane.features()
        for name in ("tun_vnet", "udp_gso", "udp_gro"):
            assert features[name] == (False, "switched off by the configuration")
        for _ in range(4):
            wired.inside.send(ipv4(payload=bytes(100)))
        wired.run()
        assert wired.plane.counters()["runs_written"] == 0


def test_the_reference_engine_has_no_runs():
    with Wired("basic") as wired:
        features = wired.plane.features()
        assert features["udp_gso"] == features["udp_gro"] == (False, "the engine works without it")


@pytest.mark.parametrize("engine", ["basic", "mmsg"])
def test_what_the_user_switched_off_is_said_of_him_whatever_the_engine_can(engine):
    with Wired(engine, offloads_off=ALL_OFF) as wired:
        for name in ("udp_gso", "udp_gro"):
            assert wired.plane.features()[name] == (False, "switched off by the configuration")


def test_a_descriptor_without_the_header_is_no_reason_to_fail():
    with Wired("mmsg") as wired:
        features = wired.plane.features()
        assert features["tun_vnet"] == (False, "the device was made without it")
        assert features["tun_tso"] == features["tun_uso"] == (False, "needs tun_vnet")


def test_without_a_device_that_is_what_is_said():
    with Plane(fake=False) as plane:
        assert plane.features()["tun_vnet"] == (False, "no device is attached")


@pytest.mark.parametrize(
    ("release", "broken"),
    [
        ("6.18.44-fc-v669", False), ("7.0.0-rc1", True), ("7.0", True), ("7.0.17", True),
        ("7.1.4", True), ("7.1.5", False), ("7.2", False), ("10.1.2", False), ("", False),
    ],
)  # fmt: skip
def test_kernels_that_corrupt_runs_are_known(release, broken):
    assert lib.tl_fake_gso_corrupts(lib.tl_fake_kernel(release.encode())) == broken


def test_random_super_packets_and_singles_cross_both_ways_unharmed():
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    with Fast() as fast:
        sent = 0
        for _ in range(60):
            n = rng.randrange(1, 47)
            if rng.random() < 0.3:
                packet = ipv4(payload=rng.randbytes(rng.randrange(1400)))
                fast.inside.send(frame(packet))
                fast.run(0.01)
                assert [p for _, p in fast.opened(1)] == [packet]
                sent += 1
            else:
                fast.carries(n, rng.randrange(1 << 20))
                sent += n
        assert fast.plane.drops() == {} and fast.count("socket_written") == sent


def test_a_run_longer_than_any_of_a_network_card_leaves_no_room_and_the_next_datagram_is_dropped():
    """Since Linux 6.7 a sender on this machine, or a guest, may make runs of 128."""
    with Fast(pool_bytes=768 << 10) as fast:
        try:
            fast.send_run([b"ha"] * 128)
        except OSError as e:
            assert e.errno == errno.EINVAL
            pytest.skip("this kernel sends at most 64 datagrams at once")
        fast.send(b"ha", b"ha")
        fast.plane.turn()
        assert fast.count("runs_read") == 1
        assert fast.plane.drops() == {"too_short": 128, "truncated": 1}
        fast.plane.turn()
        assert fast.plane.drops() == {"too_short": 1}
