# SPDX-License-Identifier: MIT
"""A layer-2 peer's way as the packet path is told of it: how long frames and datagrams may be. The
path MTU is measured (protocol/path_mtu.py), or is what `PathMTU` says."""

from tunlite import endpoints
from tunlite.control import established, timers
from tunlite.plane import plane as planes
from tunlite.protocol import layer, path_mtu

_AROUND = {4: 20 + 8, 6: 40 + 8}  # headers around a UDP payload
_IN_PROBE = 32 + 2 + 4  # and within it: ours with the tag, a control frame's, the number
_FRAME_MAX = 65535  # until the peer has said what it takes
_LINK_MTU = 1500  # where nobody tells the link's
_GONE_MS = 1000  # after a bye


class Path:
    """`peer` and `exchange` as Peer has them. `fixed`: as fix() has it."""

    _bye = None  # a Timer, while it is asked whether it is there
    _heard_ms = 0  # then

    def __init__(self, peer, exchange, fixed=0):
        self._peer = peer
        self._exchange = exchange
        self._timer = timers.Timer(self._expired)
        self._where = None  # the first 24 bytes of the endpoint, and the link
        self._family = 6
        self._frame_max = _FRAME_MAX
        self._told = None
        self.fixed = fixed  # PathMTU, 0: measured
        self.measured = None
        if fixed:
            self._tell()

    def size(self):
        """Bytes of an outer IP packet."""
        return self.fixed or (self.measured.size if self.measured else path_mtu.BASE)

    def why(self):
        if self.fixed:
            return "PathMTU"
        return self.measured.why if self.measured else "not measured yet"

    def fix(self, size):
        """0: it is measured."""
        self.fixed = size
        self.measured = self._where = None
        self._tell()
        if not self._peer.where.asked and self._exchange.owner.ways is not None:
            self._exchange.owner.ways.endpoint_is_new(self._peer)

    def takes(self, frame_max):
        """The peer has said how long a frame may be."""
        self._frame_max = frame_max
        self._tell()

    def leaves_by(self, record, link, now_ms):
        """The kernel's way to its endpoint has been looked at. link: (ifindex, MTU); 0: nobody
        tells that."""
        where = (record[:24], link)
        family = endpoints.parts(record)[0]
        if where == self._where or not family:
            return
        self._where = where
        self._family = family
        if not self.fixed:
            most = link[1] or _LINK_MTU
            if self.measured is None:
                self.measured = path_mtu.PathMtu(most, now_ms)
            else:
                self.measured.begin(most, now_ms)
            self._run(now_ms)
        self._tell()

    def event(self, events, now_ms):
        """Of plane.py's."""
        if events & planes.BYE and self._bye is None:
            self._said_bye(now_ms)
        if self.measured is None:
            return
        if events & planes.PATH:
            number, payload = self._exchange.plane.path_of(self._peer.handle)
            self.measured.answered(number, payload + _AROUND[self._family])
        if events & (planes.PATH | planes.ACTIVE | planes.CONFIRMED):
            self._run(now_ms)

    def ends(self):
        """The peer goes."""
        self._exchange.owner.timers.set(self._timer, None)

    def _said_bye(self, now_ms):
        """One that stands by answers; one that left has no session, nor hears of frames that wait
        for one: they are to ask for a new one."""
        plane = self._exchange.plane
        self._heard_ms = plane.state(self._peer.handle)[planes.RECEIVED_ANY]
        plane.keepalive(self._peer.handle, layer.PATH_PROBE + bytes(4))
        self._bye = timers.Timer(self._looked)
        self._exchange.owner.timers.set(self._bye, now_ms + _GONE_MS)

    def _looked(self, _now_ms):
        self._bye = None
        peer = self._peer
        plane = self._exchange.plane
        if peer.alive and plane.state(peer.handle)[planes.RECEIVED_ANY] == self._heard_ms:
            peer.ends("left")
            if not peer.standby:
                plane.peer_use(peer.handle, planes.IN_USE)
            peer.arm()

    def _expired(self, now_ms):
        if self._peer.alive and self._exchange.owner.listening and self.measured is not None:
            self._exchange.owner.timers.set(self._timer, now_ms + path_mtu.CHECK_MS)
            self._run(now_ms)

    def _run(self, now_ms):
        sent_ms = self._exchange.plane.state(self._peer.handle)[planes.SENT_DATA]
        is_used = bool(sent_ms) and now_ms - sent_ms < path_mtu.CHECK_MS
        sizes, when_ms = self.measured.run(now_ms, is_used)
        for size in sorted(sizes):  # of answers in one batch the last is told
            self._probe(size)
        if when_ms is None and not self._peer.plan.idle:
            when_ms = now_ms + path_mtu.CHECK_MS
        self._exchange.owner.timers.set(self._timer, when_ms)
        self._tell()

    def _probe(self, size):
        """One that our own link does not take gets no answer either."""
        zeros = max(size - _AROUND[self._family] - _IN_PROBE, 0)
        frame = layer.PATH_PROBE + self.measured.number.to_bytes(4, "little") + bytes(zeros)
        self._exchange.plane.keepalive(self._peer.handle, frame)

    def _tell(self):
        told = (self._frame_max, self.size() - _AROUND[self._family])
        if told != self._told:
            if self._told and told[1] != self._told[1]:
                established.happened("path", self._peer, self.why())
            self._told = told
            self._exchange.plane.peer_path(self._peer.handle, told[0], told[1])
