# SPDX-License-Identifier: MIT
"""Echo requests of our own, each waited for in full.

ping(8) keeps its -W only while nothing at all has come back: afterwards it waits for twice the
slowest round trip, or one interval, and ends. On a busy machine the last answers are still under
way by then, and a path that lost nothing is said to have lost some.
"""

import os
import select
import socket
import struct
import time

_SO_TIMESTAMPNS = 35
_LONGEST = 70_000
# by family: protocol, types of request and answer, then (level, option) for the type of service
# and for path MTU discovery
_FAMILIES = {
    socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0, (0, socket.IP_TOS), (0, 10)),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129, (41, socket.IPV6_TCLASS), (41, 23)),
}
_ALWAYS = 2  # IP_PMTUDISC_DO


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Echo:
    """A raw socket towards one address, and what it has heard.

    `source` is an address or an interface; `tos` the whole byte; `whole`: no fragments.
    """

    def __init__(self, address, size=56, source=None, tos=0, whole=False):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._protocol, self._ask, self._answer, service, discovery = _FAMILIES[family]
        self._identity = int.from_bytes(os.urandom(2), "big")
        self._payload = os.urandom(size)
        self.times_ms = {}  # by sequence, from 1 on
        self.answered_at = {}  # the same: time.monotonic() of the answer
        self.doubled = 0
        self._sent_ns = {}
        self._socket = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, self._protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(*service, tos)
        if whole:
            self._socket.setsockopt(*discovery, _ALWAYS)
        if source and (":" in source or "." in source):
            self._socket.bind((source, 0))
        elif source:
            name = source.encode()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        self._address = address

    def close(self):
        """Ends it."""
        self._socket.close()

    def send(self, sequence):
        """One request; what the system refuses is one without an answer."""
        head = struct.pack("!BBHHH", self._ask, 0, 0, self._identity, sequence)
        if self._protocol == socket.IPPROTO_ICMP:
            head = head[:2] + struct.pack("!H", checksum(head + self._payload)) + head[4:]
        self._sent_ns[sequence] = time.time_ns()
        try:
            self._socket.sendto(head + self._payload, (self._address, 0))
        except OSError:
            pass

    def hear(self, until):
        """Takes answers until time.monotonic() is `until` or each request has its own."""
        while len(self.times_ms) < len(self._sent_ns):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                return
            try:
                self._take(*self._socket.recvmsg(_LONGEST, 256)[:2])
            except OSError:
                pass  # an ICMP error of an earlier request

    def _take(self, packet, notes):
        if self._protocol == socket.IPPROTO_ICMP:
            packet = packet[(packet[0] & 15) * 4 :]
        if len(packet) < 8 or packet[0] != self._answer or packet[8:] != self._payload:
            return
        identity, sequence = struct.unpack_from("!HH", packet, 4)
        if identity != self._identity or sequence not in self._sent_ns:
            return
        if sequence in self.times_ms:
            self.doubled += 1
            return
        stamps = [data for _, kind, data in notes if kind == _SO_TIMESTAMPNS]
        seconds, ns = struct.unpack("@ll", stamps[0])
        came_ns = seconds * 10**9 + ns
        self.times_ms[sequence] = (came_ns - self._sent_ns[sequence]) / 1e6
        self.answered_at[sequence] = time.monotonic() - (time.time_ns() - came_ns) / 1e9

    def run(self, count, interval, wait):
        """`count` requests, one an interval (seconds), then `wait` seconds for the rest."""
        due = time.monotonic()
        for sequence in range(1, count + 1):
            self.send(sequence)
            due += interval
            if sequence < count:
                self.hear(due)
                time.sleep(max(0, due - time.monotonic()))
        self.hear(time.monotonic() + wait)
