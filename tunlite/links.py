# SPDX-License-Identifier: MIT
"""What wg-quick(8) does to a link: addresses, MTU, routes, rules, a filter, DNS.

Everything that outlives the link itself (rules, filter, DNS) is noted in the `state` dict, so that
another process can undo it. State: "addresses" [text], "routes" [[prefix text, table]], "rules"
[[family, rule]], "filter" [nft family], "dns" the name that resolvconf knows, or "".
"""

import errno

from tunlite import addresses, children, port
from tunlite.errors import UserError, said

OVERHEAD = 80  # IPv6, UDP and transport header and tag: what wg-quick takes off the MTU
_FALLBACK_MTU = 1500
_FIRST_TABLE = 51820
_EEXIST = 17
_ESRCH = 3
_ENOENT = 2
_ENODEV = 19
_EADDRNOTAVAIL = errno.EADDRNOTAVAIL
_GONE = (_ESRCH, _ENOENT, _ENODEV, _EADDRNOTAVAIL)
_EAFNOSUPPORT = errno.EAFNOSUPPORT


class LinkError(UserError):
    """A step failed."""


def new_state():
    return {"addresses": [], "routes": [], "rules": [], "filter": [], "dns": ""}


def _failed(what, e):
    return LinkError(f"{what}: {said(e)} (errno {e.errno})")


# ---- addresses and MTU -----------------------------------------------------------------------


def set_addresses(name, wanted, state):
    """Adds what is missing and removes what an earlier configuration had."""
    texts = [addresses.format_prefix(prefix) for prefix in wanted]
    for i, text in enumerate(texts):
        if text not in state["addresses"]:
            try:
                port.links.addr_add(name, wanted[i])
            except OSError as e:
                if e.errno != _EEXIST:
                    raise _failed("Address " + text, e)
            state["addresses"].append(text)
    for text in list(state["addresses"]):
        if text not in texts:
            _undo(lambda text=text: port.links.addr_del(name, addresses.parse_prefix(text)))
            state["addresses"].remove(text)


def _undo(call):
    """Calls it; that the thing has gone already is fine."""
    try:
        call()
    except OSError as e:
        if e.errno not in _GONE:
            raise


def _mtu_of(index_and_mtu):
    """The MTU of a route, or else of its link; 0 where there is none."""
    if index_and_mtu is None:
        return 0
    index, mtu = index_and_mtu
    return mtu or port.links.mtu_of(index)


def choose_mtu(endpoints):
    """The greatest MTU on the ways to the endpoints, else of the default route, less the overhead.

    `endpoints`: addresses (family, bytes).
    """
    best = 0
    for family, packed in endpoints:
        best = max(best, _mtu_of(port.links.route_get(family, packed)))
    if not best:
        for family in (4, 6):
            for index in port.links.default_routes(family):
                best = max(best, port.links.mtu_of(index))
    return (best or _FALLBACK_MTU) - OVERHEAD


def set_mtu(name, mtu):
    try:
        port.links.set_mtu(name, mtu)
    except OSError as e:
        raise _failed(f"MTU {mtu}", e)


# ---- routes and rules ------------------------------------------------------------------------


def _covered(prefix, others):
    """Whether a prefix lies in one of `others`."""
    family, packed, bits = prefix
    return any(
        [
            other[0] == family
            and other[2] <= bits
            and addresses.network((family, packed, other[2])) == addresses.network(other)
            for other in others
        ]
    )


def _narrowest_first(prefix):
    family, packed, bits = prefix
    return -bits, family, packed


def wanted_routes(config, mark):
    """Rows (prefix, table) that `Table` asks for, widest last; table 0 is the main one.

    A default route with Table = auto goes to the table that has the number of `mark`. What an
    address of the interface covers already needs no route.
    """
    table = config.interface.get("Table")
    if table == 0:
        return []
    own = [] if table else config.interface.get("Address", [])
    prefixes = set()
    for peer in config.peers.each(("AllowedIPs",)):
        for prefix in peer.get("AllowedIPs", ()):
            if prefix[2] == 0 or not _covered(prefix, own):
                prefixes.add(prefix)
    routes = []
    for prefix in sorted(prefixes, key=_narrowest_first):
        routes.append((prefix, table or (0 if prefix[2] else mark)))
    return routes


def wants_default(config):
    """Families with a default route that Table = auto makes."""
    if config.interface.get("Table") is not None:
        return []
    found = []
    for peer in config.peers.each(("AllowedIPs",)):
        for family, _, bits in peer.get("AllowedIPs", ()):
            if bits == 0 and family not in found:
                found.append(family)
    return sorted(found)


def free_table():
    """The first routing table from 51820 on that has no route."""
    number = _FIRST_TABLE
    while port.links.route_list(number):
        number += 1
    return number


def set_routes(name, routes, state):
    """Adds what is missing and removes what an earlier configuration had."""
    wanted = {}
    for prefix, table in routes:
        wanted[(addresses.format_prefix(prefix), table)] = prefix
    kept = []
    for text, table in state["routes"]:
        if wanted.pop((text, table), None) is None:
            prefix = addresses.parse_prefix(text)
            _undo(lambda p=prefix, n=table: port.links.route_del(name, p, n))
        else:
            kept.append([text, table])
    state["routes"] = kept
    for text, table in sorted(wanted):
        try:
            port.links.route_add(name, wanted[(text, table)], table)
        except OSError as e:
            if e.errno != _EEXIST:
                raise _failed("route to " + text, e)
        kept.append([text, table])


