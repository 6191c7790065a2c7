# SPDX-License-Identifier: MIT
"""`tunlite bench`: what its rows hold and how they are written; no figure of this machine."""

import json

from tunlite.cli import bench

for row in bench.seal():
    if row["aead"] == "portable":
        whole = [isinstance(row[name], int) and row[name] >= 0 for name in ("ns", "mb_s")]
        print(row["aead"], row["size"], row["ns"] > 0, whole, len(row))

near, far = bench.port.packet_pair()
for packet in (b"first", b"second packet"):
    bench.port.os_write(near, packet)
print([bench.port.os_read(far, 100) for _ in range(2)])
try:
    bench.port.os_read(far, 100)
except OSError as e:
    print("nothing more, errno", e.errno)

found = {
    "version": "1.2.3",
    "kernel": "6.6.1",
    "cpu": "Some Router, MIPS 24Kc V7.4",
    "engine": "mmsg",
    "aead": "portable",
    "seal": [
        {"aead": "neon", "size": 64, "ns": 900, "mb_s": 71},
        {"aead": "portable", "size": 1420, "ns": 123456, "mb_s": 11},
    ],
    "tunnel": [
        {"size": 64, "packets_s": 5678, "kbit_s": 2907, "cpu_ns": 176118},
        {"size": 1420, "packets_s": 1234, "kbit_s": 14018, "cpu_ns": 810372},
    ],
}
print(bench.as_text(found))
print(json.loads(bench.as_json(found)) == found, bench.as_json(found)[-2:] == "}\n")
