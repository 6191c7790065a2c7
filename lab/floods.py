# SPDX-License-Identifier: MIT
"""Forged initiations for tests, and what passes on the wire meanwhile.

router ==w1== middle (relay, attacker) ==w2== gateway
"""

import re
import sys
from pathlib import Path

from lab.topology import RelayedTunnel, wait_for

_FLOOD = Path(__file__).with_name("flood.py")
_SOURCES = "10.98"  # the /16 that forged datagrams come from


def open_to_forged_sources(namespace, gateway, interface="w1"):
    """Answers to forged sources leave for `gateway` (an address), where nobody takes them."""
    namespace.ip("route", "add", _SOURCES + ".0.0/16", "via", gateway)
    for scope in ("all", interface):
        namespace.sysctl(f"net/ipv4/conf/{scope}/rp_filter", 0)


def flood(source, target, address, count, rate):
    """Starts a flood from the namespace `source` on the peer `target`, reached at `address`."""
    argv = [sys.executable, _FLOOD, address, target.port, target.keys.public]
    running = source.start([*argv, _SOURCES, count, rate], f"flood-{address}")
    running.wait_line("flooding")
    return running


# cookie replies to forged sources, as they come back from each end
_COUNT_COOKIES = """
table ip t { chain p { type filter hook prerouting priority 0;
    ip daddr 10.98.0.0/16 udp length 72 iifname w1 counter
    ip daddr 10.98.0.0/16 udp length 72 iifname w2 counter
}; }
"""


class Tap:
    """A relay's `watch`: counts cookie replies, and handshake messages that carry a mac2.

    An end under load asks for a cookie at nearly every time, not at every time: between a second of
    load and the flood's next burst it takes what comes. So that one such moment does not end the
    search for a cookie, a handshake is not let through to its end before every end in `sought`
    ("router", "gateway") has been sent a mac2.
    """

    def __init__(self):
        self.sought = ()
        self.cookies = {"router": 0, "gateway": 0}  # sent by this end
        self.proved = {"router": 0, "gateway": 0}  # sent to this end

    def __call__(self, direction, datagram):
        source, target = ("router", "gateway") if direction == "in" else ("gateway", "router")
        kind = datagram[0] if datagram else 0
        if kind == 3:
            self.cookies[source] += 1
        elif kind in (1, 2) and any(datagram[-16:]):
            self.proved[target] += 1
        if kind == 2 and self._is_sought("gateway"):
            return []
        if kind == 4 and (self._is_sought("gateway") or self._is_sought("router")):
            return []
        return [datagram]

    def _is_sought(self, label):
        return label in self.sought and not self.proved[label]


class FloodedTunnel(RelayedTunnel):
    """Both ends are open to forged sources in the middle; flood_ends() names who is flooded."""

    def __init__(self, lab, **kinds):
        self.tap = Tap()
        super().__init__(lab, watch=self.tap, **kinds)
        self.attacker = self.near[1].namespace
        open_to_forged_sources(self.router.namespace, self.near[1].v4, "w1")
        open_to_forged_sources(self.gateway.namespace, self.far[0].v4, "w2")
        self.attacker.nft(_COUNT_COOKIES)

    def flood_ends(self, *labels, rate=6000):
        """Starts two minutes' flood on "router", "gateway" or both; the processes."""
        ends = {
            "router": (self.router, self.near[0].v4),
            "gateway": (self.gateway, self.far[1].v4),
        }
        return [flood(self.attacker, *ends[label], count=120 * rate, rate=rate) for label in labels]

    def cookies_sent(self, label):
        """How many cookie replies an end has sent to forged sources."""
        rules = self.attacker.run(["nft", "list", "ruleset"]).stdout
        interface = {"router": "w1", "gateway": "w2"}[label]
        return int(re.search(f'"{interface}" counter packets (\\d+)', rules)[1])

    def wait_load(self, label, timeout=15):
        """Waits until an end answers the flood by cookies."""
        wait_for(lambda: self.cookies_sent(label), timeout, f"the {label} is under load")

    def knock(self):
        """A packet of the router's for the gateway: a reason for a handshake."""
        with self.router.namespace.udp_socket(self.router.v4) as sock:
            sock.sendto(b"", (self.gateway.v4, 9))

    def wait_cookie(self, flooded, timeout=90):
        """Waits until the flooded end's cookie has come and a message with mac2 has gone there."""

        def is_followed():
            self.knock()
            return self.tap.cookies[flooded] and self.tap.proved[flooded]

        wait_for(is_followed, timeout, f"a cookie of the {flooded} is followed")
