# SPDX-License-Identifier: MIT
"""`tunlite probe`: what this kernel and CPU offer, what will be chosen, and why."""

import json

from tunlite import programs
from tunlite.plane import features, plane
from tunlite.system import port

_PACKET = 1420
_PACKETS = 256
_X25519_ROUNDS = 8
_CLOCK_CPU = 2  # TL_CLOCK_CPU
_CAP_NET_ADMIN = 12


def measure(name, size, packets):
    """Nanoseconds to seal one of so many packets of `size` bytes with an AEAD; None: not here."""
    spent = bytearray(8)
    text = name.encode()
    if port.native.tl_measure(text, len(text), size, packets, spent) < 0:
        return None
    return int.from_bytes(spent, "little") // packets


def spent_ns():
    """Our own CPU time."""
    spent = bytearray(8)
    port.native.tl_clock(_CLOCK_CPU, spent)
    return int.from_bytes(spent, "little")


def measure_x25519():
    """Microseconds of an X25519: the longest that a handshake keeps packets waiting."""
    out = bytearray(32)
    key = port.random_bytes(32)
    point = b"\x09" + bytes(31)
    best = None
    for _ in range(_X25519_ROUNDS):
        begun = spent_ns()
        port.x25519(out, key, point)
        spent = spent_ns() - begun
        best = spent if best is None else min(best, spent)
    return best // 1000


def first_line(path):
    """The first line of a small file, "" where it cannot be read."""
    try:
        return port.read_file(path).split(b"\n", 1)[0].decode()
    except OSError:
        return ""


def _exists(path):
    try:
        port.stat(path)
        return True
    except OSError:
        return False


def _may_administer_networks():
    try:
        for line in port.read_file("/proc/self/status").split(b"\n"):
            if line.startswith(b"CapEff:"):
                return bool(int(line.split()[1].decode(), 16) >> _CAP_NET_ADMIN & 1)
    except OSError:
        pass
    return False


def collect():
    """Everything, as a dict."""
    rows = features.rows(port.native, plane.probe(port.native))
    for row in rows:
        if row["kind"] == "aead":
            row["ns_per_packet"] = measure(row["name"], _PACKET, _PACKETS)
    return {
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "tun": _exists("/dev/net/tun"),
        "net_admin": _may_administer_networks(),
        "ipv6": _exists("/proc/net/if_inet6"),
        "kernel_wireguard": _exists("/sys/module/wireguard"),
        "programs": {name: programs.find(name) for name in ("nft", "resolvconf", "bash", "wg")},
        "engine": features.chosen(rows, "engine"),
        "aead": features.chosen(rows, "aead"),
        "x25519_us": measure_x25519(),
        "features": rows,
    }


def as_json():
    return json.dumps(collect()) + "\n"


def _yes(flag, otherwise):
    return "yes" if flag else "no: " + otherwise


_WITHOUT = {
    "nft": "a default route is set up without wg-quick's filter",
    "resolvconf": "a DNS option is refused",
    "bash": "hooks run in /bin/sh",
    "wg": "use tunlite show, setconf and syncconf",
}


def text():
    found = collect()
    lines = [
        "kernel: " + found["kernel"],
        "/dev/net/tun: " + _yes(found["tun"], "load the module tun"),
        "may make interfaces: " + _yes(found["net_admin"], "run as root"),
        "IPv6: " + _yes(found["ipv6"], "this kernel has it not"),
    ]
    if found["kernel_wireguard"]:
        lines.append("the kernel has WireGuard too: wg-quick prefers it, tunlite up does not")
    for title, kind in (
        ("engines", "engine"),
        ("AEADs", "aead"),
        ("offloads", "offload"),
        ("threads", "workers"),
    ):
        lines += ["", title + ":"]
        for row in found["features"]:
            if row["kind"] == kind:
                lines.append(_feature_line(row))
    lines += ["", f"a step of a handshake (X25519): {found['x25519_us']} us"]
    lines += ["", "programs:"]
    for name in ("nft", "resolvconf", "bash", "wg"):
        path = found["programs"][name]
        lines.append("  " + name + ": " + (path or "none, " + _WITHOUT[name]))
    return "\n".join(lines) + "\n"


def _feature_line(row):
    line = ("  * " if row["on"] else "  - ") + row["name"] + ": " + row["why"]
    if row.get("ns_per_packet"):
        ns = row["ns_per_packet"]
        line += f" ({ns} ns for {_PACKET} bytes, {_PACKET * 8000 // ns} Mbit/s on one core)"
    return line
