# SPDX-License-Identifier: MIT
"""noise.py against a second implementation, message by message and bit by bit."""

import hashlib

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings, strategies as st

from lab.fakes.initiation import consume
from lab.fakes.port import FakePort
from tests.unit import noise_oracle
from tunlite.protocol import noise as handshake, wire

KEY = st.binary(min_size=32, max_size=32)
STAMP = b"\x40\x00\x00\x00\x6a\x00\x00\x00\x12\x00\x00\x00"


class Them(handshake.Remote):
    def __init__(self, public, psk=None):
        super().__init__(public)
        self.psk = bytearray(psk or 32)


def finish(steps):
    """Runs a generator to its end: (its result, the number of its yields)."""
    count = 0
    try:
        while True:
            next(steps)
            count += 1
    except StopIteration as e:
        return e.value, count


class Pair:
    """An initiator and a responder that know each other; `did` is what they did, in order."""

    def __init__(self, seed=1, psk=None, construction=wire.CONSTRUCTION):
        self.did = []
        self.port = FakePort(seed=seed)
        self.noise = handshake.Noise(
            self.port, construction, wire.IDENTIFIER, lambda: self.did.append("turn")
        )
        self.a = handshake.Identity(self.noise, self.port.random_bytes(32))
        self.b = handshake.Identity(self.noise, self.port.random_bytes(32))
        self.b_of_a = Them(self.b.public, psk)
        self.a_of_b = Them(self.a.public, psk)

    def find(self, public):
        return self.a_of_b if public == self.a.public else None

    def initiate(self, index=b"AAAA", stamp=STAMP):
        return finish(handshake.initiate(self.noise, self.a, self.b_of_a, index, stamp))[0]

    def consume(self, message):
        return finish(consume(self.noise, self.b, message, self.find))[0]

    def answer(self, state, message):
        steps = handshake.consume_response(self.noise, self.a, self.b_of_a, state, message)
        return finish(steps)[0]


def keys(state, initiator):
    out = bytearray(64)
    state.session_keys(out, initiator)
    return bytes(out[:32]), bytes(out[32:])


def test_both_sides_derive_mirrored_keys():
    pair = Pair(psk=bytes(range(32)))
    state, message = pair.initiate()
    theirs, them, stamp = pair.consume(message)
    assert them is pair.a_of_b
    assert stamp == STAMP
    assert theirs.remote == b"AAAA"
    response, _ = finish(handshake.respond(theirs, them, b"BBBB"))
    ours = pair.answer(state, response)
    assert ours.remote == b"BBBB"
    send, receive = keys(ours, True)
    assert (receive, send) == keys(theirs, False)
    assert send != receive


def _told(did, what, call):
    def telling(*arguments):
        did.append(what)
        return call(*arguments)

    return telling


def _record(pair):
    """Multiplications and other primitives go to pair.did as well."""
    pair.port.x25519 = _told(pair.did, "x25519", pair.port.x25519)
    for name in ("tl_blake2s", "tl_kdf", "tl_seal", "tl_open", "tl_wipe", "tl_random"):
        call = getattr(pair.port.native, name)
        setattr(pair.port.native, name, _told(pair.did, "other", call))


def _steps(pair, running):
    """A generator's result and what each of its steps did."""
    steps = []
    while True:
        del pair.did[:]
        try:
            next(running)
        except StopIteration as e:
            return e.value, [*steps, pair.did[:]]
        steps.append(pair.did[:])


def test_packets_turn_right_before_and_right_after_each_multiplication():
    pair = Pair()
    _record(pair)
    for first in (True, False):
        (state, message), begin = _steps(
            pair, handshake.initiate(pair.noise, pair.a, pair.b_of_a, b"AAAA", STAMP)
        )
        (theirs, them, _), heard = _steps(pair, consume(pair.noise, pair.b, message, pair.find))
        response, answer = _steps(pair, handshake.respond(theirs, them, b"BBBB"))
        _, end = _steps(
            pair, handshake.consume_response(pair.noise, pair.a, pair.b_of_a, state, response)
        )
        for side in (begin + end, heard + answer):
            # The first handshake with a peer also computes the product of both static keys.
            assert sum(step.count("x25519") for step in side) == (5 if first else 4)
            for step in side:
                at = step.index("x25519") if "x25519" in step else None
                assert step.count("x25519") <= 1
                assert at is None or step[at - 1 : at + 2] == ["turn", "x25519", "turn"]
                assert step.count("turn") == 2 * step.count("x25519")


