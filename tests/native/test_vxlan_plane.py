# SPDX-License-Identifier: MIT
"""Encapsulation = vxlan on the whole packet path: frames at the device, WireGuard outside."""

import errno
import struct

import pytest

from tests.native.frames import ANY, frame, mac
from tests.native.plane_ffi import KEY_A, KEY_B, Plane, endpoint, seal, unseal
from tests.native.vxlan_packets import (
    LOCAL,
    REMOTE,
    frame_of,
    from_remote,
    ip,
    packed,
    tcp4,
    udp,
)

FAMILIES = pytest.mark.parametrize("family", [4, 6])
GLUON = {"family": 6, "vni": 4711, "port": 4789, "sums": 0}
MUNICH = {"family": 6, "vni": 99, "port": 8472, "sums": 1}
PLAIN = {"family": 4, "vni": 0, "port": 4789, "sums": 1}
DIALECTS = pytest.mark.parametrize("ends", [GLUON, MUNICH, PLAIN])
HERE, THERE = {f: packed(LOCAL[f]) for f in (4, 6)}, {f: packed(REMOTE[f]) for f in (4, 6)}


class Wrapped:
    """A plane with a vxlan and a gateway, spoken for by the test."""

    def __init__(self, ends=GLUON, mtu=1350, allowed=None, **options):
        self.family, self.vni = ends["family"], ends["vni"]
        self.port, self.sums = ends["port"], bool(ends["sums"])
        fields = {"vxlan_" + name: value for name, value in ends.items()}
        fields |= {"vxlan_local": HERE[self.family], "vxlan_remote": THERE[self.family]}
        self.plane = Plane(mtu=mtu, **{**fields, **options})
        self.where = endpoint()
        self.counter = 0
        if allowed is None:
            allowed = [f"{REMOTE[self.family]}/{32 if self.family == 4 else 128}"]
        self.peer = self.plane.peer(where=self.where)
        self.plane.routes([(prefix, self.peer) for prefix in allowed])
        self.index = self.plane.index(self.peer)

    def __enter__(self):
        self.plane.session(self.index)
        return self

    def __exit__(self, *_):
        self.plane.__exit__()

    def put(self, *frames):
        self.plane.put_inside(*frames)
        self.plane.turn(2)

    def sent(self):
        """The packets inside of what left, padded."""
        return [unseal(KEY_A, datagram)[2] for datagram in self.plane.take_outside()]

    def came(self, *packets, tos=0):
        """Packets of the gateway's; the frames that the device got."""
        for packet in packets:
            datagram = seal(KEY_B, self.index, self.counter, packet)
            self.plane.put_outside(datagram, where=self.where, tos=tos)
            self.counter += 1
        self.plane.turn(2)
        return self.plane.take_inside()

    def from_gateway(self, frame, **changes):
        changes = {"port": self.port, "vni": self.vni, "sums": self.sums, **changes}
        return from_remote(self.family, frame, **changes)

    def expected(self, packet, frame):
        """What the kernel's vxlan would send, with the port and number that `packet` has."""
        size = 20 if self.family == 4 else 40
        number = int.from_bytes(packet[4:6], "big") if self.family == 4 else 0
        sport = int.from_bytes(packet[size : size + 2], "big")
        here, there = HERE[self.family], THERE[self.family]
        inside = udp(frame, here, there, self.port, self.vni, self.sums, sport=sport)
        source, target = LOCAL[self.family], REMOTE[self.family]
        return ip(self.family, inside, 0, number, source=source, target=target)


@DIALECTS
@pytest.mark.parametrize("length", [14, 15, 42, 60, 61, 1364, 1368, 1372])
def test_a_frame_goes_out_and_comes_in_with_its_exact_length(ends, length):
    with Wrapped(ends) as wrapped:
        out = frame_of(length)
        wrapped.put(out)
        [packet] = wrapped.sent()
        size = len(out) + (36 if wrapped.family == 4 else 56)
        assert packet[:size] == wrapped.expected(packet, out)
        most = 1350 + 14 + (36 if wrapped.family == 4 else 56)
        assert packet[size:] == bytes(max(min(-size % 16, most - size), 0))
        assert wrapped.came(wrapped.from_gateway(out)) == [out]
        assert wrapped.plane.drops() == {}


