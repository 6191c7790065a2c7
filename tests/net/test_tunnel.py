# SPDX-License-Identifier: MIT
"""The main job: packets through a tunnel.

router ==w1== gateway
"""

import sys
from pathlib import Path

import pytest

from lab.topology import Tunnel, ping, tcp_transfer


@pytest.mark.parametrize("outside", [4, 6])
def test_ping_and_tcp_pass_on_both_families_inside_over_either_outside(lab, outside):
    tunnel = Tunnel(lab, family=outside).start()
    tunnel.wait_up()
    for answer in tunnel.ping(count=20, interval=0.01):
        assert answer.received == 20
    for address in (tunnel.gateway.v4, tunnel.gateway.v6):
        there = tcp_transfer(
            tunnel.router.namespace, tunnel.gateway.namespace, address, size=8 << 20
        )
        assert there.is_intact and there.bytes == 8 << 20
    for address in (tunnel.router.v4, tunnel.router.v6):
        back = tcp_transfer(
            tunnel.gateway.namespace, tunnel.router.namespace, address, size=8 << 20
        )
        assert back.is_intact and back.bytes == 8 << 20


def test_a_preshared_key_on_both_ends_changes_nothing_for_the_traffic(lab):
    from lab.topology import preshared_key

    tunnel = Tunnel(lab, PresharedKey=preshared_key()).start()
    tunnel.wait_up()
    assert all(not answer.lost for answer in tunnel.ping(count=10))
    assert tunnel.router.peer_json(tunnel.gateway)["preshared"] is True


def test_packets_that_wait_for_the_handshake_arrive_in_order(lab):
    tunnel = Tunnel(lab).start()
    there = tunnel.gateway.namespace.inside(_receiver, tunnel.gateway.v4)
    with there:
        here = tunnel.router.namespace.udp_socket(tunnel.router.v4)
        with here:
            for number in range(100):
                here.sendto(number.to_bytes(4, "big"), (tunnel.gateway.v4, 4000))
            got = [int.from_bytes(there.recv(100), "big") for _ in range(100)]
    assert got == list(range(100))


def _receiver(address):
    import socket

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 4000))
    sock.settimeout(10)
    return sock


def test_several_interfaces_in_several_processes_share_one_namespace(lab):
    from lab.peers import Tunlite
    from lab.topology import endpoint, ping, wait_for

    left, right = lab.namespace("router"), lab.namespace("gateway")
    far = lab.wire(left, right)[1]
    gateway = Tunlite(right, 9)
    routers = [Tunlite(left, number, port=51820 + number) for number in (1, 2)]
    for router in routers:
        # each has its own /32, so that the kernel's routes to 10.77.0.9 do not compete
        router.interface["Address"] = router.v4 + "/32"
        router.add_peer(gateway, endpoint(far.v4))
        gateway.add_peer(router)
    gateway.start()
    for router in routers:
        router.start()
        left.ip(
            "route", "add", gateway.v4, "dev", router.name, "src", router.v4, "metric", router.port
        )
        wait_for(
            lambda r=router: ping(left, gateway.v4, count=1, source=r.name).received,
            15,
            f"an answer through {router.name}",
        )
    assert all(gateway.peer_json(router)["rx_bytes"] for router in routers)


