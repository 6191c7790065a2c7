# SPDX-License-Identifier: MIT
"""Requests for links, addresses, routes and rules, and their answers: pure functions over bytes.

rtnetlink(7), linux/rtnetlink.h, linux/fib_rules.h. An address is (4 or 6, bytes), a prefix
(4 or 6, bytes, bits). A request is a whole message without sequence number and length, which
`finish` puts in.
"""

import struct
import sys

from tunlite.system.rtnetlink import attributes

_ORDER = "<" if sys.byteorder == "little" else ">"
_HEADER = _ORDER + "IHHII"  # length, type, flags, sequence, port
_LINK = _ORDER + "BBHiII"  # family, pad, device type, index, flags, change
_ADDRESS = _ORDER + "BBBBI"  # family, prefix length, flags, scope, index
_ROUTE = _ORDER + "BBBBBBBBI"  # family, dst, src, tos, table, protocol, scope, type, flags
_RULE = _ROUTE  # family, dst, src, tos, table, 0, 0, action, flags
_ATTRIBUTE = _ORDER + "HH"  # length, type
_U32 = _ORDER + "I"

REQUEST = 0x1
ACK = 0x4
_ECHO = 0x8  # the kernel answers with what it made
DUMP = 0x300
_CREATE = 0x600  # and it must not exist: NLM_F_CREATE | NLM_F_EXCL

DONE = 3
ERROR = 2
NEW_LINK, GET_LINK = 16, 18
NEW_ADDRESS, DEL_ADDRESS, GET_ADDRESS = 20, 21, 22
NEW_ROUTE, DEL_ROUTE, GET_ROUTE = 24, 25, 26
NEW_RULE, DEL_RULE = 32, 33
_NEW_NETNS_ID, _GET_NETNS_ID = 88, 90

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINK = 5
_IFLA_MASTER = 10
_IFLA_LINK_NETNSID = 37
_IFLA_AF_SPEC = 26
_IFLA_INET6_ADDR_GEN_MODE = 8
_IFLA_TARGET_NETNSID = 46
_NETNSA_NSID = 1
_NETNSA_FD = 3
_NOT_ASSIGNED = 0xFFFFFFFF
_IFF_UP = 1
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_FLAGS = 8
_RTA_DST = 1
_RTA_SRC = 2
_RTA_OIF = 4
_RTA_METRICS = 8
_RTA_TABLE = 15
_RTA_MARK = 16
_RTAX_MTU = 2
_UNICAST = 1  # the type of a route that forwards
_RTPROT_STATIC = 4
PEER_ROUTES = 116  # the protocol of routes that come and go with peers; nobody else's
_SCOPE_LINK = 253
_FRA_PRIORITY = 6
_FRA_FWMARK = 10
_FRA_SUPPRESS_PREFIXLEN = 14
_FRA_TABLE = 15
_FR_ACT_TO_TBL = 1
_INVERT = 2
_UNSPECIFIED = 252  # a table whose number does not fit the header's byte
_MAIN = 254

_FAMILIES = {4: 2, 6: 10}  # AF_INET, AF_INET6: the same on every Linux
_NUMBERS = {2: 4, 10: 6}


def socket_address(family, groups):
    """A sockaddr_nl: the kernel gives the port."""
    return struct.pack(_ORDER + "HHII", family, 0, 0, groups)


def finish(request, sequence):
    """The message with its length and sequence number."""
    _, kind, flags, _, _ = struct.unpack_from(_HEADER, request)
    return struct.pack(_HEADER, len(request), kind, flags, sequence, 0) + request[16:]


def is_dump(request):
    """Whether the answer is many messages and then DONE."""
    return struct.unpack_from(_HEADER, request)[2] & DUMP == DUMP


def _attribute(kind, data):
    return struct.pack(_ATTRIBUTE, 4 + len(data), kind) + data + bytes(-len(data) & 3)


def _message(kind, flags, body, *rows):
    """`rows` are (type, value); a value that is an int is 32 bits."""
    parts = [struct.pack(_HEADER, 0, kind, flags | REQUEST, 0, 0), body]
    for attribute, value in rows:
        data = struct.pack(_U32, value) if isinstance(value, int) else bytes(value)
        parts.append(_attribute(attribute, data))
    return b"".join(parts)


