# SPDX-License-Identifier: MIT
"""Layer 2 between real daemons: ARP and ND, VLAN tags, bridges, parts, groups.

router ==w1== gateway                      Pair
router ==w1== gateway1, ==w2== gateway2    Two; each gateway's device is a port of the bridge `lan`
"""

import contextlib
import socket
import struct

import pytest

from lab.topology import Tunlite, endpoint, ping, tcp_transfer, wait_for

MODES = ("on", "authentic", "off")
_ETH_P_ALL = 3
_AUX_DATA, _PACKET = 8, 263  # PACKET_AUXDATA, SOL_PACKET
_VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6
_EXPERIMENT = 0x88B5  # IEEE 802's own for such
_GROUP = bytes.fromhex("ffffffffffff")

# Counts outer IP fragments; frames of the inside do not pass this hook.
_FRAGMENTS = """
table inet fragments {
chain out { type filter hook postrouting priority 300;
meta l4proto udp oifname "w1" ip frag-off & 0x3fff != 0 counter
meta l4proto udp oifname "w1" exthdr frag exists counter
}
}
"""
_ONLY_FROM = """
table inet only {}
delete table inet only
table inet only { chain in { type filter hook prerouting priority -300;
meta l4proto udp ip saddr %s drop
}
}
"""


def know(one, other, where=None, **options):
    """A peer of layer 2: no AllowedIPs."""
    one.add_peer(other, where, **options)
    del one.peers[other.keys.public]["AllowedIPs"]


def mac(end):
    return end.namespace.link(end.name)["address"]


def is_reached(end, address, **kwargs):
    return ping(end.namespace, address, count=1, wait=1, **kwargs).received


def wait_reached(end, address, timeout=15):
    wait_for(lambda: is_reached(end, address), timeout, f"an answer of {address}")


def carries(pair):
    """Whether 4 MB get through as they are."""
    ends = (pair.router.namespace, pair.gateway.namespace)
    return tcp_transfer(*ends, pair.gateway.v4, 4 << 20).is_intact


def counters(end):
    return end.show_json()["counters"]


class Pair:
    """router ==w1== gateway."""

    def __init__(self, lab, mtu=1500, **interface):
        left, right = lab.namespace("router"), lab.namespace("gateway")
        self.lab = lab
        self.wire = lab.wire(left, right, mtu=mtu)
        self.router = Tunlite(left, 1, Layer=2, **interface)
        self.gateway = Tunlite(right, 2, Layer=2, **interface)
        know(self.router, self.gateway, endpoint(self.wire[1].v4))
        know(self.gateway, self.router)

    def start(self):
        self.gateway.start()
        self.router.start()
        return self

    def up(self):
        self.start()
        wait_reached(self.router, self.gateway.v4)
        return self


# ---- frames ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_arp_and_neighbours_are_found_and_tcp_ends_with_the_right_bytes(lab, mode):
    pair = Pair(lab, Encryption=mode).up()
    for address in (pair.gateway.v4, pair.gateway.v6):
        assert ping(pair.router.namespace, address, count=3).received == 3
        neighbour = pair.router.namespace.ip("neigh", "show", address)
        assert mac(pair.gateway) in neighbour
    assert carries(pair)
    row = pair.router.peer_json(pair.gateway)
    assert row["encryption"] == mode and row["layer"] == 2
    drops = pair.gateway.drops()
    assert not set(drops) & {"wrong_mode", "not_authentic", "received_bad_frame"}, drops


@contextlib.contextmanager
def packet_socket(end):
    """Of the frames at a daemon's device, as they are; tags that the kernel takes off beside."""

    def make():
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        found.bind((end.name, _ETH_P_ALL))
        found.setsockopt(_PACKET, _AUX_DATA, 1)
        found.settimeout(0.5)
        return found

    made = end.namespace.inside(make)
    try:
        yield made
    finally:
        made.close()


def whole(data, ancillary):
    """The frame with the outer tag that the kernel has put beside it."""
    for level, kind, value in ancillary:
        if (level, kind) == (_PACKET, _AUX_DATA):
            status, *_, tag, protocol = struct.unpack_from("<IIIHHHH", value)
            if status & _VLAN_VALID:
                protocol = protocol if status & _TPID_VALID else 0x8100
                return data[:12] + struct.pack("!HH", protocol, tag) + data[12:]
    return data


def frames_at(sock, wanted, seconds=5):
    """Whether this frame comes."""

    def seen():
        try:
            data, ancillary, _, _ = sock.recvmsg(70_000, 256)
        except TimeoutError:
            return False
        return whole(data, ancillary) == wanted

    return wait_for(seen, seconds, f"a frame of {len(wanted)} bytes")


