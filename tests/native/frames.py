# SPDX-License-Identifier: MIT
"""Layer 2 in memory: planes whose peers have sessions, and messages made without our code."""

import itertools
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.native.plane_ffi import KEY_A, KEY_B, Plane, endpoint, ffi, lib, seal

ON, AUTHENTIC, OFF = range(3)
WHOLE, PART, CONTROL = range(3)
ECHO, ECHO_ANSWER, PATH_PROBE, PATH_ANSWER, BYE = range(5)
STANDBY, IN_USE, LEFT = range(3)
ANY = b"\xff" * 6


def mac(number):
    """A host's address."""
    return b"\2\0\0" + number.to_bytes(3, "big")


def frame(dst=ANY, src=None, payload=b"", kind=0x4305):
    """An Ethernet frame; by default a broadcast of batman-adv from host 1."""
    return dst + (mac(1) if src is None else src) + struct.pack("!H", kind) + payload


def whole(inner):
    return bytes([WHOLE, 0]) + inner


def control(what, body=b""):
    return bytes([CONTROL, what]) + body


def parts(inner, n):
    """The parts of a frame, as docs/protocol.md has them: [2 bytes and a piece]."""
    size = -(-len(inner) // n)
    fill = n * size - len(inner)
    padded = inner + bytes(fill)
    heads = [i | (8 | fill << 4 if i == n - 1 else 0) for i in range(n)]
    return [bytes([PART, heads[i]]) + padded[i * size : (i + 1) * size] for i in range(n)]


def message(mode, key, receiver, counter, plain):
    """A data message of type 4, 5 or 6."""
    if mode == ON:
        return seal(key, receiver, counter, plain, pad=1)
    nonce = bytes(4) + struct.pack("<Q", counter)
    tag = ChaCha20Poly1305(key).encrypt(nonce, b"", plain) if mode == AUTHENTIC else b""
    return bytes([4 + mode, 0, 0, 0]) + receiver + struct.pack("<Q", counter) + plain + tag


def opened(key, datagram):
    """(mode, receiver, counter, plaintext); InvalidTag where it is not authentic."""
    mode, receiver, counter = datagram[0] - 4, datagram[4:8], datagram[8:16]
    assert datagram[1:4] == bytes(3)
    cipher, nonce = ChaCha20Poly1305(key), bytes(4) + counter
    plain = datagram[16:]
    if mode == ON:
        plain = cipher.decrypt(nonce, datagram[16:], b"")
    elif mode == AUTHENTIC:
        plain = datagram[16:-16]
        assert cipher.decrypt(nonce, datagram[-16:], plain) == b""
    else:
        assert mode == OFF
    return mode, receiver, struct.unpack("<Q", counter)[0], plain


def is_authentic(key, datagram):
    try:
        opened(key, datagram)
    except InvalidTag:
        return False
    return True


class Far:
    """A peer, spoken for by the test: what it sends, and what comes to it."""

    def __init__(self, bridge, number, mode, initiator):
        self.bridge, self.mode = bridge, mode
        self.plane = bridge.plane
        self.where = endpoint(f"192.0.2.{number}" if number < 250 else f"fd00::{number}")
        self.peer = self.plane.peer(where=self.where)
        self.remote = struct.pack("<I", 0x1000 + number)
        self.counter = itertools.count()
        self.begin(initiator)

    def begin(self, initiator=True, use=True, **changes):
        """A new session; `initiator`: we are."""
        fields = {"pad": 1, "mode": self.mode, "initiator": initiator, **changes}
        index = self.plane.index(self.peer)
        self.index = self.plane.session(index, self.remote, use=use, **fields)

    def send(self, *plains, mode=ON, where=None, counter=None, turns=2):
        """Messages of these plaintexts, in one batch."""
        for plain in plains:
            number = next(self.counter) if counter is None else counter
            datagram = message(mode, KEY_B, self.index, number, plain)
            self.plane.put_outside(datagram, where=where or self.where)
        self.plane.turn(turns)

    def frames(self, *frames, **how):
        self.send(*map(whole, frames), **how)

    def use(self, how):
        self.plane.call("peer_use", self.peer, how)

    def path(self, frame_max=9026, payload_max=1472):
        self.plane.call("peer_path", self.peer, frame_max, payload_max)

    def state(self):
        return self.plane.state(self.peer)


class Bridge:
    """A plane of layer 2 and its peers, numbered from 1."""

    def __init__(self, peers=1, mode=ON, initiator=True, **options):
        self.plane = Plane(layer=2, mtu=options.pop("mtu", 1532), **options)
        self.far = [Far(self, i + 1, mode, initiator) for i in range(peers)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.tl_plane_free(self.plane.number)

    def put(self, *frames, turns=2):
        """Frames of the device."""
        self.plane.put_inside(*frames)
        self.plane.turn(turns)

    def sent(self):
        """{peer's number from 1: [(mode, counter, plaintext)]} of what left."""
        found = {}
        numbers = {far.remote: i + 1 for i, far in enumerate(self.far)}
        for datagram in self.plane.take_outside():
            mode, remote, counter, plain = opened(KEY_A, datagram)
            found.setdefault(numbers[remote], []).append((mode, counter, plain))
        return found

    def sent_frames(self):
        """{peer's number: [frame]} of whole frames alone."""
        return {
            number: [plain[2:] for _, _, plain in found if plain[:2] == b"\0\0"]
            for number, found in self.sent().items()
        }

    def macs(self, *rows):
        packed = b"".join(address + struct.pack("<H", peer) for address, peer in rows)
        self.plane.call("macs", packed, len(packed))

    def table(self):
        """{address: peer}."""
        out = ffi.new("unsigned char[]", 16 * 8192)
        count = self.plane.call("seen", lib.TL_SEEN_FDB, out, 16 * 8192)
        rows = struct.iter_unpack("<6sHII", bytes(ffi.buffer(out, 16 * count)))
        return {address: peer for address, peer, _, _ in rows}
