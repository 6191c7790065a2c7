# SPDX-License-Identifier: MIT
"""Sockets for CPython: AF_UNIX, inotify, names. Descriptors are ints."""

import errno
import os
import socket
import stat

_IN_ATTRIB = 0x4
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800
_IN_FOLDER = 0xFCC  # attributes, closed after writing, moved, created, deleted; itself too


def _somebody_listens(path):
    try:
        os.close(unix_connect(path))
    except OSError as e:
        if e.errno in (errno.ECONNREFUSED, errno.ENOENT):
            return False
        if e.errno != errno.EAGAIN:  # it is there, and slow to let others in
            raise
    return True


def unix_listen(path, mode, gid):
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        found = None
    if found:
        if not stat.S_ISSOCK(found.st_mode) or _somebody_listens(path):
            raise OSError(errno.EADDRINUSE, "another process listens on " + path)
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    old_mask = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
        try:
            if gid >= 0:
                os.chown(path, -1, gid)
            listener.listen(16)
        except OSError:
            os.unlink(path)
            raise
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(old_mask)
    return listener.detach()


def unix_accept(fd):
    listener = socket.socket(fileno=fd)
    try:
        client, _ = listener.accept()
    finally:
        listener.detach()
    client.setblocking(False)
    return client.detach()


def unix_connect(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        client.connect(path)
    except OSError:
        client.close()
        raise
    return client.detach()


def unix_send(path, data):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sender.sendto(data, path)


def packet_pair():
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
    return pair[0].detach(), pair[1].detach()


def watch_path(path):
    # The name going away changes the link count; the inode itself lives on in the open socket.
    return _watched(path, _IN_ATTRIB | _IN_DELETE_SELF | _IN_MOVE_SELF)


def watch_folder(path):
    return _watched(path, _IN_FOLDER)


def _watched(path, mask):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return None
    if libc.inotify_add_watch(fd, os.fsencode(path), mask) < 0:
        os.close(fd)
        return None
    return fd


def inet_pton(text):
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):  # a NUL, or not ASCII
        return None


def resolve(host, port):
    found = []
    for family, _, _, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, proto=socket.IPPROTO_UDP
    ):
        if family == socket.AF_INET:
            found.append((4, socket.inet_pton(family, address[0]), address[1], 0))
        elif family == socket.AF_INET6:
            plain = address[0].split("%", 1)[0]
            found.append((6, socket.inet_pton(family, plain), address[1], address[3]))
    return found
