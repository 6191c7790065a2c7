# SPDX-License-Identifier: MIT
"""Ways between real daemons of layer 2 that are shorter than their links and tell nobody so.

router ==w1== gateway; what is longer than the way is lost at whoever gets it.
"""

import socket
import struct

import pytest

from lab.topology import endpoint, ping, wait_for
from lab.traffic import BackgroundTransfer
from tests.net.test_layer2 import Pair, carries, counters, is_reached

pytestmark = pytest.mark.once

_FULL = 1472  # with its headers the device's 1500
_WAY = """
table inet way {}
delete table inet way
table inet way {
chain long { type filter hook prerouting priority -300; iifname "w1" meta length > %d drop; }
chain cut { type filter hook postrouting priority 300;
oifname "w1" ip frag-off & 0x3fff != 0 counter
oifname "w1" exthdr frag exists counter
}
}
"""


class Way(Pair):
    def __init__(self, lab, mtu, family=4, **interface):
        # A run would come as one packet.
        super().__init__(lab, Offloads="udp_gso", **interface)
        place = self.wire[1].v4 if family == 4 else self.wire[1].v6
        self.router.peers[self.gateway.keys.public]["Endpoint"] = endpoint(place)
        self.ends = (self.router, self.gateway)
        self.is_of(mtu)
        self.up()

    def is_of(self, mtu):
        for end in self.ends:
            end.namespace.nft(_WAY % mtu)

    def found(self):
        row = self.router.peer_json(self.gateway)
        return row["path_mtu"], row["path_mtu_why"]

    def wait_found(self, mtu):
        def is_found():
            is_reached(self.router, self.gateway.v4, size=_FULL)
            return mtu - 8 < self.found()[0] <= mtu

        wait_for(is_found, 60, f"a path MTU of {mtu}")

    def wait_full(self):
        """A frame as long as the device takes is answered."""
        target = self.gateway.v4
        wait_for(lambda: is_reached(self.router, target, size=_FULL), 30, "a full frame passes")

    def has_no_fragments(self):
        rules = [e.namespace.run(["nft", "list", "table", "inet", "way"]).stdout for e in self.ends]
        return [text.count("counter packets 0 bytes 0") for text in rules] == [2, 2]


@pytest.mark.parametrize(
    "family, mtu",
    [
        *((4, 1492), (6, 1460)),  # PPPoE, DS-Lite
        *(pytest.param(*way, marks=pytest.mark.slow) for way in ((4, 1460), (4, 1200), (6, 1200))),
    ],
)
def test_a_way_that_loses_what_is_too_long_is_found_and_carries_full_frames(lab, family, mtu):
    way = Way(lab, mtu, family)
    way.wait_full()
    assert carries(way)
    way.wait_found(mtu)
    assert way.found()[1] in ("found by probes", "searching")
    assert counters(way.router)["parts_sent"] > 0 and way.has_no_fragments()


def test_a_way_that_shrinks_amid_a_transfer_ends_it_with_the_right_bytes(lab):
    way = Way(lab, 1500, MTU=1420)  # whole, a full frame is as long as the way takes
    way.wait_found(1500)
    ends = (way.router.namespace, way.gateway.namespace)
    transfer = BackgroundTransfer(*ends, way.gateway.v4, 6 << 20, 4 << 20)
    wait_for(transfer.received, 10, "the transfer is under way")
    way.is_of(1280)
    assert transfer.finish().is_intact
    assert 1272 < way.found()[0] <= 1280 and way.has_no_fragments()


def _fragmentation_needed(source, target, mtu):
    """Of a stranger, about a datagram of `source`: ICMP type 3, code 4."""
    udp = struct.pack("!HHHH", 51820, 51820, 1480, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    quoted = struct.pack("!BBHHHBBH", 0x45, 0, 1500, 1, 0x4000, 64, 17, 0) + ends + udp
    body = struct.pack("!HH", 0, mtu) + quoted
    total = sum(struct.unpack(f"!{len(body) // 2}H", body)) + 0x0304
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", 3, 4, ~total & 0xFFFF) + body


def test_a_forged_word_that_fragments_are_needed_changes_nothing(lab):
    way = Way(lab, 1500)
    way.wait_found(1500)
    router, gateway = way.wire
    kind = (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with gateway.namespace.inside(lambda: socket.socket(*kind)) as stranger:
        for mtu in (68, 576, 600):
            stranger.sendto(_fragmentation_needed(router.v4, gateway.v4, mtu), (router.v4, 0))
    route = router.namespace.ip("route", "get", gateway.v4)
    assert "mtu" in route, "the kernel believes it"
    before = counters(way.router)["parts_sent"]
    sent = ping(router.namespace, way.gateway.v4, count=20, interval=0.1, size=_FULL)
    assert sent.received == 20 and way.found() == (1500, "the link's")
    assert counters(way.router)["parts_sent"] - before == 2 * 20
    assert way.has_no_fragments()
