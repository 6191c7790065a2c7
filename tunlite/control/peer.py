# SPDX-License-Identifier: MIT
"""A peer: who it is, and the parts that remember what its handshakes and timers need.

Each part alone writes what is its own, in methods named after what happened. What each handshake
writes is there from the start, what is rare is the class's until then: a dictionary that grows in a
full heap of MicroPython costs a search through all of it.
"""

from tunlite.control import established, sessions, shakes, timers, whereabouts
from tunlite.plane import plane as planes
from tunlite.protocol import cookie, noise, schedule, stamp

# Who told of a peer, the strongest first: file or wg, the folder of peers, tunlite add, and a key
# that was let in when it came. What a weaker one says of a peer that is there is refused.
ORIGINS = ("", "folder", "added", "admitted")


class _Timer(timers.Timer):
    """The peer in place of a callback."""

    def expired(self, now_ms):
        self.callback.exchange.check(self.callback, now_ms)


class Peer(noise.Remote):
    """`public` bytes 32. `exchange` acts when the peer's timer expires."""

    alive = True
    description = ""
    group = None  # groups.Group that it is a member of
    member = None  # liveness.Member, where that chooses
    probe = None  # ProbeAddress of its own, bytes
    health_address = ""
    sharing = None  # with whom it may have the same allowed IPs: allowed_ips.py
    standby = False  # nothing goes to it
    origin = ""
    rates = (None, None)  # of its own, in and out, bits a second; 0: any; None: as its group has it
    limits = (0, 0)  # what holds
    modes = None  # of its own, as Encryption says (modes.py)
    blocked = False  # shut out: no session is made
    path = None  # path.Path, on layer 2
    macs = ()  # addresses that are behind it and nowhere else, bytes (bridge.py)

    def __init__(self, plane, public, exchange):
        super().__init__(public)
        self.exchange = exchange
        self.handle = plane.peer_new()
        self.allowed = []
        self.timer = _Timer(self)
        self.sessions = sessions.Sessions(exchange)
        self.established = established.Established()
        self.shakes = shakes.Shakes()
        self.cookies = cookie.Jar()
        self.stamps = stamp.Line()
        self.where = whereabouts.Whereabouts()
        self.plan = schedule.Plan()

    def described(self, text):
        self.description = text

    def joined(self, group, member):
        """None, None: it is a member of none any more."""
        self.group = group
        self.member = member
        self.limit()
        if self.exchange.owner.modes is not None:
            self.exchange.owner.modes.changed(self)

    def rated(self, place, bits):
        """place 0: in, 1: out."""
        self.rates = (bits, self.rates[1]) if place == 0 else (self.rates[0], bits)
        self.limit()

    def protected(self, modes):
        """None: as its group is, or all."""
        if modes != self.modes:
            self.modes = modes
            self.exchange.owner.modes.changed(self)

    def goes_by(self, way):
        self.path = way

    def pinned(self, macs):
        self.macs = macs

    def limit(self):
        """Its own rates hold, or its group's."""
        common = self.group.rates if self.group is not None else (0, 0)
        limits = tuple([common[i] if self.rates[i] is None else self.rates[i] for i in (0, 1)])
        if limits != self.limits:
            self.exchange.plane.peer_rates(self.handle, limits[0], limits[1])
            self.limits = limits

    def probed_at(self, address):
        """None: where its group's members are."""
        is_new = self.probe != address
        self.probe = address
        if is_new and self.member is not None and self.group.choice is not None:
            self.group.choice.probes_elsewhere()

    def health_at(self, text):
        self.health_address = text

    def claimed(self, origin, is_new=False):
        """Who tells of it now; whether that is as good as who told of it before."""
        if not is_new and ORIGINS.index(origin) > ORIGINS.index(self.origin):
            return False
        if origin or self.origin:
            self.origin = origin
        return True

    def shut_out(self):
        """Its sessions end at once."""
        self.blocked = True
        self.ends("blocked")
        self.shakes.stopped()
        self.exchange.plane.flush(self.handle)
        self.arm()

    def let_in(self):
        self.blocked = False
        self.arm()

    def allows(self, keys):
        """keys: list of prefixes.py's."""
        self.allowed = keys

    def shares(self, sharing):
        self.sharing = sharing

    def stands_by(self, standby):
        self.standby = standby

    def removed(self, why):
        """Keys go at once: whoever sent this change set may take long to end it."""
        self.alive = False
        self.ends(why)
        if self.path is not None:
            self.path.ends()

    def ends(self, why):
        """All its sessions, and the handshake under way."""
        if self.path is not None and why != "left":  # who has left hears nothing
            self.exchange.owner.bridge.says_bye(self)
        established.left(self, why)
        self.sessions.drop()
        self.drop_attempts(self.shakes.under_way)
        self.exchange.tell_measure(self, None)

    def free(self):
        """The peer was removed, and routes without it are published."""
        plane = self.exchange.plane
        self.wipe(plane.native)
        self.cookies.forget(plane.native)
        self.where.forget(plane.native)
        plane.peer_free(self.handle)

    def drop_attempts(self, attempts):
        """An answer that still comes finds no one."""
        for attempt in attempts:
            index = attempt.state.index
            self.shakes.ended(attempt)
            self.exchange.plane.index_free(index)
            self.exchange.forget_index(index)

    def arm(self):
        """Says which events are wanted: those that would change something now."""
        events = 0
        held = self.where.nowhere or self.blocked or self.standby
        if not (self.shakes.is_asking() or held or self.exchange.owner.draining):
            events = planes.WANTS_SESSION | planes.REKEY
        if self.member is not None and self.member.awaits:
            events |= planes.ECHO
        if self.sessions.next is not None:
            events |= planes.CONFIRMED
        if self.path is not None:
            events |= planes.PATH | planes.BYE
        if self.plan.idle:
            events |= planes.ACTIVE
        if self.exchange.owner.ways is not None and not self.where.asked:
            events |= planes.ROAMED
        self.exchange.plane.arm(self.handle, events)
