# SPDX-License-Identifier: MIT
"""The engines on real descriptors: UDP on loopback, and a packet socket pair for the device."""

import contextlib
import os
import socket
import struct
import time

import pytest

from tests.native.plane_ffi import (
    KEY_A,
    KEY_B,
    Plane,
    endpoint,
    ffi,
    ipv4,
    ipv6,
    lib,
    names,
    seal,
    unseal,
)
from tunlite.plane import features

_FEATURES = names(lib.TL_SEEN_FEATURE_NAMES)
ENGINES = _FEATURES[: _FEATURES.index("tun_vnet")]  # of this build: each is tried
IN_BATCHES = ["mmsg", "io_uring"]
ALL_OFF = 0xFFFFFFFF  # offloads
PATIENCE_S = 30
UDP_SEGMENT = 103
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33


def test_python_knows_each_engine_of_the_build_as_one():
    assert [name for name in _FEATURES if features.kind(name) == "engine"] == ENGINES


def inside_pair():
    """(ours, the plane's): each send is one packet, as on a TUN."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(5)
    theirs.setblocking(False)
    return ours, theirs


class OnSockets:
    """A plane on an engine, its device's other end, and a UDP socket that plays its peers."""

    def __init__(self, engine, family=socket.AF_INET, **changes):
        self.plane = Plane(fake=False, engine=engine.encode(), **changes)
        self.inside, theirs = inside_pair()
        self.plane.call("plane_device", theirs.detach())
        self.port = self.plane.call("plane_listen", 0, bytes(4))
        self.outside = socket.socket(family, socket.SOCK_DGRAM)
        self.outside.settimeout(PATIENCE_S)
        self.host = "127.0.0.1" if family == socket.AF_INET else "::1"
        self.outside.bind((self.host, 0))
        self.where = endpoint(self.host, self.outside.getsockname()[1])

    def take_frames(self, room=8 << 20):
        """Another device, whose frames have the virtio_net_hdr; large queues there and outside, or
        `room` bytes for what the plane writes."""
        self.inside.close()
        self.inside, theirs = inside_pair()
        self.inside.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
        theirs.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, room)
        self.plane.call("fake_vnet", theirs.detach())
        self.outside.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)

    @staticmethod
    def now_ms():
        """The plane's clock."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10**6

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.plane.__exit__()
        self.inside.close()
        self.outside.close()

    def run(self, seconds=0.05):
        """Lets the plane turn for a while."""
        return self.plane.call("run", struct.pack("<Q", self.now_ms() + int(seconds * 1000)))

    def run_on(self, seconds=0.05):
        """To the deadline: a pool that grows is asked for in between."""
        deadline = struct.pack("<Q", self.now_ms() + int(seconds * 1000))
        while not self.plane.call("run", deadline) & lib.TL_WOKE_DEADLINE:
            self.plane.call("plane_grow", 1 << 20)

    def count(self, name):
        """One of the plane's counters."""
        return self.plane.counters()[name]

    def run_until(self, condition):
        """One stay in C; whether it ended because condition() came back true on another thread."""
        deadline = struct.pack("<Q", self.now_ms() + 1000 * PATIENCE_S)
        return self.plane.stay(deadline, condition) == lib.TL_WOKE_CONTROL

    def send(self, *datagrams):
        """From the peers' socket to the plane."""
        for datagram in datagrams:
            self.outside.sendto(datagram, (self.host, self.port))

    def send_run(self, datagrams, tos=None):
        """The same as one send, which a socket of this machine receives as one: UDP_SEGMENT."""
        control = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", len(datagrams[0])))]
        if tos is not None:
            control.append((socket.IPPROTO_IP, socket.IP_TOS, struct.pack("i", tos)))
        self.outside.sendmsg([b"".join(datagrams)], control, 0, (self.host, self.port))


