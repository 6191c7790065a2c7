# SPDX-License-Identifier: MIT
"""The ciphers and the hash: published vectors, and Python's own implementations as the oracle."""

import hashlib
import hmac
import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests import vectors
from tests.native import crypto_ffi

VECTORS = crypto_ffi.ROOT / "tests/vectors"
ffi, lib = crypto_ffi.load()
POLY1305 = {"32": lib.poly1305_32, "64": lib.poly1305_64}


def _read(name, kind):
    found = vectors.read(VECTORS / name, kind)
    assert found
    return found


def _bytes(data):
    return ffi.new("struct bytes *", {"p": ffi.from_buffer(data), "len": len(data)})[0]


def _stream(key, nonce, counter, data):
    state = ffi.new("struct chacha20 *")
    words = [int.from_bytes(nonce[i : i + 4], "little") for i in (0, 4, 8)]
    lib.chacha20_init(state, key, words)
    state.word[12] = counter
    out = bytearray(len(data))
    lib.chacha20_xor(state, ffi.from_buffer(out), data, len(data))
    return bytes(out)


@pytest.mark.parametrize("v", _read("rfc8439.txt", "chacha20"), ids=lambda v: v["where"])
def test_chacha20_gives_the_key_stream_of_rfc_8439(v):
    assert _stream(v["key"], v["nonce"], v["counter"], v["input"]) == v["output"]


@pytest.mark.parametrize("v", _read("rfc8439.txt", "poly1305 key"), ids=lambda v: v["where"])
def test_block_zero_starts_with_the_poly1305_key(v):
    state = ffi.new("struct chacha20 *")
    lib.chacha20_init(
        state, v["key"], [int.from_bytes(v["nonce"][i : i + 4], "little") for i in (0, 4, 8)]
    )
    block = bytearray(64)
    lib.chacha20_block(state, ffi.from_buffer(block))
    assert block[:32] == v["output"]
    assert state.word[12] == 1


@pytest.mark.parametrize("v", _read("xchacha.txt", "hchacha20"), ids=lambda v: v["where"])
def test_hchacha20_gives_the_draft_s_subkey(v):
    out = bytearray(32)
    lib.hchacha20(ffi.from_buffer(out), v["key"], v["nonce"])
    assert out == v["output"]


