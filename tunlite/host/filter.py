# SPDX-License-Identifier: MIT
"""wg-quick's protection of a default route, in nft. It outlives the link.

State: "filter" [family].
"""

from tunlite import addresses, programs
from tunlite.errors import said
from tunlite.system import port


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


def apply(name, families, own, mark, state, log):
    """wg-quick's protection of a default route, by nft where it is there; always made anew, as the
    addresses may be others."""
    undo(name, state, families)
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


def undo(name, state, but=()):
    """`but`: families that keep theirs."""
    for family in list(state["filter"]):
        if family not in but:
            nft = programs.find("nft")
            if nft:
                programs.run([nft, "-f", "-"], _drop_text(name, family).encode())
            state["filter"].remove(family)