class Wired(OnSockets):
    """With one peer, to whom everything goes, and its session."""

    def __init__(self, engine, family=socket.AF_INET, check=True, **changes):
        super().__init__(engine, family, **changes)
        if check and not self.plane.features()[engine][0]:
            self.__exit__()
            pytest.skip(f"no {engine} on this machine")
        self.peer = self.plane.peer(["0.0.0.0/0", "::/0"], self.where)
        self.index = self.plane.session(self.plane.index(self.peer), born_ms=self.now_ms())

    def receive(self, n):
        """The next n packets out of the device, with turns while it is empty."""
        got, end = [], time.monotonic() + 20
        while len(got) < n and time.monotonic() < end:
            try:
                got.append(self.inside.recv(70000))
            except BlockingIOError:
                self.run(0.005)
        return got


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_packets_cross_the_kernel_both_ways_in_order(engine, family):
    with Wired(engine, family) as wired:
        packets = [(ipv4 if i % 2 else ipv6)(payload=bytes([i]) * (i * 20)) for i in range(60)]
        for i, packet in enumerate(packets):
            wired.inside.send(packet)
            if i % 8 == 7:  # what the pair holds
                wired.run(0.001)
        wired.run()
        opened = [unseal(KEY_A, wired.outside.recv(4096)) for _ in packets]
        assert [o[1] for o in opened] == list(range(60))
        assert [o[2][: len(p)] for o, p in zip(opened, packets, strict=True)] == packets
        wired.send(*[seal(KEY_B, wired.index, i, p) for i, p in enumerate(packets)])
        wired.inside.setblocking(False)
        assert wired.receive(len(packets)) == packets
        assert wired.plane.drops() == {}


@pytest.mark.parametrize("full", [4, 6])
def test_a_full_socket_holds_up_nothing_for_the_other_family(full):
    with Wired("mmsg") as wired, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as second:
        second.bind(("::1", 0))
        second.settimeout(5)
        ends = {4: wired.outside, 6: second}
        free = ends.pop(10 - full)
        v6 = endpoint("::1", second.getsockname()[1])
        v4 = endpoint("127.0.0.1", wired.outside.getsockname()[1])
        wired.plane.call("peer_endpoint", wired.peer, v4 if full == 6 else v6)
        wired.plane.call("fake_full", 3)
        wired.inside.send(ipv4())
        wired.run(0.001)
        message = b"\1\0\0\0" + bytes(144)
        wired.plane.call("send", -1, v4 if full == 4 else v6, message, 148)
        wired.plane.call("fake_full", 1 if full == 4 else 2)
        wired.run(0.001)
        assert unseal(KEY_A, free.recv(4096))
        ends[full].setblocking(False)
        with pytest.raises(BlockingIOError):
            ends[full].recv(4096)
        wired.plane.call("fake_full", 0)
        wired.run(0.001)
        assert ends[full].recv(4096) == message


