# SPDX-License-Identifier: MIT
"""Every AEAD implementation: against OpenSSL, against its neighbours, and against damage."""

import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.native import crypto_ffi

ffi, lib = crypto_ffi.load()
LONGEST = 2048
GUARD = 64


def _built():
    found = []
    while lib.aead_list[len(found)] != ffi.NULL:
        found.append(lib.aead_list[len(found)])
    return {ffi.string(a.name).decode(): a for a in found}


BUILT = _built()
AVAILABLE = {name: a for name, a in BUILT.items() if a.available()}
each = pytest.mark.parametrize("name", AVAILABLE)


class Packet:
    """One operation with room around its bytes that must stay as it was."""

    def __init__(self, key, counter, length, offset=0):
        self.key, self.counter, self.length, self.offset = key, counter, length, offset
        self.nonce = bytes(4) + counter.to_bytes(8, "little")
        self.plain = random.Random(counter * 4099 + length).randbytes(length)

    def sealed(self):
        return ChaCha20Poly1305(self.key).encrypt(self.nonce, self.plain, None)

    def clear(self):
        """In the clear, as associated data of an empty message."""
        return self.plain + ChaCha20Poly1305(self.key).encrypt(self.nonce, b"", self.plain)


class Batch:
    """Runs packets through one implementation; sources and targets apart, or the same bytes."""

    def __init__(self, name, packets, in_place):
        self.aead, self.packets, self.in_place = AVAILABLE[name], packets, in_place
        self.keys = [ffi.from_buffer(bytearray(p.key)) for p in packets]

    def _run(self, function, inputs):
        sources = [
            bytearray(GUARD + p.offset) + i + bytes(16 + GUARD)
            for p, i in zip(self.packets, inputs, strict=True)
        ]
        targets = sources if self.in_place else [bytearray(b"\x55" * len(s)) for s in sources]
        before = [bytes(t) for t in targets]
        ops = ffi.new("struct aead_op[]", max(len(inputs), 1))
        for op, p, key, s, t in zip(ops, self.packets, self.keys, sources, targets, strict=False):
            op.key, op.counter, op.len = key, p.counter, p.length
            op.src = ffi.from_buffer(s) + GUARD + p.offset
            op.dst = ffi.from_buffer(t) + GUARD + p.offset
        function(ops, len(inputs))
        for p, t, b, i in zip(self.packets, targets, before, inputs, strict=True):
            at = GUARD + p.offset
            end = (
                at + p.length + (16 if function in (self.aead.seal, self.aead.authenticate) else 0)
            )
            if function == self.aead.authenticate:
                at += p.length
            if function == self.aead.verify:
                end = at
            if self.in_place and function == self.aead.open:
                end = at + len(i)  # the tag's place is the implementation's to use
            assert t[:at] == b[:at]
            assert t[end:] == b[end:]
        return ops, [
            bytes(t[GUARD + p.offset :]) for p, t in zip(self.packets, targets, strict=True)
        ]

    def seal(self):
        ops, out = self._run(self.aead.seal, [p.plain for p in self.packets])
        assert all(op.ok for op in ops[0 : len(out)])
        return [o[: p.length + 16] for o, p in zip(out, self.packets, strict=True)]

    def open(self, sealed):
        ops, out = self._run(self.aead.open, sealed)
        return [
            o[: p.length] if op.ok else None
            for o, p, op in zip(out, self.packets, ops, strict=False)
        ]

    def authenticate(self):
        ops, out = self._run(self.aead.authenticate, [p.plain for p in self.packets])
        assert all(op.ok for op in ops[0 : len(out)])
        return [o[: p.length + 16] for o, p in zip(out, self.packets, strict=True)]

    def verify(self, clear):
        ops, _ = self._run(self.aead.verify, clear)
        return [op.ok for op in ops[0 : len(clear)]]


def _key(i):
    return random.Random(i).randbytes(32)


def _check(name, packets, in_place):
    sealed = Batch(name, packets, in_place).seal()
    for got, p in zip(sealed, packets, strict=True):
        assert got == p.sealed(), (name, p.length, p.counter)
    opened = Batch(name, packets, in_place).open(sealed)
    for got, p in zip(opened, packets, strict=True):
        assert got == p.plain, (name, p.length, p.counter)
    clear = Batch(name, packets, True).authenticate()
    for got, p in zip(clear, packets, strict=True):
        assert got == p.clear(), (name, p.length, p.counter)
    assert Batch(name, packets, True).verify(clear) == [True] * len(packets)


def test_the_list_ends_with_portable_and_names_are_unique():
    names = [ffi.string(a.name).decode() for a in BUILT.values()]
    assert names[-1] == "portable"
    assert AVAILABLE["portable"]
    assert len(set(names)) == len(names)


@each
@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in place"])
def test_every_length_alone_agrees_with_openssl(name, in_place):
    for length in range(LONGEST + 1):
        _check(name, [Packet(_key(1), length, length)], in_place)


@each
@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in place"])
def test_every_length_in_batches_of_neighbours_agrees_with_openssl(name, in_place):
    for start in range(0, LONGEST + 1, 37):
        packets = [Packet(_key(1), n, n) for n in range(start, min(start + 37, LONGEST + 1))]
        _check(name, packets, in_place)


