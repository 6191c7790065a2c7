# SPDX-License-Identifier: MIT
"""The port to MicroPython, over micropython/modos.c. tunlite/system/port.py has the names."""

import errno
import sys

import _os
import _tunlite
import _x25519

from tunlite.system import micropython_links as _links

native = _tunlite
links = _links.links
x25519 = _x25519.x25519
resolve = _os.resolve
inet_pton = _os.inet_pton
keep_back = _os.keep_back

_SIGHUP = 1
_SIGINT = 2
_SIGTERM = 15
_S_IFMT = 0xF000
_S_IFSOCK = 0xC000
_SUN_PATH = 108
_IN_FOLDER = 0xFCC  # attributes, closed after writing, moved, created, deleted; itself too

# ---- time and chance ---------------------------------------------------------------------------

now_ms = _os.now_ms


def wall_ns():
    now = bytearray(8)
    synchronised = native.tl_clock(1, now)
    return int.from_bytes(now, "little"), synchronised == 1


def local_seconds():
    return wall_ns()[0] // 1000000000  # no time zones here


def sleep_ms(ms):
    poll([], ms)


def random_bytes(n):
    out = bytearray(n)
    if n and native.tl_random(out, n) != 0:
        raise OSError(errno.EIO, "getrandom")
    return out


# ---- process -----------------------------------------------------------------------------------

getpid = _os.getpid
getppid = _os.getppid
pidfd_open = _os.pidfd_open
setsid = _os.setsid
fork = _os.fork
waitpid = _os.waitpid
kill = _os.kill
umask = _os.umask
_exit = _os._exit
isatty = _os.isatty
strerror = _os.strerror
environ_get = _os.getenv


def executable():
    return [_os.readlink("/proc/self/exe")]


def _lookup(path, name, what):
    """The fields of a row in a file such as /etc/passwd."""
    for line in read_file(path).split(b"\n"):
        row = line.decode().split(":")
        if row[0] == name and len(row) > 3:
            return row
    raise OSError(errno.ENOENT, "no " + what + " " + name)


def lookup_user(name):
    if name.isdigit():
        # A number needs no row; it has a group where it has one.
        uid = int(name)
        for line in read_file("/etc/passwd").split(b"\n"):
            row = line.decode().split(":")
            if len(row) > 3 and row[2] == name:
                return uid, int(row[3])
        raise OSError(errno.ENOENT, "no user " + name)
    row = _lookup("/etc/passwd", name, "user")
    return int(row[2]), int(row[3])


def lookup_group(name):
    if name.isdigit():
        return int(name)
    return int(_lookup("/etc/group", name, "group")[2])


def detach_stdio():
    null = _os.open("/dev/null", _os.O_RDWR, 0)
    for fd in (0, 1, 2):
        _os.dup2(null, fd)
    if null > 2:
        close(null)


def print_err(text):
    try:
        _os.write(2, text + "\n")
    except OSError:
        pass  # no one is left to read it


def write_out(data):
    _write_all(1, data)


# ---- signals -----------------------------------------------------------------------------------


def signal_fd():
    readable, writable = pipe()
    set_blocking(readable, False)
    set_blocking(writable, False)
    _os.signals(writable, (_SIGTERM, _SIGINT, _SIGHUP))
    return readable


# ---- files -------------------------------------------------------------------------------------

mkdir = _os.mkdir
rmdir = _os.rmdir
chdir = _os.chdir
getcwd = _os.getcwd
unlink = _os.unlink
rename = _os.rename
listdir = _os.listdir
readlink = _os.readlink
stat = _os.stat
chmod = _os.chmod
chown = _os.chown


def _write_all(fd, data):
    view = memoryview(data.encode() if isinstance(data, str) else data)
    while view:
        view = view[_os.write(fd, view) :]


def _folder_of(path):
    at = path.rfind("/")
    return path[:at] or "/" if at >= 0 else "."


def open_read(path):
    return _os.open(path, _os.O_RDONLY, 0)


def open_path(path):
    return _os.open(path, _os.O_PATH, 0)


def lock(path):
    fd = open_read(path)
    _os.flock(fd)
    return fd


def read_file(path):
    fd = open_read(path)
    try:
        parts = []
        while True:
            part = _os.read(fd, 4096)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        close(fd)