@pytest.mark.parametrize("engine", ENGINES)
def test_the_ecn_field_and_the_local_address_cross_the_kernel(engine):
    with Wired(engine) as wired:
        wired.outside.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 3)
        wired.outside.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        wired.outside.sendto(seal(KEY_B, wired.index, 0, ipv4(tos=2)), ("127.0.0.9", wired.port))
        wired.inside.send(ipv4(tos=1))
        wired.run()
        assert wired.inside.recv(4096) == ipv4(tos=3)
        data, control, _, sender = wired.outside.recvmsg(4096, 64)
        assert unseal(KEY_A, data)
        assert control == [(socket.IPPROTO_IP, socket.IP_TOS, b"\1")]
        assert sender == ("127.0.0.9", wired.port)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_ecn_field_crosses_the_kernel_over_ipv6(engine):
    with Wired(engine, socket.AF_INET6) as wired:
        wired.outside.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 3)
        wired.outside.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        wired.send(seal(KEY_B, wired.index, 0, ipv4(tos=2)))
        wired.inside.send(ipv4(tos=1))
        wired.run()
        assert wired.inside.recv(4096) == ipv4(tos=3)
        data, control, _, _ = wired.outside.recvmsg(4096, 64)
        assert unseal(KEY_A, data)
        assert control == [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, struct.pack("i", 1))]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_peer_is_where_its_datagram_came_from_and_went_to(engine, family):
    with Wired(engine, family) as wired:
        wired.plane.call("peer_endpoint", wired.peer, endpoint())
        wired.send(seal(KEY_B, wired.index, 0, ipv4()))
        wired.run()
        port = wired.outside.getsockname()[1]
        place = endpoint(wired.host, port, local=wired.host, ifindex=socket.if_nametoindex("lo"))
        assert wired.plane.state(wired.peer)["endpoint"] == place


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("family", "local"), [(socket.AF_INET, "203.0.113.77"), (socket.AF_INET6, "2001:db8::77")]
)
def test_a_local_address_that_went_away_is_forgotten_and_the_packet_still_goes(
    engine, family, local
):
    with Wired(engine, family) as wired:
        where = endpoint(wired.host, wired.outside.getsockname()[1], local=local)
        wired.plane.call("peer_endpoint", wired.peer, where)
        wired.inside.send(ipv4())
        wired.run()
        assert unseal(KEY_A, wired.outside.recv(4096))
        assert wired.plane.counters()["source_reset"] == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_peers_source_address_is_for_its_own_endpoint_and_no_other_that_is_asked(engine):
    with Wired(engine) as wired:
        port = wired.outside.getsockname()[1]
        wired.plane.call("peer_endpoint", wired.peer, endpoint("127.0.0.9", port, "127.0.0.5"))
        hello = bytes(148)
        for host, source in (("127.0.0.9", "127.0.0.5"), (wired.host, "127.0.0.1")):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.settimeout(PATIENCE_S)
                other.bind((host, 0))
                number = other.getsockname()[1]
                where = endpoint(host, number)
                wired.plane.call("send", wired.peer, where, hello, len(hello))
                wired.run()
                assert other.recvfrom(4096)[1][0] == source


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_interface_that_a_peer_reached_us_on_binds_no_answer_to_it(engine, family):
    """The routes may lead over another one by now; here it is one that went away."""
    with Wired(engine, family) as wired:
        port = wired.outside.getsockname()[1]
        where = endpoint(wired.host, port, local=wired.host, ifindex=0x7FFFFFF0)
        wired.plane.call("peer_endpoint", wired.peer, where)
        wired.inside.send(ipv4())
        wired.run()
        assert unseal(KEY_A, wired.outside.recv(4096))
        assert wired.plane.counters()["source_reset"] == 0


@pytest.mark.parametrize("tags", [0, 2])
def test_a_full_frame_leaves_whole_wherever_its_buffer_begins(tags):
    """An Ethernet header, with tags of VLANs or without, comes on top of the MTU."""
    head = bytes(12) + b"\x81\x00\x00\x01" * tags + b"\x08\x00"
    full = [head + bytes([i]) * 9000 for i in range(7)]
    with Wired("mmsg", layer=2, mtu=9000) as wired:
        wired.plane.call("peer_path", wired.peer, 9100, 9200)
        wired.inside.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)
        for length in range(2800, 3200, 16):  # of what stands before them in a slab of 65 KB
            frames = [bytes(length), *full]
            for frame in frames:
                wired.inside.send(frame)
            wired.plane.turn(2)
            for frame in frames:
                assert unseal(KEY_A, wired.outside.recv(10000))[2] == b"\0\0" + frame
        assert wired.plane.counters()["batch_largest"] == len(frames)


def test_a_frame_longer_than_the_mtu_that_we_know_of_leaves_whole_or_not_at_all():
    """The device's MTU grows some time before we hear of it."""
    frames = [bytes([i]) * 9014 for i in range(8)]
    with Wired("mmsg", layer=2) as wired:
        wired.plane.call("peer_path", wired.peer, 9100, 9200)
        wired.inside.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)
        for frame in frames:
            wired.inside.send(frame)
        wired.plane.turn(2)
        lost = wired.plane.drops().get("device_bad_length", 0)
        left = [unseal(KEY_A, wired.outside.recv(10000))[2][2:] for _ in range(8 - lost)]
        assert all(inner in frames for inner in left)


