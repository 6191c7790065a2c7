# SPDX-License-Identifier: MIT
"""One interface: plane, identity, peers, allowed IPs; the operations that UAPI and config share.

Operations take effect at once, except that routes are published and removed peers freed by
commit(), once for a whole change set. A PlaneError carries the errno for whoever asked.
"""

from tunlite import endpoints, keys
from tunlite.control import (
    block_list,
    choice,
    groups,
    hands,
    handshakes,
    pings,
    stamp_file,
    totals,
)
from tunlite.control.peer import Peer
from tunlite.plane import allowed_ips, plane as planes
from tunlite.protocol import echo, noise, stamp, wire

_EACCES = 13


class Interface:
    """`port` as tunlite/system/port.py has it, `timers` a Timers, `log` a Log.

    state_folder: for stamp_file.py, or None. resolver, ways, routes: as
    resolver.py, ways.py and peer_routes.py, or None.
    """

    vxlan_local = None  # our end of a vxlan inside the tunnel, bytes

    def __init__(self, port, plane, timers, log, state_folder=None):
        self.port = port
        self.plane = plane
        self.timers = timers
        self.log = log
        self.resolver = None
        self.ways = None
        self.commands = None  # as uapi/commands.py, where there is a runner
        self.routes = None
        self.draining = False
        self.modes = None  # a Modes on layer 2 ...
        self.bridge = None  # ... and a Bridge
        self.pad = 16
        self.initiation_size = wire.INITIATION_SIZE
        identifier = wire.IDENTIFIER
        if plane.layer == 2:
            from tunlite.control import bridge, modes
            from tunlite.protocol import layer

            self.modes = modes.Modes(self)
            self.bridge = bridge.Bridge(self)
            self.pad = 1
            self.initiation_size += layer.SAID_SIZE
            identifier = layer.IDENTIFIER
        self.noise = noise.Noise(port, wire.CONSTRUCTION, identifier, plane.turn)
        self.rekey_ms = wire.REKEY_AFTER_MS
        kept = stamp_file.StampFile(port, state_folder, log)
        self.stamps = stamp.Stamps(port.wall_ns, kept, log)
        self.exchange = handshakes.Exchange(self)
        self.listeners = []  # of established.py
        self.blocked = block_list.BlockList(port, log)
        self.admission = None  # an Admission, once a stranger came who may be asked about
        self.admits_most = 65_000
        self.limits = None  # a Limits, once there is a PeerLimit
        self.me = None
        self.peers = {}
        self.by_handle = {}
        self.up = False  # the link is
        self.listening = False
        self.listen_port = 0
        self.fwmark = 0
        self.allowed = allowed_ips.AllowedIPs()
        self.usage = self.bridge or self.allowed  # who of a group is in use
        self.gone = totals.Totals()
        self.groups = groups.Groups(self)
        self.device = 0  # its ifindex, 0 where it is in another network namespace
        self.half_sent = 0  # change sets that have begun and not ended
        self._removed = []
        self._turned_ms = 0

    # ---- the interface ----

    def set_private_key(self, key):
        """`key`: bytearray 32, kept and clamped; all zero or None: no identity.

        The same key changes nothing. A new one ends every session, and a peer that has our own
        public key goes (as in WireGuard: nobody is his own peer).
        """
        native = self.port.native
        if key is not None and native.tl_equal(key, 32, bytes(32), 32):
            key = None
        if key is not None:
            keys.clamp(key)
        if self.me is None and key is None:
            return
        if self.me and key and native.tl_equal(self.me.private, 32, key, 32):
            native.tl_wipe(key, 32)
            return
        me = noise.Identity(self.noise, key) if key is not None else None
        self._reset_peers("key changed")
        if self.me is not None:
            self.me.wipe(self.port)
        self.me = me
        if me is None:
            self.plane.identity(None, None)
            return
        own = self.peers.get(me.public)
        if own is not None:
            self.remove_peer(own)
        self.stamps.load(me.public)
        self.plane.identity(
            noise.mac1_key(self.port, me.public), noise.cookie_key(self.port, me.public)
        )
        now_ms = self.port.now_ms()
        for peer in self.each_peer():
            peer.stamps.begin_anew()  # a link that was down keeps them
            self.exchange.look_soon(peer, now_ms)

    def let_turn(self):
        """Packets turn every few milliseconds while something is done for all peers."""
        if self.port.now_ms() - self._turned_ms >= planes.LONG_MS:
            self.plane.turn()
            self._turned_ms = self.port.now_ms()

    def each_peer(self):
        """The peers; packets turn in between."""
        for peer in list(self.peers.values()):
            yield peer
            self.let_turn()

    def _reset_peers(self, why):
        self.exchange.stop()
        for peer in self.each_peer():
            peer.ends(why)
            peer.forget_static(self.port.native)
            peer.shakes.stopped()
            peer.where.stopped()
            peer.arm()

    def set_listen_port(self, number):
        """0: any. While the link is up sockets open or move at once; on failure the old port stays.

        Before that only what will never be allowed is refused: another process may be gone by then.
        """
        if self.up:
            self._listen(number)
            return
        try:
            if number:
                self.plane.listen(number, self.fwmark)
                self.plane.deaf()
        except planes.PlaneError as e:
            if e.errno == _EACCES:
                raise
        self.listen_port = number

    def set_fwmark(self, mark):
        """Of our UDP packets; 0 for none."""
        if mark == self.fwmark:
            return
        if self.listening:
            self.plane.listen(self.listen_port, mark)
        self.fwmark = mark
        if self.ways is not None:
            self.ways.all_changed()

    def set_route_table(self, table):
        """Where routes of established peers go, those of file and wg set apart; 0: nowhere."""
        if self.routes is not None:
            self.routes.move(self.each_peer, table, self.routes.device)

    def drain(self, draining):
        """Whether handshakes are neither begun nor answered; sessions go on until they end."""
        if draining == self.draining:
            return
        self.draining = draining
        self.exchange.stop()
        now_ms = self.port.now_ms()
        for peer in self.each_peer():
            peer.drop_attempts(peer.shakes.under_way)
            self.exchange.tell_measure(peer, None)
            peer.shakes.stopped()
            peer.where.stopped()
            peer.arm()
            self.exchange.look_soon(peer, now_ms)

    def link_up(self):
        """The link is up: sockets open, persistent keepalives begin."""
        self.up = True
        if not self.listening:
            self._listen(self.listen_port)

    def _listen(self, number):
        self.listen_port = self.plane.listen(number, self.fwmark)
        if self.listening:
            return
        self.listening = True
        now_ms = self.port.now_ms()
        for peer in self.each_peer():
            peer.shakes.stopped()
            peer.where.stopped()
            peer.arm()
            self.exchange.look_soon(peer, now_ms)
            if peer.plan.persistent_s and not peer.standby:
                self._keepalive(peer)
        self.groups.link_up()

    def link_down(self):
        """The link is down: sockets close, sessions end, nothing waits."""
        self.up = False
        if not self.listening:
            return
        if self.bridge is not None:
            for peer in self.each_peer():
                self.bridge.says_bye(peer)
        self.listening = False
        self.plane.deaf()
        self.groups.link_down()
        self._reset_peers("link down")
        for peer in self.each_peer():
            self.plane.flush(peer.handle)
            self.timers.set(peer.timer, None)

    def close(self):
        """Every key is wiped; the plane is the caller's to free."""
        self.exchange.stop()
        if self.me is not None:
            self.me.wipe(self.port)
            self.me = None
        self.remove_peers("stopped")
        self.commit()
        self.stamps.end()

    # ---- peers ----

    def limit(self, most, group=None):
        """PeerLimit of a group by its name, or of all; 0: none."""
        if self.limits is None:
            if not most:
                return
            from tunlite.control import limits

            self.limits = limits.Limits(self)
        self.limits.set(group, most)

    def protect(self, modes):
        """Modes of all peers that have none of their own; None: as if nothing was said."""
        if self.modes is not None:
            self.modes.set(modes)

    def fix_path(self, size):
        """PathMTU of layer 2."""
        if self.bridge is not None:
            self.bridge.fix_path(size)

    def choice_of(self, group):
        """A new Choice for a group with a limit."""
        if self.bridge is not None:
            asked_by = self.bridge.pings()
        else:
            asked_by = pings.Pings(self, group)
        # On layer 2 every member answers.
        return choice.Choice(hands.Hands(self, group, asked_by), group, self.bridge is not None)

    def join(self, peer, name):
        """The peer is a member of this group, "" for none. False: there is no such group."""
        found = self.groups.join(peer, name)
        if self.limits is not None:
            self.limits.moved(peer)
        return found

    def can_shake(self, peer):
        if self.draining or self.me is None or not self.has_room(peer):
            return False
        return peer.alive and not peer.blocked and self.listening

    def has_room(self, peer):
        """By PeerLimit."""
        return self.limits is None or self.limits.has_room(peer)

    def may_begin(self, peer):
        """With one that stands by only what was asked for."""
        is_wanted = not peer.standby or peer.member.called or peer.shakes.measures
        return is_wanted and self.can_shake(peer)

    def find_known(self, public):
        """The peer with this key, None for a stranger's. HandshakeError: the key is shut out."""
        if public in self.blocked:
            raise noise.HandshakeError("from a blocked key")
        return self.peers.get(public)

    def admits(self):
        """The Admission where a command is asked about strangers, else None."""
        if self.commands is None or not self.commands.verifies():
            return None
        return self._admission()

    def _admission(self):
        if self.admission is None:
            from tunlite.control import admission

            self.admission = admission.Admission(self)
        return self.admission

    def set_lifetime(self, peer, seconds):
        """The peer goes so many seconds from now on; 0: it stays."""
        if seconds or self.admission is not None:
            self._admission().guests.lasts(peer, seconds)

    def _forget_refusals(self):
        if self.admission is not None:
            self.admission.forget_refusals()

    def claim(self, peer, origin, is_new=False):
        """Who tells of the peer now; False where somebody told of it who counts more."""
        before = peer.origin
        if not peer.claimed(origin, is_new):
            return False
        if before == "admitted" and self.admission is not None:
            self.admission.left(peer, True)
        if "folder" in (before, origin):
            self._forget_refusals()
        return True

    def add_peer(self, public):
        """The peer with this key (bytes 32), made where it is not there yet; None for our own."""
        peer = self.peers.get(public)
        if peer is not None:
            return peer
        if self.me is not None and public == self.me.public:
            return None
        peer = Peer(self.plane, public, self.exchange)
        if self.bridge is not None:
            self.bridge.meets(peer)
        try:
            self.by_handle[peer.handle] = peer
            self.peers[public] = peer
        except MemoryError:
            self.by_handle.pop(peer.handle, None)  # in both, or in none
            self.plane.peer_free(peer.handle)
            raise
        if public in self.blocked:
            peer.shut_out()
        peer.arm()
        return peer

    def remove_peer(self, peer, why="removed"):
        """`why`: what listeners are told."""
        if self.peers.pop(peer.public, None) is None:
            return
        peer.removed(why)
        if self.admission is not None:
            self.admission.left(peer, peer.origin == "admitted")
        if peer.origin == "folder":
            self._forget_refusals()
        self.allowed.clear(peer)
        self.groups.leave(peer)
        if self.bridge is not None:
            self.bridge.left(peer)
        self.gone.left(peer, self.plane.state(peer.handle))
        self.timers.set(peer.timer, None)
        if self.resolver is not None:
            self.resolver.want(peer.public, ())
        self._removed.append(peer)

    def remove_peers(self, why="removed"):
        for peer in self.each_peer():
            self.remove_peer(peer, why)

    def replace_peers(self):
        """Those of file and wg go: what came by other ways is no part of what replaces them."""
        for peer in self.each_peer():
            if not peer.origin:
                self.remove_peer(peer)

    def block(self, public):
        """Nobody with this key (bytes 32) has a session from now on. OSError: as BlockList.add."""
        self._forget_refusals()
        try:
            self.blocked.add(public)
        finally:
            peer = self.peers.get(public)
            if peer is not None and public in self.blocked:
                if peer.origin == "admitted":
                    self.remove_peer(peer, "blocked")
                else:
                    peer.shut_out()
                    self.groups.look_at(peer)

    def unblock(self, public):
        """Whether the key was shut out. OSError: as BlockList.remove."""
        self._forget_refusals()
        try:
            return self.blocked.remove(public)
        finally:
            peer = self.peers.get(public)
            if peer is not None and peer.blocked and public not in self.blocked:
                peer.let_in()
                if self.listening:
                    self.exchange.look_soon(peer, self.port.now_ms())
                self.groups.look_at(peer)

    def set_psk(self, peer, key):
        """`key`: bytearray 32, copied; zeros for none. Holds from the next handshake on."""
        peer.set_psk(key)

    def set_endpoint(self, peer, family, address, number, scope=0):
        """One without a name, in place of all others; family 0: none."""
        self._configure(peer, ())
        self._move(peer, endpoints.record(family, address, number, scope))

    def set_endpoints(self, peer, entries):
        """Each as endpoints.record() makes it, or (host, port) of a name that has to be resolved:
        until one is known the earlier endpoint stays. endpoints.MOST of them at most."""
        if len(entries) == 1 and not isinstance(entries[0], tuple):
            self._configure(peer, ())
            self._move(peer, entries[0])
            return
        self._configure(peer, tuple([e if isinstance(e, tuple) else e[:24] for e in entries]))
        self._settle(peer, True)

    def _configure(self, peer, entries):
        names = [entry for entry in entries if isinstance(entry, tuple)]
        peer.where.configured(entries)
        peer.where.settled((), self.port.native)
        if self.resolver is not None:
            self.resolver.want(peer.public, names)

    def resolved(self, public):
        """The resolver has an answer to one of the names of a peer."""
        peer = self.peers.get(public)
        if peer is not None:
            self._settle(peer, False)

    def _settle(self, peer, anew):
        """Takes the endpoints that are known by now. `anew`: others were configured."""
        before = peer.where.places
        records = self._records(peer.where.entries)
        if not records:
            return
        peer.where.settled(records, self.port.native)
        self.exchange.endpoints_are_new(peer)
        here = self.plane.endpoint_of(peer.handle)[:24]
        stays = here in records
        if not anew and before and not before.has(here):
            stays = True  # it moved there itself
        if peer.where.places and stays and not peer.where.nowhere:
            self._endpoint_is_new(peer)
        else:
            self._move(peer, endpoints.whole(records[0]))

    def _records(self, entries):
        """One of each entry after the other, so that no name takes the places of all."""
        rows = [self.resolver.found(e) if isinstance(e, tuple) else [e] for e in entries]
        records = []
        for i in range(endpoints.MOST):
            for row in rows:
                if len(row) > i and row[i] not in records and len(records) < endpoints.MOST:
                    records.append(row[i])
        return records

    def _move(self, peer, record):
        self.plane.peer_endpoint(peer.handle, record)
        peer.where.moved(record[0] == 0)
        peer.arm()
        # A keepalive that found no endpoint is due again.
        peer.plan.tried(0)
        self._endpoint_is_new(peer)

    def _endpoint_is_new(self, peer):
        if self.ways is not None:
            self.ways.endpoint_is_new(peer)
        if self.listening:
            self.exchange.look_soon(peer, self.port.now_ms())
        self.groups.look_at(peer)

    def resolve_again(self, peer):
        """Its handshakes fail: its names may mean other addresses by now."""
        if self.resolver is not None:
            self.resolver.again(peer.public)

    def set_persistent(self, peer, seconds):
        """0: off. Switched on, the first keepalive leaves at once."""
        begins = seconds and not peer.plan.persistent_s
        peer.plan.persist(seconds)
        if self.listening:
            self.exchange.look_soon(peer, self.port.now_ms())
            if begins and not peer.standby:
                self._keepalive(peer)

    def source_for(self, target):
        """Our address to ask an inside address from, None for none (protocol/echo.py)."""
        if self.vxlan_local:
            # What is inside the tunnel are the ends of a vxlan; the device's addresses are in that.
            return self.vxlan_local if len(self.vxlan_local) == len(target) else None
        try:
            rows = self.port.links.addresses(self.device) if self.device else ()
        except OSError:
            rows = ()
        return echo.source_for(target, rows)

    def _keepalive(self, peer):
        if self.me is not None and not self.plane.keepalive(peer.handle):
            self.exchange.now_ms = self.port.now_ms()
            self.exchange.want(peer, True)

    # ---- what changes together ----

    def set_begins(self):
        self.half_sent += 1

    def set_ends(self):
        """And commit() follows."""
        self.half_sent -= 1

    def commit(self):
        """Ends a change set: publishes the routes, then frees the peers that went."""
        self.groups.commit()
        self.allowed.publish(self.plane, self.let_turn)
        if self.bridge is not None:
            self.bridge.publish(self.plane, self.let_turn)
        for peer in self.allowed.take_changed():
            if self.routes is not None:
                self.routes.allowed_changed(peer)
                self.let_turn()
        while self._removed:
            peer = self._removed.pop()
            self.by_handle.pop(peer.handle)
            peer.free()
            self.let_turn()