def _u32(value):
    return struct.unpack_from(_U32, value)[0] if len(value) >= 4 else 0


def error_of(payload):
    """The errno of an error message's payload, 0 for an acknowledgement."""
    return -struct.unpack_from(_ORDER + "i", payload)[0]


# ---- links


def get_link(name, *rows):
    """rows: none, or in_netns()."""
    return _message(GET_LINK, 0, bytes(16), (_IFLA_IFNAME, name.encode() + b"\0"), *rows)


def in_netns(number):
    return _IFLA_TARGET_NETNSID, number


def get_netns_id(fd):
    return _message(_GET_NETNS_ID, 0, bytes(4), (_NETNSA_FD, fd))


def new_netns_id(fd):
    return _message(_NEW_NETNS_ID, ACK, bytes(4), (_NETNSA_FD, fd), (_NETNSA_NSID, _NOT_ASSIGNED))


def netns_id_of(payload):
    """The number in an answer about a namespace, -1 where it has none."""
    for attribute, value in attributes(payload, 4, len(payload)):
        if attribute == _NETNSA_NSID and _u32(value) != _NOT_ASSIGNED:
            return _u32(value)
    return -1


def get_link_by_index(index):
    return _message(GET_LINK, 0, struct.pack(_LINK, 0, 0, 0, index, 0, 0))


def get_links():
    return _message(GET_LINK, DUMP, bytes(16))


def layers_of(payload):
    """(ifindex, of its master or 0, of the link that it sends through or 0) of a link message."""
    index = struct.unpack_from(_LINK, payload)[3]
    rows = {}
    for attribute, value in attributes(payload, 16, len(payload)):
        rows[attribute] = value
    # The number of a link in another network namespace says nothing here.
    lower = b"" if _IFLA_LINK_NETNSID in rows else rows.get(_IFLA_LINK, b"")
    return index, _u32(rows.get(_IFLA_MASTER, b"")), _u32(lower)


def _change_link(index, flags, *rows):
    body = struct.pack(_LINK, 0, 0, 0, index, flags, flags)
    return _message(NEW_LINK, ACK, body, *rows)


def link_up(index):
    return _change_link(index, _IFF_UP)


def link_mtu(index, mtu):
    return _change_link(index, 0, (_IFLA_MTU, mtu))


def link_name(index, name):
    return _change_link(index, 0, (_IFLA_IFNAME, name.encode() + b"\0"))


def link_no_own_address(index):
    mode = _attribute(_IFLA_INET6_ADDR_GEN_MODE, b"\1")  # IN6_ADDR_GEN_MODE_NONE
    return _change_link(index, 0, (_IFLA_AF_SPEC, _attribute(_FAMILIES[6], mode)))


def link_of(payload):
    """(ifindex, MTU, up) of a link message."""
    _, _, _, index, flags, _ = struct.unpack_from(_LINK, payload)
    mtu = 0
    for attribute, value in attributes(payload, 16, len(payload)):
        if attribute == _IFLA_MTU:
            mtu = _u32(value)
    return index, mtu, bool(flags & _IFF_UP)


def ethernet_of(payload):
    """The 6 bytes of a link message's Ethernet address, None where it has none."""
    for attribute, value in attributes(payload, 16, len(payload)):
        if attribute == _IFLA_ADDRESS and len(value) == 6:
            return bytes(value)
    return None


def name_of(payload):
    """The name in a link message."""
    for attribute, value in attributes(payload, 16, len(payload)):
        if attribute == _IFLA_IFNAME:
            return bytes(value)[:-1].decode()
    return ""


# ---- addresses


def change_address(index, prefix, delete):
    family, packed, bits = prefix
    body = struct.pack(_ADDRESS, _FAMILIES[family], bits, 0, 0, index)
    rows = ((_IFA_LOCAL, packed), (_IFA_ADDRESS, packed))
    if delete:
        return _message(DEL_ADDRESS, ACK, body, *rows)
    return _message(NEW_ADDRESS, ACK | _CREATE, body, *rows)


def get_addresses():
    return _message(GET_ADDRESS, DUMP, bytes(8))


