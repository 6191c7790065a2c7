# SPDX-License-Identifier: MIT
"""ICMP for packets of the device that nobody can be given."""

import socket
import struct

import pytest

from tests.native.plane_ffi import Plane, checksum, ipv4, ipv6, lib

NOBODY4, NOBODY6 = "10.0.9.9", "fd00:9::9"
BURST = 50


@pytest.fixture
def plane():
    """A plane with one peer, 10.0.0.0/24 and fd00::/64, and no session."""
    with Plane() as p:
        p.only = p.peer(["10.0.0.0/24", "fd00::/64"])
        yield p


def of4(payload, protocol, **changes):
    """An IPv4 packet to nobody."""
    packet = bytearray(ipv4(dst=NOBODY4, payload=payload, **changes))
    packet[9] = protocol
    return bytes(packet)


def of6(payload, following, **changes):
    """An IPv6 packet to nobody; what follows its header."""
    packet = bytearray(ipv6(dst=NOBODY6, payload=payload, **changes))
    packet[6] = following
    return bytes(packet)


def even(data):
    return data + bytes(len(data) % 2)


def told4(answer):
    """(source, destination, type, code, the packet it is about); the checksums are right."""
    assert answer[0] == 0x45 and answer[9] == 1
    assert struct.unpack("!H", answer[2:4]) == (len(answer),)
    assert checksum(answer[:20]) == checksum(even(answer[20:])) == 0
    return *map(socket.inet_ntoa, (answer[12:16], answer[16:20])), *answer[20:22], answer[28:]


def told6(answer):
    assert answer[0] >> 4 == 6 and answer[6] == 58
    assert struct.unpack("!H", answer[4:6]) == (len(answer) - 40,)
    covered = answer[8:40] + struct.pack("!II", len(answer) - 40, 58) + answer[40:]
    assert checksum(even(covered)) == 0
    ends = [socket.inet_ntop(socket.AF_INET6, a) for a in (answer[8:24], answer[24:40])]
    return *ends, *answer[40:42], answer[48:]


def answers(plane, *packets):
    plane.put_inside(*packets)
    plane.turn(20)
    assert plane.take_outside() == []
    return plane.take_inside()


def test_what_is_in_nobodys_allowed_ips_is_answered_as_the_kernels_wireguard_does(plane):
    four, six = ipv4(dst=NOBODY4, payload=b"odd"), ipv6(dst=NOBODY6, payload=b"odd")
    one, other = answers(plane, four, six)
    assert told4(one) == (NOBODY4, "10.0.0.1", 3, 1, four)
    assert told6(other) == (NOBODY6, "fd00::1", 1, 3, six)
    assert plane.drops() == {"no_route": 2}


def test_what_has_a_peer_without_an_address_is_answered_too(plane):
    plane.call("peer_endpoint", plane.only, bytes(48))
    four, six = ipv4(), ipv6()
    one, other = answers(plane, four, six)
    assert told4(one) == ("10.0.0.2", "10.0.0.1", 3, 1, four)
    assert told6(other) == ("fd00::2", "fd00::1", 1, 3, six)
    assert plane.drops() == {"no_endpoint": 2}


def test_a_packet_that_waits_for_a_session_is_not_answered(plane):
    assert answers(plane, ipv4(), ipv6()) == []


def test_an_answer_quotes_as_much_as_its_family_lets_it(plane):
    four, six = ipv4(dst=NOBODY4, payload=b"x" * 1300), ipv6(dst=NOBODY6, payload=b"y" * 1300)
    one, other = answers(plane, four, six)
    assert (len(one), told4(one)[4]) == (576, four[: 576 - 28])
    assert (len(other), told6(other)[4]) == (1280, six[: 1280 - 48])


