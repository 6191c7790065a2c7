# SPDX-License-Identifier: MIT
"""Poly1305 in vector lanes at the edges of its arithmetic, against big integers.

Through the AEAD no test gets there: it would have to know which key ChaCha20 gives to Poly1305.
"""

import random
import struct
import subprocess
from pathlib import Path

import pytest

from machine import native_build
from tests.native import crypto_ffi, test_crypto_cross as cross

SETS = ["sse2", "avx2", "avx512", "avx512ifma", "neon"]
P = 2**130 - 5
CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
_FUNCTION = (
    "int team_%s(const uint8_t *, const uint8_t *const *, const uint32_t *, uint32_t, uint8_t *);\n"
)


def _others():
    """What the files of the sets call."""
    left_out = ("aead_list", "aead_libcrypto", *(f"chacha20poly1305_{name}" for name in SETS))
    return [s for s in crypto_ffi.sources() if Path(s).stem not in left_out]


def _load():
    cdef = "".join(_FUNCTION % name for name in SETS)
    sources = [*_others(), *(f"tests/native/team/{name}.c" for name in SETS)]
    module = native_build.test_module("_test_team", cdef, "#include <stdint.h>\n" + cdef, sources)
    return module.ffi, module.lib


ffi, lib = _load()


def by_the_book(key, data):
    """RFC 8439, 2.5 and 2.8: the data padded, then the lengths."""
    r, s = int.from_bytes(key[:16], "little") & CLAMP, int.from_bytes(key[16:], "little")
    data = data + bytes(-len(data) % 16) + bytes(8) + len(data).to_bytes(8, "little")
    h = 0
    for i in range(0, len(data), 16):
        h = (h + int.from_bytes(data[i : i + 16] + b"\1", "little")) * r % P
    return ((h + s) % 2**128).to_bytes(16, "little")


def tags(name, messages):
    """The tags of [(key, data)]; None where this machine has no such lanes."""
    keys = b"".join(key + bytes(32) for key, _ in messages)
    buffers = [ffi.from_buffer("uint8_t[]", data) for _, data in messages]
    out = ffi.new("uint8_t[]", 16 * len(messages))
    lanes = getattr(lib, "team_" + name)(
        keys, ffi.new("const uint8_t *[]", buffers), [len(d) for _, d in messages],
        len(messages), out,
    )  # fmt: skip
    return lanes and [bytes(out[16 * i : 16 * i + 16]) for i in range(len(messages))]


def lanes_of(name):
    lanes = getattr(lib, "team_" + name)(
        b"", ffi.new("const uint8_t *[]", 1), [0], 0, ffi.new("uint8_t[16]")
    )
    if not lanes:
        pytest.skip(f"no {name} on this machine")
    return lanes


def near_the_prime(rng):
    """A message whose sum, with r = 1, ends a little below or above p, 2^128 or 2^130."""
    blocks = rng.choice([2, 2, 3, 5, 9])
    target = rng.choice([P, 2**128, 2**130, 2 * P]) + rng.randrange(-9, 10)
    length = 16 * blocks
    # h = sum of the blocks, each with 2^128, and of the lengths' block
    want = (target - (blocks + 1) * 2**128 - (length << 64)) % P
    values = [rng.choice([0, 2**128 - 1, rng.getrandbits(128)]) for _ in range(blocks - 2)]
    want = (want - sum(values)) % P
    first = min(want, 2**128 - 1) if rng.random() < 0.5 else min(want, rng.getrandbits(128))
    rest = want - first
    if rest >= 2**128:
        first = 2**128 - 1
        rest = min(want - first, 2**128 - 1)
    data = b"".join(v.to_bytes(16, "little") for v in [*values, first, rest])
    return (1).to_bytes(16, "little") + rng.choice([bytes(16), b"\xff" * 16]), data


def extreme(rng):
    edges = [0, 1, 3, 4, 0xFB, 0xFC, 0xFF]
    key = rng.choice([b"\xff" * 32, rng.randbytes(32), bytes(rng.choice(edges) for _ in range(32))])
    fill = rng.choice([b"\xff", b"\0", bytes([rng.choice(edges)])])
    data = bytearray(fill * rng.choice([0, 1, 15, 16, 17, 48, 63, 64, 65, 200, rng.randrange(700)]))
    for _ in range(rng.randrange(3)):
        if data:
            data[rng.randrange(len(data))] = rng.choice(edges)
    return key, bytes(data)


@pytest.mark.parametrize("make", [near_the_prime, extreme])
@pytest.mark.parametrize("name", SETS)
def test_every_lane_agrees_with_big_integers_at_the_edges(name, make):
    lanes, rng = lanes_of(name), random.Random(1305)
    for _ in range(600):
        messages = [make(rng) for _ in range(rng.choice([1, 2, lanes - 1, lanes]))]
        assert tags(name, messages) == [by_the_book(*m) for m in messages], messages


@pytest.mark.timeout(900)
@pytest.mark.parametrize("arch", ["arm", "aarch64"])
def test_neon_agrees_too_on_a_router_s_cpu(arch):
    rng, batches = random.Random(1305), []
    for _ in range(300):
        for make in (near_the_prime, extreme):
            batches.append([make(rng) for _ in range(rng.choice([1, 3, 4]))])
    words = bytearray()
    for messages in batches:
        words += struct.pack("<I", len(messages))
        for key, data in messages:
            words += key + struct.pack("<I", len(data)) + data
    sources = ["tests/native/team/main.c", "tests/native/team/neon.c", *_others()]
    command = cross.emulated(arch, cross.build(arch, "poly1305_lanes", sources))
    done = subprocess.run(command, input=bytes(words), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"".join(by_the_book(*m) for messages in batches for m in messages)


def test_the_messages_near_the_prime_reach_what_they_are_for():
    """Sums of which p must be taken away once more after the carries."""
    rng, found = random.Random(1305), set()
    for _ in range(600):
        key, data = near_the_prime(rng)
        h = sum(int.from_bytes(data[i : i + 16] + b"\1", "little") for i in range(0, len(data), 16))
        h += 2**128 + (len(data) << 64)
        found.add(h % P)
    assert set(range(5)) <= found and any(h > P - 6 for h in found)