@each
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 64, 100])
def test_a_batch_of_equal_packets_of_any_number_agrees_with_openssl(name, count):
    for length in (0, 16, 64, 96, 1424):
        _check(name, [Packet(_key(2), 1000 + i, length) for i in range(count)], True)


@each
def test_mixed_lengths_keys_and_alignments_in_one_batch_agree_with_openssl(name):
    rng = random.Random(20)
    for _ in range(60):
        packets = []
        for _ in range(rng.randrange(1, 70)):
            length = rng.choice(
                [0, 1, 15, 16, 31, 48, 64, 80, 512, 1420, 1424, rng.randrange(LONGEST)]
            )
            counter = rng.choice([0, 1, 2**32 - 1, 2**32, 2**64 - 1, rng.getrandbits(64)])
            packets.append(Packet(_key(rng.randrange(5)), counter, length, rng.randrange(9)))
        _check(name, packets, rng.random() < 0.5)


@each
def test_packets_of_9_and_16_and_64_kilobytes_agree_with_openssl(name):
    packets = [Packet(_key(3), i, n) for i, n in enumerate([9000, 16384, 65519, 8192, 100, 65519])]
    _check(name, packets, False)
    _check(name, packets[::-1], True)


@each
def test_every_flipped_bit_is_refused_and_only_in_its_packet(name):
    packets = [Packet(_key(4), 7 + i, 40 + 31 * i) for i in range(9)]
    sealed = [p.sealed() for p in packets]
    for victim in (0, 3, 8):
        for bit in range(len(sealed[victim]) * 8):
            damaged = bytearray(sealed[victim])
            damaged[bit // 8] ^= 1 << bit % 8
            opened = Batch(name, packets, False).open(
                sealed[:victim] + [bytes(damaged)] + sealed[victim + 1 :]
            )
            assert [o is None for o in opened] == [i == victim for i in range(9)]


@each
def test_every_flipped_bit_in_the_clear_is_refused_and_only_in_its_packet(name):
    packets = [Packet(_key(4), 7 + i, 40 + 31 * i) for i in range(9)]
    clear = [p.clear() for p in packets]
    for victim in (0, 3, 8):
        for bit in range(len(clear[victim]) * 8):
            damaged = bytearray(clear[victim])
            damaged[bit // 8] ^= 1 << bit % 8
            sent = clear[:victim] + [bytes(damaged)] + clear[victim + 1 :]
            verified = Batch(name, packets, True).verify(sent)
            assert verified == [i != victim for i in range(9)]


@each
def test_what_is_sealed_never_passes_for_what_is_in_the_clear(name):
    packets = [Packet(_key(4), 7 + i, n) for i, n in enumerate([1, 15, 16, 64, 700, 1424] * 3)]
    assert not any(Batch(name, packets, True).verify([p.sealed() for p in packets]))
    assert Batch(name, packets, True).open([p.clear() for p in packets]) == [None] * 18
    tags = [p.sealed()[: p.length] + p.clear()[p.length :] for p in packets]
    assert Batch(name, packets, True).open(tags) == [None] * 18


@each
def test_no_plaintext_of_a_forged_packet_is_left(name):
    packets = [
        Packet(_key(5), i, n) for i, n in enumerate([0, 1, 64, 700, 1424, 1424, 2000, 64, 65] * 2)
    ]
    for in_place in (False, True):
        sealed = [bytearray(p.sealed()) for p in packets]
        for s in sealed[::2]:
            s[-1] ^= 0x80
        batch = Batch(name, packets, in_place)
        ops, out = batch._run(batch.aead.open, sealed)
        for i, (p, s, o) in enumerate(zip(packets, sealed, out, strict=True)):
            assert ops[i].ok == (i % 2 == 1)
            if ops[i].ok:
                assert o[: p.length] == p.plain
            else:
                untouched = bytes(s[: p.length]) if in_place else b"\x55" * p.length
                assert o[: p.length] in (untouched, bytes(p.length))


@each
def test_wrong_key_counter_or_length_is_refused(name):
    packet = Packet(_key(6), 99, 1000)
    sealed = packet.sealed()
    for key, counter, length in [
        (_key(7), 99, 1000),
        (_key(6), 98, 1000),
        (_key(6), 99 + 2**32, 1000),
        (_key(6), 99, 999),
    ]:
        changed = [Packet(key, counter, length)]
        assert Batch(name, changed, False).open([sealed]) == [None]
        assert Batch(name, changed, True).verify([packet.clear()]) == [False]


def test_find_gives_the_named_one_and_null_for_others():
    for name, a in BUILT.items():
        assert lib.aead_find(name.encode()) == (a if name in AVAILABLE else ffi.NULL)
    assert lib.aead_find(b"rot13") == ffi.NULL
    assert lib.aead_find(b"") == ffi.NULL


def test_choose_gives_an_available_one():
    chosen = lib.aead_choose()
    assert ffi.string(chosen.name).decode() in AVAILABLE