def set_rules(families, mark, state):
    """Rules that send what is not our own to table `mark`, and let more precise routes win."""
    for family in families:
        for rule in (
            {"table": mark, "mark": mark, "invert": True},
            {"table": 254, "suppress_prefixlength": 0},
        ):
            if [family, rule] not in state["rules"]:
                try:
                    port.links.rule_add(family, rule)
                except OSError as e:
                    raise _failed("rule for a default route", e)
                state["rules"].append([family, rule])


def drop_rules(state):
    for family, rule in list(state["rules"]):
        _undo(lambda f=family, r=rule: port.links.rule_del(f, r))
        state["rules"].remove([family, rule])


# ---- the filter ------------------------------------------------------------------------------


def _filter_text(name, family, own, mark):
    """nft commands: packets to our inside addresses must come through the tunnel, and the mark of
    our own UDP flows is kept, so that answers to them pass a strict reverse-path filter."""
    nft, table = ("ip", "tunlite-" + name) if family == 4 else ("ip6", "tunlite-" + name)
    lines = [
        f"add table {nft} {table}",
        f"add chain {nft} {table} spoofed {{ type filter hook prerouting priority raw; }}",
        f"add chain {nft} {table} incoming {{ type filter hook prerouting priority mangle; }}",
        f"add chain {nft} {table} outgoing {{ type filter hook postrouting priority mangle; }}",
        f"add rule {nft} {table} incoming meta l4proto udp meta mark set ct mark",
        f"add rule {nft} {table} outgoing meta l4proto udp meta mark {mark} ct mark set meta mark",
    ]
    for number, packed, _ in own:
        if number == family:
            text = addresses.format_address(family, packed)
            lines.append(
                f"add rule {nft} {table} spoofed iifname != {name} {nft} daddr {text}"
                " fib saddr type != local drop"
            )
    return "\n".join(lines) + "\n"


def _keep_marked_sources_valid(log):
    """A strict reverse-path filter must look at the mark, or answers to our UDP packets go."""
    path = "/proc/sys/net/ipv4/conf/all/src_valid_mark"
    try:
        # Where it is set already it may be read-only, as in a container.
        if port.read_file(path) != b"1\n":
            port.write_file(path, b"1\n")
    except OSError as e:
        log.error(
            f"src_valid_mark cannot be set (errno {e.errno}): with rp_filter = 1 no answer comes"
        )


def set_filter(name, families, own, mark, state, log):
    """wg-quick's protection of a default route, by nft where it is there."""
    nft = children.find("nft") if families else None
    if families and nft is None:
        log.error(
            "no nft program: packets from outside to the tunnel's addresses are not filtered and"
            " marks are not kept per flow, as wg-quick would do; install nftables to have that"
        )
        return
    for family in families:
        if family == 4:
            _keep_marked_sources_valid(log)
        if family in state["filter"]:
            continue
        status = children.run([nft, "-f", "-"], _filter_text(name, family, own, mark).encode())
        if status:
            log.error(
                f"nft {children.describe(status)}: packets from outside to the tunnel's"
                " addresses are not filtered"
            )
            continue
        state["filter"].append(family)


def drop_filter(name, state):
    for family in list(state["filter"]):
        nft = children.find("nft")
        if nft:
            kind = "ip" if family == 4 else "ip6"
            children.run([nft, "-f", "-"], f"delete table {kind} tunlite-{name}\n".encode())
        state["filter"].remove(family)


# ---- DNS -------------------------------------------------------------------------------------


def _resolvconf_name(name):
    """Debian's resolvconf ranks by the name's beginning: the first pattern of its list is best."""
    try:
        order = port.read_file("/etc/resolvconf/interface-order").decode()
    except OSError:
        return name
    for line in order.split("\n"):
        stem = line[:-1]
        if line.endswith("*") and stem and "." not in stem and "*" not in stem:
            return stem + "." + name
    return name


def set_dns(name, rows, state):
    """Hands name servers and search domains to resolvconf."""
    if not rows:
        drop_dns(state)
        return
    program = children.find("resolvconf")
    if program is None:
        raise LinkError(
            "DNS: there is no resolvconf program to hand the servers to; install openresolv or"
            " resolvconf, or remove the DNS line"
        )
    text = "".join([f"nameserver {server}\n" for server, _ in rows if server])
    domains = [domain for _, domain in rows if domain]
    if domains:
        text += "search " + " ".join(domains) + "\n"
    label = _resolvconf_name(name)
    status = children.run([program, "-a", label, "-m", "0", "-x"], text.encode())
    if status:
        raise LinkError(f"DNS: resolvconf -a {label} {children.describe(status)}")
    state["dns"] = label


def drop_dns(state):
    if state["dns"]:
        program = children.find("resolvconf")
        if program:
            children.run([program, "-d", state["dns"], "-f"])
        state["dns"] = ""
