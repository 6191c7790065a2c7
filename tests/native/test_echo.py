# SPDX-License-Identifier: MIT
"""Echoes of our own in a peer's session: no data, and their answers are known and taken out."""

import socket
import struct

import pytest

from tests.native.plane_ffi import (
    KEY_A,
    KEY_B,
    Plane,
    checksum,
    endpoint,
    ipv4,
    lib,
    seal,
    unseal,
)
from tunlite.protocol import echo

IDENTIFIER, DATA = b"\x12\x34", b"by chance"
EVENTS = 0x3F


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def icmp(kind, ends, sequence=1, identifier=IDENTIFIER, data=DATA, code=0, wrong=0):
    """An ICMP message with a right checksum, or one that is wrong by so much."""
    body = struct.pack("!BBH", kind, code, 0) + identifier + struct.pack("!H", sequence) + data
    pseudo = b"" if len(ends) == 8 else ends + struct.pack("!II", len(body), 58)
    right = checksum(pseudo + body + bytes(len(body) % 2))
    return body[:2] + struct.pack("!H", (right + wrong) & 0xFFFF) + body[4:]


def echo4(kind, source, target, fragment=0, head=b"", options=b"", **changes):
    ends = packed(source) + packed(target)
    body = icmp(kind, ends, **changes)
    size, words = 20 + len(options) + len(body), 0x45 + len(options) // 4
    head = head or struct.pack("!BBHHHBBH", words, 0, size, 7, fragment, 60, 1, 0)
    sum_ = struct.pack("!H", checksum(head + ends + options))
    return head[:10] + sum_ + ends + options + body


def echo6(kind, source, target, following=58, **changes):
    ends = packed(source) + packed(target)
    body = icmp(kind, ends, **changes)
    return struct.pack("!IHBB", 6 << 28, len(body), following, 60) + ends + body


class Probed:
    """A plane with a peer that an echo was sent to, from HERE to THERE."""

    def __init__(self, family):
        self.echo, self.request, self.answer = {4: (echo4, 8, 0), 6: (echo6, 128, 129)}[family]
        self.here, self.there = ("10.0.0.1", "10.0.0.2") if family == 4 else ("fd00::1", "fd00::2")
        self.plane = Plane()
        self.peer, self.other = self.plane.peer(), self.plane.peer(where=endpoint(port=7))
        self.plane.routes(
            [(p, self.peer) for p in ("10.0.0.0/24", "fd00::/64")]
            + [(p, self.other) for p in ("10.0.1.0/24", "fd00:1::/64")]
        )
        self.index = self.plane.session(self.plane.index(self.peer))
        self.counter = 0
        self.probe()
        self.plane.take_outside()

    def probe(self, **changes):
        packet = self.echo(self.request, self.here, self.there, **changes)
        self.plane.call("peer_keepalive", self.peer, packet, len(packet))

    def comes(self, packet, index=None):
        """Sealed by the peer; what came out at the device, and whether the event was told."""
        self.plane.arm(self.peer, EVENTS)
        self.plane.put_outside(seal(KEY_B, index or self.index, self.counter, packet))
        self.counter += 1
        self.plane.turn()
        told = self.plane.events().get(self.peer, 0)
        return self.plane.take_inside(), bool(told & lib.TL_PEER_ECHO)

    def answers(self, **changes):
        return self.comes(self.echo(self.answer, self.there, self.here, **changes))


@pytest.fixture(params=[4, 6])
def probed(request):
    made = Probed(request.param)
    with made.plane:
        yield made


def test_an_answer_is_told_and_does_not_reach_the_device(probed):
    assert probed.answers() == ([], True)
    counters = probed.plane.counters()
    assert (counters["echoes_sent"], counters["echoes_answered"]) == (1, 1)
    assert probed.plane.drops() == {}


def test_a_late_answer_and_a_second_one_are_told_too(probed):
    probed.probe(sequence=2)
    assert probed.answers(sequence=1) == ([], True)
    assert probed.answers(sequence=1) == ([], True)


