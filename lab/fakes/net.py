# SPDX-License-Identifier: MIT
"""A world of whole daemons without a kernel: one clock, a network that loses and reorders, and the
packet path of native/include/tunlite.h in a few lines of Python.

Time jumps from event to event, so hours pass in a second. Inside packets are tuples turned into
bytes: 4 bytes source, 4 bytes destination, then anything.
"""

import hashlib
import heapq
import hmac
import random
import struct

from lab.fakes.port import Clock, FakePort, Primitives
from tunlite import endpoints, log as logs
from tunlite.control import daemon as daemons
from tunlite.plane import plane as planes
from tunlite.protocol import layer

_ENOKEY = 126
_OFF = layer.MODES.index("off")
_NAMES = (
    b"some_drop\n",
    b"returns\nreturns_deadline\n",
    b"basic\nudp_gso\nportable\n",
    b"chosen\nnot in this build\n",
)


class World:
    """Nodes and the network between them. `loses(packet)` and `delay_ms(packet)` may be replaced;
    a packet is (from, to, bytes), each end (address, port)."""

    def __init__(self, seed=1):
        self.clock = Clock()
        self.chance = random.Random(seed)
        self.nodes = {}
        self.loses = lambda packet: False
        self.delay_ms = lambda packet: 20
        self.log = []  # (ms, from, to, bytes) of every datagram
        self._queue = []
        self._serial = 0

    def at(self, when_ms, call):
        self._serial += 1
        heapq.heappush(self._queue, (when_ms, self._serial, call))

    def transmit(self, packet):
        self.log.append((self.clock.now_ms, *packet))
        if not self.loses(packet):
            self.at(self.clock.now_ms + self.delay_ms(packet), lambda: self._deliver(packet))

    def _deliver(self, packet):
        node = self.nodes.get(packet[1][0])
        if node is not None and node.native.port == packet[1][1]:
            node.native.inbox.append(packet)
            node.turn()

    def run(self, seconds):
        """Lets time pass."""
        end_ms = self.clock.now_ms + int(seconds * 1000)
        while True:
            for node in list(self.nodes.values()):
                node.settle()
            when_ms = min(
                [self._queue[0][0] if self._queue else end_ms]
                + [node.native.deadline_ms for node in self.nodes.values()]
            )
            if when_ms > end_ms:
                break
            self.clock.now_ms = max(self.clock.now_ms, when_ms)
            while self._queue and self._queue[0][0] <= self.clock.now_ms:
                heapq.heappop(self._queue)[2]()
            for node in list(self.nodes.values()):
                if node.native.deadline_ms <= self.clock.now_ms:
                    node.turn()
            if when_ms == end_ms and not self._queue:
                break
        self.clock.now_ms = end_ms


class Log(logs.Log):
    """Lines as (level, text)."""

    def __init__(self):
        super().__init__("")
        self.lines = []

    def error(self, text, kind=None):
        self.lines.append(("error", text))

    def info(self, text, kind=None):
        self.lines.append(("info", text))

    def event(self, text):
        self.lines.append(("event", text))

    def debug(self, text, kind=None):
        self.lines.append(("debug", text))

    def texts(self, level):
        return [text for found, text in self.lines if found == level]


