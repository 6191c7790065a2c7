# SPDX-License-Identifier: MIT
"""The way to each peer's endpoint: which link the kernel's routes take, with our mark.

Asked when an endpoint is new, and again when a route, a rule, a link or the mark changes: only for
endpoints that the change covers, for all of them together, at most once a second. One that routes
into our own device, or a link above it, gets nothing sent (endpoints.LOOPS); a source address whose
link the route no longer takes is forgotten.

Without a mark such an endpoint is asked about again a second later: `up` may be about to set one.
Not where the device has frames: `up` sets neither for one. Where batman-adv or a bridge is on such
a device and peers are few looks may follow faster: what goes round is wrapped there, so that
native/path/loop.c cannot know it, and doubles each time (control.md, "The way to an endpoint").
"""

import struct

from tunlite import endpoints
from tunlite.control import timers
from tunlite.system import rtnetlink

_SETTLE_MS = 50  # changes come in pairs: one route goes, another comes
_LOOK_MS = 1000
_SHARE = 150  # of the time one part may go to looks
# Of a device of frames with others above it, where our datagrams may go round until the look. With
# so many peers at most a storm of route changes costs 1 % of a core even so.
_HASTY_LOOK_MS, _HASTY_SHARE, _HASTY_PEERS = 200, 10, 50
_LONGEST_MS = 300_000  # what takes longer is no look: the machine slept


