# SPDX-License-Identifier: MIT
"""Links, addresses, routes and rules over an rtnetlink socket, for both interpreters.

Why not pyroute2 on CPython: it takes 21 MB of resident memory and 0.15 s to import, and there would
be two ways to add a route to keep alike. The tests compare our messages with its own.
"""

import errno

from tunlite.system import rtnetlink, rtnetlink_requests as requests

_MAIN = 254
_HEADS_MAX = 4096
_READ = 32768  # the kernel fills at most this much of one answer
_READ_ONE = 8192  # and a page or two where it is one message


class Links:
    """`links` of tunlite/system/port.py. open() gives a connected rtnetlink descriptor,
    monitor(groups) one that hears of changes and does not wait; read, read_into, write and close
    work on them as port.os_read, read_into, os_write and close do."""

    def __init__(self, open, monitor, read, read_into, write, close):
        self._open = open
        self._monitor = monitor
        self._read = read
        self._read_into = read_into
        self._write = write
        self._close = close
        self._fd = -1
        self._sequence = 0

    def _answers(self, request):
        """Payloads of the answers to a request; the kernel's refusal is an OSError with its errno.

        A generator: a router's routing table is never in memory as a whole. Read it to its end, or
        call close().
        """
        if self._fd < 0:
            self._fd = self._open()
        self._sequence += 1
        self._write(self._fd, requests.finish(request, self._sequence))
        many = requests.is_dump(request)
        while True:
            data = memoryview(self._read(self._fd, _READ if many else _READ_ONE))
            for kind, _, sequence, at, end in rtnetlink.messages(data):
                if sequence != self._sequence:
                    continue  # what is left of an answer that was not read to its end
                if kind == requests.DONE:
                    return
                if kind == requests.ERROR:
                    number = requests.error_of(data[at:end])
                    if number:
                        raise OSError(number, "rtnetlink")
                    return
                yield data[at:end]
                if not many:
                    return

    def _ask(self, request):
        for _ in self._answers(request):
            pass

    def close(self):
        if self._fd >= 0:
            self._close(self._fd)
            self._fd = -1

    # ---- changes

    def link_monitor(self):
        return self._monitor(rtnetlink.LINKS)

    def link_changes(self, fd):
        rows = []
        rtnetlink.drain(self._read_into, fd, lambda data: rows.extend(rtnetlink.parse_links(data)))
        return rows

    def route_monitor(self):
        return self._monitor(rtnetlink.ROUTES)

    def route_changes(self, fd, heads, let_turn):
        def take(data):
            heads.update(rtnetlink.route_heads(data))
            let_turn()

        rtnetlink.drain(self._read_into, fd, take)
        if len(heads) > _HEADS_MAX:
            raise OSError(errno.ENOBUFS, "rtnetlink")

    # ---- links

    def _netns_id(self, netns):
        """The number that our namespace has for another, which it gets now where it has none."""
        for payload in self._answers(requests.get_netns_id(netns)):
            return requests.netns_id_of(payload)

    def link_get(self, name, netns=-1):
        rows = ()
        if netns >= 0:
            if self._netns_id(netns) < 0:
                self._ask(requests.new_netns_id(netns))
            rows = (requests.in_netns(self._netns_id(netns)),)
        try:
            for payload in self._answers(requests.get_link(name, *rows)):
                return requests.link_of(payload)
        except OSError as e:
            if e.errno != errno.ENODEV:
                raise
        return None

    def _by_index(self, index, read):
        try:
            for payload in self._answers(requests.get_link_by_index(index)):
                return read(payload)
        except OSError as e:
            if e.errno not in (errno.ENODEV, errno.EINVAL):  # EINVAL: 0 is no index
                raise
        return None

    def mtu_of(self, index):
        return (self._by_index(index, requests.link_of) or (0, 0))[1]

    def name_of(self, index):
        return self._by_index(index, requests.name_of) or ""

    def address_of(self, index):
        return self._by_index(index, requests.ethernet_of)

    def above(self, index):
        found = {index}
        rows = [requests.layers_of(payload) for payload in self._answers(requests.get_links())]
        size = 0
        while size != len(found):
            size = len(found)
            for own, master, lower in rows:
                if lower in found:
                    found.add(own)
                if master and own in found:
                    found.add(master)
        return found

    def _index(self, name):
        link = self.link_get(name)
        if link is None:
            raise OSError(errno.ENODEV, "no such link: " + name)
        return link[0]

    def set_up(self, name):
        self._ask(requests.link_up(self._index(name)))

    def set_mtu(self, name, mtu):
        self._ask(requests.link_mtu(self._index(name), mtu))

    def rename(self, name, new):
        self._ask(requests.link_name(self._index(name), new))

    def no_own_address(self, name):
        self._ask(requests.link_no_own_address(self._index(name)))

    # ---- addresses

    def addr_add(self, name, address):
        self._ask(requests.change_address(self._index(name), address, False))

    def addr_del(self, name, address):
        self._ask(requests.change_address(self._index(name), address, True))

    def addresses(self, index):
        rows = [requests.address_of(payload) for payload in self._answers(requests.get_addresses())]
        return [row for owner, row in rows if owner == index]

    # ---- routes

    def route_add(self, name, prefix, table):
        self._ask(requests.change_route(self._index(name), prefix, table, False))

    def route_del(self, name, prefix, table):
        self._ask(requests.change_route(self._index(name), prefix, table, True))

    def peer_route(self, index, prefix, table, delete):
        self._ask(requests.change_route(index, prefix, table, delete, requests.PEER_ROUTES))

    def routes(self, family, table):
        for payload in self._answers(requests.get_routes(family)):
            row = requests.route_of(payload)
            if row is not None and row[1] == (table or _MAIN):
                yield row[0], row[2], row[3]

    def route_get(self, family, address, mark, source=None):
        try:
            for payload in self._answers(requests.get_route(family, address, mark, source)):
                row = requests.route_of(payload)
                return (row[2], row[3]) if row is not None and row[2] else None
        except OSError as e:
            if e.errno not in (
                errno.ENETUNREACH,
                errno.EHOSTUNREACH,
                errno.EINVAL,
                errno.EACCES,
            ):
                raise
        return None

    # ---- rules

    def rule_add(self, family, rule):
        for payload in self._answers(requests.change_rule(family, rule, False)):
            return requests.rule_of(payload)

    def rule_del(self, family, rule):
        self._ask(requests.change_rule(family, rule, True))
