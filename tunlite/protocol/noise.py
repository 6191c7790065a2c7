# SPDX-License-Identifier: MIT
"""Noise_IKpsk2 as WireGuard uses it (protocol.md, "Handshake"), both roles.

Pure: the port's primitives, keys, stamp, index and randomness come in, messages and session keys
go out; no clock, no socket. The steps are generators that yield (None) after each X25519, so
that the loop does in between what else is due, and whose return value is the result. Closing one in
the middle wipes what it held.

A `me` is an Identity, a `them` a Remote.
"""

from tunlite import keys
from tunlite.protocol import wire


class HandshakeError(Exception):
    """A message was refused; the argument says why in words and holds nothing secret."""


class Noise:
    """One construction and identifier: what every handshake begins with.

    `turn()` turns packets; they wait for an X25519 and for nothing besides.
    """

    def __init__(self, port, construction, identifier, turn):
        self.port = port
        self._turn = turn
        self.chain = blake2s(port, construction)
        self.hash = blake2s(port, self.chain + identifier)

    def x25519(self, out, k, u):
        """As the port's."""
        self._turn()
        good = self.port.x25519(out, k, u)
        self._turn()
        return good


class Identity:
    """Our own key pair and what follows from it. `private` (bytearray 32) is clamped and kept."""

    def __init__(self, noise, private):
        keys.clamp(private)
        public = bytearray(32)
        if not noise.x25519(public, private, wire.BASEPOINT):
            raise HandshakeError("our own key gives an all-zero public key")
        self.private = private
        self.public = bytes(public)

    def wipe(self, port):
        """The private key is gone afterwards."""
        port.native.tl_wipe(self.private, 32)


_NO_PSK = bytes(wire.KEY_SIZE)  # of all that have none: never written


class Remote:
    """What we know of the other side: `public` (bytes 32), `psk` (32 bytes, zeros for none) and
    `static_static` (bytearray 32 or None; filled in when first needed)."""

    psk = _NO_PSK

    def __init__(self, public):
        self.public = public
        self.static_static = None

    def set_psk(self, key):
        """Copied in place: a handshake under way that comes to it takes this one."""
        if self.psk is _NO_PSK:
            self.psk = bytearray(wire.KEY_SIZE)
        self.psk[:] = key

    def drop_psk(self, native):
        """It has none any more."""
        if self.psk is not _NO_PSK:
            native.tl_wipe(self.psk, wire.KEY_SIZE)
            self.psk = _NO_PSK

    def keep_static(self, shared):
        self.static_static = shared

    def forget_static(self, native):
        """Our own key changed."""
        if self.static_static is not None:
            native.tl_wipe(self.static_static, wire.KEY_SIZE)
            self.static_static = None

    def wipe(self, native):
        self.drop_psk(native)
        self.forget_static(native)


def blake2s(port, data):
    """BLAKE2s-256 of something public."""
    out = bytearray(32)
    port.native.tl_blake2s(out, 32, None, 0, data, len(data))
    return bytes(out)


def mac1_key(port, public):
    """The key under which mac1 of messages to the owner of `public` is made."""
    return blake2s(port, wire.LABEL_MAC1 + public)


def cookie_key(port, public):
    """The key under which the owner of `public` seals cookies."""
    return blake2s(port, wire.LABEL_COOKIE + public)


class Handshake:
    """The running state of one handshake: hash, chaining key, newest key, our ephemeral key.

    `index` is ours (bytes 4), `remote` the other side's. wipe() when it is over, however it ended.
    """

    payload = None  # of a response

    def __init__(self, noise, index=None):
        self._noise = noise
        self._native = noise.port.native
        self._secret = bytearray(192)
        view = memoryview(self._secret)
        self._chain = view[0:32]
        self._key = view[32:64]
        self._last = view[64:96]
        self._chain_key = view[0:64]
        self._chain_mix_key = view[0:96]
        self._private = view[96:128]
        self._shared = view[128:160]
        self._old = view[160:192]
        self._chain[:] = noise.chain
        self._hash = bytearray(noise.hash)
        self._their_ephemeral = None
        self.index = index
        self.remote = None

    def wipe(self):
        self._native.tl_wipe(self._secret, 192)

    def session_keys(self, out, initiator):
        """Writes send key and receive key (64 bytes) to `out` and wipes this state."""
        both = bytearray(64)
        try:
            self._native.tl_kdf(both, 64, self._chain, None, 0)
            out[0:32] = memoryview(both)[0:32] if initiator else memoryview(both)[32:64]
            out[32:64] = memoryview(both)[32:64] if initiator else memoryview(both)[0:32]
        finally:
            self._native.tl_wipe(both, 64)
            self.wipe()

    # Steps in the paper's words: hash := HASH(hash || data) and so on.

    def _mix_hash(self, data):
        buf = self._hash + data
        self._native.tl_blake2s(self._hash, 32, None, 0, buf, len(buf))
        self._native.tl_wipe(buf, len(buf))

    def _mix_key(self, out, data, size):
        self._old[:] = self._chain
        self._native.tl_kdf(out, len(out), self._old, data, size)

    def _mix_dh(self, private, public):
        if not self._noise.x25519(self._shared, private, public):
            raise HandshakeError("a public key of low order")
        self._mix_key(self._chain_key, self._shared, 32)

    def _mix_static(self, me, them):
        """Mixes the product of both static keys, which the peer keeps; whether it was made here."""
        made = them.static_static is None
        if made:
            shared = bytearray(32)
            if not self._noise.x25519(shared, me.private, them.public):
                raise HandshakeError("the peer's public key is of low order")
            them.keep_static(shared)
        self._mix_key(self._chain_key, them.static_static, 32)
        return made

    def _mix_psk(self, psk):
        # Three outputs: chaining key, what is mixed into the hash, key.
        self._mix_key(self._chain_mix_key, psk, 32)
        self._mix_hash(self._key)
        self._key[:] = self._last

    def _mix_ephemeral(self, public):
        self._mix_key(self._chain, public, 32)
        self._mix_hash(public)

    def _seal(self, out, data):
        self._native.tl_seal(out, len(out), self._key, None, 0, self._hash, 32, data, len(data))
        self._mix_hash(out)

    def _open(self, out, data):
        code = self._native.tl_open(
            out, len(out), self._key, None, 0, self._hash, 32, data, len(data)
        )
        if code != 0:
            raise HandshakeError("not authentic")
        self._mix_hash(data)

    def _draw_ephemeral(self, out):
        """A fresh key pair; the public half goes to `out`."""
        private = self._noise.port.random_bytes(32)
        keys.clamp(private)
        self._private[:] = private
        self._native.tl_wipe(private, 32)
        public = bytearray(32)
        if not self._noise.x25519(public, self._private, wire.BASEPOINT):
            raise HandshakeError("the ephemeral key is of low order")
        out[:] = public


