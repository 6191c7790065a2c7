# SPDX-License-Identifier: MIT
"""A second implementation of the handshake, written from the Noise specification, for comparison.

It follows revision 34 of the specification (CipherState, SymmetricState, tokens) rather than the
WireGuard paper, and shares no line with tunlite/protocol/noise.py.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

PATTERN = {"initiator": ["e", "es", "s", "ss"], "responder": ["e", "ee", "se", "psk"]}


def keypair(secret):
    private = X25519PrivateKey.from_private_bytes(bytes(secret))
    return private, private.public_key().public_bytes_raw()


class Symmetric:
    def __init__(self, protocol, prologue):
        # Longer than HASHLEN: hashed, as the specification has it.
        self.ck = self.h = hashlib.blake2s(protocol).digest()
        self.mix_hash(prologue)
        self.k = None
        self.n = 0

    def mix_hash(self, data):
        self.h = hashlib.blake2s(self.h + data).digest()

    def hkdf(self, ikm, count):
        temp = hmac.new(self.ck, ikm, "blake2s").digest()
        outputs, last = [], b""
        for i in range(count):
            last = hmac.new(temp, last + bytes([i + 1]), "blake2s").digest()
            outputs.append(last)
        return outputs

    def mix_key(self, ikm):
        self.ck, self.k = self.hkdf(ikm, 2)
        self.n = 0

    def mix_key_and_hash(self, ikm):
        self.ck, temp, self.k = self.hkdf(ikm, 3)
        self.mix_hash(temp)
        self.n = 0

    def _nonce(self):
        nonce = bytes(4) + self.n.to_bytes(8, "little")
        self.n += 1
        return nonce

    def encrypt(self, plaintext):
        sealed = ChaCha20Poly1305(self.k).encrypt(self._nonce(), plaintext, self.h)
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed):
        plaintext = ChaCha20Poly1305(self.k).decrypt(self._nonce(), sealed, self.h)
        self.mix_hash(sealed)
        return plaintext


class Party:
    """One side. `write` and `read` give and take the Noise part of a message."""

    def __init__(self, role, protocol, prologue, static, psk=bytes(32), remote=None):
        self.role = role
        self.s, self.s_public = keypair(static)
        self.psk = psk
        self.rs = remote
        self.e = self.re = None
        self.symmetric = Symmetric(protocol, prologue)
        self.symmetric.mix_hash(self.s_public if role == "responder" else remote)

    def _dh(self, token):
        mine, theirs = token if self.role == "initiator" else token[::-1]
        key = {"e": self.e, "s": self.s}[mine]
        other = {"e": self.re, "s": self.rs}[theirs]
        self.symmetric.mix_key(key.exchange(X25519PublicKey.from_public_bytes(other)))

    def write(self, payload, ephemeral):
        self.e, e_public = keypair(ephemeral)
        out = b""
        for token in PATTERN[self.role]:
            if token == "e":
                out += e_public
                self.symmetric.mix_hash(e_public)
                self.symmetric.mix_key(e_public)  # psk handshakes do this
            elif token == "s":
                out += self.symmetric.encrypt(self.s_public)
            elif token == "psk":
                self.symmetric.mix_key_and_hash(self.psk)
            else:
                self._dh(token)
        return out + self.symmetric.encrypt(payload)

    def read(self, message):
        writer = "responder" if self.role == "initiator" else "initiator"
        for token in PATTERN[writer]:
            if token == "e":
                self.re, message = message[:32], message[32:]
                self.symmetric.mix_hash(self.re)
                self.symmetric.mix_key(self.re)
            elif token == "s":
                self.rs, message = self.symmetric.decrypt(message[:48]), message[48:]
            elif token == "psk":
                self.symmetric.mix_key_and_hash(self.psk)
            else:
                self._dh(token)
        return self.symmetric.decrypt(message)

    def split(self):
        """(send key, receive key) of this side."""
        first, second = self.symmetric.hkdf(b"", 2)
        return (first, second) if self.role == "initiator" else (second, first)
