# SPDX-License-Identifier: MIT
"""UDP_GRO goes off where no runs come, and comes back with them."""

import contextlib
import os
import socket
import stat
import time

import pytest

from lab.background import repeated
from tests.native import offload_packets as packets
from tests.native.plane_ffi import KEY_B, ipv4, seal
from tests.native.test_engines import Wired

MINUTE_MS = 60_000
LIVES = {"reject_ms": 4_000_000_000}  # the clock runs ahead
UDP_GRO = 104


class Outside(Wired):
    """Wired, with more senders than one, and a clock that the test moves on."""

    minutes = 0

    def __init__(self, **changes):
        super().__init__("mmsg", **changes)
        if not self.plane.features()["udp_gro"][0]:
            self.__exit__()
            pytest.skip("no UDP_GRO here")
        self.index = self.plane.session(self.plane.index(self.peer), born_ms=self.now_ms(), **LIVES)
        self.others = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        self.count = 0

    def __exit__(self, *_):
        super().__exit__()
        for sock in self.others:
            sock.close()

    def counter(self, name):
        return self.plane.counters()[name]

    def has_gro(self):
        """Of the plane's IPv4 socket."""
        for entry in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if not stat.S_ISSOCK(os.fstat(int(entry)).st_mode):
                    continue
                with socket.socket(fileno=os.dup(int(entry))) as sock:
                    if sock.family == socket.AF_INET and sock.getsockname()[1] == self.port:
                        return sock.getsockopt(socket.IPPROTO_UDP, UDP_GRO)
        raise AssertionError("the plane has no such socket")

    def now_ms(self):
        """The plane's clock."""
        return super().now_ms() + self.minutes * MINUTE_MS

    def later(self):
        """A switch is allowed again."""
        self.minutes += 1
        self.plane.call("fake_ahead", self.minutes * MINUTE_MS)

    def send_all(self, datagrams):
        """One by one."""
        self.send(*datagrams)

    def unlike(self, n=400):
        """n datagrams, each of another sender and length than the one before."""
        for i in range(n):
            self.others[i % 4].sendto(bytes(100 + i % 9), (self.host, self.port))
        self.count += n
        self.settle()

    def alike(self, n=400):
        """n datagrams of one sender and length."""
        self.send(*[bytes(200)] * n)
        self.count += n
        self.settle()

    def runs(self, n):
        """n runs of two."""
        for _ in range(n):
            self.send_run([bytes(200)] * 2)
        self.count += 2 * n
        self.settle()

    def settle(self):
        """Turns until all have been read."""
        end = time.monotonic() + 20
        self.run(0.002)
        while self.counter("socket_read") < self.count and time.monotonic() < end:
            self.run(0.002)
        assert self.counter("socket_read") >= self.count


def test_datagrams_of_unlike_senders_are_read_many_a_call_without_udp_gro():
    with Outside() as outside:
        outside.unlike()
        assert outside.counter("runs_switched") == 1 and not outside.has_gro()
        outside.unlike(100)  # the batch grows to what it finds
        calls = outside.counter("read_calls")
        outside.unlike(400)
        assert outside.counter("read_calls") - calls <= 400 / 7.7
        assert outside.plane.drops() == {"bad_type": 900}


def test_runs_keep_udp_gro_on():
    with Outside() as outside:
        outside.runs(400)
        assert outside.counter("runs_switched") == 0 and outside.has_gro()


def test_few_datagrams_at_a_time_switch_nothing():
    with Outside() as outside:
        for _ in range(300):
            outside.unlike(1)
        assert outside.counter("runs_switched") == 0


def test_udp_gro_comes_back_with_neighbours_that_are_alike_but_not_within_a_minute():
    with Outside() as outside:
        outside.unlike()
        outside.alike()
        assert outside.counter("runs_switched") == 1 and not outside.has_gro()
        outside.later()
        outside.unlike()
        assert not outside.has_gro()
        outside.alike()
        assert outside.counter("runs_switched") == 2 and outside.has_gro()
        datagrams, end = [bytes([0, 0, 0, 0]) * 50] * 8, outside.counter("runs_read") + 1
        outside.send_run(datagrams)
        outside.count += 8
        outside.settle()
        assert outside.counter("runs_read") == end


