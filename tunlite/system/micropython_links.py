# SPDX-License-Identifier: MIT
"""Links, addresses, routes and rules for MicroPython: rtnetlink_links.py over a socket."""

import _os

from tunlite.system import rtnetlink_links, rtnetlink_requests

_NETLINK_ROUTE = 0


def _open(flags=0):
    return _os.socket(_os.AF_NETLINK, _os.SOCK_RAW | flags, _NETLINK_ROUTE)


def _monitor(groups):
    netlink = _open(_os.SOCK_NONBLOCK)
    _os.bind(netlink, rtnetlink_requests.socket_address(_os.AF_NETLINK, groups))
    return netlink


links = rtnetlink_links.Links(_open, _monitor, _os.read, _os.read_into, _os.write, _os.close)