@pytest.mark.parametrize(("layer", "v4", "v6"), [(2, 3, 3), (3, 0, 0)])
def test_frames_are_never_fragmented_and_no_stranger_says_how_long_they_may_be(layer, v4, v6):
    """IP_PMTUDISC_PROBE and IP_PMTUDISC_DONT: either way the kernel's cache is not asked."""
    before = set(os.listdir("/proc/self/fd"))
    with Plane(fake=False, layer=layer) as plane:
        port = plane.call("plane_listen", 0, bytes(4))
        found = {}
        for number in set(os.listdir("/proc/self/fd")) - before:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(number))) as sock:
                if sock.getsockname()[1] == port:
                    v6_socket = sock.family == socket.AF_INET6
                    level = socket.IPPROTO_IPV6 if v6_socket else socket.IPPROTO_IP
                    found[sock.family] = sock.getsockopt(level, 23 if v6_socket else 10)
        assert found == {socket.AF_INET: v4, socket.AF_INET6: v6}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_longest_datagram_is_received_after_one_that_was_too_long(engine):
    with Wired(engine, mtu=1280, offloads_off=ALL_OFF) as wired:
        big = ipv4(payload=bytes(40000))
        wired.send(seal(KEY_B, wired.index, 0, big))
        wired.run()
        wired.send(seal(KEY_B, wired.index, 1, big), seal(KEY_B, wired.index, 2, ipv4()))
        wired.run()
        got = [wired.inside.recv(70000) for _ in range(2 if engine == "mmsg" else 3)]
        assert got[-2:] == [big, ipv4()]
        assert wired.plane.drops() == ({"truncated": 1} if engine == "mmsg" else {})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_datagram_larger_than_the_receive_buffer_does_not_stop_reception(engine):
    with Wired(engine, mtu=1280, offloads_off=ALL_OFF) as wired:
        wired.send(bytes(65000), seal(KEY_B, wired.index, 0, ipv4()), b"\4\0\0\0" + bytes(60000))
        wired.send(seal(KEY_B, wired.index, 1, ipv4()))
        wired.run()
        assert [wired.inside.recv(70000) for _ in range(2)] == [ipv4()] * 2
        assert sum(wired.plane.drops().values()) == 2


@pytest.mark.parametrize("begin", [bytes(4), b"\1\0\0\0", b"\4\0\0\0"])
def test_a_long_datagram_that_names_no_session_does_not_make_receive_buffers_longer(begin):
    with Wired("mmsg", mtu=1280, offloads_off=ALL_OFF) as wired:
        wired.send(begin + bytes(65000))
        wired.run()
        long = seal(KEY_B, wired.index, 0, ipv4(payload=bytes(40000)))
        wired.send(long)
        wired.run()
        assert wired.plane.drops() == {"truncated": 2}
        wired.send(long)
        wired.run()
        assert len(wired.inside.recv(70000)) == 40020


@pytest.mark.parametrize("engine", ENGINES)
def test_a_send_that_the_kernel_refuses_is_counted_by_kind_and_not_fatal(engine):
    with Wired(engine) as wired:
        for where in (endpoint("255.255.255.255", 9), endpoint("127.0.0.1", 0)):
            wired.plane.call("peer_endpoint", wired.peer, where)
            wired.inside.send(ipv4())
            wired.run(0.01)
        assert wired.plane.drops() == {"send_filtered": 1, "send_error": 1}


@pytest.mark.parametrize("engine", IN_BATCHES)
def test_a_full_device_stops_the_socket_and_nothing_is_lost(engine):
    with Wired(engine) as wired:
        packets = [ipv4(payload=struct.pack("!I", i) + bytes(1000)) for i in range(600)]
        wired.send(*[seal(KEY_B, wired.index, i, p) for i, p in enumerate(packets)])
        while wired.run(0.02) != lib.TL_WOKE_DEADLINE:  # asks for a bigger pool
            pass
        assert wired.plane.counters()["device_blocked"] > 0
        wired.inside.setblocking(False)
        assert wired.receive(600) == packets
        assert wired.plane.drops() == {}


