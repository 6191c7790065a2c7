# SPDX-License-Identifier: MIT
"""Links, addresses, routes and rules for CPython, by pyroute2 (imported at the first use)."""

import errno
import socket

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_NUMBERS = {socket.AF_INET: 4, socket.AF_INET6: 6}
_MAIN = 254
_UNICAST = 1
_FIB_RULE_INVERT = 2


def _text(family, address):
    return socket.inet_ntop(_FAMILIES[family], address)


def _prefix(message, attribute, bits):
    """The prefix of a route message, its default route spelt out."""
    family = _NUMBERS[message["family"]]
    text = message.get_attr(attribute)
    if text is None:
        return family, bytes(4 if family == 4 else 16), bits
    return family, socket.inet_pton(message["family"], text), bits


class _Links:
    """See tunlite/port/__init__.py."""

    _socket = None

    def _ask(self, verb, *arguments, **fields):
        """One request; the kernel's refusal is an OSError with its errno."""
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        if self._socket is None:
            self._socket = IPRoute()
        try:
            answer = getattr(self._socket, verb)(*arguments, **fields)
            return list(answer or ())
        except NetlinkError as e:
            raise OSError(e.code, "{}: {}".format(verb, e.args[-1])) from None

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # ---- links

    def _link(self, name):
        try:
            found = self._ask("link", "get", ifname=name)
        except OSError as e:
            if e.errno == errno.ENODEV:
                return None
            raise
        return found[0] if found else None

    def _index(self, name):
        link = self._link(name)
        if link is None:
            raise OSError(errno.ENODEV, "no such link: " + name)
        return link["index"]

    def link_get(self, name):
        link = self._link(name)
        if link is None:
            return None
        return link["index"], link.get_attr("IFLA_MTU"), bool(link["flags"] & 1)

    def mtu_of(self, index):
        try:
            found = self._ask("link", "get", index=index)
        except OSError as e:
            if e.errno == errno.ENODEV:
                return 0
            raise
        return found[0].get_attr("IFLA_MTU") if found else 0

    def link_del(self, name):
        self._ask("link", "del", index=self._index(name))

    def set_up(self, name):
        self._ask("link", "set", index=self._index(name), state="up")

    def set_mtu(self, name, mtu):
        self._ask("link", "set", index=self._index(name), mtu=mtu)

    def gso_max_size(self, name, size):
        self._ask("link", "set", index=self._index(name), gso_max_size=size)

    # ---- addresses

    def addr_add(self, name, address):
        self._address("add", name, address)

    def addr_del(self, name, address):
        self._address("del", name, address)

    def _address(self, verb, name, address):
        family, packed, bits = address
        self._ask(
            "addr",
            verb,
            index=self._index(name),
            family=_FAMILIES[family],
            address=_text(family, packed),
            prefixlen=bits,
        )

    def addr_list(self, name):
        found = []
        for message in self._ask("get_addr", index=self._index(name)):
            if message["family"] in _NUMBERS:
                text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
                packed = socket.inet_pton(message["family"], text)
                found.append((_NUMBERS[message["family"]], packed, message["prefixlen"]))
        return found

    # ---- routes

    def route_add(self, name, prefix, table):
        self._route("add", name, prefix, table)

    def route_del(self, name, prefix, table):
        self._route("del", name, prefix, table)

    def _route(self, verb, name, prefix, table):
        family, packed, bits = prefix
        self._ask(
            "route",
            verb,
            oif=self._index(name),
            family=_FAMILIES[family],
            dst="{}/{}".format(_text(family, packed), bits),
            scope=253 if family == 4 else 0,  # link
            type="unicast",
            table=table or _MAIN,
        )

    def route_list(self, table):
        found = []
        for number, family in _FAMILIES.items():
            for message in self._ask("get_routes", family=family, table=table or _MAIN):
                if message["type"] == _UNICAST and number:
                    found.append(_prefix(message, "RTA_DST", message["dst_len"]))
        return found

    def route_get(self, family, address):
        try:
            found = self._ask("route", "get", family=_FAMILIES[family], dst=_text(family, address))
        except OSError as e:
            if e.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES):
                return None
            raise
        if not found or found[0].get_attr("RTA_OIF") is None:
            return None
        metrics = found[0].get_attr("RTA_METRICS")
        mtu = metrics.get_attr("RTAX_MTU") if metrics else None
        return found[0].get_attr("RTA_OIF"), mtu or 0

    def default_routes(self, family):
        found = []
        for message in self._ask("get_routes", family=_FAMILIES[family], table=_MAIN):
            if message["dst_len"] == 0 and message.get_attr("RTA_OIF") is not None:
                found.append(message.get_attr("RTA_OIF"))
        return found

    # ---- rules

    def rule_add(self, family, rule):
        self._rule("add", family, rule)

    def rule_del(self, family, rule):
        self._rule("del", family, rule)

    def _rule(self, verb, family, rule):
        fields = {"family": _FAMILIES[family], "table": rule["table"]}
        if "mark" in rule:
            fields["fwmark"] = rule["mark"]
            if rule.get("invert"):
                fields["flags"] = _FIB_RULE_INVERT
        if "suppress_prefixlength" in rule:
            fields["FRA_SUPPRESS_PREFIXLEN"] = rule["suppress_prefixlength"]
        if "priority" in rule:
            fields["priority"] = rule["priority"]
        self._ask("rule", verb, **fields)

    def rule_list(self, family):
        found = []
        for message in self._ask("get_rules", family=_FAMILIES[family]):
            rule = {"table": message.get_attr("FRA_TABLE") or message["table"]}
            priority = message.get_attr("FRA_PRIORITY")
            if priority:
                rule["priority"] = priority
            if message.get_attr("FRA_FWMARK"):
                rule["mark"] = message.get_attr("FRA_FWMARK")
                rule["invert"] = bool(message["flags"] & _FIB_RULE_INVERT)
            length = message.get_attr("FRA_SUPPRESS_PREFIXLEN")
            if length is not None and length != 0xFFFFFFFF:
                rule["suppress_prefixlength"] = length
            found.append(rule)
        return found


links = _Links()
