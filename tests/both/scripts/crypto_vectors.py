# SPDX-License-Identifier: MIT
"""Every published vector through the border's primitives, and whether it came out."""

import sys
from binascii import hexlify

from tunlite.system import port

sys.path.append(sys.argv[1])  # there is a copy: beside it a folder has the same name
import vectors  # noqa: E402

native = port.native


def check(record, got):
    good = "good" if bytes(got) == record["output"] else "BAD"
    print(record["kind"], record["where"], hexlify(got).decode(), good)


def x25519(k, u):
    out = bytearray(32)
    assert port.x25519(out, k, u)
    return out


for record in vectors.read("tests/vectors/rfc7748.txt", "x25519"):
    check(record, x25519(record["scalar"], record["u"]))
for record in vectors.read("tests/vectors/rfc7748.txt", "x25519 repeated"):
    k, u = record["scalar"], record["u"]
    if record["count"] <= 1000:
        for _ in range(min(record["count"], 20)):
            k, u = x25519(k, u), k
        print("repeated", hexlify(k).decode())
print("zero", port.x25519(bytearray(32), b"\1" * 32, bytes(32)))

for record in vectors.read("tests/vectors/rfc7693.txt", "blake2s"):
    out = bytearray(32)
    data = record["input"]
    assert native.tl_blake2s(out, 32, None, 0, data, len(data)) == 0
    check(record, out)

for path, kind in (("rfc8439.txt", "aead"), ("xchacha.txt", "xchacha20poly1305")):
    for record in vectors.read("tests/vectors/" + path, kind):
        data, ad, nonce = record["input"], record["ad"], record["nonce"]
        out = bytearray(len(data) + 16)
        rest = (record["key"], nonce, len(nonce), ad, len(ad))
        assert native.tl_seal(out, len(out), *rest, data, len(data)) == 0
        check(record, out)
        back = bytearray(len(data))
        print(native.tl_open(back, len(back), *rest, out, len(out)), bytes(back) == data)
        out[-1] ^= 1
        print(native.tl_open(back, len(back), *rest, out, len(out)) < 0, bytes(back) == data)

for size in (32, 64, 96):
    out = bytearray(size)
    assert native.tl_kdf(out, size, b"k" * 32, b"input", 5) == 0
    print("kdf", hexlify(out).decode())
