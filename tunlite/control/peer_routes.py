# SPDX-License-Identifier: MIT
"""The kernel's routes to peers that come and go: each stands only while its peer is established, so
that babel or bird tell others where it is.

Of peers that file and `wg set` have, `up` makes the routes, once. Ours have a protocol number of
their own (rtnetlink_requests.py). Who shares a prefix shares the route.
"""

from tunlite import addresses
from tunlite.errors import said
from tunlite.prefixes import prefix_of

_EEXIST = 17
_GONE = (3, 19)  # ESRCH, ENODEV: it went with its link


class PeerRoutes:
    """A listener of established.py. `links` as port.links."""

    def __init__(self, links, log):
        self._links = links
        self._log = log
        self.table = 0  # 0: no routes are made
        self.device = 0  # ifindex of our link, 0 while it is in another network namespace
        self._of = {}  # peer's handle -> set of its keys that stand
        self._holders = {}  # key -> how many peers have it

    def established(self, peer):
        self.allowed_changed(peer)

    def left(self, peer, _reason):
        self._settle(peer, ())

    def allowed_changed(self, peer):
        """Its allowed IPs, or who tells of it, may be others."""
        stands = peer.alive and peer.origin and peer.established.began_ms and self.table
        self._settle(peer, peer.allowed if stands and self.device else ())

    def move(self, each_peer, table, device):
        """All go, and come where they belong now."""
        if (table, device) == (self.table, self.device):
            return
        for peer in each_peer():
            self._settle(peer, ())
        self.table, self.device = table, device
        for peer in each_peer():
            self.allowed_changed(peer)

    def standing(self):
        """How many there are."""
        return len(self._holders)

    def _settle(self, peer, keys):
        before = self._of.pop(peer.handle, ())
        # A default route is nobody's to bring along.
        after = set([key for key in keys if key[1]])
        for key in before:
            if key not in after:
                self._drop(key)
        for key in after:
            if key not in before:
                self._hold(key)
        if after:
            self._of[peer.handle] = after

    def _hold(self, key):
        self._holders[key] = self._holders.get(key, 0) + 1
        if self._holders[key] == 1:
            self._change(key, False)

    def _drop(self, key):
        self._holders[key] -= 1
        if not self._holders[key]:
            del self._holders[key]
            self._change(key, True)

    def _change(self, key, delete):
        prefix = prefix_of(key)
        try:
            self._links.peer_route(self.device, prefix, self.table, delete)
        except OSError as e:
            if delete and e.errno in _GONE:
                return
            why = "another has it" if e.errno == _EEXIST else said(e)
            self._log.error(f"the route to {addresses.format_prefix(prefix)}: {why}", "route")
