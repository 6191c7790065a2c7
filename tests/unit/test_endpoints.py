# SPDX-License-Identifier: MIT
"""Endpoints as text and as records."""

import pytest

from tunlite import endpoints


def test_endpoints_are_literal_or_names():
    assert endpoints.literal("192.0.2.1:51820") == (4, bytes([192, 0, 2, 1]), 51820, "")
    family, packed, port, scope = endpoints.literal("[fe80::1%eth0]:1")
    assert (family, packed[-1], port, scope) == (6, 1, 1, "eth0")
    assert endpoints.literal("vpn.example.org:51820") is None
    assert endpoints.split("vpn.example.org:51820") == ("vpn.example.org", 51820)


@pytest.mark.parametrize("endpoint", ["192.0.2.1:1", "[2001:db8::1]:51820", "[fe80::1%eth0]:2"])
def test_an_endpoint_is_written_as_it_was_read(endpoint):
    assert endpoints.formatted(*endpoints.literal(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", "host:0", "host:65536", "::1:51820", "[::1]", "[::1]51820", ":1", "[x:1"],
)
def test_a_bad_endpoint_is_refused(text):
    with pytest.raises(ValueError):
        endpoints.split(text)


def test_a_record_gives_back_its_parts_and_its_text():
    record = endpoints.record(6, bytes(15) + b"\1", 51820, 3)
    assert len(record) == endpoints.SIZE
    assert endpoints.parts(record) == (6, bytes(15) + b"\1", 51820, 3)
    assert endpoints.text(record) == "[::1%3]:51820"
    assert endpoints.text(endpoints.record(4, bytes([192, 0, 2, 1]), 7)) == "192.0.2.1:7"
    assert endpoints.text(endpoints.NOWHERE) == ""
