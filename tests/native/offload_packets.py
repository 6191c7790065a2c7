# SPDX-License-Identifier: MIT
"""Packets for the offload tests: builders, and Hypothesis strategies over them."""

import copy
import random
import struct

from hypothesis import strategies as st

from tests.native import offload_model as model
from tests.native.offload_model import ACK, TCP, UDP

ADDRESSES = {4: (b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"), 6: (b"\xfd" + bytes(15), b"\xfd" * 16)}


def noise(seed, length):
    """Payload; seed 0 gives zeros and seed 1 all ones, where one's complement is at its edges."""
    if seed < 2:
        return bytes([255 * seed]) * length
    return random.Random(seed).randbytes(length)


class Ip:
    """What stands in an IP header. `options`: IPv4 options, or a chain of IPv6 extension headers
    as (type, bytes from the second byte on)."""

    def __init__(self, version=4, host=1, **fields):
        self.version = version
        source, self.target = ADDRESSES[version]
        self.source = source[:-1] + bytes([host])
        self.tos, self.ttl, self.id, self.fragment = 0, 64, 1000, 0x4000
        self.label, self.options = 7, b"" if version == 4 else []
        self.__dict__.update(fields)

    def around(self, protocol, l4):
        """The packet; not one length field is a lie."""
        if self.version == 4:
            size = 20 + len(self.options)
            head = struct.pack(
                ">BBHHHBBH", 64 + size // 4, self.tos, size + len(l4), self.id, self.fragment,
                self.ttl, protocol, 0,
            )  # fmt: skip
            return model.with_ip4_checksum(head + self.source + self.target + self.options) + l4
        chain = [*[kind for kind, _ in self.options], protocol]
        rest = b""
        for following, (_, data) in zip(chain[1:], self.options, strict=True):
            rest += bytes([following]) + data
        word = 6 << 28 | self.tos << 20 | self.label
        head = struct.pack(">IHBB", word, len(rest) + len(l4), chain[0], self.ttl)
        return head + self.source + self.target + rest + l4


def tcp(
    ip, payload, seq=1, flags=ACK, *, ports=(5000, 80), ack=9, window=500, urgent=0, options=b""
):
    """A TCP packet with right checksums."""
    head = struct.pack(
        ">HHIIHHHH", *ports, seq % 2**32, ack, (20 + len(options)) << 10 | flags, window, 0, urgent
    )
    l4 = model.with_checksum(head + options + payload, ip.source, ip.target, TCP)
    return ip.around(TCP, l4)


def udp(ip, payload, ports=(5000, 80)):
    """A UDP packet with right checksums."""
    head = struct.pack(">HHHH", *ports, 8 + len(payload), 0)
    return ip.around(UDP, model.with_checksum(head + payload, ip.source, ip.target, UDP))


def protocol_of(packet):
    return packet[9] if packet[0] >> 4 == 4 else packet[6]


def super_frame(order, packet, gso_type, gso_size, *, l4, hdr_len=0, flags=model.NEEDS_CSUM):
    """The kernel's frame: the checksum field holds the sum of the pseudo header."""
    is_tcp = gso_type != model.GSO_UDP
    field = 16 if is_tcp else 6
    at = (12, 16, 20) if packet[0] >> 4 == 4 else (8, 24, 40)
    pseudo = model.pseudo_header(
        packet[at[0] : at[1]], packet[at[1] : at[2]], TCP if is_tcp else UDP, len(packet) - l4
    )
    total = struct.pack(">H", model.internet_sum(pseudo))
    packet = packet[: l4 + field] + total + packet[l4 + field + 2 :]
    return model.vnet_header(order, flags, gso_type, hdr_len, gso_size, l4, field) + packet


VLAN, SERVICE, QINQ = b"\x81\0\x20\x07", b"\x88\xa8\0\x09", b"\x88\xa8\0\x09\x81\0\x20\x07"


def ethernet(packet, tags=b"", source=1):
    """The frame that carries an IP packet."""
    kind = b"\x86\xdd" if packet[:1] and packet[0] >> 4 == 6 else b"\x08\0"
    return b"\x02\0\0\0\0\x09\x02\0\0\0\0" + bytes([source]) + tags + kind + packet


def ethernet_frame(order, frame, tags=b""):
    """A TUN's frame as a TAP has it."""
    flags, kind, hdr_len, size, start, offset = model.vnet_fields(order, frame)
    whole = ethernet(frame[10:], tags)
    front = len(whole) - len(frame) + 10
    start += front if flags & model.NEEDS_CSUM else 0
    return model.vnet_header(order, flags, kind, hdr_len, size, start, offset) + whole


# ---- strategies -------------------------------------------------------------------------------

TAGS = st.sampled_from([b"", b"", VLAN, SERVICE, QINQ, VLAN + VLAN])

_TCP_OPTIONS = st.sampled_from([b"", b"\1\1\x08\x0a" + b"tsvatsec", bytes(40)])
_IP4_OPTIONS = st.sampled_from([b"", b"\x94\x04\0\0", b"\1\1\1\0", b"\x07\x07\4\0\0\0\0\0"])
_DESTINATION = (60, b"\0\1\4\0\0\0\0")
_HOP_BY_HOP = (0, b"\1\x05\2\0\0\1\x0a" + bytes(8))
_ROUTED = (43, b"\2\4\0" + bytes(20))
_ODD_OPTIONS = {4: b"\1\1\1\1", 6: [_DESTINATION]}
_IP6_OPTIONS = st.lists(st.sampled_from([_DESTINATION, _HOP_BY_HOP, _ROUTED]), max_size=3)


@st.composite
def addresses(draw, version=None):
    version = version or draw(st.sampled_from([4, 6]))
    options = draw(_IP4_OPTIONS if version == 4 else _IP6_OPTIONS)
    return Ip(
        version, tos=draw(st.integers(0, 255)), options=options, id=draw(st.integers(0, 65535))
    )


@st.composite
def super_frames(draw, order, longest=65000):
    """Frames of TCP or UDP as a kernel would hand them out; `longest` bounds the payload."""
    ip = draw(addresses())
    size = draw(st.one_of(st.integers(1, 3000), st.sampled_from([1368, 1380, 1400])))
    low, high = min(9000, longest), max(longest - 5000, 0)
    length = draw(st.one_of(st.integers(0, low), st.integers(high, longest)))
    size = max(size, length // 80)
    payload = noise(draw(st.integers(0, 50)), length)
    hdr_len = draw(st.sampled_from([0, 40, 66, 65535]))
    if draw(st.booleans()):
        flags = ACK | draw(st.integers(0, 255)) & ~(model.SYN | model.RST)
        packet = tcp(
            ip, payload, draw(st.sampled_from([1, 2**32 - 1000])), flags,
            urgent=draw(st.sampled_from([0, 1, 2000, 65535])), options=draw(_TCP_OPTIONS),
        )  # fmt: skip
        kind = model.GSO_TCP4 if ip.version == 4 else model.GSO_TCP6
        kind |= model.GSO_ECN if flags & model.CWR else 0
    else:
        packet, kind = udp(ip, payload), model.GSO_UDP
    l4 = 20 + len(ip.options) if ip.version == 4 else 40 + sum(1 + len(d) for _, d in ip.options)
    return super_frame(order, packet, kind, size, l4=l4, hdr_len=hdr_len)


def with_true_length(packet):
    """The same packet, whose IP length field says what is there."""
    if len(packet) < 6:
        return packet
    if packet[0] >> 4 == 4:
        return packet[:2] + struct.pack(">H", len(packet)) + packet[4:]
    return packet[:4] + struct.pack(">H", max(len(packet) - 40, 0)) + packet[6:]


@st.composite
def damaged(draw, packets, ip_at=0):
    """Packets with bytes changed, mostly in the headers, and perhaps cut off, with a length field
    that is right or wrong. `ip_at`: bytes in front of the IP header."""
    packet = bytearray(draw(packets))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.one_of(st.integers(0, 29), st.integers(0, 100)))
        if at < len(packet):
            packet[at] = draw(st.one_of(st.integers(0, 255), st.sampled_from([0, 43, 44, 60, 255])))
    length = draw(st.one_of(st.just(len(packet)), st.integers(0, 140)))
    packet = bytes(packet[:length])
    if draw(st.booleans()):
        return packet[:ip_at] + with_true_length(packet[ip_at:])
    return packet


class Sender:
    """One flow as its sender makes it; `step` gives the next packet, by a word of what is odd."""

    def __init__(self, version, protocol, ports, size):
        self.ip = Ip(version)
        self.protocol, self.ports, self.size, self.seq = protocol, ports, size, 2**32 - 3 * size
        self.timestamp = 5

    def _packet(self, length, seed, changes):
        ip = copy.copy(self.ip)
        ip.__dict__.update(changes.pop("ip", {}))
        payload = noise(seed, length)
        if self.protocol == UDP:
            return udp(ip, payload, self.ports)
        fields = {"options": struct.pack(">BBBBII", 1, 1, 8, 10, self.timestamp, 7), **changes}
        return tcp(ip, payload, self.seq, fields.pop("flags", ACK), ports=self.ports, **fields)

    def step(self, word, seed):
        length = {"short": self.size // 2, "long": self.size + 4, "bare": 0}.get(word, self.size)
        changes = {
            "push": {"flags": ACK | model.PSH}, "fin": {"flags": ACK | model.FIN},
            "ece": {"flags": ACK | model.ECE}, "ack moves": {"ack": 10}, "window": {"window": 501},
            "urgent": {"urgent": 3}, "options": {"options": b""}, "tos": {"ip": {"tos": 3}},
            "ttl": {"ip": {"ttl": 63}}, "label": {"ip": {"label": 8}},
            "may fragment": {"ip": {"fragment": 0}}, "evil": {"ip": {"fragment": 0xC000}},
            "fragment": {"ip": {"fragment": 0x2000}}, "same id": {"ip": {"id": self.ip.id - 1}},
            "ip options": {"ip": {"options": _ODD_OPTIONS[self.ip.version]}},
        }.get(word, {})  # fmt: skip
        if word == "gap":
            self.seq += 1
        elif word == "id jumps":
            self.ip.id += 7
        elif word == "id stands":
            self.ip.id -= 1
        elif word == "time":
            self.timestamp += 1
        packet = self._packet(length, seed, changes)
        self.seq += length
        self.ip.id += 1
        if word == "bad sum":
            return packet[:-1] + bytes([packet[-1] ^ 1])
        if word == "bad ip sum":
            return packet[:10] + bytes([packet[10] ^ 1]) + packet[11:]
        if word == "no sum" and self.protocol == UDP:
            at = len(packet) - length - 2
            return packet[:at] + b"\0\0" + packet[at + 2 :]
        if word == "cut":
            return packet[: 1 + seed * 11 % (len(packet) - 1)]
        return packet


ODD = [
    "push", "fin", "ece", "ack moves", "window", "urgent", "options", "tos", "ttl", "label",
    "may fragment", "evil", "fragment", "same id", "ip options", "gap", "id jumps", "id stands",
    "time", "short", "long", "bare", "bad sum", "bad ip sum", "no sum", "cut",
]  # fmt: skip


@st.composite
def streams(draw, flows=4, packets=80, size=None):
    """Packets of a few interleaved flows, most of them regular."""
    senders = []
    for i in range(draw(st.integers(1, flows))):
        payload = size or draw(st.sampled_from([2, 16, 100, 1368]))
        protocol = draw(st.sampled_from([TCP, TCP, UDP]))
        ports = 5000 + i, draw(st.sampled_from([80, 80, *model.VXLAN_PORTS]))
        senders.append(Sender(draw(st.sampled_from([4, 6])), protocol, ports, payload))
    odd = st.one_of(st.just("plain"), st.just("plain"), st.sampled_from([*ODD, "icmp"]))
    regular = st.sampled_from([0, 0, 0, 1])
    out = []
    for _ in range(draw(st.integers(1, packets))):
        sender = senders[draw(st.integers(0, len(senders) - 1))]
        word = draw(odd) if draw(regular) else "plain"
        if word == "icmp":
            out.append(sender.ip.around(1, b"\x08\0" + bytes(20)))
        else:
            out.append(sender.step(word, draw(st.integers(0, 9))))
    return out


class Flows:
    """Packets of interleaved flows, as drawn: most regular, some odd in one way."""

    def __init__(self, draw):
        self._draw = draw
        self._senders = []

    def _sender(self):
        protocol = self._draw.choice([TCP, TCP, UDP, UDP])
        ports = self._draw.randrange(1024, 65536), self._draw.choice([80, 53, 4789, 8472])
        size = self._draw.choice([2, 16, 100, 100, 500, 1368])
        return Sender(self._draw.choice([4, 6]), protocol, ports, size)

    def batch(self):
        """At most 256 packets of a few flows, in bursts."""
        draw, found = self._draw, []
        self._senders = [s for s in self._senders if draw.random() < 0.8]
        self._senders += [self._sender() for _ in range(6 - len(self._senders))]
        is_bare = draw.random() < 0.2  # no datagram of the batch has a checksum
        while len(found) < 200:
            sender = draw.choice(self._senders)
            for _ in range(draw.choice([1, 1, 2, 8, 30])):
                word = draw.choice(ODD) if draw.random() < 0.06 else "plain"
                word = "no sum" if is_bare and word == "plain" else word
                found.append(sender.step(word, draw.randrange(1000)))
        return found[:256]