def test_our_own_public_key_is_made_between_two_turns():
    pair = Pair()
    _record(pair)
    del pair.did[:]
    handshake.Identity(pair.noise, bytearray(range(32)))
    assert pair.did == ["turn", "x25519", "turn"]


@settings(max_examples=30, deadline=None)
@given(a=KEY, b=KEY, psk=KEY, seed=st.integers(0, 1 << 30))
def test_our_initiation_is_read_and_answered_by_the_second_implementation(a, b, psk, seed):
    port = FakePort(seed=seed)
    noise = handshake.Noise(port, wire.CONSTRUCTION, wire.IDENTIFIER, lambda: None)
    me = handshake.Identity(noise, bytearray(a))
    other = noise_oracle.Party("responder", wire.CONSTRUCTION, wire.IDENTIFIER, b, psk)
    them = Them(other.s_public, psk)
    (state, message), _ = finish(handshake.initiate(noise, me, them, b"AAAA", STAMP))
    assert message[:8] == b"\x01\x00\x00\x00AAAA"
    assert other.read(bytes(message[8:116])) == STAMP
    assert other.rs == me.public
    answer = b"\x02\x00\x00\x00BBBBAAAA" + other.write(b"", bytes(port.random_bytes(32)))
    answer += bytes(32)
    ours, _ = finish(handshake.consume_response(noise, me, them, state, answer))
    assert keys(ours, True) == other.split()[::-1]


@settings(max_examples=30, deadline=None)
@given(a=KEY, b=KEY, psk=KEY, seed=st.integers(0, 1 << 30))
def test_we_read_and_answer_the_initiation_of_the_second_implementation(a, b, psk, seed):
    port = FakePort(seed=seed)
    noise = handshake.Noise(port, wire.CONSTRUCTION, wire.IDENTIFIER, lambda: None)
    me = handshake.Identity(noise, bytearray(a))
    args = ("initiator", wire.CONSTRUCTION, wire.IDENTIFIER, b, psk, me.public)
    other = noise_oracle.Party(*args)
    them = Them(other.s_public, psk)
    message = b"\x01\x00\x00\x00IIII" + other.write(STAMP, bytes(port.random_bytes(32)))
    message += bytes(32)
    steps = consume(noise, me, message, lambda public: them)
    (state, _, stamp), _ = finish(steps)
    assert stamp == STAMP
    response, _ = finish(handshake.respond(state, them, b"RRRR"))
    assert response[:12] == b"\x02\x00\x00\x00RRRRIIII"
    assert other.read(bytes(response[12:60])) == b""
    assert keys(state, False) == other.split()[::-1]


@pytest.mark.parametrize("place", [8, 39, 40, 87, 88, 115])
def test_a_flipped_bit_anywhere_in_an_initiation_is_refused(place):
    pair = Pair()
    _, message = pair.initiate()
    message[place] ^= 1
    with pytest.raises(handshake.HandshakeError):
        pair.consume(message)


@pytest.mark.parametrize("place", [12, 43, 44, 59])
def test_a_flipped_bit_in_a_response_is_refused_and_the_attempt_goes_on(place):
    pair = Pair()
    state, message = pair.initiate()
    theirs, them, _ = pair.consume(message)
    response, _ = finish(handshake.respond(theirs, them, b"BBBB"))
    forged = bytearray(response)
    forged[place] ^= 1
    with pytest.raises(handshake.HandshakeError):
        pair.answer(state, forged)
    assert keys(pair.answer(state, response), True) == keys(theirs, False)[::-1]


def test_a_different_preshared_key_is_refused_by_the_initiator():
    pair = Pair(psk=bytes(range(32)))
    pair.a_of_b.psk = bytearray(32)
    state, message = pair.initiate()
    theirs, them, _ = pair.consume(message)
    response, _ = finish(handshake.respond(theirs, them, b"BBBB"))
    with pytest.raises(handshake.HandshakeError, match="not authentic"):
        pair.answer(state, response)


