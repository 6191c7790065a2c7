# SPDX-License-Identifier: MIT
"""peer_routes.py: routes of peers that come and go stand while those are established."""

import errno

import pytest

from lab.fakes.net import Log, Node, World
from tunlite.control import peer_routes
from tunlite.protocol import wire

OURS = 7
A_INSIDE, B_INSIDE = b"\x01\0\0\x01", b"\x01\0\0\x02"


class Kernel:
    """Routes as a set of (index, prefix, table); each is added once and removed once."""

    def __init__(self):
        self.routes = set()
        self.errors = {}  # prefix -> errno

    def peer_route(self, index, prefix, table, delete):
        if prefix in self.errors:
            raise OSError(self.errors[prefix], "refused")
        row = (index, prefix, table)
        if (row in self.routes) != delete:
            raise OSError(errno.ESRCH if delete else errno.EEXIST, "wrong")
        self.routes ^= {row}

    def prefixes(self):
        return {prefix for _, prefix, _ in self.routes}


def _net(number, bits=24):
    return 4, bytes([10, number, 0, 0]), bits


class Gateway:
    """A gateway with a router that may be established, and its routes."""

    def __init__(self):
        self.world = World()
        self.router = Node(self.world, b"\x0a\0\0\x01").start()
        self.node = Node(self.world, b"\x0a\0\0\x02").start()
        self.router.add(self.node, B_INSIDE)
        self.peer = self.node.add(self.router, A_INSIDE, endpoint=False)
        self.interface = self.node.interface
        self.kernel = Kernel()
        self.routes = peer_routes.PeerRoutes(self.kernel, self.node.log)
        self.interface.routes = self.routes
        self.interface.listeners.append(self.routes)
        self.routes.move(self.interface.each_peer, 0, OURS)

    def come(self, origin="admitted", table=254):
        if origin:
            self.peer.claimed(origin, True)
        self.interface.set_route_table(table)
        self.router.send(B_INSIDE)
        self.world.run(1)
        assert self.peer.established.began_ms

    def allow(self, *prefixes, peer=None):
        for prefix in prefixes:
            self.interface.allowed.add(peer or self.peer, prefix)
        self.interface.commit()


@pytest.fixture
def gateway():
    return Gateway()


INSIDE = (4, A_INSIDE, 32)


@pytest.mark.parametrize("origin", ["admitted", "folder", "added"])
def test_a_route_stands_from_the_first_proof_to_the_end_of_the_last_session(gateway, origin):
    gateway.interface.set_route_table(254)
    assert gateway.kernel.routes == set()
    gateway.come(origin)
    assert gateway.kernel.routes == {(OURS, INSIDE, 254)} and gateway.routes.standing() == 1
    gateway.router.remove()
    gateway.world.run(wire.REJECT_AFTER_MS // 1000 - 5)
    assert gateway.kernel.routes
    gateway.world.run(10)
    assert gateway.kernel.routes == set() and gateway.routes.standing() == 0


def test_a_rekey_touches_no_route(gateway):
    gateway.come()
    changes = []
    gateway.kernel.peer_route = lambda *row: changes.append(row)
    for _ in range(300):
        gateway.router.send(B_INSIDE)
        gateway.world.run(1)
    assert gateway.peer.shakes.responded > 2 and changes == []


def test_a_peer_of_the_file_has_none_of_these_routes(gateway):
    gateway.come(origin="")
    gateway.allow(_net(1))
    assert gateway.kernel.routes == set()


def test_without_a_table_there_are_none_until_one_is_named_and_then_they_move(gateway):
    gateway.come(table=0)
    assert gateway.kernel.routes == set()
    for table in (254, 77, 77, 0):
        gateway.interface.set_route_table(table)
        assert gateway.kernel.routes == ({(OURS, INSIDE, table)} if table else set())


def test_routes_follow_the_link_out_of_our_namespace_and_back(gateway):
    gateway.come()
    gateway.kernel.errors[INSIDE] = errno.ENODEV  # they went with it
    gateway.routes.move(gateway.interface.each_peer, 254, 0)
    gateway.kernel.routes, gateway.kernel.errors = set(), {}
    gateway.routes.move(gateway.interface.each_peer, 254, 9)
    assert gateway.kernel.routes == {(9, INSIDE, 254)} and gateway.node.log.texts("error") == []


def test_allowed_ips_that_come_and_go_meanwhile_change_the_routes_at_the_commit(gateway):
    gateway.come()
    gateway.allow(_net(1), _net(2), (4, bytes(4), 0))
    assert gateway.kernel.prefixes() == {INSIDE, _net(1), _net(2)}, "no default route"
    gateway.interface.allowed.remove(gateway.peer, _net(1))
    assert _net(1) in gateway.kernel.prefixes()
    gateway.interface.commit()
    assert gateway.kernel.prefixes() == {INSIDE, _net(2)}
    gateway.interface.allowed.clear(gateway.peer)
    gateway.interface.commit()
    assert gateway.kernel.routes == set()


def test_a_prefix_that_another_peer_takes_over_goes_from_the_first_ones_routes(gateway):
    gateway.come()
    gateway.allow(_net(1))
    other = gateway.interface.add_peer(b"\x09" * 32)
    gateway.allow(_net(1), peer=other)
    assert gateway.kernel.prefixes() == {INSIDE}


def test_a_removed_peers_routes_go_at_once(gateway):
    gateway.come()
    gateway.interface.remove_peer(gateway.peer)
    assert gateway.kernel.routes == set()


def test_the_end_of_the_daemon_and_a_link_that_is_down_take_all(gateway):
    gateway.come()
    gateway.interface.link_down()
    assert gateway.kernel.routes == set()
    gateway.interface.link_up()
    gateway.world.run(20)
    gateway.come()
    assert gateway.kernel.routes
    gateway.node.daemon.close()
    assert gateway.kernel.routes == set()


class Peer:
    alive = True
    origin = "admitted"

    class established:
        began_ms = 1

    def __init__(self, handle, *keys):
        self.handle = handle
        self.allowed = list(keys)


def test_a_shared_prefix_stands_while_one_of_those_that_share_it_is_established():
    kernel = Kernel()
    routes = peer_routes.PeerRoutes(kernel, Log())
    routes.move(list, 254, OURS)
    key = bytes([4, 24, 10, 1, 0, 0])
    one, two = Peer(1, key), Peer(2, key)
    routes.established(one)
    routes.established(two)
    routes.left(one, "silent")
    assert kernel.prefixes() == {_net(1)}
    routes.left(two, "silent")
    assert kernel.routes == set()


def test_what_another_link_has_is_left_and_told(gateway):
    gateway.kernel.errors[INSIDE] = errno.EEXIST
    gateway.come()
    assert gateway.node.log.texts("error") == ["the route to 1.0.0.1/32: another has it"]
    gateway.kernel.errors[INSIDE] = errno.ESRCH
    gateway.interface.remove_peer(gateway.peer)
    assert len(gateway.node.log.texts("error")) == 1
