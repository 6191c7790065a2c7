# SPDX-License-Identifier: MIT
"""What is measured on a Link: throughput, packet rate, latency, CPU time, memory."""

import os
import re
import statistics
import time
from pathlib import Path

from tests.net.traffic import Iperf3, ping

_TICK = os.sysconf("SC_CLK_TCK")


def congestion_control():
    """What the TCP flows use: cubic as Debian and OpenWrt do, reno where the kernel lacks it.

    Not the kernel's own default: where that is BBR, its pacing hands out one super-packet at a
    time, and what is measured is its timer.
    """
    text = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii")
    return "cubic" if "cubic" in text.split() else "reno"


class Cpu:
    """CPU seconds of the daemons, user and kernel, from /proc/PID/stat (resolution 10 ms)."""

    def __init__(self, link):
        self._daemons = link.daemons
        self._start = self._read()

    def _read(self):
        seconds = {}
        for side, pids in self._daemons.items():
            ticks = [0, 0]
            for pid in pids:
                text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
                fields = text.rsplit(")", 1)[1].split()
                ticks[0] += int(fields[11])
                ticks[1] += int(fields[12])
            seconds[side] = (ticks[0] / _TICK, ticks[1] / _TICK)
        return seconds

    def spent(self):
        """{side: (user, kernel)} since it was made."""
        now = self._read()
        return {
            side: tuple(b - a for a, b in zip(self._start[side], now[side], strict=True))
            for side in now
        }


def peak_memory_kb(link):
    """VmHWM of each side's largest process."""

    def peak(pid):
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1])

    return {side: max(peak(pid) for pid in pids) for side, pids in link.daemons.items()}


def tcp(link, server, seconds, flows=1, reverse=False):
    """Mbit/s, retransmits and daemon CPU seconds per GB (10^9 bytes of payload)."""
    cpu = Cpu(link)
    words = ["-C", congestion_control(), "-P", flows] + (["-R"] if reverse else [])
    end = server.run(link.source, *words, seconds=seconds)["end"]
    gigabytes = end["sum_received"]["bytes"] / 1e9
    spent = cpu.spent()
    row = {
        "mbit_s": end["sum_received"]["bits_per_second"] / 1e6,
        "retransmits": end["sum_sent"].get("retransmits", 0),
    }
    if spent:
        row["cpu_s_per_gb"] = sum(sum(pair) for pair in spent.values()) / gigabytes
        for side, (user, kernel) in spent.items():
            row[f"{side}_user_s_per_gb"] = user / gigabytes
            row[f"{side}_kernel_s_per_gb"] = kernel / gigabytes
    return row


def udp(link, server, seconds, size):
    """Datagrams per second that arrive when the sender sends all it can, and the share lost."""
    words = ["-u", "-b", "0", "-l", size]
    end = server.run(link.source, *words, seconds=seconds)["end"]["sum"]
    received = end["packets"] - end["lost_packets"]
    return {"packets_s": received / end["seconds"], "loss": end["lost_percent"] / 100}


def latency(link, server=None, seconds=2):
    """Round trips in ms: median and 99th percentile; under a TCP flow if there is a `server`."""
    load = None
    if server:
        words = ["iperf3", "-C", congestion_control(), "-c", server.address, "-p", server.port]
        words += ["-t", seconds + 2]
        load = link.source.start(words, f"load-{time.monotonic_ns()}")
        load.wait_line("connected to")
    times = sorted(
        ping(link.source, link.address, count=seconds * 100, interval=0.01).times_ms.values()
    )
    if load:
        load.wait(seconds + 20)
    return {"median_ms": statistics.median(times), "p99_ms": times[int(len(times) * 0.99)]}


def all_measures(link, seconds):
    """One round of everything; {measure: {figure: number}}."""
    server = Iperf3(link.target, link.address)
    rows = {
        "tcp 1 flow": tcp(link, server, seconds),
        "tcp 1 flow back": tcp(link, server, seconds, reverse=True),
        "tcp 4 flows": tcp(link, server, seconds, flows=4),
        "tcp 4 flows back": tcp(link, server, seconds, flows=4, reverse=True),
        "udp 64": udp(link, server, seconds, 64),
        "udp 1400": udp(link, server, seconds, 1400),
        "ping idle": latency(link),
        "ping loaded": latency(link, server),
    }
    if link.daemons:
        rows["memory"] = {f"{side}_peak_kb": kb for side, kb in peak_memory_kb(link).items()}
    server.server.stop()
    return rows


def quick_measures(link, seconds):
    """One TCP flow alone."""
    server = Iperf3(link.target, link.address)
    rows = {"tcp 1 flow": tcp(link, server, seconds)}
    if link.daemons:
        rows["memory"] = {f"{side}_peak_kb": kb for side, kb in peak_memory_kb(link).items()}
    server.server.stop()
    return rows
