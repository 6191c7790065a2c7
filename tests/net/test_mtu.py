# SPDX-License-Identifier: MIT
"""Packet sizes: small, usual and jumbo links, and paths narrower than they look.

router ==w1== gateway
"""

import pytest

from lab.peers import Tunlite
from lab.topology import Tunnel, ping, tcp_transfer, wait_for


@pytest.mark.parametrize("wire_mtu", [1280, 1500, 9000])
def test_the_largest_packet_of_the_device_passes_over_a_wire_of(lab, wire_mtu):
    inside = max(wire_mtu - 80, 1280)  # IPv6 needs 1280; then outer packets are fragmented

    def end(namespace, number):
        return Tunlite(namespace, number, MTU=inside)

    tunnel = Tunnel(lab, router=end, gateway=end, mtu=wire_mtu).start()
    tunnel.wait_up()
    left = tunnel.router.namespace
    assert left.link(tunnel.router.name)["mtu"] == inside
    for size in (inside - 28, inside - 29, inside - 43):
        answer = ping(left, tunnel.gateway.v4, size=size, whole=True)
        assert answer.lost == 0, size
    assert ping(left, tunnel.gateway.v6, size=inside - 48, whole=True).lost == 0
    moved = tcp_transfer(left, tunnel.gateway.namespace, tunnel.gateway.v4, size=8 << 20)
    assert moved.is_intact


def test_the_kernel_says_so_when_a_packet_is_larger_than_the_device(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    words = ["ping", "-n", "-c", "1", "-s", "1500", "-M", "do", tunnel.gateway.v4]
    answer = tunnel.router.namespace.run(words, check=False)
    assert answer.returncode and "message too long" in answer.stderr.lower()


@pytest.mark.parametrize("outside", [4, 6])
def test_a_wire_that_becomes_narrower_fragments_and_goes_on(lab, outside):
    tunnel = Tunnel(lab, family=outside).start()
    tunnel.wait_up()
    for end in tunnel.wire:
        end.namespace.ip("link", "set", end.name, "mtu", 1300)
    moved = tcp_transfer(
        tunnel.router.namespace, tunnel.gateway.namespace, tunnel.gateway.v4, size=8 << 20
    )
    assert moved.is_intact
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, size=1392, whole=True).lost == 0


def test_a_change_of_the_devices_mtu_is_followed(lab):
    tunnel = Tunnel(lab, mtu=9000).start()
    tunnel.wait_up()
    for end in (tunnel.router, tunnel.gateway):
        end.namespace.ip("link", "set", end.name, "mtu", 8920)
        wait_for(lambda e=end: e.show_json()["mtu"] == 8920, 5, "the daemon sees the new MTU")
    answer = ping(tunnel.router.namespace, tunnel.gateway.v4, size=8920 - 28, whole=True)
    assert answer.lost == 0
