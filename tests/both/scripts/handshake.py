# SPDX-License-Identifier: MIT
"""Both halves of a handshake with drawn numbers that are the same everywhere; all bytes printed."""

from binascii import hexlify

from tunlite.protocol import cookie, noise as handshake, wire
from tunlite.system import port


class Seeded:
    """A port whose random bytes are BLAKE2s of a counter."""

    def __init__(self):
        self.native = port.native
        self.x25519 = port.x25519
        self._count = 0

    def random_bytes(self, n):
        out = bytearray()
        while len(out) < n:
            self._count += 1
            block = bytearray(32)
            seed = self._count.to_bytes(4, "little")
            self.native.tl_blake2s(block, 32, None, 0, seed, 4)
            out += block
        return out[:n]


class Them(handshake.Remote):
    def __init__(self, public, psk):
        super().__init__(public)
        self.psk = bytearray(psk)


def consume(noise, me, message, find):
    """Both halves of an initiation: (Handshake, them, stamp). find(public) gives them, or None."""
    state, public = yield from handshake.read_static(noise, me, message)
    them = find(public)
    if them is None:
        state.wipe()
        raise handshake.HandshakeError("from an unknown peer")
    stamp = yield from handshake.read_payload(state, me, them, message)
    return state, them, stamp


def finish(steps):
    count = 0
    try:
        while True:
            next(steps)
            count += 1
    except StopIteration as e:
        print("yields", count, "turns", len(turns))
        return e.value


def show(name, data):
    print(name, hexlify(bytes(data)).decode())


seeded = Seeded()
turns = []
noise = handshake.Noise(seeded, wire.CONSTRUCTION, wire.IDENTIFIER, lambda: turns.append(1))
a = handshake.Identity(noise, seeded.random_bytes(32))
b = handshake.Identity(noise, seeded.random_bytes(32))
psk = seeded.random_bytes(32)
b_of_a = Them(b.public, psk)
a_of_b = Them(a.public, psk)
show("a", a.public)
show("b", b.public)

stamp = b"\x40\x00\x00\x00\x6a\x00\x00\x00\x12\x00\x00\x00"
opening, message = finish(handshake.initiate(noise, a, b_of_a, b"\1\2\3\4", stamp))
cookie.Jar().add_macs(seeded, message, b.public, 1000)
show("initiation", message)
heard, found, heard_stamp = finish(consume(noise, b, message, lambda p: a_of_b))
print(found is a_of_b, heard_stamp == stamp)
answer = finish(handshake.respond(heard, a_of_b, b"\5\6\7\x08"))
cookie.Jar().add_macs(seeded, answer, a.public, 1000)
show("response", answer)
ours = finish(handshake.consume_response(noise, a, b_of_a, opening, answer))
for name, state, initiator in (("a", ours, True), ("b", heard, False)):
    keys = bytearray(64)
    state.session_keys(keys, initiator)
    show("keys of " + name, keys)

for place in (0, 9, 50, 100):
    broken = bytearray(message)
    broken[place] ^= 1
    try:
        finish(consume(noise, b, broken, lambda p: a_of_b))
        print(place, "taken")
    except handshake.HandshakeError as e:
        print(place, e.args[0])
try:
    finish(consume(noise, b, message, lambda p: None))
except handshake.HandshakeError as e:
    print(e.args[0])
