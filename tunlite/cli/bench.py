# SPDX-License-Identifier: MIT
"""`tunlite bench`: what this machine seals, and what a tunnel through its loopback carries.

The tunnel is two planes in this process, joined by UDP sockets on 127.0.0.1. Their devices are the
two ends of a packet socket: what comes out of the tunnel at one end goes into it again at the
other, so a packet is sealed, sent, received and opened over and over with no Python in between.
Needs neither root nor a network.
"""

import json
import struct

import tunlite
from tunlite import endpoints
from tunlite.cli import probe
from tunlite.config.settings import Settings
from tunlite.errors import UserError
from tunlite.plane import features, plane as planes, tuning
from tunlite.protocol import wire
from tunlite.system import port

SIZES = (64, 512, 1420)  # bytes of a packet inside the tunnel

_SEALED_AT_ONCE = 512
_SEAL_MS = 100  # for each AEAD and size
_IN_FLIGHT = 64
_WARM_MS = 50
_EAGAIN = 11
_GROWTH = 1 << 20
_LOOPBACK = b"\x7f\x00\x00\x01"
_CPU_ROWS = (b"system type", b"machine", b"model name", b"cpu model", b"Hardware", b"CPU part")


class BenchError(UserError):
    """Nothing could be measured."""


# ---- sealing -----------------------------------------------------------------------------------


def _seal_ns(name, size):
    """Nanoseconds to seal a packet, the best of several batches; None: not available here."""
    best = None
    end = port.now_ms() + _SEAL_MS
    while best is None or port.now_ms() < end:
        took = probe.measure(name, size, _SEALED_AT_ONCE)
        if took is None:
            return None
        best = took if best is None else min(best, took)
    return best or 1


