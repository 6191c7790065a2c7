# SPDX-License-Identifier: MIT
"""Routes to what peers may send from. They go with the link.

State: "routes" [[prefix text, table]].
"""

from tunlite import addresses
from tunlite.errors import said
from tunlite.host import failures
from tunlite.system import port

_FIRST_TABLE = 51820
_EEXIST = 17


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


def wanted(config):
    """Rows (prefix, table) that `Table` asks for, widest last; table 0 is the main one, None is to
    be a table of its own: a default route with Table = auto. What an address of the interface
    covers already needs no route.
    """
    table = config.settings["Table"]
    if table == 0:
        return []
    own = [] if table else config.settings["Address"]
    prefixes = set()
    for peer in config.peers.each(("AllowedIPs",)):
        for prefix in peer.get("AllowedIPs", ()):
            if prefix[2] == 0 or not _covered(prefix, own):
                prefixes.add(prefix)
    routes = []
    for prefix in sorted(prefixes, key=_narrowest_first):
        routes.append((prefix, table or (0 if prefix[2] else None)))
    return routes


def default_families(routes):
    """Families with a default route that Table = auto makes; `routes`: wanted()."""
    return sorted(set([prefix[0] for prefix, table in routes if table is None]))


def with_table(routes, number):
    """Those rows with the number of their own table."""
    return [(prefix, number if table is None else table) for prefix, table in routes]


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


def apply(name, routes, state, log):
    """Adds what is missing and removes what an earlier configuration had."""
    wanted = {}
    for prefix, table in routes:
        wanted[(addresses.format_prefix(prefix), table)] = prefix
    kept = []
    for text, table in state["routes"]:
        if wanted.pop((text, table), None) is None:
            prefix = addresses.parse_prefix(text)
            failures.undo(lambda p=prefix, n=table: port.links.route_del(name, p, n))
        else:
            kept.append([text, table])
    state["routes"] = kept
    failed = []
    own = (port.links.link_get(name) or (0,))[0]  # 0: it lives in another namespace
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
        raise failures.LinkError("\n".join(failed))
