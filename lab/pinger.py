# SPDX-License-Identifier: MIT
"""A ping that goes on, and when its answers came: how long nothing was answered."""

import contextlib
import os
import select
import socket
import struct
import threading
import time

from lab.echo import Echo
from lab.netns import wait_for

_PORT = 7  # of the echo service (RFC 862)
_GRACE_S = 1.0  # for the answers that are under way at the end


class UdpEcho:
    """As lab.echo.Echo, by datagrams to a UdpEchoServer: for where ICMP is what is lost."""

    def __init__(self, address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._mark = os.urandom(8)
        self.answered_at = {}  # time.monotonic() by sequence
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._address = address

    def close(self):
        """Ends it."""
        self._socket.close()

    def send(self, sequence):
        """One datagram; what the system refuses is one without an answer."""
        with contextlib.suppress(OSError):
            self._socket.sendto(self._mark + struct.pack("!I", sequence), (self._address, _PORT))

    def hear(self, until):
        """Takes answers until time.monotonic() is `until`."""
        while (left := until - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                with contextlib.suppress(OSError):  # an ICMP error of an earlier one
                    self._take(self._socket.recv(100))

    def _take(self, data):
        if data[:8] == self._mark:
            sequence = struct.unpack("!I", data[8:])[0]
            self.answered_at.setdefault(sequence, time.monotonic())


class UdpEchoServer:
    """Sends back what comes, in a namespace at one of its addresses, until its lab ends."""

    def __init__(self, lab, namespace, address):
        self._socket = namespace.udp_socket(address, _PORT)
        self._socket.settimeout(0.1)
        self._ended = False
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()
        lab.on_close(self._close)

    def _turn(self):
        while not self._ended:
            with contextlib.suppress(OSError):
                data, source = self._socket.recvfrom(2000)
                self._socket.sendto(data, source)

    def _close(self):
        self._ended = True
        self._thread.join()
        self._socket.close()


class Pinger:
    """Sends an echo request each `interval` seconds from now on. Moments are time.monotonic()'s."""

    def __init__(self, namespace, address, interval=0.05, kind=Echo):
        self._interval = interval
        self._sent_at = {}  # by sequence
        self._ended = False
        self._echo = namespace.inside(lambda: kind(address))
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()

    def _turn(self):
        due = time.monotonic()
        while not self._ended:
            sequence = len(self._sent_at) + 1
            self._sent_at[sequence] = time.monotonic()
            self._echo.send(sequence)
            due = max(due + self._interval, time.monotonic())
            self._echo.hear(due)
            time.sleep(max(0, due - time.monotonic()))
        self._echo.hear(time.monotonic() + _GRACE_S)
        self._echo.close()

    def _answered(self, moment):
        """When answers to requests of after `moment` came."""
        found = list(self._echo.answered_at.items())
        return [came for sequence, came in found if self._sent_at[sequence] >= moment]

    def wait_answers(self, more, timeout=20):
        """Waits for so many answers to requests that leave from now on."""
        begun = time.monotonic()
        wait_for(
            lambda: len(self._answered(begun)) >= more, timeout, f"{more} more answers to ping"
        )

    def gap(self, fault, timeout=20):
        """Waits for an answer to a request of after `fault`, the moment from which on there could
        be none by the old way: seconds from the last answer before it."""
        found = wait_for(lambda: self._answered(fault), timeout, "an answer after the fault")
        following = min(found)
        return following - max(came for came in self._answered(0) if came < following)

    def back(self, moment, timeout=20):
        """Waits for the first answer of after `moment`: seconds from it."""

        def found():
            return [came for came in self._answered(0) if came >= moment]

        return min(wait_for(found, timeout, "an answer")) - moment

    def stop(self):
        """Ends it. The sequence numbers, counted from 1, of requests that were not answered."""
        self._ended = True
        self._thread.join()
        return sorted(set(self._sent_at) - set(self._echo.answered_at))

    @property
    def sent(self):
        """How many requests have left."""
        return len(self._sent_at)
