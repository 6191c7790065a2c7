# SPDX-License-Identifier: MIT
"""The topologies that net tests draw from.

Tunnel        router ==w1== gateway                     two ends, one wire
RelayedTunnel router ==w1== middle ==w2== gateway       with a Relay in the middle
"""

from lab.netns import Lab, Namespace, WaitError, wait_for
from lab.peers import Keys, Tunlite, WireguardGo, preshared_key
from lab.relay import Faults, Relay
from lab.traffic import (
    BackgroundPing,
    BackgroundTransfer,
    Iperf3,
    Ping,
    iperf3,
    ping,
    tcp_transfer,
)

__all__ = [
    "BackgroundPing",
    "BackgroundTransfer",
    "Faults",
    "Iperf3",
    "Keys",
    "Lab",
    "Namespace",
    "Ping",
    "Relay",
    "RelayedTunnel",
    "Tunlite",
    "Tunnel",
    "WaitError",
    "WireguardGo",
    "endpoint",
    "iperf3",
    "ping",
    "preshared_key",
    "tcp_transfer",
    "wait_for",
]


def endpoint(address, port=51820):
    """An endpoint as configs have it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class _Ends:
    """Two named namespaces and what tests do with the peers in them."""

    router = gateway = None  # the peers: Tunlite or WireguardGo

    def start(self):
        """Starts both ends."""
        self.gateway.start()
        self.router.start()
        return self

    def ping(self, **kwargs):
        """Pings the gateway from the router on IPv4 and IPv6; both Pings."""
        source = self.router.namespace
        return ping(source, self.gateway.v4, **kwargs), ping(source, self.gateway.v6, **kwargs)

    def wait_up(self, timeout=15):
        """Waits until the router reaches the gateway through the tunnel."""
        source = self.router.namespace
        wait_for(
            lambda: ping(source, self.gateway.v4, count=1, wait=1).received,
            timeout,
            "an answer through the tunnel",
        )


class Tunnel(_Ends):
    """router ==w1== gateway. The router knows the gateway's endpoint, not the other way round.

    `router` and `gateway` are the classes of the ends, `family` (4 or 6) is that of the outside,
    options go to every [Peer] section (PresharedKey="...").
    """

    def __init__(self, lab, router=Tunlite, gateway=Tunlite, family=4, mtu=1500, **options):
        self.lab = lab
        left, right = lab.namespace("router"), lab.namespace("gateway")
        self.wire = lab.wire(left, right, mtu=mtu)
        self.router = router(left, 1)
        self.gateway = gateway(right, 2)
        far = self.wire[1]
        self.outside = far.v4 if family == 4 else far.v6
        self.router.add_peer(self.gateway, endpoint(self.outside), **options)
        self.gateway.add_peer(self.router, **options)


class RelayedTunnel(_Ends):
    """router ==w1== middle ==w2== gateway: every datagram passes `relay`."""

    def __init__(self, lab, router=Tunlite, gateway=Tunlite, faults=None, watch=None, **options):
        self.lab = lab
        left, middle, right = (lab.namespace(label) for label in ("router", "middle", "gateway"))
        self.near = lab.wire(left, middle, number=1)
        self.far = lab.wire(middle, right, number=2)
        self.router = router(left, 1)
        self.gateway = gateway(right, 2)
        target = (self.far[1].v4, self.gateway.port)
        self.relay = Relay(middle, target, faults=faults, watch=watch)
        lab.on_close(self.relay.close)
        self.router.add_peer(self.gateway, endpoint(self.near[1].v4, self.relay.port), **options)
        self.gateway.add_peer(self.router, **options)
