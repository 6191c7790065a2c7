# SPDX-License-Identifier: MIT
"""The daemon as a process of its own: a confined child of a parent that keeps root's rights.

The child opens device and socket, gives up its privileges and says so through a pipe; only then
does start() return. The pipe stays open as long as the child lives, and a second one tells the
child that its parent is gone.
"""

from tunlite import client, port, privileges

_LINE_MAX = 4096


class StartError(Exception):
    """The daemon did not come up; args[0] says why."""


class Child:
    """A daemon that is up. `fd` reads as ended when it has ended."""

    def __init__(self, pid, fd, alive_fd):
        self.pid = pid
        self.fd = fd
        self._alive_fd = alive_fd  # our end; the child ends when it closes

    def status(self):
        """Waits for its end: exit status, 256 + signal."""
        return port.waitpid(self.pid, True)


def open_daemon(name, settings, log, device_fd=-1, parent_fd=-1):
    """A Daemon with device and socket, in this process, which is confined. StartError."""
    from tunlite import daemon

    try:
        owner = privileges.Owner(settings)
        folder = privileges.prepare_folders(settings, owner)
        machine = daemon.Daemon(name, settings, log, folder)
        machine.open(client.socket_path(name), owner.socket_mode(), owner.gid, device_fd=device_fd)
        try:
            privileges.confine(owner, settings.get("ListenPort", 0))
        except privileges.PrivilegeError:
            machine.close()
            raise
    except (privileges.PrivilegeError, daemon.DaemonError) as e:
        raise StartError(e.args[0])
    if parent_fd >= 0:
        machine.watch_parent(parent_fd)
    return machine


def start(name, settings, log, detach):
    """A Child that runs the daemon, in a session of its own. StartError.

    `detach`: it outlives us, and its stdio is /dev/null once it is ready.
    """
    ready_read, ready_write = port.pipe()
    alive_read, alive_write = port.pipe()
    pid = port.fork()
    if pid == 0:
        status = 1
        try:
            port.close(ready_read)
            port.close(alive_write)
            status = _child(name, settings, log, detach, ready_write, alive_read)
        finally:
            port._exit(status)
    port.close(ready_write)
    port.close(alive_read)
    word = _read_line(ready_read)
    if word == "ready":
        return Child(pid, ready_read, alive_write)
    port.close(ready_read)
    port.close(alive_write)
    port.waitpid(pid, True)
    raise StartError(word or "the daemon ended before it was ready")


def _child(name, settings, log, detach, ready_fd, parent_fd):
    port.setsid()
    try:
        machine = open_daemon(name, settings, log, parent_fd=-1 if detach else parent_fd)
    except StartError as e:
        port.os_write(ready_fd, (e.args[0] + "\n").encode())
        return 1
    if detach:
        port.chdir("/")
        port.detach_stdio()
        port.close(parent_fd)
    port.os_write(ready_fd, b"ready\n")
    return machine.run()


def _read_line(fd):
    text = b""
    while b"\n" not in text and len(text) < _LINE_MAX:
        part = port.os_read(fd, 1024)
        if not part:
            break
        text += part
    return text.split(b"\n", 1)[0].decode()
