# SPDX-License-Identifier: MIT
"""The four bytes of layer 2, and handshakes that carry them, against a second implementation."""

import pytest
from hypothesis import given, settings, strategies as st

from lab.fakes.initiation import consume
from lab.fakes.port import FakePort
from tests.unit import noise_oracle
from tests.unit.test_noise import KEY, STAMP, Pair, Them, finish, keys
from tunlite.config import values
from tunlite.protocol import layer, noise, wire


def test_the_four_bytes_are_version_mode_and_the_longest_frame():
    assert layer.says(2, 1532) == b"\x01\x02" + (1554).to_bytes(2, "little")
    assert layer.says(0, 65535) == b"\x01\x00\xff\xff"
    assert layer.heard(layer.says(1, 1500)) == (1, 1522)


def test_a_later_version_is_heard_as_ours_and_bits_that_are_not_known_are_nothing():
    assert layer.heard(b"\x07\xfe\x00\x01") == (2, 256)
    assert layer.heard(b"\x01\x03\xff\xff") == (3, 65535)


def test_nobody_takes_less_than_a_frame_s_header():
    assert layer.heard(bytes((1, 0, 13, 0))) == layer.heard(bytes((1, 0, 0, 0))) == (0, 14)


@pytest.mark.parametrize("said", [b"", b"\x01\x00\x00", b"\x01\x00\x00\x00\x00", bytes(4)])
def test_four_bytes_too_few_too_many_or_of_version_0_are_refused(said):
    with pytest.raises(noise.HandshakeError, match="of no version"):
        layer.heard(said)


def test_a_list_of_modes_is_read_and_written():
    assert layer.modes_of("authentic, on") == (1, 0)
    assert layer.text_of((1, 0, 2)) == "authentic,on,off"
    assert layer.text_of((3,)) == "mode 3"
    for text in ("", "on,on", "none", "on,,off"):
        with pytest.raises(ValueError):
            layer.modes_of(text)


def test_a_file_and_the_protocol_call_the_modes_alike():
    for mode in layer.MODES:
        assert values.PARSERS["modes"](mode) == mode
    assert values.PARSERS["modes"](" ".join(layer.MODES)) == ",".join(layer.MODES)


@settings(max_examples=20, deadline=None)
@given(a=KEY, b=KEY, psk=KEY, first=KEY, said=st.binary(min_size=4, max_size=4))
def test_initiation_and_response_carry_them_to_the_second_implementation(a, b, psk, first, said):
    port = FakePort()
    ours = noise.Noise(port, wire.CONSTRUCTION, layer.IDENTIFIER, lambda: None)
    me = noise.Identity(ours, bytearray(a))
    other = noise_oracle.Party("responder", wire.CONSTRUCTION, b"tunlite L2 v1", b, psk)
    them = Them(other.s_public, psk)
    (state, message), _ = finish(noise.initiate(ours, me, them, b"AAAA", STAMP + said))
    assert len(message) == 152 and message[:8] == b"\x01\0\0\0AAAA"
    assert other.read(bytes(message[8:120])) == STAMP + said
    answer = b"\x02\0\0\0BBBBAAAA" + other.write(said[::-1], first) + bytes(32)
    assert len(answer) == 96
    copy, _ = finish(noise.consume_response(ours, me, them, state, answer))
    assert copy.payload == said[::-1]
    assert keys(copy, True) == other.split()[::-1]


@settings(max_examples=20, deadline=None)
@given(a=KEY, b=KEY, psk=KEY, first=KEY, said=st.binary(min_size=4, max_size=4))
def test_what_the_second_implementation_says_is_read_and_answered(a, b, psk, first, said):
    port = FakePort()
    ours = noise.Noise(port, wire.CONSTRUCTION, layer.IDENTIFIER, lambda: None)
    me = noise.Identity(ours, bytearray(a))
    args = ("initiator", wire.CONSTRUCTION, b"tunlite L2 v1", b, psk, me.public)
    other = noise_oracle.Party(*args)
    them = Them(other.s_public, psk)
    message = b"\x01\0\0\0IIII" + other.write(STAMP + said, first) + bytes(32)
    (state, _, payload), _ = finish(consume(ours, me, message, lambda _: them))
    assert payload == STAMP + said
    response, _ = finish(noise.respond(state, them, b"RRRR", said[::-1]))
    assert len(response) == 96
    assert other.read(bytes(response[12:64])) == said[::-1]
    assert keys(state, False) == other.split()[::-1]


def _layer_2(monkeypatch):
    monkeypatch.setattr(wire, "IDENTIFIER", layer.IDENTIFIER)
    return Pair()


@pytest.mark.parametrize("place", [88, 103, 104, 119])
def test_a_flipped_bit_in_what_an_initiation_says_is_refused(place, monkeypatch):
    pair = _layer_2(monkeypatch)
    _, message = pair.initiate(stamp=STAMP + b"\1\0\0\0")
    message[place] ^= 1
    with pytest.raises(noise.HandshakeError):
        pair.consume(message)


@pytest.mark.parametrize("place", [44, 47, 48, 63])
def test_a_flipped_bit_in_what_a_response_says_is_refused_and_the_attempt_goes_on(
    place, monkeypatch
):
    pair = _layer_2(monkeypatch)
    state, message = pair.initiate(stamp=STAMP + b"\1\0\0\0")
    theirs, them, _ = pair.consume(message)
    response, _ = finish(noise.respond(theirs, them, b"BBBB", b"\1\2\3\4"))
    forged = bytearray(response)
    forged[place] ^= 1
    with pytest.raises(noise.HandshakeError):
        pair.answer(state, forged)
    assert pair.answer(state, response).payload == b"\1\2\3\4"


@pytest.mark.parametrize("extra", [b"", b"\1\0\0\0"])
def test_neither_layer_reads_the_other_s_initiation_even_if_it_had_its_length(extra, monkeypatch):
    of_layer_3 = Pair()
    of_layer_2 = _layer_2(monkeypatch)
    _, message = of_layer_3.initiate(stamp=STAMP + extra)
    with pytest.raises(noise.HandshakeError, match="not authentic"):
        of_layer_2.consume(message)
    _, message = of_layer_2.initiate(stamp=STAMP + extra)
    with pytest.raises(noise.HandshakeError, match="not authentic"):
        of_layer_3.consume(message)