class Node:
    """One daemon at an outside address (4 bytes) in a World. On layer 2 the fake has frames for its
    inside packets, and knows by their addresses whose they are."""

    def __init__(self, world, address, files=None, seed=None, layer=3):
        self.world = world
        self.address = address
        self.native = FakePlane(world, address)
        seed = address[3] if seed is None else seed
        self.port = FakePort(world.clock, seed, self.native)
        if files is not None:
            self.port.files = files
        self.log = Log()
        record = planes.options(layer=layer, mtu=1420)
        self.daemon = daemons.Daemon(self.port, "fake", -1, record, self.log, "/state")
        self.interface = self.daemon.interface
        self.interface.blocked.keep_in("/state/blocked-fake")
        world.nodes[address] = self

    def also_at(self, address):
        """A second address, of 4 or 16 bytes: from then on it answers from where it was asked."""
        self.native.others.append(address)
        self.world.nodes[address] = self

    def start(self, private=None):
        self.interface.set_private_key(private or self.port.random_bytes(32))
        self.interface.link_up()
        return self

    def add(self, other, inside, psk=None, endpoint=True, persistent_s=0):
        """Knows `other` as a peer with one inside address (4 bytes)."""
        peer = self.interface.add_peer(other.interface.me.public)
        if psk:
            self.interface.set_psk(peer, psk)
        self.interface.allowed.add(peer, (4, inside, 32))
        if endpoint:
            self.interface.set_endpoint(peer, 4, other.address, other.interface.listen_port)
        if persistent_s:
            self.interface.set_persistent(peer, persistent_s)
        self.interface.commit()
        return peer

    def turn(self):
        if self.daemon.stopped is None:
            self.daemon.turn()

    def settle(self):
        """Turns until nothing is left to do now."""
        self.turn()
        for _ in range(100_000):
            if not self.interface.exchange.busy() and not self.native.busy():
                return
            self.turn()
        raise AssertionError("the loop does not come to rest")

    def send(self, to, data=b"hello"):
        """An inside packet for the inside address `to`."""
        self.native.from_device(bytes(4) + to + data)

    def received(self):
        """What came out of the tunnel since the last call: list of payloads."""
        found = [packet[8:] for packet in self.native.to_device]
        self.native.to_device = []
        return found

    def remove(self):
        """The machine is switched off: nothing is said to anyone."""
        del self.world.nodes[self.address]


class _Peer:
    def __init__(self):
        self.endpoint = bytes(48)
        self.sending = None
        self.confirmed = None
        self.staged = []
        self.armed = self.pending = 0
        self.rx = self.tx = 0
        self.sent_any = self.sent_data = self.received_any = self.received_data = 0
        self.first_unanswered = self.first_unreplied = 0
        self.echo = b""  # the last request
        self.path = [65535, 1232]  # layer 2: longest frame, longest payload
        self.path_answer = bytes(8)  # number and length of the last one
        self.use = planes.IN_USE  # of layer 2
        self.left_ms = 0  # when it was LEFT
        self.byes = 0  # that came from it
        self.rates = (0, 0)


class _Session:
    def __init__(self, record):
        head = struct.unpack_from("<4s4sQ32s32s6I", record, 0)
        self.index, self.remote, self.born, self.send_key, self.receive_key = head[:5]
        self.initiator, self.pad, self.rekey, self.rekey_received, self.reject, self.mode = head[5:]
        self.heard = False  # something sealed came
        self.answered = self.echoed = -1 << 30  # mode off: when a keepalive, an echo left
        self.counter = 0
        self.seen = set()
        self.peer = None
        self.serial = 0  # the greater the newer


