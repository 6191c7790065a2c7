# SPDX-License-Identifier: MIT
"""The loop around tl_run: events, timers, handshakes, control descriptors (control.md, "The loop").

`now` is read once a turn. An exception in the handling of one event ends that event, is logged in
one line, and is counted; the loop goes on.
"""

import errno

from tunlite.control import peer_routes, timers, ways
from tunlite.control.interface import Interface
from tunlite.plane import plane as planes

_SIGHUP = 1
_ENOENT = 2
_ENODEV = 19
_ENOBUFS = errno.ENOBUFS
_GROW_BYTES = 1 << 20
_SHRINK_MS = 60_000
_GROW_AGAIN_MS = 200
_LOOK_AGAIN_MS = 1000


class Daemon:
    """One interface.

    port: as tunlite/system/port.py has it. name: of the interface. device_fd: its descriptor,
    which the plane takes over. record: plane.options(). log: a log.Log. state_folder: where
    stamp_file.py keeps what it knows, None for nowhere.

    Then, as wanted: serve(server, path), reload = a callable for SIGHUP, interface's operations;
    then run(). Children and names use watch(), unwatch(), at() and now().
    """

    vxlan = None  # as plane.options() has it, of Encapsulation = vxlan

    def __init__(self, port, name, device_fd, record, log, state_folder=None):
        self.port = port
        self.name = name
        self.log = log
        self.reload = None
        self.stopped = None  # why
        self.failed = False  # whether nobody wanted that
        self.dropped = {"memory": 0, "error": 0}
        self.mtu = 0
        self._now_ms = port.now_ms()
        self._began_ms = self._now_ms
        self._watched = {}
        self._link_fd = None
        self._device_fd = device_fd
        self._ifindex = None  # 0: the device is in another network namespace than we
        self._servers = []
        self._sockets = []  # their files
        self._path_fd = None
        self._signal_fd = None
        self._grown_ms = 0
        self._resolver = None
        self.timers = timers.Timers()
        self._grow = timers.Timer(self._grow_pool)
        self._shrink = timers.Timer(self._shrink_pool)
        self._look = timers.Timer(self._look_at_link)
        self.plane = planes.Plane(port.native, record)
        self.layer = self.plane.layer
        try:
            if device_fd >= 0:
                self.plane.device(device_fd)
            self.interface = Interface(port, self.plane, self.timers, log, state_folder)
        except Exception:
            self.plane.free()
            raise

    # ---- what others build on ----

    def watch(self, fd, events, callback):
        """callback(fd, events) whenever the descriptor is ready; again to change `events`."""
        self.plane.watch(fd, events)
        self._watched[fd] = callback

    def unwatch(self, fd):
        if self._watched.pop(fd, None) is not None:
            self.plane.watch(fd, 0)

    def now(self):
        """Milliseconds of CLOCK_BOOTTIME, as of the begin of this turn."""
        return self._now_ms

    def at(self, when_ms, callback):
        """callback(now_ms) once, at `when_ms`; returns the Timer, for timers.set(it, None)."""
        timer = timers.Timer(callback)
        self.timers.set(timer, when_ms)
        return timer

    def stop(self, why):
        """The loop ends after this turn."""
        if self.stopped is None:
            self.stopped = why

    def serve(self, server, path=None):
        """`server` answers at a socket and is closed at the end. The first one's is the control
        socket: the end comes too when its file `path` is removed."""
        self._servers.append(server)
        if path is not None:
            self._sockets.append(path)
            if len(self._sockets) == 1:
                self._watch_path()

    def watch_signals(self, fd):
        """fd: port.signal_fd(). SIGHUP calls `reload`, the others end the loop."""
        self._signal_fd = fd
        self.watch(fd, self.port.POLLIN, self._signals)

    def watch_link(self):
        """Follows the interface's link: up, down, MTU, deleted. It is looked at now already."""
        self._link_fd = self.port.link_monitor()
        self.watch(self._link_fd, self.port.POLLIN, self._link_changed)
        self._look_at_link()

    def watch_routes(self):
        """Asks for the way to each endpoint, and makes routes to peers that come and go, from now
        on. Before watch_link()."""
        self.interface.ways = ways.Ways(self)
        self.interface.routes = peer_routes.PeerRoutes(self.port.links, self.log)
        self.interface.listeners.append(self.interface.routes)

    def resolve_names(self, resolver):
        """resolver: a resolver.Resolver(daemon, daemon.interface.resolved, log)."""
        self._resolver = self.interface.resolver = resolver

    # ---- the loop ----

    def run(self):
        """Turns until something ends it; returns why. Keys are wiped, everything is closed."""
        try:
            while self.stopped is None:
                self.turn()
        except planes.PlaneError as e:
            self.failed = True
            self.stop(f"the packet path failed: {self.port.strerror(e.errno)}")
        finally:
            self.close()
        self.log.info("ends: " + self.stopped)
        return self.stopped

    def turn(self):
        """One stay in C, then what it woke us for, then at most one step of a handshake."""
        exchange = self.interface.exchange
        woke = self.plane.run(0 if exchange.busy() else self.timers.next())
        now_ms = self._now_ms = self.port.now_ms()
        exchange.now_ms = now_ms
        if woke & planes.WOKE_DEVICE_GONE:
            self.stop("the device was deleted")
            return
        if woke & planes.WOKE_HANDSHAKE:
            exchange.ring_filled()
        if woke & planes.WOKE_POOL:
            self._pool_is_short()
        if woke & planes.WOKE_PEERS:
            self._guard("a peer's event", self._events)
        if woke & planes.WOKE_CONTROL:
            self._guard("a descriptor", self._ready)
        self._guard("a timer", self.timers.run, now_ms, self._is_long)
        if exchange.busy():
            self._guard("a handshake", exchange.step, now_ms)

    def _is_long(self):
        """Whether this turn took its time, so that packets turn before the rest."""
        return self.port.now_ms() - self._now_ms >= planes.LONG_MS

    def _guard(self, what, call, *arguments):
        try:
            call(*arguments)
        except MemoryError:
            self.dropped["memory"] += 1
            self.log.error(what + " was dropped: out of memory; a larger heap helps", "memory")
        except Exception as e:
            self.dropped["error"] += 1
            self.log.error(f"{what} failed: {type(e).__name__}: {e}", "guard")

    def _events(self):
        while True:
            rows = self.plane.events()
            if not rows:
                return
            for handle, events in rows:
                peer = self.interface.by_handle.get(handle)
                if peer is not None and peer.alive:
                    exchange = self.interface.exchange
                    self._guard("a peer's event", exchange.event, peer, events, self._now_ms)
            if self._is_long():
                return  # the rest wakes us again

    def _ready(self):
        for fd, events in self.plane.ready():
            callback = self._watched.get(fd)
            if callback is not None:
                self._guard("a descriptor", callback, fd, events)

    def _pool_is_short(self):
        # A pool that cannot grow stays short: asking each turn would only cost time.
        self.timers.set(self._grow, max(self._now_ms, self._grown_ms + _GROW_AGAIN_MS))

    def _grow_pool(self, now_ms):
        self._grown_ms = now_ms
        self.plane.grow(_GROW_BYTES)
        self.timers.set(self._shrink, now_ms + _SHRINK_MS)

    def _shrink_pool(self, _now_ms):
        self.plane.grow(0)

    # ---- what happens around us ----

    def _signals(self, fd, _events):
        try:
            numbers = self.port.os_read(fd, 64)
        except OSError:
            return
        for number in numbers:
            if number != _SIGHUP:
                self.stop(f"signal {number}")
            elif self.reload is not None:
                self._guard("reload", self.reload)

    def _link_changed(self, fd, _events):
        try:
            rows = self.port.link_changes(fd)
        except OSError as e:
            if e.errno == _ENOBUFS:
                self._look_at_link()
            return
        gone = not self._ifindex  # it may have come back
        for row in rows if self.interface.ways is not None else ():
            self.interface.ways.link_changed(row[0])
        for ifindex, _, up, mtu, deleted in rows:
            if ifindex != self._ifindex:
                continue
            if deleted:
                gone = True  # or moved
                break
            self._link_is(mtu, up)
        if gone:
            self._look_at_link()

    def _look_at_link(self, *_):
        """Asks the device: it may be in another network namespace, or have another name there."""
        name16 = bytearray(16)
        netns = self.port.native.tl_device_where(self._device_fd, name16)
        if netns == -_ENODEV:
            self.stop("the link was deleted")
            return
        name = bytes(name16).rstrip(b"\0").decode() or self.name
        try:
            found = self.port.links.link_get(name, netns or -1)
        except OSError:
            found = None  # an old kernel tells nothing of another namespace
        if netns > 0:
            self.port.close(netns)
        self._link_is_at(found[0] if found and netns <= 0 else 0)
        if self._ifindex:
            self._link_is(found[1], found[2])
            return
        # No message tells us of the device there, but that it comes up.
        fd = self._device_fd
        takes = bool(self.port.poll([(fd, self.port.POLLOUT)], 0))
        mtu, up = found[1:] if found else (self.mtu, takes)
        self._link_is(mtu, up)
        if up or takes:
            self.unwatch(fd)
            self.timers.set(self._look, self._now_ms + _LOOK_AGAIN_MS)
        else:
            self.watch(fd, self.port.POLLOUT, self._look_at_link)

    def _link_is_at(self, ifindex):
        """0: not in our network namespace."""
        if ifindex == self._ifindex:
            return
        if not ifindex:
            self.log.info("the link is in another network namespace; the sockets stay in this one")
        elif self._ifindex == 0:
            self.log.info("the link is in this network namespace again")
            self.unwatch(self._device_fd)
            self.timers.set(self._look, None)
        self._ifindex = self.interface.device = ifindex
        self.plane.link(ifindex, self.mtu)
        if self.interface.ways is not None:
            self.interface.ways.set_device(ifindex)
            routes = self.interface.routes
            routes.move(self.interface.each_peer, routes.table, ifindex)

    def _link_is(self, mtu, up):
        if mtu != self.mtu:
            self.mtu = mtu
            self.plane.link(self._ifindex or 0, mtu)
            if self.interface.bridge is not None:
                self.interface.bridge.takes_others(self._now_ms)
        if self.interface.bridge is not None and self._ifindex:
            self.interface.bridge.is_at(self.port.links.address_of(self._ifindex))
        if not up:
            self.interface.link_down()
            return
        try:
            self.interface.link_up()
        except planes.PlaneError as e:
            self.log.error(
                f"UDP port {self.interface.listen_port} cannot be opened:"
                f" {self.port.strerror(e.errno)}; set another ListenPort"
            )

    def _watch_path(self):
        self._path_fd = self.port.watch_path(self._sockets[0])
        if self._path_fd is not None:
            self.watch(self._path_fd, self.port.POLLIN, self._path_changed)

    def _path_changed(self, fd, _events):
        try:
            while self.port.os_read(fd, 1024):
                pass
        except OSError:
            pass  # read empty
        try:
            self.port.stat(self._sockets[0])
        except OSError as e:
            if e.errno == _ENOENT:
                self._sockets.pop(0)
                self.stop("the control socket was removed")

    # ---- the end ----

    def close(self):
        """Wipes the keys and closes everything."""
        while self._sockets:
            try:
                # While we listen: where nobody does, the next daemon puts its own there.
                self.port.unlink(self._sockets.pop())
            except OSError:
                pass  # it may be gone, or in a folder that is no longer ours to write
        while self._servers:
            self._guard("the end of a socket", self._servers.pop().close)
        if self._resolver is not None:
            self._guard("the end of the resolver", self._resolver.close)
        if self.interface.ways is not None:
            self._guard("the end of the routes' monitor", self.interface.ways.close)
        self._guard("the end of the interface", self.interface.close)
        for fd in (self._link_fd, self._path_fd, self._signal_fd):
            if fd is not None:
                self.unwatch(fd)
                self.port.close(fd)
        self._link_fd = self._path_fd = self._signal_fd = None
        self.plane.free()

    # ---- what is shown ----

    def uptime_ms(self):
        return self._now_ms - self._began_ms

    def memory_kb(self):
        """Peak resident memory (VmHWM), None where /proc does not say."""
        try:
            for line in bytes(self.port.read_file("/proc/self/status")).split(b"\n"):
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1])
        except OSError:
            pass
        return None