ECHO4, ECHO6 = b"\x08" + bytes(7), b"\x80" + bytes(7)


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(dst=NOBODY4),
        of4(ECHO4, 1),
        of4(b"\x00" + bytes(7), 1),
        of4(bytes(20), 6),
        ipv6(dst=NOBODY6),
        of6(ECHO6, 58),
        of6(bytes(20), 6),
        of6(b"\x3a\x00" + bytes(6) + ECHO6, 60),  # behind destination options
        of6(b"\x11\x00\x00\x01" + bytes(12), 44),  # the first fragment
    ],
)
def test_questions_and_data_are_answered(plane, packet):
    assert len(answers(plane, packet)) == 1


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_an_icmp_error_is_not_answered(plane, kind):
    assert answers(plane, of4(bytes([kind]) + bytes(7), 1)) == []


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 127, 137])
@pytest.mark.parametrize(
    ("following", "before"),
    [
        (58, b""),
        (0, b"\x3a\x00" + bytes(6)),
        (60, b"\x2b\x01" + bytes(14) + b"\x3a\x00" + bytes(6)),
        (44, b"\x3a\x00\x00\x01" + bytes(4)),
        (51, b"\x3a\x01" + bytes(10)),
    ],
    ids=["plain", "hop", "options-routing", "fragment", "authentication"],
)
def test_an_icmpv6_error_is_not_answered_wherever_it_stands(plane, following, before, kind):
    assert answers(plane, of6(before + bytes([kind]) + bytes(7), following)) == []


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(dst="224.0.0.5"),
        ipv4(dst="239.1.2.3"),
        ipv4(dst="255.255.255.255"),
        ipv4(src="0.0.0.0", dst=NOBODY4),
        ipv4(src="224.0.0.1", dst=NOBODY4),
        ipv4(src="255.255.255.255", dst=NOBODY4),
        ipv6(dst="ff02::1"),
        ipv6(src="::", dst=NOBODY6),
        ipv6(src="ff02::1", dst=NOBODY6),
    ],
)
def test_what_is_not_from_one_host_to_one_host_is_not_answered(plane, packet):
    assert answers(plane, packet) == []


@pytest.mark.parametrize(
    "packet",
    [
        of4(b"", 1),  # no type
        bytes([0x44]) + ipv4(dst=NOBODY4)[1:],  # a header of 16 bytes
        bytes([0x4F]) + ipv4(dst=NOBODY4)[1:],  # or of more than there are
        ipv4(dst=NOBODY4)[:6] + b"\x00\x01" + ipv4(dst=NOBODY4)[8:],
        ipv4(dst=NOBODY4)[:6] + b"\x3f\xff" + ipv4(dst=NOBODY4)[8:],
        of6(b"", 58),
        of6(b"", 0),
        of6(b"\x3a\xff" + bytes(6) + ECHO6, 0),  # options longer than the packet
        of6(b"\x00\x00" + bytes(6) + b"\x00\x00" * 40, 0),  # one header behind the other
        of6(b"\x11\x00\x00\x08" + bytes(12), 44),  # a later fragment
    ],
)
def test_later_fragments_and_what_cannot_be_read_are_not_answered(plane, packet):
    assert answers(plane, packet) == []
    assert plane.drops() == {"no_route": 1}


def test_a_flood_is_answered_by_a_burst_and_then_one_a_millisecond(plane):
    flood = [ipv4(dst=NOBODY4)] * 500
    assert len(answers(plane, *flood)) == BURST
    plane.clock(7)
    assert len(answers(plane, *flood)) == 7
    plane.clock(10_000)
    assert len(answers(plane, *flood)) == BURST


def test_a_full_device_gets_one_answer_and_keeps_its_turn(plane):
    plane.call("fake_room", lib.TL_FAKE_DEVICE, 0)
    assert answers(plane, *[ipv4(dst=NOBODY4)] * 20) == []
    plane.call("fake_room", lib.TL_FAKE_DEVICE, -1)
    plane.turn()
    assert len(plane.take_inside()) == 1


def test_no_frame_of_layer_2_is_answered():
    with Plane(layer=2) as plane:  # which has no peer
        assert answers(plane, b"\xff" * 12 + b"\x08\x00" + ipv4(dst=NOBODY4)) == []
        assert plane.drops() == {"no_route": 1}
