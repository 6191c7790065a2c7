# SPDX-License-Identifier: MIT
"""The packet path as an object: packs and unpacks the records of native/base/wire.h; no policy.

Every method calls one function of native/include/tunlite.h and raises PlaneError where that gives
-errno. Handles are ints, receiver indexes bytes of 4, endpoints bytes of 48, times milliseconds.
"""

import errno
import struct

from tunlite import endpoints
from tunlite.protocol import wire
from tunlite.system import port

# What tl_run returns.
WOKE_DEADLINE = 1
WOKE_PEERS = 2
WOKE_HANDSHAKE = 4
WOKE_CONTROL = 8
WOKE_SIGNAL = 16
WOKE_DEVICE_GONE = 32
WOKE_POOL = 64

# Events of a peer.
WANTS_SESSION = 1
REKEY = 2
CONFIRMED = 4
ACTIVE = 8
ROAMED = 16
ECHO = 32  # one that keepalive() sent was answered
PATH = 64  # layer 2: a path probe was
BYE = 128  # layer 2: it takes no frames any more

# peer_use(): whether frames go to a peer and are taken from it.
STANDBY = 0
IN_USE = 1
LEFT = 2

OURS = 0xFFFF  # macs(): the device's own address

# Flags of fdb()'s rows.
PINNED = 1
HELD = 2  # where it was first: it moves too often

LONG_MS = 3  # packets turn after so much of Python's work; one piece of it may take longer

_PROVED = 256
_NEEDS_COOKIE = -2
_EAGAIN = 11
_EDESTADDRREQ = errno.EDESTADDRREQ
_ENOKEY = errno.ENOKEY
_EMSGSIZE = errno.EMSGSIZE

# What tl_seen tells.
_DROPS = 0
_COUNTERS = 1
_WORKERS = 2
_FEATURES = 3
_FDB = 8
NAMES_DROP = 4
NAMES_COUNTER = 5
NAMES_FEATURE = 6
NAMES_REASON = 7

_NO_PLANE = -1

_OPTIONS = "<16s24s20I16s16s"
_OPTIONS_LAYER = 44
_STATE_SIZE = 144
_STATE = "<8QII"
_STATE_ENDPOINT = 72
_STATE_PATH = 136
_SESSION_SIZE = 120
_EVENTS_MAX = 32
_MESSAGE_MAX = 152  # of either layer: each is told of the other's
_NEVER = b"\xff" * 8

# Fields of state().
RX_BYTES = 0
TX_BYTES = 1
SENT_ANY = 2
SENT_DATA = 3
RECEIVED_ANY = 4
RECEIVED_DATA = 5
FIRST_UNANSWERED = 6
FIRST_UNREPLIED = 7
STAGED = 8
ARMED = 9


class PlaneError(Exception):
    """A call failed: `errno` (positive) and `what` was asked for."""

    def __init__(self, errno, what):
        super().__init__(f"{what}: {port.strerror(errno)}")
        self.errno = errno
        self.what = what


def options(
    engine="auto",
    aead="auto",
    offloads_off=0,
    layer=3,
    mtu=1420,
    pool_bytes=4 << 20,
    batch=0,
    replay_bits=8192,
    staged_per_peer=128,
    ring=4096,
    handshakes_per_second=20,
    workers=1,
    ring_slots=(0, 0),
    layer2=(0, 1024, 256, 16),
    vxlan=(0, 0, 0, 0, b"", b""),
):
    """The options record: names as NAMES_FEATURE gives them, `ring` a power of two. ring_slots:
    receives and sends of the engine io_uring, 0 for those that it chooses. layer2: whether frames
    of one peer go on to others, addresses remembered in all and of one peer, frames that may wait
    for their other parts. vxlan, with frames at the device of layer 3: family, VNI, port, whether
    UDP checksums are sent, our address and theirs."""
    return struct.pack(
        _OPTIONS,
        engine.encode(),
        aead.encode(),
        offloads_off,
        layer,
        mtu,
        pool_bytes,
        batch,
        replay_bits,
        staged_per_peer,
        ring,
        handshakes_per_second,
        workers,
        *ring_slots,
        *layer2,
        *vxlan,
    )


def session_record(index, remote, born_ms, initiator, pad, rekey_ms, mode=0):
    """A session record whose keys (bytes 16 to 80) are still zero; wipe it after use. `mode`: of
    layer 2 (protocol/layer.py).

    The limits in milliseconds and messages are protocol.md's, "Timers".
    """
    record = bytearray(_SESSION_SIZE)
    struct.pack_into("<4s4sQ", record, 0, index, remote, born_ms)
    struct.pack_into(
        "<6I8s8s",
        record,
        80,
        1 if initiator else 0,
        pad,
        rekey_ms,
        wire.REKEY_RECEIVED_MS,
        wire.REJECT_AFTER_MS,
        mode,
        wire.REKEY_AFTER_MESSAGES,
        wire.REJECT_AFTER_MESSAGES,
    )
    return record


