# SPDX-License-Identifier: MIT
"""A peer's endpoint inside our own tunnel: nobody else loses a ping, and one named drop tells.

router ==w1== middle (relay, attacker) ==w2== gateway ==w3== honest
"""

import socket
import struct

import pytest

from lab.topology import RelayedTunnel, Tunlite, Tunnel, endpoint, ping, wait_for
from tunlite.system import cpython_links

PORT = 7777


class _Held:
    """Passes datagrams on, or keeps transport messages to the gateway back while `on`."""

    def __init__(self):
        self.on = False
        self.kept = []

    def __call__(self, direction, datagram):
        if self.on and direction == "in" and datagram[0] == 4:
            self.kept.append(datagram)
            return []
        return [datagram]


class _Gateway(RelayedTunnel):
    """A gateway with a router behind a relay and an honest peer of its own wire."""

    def __init__(self, lab):
        self.held = _Held()
        super().__init__(lab, watch=self.held)
        self.honest = Tunlite(lab.namespace("honest"), 3)
        near, _ = lab.wire(self.gateway.namespace, self.honest.namespace, number=3)
        self.honest.add_peer(self.gateway, endpoint(near.v4))
        self.gateway.add_peer(self.honest)
        self.start()
        self.honest.start()
        self.wait_up()
        assert ping(self.honest.namespace, self.gateway.v4, wait=5).received

    def hold(self, count=20):
        """Messages of the router's that the gateway has not had."""
        self.held.on = True
        ping(self.router.namespace, self.gateway.v4, count=count, interval=0.01, wait=0)
        wait_for(lambda: len(self.held.kept) >= count, 5, "messages are held back")
        self.held.on = False
        return self.held.kept

    def check(self, loop):
        """loop() makes the gateway send to the router by a way that leads inside."""
        honest = self.honest.namespace

        def told():
            loop()
            ping(self.gateway.namespace, self.router.v4, count=1, wait=0, size=1372)
            return self.gateway.drops().get("routing_loop")

        wait_for(told, 20, "a named drop")
        before = self.gateway.namespace.sent_packets(self.gateway.name)
        answer = ping(honest, self.gateway.v4, count=50, interval=0.02)
        assert answer.lost == 0, answer
        # what goes round multiplies: thousands in that second
        assert self.gateway.namespace.sent_packets(self.gateway.name) - before < 500


@pytest.fixture
def gateway(lab):
    return _Gateway(lab)


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF


