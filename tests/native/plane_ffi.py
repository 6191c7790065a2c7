# SPDX-License-Identifier: MIT
"""The packet path in memory: planes on io_fake, sessions between them, and a WireGuard transport of
our own making (cryptography's ChaCha20-Poly1305) to check the bytes against."""

import errno
import os
import select
import struct
import threading
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from machine import native_build

ROOT = Path(__file__).resolve().parent.parent.parent

INTERNAL = """
struct peer;
struct routes;
int routes_build(struct routes **, const uint8_t *, uint32_t, struct peer *const *, uint32_t);
void routes_free(struct routes *);
struct peer *routes_lookup4(const struct routes *, const uint8_t *);
struct peer *routes_lookup6(const struct routes *, const uint8_t *);
bool routes_allow4(const struct routes *, const uint8_t *, const struct peer *);
bool routes_allow6(const struct routes *, const uint8_t *, const struct peer *);
void routes_forget(struct routes *, const struct peer *);
struct replay { uint64_t next; uint32_t words; uint64_t *ring; };
bool replay_accept(struct replay *, uint64_t);
int datagram_returned(unsigned char *, unsigned char);
"""

PREAMBLE = """
#include <stdbool.h>
#include <tunlite.h>
#include <tunlite_test.h>
#include <outside/datagram.h>
#include <border/handles.h>
#include <path/replay.h>
#include <inside/routes.h>

/* What goes to an endpoint, taken for what came in: where from, put into the record, and its TOS */
static int datagram_returned(unsigned char *record, unsigned char tos) {
    struct datagram d = {0};
    struct msghdr m = {0};
    struct datagram_notes notes = {0};
    struct endpoint e;
    struct packet p = {.endpoint = &e, .tos = tos};
    handle_endpoint(&e, record);
    datagram_to_send(&d, &m, &p);
    datagram_received(&d, &m, &p, &notes);
    handle_put_endpoint(record, &e);
    return p.tos;
}
"""


def cdef():
    """Both border headers as cffi takes them, and the internals that are tested alone."""
    border = native_build.build_ffi().border_cdef
    headers = [ROOT / "native/include/tunlite.h", ROOT / "native/include/tunlite_test.h"]
    return "".join(border(h.read_text(encoding="utf-8")) for h in headers) + INTERNAL


def load():
    """(ffi, lib), compiled where a source has changed."""
    module = native_build.test_module("_test_plane", cdef(), PREAMBLE, native_build.core_sources())
    return module.ffi, module.lib


ffi, lib = load()

START_MS = 1_000_000
KEY_A, KEY_B = b"a" * 32, b"b" * 32
MAC1_KEY, COOKIE_KEY = b"m" * 32, b"c" * 32
NEVER = b"\xff" * 8


def checked(result):
    """A result of the border; OSError where it is -errno."""
    if result < 0:
        raise OSError(-result, errno.errorcode.get(-result, "?"))
    return result


def endpoint(addr="192.0.2.1", port=51820, local=None, scope=0, ifindex=0):
    """record_endpoint."""
    import socket

    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    raw = socket.inet_pton(family, addr).ljust(16, b"\0")
    mine = socket.inet_pton(family, local).ljust(16, b"\0") if local else bytes(16)
    number = 6 if ":" in addr else 4
    return struct.pack("<HH16sI16sII", number, port, raw, scope, mine, ifindex, 0)


def options(**changes):
    """record_options; keywords are its fields."""
    fields = {
        "engine": b"auto",
        "aead": b"portable",
        "offloads_off": 0,
        "layer": 3,
        "mtu": 1420,
        "pool_bytes": 4 << 20,
        "batch": 0,
        "replay_bits": 8192,
        "staged_per_peer": 128,
        "ring": 64,
        "handshakes_per_second": 20,
        "workers": 1,
        "ring_receives": 0,
        "ring_sends": 0,
        "forward": 0,
        "fdb": 1024,
        "fdb_per_peer": 256,
        "parts": 16,
        "vxlan_family": 0,
        "vxlan_vni": 0,
        "vxlan_port": 0,
        "vxlan_sums": 0,
        "vxlan_local": b"",
        "vxlan_remote": b"",
    }
    assert set(changes) <= set(fields)
    return struct.pack("<16s24s20I16s16s", *{**fields, **changes}.values())