def test_an_unknown_peer_is_refused_before_its_stamp_is_opened():
    pair = Pair()
    _, message = pair.initiate()
    pair.find = lambda public: None
    with pytest.raises(handshake.HandshakeError, match="unknown peer"):
        pair.consume(message)


@pytest.mark.parametrize("low", [bytes(32), b"\x01" + bytes(31)])
def test_points_of_low_order_are_refused(low):
    pair = Pair()
    _, message = pair.initiate()
    message[8:40] = low
    with pytest.raises(handshake.HandshakeError, match="low order"):
        pair.consume(message)
    with pytest.raises(handshake.HandshakeError, match="low order"):
        finish(handshake.initiate(pair.noise, pair.a, Them(low), b"AAAA", STAMP))


def test_another_construction_cannot_read_our_initiation():
    ours, others = Pair(), Pair(construction=b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s L2")
    _, message = ours.initiate()
    with pytest.raises(handshake.HandshakeError, match="not authentic"):
        others.consume(message)


def test_secrets_are_wiped_when_keys_are_derived():
    pair = Pair()
    state, message = pair.initiate()
    theirs, them, _ = pair.consume(message)
    finish(handshake.respond(theirs, them, b"BBBB"))
    keys(theirs, False)
    assert bytes(theirs._secret) == bytes(192)
    state.wipe()
    assert bytes(state._secret) == bytes(192)


def test_what_is_hashed_is_wiped_since_one_of_it_is_made_of_the_preshared_key():
    pair = Pair(psk=bytes(range(32)))
    hash_of = pair.port.native.tl_blake2s
    hashed = []

    def remember(out, out_len, key, key_len, data, data_len):
        if key is None:
            hashed.append((bytes(data), data))
        return hash_of(out, out_len, key, key_len, data, data_len)

    state, message = pair.initiate()
    theirs, them, _ = pair.consume(message)
    pair.port.native.tl_blake2s = remember
    finish(handshake.respond(theirs, them, b"BBBB"))
    assert len(hashed) == 3  # the ephemeral key, the preshared key's part, the empty payload
    assert all(bytes(buffer) == bytes(len(before)) for before, buffer in hashed)


@pytest.mark.parametrize("steps", range(5))
def test_a_handshake_closed_at_any_step_leaves_no_secret(steps, monkeypatch):
    pair = Pair()
    seen = []
    make = handshake.Handshake

    def remember(*args):
        seen.append(make(*args))
        return seen[-1]

    monkeypatch.setattr(handshake, "Handshake", remember)
    running = handshake.initiate(pair.noise, pair.a, pair.b_of_a, b"AAAA", STAMP)
    for _ in range(min(steps, 3)):
        next(running)
    running.close()
    assert all(bytes(state._secret) == bytes(192) for state in seen)
    assert len(seen) == (1 if steps else 0)


def test_the_names_hash_to_what_the_paper_calls_the_first_chaining_key():
    noise = handshake.Noise(FakePort(), wire.CONSTRUCTION, wire.IDENTIFIER, None)
    chain = hashlib.blake2s(wire.CONSTRUCTION).digest()
    assert noise.chain == chain
    assert noise.hash == hashlib.blake2s(chain + wire.IDENTIFIER).digest()


def test_the_second_implementation_refuses_what_is_not_authentic():
    a = noise_oracle.keypair(bytes(range(32)))[1]
    other = noise_oracle.Party("responder", wire.CONSTRUCTION, wire.IDENTIFIER, bytes(range(32)))
    assert other.s_public == a
    with pytest.raises(InvalidTag):
        other.read(b"\x09" + bytes(107))


def test_a_remote_has_a_key_of_its_own_only_once_it_is_given_one_and_wipes_it():
    native = FakePort().native
    one, other = handshake.Remote(bytes(32)), handshake.Remote(bytes(32))
    one.wipe(native)
    one.set_psk(b"k" * 32)
    one.keep_static(bytearray(b"s" * 32))
    key, shared = one.psk, one.static_static
    assert key == b"k" * 32 and other.psk == bytes(32)
    one.set_psk(b"l" * 32)
    assert one.psk is key and key == b"l" * 32
    one.wipe(native)
    assert key == shared == bytes(32) and one.static_static is None
