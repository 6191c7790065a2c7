# SPDX-License-Identifier: MIT
"""The port to CPython 3.11 and later on Linux; tunlite/system/port.py says what a port offers."""

import fcntl as _fcntl
import os as _os
import select as _select
import signal as _signal
import sys as _sys
import time as _time

from tunlite.system import (
    cpython_links as _links,
    cpython_native as _native,
    cpython_sockets as _sockets,
)

native = _native.native
x25519 = _native.x25519
links = _links.links
unix_listen = _sockets.unix_listen
unix_accept = _sockets.unix_accept
unix_connect = _sockets.unix_connect
unix_send = _sockets.unix_send
packet_pair = _sockets.packet_pair
watch_path = _sockets.watch_path
watch_folder = _sockets.watch_folder
link_monitor = links.link_monitor
link_changes = links.link_changes
route_monitor = links.route_monitor
route_changes = links.route_changes
resolve = _sockets.resolve
inet_pton = _sockets.inet_pton

# ---- time and chance ----


def now_ms():
    return _time.clock_gettime_ns(_time.CLOCK_BOOTTIME) // 1_000_000


def wall_ns():
    now = bytearray(8)
    synchronised = native.tl_clock(1, now)
    return int.from_bytes(now, "little"), synchronised == 1


def local_seconds():
    now = int(_time.time())
    return now + _time.localtime(now).tm_gmtoff


def keep_back(_flag):
    """Nothing: this heap has no bound."""


def sleep_ms(ms):
    _time.sleep(ms / 1000)


def random_bytes(n):
    out = bytearray(n)
    if n and native.tl_random(out, n) != 0:
        raise OSError(5, "getrandom")
    return out


# ---- process ----

getpid = _os.getpid
getppid = _os.getppid
pidfd_open = _os.pidfd_open
setsid = _os.setsid
chdir = _os.chdir
getcwd = _os.getcwd
kill = _os.kill
umask = _os.umask
_exit = _os._exit
isatty = _os.isatty
strerror = _os.strerror
environ_get = _os.environ.get


def fork():
    # Who started us may have had it ignored: nobody could be told how a child ended.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    return _os.fork()


def waitpid(pid, block):
    found, status = _os.waitpid(pid, 0 if block else _os.WNOHANG)
    if not found:
        return None
    if _os.WIFSIGNALED(status):
        return 256 + _os.WTERMSIG(status)
    return _os.WEXITSTATUS(status)


def executable():
    root = _os.path.dirname(_os.path.dirname(_os.path.dirname(_os.path.abspath(__file__))))
    start = f"import sys; sys.path.insert(0, {root!r}); from tunlite.__main__ import main; "
    # -P: without it the current folder, which may be anyone's, comes before Python's own modules.
    return [_sys.executable, "-P", "-c", start + "sys.exit(main())"]


def lookup_user(name):
    import pwd

    try:
        row = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        raise OSError(2, "no user " + name) from None
    return row.pw_uid, row.pw_gid


def lookup_group(name):
    import grp

    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise OSError(2, "no group " + name) from None


def detach_stdio():
    null = _os.open("/dev/null", _os.O_RDWR)
    for fd in (0, 1, 2):
        _os.dup2(null, fd)
    if null > 2:
        _os.close(null)


def _hold_stdio():
    """What is opened later must become none of 0, 1 and 2 where we were started without them."""
    fd = 0
    while fd < 3:
        try:
            fd = _os.open("/dev/null", _os.O_RDWR)
        except OSError:
            return  # no /dev here
        _os.set_inheritable(fd, True)
    _os.close(fd)


_hold_stdio()


def print_err(text):
    try:
        _os.write(2, (text + "\n").encode("utf-8", "replace"))
    except OSError:
        pass  # no one is left to read it


def write_out(data):
    view = memoryview(data.encode() if isinstance(data, str) else data)
    while view:
        view = view[_os.write(1, view) :]


# ---- signals ----

_SIGNALS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP)


def signal_fd():
    readable, writable = pipe()
    _os.set_blocking(readable, False)
    _os.set_blocking(writable, False)
    _signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in _SIGNALS:
        # Python writes the number to the wake-up descriptor only where a handler is set.
        _signal.signal(number, lambda signum, frame: None)
    return readable


# ---- files ----

mkdir = _os.mkdir
rmdir = _os.rmdir
unlink = _os.unlink
rename = _os.rename
listdir = _os.listdir
readlink = _os.readlink
chmod = _os.chmod
chown = _os.chown


def open_read(path):
    return _os.open(path, _os.O_RDONLY | _os.O_CLOEXEC)


def open_path(path):
    return _os.open(path, _os.O_PATH | _os.O_CLOEXEC)


def lock(path):
    fd = open_read(path)
    _fcntl.flock(fd, _fcntl.LOCK_EX)
    return fd


def read_file(path):
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def write_file(path, data):
    with open(path, "wb", buffering=0) as file:
        file.write(data)


def write_file_atomic(path, data, mode):
    folder = _os.path.dirname(path) or "."
    half = "{}.{}.new".format(path, getpid())
    try:
        _os.unlink(half)  # a crash's: after a boot pids are the same again
    except FileNotFoundError:
        pass
    fd = _os.open(half, _os.O_WRONLY | _os.O_CREAT | _os.O_EXCL | _os.O_CLOEXEC, mode)
    try:
        try:
            _os.fchmod(fd, mode)
            view = memoryview(data)
            while view:
                view = view[_os.write(fd, view) :]
            _os.fsync(fd)
        finally:
            _os.close(fd)
        _os.rename(half, path)
    except OSError:
        _os.unlink(half)
        raise
    fd = _os.open(folder, _os.O_RDONLY | _os.O_DIRECTORY | _os.O_CLOEXEC)
    try:
        _os.fsync(fd)
    finally:
        _os.close(fd)


def stat(path):
    row = _os.stat(path)
    return row.st_mode, row.st_uid, row.st_gid, row.st_size


# ---- descriptors ----

POLLIN = _select.POLLIN
POLLOUT = _select.POLLOUT
POLLERR = _select.POLLERR
POLLHUP = _select.POLLHUP

pipe = _os.pipe
os_read = _os.read
os_write = _os.write


def read_into(fd, buffer):
    return _os.readv(fd, [buffer])


close = _os.close
set_blocking = _os.set_blocking


def poll(rows, timeout_ms):
    poller = _select.poll()
    for fd, events in rows:
        poller.register(fd, events)
    return poller.poll(None if timeout_ms < 0 else timeout_ms)
