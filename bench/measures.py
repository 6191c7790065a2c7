# SPDX-License-Identifier: MIT
"""What is measured on a Link: throughput, packet rate, latency, CPU time, system calls, memory."""

import os
import re
import statistics
import time
from pathlib import Path

from bench import syscalls
from lab.traffic import Iperf3, ping

SEGMENT = 1368  # bytes that a TCP segment carries: every tunnel's MTU is 1420
_TICK = os.sysconf("SC_CLK_TCK")


def congestion_control(wanted=""):
    """What the TCP flows use: cubic as Debian and OpenWrt do, reno where the kernel lacks it, or
    what is wanted; ValueError where the kernel lacks that.

    Not the kernel's own default: where that is BBR, its pacing hands out one super-packet at a
    time, and what is measured is its timer.
    """
    text = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii")
    if wanted and wanted not in text.split():
        raise ValueError(f"this kernel has no congestion control {wanted}; it has {text.strip()}")
    return wanted or ("cubic" if "cubic" in text.split() else "reno")


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


def _tcp_words(control, flows=1, reverse=False):
    return ["-C", control, "-P", flows] + (["-R"] if reverse else [])


def _udp_words(size):
    return ["-u", "-b", "0", "-l", size]


def tcp(link, server, seconds, control, flows=1, reverse=False):
    """Mbit/s, retransmits and daemon CPU seconds per GB (10^9 bytes of payload)."""
    cpu = Cpu(link)
    end = server.run(link.source, *_tcp_words(control, flows, reverse), seconds=seconds)["end"]
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


class FullSockets:
    """Datagrams that a namespace's kernel delivered to a socket that was full, but for the sockets
    that were there when this was made: those are the daemons' own."""

    def __init__(self, namespace):
        self._namespace = namespace
        self._own, self._all = self._sockets(), self._errors()

    def _lines(self, path):
        return self._namespace.run(["cat", path]).stdout.splitlines()

    def _errors(self):
        names, values = (row.split() for row in self._lines("/proc/net/snmp") if row[:4] == "Udp:")
        return int(values[names.index("RcvbufErrors")])

    def _sockets(self):
        """Drops by inode."""
        rows = self._lines("/proc/net/udp")[1:] + self._lines("/proc/net/udp6")[1:]
        return {row.split()[9]: int(row.split()[-1]) for row in rows}

    def dropped(self):
        """How many since it was made."""
        now = self._sockets()
        own = sum(now.get(inode, before) - before for inode, before in self._own.items())
        return self._errors() - self._all - own


def udp(link, server, seconds, size):
    """Datagrams per second that arrive when the sender sends all it can, and that came out of the
    tunnel: more, because iperf3's receiver does not keep up on a busy machine and its socket
    overflows. The share lost, and the daemons' CPU microseconds for each that came out."""
    cpu, full = Cpu(link), FullSockets(link.target)
    result = server.run(link.source, *_udp_words(size), seconds=seconds)
    spent, sent_s = cpu.spent(), result["end"]["sum_sent"]["seconds"]
    sent, received = packets_of(result)
    out = received + full.dropped()
    row = {
        "packets_s": received / sent_s,
        "out_of_tunnel_s": out / sent_s,
        "loss": 1 - received / sent,
    }
    if spent and out:
        row["cpu_us_per_packet"] = 1e6 * sum(sum(pair) for pair in spent.values()) / out
    return row


def packets_of(result):
    """(sent, received) of an iperf3 run; TCP's are segments, as they are on the wire.

    Of UDP each end has counted its own: what the receiver did not see the end of it does not know.
    """
    sent, received = result["end"]["sum_sent"], result["end"]["sum_received"]
    if result["start"]["test_start"]["protocol"] == "UDP":
        return sent["packets"], received["packets"] - received["lost_packets"]
    return sent["bytes"] / SEGMENT, received["bytes"] / SEGMENT


def calls_per_packet(link, server, words, how):
    """System calls that each side's daemons made for each packet that came out; nobody times it."""
    full = FullSockets(link.target)

    def run(wrap):
        return server.run(link.source, *words, seconds=1, wrap=wrap)

    result, calls = syscalls.counted(link, run, how)
    _, arrived = packets_of(result)
    out = arrived + full.dropped()
    return {f"{side}_per_packet": n / out for side, n in calls.items() if n and out}


def latency(link, server=None, control=None, count=100):
    """Round trips in ms: median and 99th percentile; under a TCP flow if there is a `server`."""
    load = None
    if server:
        words = ["iperf3", "-C", control, "-c", server.address, "-p", server.port]
        words += ["-t", count // 100 + 1]
        load = link.source.start(words, f"load-{time.monotonic_ns()}")
        load.wait_line("connected to")
        server.others(1)
    times = sorted(ping(link.source, link.address, count=count, interval=0.01).times_ms.values())
    if load:
        load.wait(count // 100 + 20)
    return {"median_ms": statistics.median(times), "p99_ms": times[int(len(times) * 0.99)]}


def _memory(link):
    return {f"{side}_peak_kb": kb for side, kb in peak_memory_kb(link).items()}


def all_measures(link, seconds, control, count_by=None):
    """One round of everything; {measure: {figure: number}}. `control`: of congestion_control(),
    `count_by`: of syscalls.way()."""
    server = Iperf3(link.target, link.address)
    rows = {
        "tcp 1 flow": tcp(link, server, seconds, control),
        "tcp 1 flow back": tcp(link, server, seconds, control, reverse=True),
        "tcp 4 flows": tcp(link, server, seconds, control, flows=4),
        "tcp 4 flows back": tcp(link, server, seconds, control, flows=4, reverse=True),
        "udp 64": udp(link, server, seconds, 64),
        "udp 1400": udp(link, server, seconds, 1400),
        "ping idle": latency(link),
        "ping loaded": latency(link, server, control),
    }
    if link.daemons:
        rows["memory"] = _memory(link)
    if link.daemons and count_by:
        rows["calls tcp"] = calls_per_packet(link, server, _tcp_words(control), count_by)
        rows["calls udp 64"] = calls_per_packet(link, server, _udp_words(64), count_by)
    server.server.stop()
    return rows


def quick_measures(link, seconds, control, _=None):
    """One TCP flow alone."""
    server = Iperf3(link.target, link.address)
    rows = {"tcp 1 flow": tcp(link, server, seconds, control)}
    if link.daemons:
        rows["memory"] = _memory(link)
    server.server.stop()
    return rows