def address_of(payload):
    """(ifindex, (address, bits, scope, flags)) of an address message."""
    _, bits, flags, scope, index = struct.unpack_from(_ADDRESS, payload)
    rows = {}
    for attribute, value in attributes(payload, 8, len(payload)):
        rows[attribute] = value
    # Of a point-to-point link IFA_ADDRESS is the other end's.
    address = bytes(rows.get(_IFA_LOCAL) or rows.get(_IFA_ADDRESS, b""))
    return index, (address, bits, scope, _u32(rows.get(_IFA_FLAGS, b"")) or flags)


# ---- routes


def change_route(index, prefix, table, delete, protocol=_RTPROT_STATIC):
    family, packed, bits = prefix
    table = table or _MAIN
    body = struct.pack(
        _ROUTE,
        *(_FAMILIES[family], bits, 0, 0, table if table < 256 else _UNSPECIFIED),
        *(protocol, _SCOPE_LINK if family == 4 else 0, _UNICAST, 0),
    )
    rows = ((_RTA_DST, packed), (_RTA_OIF, index), (_RTA_TABLE, table))
    if delete:
        return _message(DEL_ROUTE, ACK, body, *rows)
    return _message(NEW_ROUTE, ACK | _CREATE, body, *rows)


def get_routes(family):
    return _message(GET_ROUTE, DUMP, struct.pack(_ROUTE, _FAMILIES[family], *[0] * 8))


def get_route(family, packed, mark, source=None):
    bits = len(packed) * 8
    body = struct.pack(_ROUTE, _FAMILIES[family], bits, bits if source else 0, *[0] * 6)
    rows = ((_RTA_DST, packed), (_RTA_MARK, mark), (_RTA_SRC, source))
    return _message(GET_ROUTE, 0, body, *rows[: 3 if source else 2])


def route_of(payload):
    """(prefix, table, ifindex or 0, MTU or 0) of a route message; None: another family's."""
    family, bits, _, _, table, _, _, _, _ = struct.unpack_from(_ROUTE, payload)
    if family not in _NUMBERS:
        return None
    destination = bytes(4 if family == 2 else 16)
    index = mtu = 0
    for attribute, value in attributes(payload, 12, len(payload)):
        if attribute == _RTA_DST:
            destination = bytes(value)
        elif attribute == _RTA_OIF:
            index = _u32(value)
        elif attribute == _RTA_TABLE:
            table = _u32(value)
        elif attribute == _RTA_METRICS:
            for metric, number in attributes(value, 0, len(value)):
                if metric == _RTAX_MTU:
                    mtu = _u32(number)
    return (_NUMBERS[family], destination, bits), table, index, mtu


# ---- rules


def change_rule(family, rule, delete):
    table = rule["table"]
    rows = [(_FRA_TABLE, table)]
    for key, attribute in (
        ("mark", _FRA_FWMARK),
        ("suppress_prefixlength", _FRA_SUPPRESS_PREFIXLEN),
        ("priority", _FRA_PRIORITY),
    ):
        if key in rule:
            rows.append((attribute, rule[key]))
    body = struct.pack(
        _RULE,
        *(_FAMILIES[family], 0, 0, 0, table if table < 256 else _UNSPECIFIED),
        *(0, 0, _FR_ACT_TO_TBL, _INVERT if rule.get("invert") else 0),
    )
    if delete:
        return _message(DEL_RULE, ACK, body, *rows)
    return _message(NEW_RULE, ACK | _ECHO | _CREATE, body, *rows)


def rule_of(payload):
    """The rule, as tunlite/system/port.py describes one, of a rule message."""
    _, _, _, _, table, _, _, _, flags = struct.unpack_from(_RULE, payload)
    rule = {"table": table}
    for attribute, value in attributes(payload, 12, len(payload)):
        number = _u32(value)
        if attribute == _FRA_TABLE:
            rule["table"] = number
        elif attribute == _FRA_PRIORITY and number:
            rule["priority"] = number
        elif attribute == _FRA_FWMARK and number:
            rule["mark"] = number
            rule["invert"] = bool(flags & _INVERT)
        elif attribute == _FRA_SUPPRESS_PREFIXLEN and number != 0xFFFFFFFF:
            rule["suppress_prefixlength"] = number
    return rule
