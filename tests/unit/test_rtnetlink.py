# SPDX-License-Identifier: MIT
"""rtnetlink bytes: link messages as Linux writes them."""

import struct

from hypothesis import given, strategies as st

from tunlite.port import rtnetlink


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
