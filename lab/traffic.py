# SPDX-License-Identifier: MIT
"""Traffic through a tunnel, with what it showed: ping, TCP with a SHA-256 at both ends, iperf3."""

import contextlib
import itertools
import json
import re
import sys
from pathlib import Path

from lab.echo import Echo
from lab.netns import wait_for

_TCP_END = Path(__file__).with_name("tcp_end.py")
_numbers = itertools.count(1)  # of logs: a name used twice would show the first run's lines


class Ping:
    """What became of echo requests: how many left, round trips in ms by sequence."""

    def __init__(self, sent, times_ms, doubled=0):
        self.sent = sent
        self.times_ms = times_ms
        self.doubled = doubled

    @property
    def received(self):
        """Requests that were answered."""
        return len(self.times_ms)

    @property
    def lost(self):
        """Requests without an answer."""
        return self.sent - self.received

    def __repr__(self):
        missing = sorted(set(range(1, self.sent + 1)) - set(self.times_ms))
        return f"Ping(sent={self.sent}, without an answer: {missing})"


def ping(namespace, address, count=3, interval=0.05, wait=2, **options):
    """Sends echo requests from a namespace, one an interval (seconds), and waits `wait` seconds for
    what is missing after the last; the Ping. `options` are echo.Echo's."""

    def body():
        with contextlib.closing(Echo(address, **options)) as echo:
            echo.run(count, interval, wait)
        return Ping(count, echo.times_ms, echo.doubled)

    return namespace.inside(body)


class BackgroundPing:
    """A ping(8) that runs while the test does something else."""

    def __init__(self, namespace, address, interval=0.02, size=56):
        argv = ["ping", "-n", "-i", interval, "-s", size, address]
        self._process = namespace.start(argv, f"ping-{address}-{next(_numbers)}")
        self._under_way = max(1, int(0.1 / interval))

    def wait_replies(self, more, timeout=10):
        """Waits until `more` further answers have come in."""
        log = self._process.log
        target = log().count("time=") + more
        wait_for(lambda: log().count("time=") >= target, timeout, f"{more} more answers to ping")

    def stop(self):
        """Ends it as Ctrl-C does; the Ping. Answers of the last 100 ms may still be under way."""
        import signal

        self._process.stop(signal.SIGINT)
        text = self._process.log()
        counts = re.search(r"(\d+) packets transmitted", text)
        found = re.findall(r"icmp_seq=(\d+) .*?time=([\d.]+) ms", text)
        times_ms = {int(sequence): float(ms) for sequence, ms in found}
        result = Ping(int(counts[1]) if counts else 0, times_ms)
        result.sent -= min(result.sent - max(result.times_ms, default=0), self._under_way)
        return result


class Transfer:
    """One TCP transfer: bytes, seconds from connect to the receiver's end, digests of both ends."""

    def __init__(self, sender, receiver):
        self.bytes = receiver["bytes"]
        self.seconds = receiver["seconds"]
        self.sent_sha256 = sender["sha256"]
        self.received_sha256 = receiver["sha256"]

    @property
    def is_intact(self):
        """Whether the receiver has what the sender sent."""
        return self.sent_sha256 == self.received_sha256

    @property
    def mbit_s(self):
        """Throughput of the payload."""
        return self.bytes * 8 / self.seconds / 1e6


class BackgroundTransfer:
    """A TCP transfer that runs while the test does something else."""

    def __init__(self, source, target, address, size, rate=0):
        port, number = 5500, next(_numbers)
        self.receiver = target.start(
            [sys.executable, _TCP_END, "receive", address, port], f"tcp-receive-{number}"
        )
        self.receiver.wait_line("listening")
        self.sender = source.start(
            [sys.executable, _TCP_END, "send", address, port, size, rate], f"tcp-send-{number}"
        )

    def received(self):
        """Bytes that have arrived so far."""
        counts = re.findall(r"^at (\d+)$", self.receiver.log(), re.MULTILINE)
        return int(counts[-1]) if counts else 0

    def is_running(self):
        """Whether it has not finished yet."""
        return self.receiver.is_running()

    def finish(self, timeout=60):
        """Waits for both ends; the Transfer."""
        ends = []
        for process in (self.sender, self.receiver):
            status = process.wait(timeout)
            if status:
                raise AssertionError(f"{process.argv}: exit status {status}\n{process.log()}")
            ends.append(json.loads(process.log().splitlines()[-1]))
        return Transfer(*ends)


def tcp_transfer(source, target, address, size=1 << 20, timeout=60):
    """Sends `size` random bytes from source to `address` in target; the Transfer."""
    return BackgroundTransfer(source, target, address, size).finish(timeout)


class Iperf3:
    """An iperf3 server in a namespace, and runs against it."""

    def __init__(self, target, address, port=5201):
        self.address, self.port = address, port
        argv = ["iperf3", "-s", "-p", port, "--forceflush"]
        self.server = target.start(argv, f"iperf3-{port}")
        self._runs = 0

    def _is_ready(self):
        """It says so before every run; who comes earlier is refused."""
        return self.server.log().count("Server listening") > self._runs

    def others(self, n):
        """So many runs were started by somebody else."""
        self._runs += n

    def run(self, source, *arguments, seconds=3, wrap=()):
        """One client run; iperf3's JSON as a dict. `wrap`: words before the command."""
        wait_for(self._is_ready, 15, "iperf3's server is ready")
        self._runs += 1
        argv = [
            *wrap,
            "iperf3",
            "-J",
            "-c",
            self.address,
            "-p",
            self.port,
            "-t",
            seconds,
            *arguments,
        ]
        result = json.loads(source.run([*wrap, *argv, *arguments], timeout=seconds + 30).stdout)
        if "error" in result:
            raise RuntimeError("iperf3: " + result["error"])
        return result


def iperf3(source, target, address, *arguments, seconds=3):
    """One iperf3 run from source to `address` in target; iperf3's JSON as a dict."""
    server = Iperf3(target, address)
    try:
        return server.run(source, *arguments, seconds=seconds)
    finally:
        server.server.stop()
