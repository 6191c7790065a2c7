# SPDX-License-Identifier: MIT
"""Layer 2's vectors, which a second implementation made: both handshake messages byte for byte, the
keys, the four bytes, and what is sealed in datagrams."""

import sys
from binascii import hexlify

from tunlite.protocol import cookie, layer, noise, wire
from tunlite.system import port

sys.path.append(sys.argv[1])  # there is a copy: beside it a folder has the same name
import vectors  # noqa: E402

PATH = "tests/vectors/layer2.txt"
native = port.native


class Drawn:
    """A port whose next random bytes are a vector's."""

    def __init__(self, ephemeral):
        self.native = native
        self.x25519 = port.x25519
        self._ephemeral = ephemeral

    def random_bytes(self, n):
        return bytearray(self._ephemeral)


class Them(noise.Remote):
    def __init__(self, public, psk):
        super().__init__(public)
        self.psk = bytearray(psk)


def end(record, who):
    drawn = Drawn(record[who + "_ephemeral"])
    made = noise.Noise(drawn, wire.CONSTRUCTION, layer.IDENTIFIER, lambda: None)
    return made, noise.Identity(made, bytearray(record[who + "_private"]))


def finish(steps):
    try:
        while True:
            next(steps)
    except StopIteration as e:
        return e.value


def check(what, got, expected):
    good = "good" if bytes(got) == expected else "BAD"
    print(what, hexlify(bytes(got)).decode(), good)


def keys_of(state, initiator):
    out = bytearray(64)
    state.session_keys(out, initiator)
    return out


def shake(record):
    print(record["where"])
    ours, me = end(record, "initiator")
    theirs, them = end(record, "responder")
    to = Them(them.public, record["psk"])
    back = Them(me.public, record["psk"])
    payload = record["stamp"] + record["asked"]
    opening, message = finish(noise.initiate(ours, me, to, record["initiator_index"], payload))
    cookie.Jar().add_macs(port, message, them.public, 0)
    check("initiation", message, record["initiation"])
    heard, public = finish(noise.read_static(theirs, them, message))
    check("static", public, me.public)
    got = finish(noise.read_payload(heard, them, back, message))
    check("payload", got, payload)
    print(layer.heard(got[wire.STAMP_SIZE :]))
    steps = noise.respond(heard, back, record["responder_index"], record["answered"])
    answer = finish(steps)
    cookie.Jar().add_macs(port, answer, me.public, 0)
    check("response", answer, record["response"])
    closing = finish(noise.consume_response(ours, me, to, opening, answer))
    check("answered", closing.payload, record["answered"])
    print(layer.heard(closing.payload))
    both = record["initiator_key"] + record["responder_key"]
    check("keys", keys_of(closing, True), both)
    check("keys", keys_of(heard, False), both[32:] + both[:32])


def opened(message, key):
    """What is inside of a datagram, b"" of one that is not authentic."""
    kind, nonce, rest = message[0], bytes(4) + message[8:16], message[16:]
    if kind == 6:
        return rest
    ad, sealed = (b"", rest) if kind == 4 else (rest[:-16], rest[-16:])
    out = bytearray(len(sealed) - 16)
    code = native.tl_open(out, len(out), key, nonce, 12, ad, len(ad), sealed, len(sealed))
    return b"" if code else bytes(out) or ad


def join(parts):
    """The frame of parts that are sound."""
    if parts[0][0] == 0:
        return parts[0][2:]
    frame = b"".join([part[2:] for part in parts])
    return frame[: len(frame) - (parts[-1][1] >> 4)]


for found in vectors.read(PATH, "handshake"):
    shake(found)
for found in vectors.read(PATH, "frame"):
    whole, count = found["datagrams"], found["count"]
    size = len(whole) // count
    sent = [whole[i * size : i * size + size] for i in range(count)]
    frame = join([opened(one, found["key"]) for one in sent])
    counters = [int.from_bytes(one[8:16], "little") - found["counter"] for one in sent]
    print(found["where"], len(sent), size, counters, "good" if frame == found["frame"] else "BAD")
    for one in sent if found["mode"] != b"\2" else ():
        forged = bytearray(one)
        forged[-20] ^= 1
        print("forged", opened(bytes(forged), found["key"]) == b"")
for found in vectors.read(PATH, "control"):
    check(found["where"], opened(found["datagram"], found["key"]), found["inside"])
