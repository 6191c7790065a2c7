# SPDX-License-Identifier: MIT
"""A UDP relay between two namespaces that loses, doubles, swaps, delays and damages datagrams.

It stands in a namespace of its own between the ends, as a NAT would: each source address gets a
socket towards the target. Bounded: at most 4096 datagrams wait at once, later ones are lost.
"""

import heapq
import itertools
import os
import random
import selectors
import threading
import time

_WAITING_MAX = 4096


class Faults:
    """What happens to datagrams, as probabilities 0..1; delays in seconds."""

    def __init__(self, loss=0.0, duplicate=0.0, reorder=0.0, corrupt=0.0, delay=0.0, jitter=0.0):
        self.loss = loss
        self.duplicate = duplicate
        self.reorder = reorder  # held back by 5 ms, so that later ones overtake
        self.corrupt = corrupt  # one bit flipped anywhere
        self.delay = delay
        self.jitter = jitter


class Relay:
    """Forwards between who speaks to (namespace, port) and `target` ("address", port).

    `faults` may be exchanged while it runs. `watch(direction, datagram)`, if set, returns the
    datagrams to forward in its place; direction is "in" (towards the target) or "out". The seed is
    printed; TUNLITE_SEED repeats it.
    """

    def __init__(self, namespace, target, port=0, address="0.0.0.0", faults=None, watch=None):
        self.faults = faults or Faults()
        self.watch = watch
        self.counts = {"in": 0, "out": 0, "lost": 0, "doubled": 0, "reordered": 0, "corrupted": 0}
        seed = int(os.environ.get("TUNLITE_SEED") or random.randrange(1 << 32))
        print(f"relay seed: TUNLITE_SEED={seed}")
        self._random = random.Random(seed)
        self._namespace = namespace
        self._target = target
        self._front = namespace.udp_socket(address, port)
        self.port = self._front.getsockname()[1]
        self._sessions = {}  # source address: socket towards the target
        self._sources = {}  # that socket: source address
        self._heap, self._order = [], itertools.count()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ)
        self._ended = False
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()

    def rebind(self):
        """Gives every source a fresh socket towards the target, as a NAT that forgot its ports."""
        self._sessions = {}

    def inject(self, datagram):
        """Sends a datagram to the target from the oldest source's socket."""
        next(iter(self._sessions.values())).sendto(datagram, self._target)

    def answer(self, datagram):
        """Sends a datagram to the oldest source, as if it came from the target."""
        self._front.sendto(datagram, next(iter(self._sessions)))

    def _back(self, source):
        if source not in self._sessions:
            any_address = "::" if ":" in self._target[0] else "0.0.0.0"
            back = self._namespace.udp_socket(any_address)
            self._sources[back] = source
            self._sessions[source] = back
            self._selector.register(back, selectors.EVENT_READ)
        return self._sessions[source]

    def _chance(self, probability, count):
        hit = probability > 0 and self._random.random() < probability
        self.counts[count] += hit
        return hit

    def _damaged(self, datagram):
        changed = bytearray(datagram)
        changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _forward(self, direction, datagram, sock, address):
        faults = self.faults
        if len(self._heap) >= _WAITING_MAX:
            self.counts["lost"] += 1
            return
        if self._chance(faults.loss, "lost"):
            return
        copies = 2 if self._chance(faults.duplicate, "doubled") else 1
        for _ in range(copies):
            wait = faults.delay + self._random.random() * faults.jitter
            if self._chance(faults.reorder, "reordered"):
                wait += 0.005
            data = datagram
            if datagram and self._chance(faults.corrupt, "corrupted"):
                data = self._damaged(datagram)
            due = time.monotonic() + wait
            heapq.heappush(self._heap, (due, next(self._order), data, sock, address))
        self.counts[direction] += 1

    def _receive(self, sock):
        while True:
            try:
                datagram, address = sock.recvfrom(65535, 0x40)  # MSG_DONTWAIT
            except OSError:  # empty, or an ICMP error of an earlier datagram
                return
            if sock is self._front:
                direction, out, to = "in", self._back(address), self._target
            else:
                direction, out, to = "out", self._front, self._sources[sock]
            found = [datagram] if self.watch is None else self.watch(direction, datagram)
            for data in found:
                self._forward(direction, data, out, to)

    def _send_due(self):
        while self._heap and self._heap[0][0] <= time.monotonic():
            _, _, datagram, sock, address = heapq.heappop(self._heap)
            try:
                sock.sendto(datagram, address)
            except OSError:  # the target is down just now: lost, as on a real path
                self.counts["lost"] += 1

    def _turn(self):
        while not self._ended:
            wait = 0.1
            if self._heap:
                wait = max(0.0, min(wait, self._heap[0][0] - time.monotonic()))
            for key, _ in self._selector.select(wait):
                self._receive(key.fileobj)
            self._send_due()

    def close(self):
        """Ends the thread and closes the sockets."""
        self._ended = True
        self._thread.join()
        for sock in (self._front, *self._sources):
            sock.close()
        self._selector.close()
