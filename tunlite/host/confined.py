# SPDX-License-Identifier: MIT
"""The daemon as a process of its own: a confined child of a parent that keeps root's rights.

The child opens device and socket, gives up its privileges and says so through a pipe; only then
does start() return. The pipe stays open as long as the child lives, and a second one tells the
child that its parent is gone.
"""

import errno

from tunlite import programs
from tunlite.errors import AGAIN, NEVER, UserError, said, told
from tunlite.host import privileges
from tunlite.system import port
from tunlite.uapi import client, commands

_LINE_MAX = 4096
_EADDRINUSE = errno.EADDRINUSE
_ECONNREFUSED = errno.ECONNREFUSED
_S_IFMT = 0o170000
_S_IFSOCK = 0o140000
_CONTROL, _STATUS, _FASTD = range(3)


class StartError(UserError):
    """The daemon did not come up."""


class Child:
    """A daemon that is up. `fd` reads as ended when it has ended."""

    def __init__(self, pid, fd, alive_fd, runner=None):
        self.pid = pid
        self.fd = fd
        self.runner = runner
        self._alive_fd = alive_fd  # our end; the child ends when it closes

    def status(self):
        """Waits for its end, and its runner's: exit status, 256 + signal."""
        status = port.waitpid(self.pid, True)
        if self.runner is not None:
            self.runner.end()
        return status


def open_daemon(name, settings, log, device_fd=-1, parent_fd=-1, runner_fd=-1):
    """A Daemon with device and socket, in this process, which is confined. StartError.

    `settings`: options of [Interface] that are not for the socket, as parser.py reads them.
    """
    from tunlite.plane import plane

    try:
        log.hides = settings["HideAddresses"]
        owner = privileges.Owner(settings)
        folder = privileges.prepare_folders(settings, owner)
        listeners = []
        try:
            _open_sockets(name, settings, log, listeners)
            machine = _machine(name, settings, log, device_fd, folder)
            try:
                if "MTU" in settings.given:
                    port.links.set_mtu(name, settings["MTU"])
                _serve(machine, listeners, log)
                _attach(machine, parent_fd)
                if runner_fd >= 0:
                    interface = machine.interface
                    interface.commands = commands.Commands(machine, interface, runner_fd, log)
                privileges.confine(owner)
                if folder is not None:
                    # Not before: it belongs to whom we are now, and a link there leads anywhere.
                    machine.interface.blocked.keep_in(f"{folder}/blocked-{name}")
            except BaseException:
                machine.close()
                raise
        except BaseException:
            for path, _, _ in listeners:
                _unlink(path)
            raise
    except plane.PlaneError as e:
        raise StartError(f"the packet path cannot be set up: {e}")
    return machine


def _unlink(path):
    try:
        port.unlink(path)
    except OSError:
        pass  # it is gone, or not ours any more; then our parent removes it


def _drop_dead_socket(path):
    """A child that was killed, or has become another user, could not do it itself."""
    try:
        if port.stat(path)[0] & _S_IFMT == _S_IFSOCK:
            port.close(port.unix_connect(path))
    except OSError as e:
        if e.errno == _ECONNREFUSED:
            _unlink(path)


def drop_dead_sockets(name, another):
    """Those of a daemon that has ended, and StatusSocket where there is one; who listens there by
    now keeps them."""
    for path in (client.socket_path(name), client.status_path(name), another):
        if path:
            _drop_dead_socket(path)


def _open_sockets(name, settings, log, listeners):
    """Adds rows (path, descriptor, what is said there) to `listeners`. Without the usual status
    socket the daemon goes on."""
    owner = privileges.Owner(settings)
    path = client.socket_path(name)
    listeners.append((path, _listen(path, owner), _CONTROL))
    path = client.status_path(name)
    try:
        listeners.append((path, _listen(path, owner), _STATUS))
    except StartError as e:
        log.error(f"there is no status socket: {e.args[0]}")
    path = settings["StatusSocket"]
    if path:
        privileges.refuse_folder_of_others(path)
        listeners.append((path, _listen(path, owner), _FASTD))


def _listen(path, owner):
    try:
        listener = port.unix_listen(path, owner.socket_mode(), owner.socket_gid)
        try:
            if owner.uid >= 0:
                port.chown(path, owner.uid, -1)
        except OSError:
            _unlink(path)
            raise
        return listener
    except OSError as e:
        if e.errno == _EADDRINUSE:
            raise StartError(
                f"another daemon answers at {path}; names are shared by all namespaces"
            )
        raise StartError(f"the socket {path} cannot be made: {said(e)}; are you root?")


def _prepare_device(found, name, layer):
    """On layer 3 the kernel makes no link-local address for it, as for its own WireGuard: with one
    it solicits routers, which wakes an idle tunnel, and may send from an address that no peer
    takes. Ethernet has one."""
    try:
        if layer == 3:
            port.links.no_own_address(found)
    except OSError:
        pass  # there is no IPv6
    if found != name:
        port.links.rename(found, name)


