# SPDX-License-Identifier: MIT
"""The path MTU of a way, measured on ways that are short, shrink, grow, lose or are dead."""

import functools
import random

import pytest

from tunlite.protocol import path_mtu


class Way:
    """A way of `mtu` bytes and 20 ms, and frames that use it all the time."""

    def __init__(self, mtu, most=1500, loss=0.0, seed=1):
        self.mtu = mtu
        self.loss = loss
        self.now_ms = 1000
        self.path = path_mtu.PathMtu(most, self.now_ms)
        self.probes = []  # (ms, size)
        self.answers = []  # (ms, number, size), under way
        self.is_used = True
        self.worked_ms = None  # when a frame of the size in use got through
        self._chance = random.Random(seed)

    def run(self, seconds):
        for _ in range(int(seconds * 100)):
            self.now_ms += 10
            while self.answers and self.answers[0][0] <= self.now_ms:
                _, number, size = self.answers.pop(0)
                self.path.answered(number, size)
            sizes, _ = self.path.run(self.now_ms, self.is_used)
            for size in sizes:
                self.probes.append((self.now_ms, size))
                if (size or 90) <= self.mtu and self._chance.random() >= self.loss:
                    self.answers.append((self.now_ms + 20, self.path.number, size or 90))
            if self.path.size <= self.mtu:
                self.worked_ms = self.worked_ms or self.now_ms
            else:
                self.worked_ms = None
        return self

    def stalled_ms(self, seconds):
        """Changes have been made: until frames of the size in use get through."""
        begun_ms = self.now_ms
        self.worked_ms = None
        self.run(seconds)
        return self.worked_ms - begun_ms


def test_the_link_s_mtu_is_found_at_once_and_1280_is_used_until_then():
    way = Way(1500)
    assert way.path.size == 1280
    way.run(0.1)
    assert way.path.size == 1500


@pytest.mark.parametrize("mtu", [1499, 1492, 1460, 1420, 1300, 1288, 1280])
def test_a_shorter_way_is_found_to_eight_bytes_and_nothing_gets_lost_meanwhile(mtu):
    way = Way(mtu)
    assert way.stalled_ms(60) == 10
    assert mtu - 8 < way.path.size <= mtu


@pytest.mark.parametrize("mtu", [1279, 1200, 1006, 576])
def test_a_way_of_less_than_1280_works_within_5_s(mtu):
    way = Way(mtu)
    assert way.stalled_ms(60) <= 5000
    assert mtu - 8 < way.path.size <= mtu


@pytest.mark.parametrize("mtu", [1490, 1280, 1200, 600])
@pytest.mark.parametrize("after_s", [10, 10.3, 11.1, 11.9])
def test_a_way_that_shrinks_works_again_within_5_s_and_grows_back_in_ten_minutes(mtu, after_s):
    way = Way(1500).run(after_s)
    way.mtu = mtu
    assert way.stalled_ms(60) <= 5000
    assert mtu - 8 < way.path.size <= mtu
    way.mtu = 1500
    way.run(540)
    assert mtu - 8 < way.path.size <= mtu
    way.run(120)
    assert way.path.size == 1500


def test_it_grows_to_less_than_the_link_s_too():
    way = Way(1300).run(60)
    way.mtu = 1400
    way.run(660)
    assert 1392 < way.path.size <= 1400


@pytest.mark.parametrize("seed", range(10))
def test_a_third_of_loss_is_no_short_way_for_long(seed):
    way = Way(1500, loss=0.3, seed=seed).run(1500)
    way.loss = 0
    way.run(700)
    assert way.path.size == 1500


def test_a_peer_that_answers_nothing_teaches_nothing():
    way = Way(0).run(60)
    assert way.path.size == 1280
    way.mtu = 1500
    way.run(10)
    assert way.path.size == 1500
    way.mtu = 0
    way.run(600)
    assert way.path.size == 1500


def test_an_idle_way_is_not_probed():
    way = Way(1500).run(10)
    way.is_used = False
    way.run(3)
    asked = len(way.probes)
    assert way.run(1000).path.run(way.now_ms, False) == ([], None)
    assert len(way.probes) == asked


def test_while_it_is_used_one_probe_leaves_each_two_seconds():
    way = Way(1500).run(1)
    before = len(way.probes)
    way.run(100)
    assert 45 <= len(way.probes) - before <= 51


def test_an_answer_to_another_probe_is_none():
    way = Way(1280)
    way.run(0.05)
    way.path.answered(way.path.number - 1, 1500)
    way.path.answered(way.path.number + 1, 1500)
    way.run(1)
    assert way.path.size == 1280


def test_another_link_begins_anew():
    way = Way(1500).run(10)
    way.path.begin(9000, way.now_ms)
    assert way.path.size == 1280
    way.mtu = 9000
    way.run(1)
    assert way.path.size == 9000


@pytest.mark.parametrize("most", [576, 1000, 1280])
def test_a_link_of_at_most_1280_is_the_most(most):
    way = Way(most, most=most).run(10)
    assert way.path.size == most


@functools.cache
def search_begins_ms():
    """On a way of 1460: the link's MTU is tried again."""
    way = Way(1460).run(600)
    while way.probes[-1][1] != 1500:
        way.run(0.1)
    return way.now_ms


@pytest.mark.parametrize("mtu", [1280, 600])
@pytest.mark.parametrize("after_ms", range(-3000, 16000, 700))
def test_a_way_that_shrinks_amid_the_search_for_longer_ones_works_again_within_5_s(mtu, after_ms):
    way = Way(1460).run((search_begins_ms() + after_ms) / 1000 - 1)
    way.mtu = mtu
    assert way.stalled_ms(60) <= 5000


@pytest.mark.parametrize("after_ms", range(1500, 8000, 100))
def test_one_that_shrinks_again_while_it_is_looked_at_works_again_within_5_s_too(after_ms):
    way = Way(1500).run(10)
    way.mtu = 1280
    way.run(after_ms / 1000)
    way.mtu = 1200
    assert way.stalled_ms(20) <= 5000


@pytest.mark.parametrize("mtu, most", [(576, 576), (580, 1500)])
def test_the_least_size_there_is_wakes_nobody_between_its_looks(mtu, most):
    way = Way(mtu, most=most).run(60)
    assert way.path.size == 576
    calls, when_ms = 0, way.now_ms
    while when_ms < way.now_ms + 20_000:
        calls, when_ms = calls + 1, way.path.run(when_ms, True)[1]
    assert calls < 15


def test_no_size_is_longer_than_a_packet_can_be():
    path = path_mtu.PathMtu(65536, 0)
    assert path.run(0, True)[0][0] == 65535


def test_what_is_measured_anew_takes_no_answer_to_what_was_measured_before():
    before = path_mtu.PathMtu(1500, 1000)
    before.run(1000, True)
    after = path_mtu.PathMtu(1400, 9000)
    after.run(9000, True)
    after.answered(before.number, 1400)
    after.run(9001, True)
    assert after.size == 1280
