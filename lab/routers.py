# SPDX-License-Identifier: MIT
"""Thousands of routers in one process, each with a key and addresses outside and inside of its own.

    routers.py < JSON: {"gateways": [[public key, address, port], ...], "target": address inside,
                        "routers": [[private key, outside, inside, index of its gateway], ...]}

Each makes its session and pings the target once a second. One whose pings were unanswered for 3 s
goes to the next gateway, as a group with `FailAfter = 3` does. Prints "all up" when each had an
answer. SIGTERM ends the pings; then it prints a JSON list, for the routers that began at each
gateway [how many, how many of them moved, the longest time that one had no answer, how many of all
their pings had none].

It is the project's own handshake on this side: what is under test is the gateways.
"""

import base64
import heapq
import ipaddress
import json
import random
import resource
import selectors
import signal
import socket
import struct
import sys
import time

from nacl import bindings, exceptions

from lab.crowd import run
from lab.echo import checksum
from tunlite.protocol import cookie, noise as handshake, stamp, wire
from tunlite.system import port

PING_S = 1.0
FAIL_S = 3.0
_RETRY_S = 5.0
_A_SECOND = 400  # first handshakes
_GRACE_S = 2.0
_RECEIVER = slice(wire.RESPONSE_RECEIVER, wire.RESPONSE_EPHEMERAL)


class Gateway:
    """One gateway as one router knows it."""

    def __init__(self, public, address, port_number):
        self.them = handshake.Remote(base64.b64decode(public))
        self.address = (address, port_number)
        self.cookies = cookie.Jar()


class Session:
    """Keys and counters of one session."""

    def __init__(self, state, index):
        keys = bytearray(64)
        state.session_keys(keys, True)
        self._send, self._receive = bytes(keys[:32]), bytes(keys[32:])
        self._index = bytes(index)
        self._counter = 0

    def seal(self, packet):
        """The data message that carries it."""
        packet += bytes(-len(packet) % 16)
        number = struct.pack("<Q", self._counter)
        self._counter += 1
        sealed = bindings.crypto_aead_chacha20poly1305_ietf_encrypt(
            packet, None, bytes(4) + number, self._send
        )
        return b"\x04\0\0\0" + self._index + number + sealed

    def open(self, message):
        """What is in a data message, b"" for what is not ours."""
        try:
            return bindings.crypto_aead_chacha20poly1305_ietf_decrypt(
                message[16:], None, bytes(4) + message[8:16], self._receive
            )
        except exceptions.CryptoError:
            return b""


class Pings:
    """Echo requests of one router, and what became of them."""

    def __init__(self, source, target):
        head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_ICMP, 0)
        ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
        total = checksum(head + ends)
        self._head = head[:10] + struct.pack("!H", total) + ends
        self._open = set()
        self._sent = 0
        self._answered_at = None
        self.silent_since = None
        self.widest = 0.0

    @property
    def lost(self):
        """Those without an answer."""
        return len(self._open)

    @property
    def began(self):
        """Whether one was answered."""
        return self._answered_at is not None

    def request(self, now):
        """The next packet."""
        self._sent += 1
        self._open.add(self._sent & 0xFFFF)
        if self.silent_since is None:
            self.silent_since = now
        body = struct.pack("!HH", 1, self._sent & 0xFFFF)
        total = checksum(b"\x08\0\0\0" + body)
        return self._head + b"\x08\0" + struct.pack("!H", total) + body

    def answer(self, packet, now):
        """A packet from the other end; keepalives are none."""
        if len(packet) < 28 or packet[20]:
            return
        self._open.discard(struct.unpack_from("!H", packet, 26)[0])
        self.silent_since = None
        if self._answered_at is not None:
            self.widest = max(self.widest, now - self._answered_at)
        self._answered_at = now