def _open_device(name, layer, offloads_off, queue):
    # Who waits for the name may set it up at once: it gets that when all is prepared.
    opened = (name if port.links.link_get(name) else "tunlite%d").encode()
    name16 = bytearray(16)
    name16[: len(opened)] = opened
    fd = port.native.tl_device_open(name16, layer, offloads_off, queue)
    if fd >= 0:
        try:
            _prepare_device(bytes(name16).rstrip(b"\0").decode(), name, layer)
        except OSError as e:
            port.close(fd)
            raise StartError(f"the device cannot be called {name}: {said(e)}")
        return fd
    why = {
        -1: "permission denied; are you root?",
        -2: "there is no /dev/net/tun: load the module tun",
        -16: "another process holds it",
        -22: "it exists and is no TUN device" if layer == 3 else "it exists and is no TAP device",
    }.get(fd) or port.strerror(-fd)
    error = StartError(f"the device {name} cannot be made: {why}")
    if fd == -1:
        error.status = NEVER
    raise error


def _machine(name, settings, log, device_fd, folder):
    from tunlite.control import daemon, resolver
    from tunlite.plane import features, tuning

    # loads libsodium while we are still who may read it: User may not see into root's home
    port.x25519(bytearray(32), bytearray(32), bytearray(32))
    small = tuning.is_small(port)
    tuned = tuning.Tuning(port, settings, small)
    if device_fd < 0:
        layer = settings.device_layer()
        device_fd = _open_device(name, layer, tuned.offloads_off, tuned.device_queue)
    machine = daemon.Daemon(port, name, device_fd, tuned.record, log, folder)
    for refusal in tuned.refusals(features.rows(port.native, machine.plane.features())):
        log.info(refusal)
    if settings.is_wrapped():
        machine.vxlan = settings.vxlan()
        machine.interface.vxlan_local = machine.vxlan[4]
    machine.interface.rekey_ms = 1000 * settings["RekeyAfter"]
    if small:
        machine.interface.admits_most = 256
    machine.resolve_names(resolver.Resolver(machine, machine.interface.resolved, log))
    return machine


def _serve(machine, listeners, log):
    from tunlite.uapi import server, status

    for path, listener, words in listeners:
        kind = server.Client if words == _CONTROL else server.Reader
        pieces = status.pieces
        if words == _FASTD:
            from tunlite.uapi import fastd_status

            pieces = fastd_status.pieces
        made = server.Server(machine, port, machine.interface, pieces, log, kind)
        machine.serve(made, path)
        made.listen(listener)


def _attach(machine, parent_fd):
    """What the loop listens to."""
    machine.watch_signals(port.signal_fd())
    machine.watch_routes()
    machine.watch_link()
    if parent_fd >= 0:
        machine.watch(parent_fd, port.POLLIN, lambda *_: machine.stop("its parent is gone"))


def start(name, settings, log, detach, forget=None, runner=None):
    """A Child that runs the daemon, in a session of its own. StartError.

    `detach`: it outlives us, and its stdio is /dev/null once it is ready. `forget` is called in it
    first: it wipes the copies of our secrets that come with a fork. `runner`: a runner.Runner.
    """
    ready_read, ready_write = port.pipe()
    alive_read, alive_write = port.pipe()
    pid = port.fork()
    if pid == 0:
        status = 1
        try:
            port.close(ready_read)
            port.close(alive_write)
            if forget is not None:
                forget()
            status = _child(name, settings, log, detach, ready_write, alive_read, runner)
        finally:
            port._exit(status)
    port.close(ready_write)
    port.close(alive_read)
    if runner is not None:
        runner.handed_over()
    word = _read_line(ready_read)
    child = Child(pid, ready_read, alive_write, runner)
    if word == "ready":
        return child
    port.close(ready_read)
    port.close(alive_write)
    status = child.status()
    drop_dead_sockets(name, settings["StatusSocket"])
    error = StartError(word or f"the daemon {programs.describe(status)} before it was ready")
    if status == NEVER:
        error.status = NEVER
    raise error


def _child(name, settings, log, detach, ready_fd, parent_fd, runner):
    port.setsid()
    port.links.close()
    try:
        runner_fd = runner.daemon_fd if runner else -1
        programs.close_others((ready_fd, parent_fd, runner_fd, runner.alive_fd if runner else -1))
        parent = -1 if detach else parent_fd
        machine = open_daemon(name, settings, log, parent_fd=parent, runner_fd=runner_fd)
        if detach:
            port.chdir("/")
            port.detach_stdio()
            port.close(parent_fd)
            log.leave_terminal()
            log.info("ready")
    except Exception as e:
        why = "" if isinstance(e, UserError) else "the daemon cannot be set up: "
        port.os_write(ready_fd, (why + told(e).replace("\n", " ") + "\n").encode())
        return getattr(e, "status", AGAIN)
    port.os_write(ready_fd, b"ready\n")
    try:
        machine.run()
    except Exception as e:
        log.error("ends: " + told(e))
        return AGAIN
    return AGAIN if machine.failed else 0


def _read_line(fd):
    text = b""
    while b"\n" not in text and len(text) < _LINE_MAX:
        part = port.os_read(fd, 1024)
        if not part:
            break
        text += part
    return text.split(b"\n", 1)[0].decode()
