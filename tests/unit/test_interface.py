# SPDX-License-Identifier: MIT
"""interface.py: operations that UAPI and configuration share."""

import pytest

from lab.fakes.net import Node, World
from tunlite.plane import plane as planes
from tunlite.plane.plane import PlaneError

KEY = bytes(range(1, 33))


@pytest.fixture
def node():
    return Node(World(), b"\x0a\0\0\x01")


@pytest.fixture
def up(node):
    return node.start()


def add(node, last, *prefixes):
    peer = node.interface.add_peer(bytes([last]) * 32)
    for prefix in prefixes:
        node.interface.allowed.add(peer, prefix)
    node.interface.commit()
    return peer


def routes(node):
    return sorted(
        (family, bits, address[: 4 if family == 4 else 16], handle)
        for family, bits, _, handle, address in node.native.routes
    )


def test_an_allowed_ip_moves_to_its_newest_owner(node):
    first = add(node, 1, (4, b"\x0a\0\0\0", 8), (6, bytes(16), 0))
    second = add(node, 2, (4, b"\x0a\0\0\0", 8))
    assert routes(node) == [
        (4, 8, b"\x0a\0\0\0", second.handle),
        (6, 0, bytes(16), first.handle),
    ]
    assert first.allowed == [b"\x06\x00" + bytes(16)]


def test_the_same_allowed_ip_twice_is_one(node):
    peer = add(node, 1, (4, b"\x0a\0\0\0", 8), (4, b"\x0a\0\0\0", 8))
    assert len(peer.allowed) == 1


def test_only_the_owner_can_lose_an_allowed_ip(node):
    first = add(node, 1, (4, b"\x0a\0\0\0", 8))
    second = add(node, 2)
    node.interface.allowed.remove(second, (4, b"\x0a\0\0\0", 8))
    node.interface.commit()
    assert routes(node) == [(4, 8, b"\x0a\0\0\0", first.handle)]
    node.interface.allowed.remove(first, (4, b"\x0a\0\0\0", 8))
    node.interface.commit()
    assert routes(node) == []


def test_routes_are_published_once_for_a_change_set(node):
    calls = []
    publish = node.native.tl_routes
    node.native.tl_routes = lambda *args: calls.append(1) or publish(*args)
    peer = node.interface.add_peer(KEY)
    for i in range(50):
        node.interface.allowed.add(peer, (4, bytes([10, 0, 0, i]), 32))
    node.interface.commit()
    node.interface.commit()
    assert len(calls) == 1


def test_a_peer_is_freed_after_the_routes_without_it_are_published(node):
    peer = add(node, 1, (4, b"\x0a\0\0\0", 8))
    node.interface.remove_peer(peer)
    assert peer.handle in node.native.peers
    node.interface.commit()  # the fake plane asserts that no route names a freed peer
    assert node.native.peers == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda interface: (interface.link_down(), interface.link_up()),
        lambda interface: interface.set_private_key(bytearray(KEY)),
        lambda interface: interface.set_private_key(None),
        lambda interface: (interface.remove_peers(), interface.commit()),
    ],
)
def test_packets_turn_amid_a_change_of_all_peers_that_takes_long(up, change):
    for last in range(2, 7):
        add(up, last, (4, bytes((10, last, 0, 0)), 16))
    up.interface.link_down()
    up.interface.link_up()
    did = []

    def noting(call, number):
        def noted(*arguments):
            did.append(arguments[number])
            if arguments[number] is not None:
                up.port.clock.now_ms += 3
            return call(*arguments)

        return noted

    for name in ("tl_run", "tl_peer_arm", "tl_peer_flush", "tl_peer_free"):
        setattr(up.native, name, noting(getattr(up.native, name), 1))
    change(up.interface)
    # None is a turn, a number a peer.
    together = "".join("|" if what is None else str(what) for what in did).split("|")
    assert len(together) > 5
    assert all(len(set(peers)) <= 1 for peers in together), together


def test_our_own_key_is_no_peer(up):
    assert up.interface.add_peer(up.interface.me.public) is None


def test_a_private_key_removes_the_peer_that_has_it(node):
    other = Node(node.world, b"\x0a\0\0\x02").start()
    node.interface.add_peer(other.interface.me.public)
    node.interface.set_private_key(bytearray(other.interface.me.private))
    assert node.interface.peers == {}


def test_the_same_private_key_again_changes_nothing(up):
    me = up.interface.me
    up.interface.set_private_key(bytearray(me.private))
    assert up.interface.me is me


