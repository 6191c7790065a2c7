# SPDX-License-Identifier: MIT
"""A port without a kernel, for unit tests on CPython: clock, chance, files, and the primitives.

The primitives are other people's (hashlib, cryptography), so that our C is compared with them.
lab/fakes/net.py adds a network and the packet path.
"""

import hashlib
import hmac
import os
import random
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

EBADMSG = 74
_MASK = 0xFFFFFFFF


def hchacha20(key, nonce16):
    """The subkey of XChaCha20 (draft-irtf-cfrg-xchacha-03, 2.2): 32 bytes of key, 16 of nonce."""
    state = list(struct.unpack("<16I", b"expand 32-byte k" + bytes(key) + bytes(nonce16)))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & _MASK
            mixed = state[z] ^ state[x]
            state[z] = ((mixed << turn) | (mixed >> (32 - turn))) & _MASK

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *state[0:4], *state[12:16])


def _aead(key, nonce, nonce_len):
    if nonce_len == 24:
        nonce = bytes(nonce)
        return ChaCha20Poly1305(hchacha20(key, nonce[:16])), bytes(4) + nonce[16:]
    return ChaCha20Poly1305(bytes(key)), bytes(nonce) if nonce_len else bytes(12)


class Primitives:
    """The stateless part of native/include/tunlite.h."""

    def __init__(self, chance):
        self._chance = chance

    def tl_random(self, out, out_len):
        out[:out_len] = self._chance.randbytes(out_len)
        return 0

    def tl_wipe(self, buf, buf_len):
        buf[:buf_len] = bytes(buf_len)
        return 0

    def tl_equal(self, a, a_len, b, b_len):
        return int(bytes(a[:a_len]) == bytes(b[:b_len]))

    def tl_blake2s(self, out, out_len, key, key_len, data, data_len):
        key = bytes(key[:key_len]) if key_len else b""
        digest = hashlib.blake2s(bytes(data[:data_len]), digest_size=out_len, key=key).digest()
        out[:out_len] = digest
        return 0

    def tl_kdf(self, out, out_len, key32, data, data_len):
        data = bytes(data[:data_len]) if data_len else b""
        secret = hmac.digest(bytes(key32), data, "blake2s")
        block = b""
        for i in range(out_len // 32):
            block = hmac.digest(secret, block + bytes([i + 1]), "blake2s")
            out[32 * i : 32 * i + 32] = block
        return 0

    def tl_seal(self, out, out_len, key32, nonce, nonce_len, ad, ad_len, data, data_len):
        assert out_len == data_len + 16
        aead, nonce = _aead(key32, nonce, nonce_len)
        out[:out_len] = aead.encrypt(nonce, bytes(data[:data_len]), bytes(ad[:ad_len]))
        return 0

    def tl_open(self, out, out_len, key32, nonce, nonce_len, ad, ad_len, data, data_len):
        assert out_len == data_len - 16
        aead, nonce = _aead(key32, nonce, nonce_len)
        try:
            out[:out_len] = aead.decrypt(nonce, bytes(data[:data_len]), bytes(ad[:ad_len]))
        except InvalidTag:
            out[:out_len] = bytes(out_len)
            return -EBADMSG
        return 0


class Clock:
    """Time as a test sets it."""

    def __init__(self, now_ms=1_000_000, wall_s=1_800_000_000, synchronised=True):
        self.now_ms = now_ms
        self.wall_s = wall_s - now_ms // 1000
        self.synchronised = synchronised

    def wall_ns(self):
        return self.wall_s * 1_000_000_000 + self.now_ms * 1_000_000, self.synchronised


class FakePort:
    """What tunlite/system/port.py lists, as far as the control plane uses it.

    `files` is a dict of path to bytes; `disk_error` an errno that every write fails with, or 0;
    `lines` what went to stderr.
    """

    def __init__(self, clock=None, seed=0, native=None):
        self.clock = clock or Clock()
        self.chance = random.Random(seed)
        self.native = native or Primitives(self.chance)
        self.files = {}
        self.writes = 0
        self.disk_error = 0
        self.lines = []

    def x25519(self, out, k, u):
        try:
            secret = X25519PrivateKey.from_private_bytes(bytes(k))
            out[:32] = secret.exchange(X25519PublicKey.from_public_bytes(bytes(u)))
        except ValueError:
            out[:32] = bytes(32)
            return False
        return True

    def random_bytes(self, n):
        return bytearray(self.chance.randbytes(n))

    def now_ms(self):
        return self.clock.now_ms

    def wall_ns(self):
        return self.clock.wall_ns()

    def read_file(self, path):
        if path not in self.files:
            raise OSError(2, path)
        return self.files[path]

    def write_file_atomic(self, path, data, mode):
        if self.disk_error:
            raise OSError(self.disk_error, path)
        self.writes += 1
        self.files[path] = bytes(data)

    def keep_back(self, flag):
        self.kept_back = flag

    def strerror(self, number):
        return os.strerror(number)

    def listdir(self, folder):
        start = folder.rstrip("/") + "/"
        return [path[len(start) :] for path in self.files if path.startswith(start)]

    def unlink(self, path):
        del self.files[path]

    def print_err(self, text):
        self.lines.append(text)
