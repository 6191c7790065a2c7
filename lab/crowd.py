# SPDX-License-Identifier: MIT
"""Many initiators in one process, each with a key and a UDP socket of its own.

    crowd.py GATEWAY PORT PUBLIC_KEY < one private key (base64) a line, and maybe an address of ours

All send an initiation at once, repeat it after the protocol's five seconds and jitter, follow
cookie replies, and are up when they have opened the response. Prints "begun" after the first
burst, "up N" as they come and "all up" at last. It is the project's own handshake on this side:
what is under test is the gateway.
"""

import base64
import random
import resource
import selectors
import socket
import sys
import time

from tunlite.protocol import cookie, noise as handshake, stamp, wire
from tunlite.system import port

_RETRY_S = 5.0
_RECEIVER = slice(wire.RESPONSE_RECEIVER, wire.RESPONSE_EPHEMERAL)


def run(generator):
    """The result of a handshake step, all its yields taken at once."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


class Peer:
    """One initiator."""

    def __init__(self, noise, private, public, address, source=""):
        self.noise = noise
        self.me = handshake.Identity(noise, bytearray(base64.b64decode(private)))
        self.them = handshake.Remote(public)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((source, 0))
        self.sock.connect(address)
        self.sock.setblocking(False)
        self.cookies = cookie.Jar()
        self.state = self.index = None
        self.due = 0.0
        self.is_up = False

    def send(self):
        """One initiation."""
        self.index = bytes(port.random_bytes(4))
        now = stamp.tai64n(time.time_ns())
        begun = handshake.initiate(self.noise, self.me, self.them, self.index, now)
        self.state, message = run(begun)
        self.cookies.add_macs(port, message, self.them.public, port.now_ms())
        self.sock.send(message)
        self.due = time.monotonic() + _RETRY_S + random.random() / 3

    def receive(self):
        """Takes what came; whether this made it come up."""
        message = self.sock.recv(2000)
        if message[0] == wire.COOKIE:
            self.cookies.consume(port, message, self.them.public, port.now_ms())
            return False
        if message[0] != wire.RESPONSE or message[_RECEIVER] != self.index or self.is_up:
            return False  # or an answer to an earlier initiation
        run(handshake.consume_response(self.noise, self.me, self.them, self.state, message))
        self.is_up = True
        return True


def main(address, port_number, public):
    """Until all are up."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    noise = handshake.Noise(port, wire.CONSTRUCTION, wire.IDENTIFIER, lambda: None)
    target, key = (address, int(port_number)), base64.b64decode(public)
    lines = [line.split() for line in sys.stdin]
    peers = [Peer(noise, private, key, target, *source) for private, *source in lines]
    selector = selectors.DefaultSelector()
    for peer in peers:
        selector.register(peer.sock, selectors.EVENT_READ, peer)
    for peer in peers:
        peer.send()
    print("begun", flush=True)
    up = 0
    while up < len(peers):
        for ready, _ in selector.select(0.05):
            try:
                up += ready.data.receive()
            except ConnectionRefusedError:
                continue  # the gateway is not there yet: its retry comes
        print("up", up, flush=True)
        now = time.monotonic()
        for peer in peers:
            if not peer.is_up and peer.due <= now:
                peer.send()
    print("all up", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
