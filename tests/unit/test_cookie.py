# SPDX-License-Identifier: MIT
"""cookie.py: the macs we write, the cookies we take."""

import hashlib

import pytest

from lab.fakes.port import FakePort
from tunlite.protocol import cookie, noise, wire

PUBLIC = bytes(range(1, 33))


def keyed(size, key, data):
    return hashlib.blake2s(bytes(data), key=bytes(key), digest_size=size).digest()


def reply(port, jar, value=b"c" * 16, mac1=None):
    """A cookie reply from the owner of PUBLIC to the last message."""
    nonce = bytes(range(24))
    key = hashlib.blake2s(b"cookie--" + PUBLIC).digest()
    sealed = bytearray(32)
    port.native.tl_seal(sealed, 32, key, nonce, 24, mac1 or jar.sent_mac1, 16, value, 16)
    return b"\x03\x00\x00\x00IIII" + nonce + bytes(sealed)


@pytest.mark.parametrize("size", [wire.INITIATION_SIZE, wire.RESPONSE_SIZE])
def test_mac1_is_over_all_before_it_and_mac2_is_zero_without_a_cookie(size):
    port, jar, message = FakePort(), cookie.Jar(), bytearray(range(size))
    message[-16:] = bytes(16)
    jar.add_macs(port, message, PUBLIC, 0)
    key = hashlib.blake2s(b"mac1----" + PUBLIC).digest()
    assert message[-32:-16] == keyed(16, key, message[:-32])
    assert message[-16:] == bytes(16)


def test_with_a_cookie_mac2_covers_mac1_too():
    port, jar = FakePort(), cookie.Jar()
    message = bytearray(148)
    jar.add_macs(port, message, PUBLIC, 0)
    assert jar.consume(port, reply(port, jar), PUBLIC, 1000)
    again = bytearray(148)
    jar.add_macs(port, again, PUBLIC, 2000)
    assert again[-16:] == keyed(16, b"c" * 16, again[:-16])


def test_a_cookie_is_forgotten_after_115_seconds():
    port, jar = FakePort(), cookie.Jar()
    jar.add_macs(port, bytearray(148), PUBLIC, 0)
    assert jar.consume(port, reply(port, jar), PUBLIC, 1000)
    message = bytearray(148)
    jar.add_macs(port, message, PUBLIC, 115_999)
    assert message[-16:] != bytes(16)
    message = bytearray(148)
    jar.add_macs(port, message, PUBLIC, 116_000)
    assert message[-16:] == bytes(16)
    assert jar.cookie is None


def test_a_reply_is_taken_once_and_only_for_a_message_we_sent():
    port, jar = FakePort(), cookie.Jar()
    assert not jar.consume(port, reply(port, jar, mac1=bytes(16)), PUBLIC, 0)
    jar.add_macs(port, bytearray(148), PUBLIC, 0)
    answer = reply(port, jar)
    assert jar.consume(port, answer, PUBLIC, 0)
    assert not jar.consume(port, answer, PUBLIC, 0)


@pytest.mark.parametrize("place", [8, 31, 32, 63])
def test_a_reply_with_a_flipped_bit_is_refused(place):
    port, jar = FakePort(), cookie.Jar()
    jar.add_macs(port, bytearray(148), PUBLIC, 0)
    forged = bytearray(reply(port, jar))
    forged[place] ^= 1
    assert not jar.consume(port, forged, PUBLIC, 0)
    assert jar.cookie is None


def test_a_reply_to_another_message_is_refused():
    port, jar = FakePort(), cookie.Jar()
    jar.add_macs(port, bytearray(148), PUBLIC, 0)
    assert not jar.consume(port, reply(port, jar, mac1=b"x" * 16), PUBLIC, 0)


def test_the_keys_are_hashes_of_label_and_public_key():
    port = FakePort()
    assert noise.mac1_key(port, PUBLIC) == hashlib.blake2s(b"mac1----" + PUBLIC).digest()
    assert noise.cookie_key(port, PUBLIC) == hashlib.blake2s(b"cookie--" + PUBLIC).digest()