def route(prefix, peer, standby=False):
    """record_route of "10.0.0.0/8" or "2001:db8::/32"."""
    import ipaddress

    net = ipaddress.ip_network(prefix)
    raw = net.network_address.packed.ljust(16, b"\0")
    return struct.pack("<BBHI16s", net.version, net.prefixlen, standby, peer, raw)


def names(kind):
    """The list that C numbers its records by."""
    out = ffi.new("unsigned char[8192]")
    size = checked(lib.tl_seen(-1, kind, out, 8192))
    return bytes(ffi.buffer(out, size)).decode().split("\n")[:-1]


DROPS, COUNTERS = names(lib.TL_SEEN_DROP_NAMES), names(lib.TL_SEEN_COUNTER_NAMES)


class Plane:
    """A plane on io_fake, or on the kernel where `fake` is False."""

    def __init__(self, fake=True, **changes):
        record = options(**changes)
        self.fake = fake
        self.number = checked((lib.tl_fake_new if fake else lib.tl_plane_new)(record, len(record)))
        self._seen_drops = [0] * len(DROPS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.tl_plane_free(self.number)

    def call(self, name, *args):
        """tl_NAME of this plane."""
        return checked(getattr(lib, "tl_" + name)(self.number, *args))

    def turn(self, times=1):
        """Turns that do not wait; the union of what they woke for."""
        woke = 0
        for _ in range(times):
            woke |= self.call("run", bytes(8))
        return woke

    def stay(self, deadline, condition):
        """One stay in C, which ends at `deadline` or when condition() has come back true on another
        thread: TL_WOKE_CONTROL; what it woke for."""
        readable, writable = os.pipe()
        self.call("watch", readable, select.EPOLLIN)
        thread = threading.Thread(target=lambda: condition() and os.write(writable, b"."))
        thread.start()
        woke = self.call("run", deadline)
        thread.join()
        self.call("watch", readable, 0)
        os.close(readable)
        os.close(writable)
        return woke

    def _numbers(self, what, n):
        out = ffi.new("unsigned char[]", n * 8)
        assert self.call("seen", what, out, n * 8) == n
        return list(struct.unpack(f"<{n}Q", bytes(out)))

    def drops(self):
        """What was dropped since the last call: {reason: packets}, zeros left out."""
        now = self._numbers(lib.TL_SEEN_DROPS, len(DROPS))
        new = {k: a - b for k, a, b in zip(DROPS, now, self._seen_drops, strict=True) if a > b}
        self._seen_drops = now
        return new

    def counters(self):
        """{name: value} of all."""
        return dict(zip(COUNTERS, self._numbers(lib.TL_SEEN_COUNTERS, len(COUNTERS)), strict=True))

    def features(self):
        """{name: (on, why)} of all; `why` is a reason's text or -errno."""
        labels, reasons = names(lib.TL_SEEN_FEATURE_NAMES), names(lib.TL_SEEN_REASON_NAMES)
        out = ffi.new("unsigned char[512]")
        n = self.call("seen", lib.TL_SEEN_FEATURES, out, 512)
        found = {}
        for number, on, why in struct.iter_unpack("<HHi", bytes(out)[: 8 * n]):
            found[labels[number]] = (bool(on), reasons[why] if why >= 0 else why)
        return found

    def clock(self, ms):
        """Moves the clock to START_MS + ms."""
        self.call("fake_clock", struct.pack("<Q", START_MS + ms))

    def peer(self, allowed=(), where=None):
        """A peer of these allowed IPs, which become the plane's only ones."""
        peer = self.call("peer_new")
        self.call("peer_endpoint", peer, where or endpoint())
        if allowed:
            self.routes([(prefix, peer) for prefix in allowed])
        return peer

    def routes(self, rows):
        """Publishes [(prefix, peer)] or [(prefix, peer, whether it stands by)]."""
        packed = b"".join(route(*row) for row in rows)
        self.call("routes", packed, len(packed))

    def index(self, peer):
        """A reserved receiver index, 4 bytes."""
        out = ffi.new("unsigned char[4]")
        self.call("index_new", peer, out)
        return bytes(out)

    def session(self, index, remote=b"\1\0\0\0", send=KEY_A, receive=KEY_B, use=True, **changes):
        """Makes an index a session (record_session; ages in ms) and by default sends with it."""
        fields = {
            "born_ms": START_MS,
            "initiator": 1,
            "pad": 16,
            "rekey_ms": 120_000,
            "rekey_received_ms": 165_000,
            "reject_ms": 180_000,
            "mode": 0,
            "rekey_messages": 1 << 60,
            "reject_messages": (1 << 64) - (1 << 13) - 1,
        }
        assert set(changes) <= set(fields)
        f = {**fields, **changes}
        record = index + remote + struct.pack("<Q", f["born_ms"]) + send + receive
        record += struct.pack("<6I", *(f[k] for k in list(fields)[1:7]))
        record += struct.pack("<QQ", f["rekey_messages"], f["reject_messages"])
        self.call("session_new", record, len(record))
        if use:
            self.call("session_use", index)
        return index

    def arm(self, peer, events=0x1F):
        """Arms events, by default all."""
        self.call("peer_arm", peer, events)

    def events(self):
        """{peer: events} since the last call."""
        out = ffi.new("unsigned char[8000]")
        n = self.call("events", out, 8000)
        rows = struct.unpack(f"<{2 * n}I", bytes(ffi.buffer(out, n * 8)))
        return dict(zip(rows[::2], rows[1::2], strict=True))

    def state(self, peer):
        """record_peer as a dict."""
        out = ffi.new("unsigned char[144]")
        self.call("peer_state", peer, out, 144)
        keys = "rx_bytes tx_bytes sent_any sent_data received_any received_data first_unanswered"
        keys += " first_unreplied staged events endpoint sending_index has_session send_counter"
        keys += " path_number path_len"
        values = struct.unpack("<8QII48s4sIQII", bytes(out))
        return dict(zip(keys.split(), values, strict=True))

    def handshake(self):
        """(endpoint, message) out of the ring, or None; `proved`: whether by mac2."""
        out = ffi.new("unsigned char[256]")
        n = self.call("handshake", out, 256)
        self.proved = n & lib.TL_PROVED != 0
        n &= ~lib.TL_PROVED
        data = bytes(out)
        return (data[:48], data[48 : 48 + n]) if n else None

    def put_inside(self, *packets):
        """Packets for the device's reading end."""
        for packet in packets:
            self.call("fake_device_put", packet, len(packet))

    def take_inside(self):
        """All packets that were written to the device."""
        out, found = ffi.new("unsigned char[70000]"), []
        while n := self.call("fake_device_take", out, 70000):
            found.append(bytes(ffi.buffer(out, n)))
        return found

    def put_outside(self, *datagrams, where=None, tos=0):
        """Datagrams for the socket's reading end."""
        for datagram in datagrams:
            self.call("fake_socket_put", where or endpoint(), tos, datagram, len(datagram))

    def take_outside_all(self):
        """All that was sent: [(datagram, endpoint, tos)]."""
        out, found = ffi.new("unsigned char[70000]"), []
        where, tos = ffi.new("unsigned char[48]"), ffi.new("unsigned char[1]")
        while n := self.call("fake_socket_take", where, tos, out, 70000):
            found.append((bytes(ffi.buffer(out, n)), bytes(where), tos[0]))
        return found

    def take_outside(self):
        """All datagrams that were sent."""
        return [datagram for datagram, _, _ in self.take_outside_all()]


def ipv4(src="10.0.0.1", dst="10.0.0.2", payload=b"", tos=0, total=None):
    """An IPv4 packet (protocol 253, for experiments) with a right header checksum."""
    import socket

    total = 20 + len(payload) if total is None else total
    ends = socket.inet_aton(src) + socket.inet_aton(dst)
    head = struct.pack("!BBHHHBBH", 0x45, tos, total, 1, 0, 64, 253, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def checksum(data):
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv6(src="fd00::1", dst="fd00::2", payload=b"", tclass=0, length=None):
    """An IPv6 packet (next header 253)."""
    import socket

    ends = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", 6 << 28 | tclass << 20, length, 253, 64) + ends + payload


def seal(key, receiver, counter, inner, pad=16):
    """A transport message, made without our code."""
    inner += bytes(-len(inner) % pad)
    sealed = ChaCha20Poly1305(key).encrypt(bytes(4) + struct.pack("<Q", counter), inner, b"")
    return b"\4\0\0\0" + receiver + struct.pack("<Q", counter) + sealed


def unseal(key, datagram):
    """(receiver, counter, padded inner packet), or None when it is not authentic."""
    assert datagram[:4] == b"\4\0\0\0"
    receiver, counter = datagram[4:8], struct.unpack("<Q", datagram[8:16])[0]
    nonce = bytes(4) + datagram[8:16]
    try:
        return receiver, counter, ChaCha20Poly1305(key).decrypt(nonce, datagram[16:], b"")
    except InvalidTag:
        return None
