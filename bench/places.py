# SPDX-License-Identifier: MIT
"""Where a contender runs: between two namespaces and one cable, or on something like a real host.

    plain       router ==w1== gateway
    realistic   router ==w1== relay ==w2== gateway, with rules and a filter on both hosts

lay(lab) gives a Laid. Both ends are in one subnet, whatever is between them.
"""

import re

from bench import builds

DELAY_MS = 10  # each way
RULES = 8
FILTERS = 200
_RELAY_FIRST = -10  # nice: what a cable does must not wait for who uses it
_WINDOW = "4096 131072 67108864"  # bytes: 20 ms at 10 Gbit/s are 25 MB


class Laid:
    """Two namespaces, the right one's outside address, and what is between them."""

    def __init__(self, left, right, address, relay=None):
        self.left = left
        self.right = right
        self.address = address
        self._relay = relay

    def relayed(self):
        """Ends the relay; {"frames": ..., "lost": ...}, or {} where there is none."""
        if not self._relay:
            return {}
        self._relay.stop()
        numbers = re.search(r"passed (\d+) lost (\d+) before (\d+)", self._relay.log())
        passed, full, before = map(int, numbers.groups())
        return {"frames": passed, "lost": full + before}


class Plain:
    """One veth pair."""

    name = "plain"
    without = ()

    def lay(self, lab):
        """Two namespaces and the cable."""
        left, right = lab.namespace("router"), lab.namespace("gateway")
        return Laid(left, right, lab.wire(left, right)[1].v4)


def filter_rules():
    """nftables text: a set, and a chain of FILTERS rules that every packet in and out passes."""
    listed = ", ".join(f"198.18.{n}.0/24" for n in range(FILTERS))
    rules = "\n".join(
        f"ip saddr 198.19.{n}.0/24 tcp dport {1000 + n} counter drop" for n in range(FILTERS - 1)
    )
    hooks = "\n".join(
        f"chain {hook} {{ type filter hook {hook} priority 0; policy accept; jump long; }}"
        for hook in ("input", "output")
    )
    return f"""table inet bench {{
        set listed {{ type ipv4_addr; flags interval; elements = {{ {listed} }} }}
        chain long {{
            ip saddr @listed drop
            {rules}
        }}
        {hooks}
    }}
    """


class Realistic:
    """8 policy rules and 200 filter rules on both hosts, 20 ms there and back by a relay."""

    name = "realistic"
    without = ("tunlite null crypto", "fastd null")  # the plain cable tells what they are for

    def lay(self, lab):
        """Three namespaces; the one in the middle has no address and hands frames over."""
        left, middle, right = (lab.namespace(label) for label in ("router", "relay", "gateway"))
        near, far = lab.wire(left, middle, number=1), lab.wire(middle, right, number=2)
        address = near[1].v4
        middle.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
        for end in (near[1], far[0], far[1]):
            end.namespace.ip("addr", "flush", "dev", end.name)
        right.ip("addr", "add", address + "/24", "dev", far[1].name)
        for host in (left, right):
            self._furnish(host)
        argv = ["nice", "-n", _RELAY_FIRST, builds.relay(), "w1", "w2", DELAY_MS * 1000]
        relay = middle.start(argv, "relay")
        relay.wait_line("ready")
        return Laid(left, right, address, relay)

    def _furnish(self, host):
        for number in range(RULES):
            table, priority = 1000 + number, 100 + number
            host.ip("rule", "add", "from", f"198.51.100.{number}", "table", table, "pref", priority)
        host.nft(filter_rules())
        host.sysctl("net/ipv4/tcp_rmem", _WINDOW)
        host.sysctl("net/ipv4/tcp_wmem", _WINDOW)


PLACES = {place.name: place for place in (Plain(), Realistic())}
