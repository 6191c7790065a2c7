# SPDX-License-Identifier: MIT
"""Endpoints with names, while the resolver is dead, slow or tells something new.

router ==w1== gateway, a name server in the router's namespace
"""

import time

import pytest

from lab.name_server import NameServer
from lab.peers import Keys
from lab.topology import BackgroundPing, Tunnel, wait_for

pytestmark = pytest.mark.once


class Lost:
    """A peer that is only a key, an address inside and a name outside."""

    def __init__(self, number):
        self.keys = Keys()
        self.v4, self.v6 = f"10.77.9.{number}", f"fd77::9:{number}"
        self.name = f"lost{number}.test"


@pytest.fixture
def tunnel(lab):
    return Tunnel(lab)


def test_a_dead_resolver_stops_no_packet_and_holds_up_no_start(lab, tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    server = NameServer(lab, router.namespace, silent=True)
    server.serve(router)
    lost = [Lost(number) for number in range(1, 9)]
    for peer in lost:
        router.add_peer(peer, f"{peer.name}:51820", PersistentKeepalive=1)
    begun = time.monotonic()
    tunnel.start()
    tunnel.wait_up(5)
    assert time.monotonic() - begun < 5
    running = BackgroundPing(router.namespace, gateway.v4, interval=0.005)
    with router.namespace.udp_socket(router.v4) as sock:
        wait_for(lambda: len(set(server.asked)) >= 4, 10, "four names have been asked for")
        begun = time.monotonic()
        while time.monotonic() - begun < 12:  # over the end of the first questions (10 s)
            for peer in lost:
                sock.sendto(b"to nobody", (peer.v4, 9))
            time.sleep(0.1)
    answer = running.stop()
    assert answer.sent > 1000 and answer.lost == 0
    assert max(answer.times_ms.values()) < 500
    assert not any(router.peer_json(peer)["endpoint"] for peer in lost)
    assert any("cannot be resolved" in router.peer_json(peer)["resolver"] for peer in lost)
    # The resolver is back: each is found, none is forgotten.
    server.names = {peer.name: "10.99.1.2" for peer in lost}
    server.silent = False
    wait_for(
        lambda: all(router.peer_json(peer)["endpoint"] for peer in lost),
        40,
        "every peer has its endpoint",
    )


def test_a_peer_that_cannot_be_resolved_is_asked_for_again_until_it_can(lab, tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    server = NameServer(lab, router.namespace)
    server.serve(router)
    router.peers[gateway.keys.public]["Endpoint"] = "gateway.test:51820"
    tunnel.start()
    wait_for(lambda: server.asked.count("gateway.test") >= 3, 15, "the third question")
    server.names = {"gateway.test": "10.99.1.2"}
    wait_for(lambda: router.peer_json(gateway)["resolver"] == "resolved", 15, "the answer")
    tunnel.wait_up(5)


def test_a_name_that_changed_is_resolved_anew_when_handshakes_fail(lab, tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    server = NameServer(lab, router.namespace, {"gateway.test": "10.99.1.99"})
    server.serve(router)
    section = router.peers[gateway.keys.public]
    section.update(Endpoint="gateway.test:51820", PersistentKeepalive=1)
    tunnel.start()
    wait_for(
        lambda: router.peer_json(gateway)["endpoint"] == "10.99.1.99:51820", 10, "the old address"
    )
    assert server.asked == ["gateway.test"]
    server.names = {"gateway.test": "10.99.1.2"}
    router.wait_handshake(gateway, timeout=30)
    assert router.peer_json(gateway)["endpoint"] == "10.99.1.2:51820"


def test_a_name_is_found_where_the_question_for_its_ipv6_address_gets_no_answer(lab, tunnel):
    router, gateway = tunnel.router, tunnel.gateway
    server = NameServer(lab, router.namespace, {"gateway.test": "10.99.1.2"})
    server.drops_aaaa = True
    server.serve(router)
    router.peers[gateway.keys.public]["Endpoint"] = "gateway.test:51820"
    tunnel.start()
    wait_for(lambda: router.peer_json(gateway)["resolver"] == "resolved", 20, "the answer")
    tunnel.wait_up(5)


def test_setconf_hands_over_a_name_and_waits_for_no_answer(lab, tunnel):
    router = tunnel.router
    server = NameServer(lab, router.namespace, silent=True)
    server.serve(router)
    tunnel.start()
    tunnel.wait_up()
    peer = Lost(1)
    router.add_peer(peer, f"{peer.name}:51820")
    begun = time.monotonic()
    router.cli("syncconf", router.name, "-", input=router.set_text())
    assert time.monotonic() - begun < 3
    assert all(not answer.lost for answer in tunnel.ping(count=3))
