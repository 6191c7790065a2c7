# SPDX-License-Identifier: MIT
"""A connection to an address inside that nobody has fails at once.

host ==w1== router
"""

import errno

import pytest

from lab.peers import Tunlite

NOBODY = {4: "10.77.9.9", 6: "fd77::909"}


def _connect(address):
    import socket

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(20)
    try:
        sock.connect((address, 80))
    except OSError as e:
        return e.errno  # None of a timeout
    return 0


@pytest.fixture
def router(lab):
    """Its only peer has an address inside and none outside."""
    router = Tunlite(lab.namespace("router"), 1)
    router.add_peer(Tunlite(lab.namespace("silent"), 2))
    for scope in ("all", "default"):
        router.namespace.sysctl(f"net/ipv4/conf/{scope}/rp_filter", 1)
    return router.start()


@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_to_nobody_or_to_a_peer_without_an_address_fails_at_once(router, family):
    for address in (NOBODY[family], {4: "10.77.0.2", 6: "fd77::2"}[family]):
        assert router.namespace.inside(_connect, address) == errno.EHOSTUNREACH
    drops = router.drops()
    assert drops["no_route"] and drops["no_endpoint"]


@pytest.mark.parametrize("family", [4, 6])
def test_a_host_behind_the_router_is_told_too(lab, router, family):
    host = lab.namespace("host")
    near = lab.wire(host, router.namespace)[1]
    router.namespace.sysctl("net/ipv4/ip_forward", 1)
    router.namespace.sysctl("net/ipv6/conf/all/forwarding", 1)
    host.ip("route", "add", "10.77.0.0/16", "via", near.v4)
    host.ip("route", "add", "fd77::/64", "via", near.v6)
    assert host.inside(_connect, NOBODY[family]) == errno.EHOSTUNREACH