def _tag(poly, key, data):
    state = ffi.new("struct poly1305 *")
    tag = bytearray(16)
    poly.init(state, key)
    poly.blocks(state, data, len(data) // 16)
    poly.final(state, ffi.from_buffer(tag))
    return bytes(tag)


@pytest.mark.parametrize("words", POLY1305)
@pytest.mark.parametrize("v", _read("rfc8439.txt", "poly1305"), ids=lambda v: v["where"])
def test_poly1305_gives_the_tags_of_rfc_8439(v, words):
    assert _tag(POLY1305[words], v["key"], v["input"]) == v["tag"]


def _poly1305_by_the_book(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    h = 0
    for i in range(0, len(data), 16):
        h = (h + int.from_bytes(data[i : i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((h + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


@pytest.mark.parametrize("words", POLY1305)
def test_poly1305_agrees_with_big_integers_on_extreme_and_random_words(words):
    rng = random.Random(1305)
    edges = [0, 1, 3, 4, 0xFB, 0xFC, 0xFF]
    for _ in range(3000):
        key = (
            bytes(rng.choice(edges) for _ in range(32)) if rng.random() < 0.5 else rng.randbytes(32)
        )
        fill = rng.choice([rng.randbytes(16), b"\xff" * 16, bytes([rng.choice(edges)]) * 16])
        data = b"".join(rng.choice([fill, rng.randbytes(16)]) for _ in range(rng.randrange(1, 9)))
        assert _tag(POLY1305[words], key, data) == _poly1305_by_the_book(key, data), (key, data)


def _seal(function, key, nonce, ad, data):
    out = bytearray(len(data) + 16)
    function(ffi.from_buffer(out), key, nonce, _bytes(ad), _bytes(data))
    return bytes(out)


def _open(function, key, nonce, ad, data):
    out = bytearray(b"\xaa" * max(len(data) - 16, 0))
    ok = function(ffi.from_buffer(out), key, nonce, _bytes(ad), _bytes(data))
    return ok, bytes(out)


SINGLE = [(lib.aead_seal_ad, lib.aead_open_ad, v) for v in _read("rfc8439.txt", "aead")]
SINGLE += [
    (lib.xaead_seal_ad, lib.xaead_open_ad, v) for v in _read("xchacha.txt", "xchacha20poly1305")
]


@pytest.mark.parametrize("seal, open_, v", SINGLE, ids=[v["where"] for _, _, v in SINGLE])
def test_a_message_with_associated_data_seals_and_opens_as_published(seal, open_, v):
    assert _seal(seal, v["key"], v["nonce"], v["ad"], v["input"]) == v["output"]
    assert _open(open_, v["key"], v["nonce"], v["ad"], v["output"]) == (True, v["input"])


@pytest.mark.parametrize("seal, open_, v", SINGLE, ids=[v["where"] for _, _, v in SINGLE])
def test_a_flipped_bit_anywhere_is_refused_and_leaves_zeros(seal, open_, v):
    zeros = bytes(len(v["input"]))
    for name in ("key", "nonce", "ad", "output"):
        for bit in range(len(v[name]) * 8):
            changed = bytearray(v[name])
            changed[bit // 8] ^= 1 << bit % 8
            w = {**v, name: bytes(changed)}
            assert _open(open_, w["key"], w["nonce"], w["ad"], w["output"]) == (False, zeros)


def test_a_message_shorter_than_a_tag_is_refused():
    key, nonce = bytes(32), bytes(24)
    for length in range(16):
        assert _open(lib.aead_open_ad, key, nonce, b"", bytes(length)) == (False, b"")
        assert _open(lib.xaead_open_ad, key, nonce, b"", bytes(length)) == (False, b"")


def test_messages_of_every_length_agree_with_openssl_in_place_too():
    rng = random.Random(8439)
    for length in range(200):
        key, nonce, ad = rng.randbytes(32), rng.randbytes(12), rng.randbytes(length * 7 % 67)
        data = rng.randbytes(length)
        want = ChaCha20Poly1305(key).encrypt(nonce, data, ad)
        assert _seal(lib.aead_seal_ad, key, nonce, ad, data) == want
        both = bytearray(data + bytes(16))
        p = ffi.from_buffer(both)
        inside = ffi.new("struct bytes *", {"p": p, "len": length})[0]
        lib.aead_seal_ad(p, key, nonce, _bytes(ad), inside)
        assert both == want
        inside.len += 16
        assert lib.aead_open_ad(p, key, nonce, _bytes(ad), inside)
        assert both[:length] == data


def _blake2s(data, out_len=32, key=b""):
    out = bytearray(out_len)
    lib.blake2s(ffi.from_buffer(out), out_len, key, len(key), data, len(data))
    return bytes(out)


@pytest.mark.parametrize("v", _read("rfc7693.txt", "blake2s"), ids=lambda v: v["where"])
def test_blake2s_hashes_as_rfc_7693_shows(v):
    assert _blake2s(v["input"]) == v["output"]


def _sequence(length, seed):
    """Appendix E's test data."""
    a, b = 0xDEAD4BAD * seed & 0xFFFFFFFF, 1
    out = bytearray()
    for _ in range(length):
        a, b = b, (a + b) & 0xFFFFFFFF
        out.append(b >> 24)
    return bytes(out)


def test_blake2s_passes_the_self_test_of_rfc_7693():
    parts = []
    for out_len in (16, 20, 28, 32):
        for in_len in (0, 3, 64, 65, 255, 1024):
            data = _sequence(in_len, in_len)
            parts.append(_blake2s(data, out_len))
            parts.append(_blake2s(data, out_len, _sequence(out_len, out_len)))
    assert _blake2s(b"".join(parts)) == _read("rfc7693.txt", "blake2s self-test")[0]["output"]


def test_blake2s_agrees_with_hashlib_at_every_length_and_however_it_is_fed():
    rng = random.Random(7693)
    for length in range(300):
        data = rng.randbytes(length)
        key = rng.randbytes(length % 33)
        out_len = 1 + length % 32
        want = hashlib.blake2s(data, digest_size=out_len, key=key).digest()
        assert _blake2s(data, out_len, key) == want
        state = ffi.new("struct blake2s *")
        out = bytearray(out_len)
        lib.blake2s_init(state, out_len, key, len(key))
        at = 0
        while at < length:
            n = rng.randrange(1, 90)
            lib.blake2s_update(state, data[at : at + n], len(data[at : at + n]))
            at += n
        lib.blake2s_final(state, ffi.from_buffer(out))
        assert out == want
        assert not any(bytes(ffi.buffer(state)))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_kdf_is_hkdf_over_hmac_blake2s(n):
    rng = random.Random(n)
    for length in (0, 1, 32, 64, 100):
        key, data = rng.randbytes(32), rng.randbytes(length)
        secret = hmac.new(key, data, hashlib.blake2s).digest()
        want = t = b""
        for i in range(n):
            t = hmac.new(secret, t + bytes([i + 1]), hashlib.blake2s).digest()
            want += t
        out = bytearray(32 * n)
        lib.blake2s_kdf(ffi.from_buffer(out), n, key, data, length)
        assert out == want
        out[:32] = key  # the chaining key is read from where the first output goes
        p = ffi.from_buffer(out)
        lib.blake2s_kdf(p, n, p, data, length)
        assert out == want


def test_ct_equal_sees_every_bit():
    a = bytes(range(32))
    assert lib.ct_equal(a, a, 32)
    assert lib.ct_equal(a, bytes(32), 0)
    for bit in range(256):
        b = bytearray(a)
        b[bit // 8] ^= 1 << bit % 8
        assert not lib.ct_equal(a, bytes(b), 32)
        assert lib.ct_equal(a, bytes(b), bit // 8)


def test_ct_wipe_leaves_zeros_and_nothing_past_the_end():
    a = bytearray(b"\xff" * 40)
    lib.ct_wipe(ffi.from_buffer(a), 33)
    assert a == bytes(33) + b"\xff" * 7
