# SPDX-License-Identifier: MIT
"""micropython/relr.py: the table against a decoder as the ABI describes it."""

import sys

import pytest
from hypothesis import given, strategies as st

from micropython import relr


def _decoded(words):
    """As a loader reads it: an even word is a place, an odd one has a bit for each of 63 more."""
    places, at = [], None
    for word in words:
        if not word & 1:
            places.append(word)
            at = word + 8
            continue
        places += [at + 8 * bit for bit in range(63) if word >> bit + 1 & 1]
        at += 63 * 8
    return places


@given(st.sets(st.integers(0, 3000)))
def test_every_place_is_found_again(numbers):
    places = sorted(8 * number for number in numbers)
    words = relr.encoded(places)
    assert _decoded(words) == places
    assert all(word < 1 << 64 for word in words)


def test_a_table_of_pointers_takes_a_bit_a_pointer():
    assert len(relr.encoded(list(range(0x1000, 0x1000 + 8 * 64, 8)))) == 2


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x02" + bytes(60)])
def test_what_has_no_such_table_stays_as_it_is(data):
    assert relr.packed(data) == data


def test_an_executable_that_is_linked_to_libraries_is_refused():
    with open(sys.executable, "rb") as file:
        data = file.read()
    with pytest.raises(ValueError, match="another kind"):
        relr.packed(data)