def _send_as(source, namespace, target, payload):
    """One UDP datagram with any source address, to (address, port)."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, target[0])
    udp = struct.pack("!HHH", PORT, target[1], 8 + len(payload))
    if family == socket.AF_INET:
        datagram = udp + bytes(2) + payload
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0)
    else:
        pseudo = ends + struct.pack("!II", 8 + len(payload), 17)
        even = pseudo + udp + bytes(2) + payload + bytes(len(payload) % 2)
        datagram = udp + struct.pack("!H", _checksum(even)) + payload
        head = struct.pack("!IHBB", 6 << 28, len(datagram), 17, 64)

    def send():
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(head + ends + datagram, (target[0], 0))

    namespace.inside(send)


def test_a_keyed_peers_nested_datagram_moves_no_endpoint_inside(gateway):
    kept = gateway.hold()
    before = gateway.gateway.peer_json(gateway.router)["endpoint"]
    with gateway.router.namespace.udp_socket(gateway.router.v4) as nested:
        gateway.check(lambda: nested.sendto(kept.pop(), (gateway.gateway.v4, 51820)))
    assert gateway.gateway.peer_json(gateway.router)["endpoint"] == before
    assert ping(gateway.gateway.namespace, gateway.router.v4).received == 3


@pytest.mark.parametrize("rp_filter", [0, 2])
@pytest.mark.parametrize("family", [4, 6])
def test_a_held_back_message_with_a_forged_inner_source_makes_no_storm(gateway, family, rp_filter):
    for scope in ("all", "w2"):
        gateway.gateway.namespace.sysctl(f"net/ipv4/conf/{scope}/rp_filter", rp_filter)
    source = gateway.router.v4 if family == 4 else gateway.router.v6
    end = gateway.far[1]
    target = (end.v4 if family == 4 else end.v6, 51820)
    kept = gateway.hold()
    before = gateway.gateway.peer_json(gateway.router)["endpoint"]
    middle = gateway.far[0].namespace
    gateway.check(lambda: _send_as(source, middle, target, kept.pop()))
    # what moved it is undone, though the router says nothing
    wait_for(
        lambda: gateway.gateway.peer_json(gateway.router)["endpoint"] == before, 5, "moved back"
    )
    assert ping(gateway.gateway.namespace, gateway.router.v4).received == 3
    assert "routed into" in gateway.gateway.process.log()


def test_two_peers_whose_endpoints_cross_each_other_inside_keep_no_storm_alive(gateway):
    second = Tunlite(gateway.lab.namespace("second"), 4)
    near, _ = gateway.lab.wire(gateway.gateway.namespace, second.namespace, number=4)
    second.add_peer(gateway.gateway, endpoint(near.v4))
    gateway.gateway.add_peer(second)
    gateway.gateway.wg_set_conf("addconf")
    second.start()
    assert ping(second.namespace, gateway.gateway.v4, wait=5).received == 3

    def cross():
        for peer, other in ((gateway.router, second), (second, gateway.router)):
            where = endpoint(other.v4, PORT)
            gateway.gateway.wg(
                "set", gateway.gateway.name, "peer", peer.keys.public, "endpoint", where
            )

    gateway.check(cross)
    for peer in (gateway.router, second):  # each speaks, and is heard where it is
        wait_for(
            lambda peer=peer: ping(peer.namespace, gateway.gateway.v4, count=1, wait=1).received,
            20,
            "it is back",
        )


def test_allowed_ips_over_the_endpoint_without_a_mark_tell_and_harm_nobody(gateway):
    end = gateway.gateway
    address = gateway.far[0].v4
    key = gateway.router.keys.public
    end.wg("set", end.name, "peer", key, "allowed-ips", f"{gateway.router.v4}/32,{address}/32")
    end.namespace.ip("route", "add", address + "/32", "dev", end.name)
    gateway.check(lambda: None)
    wait_for(lambda: f"{address}:" in end.process.log(), 5, "a line of the log")
    assert f"is routed into {end.name} itself" in end.process.log()
    assert end.wg_dump()[key]["endpoint"].startswith(address + ":")
    end.namespace.ip("route", "del", address + "/32", "dev", end.name)
    wait_for(
        lambda: ping(end.namespace, gateway.router.v4, count=1, wait=1).received, 10, "it goes on"
    )


def test_an_endpoint_is_free_again_when_the_route_inside_goes_with_its_link(lab):
    """The kernel tells of no IPv4 route that goes so."""
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    router = tunnel.router
    router.namespace.ip("route", "add", tunnel.outside + "/32", "dev", router.name)
    wait_for(lambda: "is routed into" in router.process.log(), 15, "the endpoint is refused")
    router.namespace.ip("link", "set", router.name, "down")
    router.namespace.ip("link", "set", router.name, "up")
    tunnel.wait_up()


def test_an_endpoint_that_a_mark_keeps_outside_is_not_refused(gateway):
    """As `up` does: the route first leads inside, then mark and rule are there."""
    end = gateway.gateway
    address = gateway.far[0].v4
    end.wg("set", end.name, "fwmark", "77")
    end.namespace.ip("rule", "add", "not", "fwmark", "77", "table", "77")
    key = gateway.router.keys.public
    end.wg("set", end.name, "peer", key, "allowed-ips", f"{gateway.router.v4}/32,{address}/32")
    end.namespace.ip("route", "add", gateway.router.v4 + "/32", "dev", end.name, "table", "77")
    end.namespace.ip("route", "add", address + "/32", "dev", end.name, "table", "77")
    wait_for(
        lambda: ping(end.namespace, gateway.router.v4, count=1, wait=1).received, 10, "it goes on"
    )
    assert end.drops().get("routing_loop") is None


def test_links_above_ours_are_bridges_and_what_sends_through_them(lab):
    space = lab.namespace("layers")
    space.ip("link", "add", "bridge", "type", "bridge")
    space.ip("link", "add", "port", "type", "veth", "peer", "name", "end")
    space.ip("link", "add", "other", "type", "veth", "peer", "name", "far")
    space.ip("link", "set", "port", "master", "bridge")
    numbers = {name: space.link(name)["ifindex"] for name in ("bridge", "port", "end", "other")}

    def above(name):
        links = cpython_links.new()
        try:
            return links.above(numbers[name])
        finally:
            links.close()

    assert space.inside(above, "port") == {numbers[name] for name in ("port", "bridge", "end")}
    assert space.inside(above, "bridge") == {numbers["bridge"]}
    assert numbers["port"] not in space.inside(above, "other")
