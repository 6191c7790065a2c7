# SPDX-License-Identifier: MIT
"""A router before some gateways, and what can happen to them and to the ways there.

                        ==w1== gateway1 ==w11==
    router ==w9== way   ==w2== gateway2 ==w12==   behind
                        ==w3== gateway3 ==w13==

Every gateway answers at COMMON4 and COMMON6 inside, whichever of them is used. `behind` is a host
at BEHIND whose answers leave by the gateway that the question came by last, as a routing daemon
would see to; by it gateways reach each other's own addresses.
"""

import os
import signal

COMMON4, COMMON6 = "10.77.0.1", "fd77::1"
BEHIND = "10.70.0.1"
ROUTER = 2  # its number: the host part of its addresses inside
FIRST = 100  # a gateway's is this and which one it is

_UPLINK = 9
_INSIDE = 10  # added to a gateway's wire: the one to what is behind


def _drop(namespace, name, hook, matches):
    """From now on `hook` drops what any of `matches` (nftables) describes; none: nothing."""
    rules = "".join(f"{match} counter drop\n" for match in matches)
    chain = f"chain c {{ type filter hook {hook} priority 0;\n{rules}}}\n"
    table = f"table inet {name}"
    namespace.nft(f"{table} {{ }}\ndelete {table}\n{table} {{\n{chain}}}\n")


class Spot:
    """Where gateway `index` (from 1 on) stands; `daemon` is what answers to pids() and kill9()."""

    def __init__(self, lab, way, index):
        self.number = FIRST + index
        self.namespace = lab.namespace(f"gateway{index}")
        self.near, self.far = lab.wire(way, self.namespace, number=index)
        self.daemon = None
        for flag, gate in (("-4", self.near.v4), ("-6", self.near.v6)):
            self.namespace.ip(flag, "route", "add", "default", "via", gate)
        for address in (COMMON4 + "/32", COMMON6 + "/128"):
            self.namespace.ip("addr", "add", address, "dev", "lo")

    def kill(self):
        """The daemon ends without a word."""
        self.daemon.kill9()

    def freeze(self, signum=signal.SIGSTOP):
        """The daemon stands still; its sockets go on taking what comes."""
        for pid in self.daemon.pids():
            os.kill(pid, signum)

    def thaw(self):
        """It goes on."""
        self.freeze(signal.SIGCONT)

    def cut(self):
        """The cable to it is cut."""
        self._cable("down")

    def mend(self):
        """The cable is whole again."""
        self._cable("up")

    def _cable(self, state):
        self.near.namespace.ip("link", "set", self.near.name, state)

    def black_hole(self, to=True, back=True):
        """What is sent to it, or by it, is lost on the way, and nobody is told."""
        self._on_the_way([end for end, on in (("daddr", to), ("saddr", back)) if on])

    def lose_kind(self, kind):
        """Datagrams to it and by it whose first byte is `kind` are lost on the way."""
        self._on_the_way(["daddr", "saddr"], f"meta l4proto udp @th,64,8 {kind}")

    def _on_the_way(self, ends, what=""):
        far = self.far
        matches = [f"{word} {what}" for end in ends for word in _of(end, far)]
        _drop(self.near.namespace, f"s{self.number}", "forward", matches)

    def drop_inside(self, what):
        """Of what comes out of its tunnel, `what` (as nftables has it) is lost."""
        cables = 'iifname != "lo" iifname != "w*"'
        _drop(self.namespace, "inside", "input", [f"{cables} {what}"])

    def clear(self):
        """Nothing is dropped any more."""
        self._on_the_way([])
        _drop(self.namespace, "inside", "input", [])


def _of(end, wire):
    """nftables: datagrams with this address at this end, in both families."""
    return f"ip {end} {wire.v4}", f"ip6 {end} {wire.v6}"


class Star:
    """The namespaces, without daemons: `router`, `way`, `behind` and the gateways' `spots`."""

    def __init__(self, lab, count=2):
        self.lab = lab
        self.router, self.way = lab.namespace("router"), lab.namespace("way")
        self.home, self._gate = lab.wire(self.router, self.way, number=_UPLINK)
        self.way.sysctl("net/ipv4/ip_forward", 1)
        self.way.sysctl("net/ipv6/conf/all/forwarding", 1)
        self.spots = [Spot(lab, self.way, index) for index in range(1, count + 1)]
        self.behind = None
        for end in (self.home, *(spot.near for spot in self.spots)):
            # IPv6 addresses outlive a pulled cable as IPv4's do.
            end.namespace.sysctl(f"net/ipv6/conf/{end.name}/keep_addr_on_down", 1)
        self._routes()

    def _routes(self):
        for flag, gate in (("-4", self._gate.v4), ("-6", self._gate.v6)):
            self.router.ip(flag, "route", "replace", "default", "via", gate)

    def uplink_away(self):
        """The router's own cable is pulled."""
        self.router.ip("link", "set", self.home.name, "down")

    def uplink_back(self):
        """It is plugged in, and the router has its default routes again."""
        self.router.ip("link", "set", self.home.name, "up")
        self._routes()

    def lose(self, percent):
        """So many of all datagrams are lost, each way."""
        matches = [f"numgen random mod 100 < {percent}"] if percent else []
        _drop(self.way, "lossy", "forward", matches)

    def connect_inside(self):
        """Lays `behind`."""
        self.behind = self.lab.namespace("behind")
        self.behind.ip("addr", "add", BEHIND + "/32", "dev", "lo")
        self.behind.sysctl("net/ipv4/ip_forward", 1)
        learn = []
        for index, spot in enumerate(self.spots, start=1):
            mine, theirs = self.lab.wire(self.behind, spot.namespace, number=_INSIDE + index)
            spot.namespace.sysctl("net/ipv4/ip_forward", 1)
            spot.namespace.ip("route", "add", BEHIND + "/32", "via", mine.v4)
            for other in self.spots:
                if other is not spot:
                    address = inside(other.number)
                    spot.namespace.ip("route", "add", address + "/32", "via", mine.v4)
            self.behind.ip("route", "add", inside(spot.number) + "/32", "via", theirs.v4)
            self.behind.ip("route", "add", "10.77.0.0/16", "via", theirs.v4, "table", index)
            self.behind.ip("rule", "add", "fwmark", index, "table", index)
            learn.append(f'iifname "{mine.name}" ct mark set {index}')
        # Without some route the kernel gives an answer up before it is marked.
        self.behind.ip("route", "add", "10.77.0.0/16", "via", theirs.v4)
        self.behind.nft(
            "table ip back {\n"
            f"chain in {{ type filter hook input priority 0;\n{chr(10).join(learn)}\n}}\n"
            "chain out { type route hook output priority 0; meta mark set ct mark; }\n}"
        )


def inside(number):
    """The IPv4 address inside that lab.peers gives to this number."""
    return f"10.77.{number >> 8}.{number & 255}"