@DIALECTS
def test_headers_of_a_frame_do_not_reach_into_the_one_before(ends):
    with Wrapped(ends) as wrapped:
        frames = [frame_of(60 + n) for n in range(8)]
        wrapped.put(*frames)
        packets = wrapped.sent()
        assert len(packets) == 8
        for packet, frame in zip(packets, frames, strict=True):
            expected = wrapped.expected(packet, frame)
            assert packet[: len(expected)] == expected


def test_without_an_address_of_theirs_frames_go_to_the_one_of_the_peer_in_use():
    """What is published says it; packets are what they would be had that been theirs before."""
    first, second = "fe80::a", "fe80::b"
    with Wrapped(MUNICH, vxlan_remote=bytes(16), allowed=[]) as wrapped:
        other = wrapped.plane.peer(where=endpoint("192.0.2.77"))
        out = frame_of(60)
        wrapped.put(out)
        assert wrapped.plane.drops() == {"no_route": 1}
        for peer, used in ((wrapped.peer, first), (other, second), (wrapped.peer, first)):
            pairs = [(first, wrapped.peer), (second, other)]
            rows = [(f"{a}/128", p, int(p != peer)) for a, p in pairs]
            wrapped.plane.routes(rows)
            wrapped.put(out)
            if peer == wrapped.peer:
                [packet] = wrapped.sent()
                inside = udp(
                    out, HERE[6], packed(used), 8472, 99, True, sport=packet[40] << 8 | packet[41]
                )
                expected = ip(6, inside, 0, 0, source=LOCAL[6], target=used)
                assert packet[: len(expected)] == expected
            else:
                assert wrapped.sent() == [] and wrapped.plane.state(other)["staged"] == 1


def test_padding_stops_where_a_frame_of_the_mtu_ends_and_follows_the_mtu():
    """Else full frames would be fragmented outside."""
    with Wrapped(mtu=1350) as wrapped:
        wrapped.put(frame_of(1364), frame_of(1363))
        assert [len(packet) for packet in wrapped.sent()] == [1420, 1420]
        wrapped.plane.call("plane_link", 0, 1340)
        wrapped.put(frame_of(1353))
        assert [len(packet) for packet in wrapped.sent()] == [1410]


def test_what_is_no_frame_or_longer_than_the_devices_mtu_with_two_tags_is_refused():
    with Wrapped(mtu=1350) as wrapped:
        wrapped.put(frame_of(14)[:13], frame_of(1350 + 22), frame_of(1350 + 23))
        assert len(wrapped.sent()) == 1
        assert wrapped.plane.drops() == {"device_bad_length": 2}


def test_no_frame_makes_a_packet_that_is_longer_than_its_header_can_say():
    with Wrapped(mtu=65535, pool_bytes=16 << 20) as wrapped:
        wrapped.put(frame_of(65535 - 56), frame_of(65535 - 55))
        [packet] = wrapped.sent()
        assert int.from_bytes(packet[4:6], "big") == 65535 - 40
        assert wrapped.plane.drops() == {"device_bad_length": 1}


def test_a_gateway_is_heard_if_its_address_is_among_its_allowed_ips_and_only_then():
    ends = {"family": 6, "vni": 4711, "port": 4789, "sums": 0}
    with Wrapped(ends, allowed=["fe80::1/128"]) as wrapped:
        forged = from_remote(6, frame_of(60), source="fe80::2")
        assert wrapped.came(forged) == []
        assert wrapped.plane.drops() == {"source_not_allowed": 1}
        assert wrapped.came(forged, wrapped.from_gateway(frame_of(60)), forged) == [frame_of(60)]
        assert wrapped.plane.drops() == {"source_not_allowed": 2}


