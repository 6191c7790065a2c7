# SPDX-License-Identifier: MIT
"""Datagrams of our own that come back out of the device: which are known, and what is not ours."""

import struct

import pytest

from tests.native.plane_ffi import KEY_B, Plane, endpoint, ipv4, ipv6, seal

WAY_LOOPS = 0xFFFFFFFF
REMOTE = b"\x11\x22\x33\x44"
V4, V6 = "10.0.0.2", "fd00::2"
THERE = 51820  # the peer's port


def with_way(record, way):
    """An endpoint record with its last field set."""
    return record[:44] + struct.pack("<I", way)


@pytest.fixture
def plane():
    """A plane that listens, with one peer that sits inside the tunnel."""
    with Plane() as p:
        p.port = p.call("plane_listen", 0, bytes(4))
        p.peer_number = p.peer(["10.0.0.0/24", "fd00::/64"], where=endpoint(V4, THERE))
        p.index_bytes = p.session(p.index(p.peer_number), remote=REMOTE)
        yield p


def udp(plane, payload, dst=V4, source=None, port=THERE):
    """A UDP datagram as the device gives it back."""
    data = struct.pack("!HHHH", plane.port if source is None else source, port, 8 + len(payload), 0)
    data += payload
    if ":" in dst:
        packet = ipv6("fd00::1", dst, payload=data)
        return packet[:6] + bytes([17]) + packet[7:]
    packet = ipv4("10.0.0.1", dst, payload=data)
    return packet[:9] + bytes([17]) + packet[10:]


def drops_of(plane, packet):
    plane.put_inside(packet)
    plane.turn()
    return plane.drops(), len(plane.take_outside())


LOOP, GOES = ({"routing_loop": 1}, 0), ({}, 1)
SEALED = b"\4\0\0\0" + REMOTE + bytes(40)


def test_what_was_sealed_for_a_peer_does_not_go_to_it_again(plane):
    assert drops_of(plane, udp(plane, SEALED)) == LOOP


def test_the_same_over_ipv6_and_in_the_first_of_its_fragments(plane):
    plane.call("peer_endpoint", plane.peer_number, endpoint(V6, THERE))
    packet = udp(plane, SEALED, dst=V6)
    assert drops_of(plane, packet) == LOOP
    first = packet[:4] + struct.pack("!HB", len(packet) - 32, 44) + packet[7:40]
    first += bytes([17, 0, 0, 1, 1, 2, 3, 4]) + packet[40:]
    assert drops_of(plane, first) == LOOP
    later = first[:42] + b"\0\x11" + first[44:]
    assert drops_of(plane, later) == GOES
    assert drops_of(plane, udp(plane, SEALED)) == GOES, "its endpoint is another by now"


@pytest.mark.parametrize("kind", [1, 2])
def test_a_handshake_message_with_an_index_of_ours_ends_at_the_device(plane, kind):
    ours = plane.index(plane.peer_number)
    message = struct.pack("<I", kind) + ours + bytes(84)
    assert drops_of(plane, udp(plane, message, dst="10.0.0.77")) == LOOP
    plane.call("index_free", ours)
    assert drops_of(plane, udp(plane, message, dst="10.0.0.77")) == GOES


@pytest.mark.parametrize(
    "changes",
    [
        {"source": 1},
        {"port": THERE + 1},
        {"dst": "10.0.0.3"},
        {"payload": b"\4\0\0\0\x11\x22\x33\x45" + bytes(40)},
        {"payload": b"\3\0\0\0" + REMOTE + bytes(56)},
        {"payload": b"\4\1\0\0" + REMOTE + bytes(40)},
        {"payload": SEALED[:7]},
        {"payload": b""},
    ],
)
def test_what_only_looks_like_ours_goes_its_way(plane, changes):
    assert drops_of(plane, udp(plane, **{"payload": SEALED, **changes})) == GOES


def test_another_protocol_and_a_later_fragment_have_no_udp_header(plane):
    packet = udp(plane, SEALED)
    assert drops_of(plane, packet[:9] + bytes([6]) + packet[10:]) == GOES
    assert drops_of(plane, packet[:6] + b"\0\x05" + packet[8:]) == GOES
    assert drops_of(plane, b"\x41" + packet[1:]) == GOES, "its header says that it is none"
    assert drops_of(plane, b"\x4f" + packet[1:]) == GOES, "its header reaches over the index"


def test_only_the_session_that_sends_is_looked_for(plane):
    newer = plane.session(plane.index(plane.peer_number), remote=b"newr")
    assert drops_of(plane, udp(plane, SEALED)) == GOES
    message = b"\4\0\0\0newr" + bytes(40)
    assert drops_of(plane, udp(plane, message)) == LOOP
    plane.call("index_free", newer)
    assert drops_of(plane, udp(plane, message))[0] == {}


def test_a_datagram_for_another_peer_is_known_too(plane):
    """Two peers whose endpoints lie in each other's allowed IPs."""
    other = plane.call("peer_new")
    plane.call("peer_endpoint", other, endpoint("10.0.0.9", 9))
    plane.session(plane.index(other), remote=b"othr")
    message = b"\4\0\0\0othr" + bytes(40)
    assert drops_of(plane, udp(plane, message, dst="10.0.0.9", port=9)) == LOOP
    plane.call("peer_free", other)
    assert drops_of(plane, udp(plane, message, dst="10.0.0.9", port=9)) == GOES


