# SPDX-License-Identifier: MIT
"""rtnetlink bytes: link messages as Linux writes them."""

import struct

import pytest
from hypothesis import given, strategies as st

from tunlite.system import rtnetlink


def _link(kind=16, family=0, flags=1, name=b"wg0\0", mtu=1420):
    body = struct.pack("=BBHiII", family, 0, 65534, 7, flags, 0)
    for number, value in ((3, name), (4, struct.pack("=I", mtu))):
        padded = value + bytes(-len(value) % 4)
        body += struct.pack("=HH", 4 + len(value), number) + padded
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_a_link_message_gives_its_name_state_and_mtu():
    assert rtnetlink.parse_links(_link()) == [(7, "wg0", True, 1420, False)]
    assert rtnetlink.parse_links(_link(flags=0, mtu=9000)) == [(7, "wg0", False, 9000, False)]


def test_a_deleted_link_is_told_apart():
    assert rtnetlink.parse_links(_link(kind=17)) == [(7, "wg0", True, 1420, True)]


def test_a_port_that_leaves_its_bridge_is_no_deleted_link():
    assert rtnetlink.parse_links(_link(kind=17, family=7)) == []


def test_two_messages_in_one_datagram_are_both_read():
    assert len(rtnetlink.parse_links(_link() + _link(name=b"averylongname15\0"))) == 2


def test_a_cut_message_is_left_out():
    whole = _link()
    for n in range(len(whole)):
        assert rtnetlink.parse_links(whole[:n]) == []


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_raise_or_hang(data):
    rtnetlink.parse_links(data)


def test_a_name_of_any_bytes_hides_no_other_message():
    """Whoever may rename a link must not keep the daemon from seeing that its own was deleted."""
    rows = rtnetlink.parse_links(_link(name=b"\xff\xfe\0") + _link(kind=17))
    assert rows[0][0] == 7 and rows[1] == (7, "wg0", True, 1420, True)


def _route(family=2, bits=24, address=b"\xc0\0\2\0", kind=24, table=254):
    body = struct.pack("=BBBBBBBBI", family, bits, 0, 0, table & 255, 3, 0, 1, 0)
    rows = [(15, struct.pack("=I", table))] + [(1, address)] * bool(bits) + [(6, bytes(4))]
    for number, value in rows:
        body += struct.pack("=HH", 4 + len(value), number) + value
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def _covered(data):
    return rtnetlink.covered_by(rtnetlink.route_heads(data))


def test_a_route_that_comes_or_goes_gives_its_prefix():
    assert _covered(_route()) == {(4, 24): {0xC00002}}
    assert _covered(_route() + _route(bits=23)) == {(4, 24): {0xC00002}, (4, 23): {0x600001}}
    six = b"\x20\1\x0d\xb8" + bytes(12)
    assert _covered(_route(family=10, bits=32, address=six, kind=25)) == {(6, 32): {0x20010DB8}}
    assert _covered(_route(family=10, bits=128, address=six)) == {(6, 128): {0x20010DB8 << 96}}
    assert _covered(_route(bits=0)) == {(4, 0): {0}}


def test_a_rule_may_lead_everything_of_its_family_another_way():
    assert _covered(_route(kind=32)) == {(4, 0): {0}}
    assert _covered(_route(family=10, kind=33)) == {(6, 0): {0}}


def test_routes_of_other_families_and_other_messages_say_nothing():
    assert _covered(_route(family=28) + _route(kind=20) + _link()) == {}


def test_a_route_that_cannot_be_read_covers_everything():
    """To look at one endpoint too many is no harm; to miss one is."""
    assert _covered(_route(bits=33)) == {(4, 0): {0}}
    assert _covered(_route(address=b"\xc0\0")) == {(4, 0): {0}}


@given(st.binary(max_size=200))
def test_no_bytes_make_the_route_parser_raise(data):
    _covered(data)
    _covered(_route()[:16] + data)


def test_a_monitor_is_read_empty_and_tells_what_it_lost():
    def read_into(fd, room):
        if not waiting:
            raise OSError(11, "empty")
        room[:1] = waiting.pop()
        return 1

    waiting, taken = [b"a", b"b"], []
    rtnetlink.drain(read_into, 5, lambda data: taken.append(bytes(data)))
    assert taken == [b"b", b"a"]
    with pytest.raises(OSError):
        rtnetlink.drain(lambda fd, room: 1, 5, taken.append)