class Router:
    """One router. `due` is when it has something to do next."""

    def __init__(self, noise, row, gateways, target):
        private, outside, inside, self.first = row
        self._noise = noise
        self._me = handshake.Identity(noise, bytearray(base64.b64decode(private)))
        self._gateways = [Gateway(*gateway) for gateway in gateways]
        self.at = self.first
        self.pings = Pings(inside, target)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind((outside, 0))
        self._state = self._session = None
        self.due = 0.0

    def act(self, now):
        """What is due: an initiation, a ping, or the next gateway's turn."""
        silent = self.pings.silent_since
        if self._session and silent is not None and now - silent >= FAIL_S:
            self._session = None
            self.pings.silent_since = None
            self.at = (self.at + 1) % len(self._gateways)
        if self._session:
            self._send(self._session.seal(self.pings.request(now)))
            self.due = now + PING_S
        else:
            self._initiate(now)

    def _initiate(self, now):
        gateway = self._gateways[self.at]
        self._index = bytes(port.random_bytes(4))
        begun = handshake.initiate(
            self._noise, self._me, gateway.them, self._index, stamp.tai64n(time.time_ns())
        )
        self._state, message = run(begun)
        gateway.cookies.add_macs(port, message, gateway.them.public, port.now_ms())
        self._send(message)
        self.due = now + _RETRY_S + random.random() / 3

    def _send(self, message):
        self.sock.sendto(message, self._gateways[self.at].address)

    def receive(self, now):
        """Takes a datagram; whether something is due at once."""
        message, source = self.sock.recvfrom(2000)
        gateway = self._gateways[self.at]
        if source != gateway.address:
            return False
        if message[0] == 4 and self._session:
            self.pings.answer(self._session.open(message), now)
        elif message[0] == wire.COOKIE and not self._session:
            gateway.cookies.consume(port, message, gateway.them.public, port.now_ms())
            self.due = now + 0.2 + 0.3 * random.random()
            return True
        elif message[0] == wire.RESPONSE and not self._session:
            return self._respond(message, now)
        return False

    def _respond(self, message, now):
        if message[_RECEIVER] != self._index:
            return False  # an answer to an earlier initiation
        them = self._gateways[self.at].them
        state = run(
            handshake.consume_response(self._noise, self._me, them, self._state, bytearray(message))
        )
        self._session = Session(state, message[4:8])
        self.due = now
        return True


class Crowd:
    """All of them, by one selector and one heap."""

    def __init__(self, rows):
        noise = handshake.Noise(port, wire.CONSTRUCTION, wire.IDENTIFIER, lambda: None)
        self.routers = [
            Router(noise, row, rows["gateways"], rows["target"]) for row in rows["routers"]
        ]
        self._selector = selectors.DefaultSelector()
        self._heap = []
        self._count = 0
        begun = time.monotonic()
        for number, router in enumerate(self.routers):
            self._selector.register(router.sock, selectors.EVENT_READ, router)
            router.due = begun + number / _A_SECOND
            self._later(router)

    def _later(self, router):
        self._count += 1
        heapq.heappush(self._heap, (router.due, self._count, router))

    def turn(self, acts=True):
        """What has come, then what is due."""
        for ready, _ in self._selector.select(0.005):
            try:
                if ready.data.receive(time.monotonic()):
                    self._later(ready.data)
            except ConnectionRefusedError:
                pass
        now = time.monotonic()
        while acts and self._heap and self._heap[0][0] <= now:
            due, _, router = heapq.heappop(self._heap)
            if due == router.due:  # else it has been put off, or has acted
                router.act(now)
                self._later(router)

    def run_until(self, ended, acts=True):
        """Turns until ended() is true."""
        while not ended():
            self.turn(acts)


def main():
    """Until SIGTERM."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(time.monotonic()))
    rows = json.load(sys.stdin)
    crowd = Crowd(rows)
    routers = crowd.routers
    crowd.run_until(lambda: asked or all(router.pings.began for router in routers))
    print("all up", flush=True)
    crowd.run_until(lambda: asked)
    crowd.run_until(lambda: time.monotonic() > asked[0] + _GRACE_S, acts=False)
    print(json.dumps([_summary(routers, first) for first in range(len(rows["gateways"]))]))


def _summary(routers, first):
    found = [router for router in routers if router.first == first]
    moved = sum(router.at != first for router in found)
    widest = max((router.pings.widest for router in found), default=0)
    return [len(found), moved, widest, sum(router.pings.lost for router in found)]


if __name__ == "__main__":
    main()