def _seen(native, plane, what, out):
    """What tl_seen writes to `out`: how many numbers, rows or bytes."""
    count = native.tl_seen(plane, what, out, len(out))
    if count < 0:
        raise PlaneError(-count, "seen")
    return count


def names(native, kind):
    """The names that C knows, a list of str; `kind` is one of NAMES_*."""
    out = bytearray(4096)
    size = _seen(native, _NO_PLANE, kind, out)
    return bytes(out[:size]).decode().split("\n")[:-1]


def _feature_rows(native, plane):
    out = bytearray(8 * 64)
    count = _seen(native, plane, _FEATURES, out)
    return [struct.unpack_from("<HHi", out, 8 * i) for i in range(count)]


def probe(native):
    """As Plane.features(), of what this kernel and CPU offer."""
    return _feature_rows(native, _NO_PLANE)


class Plane:
    """One plane. `record`: see options(). Buffers are made once: no call allocates many bytes."""

    def __init__(self, native, record):
        self.native = native
        self.handle = self._check(native.tl_plane_new(record, len(record)), "plane")
        self._deadline = bytearray(8)
        self._state = bytearray(_STATE_SIZE)
        self._rows = bytearray(8 * _EVENTS_MAX)
        self._message = bytearray(endpoints.SIZE + _MESSAGE_MAX)
        self.layer, self.mtu = struct.unpack_from("<II", record, _OPTIONS_LAYER)

    def _check(self, code, what):
        if code < 0:
            raise PlaneError(-code, what)
        return code

    def free(self):
        """Wipes and closes everything; the plane is of no use afterwards."""
        if self.handle is not None:
            self.native.tl_plane_free(self.handle)
            self.handle = None

    def device(self, fd):
        self._check(self.native.tl_plane_device(self.handle, fd), "device")

    def link(self, ifindex, mtu):
        """The device's ifindex while it is in the sockets' network namespace, else 0, and its MTU,
        0 where that is not known."""
        self._check(self.native.tl_plane_link(self.handle, ifindex, mtu), "link")
        self.mtu = mtu or self.mtu

    def listen(self, port, fwmark):
        """The port that is bound."""
        mark = struct.pack("<I", fwmark)
        return self._check(self.native.tl_plane_listen(self.handle, port, mark), "listen")

    def deaf(self):
        self._check(self.native.tl_plane_listen(self.handle, -1, bytes(4)), "deaf")

    def identity(self, mac1_key, cookie_key):
        """None, None: no identity."""
        code = self.native.tl_plane_identity(self.handle, mac1_key, cookie_key)
        self._check(code, "identity")

    def run(self, deadline_ms):
        """Turns packets until the deadline (None: none); the bits of WOKE_*."""
        if deadline_ms is None:
            self._deadline[:] = _NEVER
        else:
            struct.pack_into("<Q", self._deadline, 0, deadline_ms)
        return self._check(self.native.tl_run(self.handle, self._deadline), "run")

    def turn(self):
        """One packet turn amid something long. What is to be told waits for run(), a failure too:
        that meets it again, where it ends the daemon and not just what went on here, half-way.
        """
        self.native.tl_run(self.handle, None)

    def grow(self, size):
        """Size of the pool in KiB after it grew by `size` bytes, or shrank (0)."""
        return self._check(self.native.tl_plane_grow(self.handle, size), "grow")

    def watch(self, fd, events):
        self._check(self.native.tl_watch(self.handle, fd, events), "watch")

    def _take_rows(self, take, what):
        count = self._check(take(self.handle, self._rows, len(self._rows)), what)
        return [struct.unpack_from("<iI", self._rows, 8 * i) for i in range(count)]

    def ready(self):
        """List of (descriptor, events)."""
        return self._take_rows(self.native.tl_ready, "ready")

    def events(self):
        """List of (peer, events), at most 32 at a time; ask until it is empty."""
        return self._take_rows(self.native.tl_events, "events")

    # ---- peers ----

    def peer_new(self):
        return self._check(self.native.tl_peer_new(self.handle), "peer")

    def peer_free(self, peer):
        self._check(self.native.tl_peer_free(self.handle, peer), "peer")

    def peer_endpoint(self, peer, record):
        self._check(self.native.tl_peer_endpoint(self.handle, peer, record), "endpoint")

    def peer_rates(self, peer, bits_in, bits_out):
        """Bits a second inside, from it and to it; 0: any."""
        record = struct.pack("<QQ", bits_in, bits_out)
        self._check(self.native.tl_peer_rates(self.handle, peer, record), "rates")

    def _read_state(self, peer):
        code = self.native.tl_peer_state(self.handle, peer, self._state, _STATE_SIZE)
        self._check(code, "state")

    def state(self, peer):
        """A tuple; RX_BYTES and the others above are its places. Stamps are 0 for never."""
        self._read_state(peer)
        return struct.unpack_from(_STATE, self._state, 0)

    def endpoint_of(self, peer):
        """The endpoint record that packets go to now."""
        self._read_state(peer)
        return bytes(self._state[_STATE_ENDPOINT : _STATE_ENDPOINT + endpoints.SIZE])

    def arm(self, peer, events):
        self._check(self.native.tl_peer_arm(self.handle, peer, events), "arm")

    def flush(self, peer):
        return self._check(self.native.tl_peer_flush(self.handle, peer), "flush")

    def keepalive(self, peer, packet=b""):
        """False where no session can send. One that finds the socket full, or that is too long for
        our own link, is lost. packet: an echo
        request (protocol/echo.py) inside, or on layer 2 a control frame; neither it nor its answers
        are data."""
        code = self.native.tl_peer_keepalive(self.handle, peer, packet, len(packet))
        if code in (-_ENOKEY, -_EDESTADDRREQ):
            return False
        if code not in (-_EAGAIN, -_EMSGSIZE):
            self._check(code, "keepalive")
        return True

    def heard(self, peer, record, size):
        self._check(self.native.tl_peer_heard(self.handle, peer, record, size), "heard")

    def path_of(self, peer):
        """Layer 2: (number, UDP payload that came) of the last answer to a path probe."""
        self._read_state(peer)
        return struct.unpack_from("<II", self._state, _STATE_PATH)

    def peer_path(self, peer, frame_max, payload_max):
        """Layer 2: the longest frame that the peer takes, and the longest UDP payload there."""
        code = self.native.tl_peer_path(self.handle, peer, frame_max, payload_max)
        self._check(code, "path")

    def peer_use(self, peer, how):
        """Layer 2: STANDBY, IN_USE or LEFT."""
        self._check(self.native.tl_peer_use(self.handle, peer, how), "use")

    def macs(self, rows):
        """Layer 2: addresses that stay where they are, a list of (6 bytes, peer); the first may be
        the device's own, with OURS."""
        packed = b"".join([mac + struct.pack("<H", peer) for mac, peer in rows])
        self._check(self.native.tl_macs(self.handle, packed, len(packed)), "macs")

    def routes(self, rows):
        self._check(self.native.tl_routes(self.handle, rows, len(rows)), "routes")

    # ---- handshakes and sessions ----

    def index_new(self, peer):
        index = bytearray(4)
        self._check(self.native.tl_index_new(self.handle, peer, index), "index")
        return bytes(index)

    def index_free(self, index):
        """Wipes the session that it became, too."""
        self._check(self.native.tl_index_free(self.handle, index), "index")

    def handshake(self):
        """The next (endpoint, message, whether mac2 proves that address) of the ring, or None."""
        code = self.native.tl_handshake(self.handle, self._message, len(self._message))
        size = self._check(code, "handshake")
        if not size:
            return None
        end = endpoints.SIZE + (size & ~_PROVED)
        record = bytes(self._message[: endpoints.SIZE])
        return record, bytes(self._message[endpoints.SIZE : end]), size & _PROVED != 0

    def send(self, peer, record, message):
        """0, or -errno: a message that cannot leave is lost, as any datagram may be."""
        return self.native.tl_send(self.handle, peer, record, message, len(message))

    def ask_for_cookie(self, record, initiation):
        """Sends a cookie reply to an initiation that came from there."""
        native = self.native
        code = native.tl_send(self.handle, _NEEDS_COOKIE, record, initiation, len(initiation))
        self._check(code, "cookie")

    def session_new(self, record):
        code = self.native.tl_session_new(self.handle, record, len(record))
        self._check(code, "session")

    def session_use(self, index):
        self._check(self.native.tl_session_use(self.handle, index), "session")

    # ---- what is seen ----

    def _numbers(self, what):
        out = bytearray(8 * 128)
        count = _seen(self.native, self.handle, what, out)
        return struct.unpack_from(f"<{count}Q", out, 0)

    def drops(self):
        """Counts in the order of names(NAMES_DROP)."""
        return self._numbers(_DROPS)

    def counters(self):
        return self._numbers(_COUNTERS)

    def workers(self):
        """List of (datagrams read, datagrams written), one for each worker."""
        out = bytearray(16 * 8)
        count = _seen(self.native, self.handle, _WORKERS, out)
        return [struct.unpack_from("<QQ", out, 16 * i) for i in range(count)]

    def fdb_count(self):
        """Layer 2: how many addresses are known."""
        return _seen(self.native, self.handle, _FDB, bytearray(1))

    def fdb(self, most):
        """Layer 2: at most so many of the addresses that are known, each (6 bytes, peer, age in ms,
        flags)."""
        out = bytearray(16 * most)
        count = min(_seen(self.native, self.handle, _FDB, out), most)
        for i in range(count):
            yield struct.unpack_from("<6sHII", out, 16 * i)

    def features(self):
        """List of (feature, on, reason): numbers into names()."""
        return _feature_rows(self.native, self.handle)
