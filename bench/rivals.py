# SPDX-License-Identifier: MIT
"""Who is compared by how soon a router is back: tunlite's group, fastd's, wgpeerselector's rule.

Each puts its daemons on the namespaces of lab.star: start(star, endpoints), `endpoints` being those
of the gateways as a configuration has them, and `prefix` the words before a router's command.
`data` is the first byte of its datagrams that carry packets, `patience_s` how long it is waited
for, and `runs` how often it is measured.
"""

import signal
import sys
from pathlib import Path

from bench.contenders import End, Fastd
from lab import members
from lab.peers import WireguardGo
from lab.star import ROUTER

_SELECTOR = Path(__file__).with_name("peer_selector.py")
_MAC = "02:00:00:00:00:01"


class TunliteGroup:
    """A group with `Limit = 1`; the words are options of [Group]."""

    data = 4
    patience_s = 60

    def __init__(self, name, runs, command=None, **group):
        self.name = name
        self.runs = runs
        self._command = command
        self._group = group

    def start(self, star, endpoints, prefix=()):
        """Gateways, then the router."""
        router = members.join(star, **self._group)
        for section, reached in zip(router.peers.values(), endpoints, strict=True):
            section["Endpoint"] = reached
        for daemon in (router, *(spot.daemon for spot in star.spots)):
            daemon.command = list(self._command or daemon.command)
        router.command = [*prefix, *router.command]
        members.run(star, router)


class _WireguardGo(WireguardGo):
    """One that can be killed and started again."""

    def kill9(self):
        """As a crash, without the socket that would stop the next."""
        super().kill9()
        self.forget()


class PeerSelector:
    """wireguard-go everywhere, and bench/peer_selector.py at the router."""

    name = "wgpeerselector's rule"
    data = 4
    patience_s = 200

    def __init__(self, runs):
        self.runs = runs

    def start(self, star, endpoints, prefix=()):
        """Gateways, then the router and its script."""
        router = _WireguardGo(star.router, ROUTER)
        lines = []
        for spot, reached in zip(star.spots, endpoints, strict=True):
            spot.daemon = _WireguardGo(spot.namespace, spot.number)
            spot.daemon.add_peer(router)
            spot.daemon.start()
            lines.append(f"{spot.daemon.keys.public} {reached}\n")
        router.start()
        listed = star.lab.folder / "gateways"
        listed.write_text("".join(lines), encoding="ascii")
        argv = [*prefix, sys.executable, _SELECTOR, router.name]
        with open(listed, encoding="ascii") as lines:
            star.router.start(argv, "selector", stdin=lines)


class _Tap:
    """A fastd that makes a TAP, and what its configuration's script would do with it."""

    def __init__(self, end, argv, mac=None):
        self._end, self._argv, self._mac = end, argv, mac
        self._process = None

    def start(self):
        """Runs it."""
        end = self._end
        self._process = end.namespace.start(self._argv, end.name)
        end.wait_link(self._process)
        if self._mac:
            end.namespace.ip("link", "set", end.name, "address", self._mac)
        for address in (end.v4 + "/16", f"fd77::{end.number:x}/64"):
            end.namespace.ip("addr", "add", address, "dev", end.name)
        end.namespace.ip("link", "set", end.name, "up")

    def pids(self):
        """Its process."""
        return [self._process.pid]

    def kill9(self):
        """As a crash."""
        self._process.stop(signal.SIGKILL)


class FastdGroup:
    """Debian's fastd; the gateways in a peer group with `peer limit 1`, as Gluon has it.

    On a TAP, as in a mesh, and the gateways' have one MAC address, so that the router's neighbour
    table, which is not fastd's, costs nothing.
    """

    name = "fastd"
    data = 0
    patience_s = 200

    def __init__(self, runs):
        self.runs = runs

    def start(self, star, endpoints, prefix=()):
        """Gateways, then the router."""
        maker = Fastd("salsa2012+umac")
        router = End(star.router, ROUTER)
        ends = [End(spot.namespace, spot.number) for spot in star.spots]
        for end in (router, *ends):
            end.folder.mkdir(mode=0o700)
            maker.make_key(end)
        peers = ""
        for spot, end, reached in zip(star.spots, ends, endpoints, strict=True):
            argv = _configure(end, f'peer "router" {{ key "{router.key[1]}"; }}')
            spot.daemon = _Tap(end, argv, _MAC)
            spot.daemon.start()
            peers += f'peer "gw{end.number}" {{ key "{end.key[1]}"; remote {_remote(reached)}; }}\n'
        argv = _configure(router, f'peer group "gateways" {{ peer limit 1; {peers} }}')
        _Tap(router, [*prefix, *argv]).start()


def _remote(endpoint):
    """fastd's word for an endpoint: host names stand in quotes and have a port of their own."""
    host, port = endpoint.rsplit(":", 1)
    return endpoint if host.replace(".", "").isdigit() else f'"{host}" port {port}'


def _configure(end, peers):
    text = f"""
        mode tap; interface "{end.name}"; bind 0.0.0.0:51820; mtu 1406;
        method "salsa2012+umac"; secret "{end.key[0]}"; log level verbose;
        {peers}
    """
    conf = end.folder / "fastd.conf"
    conf.write_text(text, encoding="ascii")
    return ["fastd", "--config", conf]