def test_frames_with_tags_and_of_any_length_arrive_as_they_were_sent(lab):
    pair = Pair(lab).up()
    source = bytes.fromhex(mac(pair.router).replace(":", ""))
    target = bytes.fromhex(mac(pair.gateway).replace(":", ""))
    tags = (b"", b"\x81\0\0\7", b"\x88\xa8\0\x05\x81\0\x0f\xff")
    with packet_socket(pair.router) as near, packet_socket(pair.gateway) as far:
        for number, (tag, size) in enumerate(
            (tag, size) for tag in tags for size in (2, 28, 46, 1000, 1486, 1500)
        ):
            for to in (target, _GROUP):
                # A packet socket takes one tag of 802.1Q beyond the MTU, and nothing else.
                body = (bytes([number, to[0]]) * 750)[: size if len(tag) < 8 else min(size, 1492)]
                frame = to + source + tag + struct.pack("!H", _EXPERIMENT) + body
                near.send(frame)
                assert frames_at(far, frame)


def test_frames_longer_than_the_way_go_in_parts_and_no_fragment_leaves(lab):
    pair = Pair(lab, mtu=1400)
    for end in (pair.router, pair.gateway):
        end.namespace.nft(_FRAGMENTS)
    pair.up()
    found = ping(pair.router.namespace, pair.gateway.v4, count=20, interval=0.05, size=1472)
    assert found.received == 20
    assert carries(pair)
    assert counters(pair.router)["parts_sent"] > 40
    assert counters(pair.gateway)["frames_joined"] > 20
    for end in (pair.router, pair.gateway):
        rules = end.namespace.run(["nft", "list", "table", "inet", "fragments"]).stdout
        assert rules.count("counter packets 0 bytes 0") == 2, rules


def test_path_mtu_is_what_the_file_says_and_a_reload_takes_another(lab):
    pair = Pair(lab, PathMTU=1300).up()
    row = pair.router.peer_json(pair.gateway)
    assert (row["path_mtu"], row["path_mtu_why"]) == (1300, "PathMTU")
    assert ping(pair.router.namespace, pair.gateway.v4, count=2, size=1472).received == 2
    assert counters(pair.router)["parts_sent"] >= 4
    pair.router.interface["PathMTU"] = 1350
    pair.router.reload()
    wait_for(
        lambda: pair.router.peer_json(pair.gateway)["path_mtu"] == 1350, 10, "another path MTU"
    )


# ---- addresses of a host ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_who_has_several_addresses_answers_from_the_one_that_was_asked(lab, mode):
    pair = Pair(lab, Encryption=mode)
    places = [pair.wire[1].v4, "10.99.1.22"]
    pair.wire[1].namespace.ip("addr", "add", places[1] + "/24", "dev", "w1")
    pair.start()
    for asked, other in (places[::-1], places):
        pair.router.namespace.nft(_ONLY_FROM % other)
        key = pair.gateway.keys.public
        pair.router.wg("set", pair.router.name, "peer", key, "endpoint", endpoint(asked))
        wait_reached(pair.router, pair.gateway.v4)
        assert ping(pair.router.namespace, pair.gateway.v4, count=5).received == 5
        assert pair.router.peer_json(pair.gateway)["endpoint"] == endpoint(asked)


# ---- bridges ---------------------------------------------------------------------------------


def lan(lab, *gateways):
    """A namespace with a bridge, 10.77.0.9, that has a wire to a bridge of each gateway's."""
    found = lab.namespace("lan")
    found.ip("link", "add", "br0", "type", "bridge")
    for number, gateway in enumerate(gateways, 5):
        wire = f"w{number}"
        lab.wire(gateway.namespace, found, number)
        found.ip("link", "set", wire, "master", "br0")
        gateway.namespace.ip("link", "add", "br0", "type", "bridge")
        gateway.namespace.ip("link", "set", wire, "master", "br0")
        gateway.namespace.ip("link", "set", gateway.name, "master", "br0")
        gateway.namespace.ip("link", "set", "br0", "up")
    found.ip("addr", "add", "10.77.0.9/16", "dev", "br0")
    found.ip("link", "set", "br0", "up")
    return found


def test_what_is_behind_a_bridge_is_reached_and_stands_in_the_table(lab):
    pair = Pair(lab).up()
    behind = lan(lab, pair.gateway)
    wait_reached(pair.router, "10.77.0.9")
    assert ping(behind, pair.router.v4, count=2).received == 2
    there = behind.link("br0")["address"]
    row = {row["mac"]: row for row in pair.router.show_json()["address_table"]}[there]
    assert row["peer"] == pair.gateway.keys.public and row["how"] == "learned"
    assert there in pair.router.cli("show", pair.router.name).stdout


