# SPDX-License-Identifier: MIT
"""Congestion marks cross the tunnel both ways (RFC 6040).

router ==w1== gateway; nftables on the wire sets and looks at marks.
"""

import re

import pytest

from lab.topology import Tunnel, ping

_NAMES = {0: "not-ect", 1: "ect1", 2: "ect0", 3: "ce"}


def _counter(namespace):
    text = namespace.run(["nft", "list", "ruleset"]).stdout
    return int(re.search(r"counter packets (\d+)", text)[1])


@pytest.mark.parametrize("family", ["ip", "ip6"])
@pytest.mark.parametrize("mark", [0, 1, 2, 3])
def test_the_outer_packet_carries_the_inner_mark(lab, family, mark):
    tunnel = Tunnel(lab, family=6 if family == "ip6" else 4).start()
    tunnel.wait_up()
    tunnel.gateway.namespace.nft(
        "table inet t { chain i { type filter hook input priority 0; "
        f"iifname w1 udp dport 51820 {family} ecn {_NAMES[mark]} counter; }}; }}"
    )
    before = _counter(tunnel.gateway.namespace)
    ping(tunnel.router.namespace, tunnel.gateway.v4, count=5, tos=mark)
    assert _counter(tunnel.gateway.namespace) - before >= 5


@pytest.mark.parametrize("inner", [1, 2])
def test_a_congestion_mark_on_the_way_reaches_the_inner_packet(lab, inner):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    tunnel.router.namespace.nft(
        "table inet m { chain o { type route hook output priority 0; "
        "oifname w1 udp dport 51820 ip ecn != not-ect ip ecn set ce; }; }"
    )
    tunnel.gateway.namespace.nft(
        "table inet t { chain i { type filter hook input priority 0; "
        f"iifname {tunnel.gateway.name} icmp type echo-request ip ecn ce counter; }}; }}"
    )
    answer = ping(tunnel.router.namespace, tunnel.gateway.v4, count=5, tos=inner)
    assert answer.received == 5
    assert _counter(tunnel.gateway.namespace) == 5


def test_a_congestion_mark_on_a_packet_that_is_not_capable_is_delivered_and_counted(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    tunnel.router.namespace.nft(
        "table inet m { chain o { type route hook output priority 0; "
        "oifname w1 udp dport 51820 ip ecn set ce; }; }"
    )
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=5).received == 5
    assert tunnel.gateway.show_json()["counters"]["ecn_ce_not_ect"] >= 5
