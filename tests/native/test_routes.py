# SPDX-License-Identifier: MIT
"""Allowed IPs against a search through all prefixes, one by one."""

import errno
import ipaddress

from hypothesis import given, strategies as st

from tests.native.plane_ffi import ffi, lib, route

PEERS = 5
_memory = ffi.new("uint64_t[]", PEERS)
_peers = ffi.new("struct peer *[]", [ffi.cast("struct peer *", _memory + i) for i in range(PEERS)])


class Table:
    """A published table; peers are 0 to 4."""

    def __init__(self, rows):
        packed = b"".join(route(*row) for row in rows)
        self.table = ffi.new("struct routes **")
        assert lib.routes_build(self.table, packed, len(rows), _peers, PEERS) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.routes_free(self.table[0])

    def lookup(self, addr):
        """The peer of an address, or None."""
        find = lib.routes_lookup4 if addr.version == 4 else lib.routes_lookup6
        found = find(self.table[0], addr.packed)
        return None if found == ffi.NULL else int(ffi.cast("uint64_t *", found) - _memory)

    def allowed(self, addr):
        """The set of peers that may send from it."""
        may = lib.routes_allow4 if addr.version == 4 else lib.routes_allow6
        return {i for i in range(PEERS) if may(self.table[0], addr.packed, _peers[i])}


def dumb_lookup(rows, addr):
    """The longest of all prefixes that hold the address; of equal ones, the last."""
    best, best_bits = None, -1
    for prefix, peer in rows:
        net = ipaddress.ip_network(prefix)
        if net.version == addr.version and addr in net and net.prefixlen >= best_bits:
            best, best_bits = peer, net.prefixlen
    return best


def dumb_allowed(rows, addr):
    """All peers with the longest of the prefixes that hold the address."""
    nets = [(ipaddress.ip_network(prefix), peer) for prefix, peer, _ in rows]
    nets = [row for row in nets if row[0].version == addr.version and addr in row[0]]
    best = max((net.prefixlen for net, _ in nets), default=0)
    return {peer for net, peer in nets if net.prefixlen == best}


def networks(version):
    """Prefixes that nest and touch often: their bits come from a few patterns."""
    size = 32 if version == 4 else 128
    address = st.one_of(
        st.integers(0, (1 << size) - 1),
        st.sampled_from([0, (1 << size) - 1, 0xA5 << (size - 8), 1 << (size - 1)]),
        st.integers(0, 15).map(lambda n: n << (size - 4)),
    )

    def network(pair):
        make = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
        return str(ipaddress.ip_network((make(pair[0]), pair[1]), strict=False))

    return st.tuples(address, st.integers(0, size)).map(network)


ROWS = st.lists(
    st.tuples(st.one_of(networks(4), networks(6)), st.integers(0, PEERS - 1)), max_size=40
)


def interesting(rows):
    """The edges of every prefix, one beyond them, and the ends of both families."""
    found = set()
    for prefix in [p for p, _ in rows] + ["0.0.0.0/0", "::/0"]:
        net = ipaddress.ip_network(prefix)
        make, top = type(net.network_address), (1 << net.max_prefixlen) - 1
        first, last = int(net.network_address), int(net.broadcast_address)
        found |= {make(n) for n in (first - 1, first, last, last + 1) if 0 <= n <= top}
    return found


@given(ROWS, st.lists(st.ip_addresses(), max_size=10))
def test_every_address_finds_the_peer_of_the_longest_prefix(rows, others):
    with Table(rows) as table:
        for addr in interesting(rows) | set(others):
            assert table.lookup(addr) == dumb_lookup(rows, addr)


@given(ROWS)
def test_a_forgotten_peer_is_found_nowhere_and_the_others_stay(rows):
    with Table(rows) as table:
        lib.routes_forget(table.table[0], _peers[0])
        for addr in interesting(rows):
            expected = dumb_lookup(rows, addr)
            assert table.lookup(addr) == (None if expected == 0 else expected)


@given(ROWS)
def test_without_standbys_who_may_send_is_who_gets_what_goes_there(rows):
    with Table(rows) as table:
        for addr in interesting(rows):
            expected = dumb_lookup(rows, addr)
            assert table.allowed(addr) == (set() if expected is None else {expected})


SHARED = st.lists(
    st.tuples(st.one_of(networks(4), networks(6)), st.integers(0, PEERS - 1), st.booleans()),
    max_size=40,
)


def some_stand_by(rows):
    return any(standby for _, _, standby in rows)


@given(SHARED.filter(some_stand_by))
def test_who_stands_by_may_send_like_the_others_of_its_prefix_and_gets_nothing(rows):
    used = [(prefix, peer) for prefix, peer, standby in rows if not standby]
    with Table(rows) as table:
        for addr in interesting([row[:2] for row in rows]):
            assert table.lookup(addr) == dumb_lookup(used, addr)
            assert table.allowed(addr) == dumb_allowed(rows, addr)


@given(SHARED.filter(some_stand_by))
def test_a_forgotten_peer_may_send_no_more_and_the_others_may(rows):
    with Table(rows) as table:
        lib.routes_forget(table.table[0], _peers[0])
        for addr in interesting([row[:2] for row in rows]):
            assert table.allowed(addr) == dumb_allowed(rows, addr) - {0}
            assert table.lookup(addr) != 0


def test_all_lengths_of_a_prefix_nest():
    rows = [(f"ffff::/{bits}" if bits >= 16 else f"::/{bits}", bits % PEERS) for bits in range(129)]
    rows = [(p, n) for p, n in rows if ipaddress.ip_network(p)]
    with Table(rows) as table:
        for addr in interesting(rows):
            assert table.lookup(addr) == dumb_lookup(rows, addr)


def test_bits_behind_the_prefix_do_not_matter():
    row = bytearray(route("10.0.0.0/8", 1))
    row[8:12] = b"\x0a\xff\x01\x02"
    table = ffi.new("struct routes **")
    assert lib.routes_build(table, bytes(row), 1, _peers, PEERS) == 0
    assert lib.routes_lookup4(table[0], b"\x0a\0\0\1") == _peers[1]
    lib.routes_free(table[0])


def test_bad_rows_are_refused():
    table = ffi.new("struct routes **")
    for row, expected in (
        (route("10.0.0.0/8", PEERS), -errno.ENOENT),
        (b"\5" + route("10.0.0.0/8", 0)[1:], -errno.EINVAL),
        (b"\4\x21" + route("10.0.0.0/8", 0)[2:], -errno.EINVAL),
        (b"\6\x81" + route("10.0.0.0/8", 0)[2:], -errno.EINVAL),
    ):
        assert lib.routes_build(table, row, 1, _peers, PEERS) == expected
    assert table[0] == ffi.NULL