class FakePlane(Primitives):
    """The stateful part of the border, for one plane (handle 0)."""

    def __init__(self, world, address):
        super().__init__(world.chance)
        self.world = world
        self.address = address
        self.others = []  # addresses besides that one
        self.port = 0
        self.peers = {}
        self.serial = 0
        self.indices = {}  # index -> peer handle while reserved, _Session when live
        self.routes = []
        self.fdb = []  # what a test says of addresses: frames are C's
        self.ring = []
        self.send_error = 0  # errno with which no handshake message leaves
        self.inbox = []
        self.to_device = []
        self.answers = set()  # inside addresses (4 bytes) that answer echoes
        self.device_gone = False
        self.where = 0  # what tl_device_where gives
        self.link = None
        self.deadline_ms = 0
        self.returns = 0
        self.wakes = 0  # returns that had a reason
        self.under_load = False
        self.mac1_key = self.cookie_key = None
        self.cookie_secret = world.chance.randbytes(32)
        self.drops = {}
        self.told_ms = 0
        self._next_peer = 0

    def now(self):
        return self.world.clock.now_ms

    def drop(self, why):
        self.drops[why] = self.drops.get(why, 0) + 1

    def busy(self):
        return bool(self.inbox) or any(peer.pending for peer in self.peers.values())

    # ---- plane ----

    def tl_plane_new(self, record, size):
        assert size == 152
        self.layer = record[44]
        return 0

    def tl_plane_free(self, plane):
        self.deadline_ms = 1 << 62
        return 0

    def tl_device_where(self, fd, name16):
        name16[:4] = b"fake"
        return self.where

    def tl_plane_link(self, plane, ifindex, mtu):
        self.link = ifindex
        return 0

    def tl_plane_listen(self, plane, port, mark):
        if port == -1:
            self._deafen()
            return 0
        self.port = port or 51820
        return self.port

    def _deafen(self):
        self.port = None
        for peer in self.peers.values():
            peer.first_unanswered = peer.first_unreplied = 0

    def tl_plane_identity(self, plane, mac1_key, cookie_key):
        self.mac1_key, self.cookie_key = mac1_key, cookie_key
        return 0

    def tl_plane_grow(self, plane, size):
        return 1024

    def tl_run(self, plane, deadline):
        while self.inbox:
            self._receive(self.inbox.pop(0))
        if deadline is None:
            return 0
        self.returns += 1
        self.deadline_ms = struct.unpack("<Q", deadline)[0]
        woke = planes.WOKE_DEADLINE if self.now() >= self.deadline_ms else 0
        if any(peer.pending for peer in self.peers.values()):
            woke |= planes.WOKE_PEERS
        if self.ring:
            woke |= planes.WOKE_HANDSHAKE
        if self.device_gone:
            woke |= planes.WOKE_DEVICE_GONE
        self.wakes += woke != 0
        return woke

    def tl_seen(self, plane, what, out, size):
        if what > planes.NAMES_REASON:
            return self._put_fdb(out)
        if what >= planes.NAMES_DROP:
            names = _NAMES[what - planes.NAMES_DROP]
            out[: len(names)] = names
            return len(names)
        count, row = (
            (1, bytes(8)),
            (2, struct.pack("<QQ", self.returns, 0)),
            (1, bytes(16)),
            (3, struct.pack("<HHiHHiHHi", 0, 1, 0, 1, 0, 1, 2, 1, 0)),
        )[what]
        out[: len(row)] = row
        return count

    def _put_fdb(self, out):
        rows = b"".join([struct.pack("<6sHII", *row) for row in self.fdb[: len(out) // 16]])
        out[: len(rows)] = rows
        return len(self.fdb)

    # ---- peers ----

    def tl_peer_new(self, plane):
        self._next_peer += 1
        self.peers[self._next_peer] = _Peer()
        return self._next_peer

    def tl_peer_free(self, plane, handle):
        del self.peers[handle]
        assert all(row[3] != handle for row in self.routes), "a route to a freed peer"
        for index, found in list(self.indices.items()):
            if found == handle or getattr(found, "peer", None) == handle:
                del self.indices[index]
        return 0

    def tl_peer_endpoint(self, plane, handle, record):
        self.peers[handle].endpoint = bytes(record)
        return 0

    def tl_peer_rates(self, plane, handle, record):
        self.peers[handle].rates = struct.unpack("<QQ", record)
        return 0

    def tl_peer_path(self, plane, handle, frame_max, payload_max):
        assert self.layer == 2 and frame_max >= 14 and payload_max >= 508
        self.peers[handle].path = [frame_max, payload_max]
        return 0

    def tl_peer_use(self, plane, handle, how):
        assert self.layer == 2
        self.peers[handle].use = how
        self.peers[handle].left_ms = self.now()
        return 0

    def tl_macs(self, plane, rows, size):
        assert self.layer == 2
        self.macs = [struct.unpack_from("<6sH", rows, at) for at in range(0, size, 8)]
        return 0

    def tl_peer_state(self, plane, handle, out, size):
        p = self.peers[handle]
        stamps = (p.sent_any, p.sent_data, p.received_any, p.received_data)
        counts = (p.rx, p.tx, *stamps, p.first_unanswered, p.first_unreplied)
        out[:72] = struct.pack("<8QII", *counts, len(p.staged), p.armed)
        out[72:120] = p.endpoint
        out[120:136] = bytes(16)
        out[136:144] = p.path_answer
        return 0

    def tl_peer_arm(self, plane, handle, events):
        peer = self.peers[handle]
        peer.armed = events
        self.raise_event(peer, planes.CONFIRMED if peer.confirmed else 0)
        return 0

    def raise_event(self, peer, events):
        events &= peer.armed
        peer.armed &= ~events
        peer.pending |= events

    def tl_events(self, plane, out, size):
        rows = 0
        for handle, peer in self.peers.items():
            if peer.pending and 8 * rows < size:
                told = ~0 if peer.confirmed else ~planes.CONFIRMED
                struct.pack_into("<II", out, 8 * rows, handle, peer.pending & told)
                peer.pending = 0
                rows += 1
        return rows

    def tl_peer_flush(self, plane, handle):
        count = len(self.peers[handle].staged)
        self.peers[handle].staged = []
        return count

    def tl_peer_keepalive(self, plane, handle, packet, size):
        assert len(packet) == size
        peer = self.peers[handle]
        if packet[:2] not in (layer.PATH_PROBE, layer.BYE):
            peer.echo = bytes(packet) or peer.echo
        session = self._usable(peer)
        if session is None or peer.endpoint[0] == 0:
            return -_ENOKEY
        self._transport(peer, session, bytes(packet), 0)
        return 0

    def tl_peer_heard(self, plane, handle, record, size):
        peer = self.peers[handle]
        peer.endpoint = bytes(record)
        peer.rx += size
        self._any_received(peer)
        return 0

    def tl_routes(self, plane, rows, size):
        found = [struct.unpack_from("<BBHI16s", rows, at) for at in range(0, size, 24)]
        self.routes = sorted(found, key=lambda row: -row[1])
        assert all(row[3] in self.peers for row in self.routes)
        return 0

    # ---- handshakes and sessions ----

    def tl_index_new(self, plane, handle, out):
        assert handle in self.peers
        index = self.world.chance.randbytes(4)
        self.indices[index] = handle
        out[:] = index
        return 0

    def tl_index_free(self, plane, index):
        found = self.indices.pop(bytes(index))
        if not isinstance(found, _Session):
            return 0
        peer = self.peers[found.peer]
        if peer.sending is found:
            peer.sending = None
        if peer.confirmed is found:
            peer.confirmed = None
        return 0

    def tl_handshake(self, plane, out, size):
        if not self.ring:
            return 0
        record, message = self.ring.pop(0)
        out[: 48 + len(message)] = record + message
        return len(message) | (256 if self._is_proved(record, message) else 0)

    def tl_send(self, plane, handle, record, message, size):
        if self.send_error:
            return -self.send_error
        if handle == -2:
            assert message[0] == 1 and size == self._size(1)
            self._ask_for_cookie(record, message)
            return 0
        if handle >= 0:
            peer = self.peers[handle]
            peer.tx += size
            self._any_sent(peer)
        self._datagram(record, bytes(message))
        return 0

    def tl_session_new(self, plane, record, size):
        assert size == 120
        session = _Session(bytes(record))
        session.peer = self.indices[session.index]
        assert isinstance(session.peer, int), "the index is a session's already"
        self.serial = session.serial = self.serial + 1
        self.indices[session.index] = session
        return 0

    def tl_session_use(self, plane, index):
        session = self.indices[bytes(index)]
        peer = self.peers[session.peer]
        peer.sending = session
        peer.confirmed = None
        staged, peer.staged = peer.staged, []
        for packet in staged:
            self._send(peer, packet)
        return 0

    # ---- packets ----

    def _usable(self, peer):
        session = peer.sending
        if session is None or self.now() - session.born >= session.reject:
            return None
        return session

    def from_device(self, packet):
        self._from_device(packet, packet[4:8])

    def _from_device(self, packet, to):
        for family, bits, standby, handle, address in self.routes:
            if family == 4 and bits == 32 and address[:4] == to and not standby:
                peer = self.peers[handle]
                if peer.endpoint[0] == 0:
                    self.drop("no_endpoint")
                else:
                    self._send(peer, packet)
                return
        if self.layer == 2:
            self._flood(packet)
        else:
            self.drop("no_route")

    def _flood(self, packet):
        for peer in self.peers.values():
            if peer.use == planes.IN_USE and peer.endpoint[0]:
                self._send(peer, packet)

    def _takes_frames(self, peer):
        is_leaving = peer.use == planes.LEFT and self.now() < peer.left_ms + 5000
        return peer.use == planes.IN_USE or is_leaving

    def _send(self, peer, packet):
        session = self._usable(peer)
        if session is None:
            peer.staged = (peer.staged + [packet])[-128:]
            self.raise_event(peer, planes.WANTS_SESSION)
            return
        is_open = self.layer == 2 and (session.mode != _OFF or session.heard)
        self._transport(peer, session, self._framed(packet), session.mode if is_open else 0)
        peer.sent_data = self.now()
        if not peer.first_unanswered:
            peer.first_unanswered = self.now()
        events = planes.ACTIVE
        if session.initiator and self.now() - session.born >= session.rekey:
            events |= planes.REKEY
        self.raise_event(peer, events)

    def _framed(self, packet):
        return b"\0\0" + packet if self.layer == 2 else packet

    def _transport(self, peer, session, packet, mode):
        if mode == _OFF and self.now() - session.echoed >= 2000:
            session.echoed = self.now()
            self._transport(peer, session, layer.ECHO + bytes(8), 0)
        kind = bytes([4 + mode])
        header = kind + b"\0\0\0" + session.remote + struct.pack("<Q", session.counter)
        session.counter += 1
        message = header + packet
        if mode != _OFF:
            message += _tag(session.send_key, message)
        peer.tx += len(message)
        self._any_sent(peer)
        self._datagram(peer.endpoint, message)

    def _to_device(self, packet):
        """The kernel behind it answers echoes for `answers`."""
        if packet[16:20] in self.answers and packet[:1] == b"\x45":
            self._from_device(_turned(packet), packet[12:16])
        else:
            self.to_device.append(packet)

    def _any_sent(self, peer):
        peer.sent_any = self.now()
        peer.first_unreplied = 0

    def _any_received(self, peer):
        peer.received_any = self.now()
        peer.first_unanswered = 0

    def _datagram(self, record, message):
        family, address, port, _ = endpoints.parts(record)
        if family and self.port:
            local = record[24 : 24 + len(address)]
            if not any(local):
                own = [self.address, *self.others]
                local = [one for one in own if len(one) == len(address)][0]
            self.world.transmit(((local, self.port), (address, port), message))

    def _receive(self, packet):
        (address, port), (own, _), message = packet
        record = endpoints.record(4 if len(address) == 4 else 6, address, port)
        if self.others:
            record = record[:24] + own.ljust(16, b"\0") + record[40:]
        if 4 <= message[0] <= (6 if self.layer == 2 else 4):
            self._receive_transport(record, message)
        elif self._is_for_us(record, message):
            self.ring.append((record, message))

    def _is_for_us(self, record, message):
        if self.mac1_key is None:
            self.drop("no_identity")
            return False
        if message[0] != 3:
            mac = hashlib.blake2s(message[:-32], digest_size=16, key=self.mac1_key).digest()
            if mac != message[-32:-16]:
                self.drop("bad_mac1")
                return False
        if message[0] in (1, 2) and len(message) != self._size(message[0]):
            return self._is_to_be_told(message)
        if message[0] != 1:
            index = message[4:8] if message[0] == 3 else message[8:12]
            found = self.indices.get(index)
            if found is None or (isinstance(found, _Session) and message[0] != 3):
                self.drop("unknown_index")
                return False
        if message[0] != 3 and self.under_load:
            return self._has_mac2(record, message)
        return True

    def _has_mac2(self, record, message):
        if self._is_proved(record, message):
            return True
        self._ask_for_cookie(record, message)
        return False

    def _size(self, kind):
        return (148 if kind == 1 else 92) + (4 if self.layer == 2 else 0)

    def _is_to_be_told(self, message):
        """One initiation of the other layer a minute."""
        self.drop("other_layer" if message[0] == 1 else "bad_length")
        is_due = message[0] == 1 and self.now() >= self.told_ms
        if is_due:
            self.told_ms = self.now() + 60_000
        return is_due

    def cookie_for(self, record):
        return hashlib.blake2s(record, digest_size=16, key=self.cookie_secret).digest()

    def _is_proved(self, record, message):
        cookie = self.cookie_for(record)
        mac = hashlib.blake2s(message[:-16], digest_size=16, key=cookie).digest()
        return message[0] in (1, 2) and mac == message[-16:]

    def _ask_for_cookie(self, record, message):
        cookie = self.cookie_for(record)
        self.drop("cookie_sent")
        sealed = bytearray(32)
        nonce = self.world.chance.randbytes(24)
        self.tl_seal(sealed, 32, self.cookie_key, nonce, 24, message[-32:-16], 16, cookie, 16)
        self._datagram(record, b"\x03\0\0\0" + message[4:8] + nonce + bytes(sealed))

    def _receive_transport(self, record, message):
        session = self.indices.get(message[4:8])
        if not isinstance(session, _Session) or self.now() - session.born >= session.reject:
            self.drop("unknown_index")
            return
        mode = message[0] - 4
        if mode not in (0, session.mode):
            self.drop("wrong_mode")
            return
        if mode == _OFF:
            self._receive_open(session, record, message)
            return
        counter = struct.unpack_from("<Q", message, 8)[0]
        if not hmac.compare_digest(_tag(session.receive_key, message[:-16]), message[-16:]):
            self.drop("not_authentic")
            return
        if counter in session.seen:
            self.drop("replayed")
            return
        session.seen.add(counter)
        session.heard = True
        peer = self.peers[session.peer]
        peer.endpoint = record
        peer.rx += len(message)
        self._any_received(peer)
        events = 0
        if peer.sending is None or session.serial > peer.sending.serial:
            peer.confirmed = session
            events = planes.CONFIRMED
        inside = message[16:-16]
        if peer.echo and (_turned(inside) == peer.echo or _is_answer(inside, peer.echo)):
            events |= planes.ECHO
        elif self.layer == 2 and inside[:1] == layer.ECHO[:1]:
            events |= self._control(peer, session, inside, len(message))
        elif inside and not self._takes_frames(peer):
            self.drop("not_in_use")
            self._transport(peer, session, layer.BYE, 0)
        elif inside:
            self._answer_sealed(peer, session)
            self._to_device(inside[2:] if self.layer == 2 else inside)
            peer.received_data = self.now()
            if not peer.first_unreplied:
                peer.first_unreplied = self.now()
            events |= planes.ACTIVE
        if session.initiator and self.now() - session.born >= session.rekey_received:
            events |= planes.REKEY
        self.raise_event(peer, events)

    def _control(self, peer, session, frame, size):
        """A control frame; the event that it raises."""
        if frame[1:2] == layer.ECHO[1:]:
            self._transport(peer, session, b"\2\1" + frame[2:], 0)
        elif frame[1] == 2:
            self._transport(peer, session, b"\2\3" + frame[2:6] + struct.pack("<I", size), 0)
        elif frame[1] == 3:
            peer.path_answer = frame[2:10]
            return planes.PATH
        elif frame[1] == 4:
            peer.byes += 1
            return planes.BYE
        return 0

    def _receive_open(self, session, record, message):
        """Mode off: it is no more than a frame, of where the peer is known to be."""
        if session.heard and self.peers[session.peer].endpoint[:20] == record[:20]:
            self._to_device(message[18:])
        else:
            self.drop("not_authentic")

    def _answer_sealed(self, peer, session):
        is_due = self.now() - session.answered >= 1000 and peer.sending is session
        if session.mode == _OFF and not session.initiator and is_due:
            session.answered = self.now()
            self._transport(peer, session, b"", 0)


def _turned(echo):
    """The request that this IPv4 echo answers, or the answer to it; checksums are not compared."""
    kind = echo[20:21]
    if echo[:1] != b"\x45" or kind not in (b"\0", b"\x08"):
        return None
    turned = b"\0" if kind == b"\x08" else b"\x08"
    return echo[:12] + echo[16:20] + echo[12:16] + turned + echo[21:]


def _is_answer(frame, echo):
    """On layer 2."""
    return frame[:2] == b"\2\1" and echo == layer.ECHO + frame[2:]


def _tag(key, data):
    return hashlib.blake2s(data, digest_size=16, key=key).digest()
