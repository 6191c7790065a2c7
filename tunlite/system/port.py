# SPDX-License-Identifier: MIT
"""What system and interpreter offer; nothing else in tunlite knows which one it runs on.

Every port has the names below. Descriptors are ints. Failures raise OSError with its errno as
first argument, and never a subclass that a caller would have to know. Paths are str, data is
bytes-like, times are milliseconds unless the name says otherwise.

The border and its companions
    native                      tl_* of native/include/tunlite.h, called as in C: an int for an int,
                                bytes, bytearray, memoryview or None for a pointer, lengths spelt
                                out. Returns C's int. Sizes are checked: a buffer shorter than its
                                length argument, or not of the length that its parameter's name
                                ends in, is a ValueError, not a write into foreign memory.
    x25519(out, k, u)           RFC 7748 on three 32-byte buffers, constant time; False where the
                                result is all zero (then `out` is zero too)
    random_bytes(n)             bytearray from getrandom(2)

Time
    now_ms()                    CLOCK_BOOTTIME
    wall_ns()                   (nanoseconds since 1970, whether the kernel calls them synchronised)
    local_seconds()             since 1970 as clocks on walls show it; UTC where no zone is known
    sleep_ms(ms)

Process
    getpid()  getppid()  setsid()  _exit(status)  umask(mask) -> the old mask
    chdir(path)  getcwd()
    fork()                      0 in the child, whose end can be waited for, also where whoever
                                started us had SIGCHLD ignored
    waitpid(pid, block)         exit status, 256 + signal, or None while it runs and block is False
    pidfd_open(pid)             a descriptor that polls readable when the process has ended
    kill(pid, signal)           signal 0 asks whether it is there
    environ_get(name)           str or None
    executable()                argv prefix that runs this program again
    lookup_user(name)           (uid, gid); a number is a name too; OSError(ENOENT)
    lookup_group(name)          gid; OSError(ENOENT)
    detach_stdio()              0, 1 and 2 become /dev/null; those that were closed are it from the
                                start
    print_err(text)             one line to stderr
    write_out(data)             all of a str or bytes to stdout
    isatty(fd)
    keep_back(flag)             whether a quarter of the heap is kept from what is allocated now;
                                nothing where the heap has no bound
    strerror(errno)             the system's words for an error's number

Signals
    signal_fd()                 a descriptor whose bytes are the numbers of the SIGTERM, SIGINT and
                                SIGHUP that arrived since; SIGPIPE is ignored from the start

Files
    read_file(path)             bytes; of /proc too
    write_file(path, data)      in place (sysctl files)
    write_file_atomic(path, data, mode)
                                a new file beside it, fsync, rename, fsync of the folder
    open_read(path)             a descriptor
    open_path(path)             one that holds what is there and opens it in no way: /proc/self/fd/N
                                is that, whatever becomes of the name
    readlink(path)              what a symlink says
    lock(path)                  waits until nobody else has locked the file or folder; a descriptor,
                                close() unlocks
    mkdir(path, mode)  unlink(path)  rmdir(path)  rename(old, new)  listdir(path) -> list of str
    stat(path)                  (mode with type bits, uid, gid, size), links followed
    chmod(path, mode)  chown(path, uid, gid)

Descriptors
    pipe()                      (read, write), both close-on-exec
    os_read(fd, n)              bytes, b"" at the end; of sockets too
    read_into(fd, buffer)       count, 0 at the end: for what may be secret, and is to be wiped
    os_write(fd, data)          count; of sockets too
    close(fd)  set_blocking(fd, flag)
    poll(rows, timeout_ms)      rows of (fd, events), -1 waits for ever: list of (fd, events)
    POLLIN  POLLOUT  POLLERR  POLLHUP

AF_UNIX (all non-blocking)
    unix_listen(path, mode, gid)   a file that a dead listener left behind is replaced, a live one
                                is OSError(EADDRINUSE); gid -1 leaves the group
    unix_accept(fd)
    unix_connect(path)          never waits: OSError(EAGAIN) while too many wait at its door
    unix_send(path, data)       one datagram to who is bound there; never waits: OSError(EAGAIN)
    packet_pair()               (one end, the other): what is written to one is read from the other,
                                packet by packet

Watching
    watch_path(path)            a descriptor that becomes readable when the file changes or goes,
                                or None where there is no such thing; read it empty, then look
    watch_folder(path)          likewise when a file in the folder changes, comes or goes
    link_monitor()              a descriptor that becomes readable when a link changes
    link_changes(fd)            list of (ifindex, name, up, mtu, deleted) since the last call;
                                OSError(ENOBUFS): some were lost, look anew
    route_monitor()             likewise when a route or a rule changes
    route_changes(fd, heads, let_turn)
                                adds to the set `heads` what changed, for rtnetlink.covered_by();
                                OSError(ENOBUFS)

Links: `links`, an object with
    close()                     its socket; a child of fork() must, as it shares its parent's
    link_get(name, netns)       (ifindex, mtu, up) or None; netns: descriptor of another network
                                namespace to look in, or nothing
    address_of(index)  its 6 bytes of an Ethernet address, or None
    mtu_of(index)  name_of(index)  of the link with that number, 0 and "" where there is none
    above(index)                set of ifindex: the link and all that send through it, as bridges,
                                VLANs and tunnels bound to it do
    set_up(name)  set_mtu(name, mtu)
    rename(name, new)
    no_own_address(name)        the kernel gives it no link-local address (addr_gen_mode none)
    addr_add(name, address)     an address is a prefix of addresses.py: (family, bytes, bits)
    addr_del(name, address)
    addresses(index)            of the link with that number: rows (address bytes, prefix bits,
                                scope, flags), as rtnetlink(7) has them
    route_add(name, prefix, table)  route_del(name, prefix, table); table 0 is the main one
    peer_route(index, prefix, table, delete)
                                adds or removes one with our own protocol number, 116
    routes(family, table)       yields (prefix, ifindex or 0, mtu of the route or 0), of equal
                                prefixes the best first; read it to its end
    route_get(family, address, mark, source=None)
                                (ifindex, mtu of the route or 0) that a packet there would take
                                from the source address, or None
    rule_add(family, rule) -> the rule with the `priority` that the kernel gave it
    rule_del(family, rule)
                                a rule is a dict: `table`, and `mark` (with `invert`), or
                                `suppress_prefixlength`

Addresses
    inet_pton(text)             the 4 bytes of "192.0.2.1" or the 16 of "2001:db8::1", None for
                                anything else

Names
    resolve(host, port)         blocking; list of (family, address bytes, port, scope id). Only the
                                resolver's child calls it. OSError with the resolver's EAI_ number
                                where there is no answer.
"""

import sys

if sys.implementation.name == "micropython":
    from tunlite.system.micropython import *  # noqa: F403
    from tunlite.system.micropython import _exit  # noqa: F401
else:
    from tunlite.system.cpython import *  # noqa: F403
    from tunlite.system.cpython import _exit  # noqa: F401
