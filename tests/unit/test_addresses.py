# SPDX-License-Identifier: MIT
"""Addresses as text, against the C library and against Python's own ipaddress."""

import ipaddress
import socket

import pytest
from hypothesis import example, given, strategies as st

from tunlite import addresses

_V4 = st.binary(min_size=4, max_size=4)
_V6 = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF]), min_size=8, max_size=8).map(
        lambda groups: b"".join(g.to_bytes(2, "big") for g in groups)
    ),
)


@given(_V4)
def test_ipv4_is_written_and_read_back(packed):
    text = addresses.format_address(4, packed)
    assert text == socket.inet_ntop(socket.AF_INET, packed)
    assert addresses.parse_address(text) == (4, packed)


@given(_V6)
def test_ipv6_is_written_as_rfc_5952_and_read_back(packed):
    text = addresses.format_address(6, packed)
    if packed[:12] != bytes(10) + b"\xff\xff":
        assert text == str(ipaddress.IPv6Address(packed))
    assert addresses.parse_address(text) == (6, packed)


@given(st.text(alphabet="0123456789abcfg:.", max_size=24))
@example("::ffff:1.2.3.4")
@example("1.2.3.4::")
@example("1::1.2.3.4")
@example("::1.2.3")
@example("1:2:3:4:5:6:7::")
@example("1:2:3:4:5:6:7:8::")
@example(":::")
@example("1.2.3.04")
def test_text_is_an_address_exactly_when_the_c_library_says_so(text):
    def reference():
        for family, number in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
            try:
                return number, socket.inet_pton(family, text)
            except OSError:
                pass
        return None

    try:
        mine = addresses.parse_address(text)
    except ValueError:
        mine = None
    assert mine == reference()


@given(_V6, st.integers(0, 128))
def test_host_bits_are_zeroed(packed, bits):
    wanted = ipaddress.IPv6Network((packed, bits), strict=False).network_address.packed
    assert addresses.network((6, packed, bits)) == (6, wanted, bits)


def test_a_prefix_without_a_length_is_one_address():
    assert addresses.parse_prefix("10.1.2.3") == (4, bytes([10, 1, 2, 3]), 32)
    assert addresses.parse_prefix("::1")[2] == 128
    assert addresses.format_prefix(addresses.parse_prefix("10.1.2.3/8")) == "10.1.2.3/8"


@pytest.mark.parametrize("text", ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "/8", "x/8"])
def test_a_bad_prefix_is_refused(text):
    with pytest.raises(ValueError):
        addresses.parse_prefix(text)
