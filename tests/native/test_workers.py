# SPDX-License-Identifier: MIT
"""Several workers on real sockets: who gets which datagram, and what happens where it is another's.

Order and races under traffic are test_thread_sanitizer.py's.
"""

import array
import contextlib
import errno
import fcntl
import platform
import socket
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from lab.netns import wait_for
from lab.refuse import CLONE3, SETSOCKOPT, refuse_system_call
from tests.native import offload_model as model, offload_packets as packets
from tests.native.offload_packets import Ip
from tests.native.plane_ffi import (
    KEY_A,
    KEY_B,
    Plane,
    ffi,
    ipv4,
    lib,
    seal,
    unseal,
)
from tests.native.test_engines import PATIENCE_S, SO_SNDBUFFORCE, OnSockets, inside_pair
from tests.native.test_io_uring import in_a_child

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="one worker only on this machine"
)


def unread(sock):
    """Bytes of a local socket's that its other end has not read."""
    out = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, out)
    return out[0]


class Crew(OnSockets):
    """Several workers, with a peer for each of them."""

    def __init__(self, workers, family=socket.AF_INET, **changes):
        super().__init__("mmsg", family, workers=workers, **changes)
        self.inside.setblocking(False)
        self.peers = [self.plane.peer(where=self.where) for _ in range(workers)]
        self.plane.routes([(f"10.2.0.{peer}/32", peer) for peer in self.peers])
        born = self.now_ms()
        self.index = [self.plane.session(self.plane.index(p), born_ms=born) for p in self.peers]

    def message(self, peer, counter):
        """A transport message of this peer, and the packet in it."""
        packet = ipv4(f"10.2.0.{peer}", "10.1.0.1", payload=struct.pack("<I", counter))
        return seal(KEY_B, self.index[peer], counter, packet), packet

    def until(self, true, what):
        """Turns until a condition holds."""
        end = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < end, what
            self.plane.turn()

    def arrived(self, n):
        """The next n packets for the device."""
        found = []

        def enough():
            try:
                while len(found) < n:
                    found.append(self.inside.recv(4096))
            except BlockingIOError:
                pass
            return len(found) >= n

        self.until(enough, f"{n} packets")
        return found

    def workers(self):
        """[(datagrams read, written)]."""
        out = ffi.new("unsigned char[128]")
        n = self.plane.call("seen", lib.TL_SEEN_WORKERS, out, 128)
        return [struct.unpack_from("<QQ", bytes(out), 16 * i) for i in range(n)]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_a_transport_message_comes_to_the_worker_that_its_index_names(workers, family):
    with Crew(workers, family) as crew:
        assert crew.plane.features()["workers"] == (True, "chosen")
        assert [index[0] & 15 for index in crew.index] == list(range(workers))
        pairs = [crew.message(peer, n) for n in range(5) for peer in crew.peers]
        crew.send(*[datagram for datagram, _ in pairs])
        assert sorted(crew.arrived(len(pairs))) == sorted(packet for _, packet in pairs)
        assert crew.workers() == [(5, 0)] * workers
        assert crew.plane.counters()["passed"] == 0 and crew.plane.drops() == {}


def test_everything_else_comes_to_worker_0():
    with Crew(4) as crew:
        forged = b"\4\0\0\0" + b"\x0f" + bytes(27)  # names a worker that is none
        kinds = [bytes([kind]) + bytes(200) for kind in (1, 2, 3, 5)]
        crew.send(forged, b"", b"\4\0\0", *kinds)
        crew.until(lambda: crew.workers()[0][0] == 7, "seven datagrams")
        assert crew.workers()[1:] == [(0, 0)] * 3
        assert crew.plane.counters()["passed"] == 0


def test_the_rest_of_a_super_packet_goes_on_when_another_worker_has_room_again():
    with Crew(2, pool_bytes=1) as crew:
        crew.take_frames()
        crew.plane.turn()
        crew.plane.call("fake_full", 3)
        frames = 0
        while crew.plane.counters()["device_read"] == 47 * frames:
            ip = Ip(4)
            ip.target = socket.inet_aton("10.2.0.1")
            packet = packets.tcp(ip, bytes(47 * 1380))
            crew.inside.send(
                packets.super_frame(sys.byteorder, packet, model.GSO_TCP4, 1380, l4=20)
            )
            frames += 1
            assert frames < 100
            crew.plane.turn(20)

        def room_again():
            time.sleep(0.2)  # until the wait; without it nothing is shown, nothing fails
            crew.plane.call("fake_full", 0)
            for _ in range(47 * frames):
                crew.outside.recv(4096)
            return True

        assert crew.run_until(room_again) and crew.plane.drops() == {}