@pytest.mark.parametrize("engine", IN_BATCHES)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_batch_grows_with_what_comes_in_by_one_family_alone(engine, family):
    with Wired(engine, family, pool_bytes=32 << 20) as wired:
        wired.plane.call("plane_grow", 24 << 20)
        wired.send(*[bytes(100)] * 500)
        end = time.monotonic() + PATIENCE_S
        while wired.plane.counters()["socket_read"] < 500 and time.monotonic() < end:
            wired.run()
        assert wired.plane.counters()["socket_read"] == 500
        assert wired.plane.counters()["batch_largest"] >= 16


@pytest.mark.parametrize("engine", IN_BATCHES)
def test_an_idle_plane_sleeps_until_its_deadline(engine):
    with Wired(engine) as wired:
        before = wired.plane.counters()
        assert wired.run(0.1) == lib.TL_WOKE_DEADLINE
        after = wired.plane.counters()
        assert after["turns"] - before["turns"] <= 2


@pytest.mark.parametrize("engine", IN_BATCHES)
def test_paced_packets_do_not_return_to_python(engine):
    with Wired(engine) as wired:

        def pace():
            for _ in range(1000):
                wired.inside.send(ipv4())
                time.sleep(0.0005)
            return True

        wired.plane.arm(wired.peer, lib.TL_PEER_WANTS_SESSION | lib.TL_PEER_REKEY)
        before = wired.plane.counters()
        assert wired.run_until(pace)
        after = wired.plane.counters()
        assert after["device_read"] - before["device_read"] > 900
        assert after["returns"] - before["returns"] == 1


@pytest.mark.parametrize("engine", IN_BATCHES)
def test_a_control_descriptor_ends_the_wait(engine):
    with Wired(engine) as wired:
        r, w = os.pipe()
        wired.plane.call("watch", r, 1)
        os.write(w, b"x")
        assert wired.run(5) == lib.TL_WOKE_CONTROL
        out = ffi.new("unsigned char[8]")
        assert wired.plane.call("ready", out, 8) == 1
        assert struct.unpack("<iI", bytes(out)) == (r, 1)
        wired.plane.call("watch", r, 0)
        assert wired.run(0.01) == lib.TL_WOKE_DEADLINE
        os.close(r)
        os.close(w)


@pytest.mark.parametrize("engine", IN_BATCHES)
def test_listen_again_on_our_own_port_keeps_the_sockets_and_deaf_closes_them(engine):
    with Wired(engine) as wired:
        assert wired.plane.call("plane_listen", wired.port, bytes(4)) == wired.port
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with pytest.raises(OSError):
            other.bind(("0.0.0.0", wired.port))
        wired.plane.call("plane_listen", -1, bytes(4))
        other.bind(("0.0.0.0", wired.port))
        with pytest.raises(OSError, match="EADDRINUSE"):
            wired.plane.call("plane_listen", wired.port, bytes(4))
        wired.inside.send(ipv4())
        wired.run(0.01)
        assert wired.plane.drops() == {"no_socket": 1}
        other.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_kernel_drops_before_us_is_counted(engine):
    with Wired(engine) as wired:
        for _ in range(300):  # 18 MB, more than any queue that we ask for
            wired.send(bytes(60_000))
        before = None
        while (read := wired.plane.counters()["socket_read"]) != before:  # until nothing is left
            before = read
            wired.run()
        wired.send(b"")  # says how many went before it
        wired.run()
        drops = wired.plane.drops()
        received = wired.plane.counters()["socket_read"] + drops.get("truncated", 0)
        assert drops["too_short"] == 1
        assert drops["socket_overflow"] == 301 - received > 50
