# SPDX-License-Identifier: MIT
"""One end of a TCP transfer, run inside a namespace. Prints progress, then one line of JSON.

tcp_end.py receive ADDRESS PORT
tcp_end.py send ADDRESS PORT BYTES BYTES_PER_SECOND     (0: as fast as it goes)
"""

import hashlib
import json
import os
import socket
import sys
import time

_CHUNK = 1 << 20


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def receive(address, port):
    """Takes one connection; hashes after its end, so that hashing costs the tunnel nothing."""
    with socket.socket(_family(address), socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1)
        print("listening", flush=True)
        connection, _ = listener.accept()
    begun = time.monotonic()
    parts, total, told = [], 0, 0
    with connection:
        while data := connection.recv(_CHUNK):
            parts.append(data)
            total += len(data)
            if total - told >= 4 * _CHUNK:
                told = total
                print("at", total, flush=True)
    seconds = time.monotonic() - begun
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return {"bytes": total, "seconds": seconds, "sha256": digest.hexdigest()}


def _parts(base, size):
    """`size` bytes in parts of at most 1 MiB that differ in their first 8 bytes."""
    for number in range((size + _CHUNK - 1) // _CHUNK):
        base[:8] = number.to_bytes(8, "big")
        yield memoryview(base)[: size - number * _CHUNK]


def send(address, port, size, rate):
    """Sends random bytes, every MiB different; hashes them before the tunnel is at work."""
    base = bytearray(os.urandom(_CHUNK))
    digest = hashlib.sha256()
    for part in _parts(base, size):
        digest.update(part)
    with socket.create_connection((address, port), timeout=20) as connection:
        connection.settimeout(60)
        begun, sent = time.monotonic(), 0
        for part in _parts(base, size):
            step = 8192 if rate else len(part)
            for at in range(0, len(part), step):
                connection.sendall(part[at : at + step])
                sent += len(part[at : at + step])
                ahead = sent / rate - (time.monotonic() - begun) if rate else 0
                if ahead > 0:
                    time.sleep(ahead)
    return {"bytes": size, "sha256": digest.hexdigest()}


def main():
    """Runs the end that the command line names."""
    verb, address, port, *rest = sys.argv[1:]
    numbers = [int(word) for word in rest]
    outcome = (
        receive(address, int(port)) if verb == "receive" else send(address, int(port), *numbers)
    )
    print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
