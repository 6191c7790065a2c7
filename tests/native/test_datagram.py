# SPDX-License-Identifier: MIT
"""Addresses and marks of a datagram: what is sent, taken for what was received."""

import pytest

from tests.native.plane_ffi import endpoint, ffi, lib

LINK = 7


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (endpoint(), endpoint()),
        (endpoint(local="192.0.2.9"), endpoint(local="192.0.2.9")),
        (endpoint("2001:db8::1", 500), endpoint("2001:db8::1", 500)),
        (
            endpoint("2001:db8::1", 500, local="2001:db8::2", ifindex=LINK),
            endpoint("2001:db8::1", 500, local="2001:db8::2"),  # the routes choose the link
        ),
        (endpoint("fe80::1", 500, scope=LINK), endpoint("fe80::1", 500, scope=LINK)),
        (
            endpoint("fe80::1", 500, local="fe80::2", scope=LINK),
            endpoint("fe80::1", 500, local="fe80::2", scope=LINK, ifindex=LINK),
        ),
    ],
)
@pytest.mark.parametrize("tos", [0, 1, 0x88, 0xFF])
def test_a_datagram_names_both_ends_and_the_link_where_addresses_need_it(sent, received, tos):
    record = ffi.new("unsigned char[48]", sent)
    assert lib.datagram_returned(record, tos) == tos
    assert bytes(record) == received
