# SPDX-License-Identifier: MIT
"""What wg-quick(8) does to a link: addresses, MTU, routes, rules, a filter, DNS.

Everything that outlives the link itself (rules, filter, DNS) is noted in the `state` dict, so that
another process can undo it. State: "addresses" [text], "routes" [[prefix text, table]], "rules"
[[family, rule]], "filter" [nft family], "dns" the name that resolvconf knows, or "".
"""

import errno

from tunlite import addresses, programs
from tunlite.errors import UserError, said
from tunlite.system import port

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
    return LinkError(f"{what}: {said(e)}")


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


def _mtu_of(way, own):
    """The MTU of a route (ifindex, MTU or 0), or else of its link; 0 where there is none."""
    if way is None or way[0] == own:
        return 0
    return way[1] or port.links.mtu_of(way[0])


def _own(name):
    """The number of our link; 0: it lives in another namespace."""
    return (port.links.link_get(name) or (0,))[0]


def choose_mtu(name, endpoints, mark):
    """The greatest MTU on the ways that packets with `mark` take to the endpoints, else of the
    first default route, less the overhead. A way through our own link is none.

    `endpoints`: addresses (family, bytes).
    """
    own = _own(name)
    best = 0
    for family, packed in endpoints:
        best = max(best, _mtu_of(port.links.route_get(family, packed, mark), own))
    for family in (4, 6):
        if not best:
            ways = [row[1:] for row in port.links.routes(family, 0) if row[0][2] == 0]
            ways = [way for way in ways if way[0] != own]
            best = _mtu_of(ways[0], own) if ways else 0
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
    while any([[row for row in port.links.routes(family, number)] for family in (4, 6)]):
        number += 1
    return number


def _best(prefixes, family, table):
    """Of these prefixes, each -> the number of the link that its best route takes, 0 for none."""
    found = {}
    for prefix, index, _ in port.links.routes(family, table):
        if prefix in prefixes and prefix not in found:
            found[prefix] = index
    return found


def _add_route(name, prefix, table, own):
    """None, or why not: a route that there is already must be ours."""
    try:
        port.links.route_add(name, prefix, table)
    except OSError as e:
        if e.errno != _EEXIST:
            return said(e)
        index = _best((prefix,), prefix[0], table).get(prefix, 0)
        if index != own:
            return (port.links.name_of(index) or "another route") + " has it"
    return None


def set_routes(name, routes, state, log):
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
    failed = []
    own = _own(name)
    for text, table in sorted(wanted):
        wrong = _add_route(name, wanted[(text, table)], table, own)
        if wrong:
            failed.append(f"route to {text}: {wrong}")
        else:
            kept.append([text, table])
    sixes = set([prefix for prefix in wanted.values() if prefix[0] == 6])
    for prefix, index in _best(sixes, 6, 0).items() if sixes else ():
        if index != own:  # IPv6 takes a prefix of another link's too, and may prefer that link
            text = addresses.format_prefix(prefix)
            log.error(
                f"packets to {text} leave by {port.links.name_of(index)}, whose route is better"
            )
    if failed:
        raise LinkError("\n".join(failed))


def set_rules(families, mark, state):
    """Rules that send what is not our own to table `mark`, and let more precise routes win."""
    for family in (4, 6):
        marks = [rule.get("mark") for found, rule in state["rules"] if found == family]
        if family in families and marks == [mark, None]:
            continue
        _drop_rules(family, state)
        if family in families:
            _add_rule(family, {"table": mark, "mark": mark, "invert": True}, state)
            _add_rule(family, {"table": 254, "suppress_prefixlength": 0}, state)


def _add_rule(family, rule, state):
    """Notes the kernel's priority too: other full tunnels have a rule that is the same but for it,
    and only before our own table it is ours."""
    try:
        state["rules"].append([family, port.links.rule_add(family, rule) or rule])
    except OSError as e:
        raise _failed("rule for a default route", e)


def _drop_rules(family, state):
    for row in list(state["rules"]):
        if row[0] == family:
            _undo(lambda rule=row[1]: port.links.rule_del(family, rule))
            state["rules"].remove(row)


def drop_rules(state):
    set_rules((), 0, state)


# ---- the filter ------------------------------------------------------------------------------


def _filter_name(name):
    """Begins with a letter; nft takes no = and + in a name."""
    return "tunlite-" + name.replace("=", "/e").replace("+", "/p")


def _drop_text(name, family):
    """nft commands that do not fail where there is no such table."""
    table = ("ip " if family == 4 else "ip6 ") + _filter_name(name)
    return f"add table {table}\ndelete table {table}\n"


def _filter_text(name, family, own, mark):
    """nft commands: packets to our inside addresses must come through the tunnel, and the mark of
    our own UDP flows is kept, so that answers to them pass a strict reverse-path filter."""
    nft = "ip" if family == 4 else "ip6"
    table = _filter_name(name)
    lines = [
        _drop_text(name, family) + f"add table {nft} {table}",
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
                f'add rule {nft} {table} spoofed iifname != "{name}" {nft} daddr {text}'
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
        log.error(f"src_valid_mark cannot be set ({said(e)}): with rp_filter = 1 no answer comes")


def set_filter(name, families, own, mark, state, log):
    """wg-quick's protection of a default route, by nft where it is there; always made anew, as the
    addresses may be others."""
    drop_filter(name, state, families)
    nft = programs.find("nft") if families else None
    if families and nft is None:
        log.error(
            "no nft program: packets from outside to the tunnel's addresses are not filtered and"
            " marks are not kept per flow, as wg-quick would do; install nftables to have that"
        )
        return
    for family in families:
        if family == 4:
            _keep_marked_sources_valid(log)
        status = programs.run([nft, "-f", "-"], _filter_text(name, family, own, mark).encode())
        if status:
            log.error(
                f"nft {programs.describe(status)}: packets from outside to the tunnel's"
                " addresses are not filtered"
            )
        elif family not in state["filter"]:
            state["filter"].append(family)


def drop_filter(name, state, but=()):
    """`but`: families that keep theirs."""
    for family in list(state["filter"]):
        if family not in but:
            nft = programs.find("nft")
            if nft:
                programs.run([nft, "-f", "-"], _drop_text(name, family).encode())
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
    program = programs.find("resolvconf")
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
    status = programs.run([program, "-a", label, "-m", "0", "-x"], text.encode())
    if status:
        raise LinkError(f"DNS: resolvconf -a {label} {programs.describe(status)}")
    state["dns"] = label


def drop_dns(state):
    if state["dns"]:
        program = programs.find("resolvconf")
        if program:
            programs.run([program, "-d", state["dns"], "-f"])
        state["dns"] = ""
