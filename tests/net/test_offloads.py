# SPDX-License-Identifier: MIT
"""Super-packets and runs of datagrams between two kernels.

client ==w3== router ==w1== gateway         (the client only where it is named)
"""

import pytest

from bench import vxlan
from lab.peers import Tunlite
from lab.topology import Tunnel, ping, tcp_transfer

SIZE = 64 << 20


def _move(tunnel, size=SIZE):
    left, right = tunnel.router.namespace, tunnel.gateway.namespace
    moved = tcp_transfer(left, right, tunnel.gateway.v4, size=size)
    assert moved.is_intact
    return tunnel.router.show_json(), tunnel.gateway.show_json()


def _states(shown):
    return {row["name"]: (row["on"], row["why"]) for row in shown["offloads"]}


def test_a_tcp_flow_crosses_as_super_packets_and_runs(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    sender, receiver = _move(tunnel)
    for name in ("tun_vnet", "tun_tso", "udp_gso", "udp_gro"):
        on, why = _states(sender)[name]
        assert on and why == "chosen" or (name.startswith("udp") and tunnel.router.is_basic)
    out, back = sender["counters"], receiver["counters"]
    assert out["device_read"] > 10 * out["supers_read"] > 0
    if not tunnel.router.is_basic:
        assert out["socket_written"] > 10 * out["runs_written"] > 0
        assert back["device_written"] > 10 * back["supers_written"] > 0
        assert back["runs_read"] > 0
    refused = ("supers_refused", "runs_refused")
    assert [counts.get(name, 0) for counts in (out, back) for name in refused] == [0] * 4


def test_without_offloads_the_same_flow_crosses_packet_by_packet(lab):
    def end(namespace, number):
        return Tunlite(namespace, number, Offloads="off")

    tunnel = Tunnel(lab, router=end, gateway=end).start()
    tunnel.wait_up()
    sender, _ = _move(tunnel, SIZE // 4)
    states = _states(sender)
    assert not any(on for on, _ in states.values())
    assert states["tun_vnet"][1] == "switched off by the configuration"
    for name in ("supers_read", "supers_written", "runs_read", "runs_written"):
        assert sender["counters"].get(name, 0) == 0


@pytest.mark.parametrize("off", ["tun_tso", "tun_uso", "udp_gso", "udp_gro"])
def test_each_offload_can_be_left_off_alone(lab, off):
    def end(namespace, number):
        return Tunlite(namespace, number, Offloads=off)

    tunnel = Tunnel(lab, router=end, gateway=end).start()
    tunnel.wait_up()
    sender, _ = _move(tunnel, SIZE // 4)
    assert _states(sender)[off] == (False, "switched off by the configuration")


@pytest.mark.parametrize("outside", [4, 6])
def test_where_the_wire_is_too_narrow_for_a_segment_datagrams_go_one_by_one(lab, outside):
    tunnel = Tunnel(lab, family=outside).start()
    tunnel.wait_up()
    for end in tunnel.wire:
        end.namespace.ip("link", "set", end.name, "mtu", 1400)
    sender, _ = _move(tunnel, SIZE // 4)
    if not tunnel.router.is_basic:
        assert sender["counters"]["runs_refused"] == 1
    assert not [n for name, n in sender["drops"].items() if n and name.startswith("send_")]


def test_what_the_router_forwards_reaches_the_tunnel_as_super_packets(lab):
    tunnel = Tunnel(lab)
    tunnel.gateway.peers[tunnel.router.keys.public]["AllowedIPs"] += ", 10.99.3.0/24"
    client = lab.namespace("client")
    near = lab.wire(client, tunnel.router.namespace, number=3)
    tunnel.router.namespace.sysctl("net/ipv4/ip_forward", 1)
    tunnel.start()
    tunnel.wait_up()
    client.ip("route", "add", "10.77.0.0/16", "via", near[1].v4, "mtu", "1420")
    tunnel.gateway.namespace.ip("route", "add", "10.99.3.0/24", "dev", tunnel.gateway.name)
    assert ping(client, tunnel.gateway.v4, count=3).lost == 0
    moved = tcp_transfer(client, tunnel.gateway.namespace, tunnel.gateway.v4, size=SIZE)
    assert moved.is_intact
    counts = tunnel.router.show_json()["counters"]
    # The kernel would cut what is longer than the TUN's gso_max_size: it must not be made smaller.
    assert counts["device_read"] > 10 * counts["supers_read"] > 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_vxlan_without_checksums_is_written_as_super_packets_and_stays_whole(lab, family):
    link, receiver = vxlan.lay(lab, family, vxlan.NO_CHECKSUM)
    link.wait_up()
    if _states(receiver.show_json())["tun_uso"] != (True, "chosen"):
        pytest.skip("this kernel's TUN takes no UDP super-packets for a vxlan")
    moved = tcp_transfer(link.source, link.target, link.address, size=SIZE // 4)
    assert moved.is_intact
    counts = receiver.show_json()["counters"]
    if not receiver.is_basic:
        assert counts["device_written"] > 10 * counts["supers_written"] > 0
    assert counts["device_written"] > 2 * counts["write_calls"]