class Ways:
    """`daemon` is a Daemon; its interface's peers are looked after."""

    def __init__(self, daemon):
        self._daemon = daemon
        self._port = daemon.port
        self._plane = daemon.plane
        self._interface = daemon.interface
        self._device = 0
        self._above = ()
        self._peers = []  # whose endpoint is new
        self._all = False
        self._heads = set()  # of routes that changed
        self._links = set()
        self._look_ms = 0  # the next look is not before
        self._timer = timers.Timer(self._settled)
        self._fd = self._port.route_monitor()
        self._watch()

    def close(self):
        self._daemon.unwatch(self._fd)
        self._port.close(self._fd)

    # ---- what happened ----

    def set_device(self, ifindex):
        """Of our device while it is in our network namespace, else 0."""
        self._device = ifindex
        self.link_changed(ifindex)

    def endpoint_is_new(self, peer):
        """At once, but the same peer's again only a second later."""
        if not peer.where.asked:
            peer.where.ask()
            self._peers.append(peer)
            self._soon(peer.where.judged_ms + _LOOK_MS)

    def link_changed(self, ifindex):
        """Routes may have gone with it, which the kernel tells of IPv6 alone."""
        self._links |= {ifindex, 0}  # 0: whose endpoint was not heard on any, or is barred
        self._soon(max(self._port.now_ms() + _SETTLE_MS, self._look_ms))

    def all_changed(self):
        self._all = True
        self._soon(self._look_ms)

    def _watch(self):
        self._daemon.watch(self._fd, self._port.POLLIN, self._routes_changed)

    def _routes_changed(self, fd, _events):
        # What comes meanwhile waits in the socket, and what has no room there makes it a look at
        # all: a thousand changes a second wake us twice.
        self._daemon.unwatch(fd)
        self._soon(max(self._port.now_ms() + _SETTLE_MS, self._look_ms))

    def _soon(self, when_ms):
        if self._timer.timer_ms is None or when_ms < self._timer.timer_ms:
            self._daemon.timers.set(self._timer, when_ms)

    def _settled(self, now_ms):
        lost = not self._read_changes()
        self._watch()
        if lost or rtnetlink.is_new_way(self._heads):
            self._interface.groups.network_changed()
        try:
            self._ask(now_ms)
        except Exception:
            # A full heap, say: what was to be asked is among all that is asked a second later.
            self._all = True
            self._look_ms = now_ms + _LOOK_MS
            self._soon(self._look_ms)
            raise

    def _ask(self, now_ms):
        new, self._peers = self._peers, []
        changed = self._all or self._heads or self._links
        if changed and now_ms >= self._look_ms:
            self._look(now_ms)
            least_ms, share = _LOOK_MS, _SHARE
            if self._is_hasty():
                least_ms, share = _HASTY_LOOK_MS, _HASTY_SHARE
            taken_ms = (self._port.now_ms() - now_ms) * share
            self._look_ms = now_ms + min(max(least_ms, taken_ms), _LONGEST_MS)
        elif changed:
            self._soon(self._look_ms)
        for peer in new:
            if peer.alive and peer.where.asked:
                self._judge(peer, self._plane.endpoint_of(peer.handle), False, now_ms)
            self._interface.let_turn()

    def _read_changes(self):
        """False: some were lost, which may have been any."""
        try:
            self._port.route_changes(self._fd, self._heads, self._interface.let_turn)
            return True
        except (OSError, MemoryError):
            self._all = True
            self._heads.clear()
            return False

    # ---- the look ----

    def _look(self, now_ms):
        if self._links:
            above = self._port.links.above(self._device) if self._device else ()
            self._all |= above != self._above
            self._above = above
        prefixes = rtnetlink.covered_by(self._heads, self._interface.let_turn)
        for peer in self._interface.each_peer():
            record = self._plane.endpoint_of(peer.handle) if peer.alive else None
            covered = record and self._is_covered(record, prefixes)
            if covered or (record and self._is_one_covered(peer, prefixes)):
                self._judge(peer, record, covered, now_ms)
        self._all = False
        self._heads.clear()
        self._links.clear()

    def _is_covered(self, record, prefixes):
        if self._all or struct.unpack_from("<I", record, 40)[0] in self._links:
            return True
        family, address, _, _ = endpoints.parts(record)
        number = int.from_bytes(address, "big")
        for (whose, bits), leading in prefixes.items():
            if whose == family and number >> (8 * len(address) - bits) in leading:
                return True
        return False

    def _is_one_covered(self, peer, prefixes):
        """Of several endpoints."""
        rows = peer.where.places.rows if peer.where.places else ()
        return any([self._is_covered(endpoints.whole(place.record), prefixes) for place in rows])

    def _link_to(self, record, source=None):
        """The ifindex that packets there leave by, 0 where none does."""
        family, address, _, scope = endpoints.parts(record)
        if scope:
            return scope
        mark = self._interface.fwmark
        found = self._port.links.route_get(family, address, mark, source)
        return found[0] if found else 0

    def _judge(self, peer, record, covered, now_ms):
        peer.where.looked()
        peer.arm()
        family, address, _, _ = endpoints.parts(record)
        if not family:
            return
        peer.where.judged(now_ms)
        if peer.where.places:
            self._judge_places(peer)
        source, heard_on, way = struct.unpack_from("<16sII", record, 24)
        source = source[: len(address)] if any(source) else None
        link = self._link_to(record, source) or self._link_to(record)
        if link in self._above:
            self._loops(peer, record, way)
            return
        if peer.path is not None:
            mtu = self._port.links.mtu_of(link) if link else 0
            peer.path.leaves_by(record, (link, mtu), now_ms)
        peer.where.is_outside(record[:24])
        wanted = record
        if covered and source and link not in (0, heard_on):
            wanted = endpoints.without_source(record)
            way = heard_on
        elif way in (endpoints.LOOPS, link):
            way = 0
        wanted = endpoints.with_way(wanted, way)
        if wanted != record:
            self._plane.peer_endpoint(peer.handle, wanted)

    def _judge_places(self, peer):
        """Those of a peer that has several."""
        for place in peer.where.places.rows:
            before = place.barred
            record = endpoints.whole(place.record)
            loops = self._link_to(record) in self._above
            if place.judged(loops, self._is_sure()):
                self.endpoint_is_new(peer)
            if place.barred and not before:
                self._tell_loop(record)

    def _tell_loop(self, record):
        text = self._daemon.log.outer(endpoints.text(record))
        self._daemon.log.error(
            f"the endpoint {text} is routed into {self._daemon.name} itself: nothing is sent there"
            " until the route, FwMark or the endpoint changes",
            "way",
        )

    def _has_frames(self):
        return self._daemon.layer == 2 or self._daemon.vxlan is not None

    def _is_hasty(self):
        is_wrapped = self._has_frames() and len(self._above) > 1
        return is_wrapped and len(self._interface.peers) <= _HASTY_PEERS

    def _is_sure(self):
        """An endpoint that routes into us will do so a second later."""
        return self._interface.fwmark != 0 or self._has_frames()

    def _loops(self, peer, record, way):
        other = peer.where.places.usable() if peer.where.places else None
        if way == endpoints.LOOPS and other is None:
            return
        if not peer.where.doubted and not self._is_sure():
            peer.where.doubt()
            self.endpoint_is_new(peer)
            return
        last = endpoints.whole(peer.where.place) if peer.where.place else None
        if last and self._link_to(last) not in self._above:
            self._plane.peer_endpoint(peer.handle, last)
            text = self._daemon.log.outer(endpoints.text(record))
            self._daemon.log.info(
                f"a peer moved to {text}, which is routed into {self._daemon.name}: undone", "way"
            )
        elif other is not None:
            self._plane.peer_endpoint(peer.handle, endpoints.whole(other.record))
        else:
            barred = endpoints.with_way(endpoints.without_source(record), endpoints.LOOPS)
            self._plane.peer_endpoint(peer.handle, barred)
            self._plane.flush(peer.handle)  # what waits would leave with the next session
            if not peer.where.places:
                self._tell_loop(record)