def test_a_pinned_address_is_taken_from_nobody_else(lab):
    pair = Pair(lab)
    know(pair.router, Tunlite(lab.namespace("other"), 3), MACs="02:00:00:00:00:09")
    pair.up()
    behind = lan(lab, pair.gateway)
    wait_reached(pair.router, "10.77.0.9")
    behind.ip("link", "set", "br0", "address", "02:00:00:00:00:09")
    pair.router.namespace.ip("neigh", "flush", "all")
    assert ping(behind, pair.router.v4, count=3, wait=2).received == 0
    assert pair.router.drops()["source_not_allowed"] > 0


class Two:
    """router ==w1== gateway1, ==w2== gateway2."""

    def __init__(self, lab, group=None, **interface):
        self.lab = lab
        near = lab.namespace("router")
        self.router = Tunlite(near, 1, Layer=2, **interface)
        self.gateways = []
        for number in (1, 2):
            far = lab.namespace(f"gateway{number}")
            wire = lab.wire(near, far, number)
            gateway = Tunlite(far, 10 + number, Layer=2)
            know(gateway, self.router, endpoint(wire[0].v4))
            know(self.router, gateway, endpoint(wire[1].v4), **({"Group": "g"} if group else {}))
            self.gateways.append(gateway)
        if group:
            self.router.groups.append({"Name": "g", **group})

    def start(self):
        for end in (*self.gateways, self.router):
            end.start()
        return self


@pytest.mark.parametrize("forward", ["off", "on"])
def test_peers_reach_each_other_through_the_one_in_between_where_it_forwards(lab, forward):
    two = Two(lab, ForwardPeers=forward).start()
    first, second = two.gateways
    for gateway in two.gateways:
        wait_reached(two.router, gateway.v4)
    if forward == "on":
        wait_reached(first, second.v4)
        assert ping(first.namespace, second.v6, count=3).received == 3
        assert counters(two.router)["forwarded"] > 0
    else:
        assert ping(first.namespace, second.v4, count=3, wait=1).received == 0


# ---- groups ----------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["killed", "use"])
def test_a_group_s_frames_go_by_the_other_gateway(lab, why):
    group = {"Limit": 1, "Choose": "order", "FailAfter": 2}
    two = Two(lab, group).start()
    lan(lab, *two.gateways)
    wait_reached(two.router, "10.77.0.9")
    first, second = two.gateways
    assert [two.router.peer_json(gateway)["standby"] for gateway in two.gateways] == [False, True]
    if why == "killed":
        first.kill9()
    else:
        two.router.cli("use", two.router.name, second.keys.public)
    wait_for(lambda: two.router.peer_json(first)["standby"], 20, "another gateway is used")
    wait_reached(two.router, "10.77.0.9", 10)
    (shown,) = two.router.show_json()["groups"]
    assert shown["used"] == second.keys.public and shown["probed_by"] == "echo"


# ---- loops -----------------------------------------------------------------------------------


def test_a_default_route_by_a_bridge_above_the_device_is_no_way_to_the_gateway(lab):
    pair = Pair(lab)
    far = lab.namespace("far")
    lab.wire(pair.gateway.namespace, far, 3)
    pair.gateway.namespace.sysctl("net/ipv4/ip_forward", 1)
    router = pair.router.namespace
    router.ip("route", "add", "default", "via", pair.wire[1].v4)
    pair.router.peers[pair.gateway.keys.public]["Endpoint"] = endpoint("10.99.3.1")
    pair.up()
    router.ip("link", "add", "br0", "type", "bridge")
    router.ip("link", "set", pair.router.name, "master", "br0")
    router.ip("addr", "flush", "dev", pair.router.name)
    router.ip("addr", "add", pair.router.v4 + "/16", "dev", "br0")
    router.ip("link", "set", "br0", "up")
    wait_reached(pair.router, pair.gateway.v4)
    router.ip("route", "replace", "default", "via", pair.gateway.v4, "dev", "br0")
    wait_for(lambda: "is routed into" in pair.router.process.log(), 20, "the way is refused")
    before = counters(pair.router)["socket_written"]
    assert not is_reached(pair.router, pair.gateway.v4)
    assert counters(pair.router)["socket_written"] - before < 5
    router.ip("route", "replace", "default", "via", pair.wire[1].v4)
    wait_reached(pair.router, pair.gateway.v4, 30)