def write_file(path, data):
    fd = _os.open(path, _os.O_WRONLY | _os.O_CREAT | _os.O_TRUNC, 0o666)
    try:
        _write_all(fd, data)
    finally:
        close(fd)


def write_file_atomic(path, data, mode):
    half = "{}.{}.new".format(path, getpid())
    try:
        unlink(half)  # a crash's: after a boot pids are the same again
    except OSError as e:
        if e.errno != errno.ENOENT:
            raise
    fd = _os.open(half, _os.O_WRONLY | _os.O_CREAT | _os.O_EXCL, mode)
    try:
        try:
            _os.fchmod(fd, mode)
            _write_all(fd, data)
            _os.fsync(fd)
        finally:
            close(fd)
        rename(half, path)
    except OSError:
        unlink(half)
        raise
    fd = _os.open(_folder_of(path), _os.O_RDONLY | _os.O_DIRECTORY, 0)
    try:
        _os.fsync(fd)
    finally:
        close(fd)


# ---- descriptors -------------------------------------------------------------------------------

POLLIN = _os.POLLIN
POLLOUT = _os.POLLOUT
POLLERR = _os.POLLERR
POLLHUP = _os.POLLHUP

pipe = _os.pipe
poll = _os.poll
os_read = _os.read
read_into = _os.read_into
os_write = _os.write
close = _os.close
set_blocking = _os.set_blocking

# ---- AF_UNIX -----------------------------------------------------------------------------------


def _unix_address(path):
    name = path.encode()
    if len(name) >= _SUN_PATH:
        raise OSError(errno.ENAMETOOLONG, "socket path " + path)
    return _os.AF_UNIX.to_bytes(2, sys.byteorder) + name + b"\0"


def unix_connect(path):
    client = _os.socket(_os.AF_UNIX, _os.SOCK_STREAM | _os.SOCK_NONBLOCK, 0)
    try:
        _os.connect(client, _unix_address(path))
    except OSError:
        close(client)
        raise
    return client


def unix_send(path, data):
    sender = _os.socket(_os.AF_UNIX, _os.SOCK_DGRAM | _os.SOCK_NONBLOCK, 0)
    try:
        _os.connect(sender, _unix_address(path))
        _os.write(sender, data)
    finally:
        close(sender)


def _somebody_listens(path):
    try:
        close(unix_connect(path))
    except OSError as e:
        if e.errno in (errno.ECONNREFUSED, errno.ENOENT):
            return False
        if e.errno != errno.EAGAIN:  # it is there, and slow to let others in
            raise
    return True


def _remove_dead(path):
    """Removes the file of a listener that is gone; EADDRINUSE where it is not one."""
    try:
        mode = _os.lstat(path)[0]
    except OSError as e:
        if e.errno == errno.ENOENT:
            return
        raise
    if mode & _S_IFMT != _S_IFSOCK or _somebody_listens(path):
        raise OSError(errno.EADDRINUSE, "another process listens on " + path)
    unlink(path)


def unix_listen(path, mode, gid):
    _remove_dead(path)
    listener = _os.socket(_os.AF_UNIX, _os.SOCK_STREAM | _os.SOCK_NONBLOCK, 0)
    old_mask = umask(0o777 & ~mode)
    try:
        _os.bind(listener, _unix_address(path))
        try:
            if gid >= 0:
                chown(path, -1, gid)
            _os.listen(listener, 16)
        except OSError:
            unlink(path)
            raise
    except OSError:
        close(listener)
        raise
    finally:
        umask(old_mask)
    return listener


def unix_accept(fd):
    return _os.accept(fd)


packet_pair = _os.packet_pair


# ---- watching ----------------------------------------------------------------------------------


def watch_path(path):
    # The name going away changes the link count; the inode itself lives on in the open socket.
    try:
        return _os.watch(path, _os.IN_ATTRIB | _os.IN_DELETE_SELF | _os.IN_MOVE_SELF)
    except OSError:
        return None


def watch_folder(path):
    try:
        return _os.watch(path, _IN_FOLDER)
    except OSError:
        return None


link_monitor = links.link_monitor
link_changes = links.link_changes
route_monitor = links.route_monitor
route_changes = links.route_changes