def test_neither_is_data(probed):
    plane, before = probed.plane, probed.plane.state(probed.peer)
    plane.clock(500)
    plane.arm(probed.peer, lib.TL_PEER_ACTIVE)
    probed.probe(sequence=2)
    plane.put_outside(
        seal(KEY_B, probed.index, 9, probed.echo(probed.answer, probed.there, probed.here))
    )
    assert not plane.turn() & lib.TL_WOKE_PEERS
    after = plane.state(probed.peer)
    for name in ("sent_data", "received_data", "first_unanswered", "first_unreplied"):
        assert after[name] == before[name] == 0
    assert after["sent_any"] == after["received_any"] == before["sent_any"] + 500
    assert after["rx_bytes"] and after["tx_bytes"] > before["tx_bytes"]


def test_an_answer_ends_what_is_unanswered(probed):
    probed.plane.put_inside(ipv4("10.0.0.1", "10.0.0.2"))
    probed.plane.turn()
    assert probed.plane.state(probed.peer)["first_unanswered"]
    probed.answers()
    assert probed.plane.state(probed.peer)["first_unanswered"] == 0


def test_an_answer_confirms_a_newer_session(probed):
    newer = probed.plane.session(probed.plane.index(probed.peer), initiator=0, use=False)
    probed.plane.arm(probed.peer, lib.TL_PEER_CONFIRMED)
    packet = probed.echo(probed.answer, probed.there, probed.here)
    probed.plane.put_outside(seal(KEY_B, newer, 0, packet))
    assert probed.plane.turn() & lib.TL_WOKE_PEERS


def test_neither_asks_for_the_next_session_though_this_one_is_old(probed):
    probed.plane.clock(170_000)
    probed.plane.arm(probed.peer, lib.TL_PEER_REKEY)
    probed.probe(sequence=2)
    packet = probed.echo(probed.answer, probed.there, probed.here)
    probed.plane.put_outside(seal(KEY_B, probed.index, 0, packet))
    probed.plane.turn()
    assert probed.plane.events() == {}
    probed.plane.call("peer_keepalive", probed.peer, b"", 0)
    probed.plane.turn()
    assert probed.plane.events() == {probed.peer: lib.TL_PEER_REKEY}


def test_who_is_not_asked_for_it_is_told_nothing(probed):
    probed.plane.arm(probed.peer, 0)
    packet = probed.echo(probed.answer, probed.there, probed.here)
    probed.plane.put_outside(*(seal(KEY_B, probed.index, n, packet) for n in range(50)))
    assert not probed.plane.turn(5) & lib.TL_WOKE_PEERS
    assert probed.plane.take_inside() == []
    assert probed.plane.counters()["echoes_answered"] == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"identifier": b"\x12\x35"},
        {"data": b"by chancf"},
        {"data": b"by chance "},
        {"data": b"by chanc"},
        {"code": 1},
        {"wrong": 1},
    ],
)
def test_what_is_not_quite_the_answer_is_a_packet_like_any_other(probed, changes):
    arrived, told = probed.answers(**changes)
    assert len(arrived) == 1 and not told


def test_a_request_and_an_error_are_packets_like_any_other(probed):
    for kind in (probed.request, 3, 1):
        arrived, told = probed.comes(probed.echo(kind, probed.there, probed.here))
        assert len(arrived) == 1 and not told


def test_other_addresses_are_packets_like_any_other(probed):
    third = "10.0.0.3" if "." in probed.here else "fd00::3"
    for ends in ((third, probed.here), (probed.there, third), (probed.here, probed.there)):
        arrived, told = probed.comes(probed.echo(probed.answer, *ends))
        assert len(arrived) == 1 and not told


@pytest.mark.parametrize("fragment", [0x2000, 1, 0x2001, 0x1FFF])
def test_a_fragment_is_a_packet_like_any_other(fragment):
    probed = Probed(4)
    with probed.plane:
        arrived, told = probed.answers(fragment=fragment)
        assert len(arrived) == 1 and not told
        assert probed.answers(fragment=0x4000) == ([], True)


def test_other_headers_are_packets_like_any_other():
    probed = Probed(4)
    with probed.plane:
        good = probed.echo(0, probed.there, probed.here)
        bad_sum = good[:8] + b"\1" + good[9:]
        for packet in (bad_sum, echo4(0, probed.there, probed.here, options=bytes([1] * 4))):
            arrived, told = probed.comes(packet)
            assert len(arrived) == 1 and not told
    probed = Probed(6)
    with probed.plane:
        arrived, told = probed.answers(following=0)
        assert len(arrived) == 1 and not told


