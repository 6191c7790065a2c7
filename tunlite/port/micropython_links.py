# SPDX-License-Identifier: MIT
"""Links, addresses, routes and rules for MicroPython: rtnetlink_links.py over a socket."""

import _os

from tunlite.port import rtnetlink_links

_NETLINK_ROUTE = 0


def netlink_socket(flags):
    """An rtnetlink descriptor; `flags` are added to its type."""
    return _os.socket(_os.AF_NETLINK, _os.SOCK_RAW | flags, _NETLINK_ROUTE)


links = rtnetlink_links.Links(lambda: netlink_socket(0), _os.read, _os.write, _os.close)
