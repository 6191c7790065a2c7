# SPDX-License-Identifier: MIT
"""The port: files, descriptors, sockets, processes and signals of the machine it runs on."""

import errno
import sys

from tunlite import errors, programs
from tunlite.system import port

folder = sys.argv[1]


def attempt(label, function, *arguments):
    try:
        print(label, function(*arguments))
    except OSError as e:
        print(label, "errno", e.args[0] == getattr(errno, label.split()[0]))


name = folder + "/file"
port.write_file_atomic(name, b"hello", 0o600)
print(port.read_file(name), oct(port.stat(name)[0]), port.stat(name)[3])
port.chmod(name, 0o640)
port.rename(name, name + "2")
port.mkdir(folder + "/sub", 0o700)
print(sorted(port.listdir(folder)))
fd = port.open_read(name + "2")
print(port.readlink(f"/proc/self/fd/{fd}") == name + "2")
port.close(fd)
held = port.open_path(name + "2")
port.rename(name + "2", name + "3")
port.write_file_atomic(name + "2", b"another", 0o600)
here = f"/proc/self/fd/{held}"
fd = port.open_read(here)
print("held", port.stat(here)[3], port.os_read(fd, 10))
port.close(fd)
port.close(held)
attempt("ENOENT path", port.open_path, name)
port.rename(name + "3", name + "2")
attempt("ENOENT readlink", port.readlink, name)
attempt("ENOENT open", port.read_file, name)
attempt("EEXIST mkdir", port.mkdir, folder + "/sub", 0o700)
attempt("ENOTEMPTY rmdir", port.rmdir, folder)
port.rmdir(folder + "/sub")
port.unlink(name + "2")

ends = port.pipe()
port.set_blocking(ends[0], False)
attempt("EAGAIN read", port.os_read, ends[0], 10)
print(port.poll([(ends[0], port.POLLIN)], 0), port.os_write(ends[1], b"abc"))
print(port.poll([(ends[0], port.POLLIN)], 1000) == [(ends[0], port.POLLIN)])
print(port.os_read(ends[0], 10))
port.close(ends[1])
print(port.os_read(ends[0], 10))
attempt("EBADF close", port.close, ends[1])

path = folder + "/socket"
listener = port.unix_listen(path, 0o600, -1)
print(oct(port.stat(path)[0] & 0o777))
attempt("ENOENT lock", port.lock, path + "x")
lock = port.lock(folder)
left = programs.start(["sleep", "60"])
print("locked", programs.run(["flock", "-n", folder, "true"]))
port.close(lock)
print("not by what was started meanwhile", programs.run(["flock", "-n", folder, "true"]))
programs.kill(left, 9)
port.poll([(left, port.POLLIN)], 5000)
print(programs.reap(left))
attempt("EADDRINUSE listen", port.unix_listen, path, 0o600, -1)
port.close(port.unix_accept(listener))  # the look whether somebody listens
client = port.unix_connect(path)
server = port.unix_accept(listener)
port.os_write(client, b"question")
print(port.os_read(server, 100))
port.close(listener)
again = port.unix_listen(path, 0o600, -1)
watched = port.watch_path(path)
port.unlink(path)
print(port.poll([(watched, port.POLLIN)], 2000) == [(watched, port.POLLIN)])
port.close(watched)

peers = folder + "/peers"
print(port.watch_folder(peers))
port.mkdir(peers, 0o700)
watched = port.watch_folder(peers)


def told(what, change, *arguments):
    """Whether that change can be read of, once."""
    change(*arguments)
    seen = port.poll([(watched, port.POLLIN)], 2000) == [(watched, port.POLLIN)]
    try:
        while port.os_read(watched, 4096):
            pass
    except OSError as e:
        print(what, seen, e.args[0] == errno.EAGAIN, port.poll([(watched, port.POLLIN)], 0))


told("comes", port.write_file_atomic, peers + "/a", b"[Peer]", 0o600)
told("is written", port.write_file_atomic, peers + "/a", b"[Peer] ", 0o600)
told("is moved", port.rename, peers + "/a", peers + "/b")
told("may be read", port.chmod, peers + "/b", 0o640)
port.read_file(peers + "/b")
print("was read", port.poll([(watched, port.POLLIN)], 0))
told("goes", port.unlink, peers + "/b")
told("has a folder", port.mkdir, peers + "/sub", 0o700)
told("has none", port.rmdir, peers + "/sub")
told("goes itself", port.rmdir, peers)
port.close(watched)
attempt("ENOENT connect", port.unix_connect, path)
attempt("ENOENT send", port.unix_send, path, b"x")
print(port.local_seconds() > 1_700_000_000)
print(port.strerror(2), port.strerror(28), errors.said(OSError(28)), errors.said(OSError(28, "x")))

signals = port.signal_fd()
for number in (15, 1, 2):
    port.kill(port.getpid(), number)
    port.poll([(signals, port.POLLIN)], 2000)
    print(list(port.os_read(signals, 10)))

child = port.fork()
if child == 0:
    port._exit(7)
print(port.waitpid(child, True))
child = port.fork()
if child == 0:
    port.sleep_ms(10_000)
    port._exit(0)
print(port.waitpid(child, False))
port.kill(child, 9)
print(port.waitpid(child, True))
attempt("ECHILD wait", port.waitpid, child, True)

before = port.now_ms()
port.sleep_ms(20)
print(20 <= port.now_ms() - before < 5000)
print(port.wall_ns()[0] > 1_700_000_000 * 10**9)
print(port.lookup_user("root"), port.lookup_group("root"), port.lookup_group("5"))
attempt("ENOENT user", port.lookup_user, "nobody-has-this-name")
print(len(port.random_bytes(40)), port.random_bytes(16) == port.random_bytes(16))
print(port.resolve("127.0.0.1", 51820), port.resolve("::1", 1))
print(port.resolve("010.0.0.1", 1), port.resolve("0x7f.0.0.0x1", 1), port.resolve("10.1", 1))
print(port.environ_get("TUNLITE_BOTH"), port.environ_get("TUNLITE_NOT_THERE"))

argv = b"/bin/sh\0-c\0read line; echo got $line; exit 3\0"
give, out = port.pipe(), port.pipe()
pidfd = port.native.tl_spawn(argv, len(argv), None, 0, give[0], out[1], -1)
port.close(out[1])
port.os_write(give[1], b"word\n")
print(port.os_read(out[0], 100))
port.poll([(pidfd, port.POLLIN)], 5000)
print(port.native.tl_reap(pidfd))

print(port.links.link_get("lo")[0], port.links.link_get("no-such-link"))
port.write_out("text\n")
port.write_out(b"bytes\n")
