# SPDX-License-Identifier: MIT
"""A layer-2 peer's path MTU between whole daemons on the fakes: probed, told to C, begun anew."""

import json

import pytest

from tests.unit.test_modes import Ends
from tunlite.plane import plane as planes

UDP4 = 28


class Way(Ends):
    """Two daemons over a way of `mtu` bytes, whose links have `link`."""

    def __init__(self, mtu, link=1500, mine=None):
        super().__init__(mine, mine)
        self.mtu = mtu
        self.longest = 0
        self.world.loses = self._loses
        self.path = self.b_of_a.path
        self.link_is(link)

    def _loses(self, packet):
        size = len(packet[2]) + UDP4
        self.longest = max(self.longest, size)
        return size > self.mtu

    def link_is(self, mtu, index=2):
        for end, peer in ((self.a, self.b_of_a), (self.b, self.a_of_b)):
            record = end.interface.plane.endpoint_of(peer.handle)
            peer.path.leaves_by(record, (index, mtu), self.world.clock.now_ms)

    @property
    def told(self):
        """What C knows of the way's payload, as a packet's size."""
        return self.a.native.peers[self.b_of_a.handle].path[1] + UDP4


@pytest.mark.parametrize("mine", [(0,), (1,), (2,)], ids=["on", "authentic", "off"])
def test_the_link_s_mtu_is_used_as_soon_as_a_probe_of_it_was_answered(mine):
    ways = Way(1500, mine=mine)
    assert ways.told == 1280
    ways.flow(3)
    assert ways.told == ways.longest == ways.path.size() == 1500
    assert ways.path.why() == "the link's"


def test_programs_are_told_of_each_new_size_and_why():
    ways = Way(1500)
    ways.flow(3)
    rows = [json.loads(text) for text in ways.a.log.texts("event")]
    assert [(row["event"], row["path_mtu"]) for row in rows] == [
        ("establish", 1280),
        ("path", 1500),
    ]
    assert rows[1]["why"] == "the link's"


@pytest.mark.parametrize("mtu", [1492, 1460, 1280, 1200])
def test_a_shorter_way_is_found_and_longer_frames_go_in_parts_of_that_size(mtu):
    ways = Way(mtu)
    ways.flow(60)
    assert mtu - 8 < ways.told <= mtu and ways.path.size() == ways.told


def test_the_longest_probe_leaves_last_for_of_answers_in_one_batch_the_last_is_told():
    ways = Way(1500)
    ways.flow(1)
    sizes = [len(row[3]) + UDP4 for row in ways.messages(4, ways.a)]
    assert [size for size in sizes if size in (66, 1280, 1500)][:3] == [66, 1280, 1500]


def test_of_a_link_that_takes_more_than_ip_has_a_length_for_no_more_is_asked():
    """The loopback's MTU is 65,536: a probe of that is refused, and the search would end there."""
    ways = Way(1 << 17, link=65536)
    ways.flow(3)
    assert ways.told == ways.longest == 65535


def test_a_way_that_shrinks_amid_traffic_is_noticed_within_5_s():
    ways = Way(1500)
    ways.flow(10)
    ways.mtu = 1280
    ways.flow(5)
    assert ways.told == 1280


def test_an_idle_peer_wakes_nobody_for_its_way():
    ways = Way(1500)
    ways.flow(10)
    ways.run(60)
    asked = len(ways.world.log)
    wakes = ways.a.native.wakes
    ways.run(100)
    assert len(ways.world.log) - asked <= 2 and ways.a.native.wakes - wakes <= 12


def test_another_endpoint_or_link_begins_anew_and_the_same_does_not():
    ways = Way(1500)
    ways.flow(3)
    ways.link_is(1500)
    assert ways.told == 1500
    ways.link_is(1400)
    assert ways.told == 1280
    ways.flow(3)
    assert ways.told == 1400
    ways.link_is(1400, index=3)
    assert ways.told == 1280


def test_a_path_mtu_that_is_written_is_not_measured():
    ways = Way(1500)
    ways.path.fix(1400)
    ways.a_of_b.path.fix(1400)
    assert ways.told == 1400
    ways.flow(10)
    assert ways.longest < 200 and ways.path.why() == "PathMTU"
    ways.path.fix(0)
    ways.link_is(1500)
    ways.flow(3)
    assert ways.told == 1500


def test_an_answer_of_the_other_end_that_lies_harms_its_own_way_alone():
    ways = Way(1500)
    ways.flow(3)
    for number, size in ((0, 0), (ways.path.measured.number, 0xFFFFFFFF), (7, 1500)):
        peer = ways.a.native.peers[ways.b_of_a.handle]
        peer.path_answer = number.to_bytes(4, "little") + size.to_bytes(4, "little")
        ways.a.native.raise_event(peer, planes.PATH)
        ways.run(0.1)
    assert 576 <= ways.told <= 1500


def test_a_removed_peer_is_probed_no_more():
    ways = Way(0)
    ways.flow(2)
    ways.a.interface.remove_peer(ways.b_of_a)
    ways.a.interface.commit()
    sent = len(ways.messages(4, ways.a))
    ways.run(30)
    assert len(ways.messages(4, ways.a)) == sent