def test_what_a_turn_reads_has_room_in_a_lane_whatever_the_mtu_has_become():
    with Crew(2, pool_bytes=64 << 20) as crew:
        crew.inside.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
        crew.plane.call("plane_grow", 1 << 30)
        while crew.plane.counters()["batch_largest"] < 150:
            with contextlib.suppress(BlockingIOError):
                for _ in range(1000):
                    crew.inside.send(ipv4(dst="10.2.0.0"))
            crew.plane.turn()
        crew.until(lambda: not unread(crew.inside), "an empty device")
        crew.plane.call("plane_link", 0, 9000)
        for _ in range(200):
            crew.inside.send(ipv4(dst="10.2.0.1", payload=bytes(8980)))
        crew.until(lambda: not unread(crew.inside), "an empty device")
        assert crew.plane.drops() == {}


def test_a_packet_leaves_from_its_peers_worker_and_in_order():
    with Crew(3) as crew:
        packets = [
            ipv4("10.1.0.1", f"10.2.0.{peer}", payload=struct.pack("<I", n))
            for n in range(20)
            for peer in crew.peers
        ]
        for at in range(0, len(packets), 6):
            for packet in packets[at : at + 6]:
                crew.inside.send(packet)
            crew.plane.turn()
        crew.until(lambda: sum(n for _, n in crew.workers()) == 60, "sixty datagrams")
        assert crew.workers() == [(0, 20)] * 3
        assert crew.plane.counters()["passed"] == 40
        opened = [unseal(KEY_A, crew.outside.recv(4096))[2] for _ in packets]
        for peer in crew.peers:
            address = socket.inet_aton(f"10.2.0.{peer}")
            mine = [struct.unpack_from("<I", p, 20)[0] for p in opened if p[16:20] == address]
            assert mine == list(range(20))


def test_what_waits_for_another_workers_peer_goes_with_it():
    with Crew(2) as crew:
        crew.plane.turn()
        crew.plane.call("fake_full", 3)
        for n in range(1, 41):
            crew.inside.send(ipv4("10.1.0.1", "10.2.0.1"))
            crew.until(lambda n=n: crew.plane.counters()["passed"] == n, "it was passed on")
        crew.plane.call("peer_free", crew.peers[1])
        crew.plane.call("fake_full", 0)
        gone = 0

        def all_gone():
            nonlocal gone
            gone += crew.plane.drops().get("peer_gone", 0)
            return gone == 40

        crew.until(all_gone, "forty packets of a peer that went")


def test_a_run_of_several_workers_datagrams_is_taken_apart():
    with Crew(4) as crew:
        if not crew.plane.features()["udp_gro"][0]:
            pytest.skip("no UDP_GRO on this machine")
        pairs = [crew.message(peer, n) for n in range(6) for peer in (2, 0, 1, 3)]
        crew.send_run([datagram for datagram, _ in pairs])
        assert sorted(crew.arrived(len(pairs))) == sorted(packet for _, packet in pairs)
        # worker 2 gave 18 to worker 0, which gave 12 of them on
        assert crew.workers()[2][0] == 24 and crew.plane.counters()["passed"] == 30
        assert crew.plane.drops() == {}


def test_what_a_worker_cannot_be_given_is_counted():
    with Crew(2, mtu=1420) as crew:
        if not crew.plane.features()["udp_gro"][0]:
            pytest.skip("no UDP_GRO on this machine")
        packet = ipv4("10.2.0.1", "10.1.0.1", payload=bytes(1300))
        first = b"\4\0\0\0" + bytes(len(packet) + 12 + 28)  # nobody's session, worker 0's
        counter, found = 0, {}

        def overflows():
            nonlocal counter
            run = [first]
            while len(run) < 30:
                run.append(seal(KEY_B, crew.index[1], counter, packet))
                counter += 1
            crew.send_run([datagram[: len(run[1])] for datagram in run])
            for reason, n in crew.plane.drops().items():
                found[reason] = found.get(reason, 0) + n
            return "worker_full" in found

        crew.until(overflows, "nobody reads the device: a full lane")


def test_what_was_passed_on_does_not_come_behind_what_the_next_sockets_bring():
    with Crew(2, mtu=1420) as crew:
        if not crew.plane.features()["udp_gro"][0]:
            pytest.skip("no UDP_GRO on this machine")
        sent = 0

        def message(n):
            return crew.message(1, n)[0]

        first = b"\4\0\0\0" + bytes(len(message(0)) - 4)  # nobody's session, worker 0's

        def overflows():
            nonlocal sent
            crew.send_run([first, *[message(sent + i) for i in range(40)]])
            sent += 40
            return crew.plane.drops().get("worker_full", 0) > 0

        crew.until(overflows, "nobody reads the device: a full lane")
        crew.port = crew.plane.call("plane_listen", 0, bytes(4))
        assert crew.plane.drops()["worker_full"] > 100
        crew.send(message(sent))
        numbers = []
        while numbers[-1:] != [sent]:
            numbers.append(struct.unpack("<I", crew.arrived(1)[0][20:])[0])
        assert numbers == sorted(numbers)


