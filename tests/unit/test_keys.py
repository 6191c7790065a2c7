# SPDX-License-Identifier: MIT
"""Keys: base64 as wg(8) reads it, hex as UAPI has it."""

import base64
import os

import pytest
from hypothesis import given, strategies as st

from tunlite import keys

_KEY = st.binary(min_size=32, max_size=32)
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@given(_KEY)
def test_a_key_is_written_as_base64_and_read_back(key):
    assert bytes(keys.encode(key)) == base64.b64encode(key)
    assert keys.decode(keys.encode(key)) == key


def test_every_byte_that_is_not_base64_is_refused_at_every_place():
    good = bytearray(base64.b64encode(bytes(range(32))))
    for place in range(44):
        for char in range(256):
            text = bytearray(good)
            text[place] = char
            valid = char in _LETTERS
            if place == 42:
                valid = valid and _LETTERS.index(char) % 4 == 0  # two bits past the key
            if place == 43:
                valid = char == ord("=")
            if valid:
                assert bytes(keys.encode(keys.decode(text))) == text
            else:
                with pytest.raises(ValueError):
                    keys.decode(text)


@pytest.mark.parametrize("text", [b"", b"=", b"A" * 43, b"A" * 44 + b"=", b"A" * 45])
def test_a_key_of_another_length_is_refused(text):
    with pytest.raises(ValueError):
        keys.decode(text)


def test_an_error_never_quotes_the_key():
    text = bytearray(base64.b64encode(os.urandom(32)))
    text[5] = ord("!")
    with pytest.raises(ValueError) as refused:
        keys.decode(text)
    assert text.decode()[:8] not in str(refused.value)


def test_the_public_key_of_rfc_7748s_alice():
    private = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert keys.public_of(private).hex() == public


def test_a_secret_is_wiped_in_place():
    secret = bytearray(b"secret")
    keys.wipe(secret)
    assert secret == bytes(6)


@given(_KEY)
def test_hex_digits_survive_the_way_there_and_back(key):
    out = bytearray(32)
    digits = keys.hexed(key)
    assert digits == key.hex().encode()
    assert keys.unhex(out, digits)
    assert out == key
    assert keys.unhex(out, digits.upper())
    assert out == key


@given(st.integers(0, 63), st.integers(0, 255))
def test_anything_but_hex_digits_is_refused(place, byte):
    digits = bytearray(b"a" * 64)
    digits[place] = byte
    assert keys.unhex(bytearray(32), digits) == (bytes([byte]) in b"0123456789abcdefABCDEF")


def test_a_public_key_has_the_same_text_by_the_quick_way():
    for first in range(256):
        key = bytes([first]) + bytes(range(31))
        assert keys.text(key) == base64.b64encode(key).decode()
