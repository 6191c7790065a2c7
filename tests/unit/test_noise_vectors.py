# SPDX-License-Identifier: MIT
"""Handshakes with wireguard-go, captured: our half comes out byte for byte, and the keys agree.

Once over the fake's primitives, once over the C core's.
"""

from pathlib import Path

import pytest

from lab.fakes.initiation import consume
from lab.fakes.port import FakePort
from tests import vectors
from tunlite.protocol import cookie, noise as handshake, wire
from tunlite.system import port as real_port

PATH = Path(__file__).parent.parent / "vectors" / "wireguard_go.txt"


class Port:
    """A port whose next random bytes are a vector's."""

    def __init__(self, base, drawn):
        self.native = base.native
        self.x25519 = base.x25519
        self._drawn = drawn

    def random_bytes(self, n):
        assert n == len(self._drawn)
        return bytearray(self._drawn)


class Them(handshake.Remote):
    def __init__(self, vector):
        super().__init__(vector["their_public"])
        self.psk = bytearray(vector["psk"])


def finish(steps):
    try:
        while True:
            next(steps)
    except StopIteration as e:
        return e.value


def vector_of(kind):
    (found,) = vectors.read(PATH, kind)
    return found


@pytest.fixture(params=["fake", "native"])
def base(request):
    return FakePort() if request.param == "fake" else real_port


def begin(base, vector):
    port = Port(base, vector["ephemeral"])
    noise = handshake.Noise(port, wire.CONSTRUCTION, wire.IDENTIFIER, lambda: None)
    return port, noise, handshake.Identity(noise, bytearray(vector["our_private"]))


def check_keys(port, state, initiator, vector):
    keys = bytearray(64)
    state.session_keys(keys, initiator)
    assert bytes(keys[:32]) == vector["send_key"]
    assert bytes(keys[32:]) == vector["receive_key"]
    packet = vector["transport"]
    nonce = bytes(4) + packet[8:16]
    out = bytearray(len(packet) - 32)
    key = keys[32:]
    sealed = packet[16:]
    size = len(sealed)
    assert port.native.tl_open(out, size - 16, key, nonce, 12, b"", 0, sealed, size) == 0
    assert out[0] >> 4 in (4, 6)


def test_an_initiation_of_wireguard_go_is_answered_as_captured(base):
    vector = vector_of("they_begin")
    port, noise, me = begin(base, vector)
    them = Them(vector)
    steps = consume(noise, me, vector["initiation"], {them.public: them}.get)
    state, found, stamp = finish(steps)
    assert found is them
    assert stamp == vector["stamp"]
    response = finish(handshake.respond(state, them, vector["index"]))
    cookie.Jar().add_macs(port, response, them.public, 0)
    assert bytes(response) == vector["response"]
    check_keys(port, state, False, vector)


def test_a_response_of_wireguard_go_is_understood_as_captured(base):
    vector = vector_of("we_begin")
    port, noise, me = begin(base, vector)
    them = Them(vector)
    steps = handshake.initiate(noise, me, them, vector["index"], vector["stamp"])
    state, message = finish(steps)
    cookie.Jar().add_macs(port, message, them.public, 0)
    assert bytes(message) == vector["initiation"]
    answer = finish(handshake.consume_response(noise, me, them, state, vector["response"]))
    check_keys(port, answer, True, vector)
