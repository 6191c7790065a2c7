# SPDX-License-Identifier: MIT
"""The slow second implementation of segmentation offload: plain, obvious, written apart from it.

Packets are bytes. Nothing here is incremental: every header is built and summed from scratch.
"""

import struct

TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
GSO_NONE, GSO_TCP4, GSO_TCP6, GSO_UDP, GSO_ECN = 0, 1, 4, 5, 0x80
NEEDS_CSUM = 1
EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
LONGEST = 65535
VXLAN_PORTS = (4789, 8472)
GROUP_MAX = 64


def internet_sum(data):
    """One's complement sum of 16-bit words, RFC 1071."""
    total = 0
    for i in range(0, len(data), 2):
        total += int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big")
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def internet_checksum(data):
    return internet_sum(data) ^ 0xFFFF


def pseudo_header(source, target, protocol, length):
    if len(source) == 4:
        return source + target + struct.pack(">BBH", 0, protocol, length)
    return source + target + struct.pack(">IHBB", length, 0, 0, protocol)


def with_checksum(l4, source, target, protocol):
    """TCP or UDP header and payload with its checksum put in."""
    at = 16 if protocol == TCP else 6
    zeroed = l4[:at] + b"\0\0" + l4[at + 2 :]
    check = internet_checksum(pseudo_header(source, target, protocol, len(l4)) + zeroed)
    if protocol == UDP and check == 0:
        check = 0xFFFF
    return zeroed[:at] + struct.pack(">H", check) + zeroed[at + 2 :]


def with_ip4_checksum(header):
    zeroed = header[:10] + b"\0\0" + header[12:]
    return zeroed[:10] + struct.pack(">H", internet_checksum(zeroed)) + zeroed[12:]


def vnet_header(order, flags=0, gso_type=0, hdr_len=0, gso_size=0, csum_start=0, csum_offset=0):
    """struct virtio_net_hdr; order is "little" or "big"."""
    mark = "<" if order == "little" else ">"
    return struct.pack(mark + "BBHHHH", flags, gso_type, hdr_len, gso_size, csum_start, csum_offset)


def vnet_fields(order, frame):
    return struct.unpack(("<" if order == "little" else ">") + "BBHHHH", frame[:10])


def front_of(frame):
    """What stands in front of a frame's packet, VLAN tags too; and whether that is plainly IP."""
    at = 14
    while at < 22 and frame[at - 2 : at] in (b"\x81\0", b"\x88\xa8") and len(frame) >= at + 4:
        at += 4
    kind = {b"\x08\0": 4, b"\x86\xdd": 6}.get(frame[at - 2 : at])
    return frame[:at], kind is not None and len(frame) > at and frame[at] >> 4 == kind


# ---- split ------------------------------------------------------------------------------------


class Refused(Exception):
    pass


def _source_routed(options):
    while options and options[0] != 0:
        if options[0] in (131, 137):
            return True
        if options[0] == 1:
            options = options[1:]
        elif len(options) < 2 or options[1] < 2:
            return False
        else:
            options = options[options[1] :]
    return False


def _locate(packet):
    """(protocol, offset of its header) of an IP packet that may be cut."""
    if packet[0] >> 4 == 4:
        length = (packet[0] & 15) * 4
        if len(packet) < 20 or len(packet) < length:
            raise Refused("short")
        if length < 20 or int.from_bytes(packet[2:4], "big") != len(packet):
            raise Refused("length")
        if int.from_bytes(packet[6:8], "big") & 0x3FFF or _source_routed(packet[20:length]):
            raise Refused("unsplittable")
        return packet[9], length
    if len(packet) < 40:
        raise Refused("short")
    if int.from_bytes(packet[4:6], "big") + 40 != len(packet):
        raise Refused("length")
    following, at = packet[6], 40
    while following in (0, 43, 60):
        if at + 8 > len(packet):
            raise Refused("short")
        if following == 43 and packet[at + 3] != 0:
            raise Refused("unsplittable")
        following, at = packet[at], at + 8 + packet[at + 1] * 8
        if at > 512:
            raise Refused("unsplittable")
    if at > len(packet):
        raise Refused("short")
    if following not in (TCP, UDP):
        raise Refused("unsplittable")
    return following, at


