# SPDX-License-Identifier: MIT
"""Debian's wireguard-go as the other end.

router ==w1== gateway, one of them wireguard-go; or with a relay in the middle
"""

import pytest

from lab.topology import (
    BackgroundPing,
    Faults,
    RelayedTunnel,
    Tunlite,
    Tunnel,
    WireguardGo,
    ping,
    preshared_key,
    tcp_transfer,
    wait_for,
)

OURS_BEGINS = {"router": Tunlite, "gateway": WireguardGo}
THEIRS_BEGINS = {"router": WireguardGo, "gateway": Tunlite}
ROLES = pytest.mark.parametrize(
    "ends", [OURS_BEGINS, THEIRS_BEGINS], ids=["tunlite-initiates", "wireguard-go-initiates"]
)


def _ours(tunnel):
    """(our end, the other)."""
    ends = (tunnel.router, tunnel.gateway)
    return ends if isinstance(tunnel.router, Tunlite) else ends[::-1]


@ROLES
@pytest.mark.parametrize("outside", [4, 6], ids=["over-IPv4", "over-IPv6"])
@pytest.mark.parametrize("shared", [False, True], ids=["", "with-a-preshared-key"])
def test_ping_and_tcp_pass_both_ways_and_who_began_is_counted(lab, ends, outside, shared):
    options = {"PresharedKey": preshared_key()} if shared else {}
    tunnel = Tunnel(lab, family=outside, **ends, **options).start()
    tunnel.wait_up()
    ours, theirs = _ours(tunnel)
    began = ours.peer_json(theirs)["handshakes"]
    assert (began["initiated"], began["responded"]) == ((1, 0) if ends is OURS_BEGINS else (0, 1))
    for answer in tunnel.ping(count=20, interval=0.01):
        assert answer.received == 20
    here, there = ours.wg_dump()[theirs.keys.public], theirs.wg_dump()[ours.keys.public]
    assert here["preshared_key"] == there["preshared_key"]
    assert (here["rx_bytes"], here["tx_bytes"]) == (there["tx_bytes"], there["rx_bytes"])
    for source, target in ((ours, theirs), (theirs, ours)):
        for address in (target.v4, target.v6):
            moved = tcp_transfer(source.namespace, target.namespace, address, size=4 << 20)
            assert moved.is_intact and moved.bytes == 4 << 20


@ROLES
def test_different_preshared_keys_make_no_tunnel(lab, ends):
    tunnel = Tunnel(lab, **ends, PresharedKey=preshared_key())
    for section in tunnel.gateway.peers.values():
        section["PresharedKey"] = preshared_key()
    tunnel.start()
    assert not ping(tunnel.router.namespace, tunnel.gateway.v4, count=3).received
    ours, theirs = _ours(tunnel)
    assert ours.peer_json(theirs)["handshakes"]["completed"] == 0


@ROLES
def test_they_follow_us_to_a_new_address(lab, ends):
    tunnel = Tunnel(lab, **ends).start()
    tunnel.wait_up()
    ours, theirs = _ours(tunnel)
    old = {"router": "10.99.1.1", "gateway": "10.99.1.2"}[ours.namespace.label]
    ours.namespace.ip("addr", "del", old + "/24", "dev", "w1")
    ours.namespace.ip("addr", "add", "10.99.1.77/24", "dev", "w1")
    _wait_answer(ours, theirs)
    assert theirs.wg_dump()[ours.keys.public]["endpoint"] == "10.99.1.77:51820"
    assert ping(theirs.namespace, ours.v4, count=5).received == 5


@ROLES
def test_we_follow_them_to_a_new_port(lab, ends):
    # a port: wireguard-go itself holds on to the source address that it lost
    tunnel = Tunnel(lab, **ends).start()
    tunnel.wait_up()
    ours, theirs = _ours(tunnel)
    theirs.wg("set", theirs.name, "listen-port", 51999)
    _wait_answer(theirs, ours)
    assert ours.peer_json(theirs)["endpoint"].endswith(":51999")
    assert ping(ours.namespace, theirs.v4, count=5).received == 5


def _wait_answer(source, target):
    """An end that hears nothing begins anew after 15 s. wireguard-go may need that: it has one
    state for both directions, and an answer that comes while it makes its own can leave its session
    with an index that it does not know itself."""
    wait_for(
        lambda: ping(source.namespace, target.v4, count=1, wait=1).received,
        30,
        f"an answer to {source.name}",
    )


@pytest.mark.parametrize("inside", ["v4", "v6"])
def test_our_rekeys_lose_no_packet_of_wireguard_go(lab, inside):
    def router(namespace, number):
        return Tunlite(namespace, number, RekeyAfter=5)

    tunnel = Tunnel(lab, router=router, gateway=WireguardGo).start()
    tunnel.wait_up()
    pings = [
        BackgroundPing(tunnel.router.namespace, getattr(tunnel.gateway, inside), interval=0.005),
        BackgroundPing(tunnel.gateway.namespace, getattr(tunnel.router, inside), interval=0.005),
    ]
    wait_for(
        lambda: tunnel.router.peer_json(tunnel.gateway)["handshakes"]["completed"] >= 3,
        30,
        "two rekeys",
    )
    for answer in (running.stop() for running in pings):
        assert answer.sent > 200 and answer.lost == 0


@ROLES
@pytest.mark.parametrize("victim", ["router", "gateway"])
def test_the_tunnel_is_back_after_a_kill_of_either(lab, ends, victim):
    tunnel = Tunnel(lab, **ends).start()
    tunnel.wait_up()
    killed = getattr(tunnel, victim)
    other = tunnel.gateway if victim == "router" else tunnel.router
    # an unclean end: the other side knows nothing of it
    killed.kill9()
    wait_for(lambda: killed.name not in killed.namespace.ip("-br", "link"), 5, "its link is gone")
    killed.forget()
    killed.start()
    assert other.process.is_running()
    tunnel.wait_up(40)


@pytest.mark.parametrize(
    "ends",
    [OURS_BEGINS, THEIRS_BEGINS, {"router": Tunlite, "gateway": Tunlite}],
    ids=["tunlite-and-wireguard-go", "wireguard-go-and-tunlite", "tunlite-and-tunlite"],
)
def test_initiations_that_cross_end_in_a_working_session(lab, ends):
    begun = []

    def watch(direction, datagram):
        if datagram[0] in (1, 2):
            begun.append((direction, datagram[0]))
        return [datagram]

    tunnel = RelayedTunnel(lab, **ends).start()
    tunnel.wait_up()  # the relay knows the way back
    router, gateway = tunnel.router, tunnel.gateway
    ways = {router: (gateway, None), gateway: (router, None)}
    for end, (other, _) in ways.items():
        ways[end] = (other, end.wg_dump()[other.keys.public]["endpoint"])
        end.wg("set", end.name, "peer", other.keys.public, "remove")
    tunnel.relay.watch = watch
    tunnel.relay.faults = Faults(delay=1)
    for end, (other, endpoint) in ways.items():
        # a keepalive makes each begin at once
        end.peers[other.keys.public].update(Endpoint=endpoint, PersistentKeepalive=25)
        end.wg_set_conf("addconf")
    wait_for(lambda: len(begun) >= 2, 5, "both have begun")
    assert set(begun[:2]) == {("in", 1), ("out", 1)}, "the initiations did not cross"
    tunnel.relay.faults = Faults()
    for source, target in ((router, gateway), (gateway, router)):
        _wait_answer(source, target)
    for source, target in ((router, gateway), (gateway, router)):
        assert ping(source.namespace, target.v4, count=20).received == 20