def test_a_private_key_of_zeros_is_none(up):
    private = up.interface.me.private
    up.interface.set_private_key(bytearray(32))
    assert up.interface.me is None
    assert private == bytearray(32)
    assert up.native.mac1_key is None


def test_the_port_opens_when_the_link_comes_up(node):
    node.interface.set_listen_port(1234)
    assert not node.native.port
    node.interface.link_up()
    assert node.native.port == 1234
    node.interface.set_listen_port(2345)
    assert node.native.port == 2345


def test_a_port_that_cannot_be_opened_leaves_the_old_one(up):
    up.native.tl_plane_listen = lambda *args: -98
    with pytest.raises(PlaneError) as e:
        up.interface.set_listen_port(1234)
    assert e.value.errno == 98
    assert up.interface.listen_port == 51820
    with pytest.raises(PlaneError):
        up.interface.set_fwmark(7)
    assert up.interface.fwmark == 0


def test_a_port_that_was_taken_when_the_link_came_up_opens_when_it_is_set_again(node):
    opens = node.native.tl_plane_listen
    node.interface.set_listen_port(1234)
    node.native.tl_plane_listen = lambda *args: -98
    with pytest.raises(PlaneError):
        node.interface.link_up()
    with pytest.raises(PlaneError):
        node.interface.set_listen_port(1234)
    node.native.tl_plane_listen = opens
    node.interface.set_listen_port(1234)
    assert node.interface.listening and node.native.port == 1234
    node.interface.link_down()
    assert not node.interface.listening and node.native.port is None


@pytest.mark.parametrize(("errno", "refused"), [(13, True), (98, False)])
def test_before_the_link_is_up_only_a_port_that_is_never_allowed_is_refused(node, errno, refused):
    node.native.tl_plane_listen = lambda *args: -errno
    try:
        node.interface.set_listen_port(443)
    except PlaneError as e:
        assert refused and e.errno == 13
    assert node.interface.listen_port == (0 if refused else 443)


def test_closing_wipes_every_key(up):
    peer = add(up, 1)
    up.interface.set_psk(peer, KEY)
    private = up.interface.me.private
    up.interface.close()
    assert private == bytearray(32)
    assert peer.psk == bytearray(32)
    assert up.native.peers == {}
    assert up.native.indices == {}


def test_an_endpoint_that_is_given_ends_the_search_for_a_name(up):
    class Resolver:
        wanted = []

        def want(self, key, names):
            self.wanted.append((key, names))

        def found(self, name):
            return []

    up.interface.resolver = Resolver()
    peer = add(up, 1)
    up.interface.set_endpoints(peer, [("gateway.example", 1)])
    up.interface.set_endpoint(peer, 4, b"\x0a\0\0\x02", 51820)
    assert Resolver.wanted == [(peer.public, [("gateway.example", 1)]), (peer.public, [])]
    up.interface.resolved(peer.public)
    assert up.native.peers[peer.handle].endpoint[4:8] == b"\x0a\0\0\x02"


def test_a_removed_peers_sessions_end_at_once_though_its_change_set_does_not(up):
    peer = add(up, 1, (4, b"\x0a\0\0\0", 8))
    plane = up.interface.plane
    index = plane.index_new(peer.handle)
    plane.session_new(planes.session_record(index, b"RRRR", 0, False, 16, 120_000))
    peer.sessions.add(index, False, 0)
    up.interface.remove_peer(peer)
    assert up.native.indices == {}


def test_routes_that_could_not_be_published_are_published_with_the_next_change(node):
    peer = add(node, 1, (4, b"\x0a\0\0\0", 8))
    publish = node.native.tl_routes
    node.native.tl_routes = lambda *args: -12
    node.interface.remove_peer(peer)
    with pytest.raises(PlaneError) as refused:
        node.interface.commit()
    assert refused.value.errno == 12
    node.native.tl_routes = publish
    node.interface.commit()
    assert routes(node) == [] and node.native.peers == {}


class _Full(dict):
    """A table in a heap that is full."""

    def __setitem__(self, key, value):
        raise MemoryError


@pytest.mark.parametrize("table", ["peers", "by_handle"])
def test_a_peer_that_a_full_heap_has_no_room_for_is_in_no_table_and_the_end_goes_well(node, table):
    add(node, 1)
    interface = node.interface
    whole = getattr(interface, table)
    setattr(interface, table, _Full(whole))
    with pytest.raises(MemoryError):
        interface.add_peer(bytes([2]) * 32)
    setattr(interface, table, whole)
    assert [peer.handle for peer in interface.peers.values()] == list(interface.by_handle)
    interface.remove_peers()
    interface.commit()
    assert not interface.by_handle