def _payload_offset(packet, protocol, l4):
    if len(packet) < l4 + (20 if protocol == TCP else 8):
        raise Refused("short")
    if protocol == UDP:
        if int.from_bytes(packet[l4 + 4 : l4 + 6], "big") != len(packet) - l4:
            raise Refused("length")
        return l4 + 8
    header = (packet[l4 + 12] >> 4) * 4
    if header < 20:
        raise Refused("length")
    if len(packet) < l4 + header:
        raise Refused("short")
    if packet[l4 + 13] & (SYN | RST):
        raise Refused("unsplittable")
    return l4 + header


def _completed(front, packet, is_ip, csum_start, csum_offset):
    first = len(front)
    if is_ip:
        first += (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40
    whole, at = front + packet, csum_start + csum_offset
    if csum_start < first or at + 2 > len(whole):
        raise Refused("checksum")
    check = internet_checksum(whole[csum_start:]) or 0xFFFF
    return whole[:at] + struct.pack(">H", check) + whole[at + 2 :]


def _segment(packet, protocol, l4, start, chunk, number):
    """Segment `number` of the super-packet: its payload is chunk, which begins `start` bytes in."""
    payload_at = _payload_offset(packet, protocol, l4)
    is_last = payload_at + start + len(chunk) == len(packet)
    ip, head = bytearray(packet[:l4]), bytearray(packet[l4:payload_at])
    length = len(ip) + len(head) + len(chunk)
    if protocol == TCP:
        seq = int.from_bytes(head[4:8], "big")
        head[4:8] = ((seq + start) % 2**32).to_bytes(4, "big")
        if not is_last:
            head[13] &= ~(FIN | PSH)
        if number > 0:
            head[13] &= ~CWR
        if head[13] & URG:
            urgent = int.from_bytes(head[18:20], "big") - start
            if urgent <= 0:
                head[13] &= ~URG
            head[18:20] = max(urgent, 0).to_bytes(2, "big")
    else:
        head[4:6] = (8 + len(chunk)).to_bytes(2, "big")
    if packet[0] >> 4 == 4:
        source, target = packet[12:16], packet[16:20]
        ip[2:4] = length.to_bytes(2, "big")
        ip[4:6] = ((int.from_bytes(ip[4:6], "big") + number) % 65536).to_bytes(2, "big")
        ip = with_ip4_checksum(bytes(ip))
    else:
        source, target = packet[8:24], packet[24:40]
        ip[4:6] = (length - 40).to_bytes(2, "big")
    return bytes(ip) + with_checksum(bytes(head) + chunk, source, target, protocol)


def split(frame, order, ethernet=False):
    """The packets of one frame: (whether it is left where it is, packets). Refused says why not."""
    if len(frame) < 10 + (14 if ethernet else 1):
        raise Refused("short")
    front, is_ip = front_of(frame[10:]) if ethernet else (b"", True)
    packet = frame[10 + len(front) :]
    if len(packet) > LONGEST:
        raise Refused("length")
    flags, gso_type, _, gso_size, csum_start, csum_offset = vnet_fields(order, frame)
    partial = flags & NEEDS_CSUM
    if gso_type != GSO_NONE:
        if not is_ip:
            raise Refused("type")
        wanted = {
            GSO_TCP4: (4, TCP),
            GSO_TCP6: (6, TCP),
            GSO_TCP4 | GSO_ECN: (4, TCP),
            GSO_TCP6 | GSO_ECN: (6, TCP),
        }
        version = packet[0] >> 4
        if version in (4, 6):
            wanted[GSO_UDP] = (version, UDP)
        if wanted.get(gso_type, (0, 0))[0] != version or version not in (4, 6):
            raise Refused("type")
        protocol, l4 = _locate(packet)
        if protocol != wanted[gso_type][1]:
            raise Refused("type")
        payload_at = _payload_offset(packet, protocol, l4)
        if gso_size == 0:
            raise Refused("length")
        field = len(front) + l4, 16 if protocol == TCP else 6
        if partial and (csum_start, csum_offset) != field:
            raise Refused("checksum")
        payload = packet[payload_at:]
        if len(payload) > gso_size:
            starts = range(0, len(payload), gso_size)
            return False, [
                front + _segment(packet, protocol, l4, start, payload[start : start + gso_size], i)
                for i, start in enumerate(starts)
            ]
    if partial:
        return True, [_completed(front, packet, is_ip, csum_start, csum_offset)]
    return True, [front + packet]


def filled_in(packet):
    """The packet with a checksum where it is UDP, plain and has none: what a super-packet of such
    is cut into."""
    p = Parsed(packet, (UDP,))
    if p.verdict != "plain" or not p.unsummed:
        return packet
    return packet[: p.l4] + with_checksum(packet[p.l4 :], p.source, p.target, UDP)


# ---- merge ------------------------------------------------------------------------------------


class Parsed:
    """A packet as the merger sees it: `verdict` is stranger, barrier, alone or plain."""

    def __init__(self, packet, protocols, ethernet=False):
        self.frame, self.front, self.ethernet = packet, b"", ethernet
        self.verdict = "stranger"
        self.flow = None
        self.unsummed = False  # UDP
        self.padded = False  # behind the IP packet
        is_ip = bool(packet) and packet[0] >> 4 in (4, 6)
        if ethernet and len(packet) >= 14:
            self.front, is_ip = front_of(packet)
        self.packet = packet[len(self.front) :]
        if not is_ip or (ethernet and not self.front):
            return
        packet = self.packet
        self.version = packet[0] >> 4
        simple = self._parse_ip4(protocols) if self.version == 4 else self._parse_ip6(protocols)
        if simple is None:
            return
        packet = self.packet
        if len(packet) < self.l4 + (20 if self.protocol == TCP else 8):
            self.verdict = "barrier"
            return
        self.flow = (self.protocol, self.source, self.target, packet[self.l4 : self.l4 + 4])
        plain = self._parse_tcp() if self.protocol == TCP else self._parse_udp()
        self.verdict = "plain" if plain and simple and not self.padded else "alone"

    def _trim(self, total):
        """Without what a frame has behind the IP packet; whether the rest is as long as it says."""
        self.padded = self.ethernet and total < len(self.packet)
        self.packet = self.packet[:total] if self.padded else self.packet
        return len(self.packet) == total

    def _parse_ip4(self, protocols):
        p = self.packet
        if len(p) < 20:
            self.verdict = "barrier"
            return None
        if p[9] not in protocols:
            return None
        self.protocol, self.l4 = p[9], (p[0] & 15) * 4
        fragment = int.from_bytes(p[6:8], "big")
        total = int.from_bytes(p[2:4], "big")
        is_whole = self._trim(total)
        if not 20 <= self.l4 <= len(self.packet) or not is_whole or fragment & 0x3FFF:
            self.verdict = "barrier"
            return None
        self.source, self.target = p[12:16], p[16:20]
        self.df, self.id = bool(fragment & 0x4000), int.from_bytes(p[4:6], "big")
        self.ip_same = (p[0], p[1], p[8], fragment)
        return self.l4 == 20 and not fragment & 0x8000

    def _parse_ip6(self, protocols):
        p = self.packet
        if len(p) < 40 or p[6] in EXTENSIONS:
            self.verdict = "barrier"
            return None
        if p[6] not in protocols:
            return None
        if not self._trim(int.from_bytes(p[4:6], "big") + 40):
            self.verdict = "barrier"
            return None
        self.protocol, self.l4 = p[6], 40
        self.source, self.target = p[8:24], p[24:40]
        self.df, self.id, self.ip_same = False, None, (p[:4], p[7])
        return True

    def _parse_tcp(self):
        head = self.packet[self.l4 :]
        length = (head[12] >> 4) * 4
        if not 20 <= length < len(head):
            return False
        self.at = self.l4 + length
        self.seq = int.from_bytes(head[4:8], "big")
        flags = int.from_bytes(head[12:14], "big") & 0xFFF
        self.pushed = bool(flags & PSH)
        self.l4_same = (head[8:12], head[12], flags & ~PSH, head[14:16], head[18:length])
        return flags & ~PSH == ACK

    def _parse_udp(self):
        head = self.packet[self.l4 :]
        self.at, self.seq, self.pushed = self.l4 + 8, None, False
        self.unsummed = head[6:8] == b"\0\0"
        self.l4_same = (self.unsummed,)
        length = int.from_bytes(head[4:6], "big")
        may_lack = self.version == 4 or int.from_bytes(head[2:4], "big") in VXLAN_PORTS
        may_lack = may_lack and not self.ethernet
        return length == len(head) > 8 and (may_lack or not self.unsummed)

    def payload(self):
        return self.packet[self.at :]

    def is_sound(self):
        l4 = self.packet[self.l4 :]
        pseudo = pseudo_header(self.source, self.target, self.protocol, len(l4))
        ip_good = self.version == 6 or internet_sum(self.packet[: self.l4]) == 0xFFFF
        if self.unsummed:
            return ip_good
        return ip_good and internet_sum(pseudo + l4) == 0xFFFF


def _ids_right(packets):
    """IPv4: each is one more than the one before, or, with DF, all are the same, of a TUN."""
    ids = [p.id for p in packets]
    if packets[0].version == 6:
        return True
    if len(set(ids)) == 1:
        return packets[0].df and not packets[0].ethernet
    return ids == [(ids[0] + i) % 65536 for i in range(len(ids))]


def _may_join(group, p):
    """Whether the list of packets and p after it are one super-packet."""
    everything = [*group, p]
    if any(q.verdict != "plain" for q in everything) or len(everything) > GROUP_MAX:
        return False
    first, size = group[0], len(group[0].payload())
    if any(q.pushed or len(q.payload()) != size for q in group) or len(p.payload()) > size:
        return False
    if first.at + sum(len(q.payload()) for q in everything) > LONGEST:
        return False
    same = p.front, p.at, p.ip_same, p.l4_same
    if any((q.front, q.at, q.ip_same, q.l4_same) != same for q in group):
        return False
    if p.protocol == TCP and p.seq != (first.seq + size * len(group)) % 2**32:
        return False
    return _ids_right(everything) and all(q.is_sound() for q in everything)


def merge(packets, protocols=(TCP, UDP), ethernet=False):
    """Lists of packets (as Parsed) that go together, in order of their first packets."""
    groups = []
    newest = {}
    for packet in packets:
        p = Parsed(packet, protocols, ethernet)
        if p.verdict == "barrier":
            newest.clear()
        group = newest.get(p.flow) if p.flow else None
        if group is not None and _may_join(group, p):
            group.append(p)
            continue
        groups.append([p])
        if p.flow:
            newest[p.flow] = groups[-1]
    return groups


def super_frame(group, order):
    """The frame that a group is written as."""
    first = group[0]
    if len(group) == 1:
        return vnet_header(order) + first.frame
    payload = b"".join(p.payload() for p in group)
    ip, l4 = bytearray(first.packet[: first.l4]), bytearray(first.packet[first.l4 : first.at])
    l4_len = len(l4) + len(payload)
    if first.version == 4:
        ip[2:4] = (first.l4 + l4_len).to_bytes(2, "big")
        ip = with_ip4_checksum(bytes(ip))
    else:
        ip[4:6] = l4_len.to_bytes(2, "big")
    if first.protocol == UDP:
        l4[4:6] = l4_len.to_bytes(2, "big")
    elif group[-1].pushed:
        l4[13] |= PSH
    field = 16 if first.protocol == TCP else 6
    pseudo = internet_sum(pseudo_header(first.source, first.target, first.protocol, l4_len))
    l4[field : field + 2] = pseudo.to_bytes(2, "big")
    kind = GSO_UDP if first.protocol == UDP else GSO_TCP4 if first.version == 4 else GSO_TCP6
    size = len(first.payload())
    at = len(first.front)
    head = vnet_header(order, NEEDS_CSUM, kind, at + first.at, size, at + first.l4, field)
    return head + first.front + bytes(ip) + bytes(l4) + payload