def test_frames_go_to_whom_the_gateways_address_is_routed_and_nowhere_without():
    with Wrapped(allowed=["fd00::/8"]) as wrapped:
        wrapped.put(frame_of(60))
        assert wrapped.sent() == []
        assert wrapped.plane.drops() == {"no_route": 1}
        wrapped.plane.routes([("fe80::/64", wrapped.peer)])
        wrapped.put(frame_of(60), frame_of(61))
        assert len(wrapped.sent()) == 2


def test_of_two_gateways_with_one_address_the_one_in_use_gets_frames_and_both_are_heard():
    """As on layer 3: what a group does is a table of routes."""
    with Wrapped() as wrapped:
        plane, other = wrapped.plane, wrapped.plane.peer(where=endpoint("192.0.2.2"))
        index = plane.session(plane.index(other), b"\2\0\0\0")
        plane.routes([("fe80::1/128", wrapped.peer, True), ("fe80::1/128", other)])
        wrapped.put(frame_of(60))
        [datagram] = plane.take_outside()
        assert datagram[4:8] == b"\2\0\0\0"
        assert wrapped.came(wrapped.from_gateway(frame_of(60))) == [frame_of(60)]
        plane.put_outside(seal(KEY_B, index, 0, wrapped.from_gateway(frame_of(61))))
        plane.turn(2)
        assert plane.take_inside() == [frame_of(61)] and plane.drops() == {}


@DIALECTS
def test_a_checksum_may_be_missing_whatever_the_dialect_but_never_wrong(ends):
    with Wrapped(ends) as wrapped:
        both = [wrapped.from_gateway(frame_of(60), sums=sums) for sums in (False, True)]
        assert wrapped.came(*both) == [frame_of(60)] * 2
        assert wrapped.came(wrapped.from_gateway(frame_of(60), sum=1)) == []
        assert wrapped.plane.drops() == {"received_bad_frame": 1}


@FAMILIES
def test_what_is_inside_and_not_the_vxlans_is_counted_and_goes_nowhere(family):
    """A ping of the gateway's, another port, and an address that is not ours."""
    with Wrapped(GLUON if family == 6 else {**GLUON, "family": 4}) as wrapped:
        ping = ip(family, b"\x80\0" + bytes(14), protocol=58 if family == 6 else 1)
        other = {4: "10.1.0.8", 6: "fe80::9"}[family]
        elsewhere = wrapped.from_gateway(frame_of(60), target=other)
        port = wrapped.from_gateway(frame_of(60), port=4790)
        good = wrapped.from_gateway(frame_of(60))
        assert wrapped.came(ping, elsewhere, port, good) == [frame_of(60)]
        assert wrapped.plane.drops() == {"not_vxlan": 3}


@FAMILIES
@pytest.mark.parametrize(
    "changes, why",
    [
        ({"vni": 4712}, "wrong_vni"),
        ({"vni": 4711 + (1 << 23)}, "wrong_vni"),
        ({"flags": 0}, "received_bad_frame"),
        ({"flags": 0x0C << 24}, "received_bad_frame"),
        ({"low": 1}, "received_bad_frame"),
        ({"length": 7}, "received_bad_frame"),
        ({"length": 29}, "received_bad_frame"),
        ({"length": 4000}, "received_bad_frame"),
    ],
)
def test_a_vxlan_header_that_lies_is_a_counted_drop(family, changes, why):
    with Wrapped({**GLUON, "family": family}) as wrapped:
        lie = wrapped.from_gateway(frame_of(60), **changes)
        assert wrapped.came(lie, wrapped.from_gateway(frame_of(61))) == [frame_of(61)]
        assert wrapped.plane.drops() == {why: 1}


