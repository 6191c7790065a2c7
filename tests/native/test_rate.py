# SPDX-License-Identifier: MIT
"""Rates of peers: what goes on, what waits, what is dropped, each way."""

import struct

import pytest
from hypothesis import given, settings, strategies as st

from tests.native.plane_ffi import KEY_A, KEY_B, START_MS, Plane, endpoint, ipv4, seal, unseal
from tunlite.protocol import echo

WAITING = 16  # path/rate.c, at rates up to a few Mbit/s
WAYS = {"in": "rate_in", "out": "rate_out"}
SIZE = 1250  # 10 ms of 1 Mbit/s


class Rated:
    """A plane with a peer of these rates, in bits a second."""

    def __init__(self, way, bits, **changes):
        self.way, self.plane = way, Plane(mtu=65000, batch=64, **changes)
        self.peer = self.plane.peer(["10.0.0.2/32"])
        self.index = self.plane.session(self.plane.index(self.peer), reject_ms=(1 << 32) - 1)
        self.counter = 0
        self.rate(bits)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.plane.__exit__()

    def rate(self, bits, other=0):
        rates = (bits, other) if self.way == "in" else (other, bits)
        self.plane.call("peer_rates", self.peer, struct.pack("<QQ", *rates))

    def offer(self, *sizes):
        """Packets of so many bytes inside, each marked by its number; they turn once."""
        for size in sizes:
            mark = struct.pack("<I", self.counter) + bytes(size - 24)
            if self.way == "in":
                packet = ipv4("10.0.0.2", "10.0.0.1", mark)
                self.plane.put_outside(seal(KEY_B, self.index, self.counter, packet))
            else:
                self.plane.put_inside(ipv4("10.0.0.1", "10.0.0.2", mark))
            self.counter += 1
        self.plane.turn(len(sizes) // 8 + 1)

    def passed(self):
        """[(number, bytes)] of what came out since the last call."""
        if self.way == "in":
            packets = self.plane.take_inside()
        else:
            packets = [unseal(KEY_A, d)[2] for d in self.plane.take_outside()]
        return [(struct.unpack("<I", p[20:24])[0], struct.unpack("!H", p[2:4])[0]) for p in packets]

    def numbers(self):
        return [number for number, _ in self.passed()]

    def dropped(self):
        found = self.plane.drops()
        assert set(found) <= {WAYS[self.way]}
        return sum(found.values())


@pytest.fixture(params=[*WAYS])
def rated(request):
    with Rated(request.param, 1_000_000) as made:
        yield made


def test_a_tenth_of_a_second_passes_then_some_wait_and_the_rest_is_dropped(rated):
    rated.offer(*[SIZE] * 40)
    assert rated.numbers() == list(range(10))
    assert rated.dropped() == 40 - 10 - WAITING
    rated.plane.clock(1)
    rated.plane.turn()
    assert rated.numbers() == [10]  # one owes 10 ms
    for ms in range(2, 11):
        rated.plane.clock(ms)
        rated.plane.turn()
    assert rated.numbers() == []
    rated.plane.clock(11)
    rated.plane.turn()
    assert rated.numbers() == [11]


def test_what_comes_later_stays_behind_what_waits(rated):
    rated.offer(*[SIZE] * 12)
    rated.plane.clock(15)
    rated.offer(24)
    rated.plane.clock(1000)
    rated.offer(24)
    assert rated.numbers() == [*range(14)]
    assert rated.dropped() == 0


def test_nobody_else_waits(rated):
    plane = rated.plane
    other = plane.peer(where=endpoint(port=7))
    plane.routes([("10.0.0.2/32", rated.peer), ("10.0.0.3/32", other)])
    index = plane.session(plane.index(other), remote=b"\2\0\0\0")
    rated.offer(*[SIZE] * 40)
    rated.passed()
    plane.put_inside(*[ipv4("10.0.0.1", "10.0.0.3")] * 40)
    plane.put_outside(*(seal(KEY_B, index, n, ipv4("10.0.0.3", "10.0.0.1")) for n in range(40)))
    plane.turn(4)
    assert len(plane.take_outside()) == len(plane.take_inside()) == 40


def test_the_other_way_is_as_fast_as_it_can(rated):
    rated.way = "out" if rated.way == "in" else "in"
    rated.offer(*[SIZE] * 100)
    assert len(rated.passed()) == 100


def test_a_packet_longer_than_the_bucket_passes_and_is_paid_for_afterwards(rated):
    rated.offer(50_000, SIZE)  # 400 ms; 100 are there
    assert rated.numbers() == [0]
    for ms in (1, 299, 300):
        rated.plane.clock(ms)
        rated.plane.turn()
        assert rated.numbers() == []
    rated.plane.clock(301)
    rated.plane.turn()
    assert rated.numbers() == [1]


@pytest.mark.parametrize("size", [100, 1250, 60_000])
@pytest.mark.parametrize("bits", [64_000, 3_000_000])
def test_over_ten_seconds_the_rate_holds_within_3_percent(rated, bits, size):
    rated.rate(bits)
    step_ms = max(1, size * 4000 // bits)  # twice as many as may pass
    offered = max(1, 2 * step_ms * bits // (8000 * size))
    assert offered <= 64  # what turns at once
    total = 0
    for ms in range(0, 10_000, step_ms):
        rated.plane.clock(ms)
        rated.offer(*[size] * offered)
        total += sum(n for _, n in rated.passed())
    due = bits * 10 / 8
    assert due * 0.97 - size <= total <= due * 1.01 + size


def test_time_that_nobody_used_is_lost_but_for_a_tenth_of_a_second(rated):
    for ms in (600_000, 1 << 31):  # asleep for ten minutes, and for 25 days
        rated.plane.clock(ms)
        rated.offer(*[SIZE] * 40)
        assert len(rated.numbers()) == 10
        rated.plane.clock(ms + 500)
        rated.plane.turn()
        rated.passed()
        rated.plane.drops()


def test_a_clock_that_goes_back_gives_no_tokens_and_takes_none(rated):
    rated.plane.clock(5000)
    rated.offer(*[SIZE] * 5)
    assert len(rated.numbers()) == 5
    for ms in (0, 4000, 0, 4999):
        rated.plane.clock(ms)
        rated.offer()
    rated.offer(*[SIZE] * 40)
    assert len(rated.numbers()) == 5


@pytest.mark.parametrize("bits", [1000, 10**12])
def test_the_least_and_the_greatest_rate_hold(rated, bits):
    rated.rate(bits)
    rated.plane.clock(10_000_000)  # more thousandths of bits than 63 bits hold
    rated.offer(*[1250] * 64)
    assert len(rated.passed()) == (1 if bits == 1000 else 64)
    rated.plane.clock(20_000_000)
    rated.plane.turn()
    assert len(rated.passed()) == (1 if bits == 1000 else 0)


def test_other_rates_are_refused_and_the_one_before_holds(rated):
    for bits in (1, 999, 10**12 + 1, (1 << 64) - 1):
        with pytest.raises(OSError, match="EINVAL"):
            rated.rate(bits)
        with pytest.raises(OSError, match="EINVAL"):
            rated.rate(1_000_000, bits)
    rated.offer(*[SIZE] * 40)
    assert len(rated.passed()) == 10


def test_the_same_rate_again_is_no_new_bucket(rated):
    rated.offer(*[SIZE] * 10)
    rated.rate(1_000_000)
    rated.offer(SIZE)
    assert rated.numbers() == list(range(10))


def test_what_waits_goes_at_once_when_the_rate_is_taken_away(rated):
    rated.offer(*[SIZE] * 20)
    rated.passed()
    rated.rate(0)
    rated.offer(*[SIZE] * 20)
    assert rated.numbers() == list(range(10, 40))
    assert rated.dropped() == 0


def test_a_peer_that_goes_takes_with_it_what_waits(rated):
    rated.offer(*[SIZE] * 20)
    rated.passed()
    rated.plane.routes([])
    rated.plane.call("peer_free", rated.peer)
    assert rated.plane.drops() == {"peer_gone": 10}
    rated.plane.clock(1000)
    rated.plane.turn()
    assert rated.passed() == []


def test_the_wait_ends_when_the_next_one_may_go(rated):
    """io_fake's clock stands still while it waits, so only how it is looked at can be seen."""
    rated.offer(*[SIZE] * 11)
    waits = rated.plane.counters()["waits"]
    rated.plane.call("run", struct.pack("<Q", START_MS))
    rated.plane.clock(20)
    rated.plane.call("run", struct.pack("<Q", START_MS + 20))
    assert rated.plane.counters()["waits"] == waits
    assert rated.numbers() == list(range(11))


def test_a_full_end_is_waited_for_and_loses_nothing(rated):
    rated.offer(*[SIZE] * 20)
    rated.passed()
    end = 0 if rated.way == "in" else 1
    rated.plane.call("fake_room", end, 0)
    rated.plane.clock(50)
    rated.plane.turn(3)
    rated.plane.call("fake_room", end, -1)
    rated.plane.clock(1000)
    rated.plane.turn(3)
    assert rated.numbers() == list(range(10, 20))
    assert rated.dropped() == 0


def test_echoes_and_keepalives_pay_nothing():
    with Rated("out", 1000) as rated:
        rated.offer(SIZE)
        packet = echo.request(b"\x0a\0\0\1", b"\x0a\0\0\2", bytes(10), 1)
        for inside in (packet, b""):
            rated.plane.call("peer_keepalive", rated.peer, inside, len(inside))
        assert len(rated.plane.take_outside()) == 3


def test_what_waits_for_all_peers_is_bounded_and_the_oldest_makes_room():
    with Rated("out", 1000, pool_bytes=1) as rated:
        plane = rated.plane
        peers = [plane.peer(where=endpoint(port=n)) for n in range(1, 60)]
        plane.routes([(f"10.0.1.{n}/32", peer) for n, peer in enumerate(peers)])
        for peer in peers:
            plane.session(plane.index(peer), remote=struct.pack("<I", peer))
            plane.call("peer_rates", peer, struct.pack("<QQ", 0, 1000))
        for _ in range(1 + WAITING):
            for n in range(len(peers)):
                plane.put_inside(ipv4("10.0.0.1", f"10.0.1.{n}", bytes(8000)))
                plane.turn()
        assert len(plane.take_outside()) == len(peers)
        dropped = plane.drops()["rate_out"]
        assert dropped > 59 * WAITING // 2
        for peer in peers:
            plane.call("peer_rates", peer, bytes(16))
        plane.turn(60)
        assert len(plane.take_outside()) == len(peers) * WAITING - dropped


def dumb(bits, steps):
    """Numbers of what passes, and how many are dropped, of steps (ms, sizes)."""
    level, filled, waiting, passed, dropped, number = bits * 100, 0, [], [], 0, 0
    for now, sizes in steps:
        level = min(level + bits * (now - filled), bits * 100)
        filled = now
        most = WAITING + bits * 10 // (1400 * 8000)
        while waiting and level > 0:
            n, size = waiting.pop(0)
            level -= size * 8000
            passed.append(n)
        for size in sizes:
            if not waiting and level > 0:
                level -= size * 8000
                passed.append(number)
            elif len(waiting) < most:
                waiting.append((number, size))
            else:
                dropped += 1
            number += 1
    return passed, dropped


@settings(deadline=None)
@given(
    st.sampled_from([*WAYS]),
    st.integers(1000, 100_000_000),
    st.lists(
        st.tuples(st.integers(0, 200), st.lists(st.integers(24, 3000), max_size=30)), max_size=20
    ),
)
def test_what_passes_is_what_a_dumb_bucket_lets_pass(way, bits, steps):
    now, offered = 0, []
    for ms, sizes in steps:
        now += ms
        offered.append((now, sizes))
    with Rated(way, bits) as rated:
        found = []
        for ms, sizes in offered:
            rated.plane.clock(ms)
            rated.offer(*sizes)
            found += rated.numbers()
        assert (found, rated.dropped()) == dumb(bits, offered)


def test_a_frame_counts_with_its_header():
    with Plane(layer=2, mtu=1500) as plane:
        peer = plane.peer()
        index = plane.session(plane.index(peer), pad=1)
        plane.call("peer_rates", peer, struct.pack("<QQ", 1_000_000, 1_000_000))
        frame = bytes(6) + b"\2" * 6 + bytes(1238)
        plane.call("peer_path", peer, 9000, 1500)
        plane.put_inside(*[frame] * 20)
        plane.put_outside(*(seal(KEY_B, index, n, b"\0\0" + frame, pad=1) for n in range(20)))
        plane.turn(3)
        assert len(plane.take_outside()) == len(plane.take_inside()) == 10