def test_many_peers_with_indices_alike_are_told_apart(plane):
    made = []
    for i in range(100):
        peer = plane.call("peer_new")
        plane.call("peer_endpoint", peer, endpoint(V4, 1000 + i))
        remote = struct.pack("<I", (i % 7) << 16)
        plane.session(plane.index(peer), remote=remote)
        made.append((peer, remote, 1000 + i))
    for gone in made[::3]:
        plane.call("peer_free", gone[0])
    for i, (_, remote, port) in enumerate(made):
        message = b"\4\0\0\0" + remote + bytes(40)
        expected = LOOP if i % 3 else GOES
        assert drops_of(plane, udp(plane, message, port=port)) == expected
        assert drops_of(plane, udp(plane, message, port=port + 500)) == GOES


def test_an_endpoint_that_moves_is_known_at_its_new_place(plane):
    outside = endpoint("192.0.2.7", 7)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 0, b""), where=outside)
    assert drops_of(plane, udp(plane, SEALED)) == GOES
    plane.routes([("0.0.0.0/0", plane.peer_number)])
    assert drops_of(plane, udp(plane, SEALED, dst="192.0.2.7", port=7)) == LOOP


def test_what_comes_by_our_own_device_is_dropped_while_it_is_in_the_sockets_namespace(plane):
    inside = endpoint(V4, 7, local="10.0.0.1", ifindex=42)
    for counter, link in enumerate((0, 41)):
        plane.call("plane_link", link, 0)
        plane.put_outside(seal(KEY_B, plane.index_bytes, counter, ipv4()), where=inside)
        plane.turn()
        assert plane.take_inside() == [ipv4()] and plane.drops() == {}
    plane.call("plane_link", 42, 1400)
    before = plane.state(plane.peer_number)
    initiation = struct.pack("<I", 1) + bytes(144)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 5, ipv4()), initiation, where=inside)
    plane.turn()
    assert plane.drops() == {"routing_loop": 2}
    assert plane.state(plane.peer_number) == before
    outside = endpoint(V4, 7, ifindex=2)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 6, ipv4()), where=outside)
    plane.turn()
    assert plane.take_inside() == [ipv4()]


def test_nothing_is_sent_where_the_way_leads_into_our_own_device(plane):
    barred = with_way(endpoint("192.0.2.1"), WAY_LOOPS)
    plane.call("peer_endpoint", plane.peer_number, barred)
    assert drops_of(plane, ipv4()) == LOOP
    with pytest.raises(OSError, match="EDESTADDRREQ"):
        plane.call("peer_keepalive", plane.peer_number, b"", 0)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 0, b""), where=endpoint("192.0.2.1"))
    assert drops_of(plane, ipv4()) == LOOP, "heard from there, and still no way"
    plane.put_outside(seal(KEY_B, plane.index_bytes, 1, b""), where=endpoint("192.0.2.2"))
    assert drops_of(plane, ipv4()) == GOES
    assert plane.state(plane.peer_number)["endpoint"] == endpoint("192.0.2.2")


def test_a_link_that_the_route_has_left_tells_no_source(plane):
    there = ("192.0.2.1", 7)
    kept = with_way(endpoint(*there, local="10.2.0.2", ifindex=3), 2)
    plane.call("peer_endpoint", plane.peer_number, kept)
    old = endpoint(*there, local="10.1.0.2", ifindex=2)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 0, b""), where=old)
    plane.turn()
    assert plane.state(plane.peer_number)["endpoint"] == kept
    moved = endpoint("192.0.2.9", 9, local="10.1.0.2", ifindex=2)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 1, b""), where=moved)
    plane.turn()
    expected = with_way(endpoint("192.0.2.9", 9, ifindex=2), 2)
    assert plane.state(plane.peer_number)["endpoint"] == expected
    new = endpoint("192.0.2.9", 9, local="10.2.0.2", ifindex=3)
    plane.put_outside(seal(KEY_B, plane.index_bytes, 2, b""), where=new)
    plane.turn()
    assert plane.state(plane.peer_number)["endpoint"] == with_way(new, 2)


# ---- layer 2 ------------------------------------------------------------------------------------


@pytest.fixture
def bridge():
    with Plane(layer=2) as p:
        p.port = p.call("plane_listen", 0, bytes(4))
        p.peer_number = p.peer(where=endpoint(V4, THERE))
        p.index_bytes = p.session(p.index(p.peer_number), remote=REMOTE, pad=1)
        yield p


def framed(packet, tags=b""):
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return b"\2" * 12 + tags + kind + packet


@pytest.mark.parametrize("kind", [4, 5, 6])
@pytest.mark.parametrize("tags", [b"", b"\x81\0\0\5", b"\x88\xa8\0\1\x81\0\0\2"])
def test_a_message_of_our_own_in_a_frame_ends_at_the_device(bridge, kind, tags):
    sealed = bytes([kind, 0, 0, 0]) + REMOTE + bytes(40)
    assert drops_of(bridge, framed(udp(bridge, sealed), tags)) == LOOP
    bridge.call("peer_endpoint", bridge.peer_number, endpoint(V6, THERE))
    assert drops_of(bridge, framed(udp(bridge, sealed, dst=V6), tags)) == LOOP


def test_a_handshake_message_of_ours_in_a_frame_does_too(bridge):
    ours = bridge.index(bridge.peer_number)
    message = b"\1\0\0\0" + ours + bytes(84)
    assert drops_of(bridge, framed(udp(bridge, message, dst="10.0.0.77"))) == LOOP


def test_frames_that_hold_no_such_packet_go_their_way(bridge):
    packet = udp(bridge, SEALED)
    for inner in (
        framed(packet)[:14],
        framed(packet)[:20],
        framed(packet)[:40],
        b"\2" * 12 + b"\x43\5" + packet,
        b"\2" * 12 + b"\x86\xdd" + packet,
        framed(packet, b"\x81\0\0\5" * 3),
        framed(udp(bridge, b"\7\0\0\0" + REMOTE + bytes(40))),
        framed(b"\x4f" + packet[1:]),
    ):
        assert drops_of(bridge, inner) == GOES