def test_another_peers_answer_does_not_count_for_the_one_that_was_asked(probed):
    """It may even send from there, as a member of one group may."""
    plane = probed.plane
    index = plane.session(plane.index(probed.other), remote=b"\2\0\0\0")
    assert probed.comes(probed.echo(probed.answer, probed.there, probed.here), index) == ([], False)
    assert plane.drops() == {"source_not_allowed": 1}
    net = "10.0.0.0/24" if "." in probed.here else "fd00::/64"
    plane.routes([(net, probed.peer, False), (net, probed.other, True)])
    arrived, told = probed.comes(probed.echo(probed.answer, probed.there, probed.here), index)
    assert len(arrived) == 1 and not told


def test_an_answer_from_what_the_peer_may_not_send_from_is_refused(probed):
    probed.plane.routes([("10.0.1.0/24", probed.peer), ("fd00:1::/64", probed.peer)])
    assert probed.answers() == ([], False)
    assert probed.plane.drops() == {"source_not_allowed": 1}


def test_a_standby_that_may_send_from_there_is_told_of(probed):
    net = "10.0.0.0/24" if "." in probed.here else "fd00::/64"
    probed.plane.routes([(net, probed.peer, True), (net, probed.other, False)])
    assert probed.answers() == ([], True)


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(),
        b"x",
        b"\x45" * 36,
        echo4(0, "10.0.0.1", "10.0.0.2"),
        echo6(129, "fd00::1", "fd00::2"),
        echo4(8, "10.0.0.1", "10.0.0.2", code=1),
        echo4(8, "10.0.0.1", "10.0.0.2", wrong=1),
        echo4(8, "10.0.0.1", "10.0.0.2", fragment=0x2000),
        echo4(8, "10.0.0.1", "10.0.0.2", options=bytes(4)),
        echo4(8, "10.0.0.1", "10.0.0.2", data=bytes(37)),
        echo6(128, "fd00::1", "fd00::2", following=17),
        echo4(8, "10.0.0.1", "10.0.0.2")[:30],
        echo4(8, "10.0.0.1", "10.0.0.2") + b"\0",
    ],
)
def test_what_is_no_echo_request_does_not_leave(packet):
    probed = Probed(4)
    with probed.plane:
        with pytest.raises(OSError, match="EINVAL"):
            probed.plane.call("peer_keepalive", probed.peer, packet, len(packet))
        assert probed.plane.take_outside() == []
        assert probed.answers() == ([], True)  # the one before is waited for still


def test_the_longest_request_is_64_bytes(probed):
    size = 64 - (28 if "." in probed.here else 48)
    probed.probe(data=bytes(size))
    [datagram] = probed.plane.take_outside()
    assert len(unseal(KEY_A, datagram)[2]) == 64
    assert probed.answers(data=bytes(size)) == ([], True)


def test_python_makes_requests_that_are_taken(probed):
    ends = packed(probed.here), packed(probed.there)
    packet = echo.request(*ends, IDENTIFIER + b"by chanc", 7)
    probed.plane.call("peer_keepalive", probed.peer, packet, len(packet))
    [datagram] = probed.plane.take_outside()
    assert unseal(KEY_A, datagram)[2] == packet + bytes(-len(packet) % 16)
    assert probed.answers(data=b"by chanc") == ([], True)


def test_frames_hold_no_echo():
    with Plane(layer=2, mtu=1500) as plane:
        peer = plane.peer()
        plane.session(plane.index(peer), pad=1)
        packet = echo4(8, "10.0.0.1", "10.0.0.2")
        with pytest.raises(OSError, match="EINVAL"):
            plane.call("peer_keepalive", peer, packet, len(packet))
        with pytest.raises(OSError, match="EINVAL"):
            plane.call("peer_keepalive", peer, packet, -1)


def test_without_a_session_it_does_not_wait_for_one(probed):
    plane = probed.plane
    packet = probed.echo(probed.request, probed.here, probed.there)
    with pytest.raises(OSError, match="ENOKEY"):
        plane.call("peer_keepalive", probed.other, packet, len(packet))
    assert plane.state(probed.other)["staged"] == 0
