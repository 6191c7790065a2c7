# SPDX-License-Identifier: MIT
"""Two uplinks with source checks; the default route moves and both addresses stay.

        ==w1==
mover          provider ==w3== far
        ==w2==
"""

import pytest

from lab.topology import BackgroundPing, Tunlite, WireguardGo, endpoint, ping, wait_for
from tests.net.test_layer2 import know


class _Uplinks:
    """A mover whose default route is by w1, and a far end that the provider routes to."""

    def __init__(self, lab, far, family, **interface):
        self.family = family
        mover, provider, end = (lab.namespace(name) for name in ("mover", "provider", "far"))
        self.first = lab.wire(mover, provider, number=1)
        self.second = lab.wire(mover, provider, number=2)
        self.third = lab.wire(end, provider, number=3)
        provider.sysctl("net/ipv4/ip_forward", 1)
        provider.sysctl("net/ipv6/conf/all/forwarding", 1)
        provider.nft(
            "table inet f { chain p { type filter hook prerouting priority -300; "
            "iifname w1 ip saddr != 10.99.1.0/24 drop; iifname w2 ip saddr != 10.99.2.0/24 drop; "
            "iifname w1 ip6 saddr fd99:2::/64 drop; iifname w2 ip6 saddr fd99:1::/64 drop; }; }"
        )
        self.mover = Tunlite(mover, 1, **interface)
        self.far = far(end, 2, **interface)
        meets = know if interface else Tunlite.add_peer
        outside = self.address(self.third[0])
        self.route("add", self.first[1], 100)
        for flag in ("-4", "-6"):
            gate = self.third[1].v4 if flag == "-4" else self.third[1].v6
            end.ip(flag, "route", "add", "default", "via", gate)
        meets(self.mover, self.far, endpoint(outside))
        self.far.add_peer(self.mover) if far is WireguardGo else meets(self.far, self.mover)
        self.far.start()
        self.mover.start()
        wait_for(self.answered, 20, "an answer by the first uplink")

    def address(self, end):
        return end.v4 if self.family == 4 else end.v6

    def route(self, verb, gate, metric):
        self.mover.namespace.ip(
            *(f"-{self.family}", "route", verb, "default"),
            *("via", self.address(gate), "metric", metric),
        )

    def answered(self):
        return ping(self.mover.namespace, self.far.v4, count=1, wait=0.5).received

    def move(self, old, new):
        """The default route goes to the other uplink, and the tunnel with it, before anything of
        it times out (15 s)."""
        self.route("add", new, 50)
        self.route("del", old, 100)
        wait_for(self.answered, 8, "an answer by the other uplink")
        self.route("add", new, 100)
        self.route("del", new, 50)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("far", [Tunlite, WireguardGo])
def test_the_source_is_forgotten_when_the_default_route_moves(lab, far, family):
    uplinks = _Uplinks(lab, far, family)
    uplinks.move(uplinks.first[1], uplinks.second[1])
    uplinks.move(uplinks.second[1], uplinks.first[1])


@pytest.mark.parametrize("family, mode", [(4, "off"), (6, "authentic")])
def test_frames_of_each_mode_follow_the_default_route_and_leave_with_its_source(lab, family, mode):
    uplinks = _Uplinks(lab, Tunlite, family, Layer=2, Encryption=mode)
    uplinks.move(uplinks.first[1], uplinks.second[1])
    uplinks.move(uplinks.second[1], uplinks.first[1])


@pytest.mark.parametrize("family", [4, 6])
def test_the_old_uplink_that_still_delivers_does_not_bring_the_old_source_back(lab, family):
    uplinks = _Uplinks(lab, Tunlite, family)
    stream = BackgroundPing(uplinks.far.namespace, uplinks.mover.v4)
    stream.wait_replies(10)
    uplinks.move(uplinks.first[1], uplinks.second[1])
    stream.wait_replies(20)


def test_an_uplink_that_goes_down_takes_its_source_along(lab):
    """The kernel tells of no IPv4 route that went with its link."""
    uplinks = _Uplinks(lab, Tunlite, 4)
    uplinks.route("add", uplinks.second[1], 200)
    uplinks.mover.namespace.ip("link", "set", "w1", "down")
    wait_for(uplinks.answered, 8, "an answer by the other uplink")