def test_whatever_length_a_packet_has_inside_nothing_but_a_whole_frame_comes_out():
    with Wrapped() as wrapped:
        good = wrapped.from_gateway(frame_of(80))
        for size in range(1, len(good) - 15):  # padding fills up what is less short
            assert wrapped.came(good[:size]) == []
            assert wrapped.plane.drops() == {"received_bad_length": 1}
        for size in range(len(good) - 40):
            short = ip(6, good[40 : 40 + size])
            assert wrapped.came(short) == []
            assert wrapped.plane.drops() == {"received_bad_frame": 1}


@pytest.mark.parametrize("inner, outer, becomes", [(1, 3, 3), (2, 3, 3), (2, 1, 1), (0, 1, 0)])
def test_congestion_on_the_way_is_told_in_the_frame(inner, outer, becomes):
    """From the outer header to the gateway's packet, and from that to what is in the frame."""
    with Wrapped() as wrapped:
        middle = wrapped.from_gateway(tcp4(inner), tos=inner)
        [came] = wrapped.came(middle, tos=outer)
        assert came[15] & 3 == becomes
        assert wrapped.plane.counters()["ecn_ce_not_ect"] == 0


@pytest.mark.parametrize("outer", [0, 3])
def test_congestion_that_a_frame_cannot_tell_is_counted_and_it_is_delivered(outer):
    """At either header that has it in front of one that is not ECN-capable."""
    with Wrapped() as wrapped:
        marked = wrapped.from_gateway(tcp4(0), tos=3 - outer)
        assert wrapped.came(marked, tos=outer) == [tcp4(0)]
        assert wrapped.plane.counters()["ecn_ce_not_ect"] == 1 and wrapped.plane.drops() == {}


def test_the_ecn_field_of_a_frame_is_outside_too_but_for_ce():
    with Wrapped() as wrapped:
        for tos, outer in ((0, 0), (1, 1), (2, 2), (3, 2)):
            wrapped.put(tcp4(tos))
            assert [row[2] for row in wrapped.plane.take_outside_all()] == [outer]


def test_frames_wait_for_a_session_and_go_wrapped_once():
    wrapped = Wrapped()
    try:
        wrapped.put(frame_of(60), frame_of(61))
        assert wrapped.plane.take_outside() == []
        wrapped.plane.session(wrapped.index)
        wrapped.plane.turn(2)
        sent = wrapped.sent()
        frames = [packet[56 : 56 + 60 + n] for n, packet in enumerate(sent)]
        assert frames == [frame_of(60), frame_of(61)]
        assert sent[0][: 56 + 60] == wrapped.expected(sent[0], frame_of(60))
    finally:
        wrapped.plane.__exit__()


def test_a_datagram_of_our_own_in_a_frame_ends_as_on_layer_3():
    """The default route leads into what stands on the device."""
    with Wrapped() as wrapped:
        wrapped.put(frame_of(60))
        [own] = wrapped.plane.take_outside()
        head = struct.pack("!HHHH", 0, 51820, 8 + len(own), 0)
        inner = ip(4, head + own, source="10.9.9.9", target="192.0.2.1")
        wrapped.put(frame(ANY, mac(1), inner, 0x0800))
        assert wrapped.plane.drops() == {"routing_loop": 1} and wrapped.sent() == []


def test_types_of_layer_2_are_none_here():
    with Wrapped() as wrapped:
        for kind in (5, 6):
            wrapped.plane.put_outside(bytes([kind, 0, 0, 0]) + wrapped.index + bytes(60))
        wrapped.plane.turn(2)
        assert wrapped.plane.drops() == {"bad_type": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {"layer": 2},
        {"vxlan_family": 5},
        {"vxlan_family": 260},
        {"vxlan_vni": 1 << 24},
        {"vxlan_port": 0},
        {"vxlan_port": 65536},
    ],
)
def test_ends_that_cannot_be_are_refused_with_the_options(changes):
    with pytest.raises(OSError) as refused:
        Wrapped(**changes)
    assert refused.value.errno == errno.EINVAL