def test_nested_prefixes_of_two_peers_go_and_come_by_the_narrower_one(lab):
    """The node of the wider prefix has addresses in the narrower one too."""
    from lab.peers import Tunlite
    from lab.topology import endpoint

    middle = lab.namespace("gateway")
    gateway = Tunlite(middle, 9, Table="auto")
    both = ["10.88.5.1/32", "fd88:5::1/128"]
    nodes = []
    for number, (label, own) in enumerate(
        (("wide", ["10.88.1.1/32", "fd88:1::1/128", *both]), ("narrow", both)), start=1
    ):
        node = Tunlite(lab.namespace(label), number, Address=", ".join(own), Table="auto")
        far = lab.wire(node.namespace, middle, number=number)[1]
        node.add_peer(gateway, endpoint(far.v4), PersistentKeepalive=1)
        nodes.append(node)
    wide, narrow = nodes
    prefixes = {wide: "10.88.0.0/16,fd88::/16", narrow: "10.88.5.0/24,fd88:5::/32"}
    for node in nodes:
        gateway.add_peer(node, AllowedIPs=prefixes[node])
    for end in (gateway, *nodes):
        end.start()
    for node in nodes:
        gateway.wait_handshake(node)

    def who_answers(address):
        before = [node.peer_json(gateway)["rx_bytes"] for node in nodes]
        assert ping(middle, address, size=1000).received == 3
        rows = zip(nodes, before, strict=True)
        return [n for n, rx in rows if n.peer_json(gateway)["rx_bytes"] - rx > 3000]

    def allow(node, text):
        gateway.wg("set", gateway.name, "peer", node.keys.public, "allowed-ips", text)

    for address in ("10.88.1.1", "fd88:1::1"):
        assert who_answers(address) == [wide]
    for address in ("10.88.5.1", "fd88:5::1"):
        assert who_answers(address) == [narrow]
        # What the other one says from there is not taken.
        taken = gateway.drops().get("source_not_allowed", 0)
        to = gateway.v6 if ":" in address else gateway.v4
        assert ping(wide.namespace, to, wait=0.2, source=address).received == 0
        assert gateway.drops()["source_not_allowed"] == taken + 3
    allow(narrow, "")
    for address in ("10.88.5.1", "fd88:5::1"):
        assert who_answers(address) == [wide]
    allow(wide, "")
    for node in (narrow, wide):  # the narrower one is there first
        allow(node, prefixes[node])
    for address in ("10.88.5.1", "fd88:5::1"):
        assert who_answers(address) == [narrow]


def test_the_firewall_mark_is_on_every_outer_packet(lab):
    from lab.peers import Tunlite

    def router(namespace, number):
        return Tunlite(namespace, number, FwMark="0x1234")

    tunnel = Tunnel(lab, router=router)
    tunnel.router.namespace.nft(
        "table inet t { chain o { type filter hook output priority 0; "
        "udp dport 51820 meta mark != 0x1234 counter drop; }; }"
    )
    tunnel.start()
    tunnel.wait_up()
    listed = tunnel.router.namespace.run(["nft", "list", "ruleset"]).stdout
    assert "counter packets 0" in listed


def test_a_tunnel_works_where_the_kernel_has_no_ipv6_at_all(lab):
    """What asks for an IPv6 socket gets EAFNOSUPPORT, as from a kernel without it."""
    tunnel = Tunnel(lab)
    for end in (tunnel.router, tunnel.gateway):
        end.command = [sys.executable, "-m", "lab.no_ipv6", *end.command]
        end.interface["Address"] = end.v4 + "/16"
    tunnel.start()
    tunnel.wait_up()
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=10).received == 10
    for end in (tunnel.router, tunnel.gateway):
        assert end.namespace.run(["ss", "-lnuH6"]).stdout == ""
        assert "error" not in end.process.log()


def test_a_link_local_endpoint_reaches_its_peer_whatever_sys_shows(lab):
    """/sys of the processes in these namespaces is of another one, without such an interface."""
    tunnel = Tunnel(lab)
    near, far = tunnel.wire
    assert not Path(f"/sys/class/net/{near.name}").exists()
    for end, address in ((near, "fe80::11"), (far, "fe80::12")):
        end.namespace.ip("addr", "add", address + "/64", "dev", end.name, "nodad")
    peer = tunnel.router.peers[tunnel.gateway.keys.public]
    peer["Endpoint"] = f"[fe80::12%{near.name}]:51820"
    tunnel.start()
    tunnel.wait_up()
    assert tunnel.gateway.peer_json(tunnel.router)["endpoint"].startswith("[fe80::11%")


def test_an_endpoint_with_a_scope_that_is_no_interface_is_refused(lab):
    tunnel = Tunnel(lab)
    peer = tunnel.router.peers[tunnel.gateway.keys.public]
    peer["Endpoint"] = "[fe80::12%nosuch]:51820"
    tunnel.router.start(ready=False)
    assert tunnel.router.process.wait(10) == 1
    assert "its scope is no interface" in tunnel.router.process.log()
