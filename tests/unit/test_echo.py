# SPDX-License-Identifier: MIT
"""echo.py: echo requests, and what comes of them between daemons."""

import socket

from lab.fakes.net import Node, World
from tunlite.plane import plane as planes
from tunlite.protocol import echo

MARK = bytes(range(1, 11))
ENDS = {
    4: (socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2")),
    6: (socket.inet_pton(socket.AF_INET6, "fd00::1"), socket.inet_pton(socket.AF_INET6, "fd00::2")),
}


def test_an_ipv4_request_is_laid_out_as_rfc_792_has_it():
    """Its checksums are added up by hand."""
    expected = "45000024 00004000 400126d7 0a000001 0a000002 0800 deda 0102 0007 030405060708090a"
    assert echo.request(*ENDS[4], MARK, 7) == bytes.fromhex(expected)


def test_sums_over_the_header_and_what_follows_are_right():
    packet = echo.request(*ENDS[6], MARK, 65536 + 7)
    assert packet[:8] == bytes.fromhex("6000000000103a40")
    assert packet[40:42] == b"\x80\0" and packet[44:48] == b"\1\2\0\7"
    pseudo = packet[8:40] + bytes.fromhex("00000010 0000003a")
    assert echo.checksum(pseudo + packet[40:]) == 0


def test_between_daemons_an_answer_is_an_event_and_no_data():
    world = World()
    here, there = Node(world, b"\x0a\0\0\1").start(), Node(world, b"\x0a\0\0\2").start()
    peer = here.add(there, ENDS[4][1])
    there.add(here, ENDS[4][0])
    there.native.answers.add(ENDS[4][1])
    here.send(ENDS[4][1])
    world.run(0.2)
    there.received()
    before = here.interface.plane.state(peer.handle)
    here.interface.plane.arm(peer.handle, planes.ECHO | planes.ACTIVE)
    assert here.interface.plane.keepalive(peer.handle, echo.request(*ENDS[4], MARK, 1))
    told = []
    here.interface.exchange.event = lambda found, events, now_ms: told.append((found, events))
    world.run(0.2)
    assert told == [(peer, planes.ECHO)]
    assert (here.received(), there.received()) == ([], [])
    after = here.interface.plane.state(peer.handle)
    for number in (planes.SENT_DATA, planes.RECEIVED_DATA, planes.FIRST_UNREPLIED):
        assert after[number] == before[number]


def _address(text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return socket.inet_pton(family, text)


def _source(target, *rows):
    """rows: (address, bits, scope, flags)."""
    found = echo.source_for(_address(target), [(_address(row[0]), *row[1:]) for row in rows])
    return found and socket.inet_ntop(socket.AF_INET if len(found) == 4 else 10, found)


def test_an_echo_leaves_from_an_address_of_its_family_and_scope_that_is_nearest():
    site, near, own = ("fd00:1::5", 64, 0, 0), ("fd77::2", 64, 0, 0), ("fe80::2", 64, 253, 0)
    assert _source("fd77::1", own, site, near) == "fd77::2"
    assert _source("2001:db8::1", own, site, near) == "fd00:1::5"
    assert _source("fe80::1", site, near, own) == "fe80::2"
    assert _source("10.0.0.1", site, ("192.0.2.1", 24, 0, 0), ("10.0.0.9", 8, 0, 0)) == "10.0.0.9"


def test_an_address_that_may_not_be_used_yet_or_any_more_or_here_asks_nobody():
    for flags in (0x40, 0x20, 0x08):
        assert _source("fd77::1", ("fd77::2", 64, 0, flags)) is None
    assert _source("fd77::1", ("fe80::2", 64, 253, 0), ("10.0.0.1", 8, 0, 0)) is None
    assert _source("127.0.0.1", ("127.0.0.2", 8, 254, 0)) is None
    assert echo.source_for(_address("fd77::1"), ()) is None