def test_the_port_is_nobody_elses():
    with Crew(2) as crew:
        for _ in range(2):
            with Plane(fake=False, workers=2) as other:
                code = lib.tl_plane_listen(other.number, crew.port, bytes(4))
                assert code == -errno.EADDRINUSE
        alone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with alone, pytest.raises(OSError, match="in use"):
            alone.bind(("127.0.0.1", crew.port))


def test_sockets_closed_and_opened_again_serve_the_same_sessions():
    with Crew(2) as crew:
        for n in range(4):
            crew.plane.turn()
            crew.plane.call("plane_listen", -1, bytes(4))
            crew.plane.turn()
            crew.port = crew.plane.call("plane_listen", crew.port, bytes(4))
            pairs = [crew.message(peer, n) for peer in crew.peers]
            crew.send(*[datagram for datagram, _ in pairs])
            assert sorted(crew.arrived(2)) == sorted(packet for _, packet in pairs)


@pytest.mark.parametrize(
    ("error", "why"),
    [(errno.ENOPROTOOPT, "this kernel lacks it"), (errno.EPERM, -errno.EPERM)],
)
def test_where_the_kernel_cannot_steer_there_is_one_worker_and_the_reason_is_told(error, why):
    def refused():
        refuse_system_call(SETSOCKOPT, error)
        with Plane(fake=False, workers=4) as plane:
            assert plane.features()["workers"] == (False, why)
            out = ffi.new("unsigned char[128]")
            assert plane.call("seen", lib.TL_SEEN_WORKERS, out, 128) == 1

    in_a_child(refused)


def test_an_engine_of_one_thread_has_one_worker():
    with Plane(workers=2) as plane:
        assert plane.features()["workers"] == (False, "the engine works without it")


def test_one_worker_is_what_is_not_asked_for():
    with Plane() as plane:
        assert plane.features()["workers"] == (False, "one is enough unless more are asked for")


def test_threads_that_the_kernel_has_none_for_now_begin_later():
    with Crew(2) as crew:
        woke = []

        def without_threads():  # the filter is this thread's alone
            refuse_system_call(CLONE3, errno.EAGAIN)
            woke.append(crew.plane.call("run", struct.pack("<Q", crew.now_ms() + 1000)))

        caller = threading.Thread(target=without_threads)
        sent = [crew.message(peer, 0) for peer in (0, 1)]
        crew.send(*[message for message, _ in sent])
        caller.start()
        caller.join()
        assert woke == [lib.TL_WOKE_DEADLINE]
        assert crew.arrived(2) == [packet for _, packet in sent]
        assert crew.plane.drops() == {}


def stuck_in_a_write():
    """Whether a thread of ours waits in write(2) or writev(2) now."""
    writes = {"x86_64": ("1", "20"), "aarch64": ("64", "66")}[platform.machine()]
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            if (thread / "syscall").read_text(encoding="ascii").split()[0] in writes:
                return True
    return False


def test_a_handshake_waits_for_the_worker_of_its_peer_and_no_other():
    """Worker 2 stays in a turn, for its device takes nothing more and does not say so."""
    with Crew(3) as crew:
        crew.inside.close()
        crew.inside, theirs = inside_pair()
        mine = theirs.dup()
        crew.plane.call("plane_device", theirs.detach())
        crew.plane.turn()
        with contextlib.suppress(BlockingIOError):
            while True:
                mine.send(b"full" * 256)
        mine.setblocking(True)
        crew.send(crew.message(2, 0)[0])
        wait_for(stuck_in_a_write, PATIENCE_S, "worker 2 is in its turn")
        peer = crew.peers[1]

        def shake():
            for _ in range(3):
                before, crew.index[1] = crew.index[1], crew.plane.index(peer)
                crew.plane.session(crew.index[1], born_ms=crew.now_ms())
                crew.plane.call("index_free", before)
            crew.plane.call("index_free", crew.plane.index(peer))

        thread = threading.Thread(target=shake, daemon=True)
        thread.start()
        thread.join(5)
        waits_for_nobody = not thread.is_alive() and stuck_in_a_write()
        mine.setblocking(False)
        while crew.inside.recv(4096).startswith(b"full"):
            pass
        mine.close()
        thread.join()
        assert waits_for_nobody