def initiate(noise, me, them, index, payload):
    """Begins a handshake: returns (Handshake, message with both macs still zero).

    `payload`: the stamp, 12 bytes of TAI64N, then what the layer says. Source: paper 5.4.2.
    """
    message = bytearray(wire.INITIATION_SIZE - wire.STAMP_SIZE + len(payload))
    view = memoryview(message)
    state = Handshake(noise, index)
    done = False
    try:
        message[0] = wire.INITIATION
        view[4:8] = index
        state._mix_hash(them.public)
        ephemeral = view[8:40]
        state._draw_ephemeral(ephemeral)
        state._mix_ephemeral(ephemeral)
        yield
        state._mix_dh(state._private, them.public)
        yield
        state._seal(view[40:88], me.public)
        if state._mix_static(me, them):
            yield
        state._seal(view[88 : -2 * wire.MAC_SIZE], payload)
        done = True
        return state, message
    finally:
        if not done:
            state.wipe()


def read_static(noise, me, message):
    """Reads the first half of an initiation: returns (Handshake, public key as bytes 32). Whose key
    that is nobody has proved yet. HandshakeError. Source: paper 5.4.2.
    """
    view = memoryview(message)
    state = Handshake(noise)
    public = bytearray(32)
    done = False
    try:
        state.remote = bytes(view[4:8])
        state._their_ephemeral = bytes(view[8:40])
        state._mix_hash(me.public)
        state._mix_ephemeral(state._their_ephemeral)
        state._mix_dh(me.private, state._their_ephemeral)
        yield
        state._open(public, view[40:88])
        done = True
        return state, bytes(public)
    finally:
        if not done:
            state.wipe()


def read_payload(state, me, them, message):
    """Reads the other half, which proves the key: returns the payload (bytes), whose stamp is for
    the caller to judge. HandshakeError. The state is wiped on failure.
    """
    done = False
    try:
        if state._mix_static(me, them):
            yield
        sealed = memoryview(message)[88 : -2 * wire.MAC_SIZE]
        payload = bytearray(len(sealed) - wire.TAG_SIZE)
        state._open(payload, sealed)
        done = True
        return bytes(payload)
    finally:
        if not done:
            state.wipe()


def respond(state, them, index, payload=b""):
    """Answers what was read: returns the message with both macs still zero.

    `payload`: what the layer says. state.session_keys() is due next. The state is wiped on failure.
    Source: paper 5.4.3.
    """
    message = bytearray(wire.RESPONSE_SIZE + len(payload))
    view = memoryview(message)
    done = False
    try:
        state.index = index
        message[0] = wire.RESPONSE
        view[4:8] = index
        view[8:12] = state.remote
        ephemeral = view[12:44]
        state._draw_ephemeral(ephemeral)
        state._mix_ephemeral(ephemeral)
        yield
        state._mix_dh(state._private, state._their_ephemeral)
        yield
        state._mix_dh(state._private, them.public)
        yield
        state._mix_psk(them.psk)
        state._seal(view[44 : -2 * wire.MAC_SIZE], payload)
        done = True
        return message
    finally:
        if not done:
            state.wipe()


def consume_response(noise, me, them, state, message):
    """Reads the answer to `state`, which initiate() gave: returns a new Handshake, whose `payload`
    is what came.

    `state` stays as it is, since a forged answer must not end the attempt; wipe it when this one
    succeeds. HandshakeError where the message is not authentic. Source: paper 5.4.3.
    """
    view = memoryview(message)
    copy = Handshake(noise, state.index)
    sealed = view[44 : -2 * wire.MAC_SIZE]
    copy.payload = bytearray(len(sealed) - wire.TAG_SIZE)
    done = False
    try:
        copy._secret[:] = state._secret
        copy._hash[:] = state._hash
        copy.remote = bytes(view[4:8])
        ephemeral = bytes(view[12:44])
        copy._mix_ephemeral(ephemeral)
        copy._mix_dh(copy._private, ephemeral)
        yield
        copy._mix_dh(me.private, ephemeral)
        yield
        copy._mix_psk(them.psk)
        copy._open(copy.payload, sealed)
        done = True
        return copy
    finally:
        if not done:
            copy.wipe()
