# SPDX-License-Identifier: MIT
"""Super-packets of a TAP, where IP is directly on it or behind a bridge.

client ==w2== [bridge] router ==w1== gateway        (client and bridge only where they are named)
"""

import pytest

from lab.peers import Tunlite
from lab.topology import Tunnel, ping, tcp_transfer, wait_for

SIZE = 32 << 20
MTU = 1400  # a frame goes whole


def _lay(lab, mtu=MTU, **interface):
    """Both ends on layer 2."""

    def end(namespace, number):
        return Tunlite(namespace, number, Layer=2, MTU=mtu, **interface)

    tunnel = Tunnel(lab, router=end, gateway=end)
    for peer in (*tunnel.router.peers.values(), *tunnel.gateway.peers.values()):
        del peer["AllowedIPs"]  # frames go by their addresses
    return tunnel


def _goes_in_super_packets(end, direction):
    counts = end.show_json()["counters"]
    assert counts[f"supers_{direction}"] > 0
    if direction == "read" or not end.is_basic:
        assert counts[f"device_{direction}"] > 10 * counts[f"supers_{direction}"]
    assert counts.get("supers_refused", 0) == 0


@pytest.mark.parametrize("mode", ["on", "authentic", "off"])
def test_a_tcp_flow_over_a_tap_crosses_as_super_packets(lab, mode):
    tunnel = _lay(lab, Encryption=mode).start()
    tunnel.wait_up()
    for source, target in ((tunnel.router, tunnel.gateway), (tunnel.gateway, tunnel.router)):
        moved = tcp_transfer(source.namespace, target.namespace, target.v4, size=SIZE)
        assert moved.is_intact
        _goes_in_super_packets(source, "read")
        _goes_in_super_packets(target, "written")


def _bridge(tunnel, lab):
    """The router's device becomes a port of its bridge; a client of that."""
    client = lab.namespace("client")
    near, far = lab.wire(client, tunnel.router.namespace, number=2)
    host = tunnel.router.namespace
    host.ip("link", "add", "br0", "type", "bridge")
    for port in (tunnel.router.name, far.name):
        host.ip("link", "set", port, "master", "br0")
    host.ip("link", "set", "br0", "up")
    client.ip("addr", "add", "10.77.0.9/16", "dev", near.name)
    client.ip("link", "set", near.name, "mtu", MTU)
    return client


def test_a_tcp_flow_through_a_bridge_crosses_as_super_packets_both_ways(lab):
    tunnel = _lay(lab).start()
    tunnel.wait_up()
    client = _bridge(tunnel, lab)
    gateway = tunnel.gateway
    wait_for(lambda: ping(client, gateway.v4, count=1, wait=1).received, 15, "an answer")
    moved = tcp_transfer(client, gateway.namespace, gateway.v4, size=SIZE)
    assert moved.is_intact
    _goes_in_super_packets(tunnel.router, "read")
    _goes_in_super_packets(gateway, "written")
    moved = tcp_transfer(gateway.namespace, client, "10.77.0.9", size=SIZE)
    assert moved.is_intact
    _goes_in_super_packets(gateway, "read")
    _goes_in_super_packets(tunnel.router, "written")


def test_frames_of_a_flow_that_do_not_fit_come_together_again_as_super_packets(lab):
    tunnel = _lay(lab, mtu=1500).start()
    tunnel.wait_up()
    source, target = tunnel.router, tunnel.gateway
    moved = tcp_transfer(source.namespace, target.namespace, target.v4, size=SIZE)
    assert moved.is_intact
    assert source.show_json()["counters"]["frames_cut"] > 1000
    _goes_in_super_packets(source, "read")
    _goes_in_super_packets(target, "written")
