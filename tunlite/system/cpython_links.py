# SPDX-License-Identifier: MIT
"""Links, addresses, routes and rules for CPython: rtnetlink_links.py over a socket."""

import os
import socket

from tunlite.system import rtnetlink_links


def _open():
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    return netlink.detach()


def _monitor(groups):
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    netlink.bind((0, groups))
    netlink.setblocking(False)
    return netlink.detach()


def _read_into(fd, buffer):
    return os.readv(fd, [buffer])


def new():
    return rtnetlink_links.Links(_open, _monitor, os.read, _read_into, os.write, os.close)


links = new()