def seal():
    """Rows (aead, size, ns, mb_s) of every AEAD that works here; MB are 10^6 bytes. Like all
    figures here whole numbers: the executable for routers has no others."""
    rows = []
    for name in features.names(port.native):
        if features.kind(name) == "aead":
            for size in SIZES:
                ns = _seal_ns(name, size)
                if ns:
                    rows.append({"aead": name, "size": size, "ns": ns, "mb_s": size * 1000 // ns})
    return rows


# ---- the tunnel --------------------------------------------------------------------------------


def _everything(peer):
    return struct.pack("<BBHI16s", 4, 0, 0, peer, b"")


def _join(ends):
    """A session between two (plane, UDP port, peer, index), as a handshake would leave it."""
    keys = (port.random_bytes(wire.KEY_SIZE), port.random_bytes(wire.KEY_SIZE))
    for side in (0, 1):
        plane, _, peer, index = ends[side]
        plane.peer_endpoint(peer, endpoints.record(4, _LOOPBACK, ends[1 - side][1]))
        plane.routes(_everything(peer))
        now = port.now_ms()
        remote = ends[1 - side][3]
        record = planes.session_record(index, remote, now, side == 0, 16, wire.REKEY_AFTER_MS)
        record[16:48] = keys[side]
        record[48:80] = keys[1 - side]
        plane.session_new(record)
        plane.session_use(index)


class Tunnel:
    """Two planes, and packets of `size` bytes that go round between them."""

    def __init__(self, size):
        self.size = size
        self.planes = []
        record = tuning.Tuning(port, Settings({}), tuning.is_small(port)).record
        devices = port.packet_pair()
        try:
            ends = []
            for fd in devices:
                plane = planes.Plane(port.native, record)
                self.planes.append(plane)
                plane.device(fd)
                peer = plane.peer_new()
                ends.append((plane, plane.listen(0, 0), peer, plane.index_new(peer)))
            _join(ends)
        except planes.PlaneError as e:
            self.close()
            raise BenchError(f"no tunnel: {e}")
        self._feed = devices[1]  # what the second plane writes is what the first one reads

    def close(self):
        for plane in self.planes:
            plane.free()

    def features(self):
        """Rows of features.py: what the tunnel uses."""
        return features.rows(port.native, self.planes[0].features())

    def _fill(self):
        addresses = (b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02")
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, self.size, 0, 0, 64, 253, 0, *addresses)
        for _ in range(_IN_FLIGHT):
            try:
                port.os_write(self._feed, head + bytes(self.size - len(head)))
            except OSError as e:
                if e.errno == _EAGAIN:
                    return  # so many is what the packet socket holds
                raise

    def _turn(self, ms):
        """Lets the packets go round for a while."""
        end = port.now_ms() + ms
        while port.now_ms() < end:
            for plane in self.planes:
                if plane.run(0) & planes.WOKE_POOL:
                    plane.grow(_GROWTH)

    def _dropped(self):
        """Why packets were refused, if any were."""
        names = planes.names(port.native, planes.NAMES_DROP)
        return [names[i] for p in self.planes for i, count in enumerate(p.drops()) if count]

    def _so_far(self):
        """Packets that came out of the tunnel, and nanoseconds of CPU."""
        at = planes.names(port.native, planes.NAMES_COUNTER).index("device_written")
        return self.planes[1].counters()[at], probe.spent_ns()

    def measure(self, ms):
        """A row (size, packets_s, kbit_s, cpu_ns) of one direction, both ends together.

        Rates are for a second of CPU time, so that a machine with other work gives the same ones.
        """
        self._fill()
        self._turn(_WARM_MS)
        before, cpu_before = self._so_far()
        self._turn(ms)
        after, cpu_after = self._so_far()
        packets, cpu = after - before, cpu_after - cpu_before
        if not packets:
            why = ", ".join(self._dropped()) or "lost"
            raise BenchError(f"no packet came through ({why}): is lo up? ip link set lo up")
        rate = packets * 1000000000 // cpu
        kbit_s = rate * self.size * 8 // 1000
        return {
            "size": self.size,
            "packets_s": rate,
            "kbit_s": kbit_s,
            "cpu_ns": cpu // packets,
        }


# ---- the page ----------------------------------------------------------------------------------


def _cpu():
    """What /proc/cpuinfo calls machine and processor, "" where it says nothing."""
    try:
        lines = bytes(port.read_file("/proc/cpuinfo")).split(b"\n")
    except OSError:
        return ""
    found = []
    for line in lines:
        name, _, value = line.partition(b":")
        text = value.strip().decode()
        if name.strip() in _CPU_ROWS and text not in found:
            found.append(text)
    return ", ".join(found)


def collect(ms):
    """Everything, as a dict; `ms` for each row of the tunnel."""
    rows = []
    for size in SIZES:
        tunnel = Tunnel(size)
        try:
            rows.append(tunnel.measure(ms))
            used = tunnel.features()
        finally:
            tunnel.close()
    return {
        "version": tunlite.__version__,
        "kernel": probe.first_line("/proc/sys/kernel/osrelease"),
        "cpu": _cpu(),
        "engine": features.chosen(used, "engine"),
        "aead": features.chosen(used, "aead"),
        "seal": seal(),
        "tunnel": rows,
    }


def as_json(found):
    return json.dumps(found) + "\n"


def as_text(found):
    """What collect() found, for people."""
    lines = [
        "tunlite " + found["version"] + ", Linux " + found["kernel"],
        found["cpu"],
        "",
        "sealing, one core:          bytes ns/packet     MB/s",
    ]
    for row in found["seal"]:
        mark = "*" if row["aead"] == found["aead"] else "-"
        figures = f"{row['size']:5} {row['ns']:9} {row['mb_s']:8}"
        lines.append(f"  {mark} {row['aead']:12} " + figures)
    lines += [
        "",
        "a tunnel, both ends and loopback on one core, "
        + found["engine"]
        + ", no TUN and its offloads:",
        "  bytes packets/s    Mbit/s ns/packet",
    ]
    for row in found["tunnel"]:
        mbit_s = f"{row['kbit_s'] // 1000}.{row['kbit_s'] % 1000 // 100}"
        figures = f"{row['packets_s']:9} {mbit_s:>9} {row['cpu_ns']:9}"
        lines.append(f"  {row['size']:5} " + figures)
    return "\n".join(lines) + "\n"