def test_where_runs_never_come_udp_gro_is_tried_less_and_less_often():
    with Outside() as outside:
        for _ in range(40):
            outside.alike(200)
            outside.later()
        # off at once; on after 1, 1 + 2, 1 + 4 ... minutes
        assert 8 <= outside.counter("runs_switched") <= 12


def test_other_sockets_begin_with_udp_gro():
    with Outside() as outside:
        outside.unlike()
        outside.plane.call("plane_listen", -1, bytes(4))
        outside.port = outside.plane.call("plane_listen", 0, bytes(4))
        assert outside.has_gro()
        outside.unlike()
        assert outside.counter("runs_switched") == 2


def _sealed_run(outside, number):
    """Three datagrams of one length, numbered from `number` on, and what they carry."""
    inner = [ipv4(payload=packets.noise(number + i, 76)) for i in range(3)]
    return [seal(KEY_B, outside.index, number + i, p) for i, p in enumerate(inner)], inner


class _Load:
    """These datagrams as one run, or the only one."""

    def __init__(self, outside, datagrams):
        self.sent = 0
        self._send = outside.send_run if len(datagrams) > 1 else outside.send_all
        self._datagrams = datagrams

    def step(self):
        self._send(self._datagrams)
        self.sent += len(self._datagrams)


@contextlib.contextmanager
def _loaded(outside, datagrams):
    """While it lasts they are sent again and again."""
    load = _Load(outside, datagrams)
    with repeated(load.step, 0.0002):
        yield load


def _switched_late(outside, datagrams):
    """What is dropped when these come between a read that blocked and the switch."""
    outside.plane.call("fake_gro_late", 20_000)
    with _loaded(outside, datagrams):
        while outside.counter("runs_switched") == 0:
            outside.unlike()
    outside.plane.call("fake_gro_late", 0)
    outside.run()
    drops = outside.plane.drops()
    assert drops.pop("bad_type") == outside.count
    return drops


def test_a_run_that_comes_without_its_segments_size_is_dropped_by_name():
    with Outside() as outside:
        drops = _switched_late(outside, _sealed_run(outside, 1)[0])
        unsized = drops.pop("run_unsized")
        assert unsized > 0 and unsized % 3 == 0
        assert set(drops) <= {"replayed"}


def test_what_comes_after_the_switch_is_taken():
    with Outside() as outside:
        _switched_late(outside, _sealed_run(outside, 1)[0])
        with contextlib.suppress(BlockingIOError):
            outside.inside.setblocking(False)
            while outside.inside.recv(4096):
                pass
        datagrams, inner = _sealed_run(outside, 4)
        outside.send_run(datagrams)
        outside.run()
        assert [outside.inside.recv(4096) for _ in range(3)] == inner
        assert outside.plane.drops() == {}


@pytest.mark.parametrize("counter", [0, 1, 2, 4, 1 << 8, 1 << 16, 1 << 24, 3 << 32, 4 << 40])
def test_a_single_message_is_taken_for_no_run_whatever_its_counter(counter):
    with Outside() as outside:
        inner = ipv4(payload=packets.noise(counter, 1000))
        drops = _switched_late(outside, [seal(KEY_B, outside.index, counter, inner)])
        assert set(drops) <= {"replayed"}
        assert outside.inside.recv(4096) == inner


def test_a_thousand_switches_under_load_cost_what_came_between_two_calls_at_most():
    """All is read, but for runs that are counted; none is ever taken for one datagram."""
    with Outside() as outside:
        outside.count, switches = 0, 0
        with _loaded(outside, _sealed_run(outside, 1)[0]) as load:
            while switches < 1000:
                outside.later()
                if switches % 2:
                    outside.alike(300)
                else:
                    outside.runs(130)
                    outside.unlike(400)
                switches = outside.counter("runs_switched")
                assert outside.count < 1_000_000
        outside.run()
        drops = outside.plane.drops()
        unsized = drops.pop("run_unsized", 0)
        assert outside.counter("socket_read") == outside.count + load.sent - unsized
        assert drops == {"bad_type": outside.count, "replayed": load.sent - unsized - 3}
