# SPDX-License-Identifier: MIT
"""`tunlite show`: a daemon's status for people, in wg(8)'s manner."""

import json

_UNITS = ("KiB", "MiB", "GiB", "TiB")
_SPANS = ((31536000, "year"), (86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def size(count):
    """1536 -> "1.50 KiB"; without floats, which a router's build may not have."""
    if count < 1024:
        return f"{count} B"
    unit = 0
    hundredths = count * 100 // 1024
    while hundredths >= 102400 and unit < len(_UNITS) - 1:
        hundredths //= 1024
        unit += 1
    return f"{hundredths // 100}.{hundredths % 100:02d} {_UNITS[unit]}"


def span(seconds):
    """125 -> "2 minutes, 5 seconds"."""
    if seconds <= 0:
        return "0 seconds"
    words = []
    for length, name in _SPANS:
        count = seconds // length
        seconds -= count * length
        if count:
            words.append(f"{count} {name}" + ("s" if count > 1 else ""))
    return ", ".join(words)


def ago(seconds):
    """The age of something; a clock that was set back makes it negative."""
    if seconds < 0:
        return "in the future: the clock was set back"
    return "now" if not seconds else span(seconds) + " ago"


def _facts(status):
    """Rows (label, text) of the interface."""
    rows = [
        ("public key", status["public_key"] or "(none)"),
        ("private key", "(hidden)" if status["public_key"] else "(none)"),
        ("listening port", status["listen_port"]),
    ]
    if status["fwmark"]:
        rows.append(("fwmark", f"0x{status['fwmark']:x}"))
    if not status["up"]:
        rows.append(("link", "down, or its UDP port could not be opened"))
    rows.append(("mtu", status["mtu"]))
    rows.append(("engine", status["engine"]))
    rows.append(("aead", status["aead"]))
    rows.append(("workers", f"{len(status['workers'])} ({status['workers_why']})"))
    for offload in status["offloads"]:
        state = "on" if offload["on"] else "off"
        why = offload["why"]
        rows.append(("offload " + offload["name"], state + (f" ({why})" if why else "")))
    returns = status["returns"]
    causes = [f"{name} {returns[name]}" for name in sorted(returns) if name != "total"]
    rows.append(("returns to Python", f"{returns['total']} ({', '.join(causes)})"))
    if status["memory_kb"]:
        rows.append(("memory", f"{status['memory_kb']} kB"))
    rows.append(("up for", span(status["uptime_s"])))
    drops = status["drops"]
    for name in sorted(drops):
        if drops[name]:
            rows.append(("dropped, " + name.replace("_", " "), drops[name]))
    return rows


def _peer_facts(peer):
    rows = []
    if peer.get("description"):
        rows.append(("description", peer["description"]))
    if peer["preshared"]:
        rows.append(("preshared key", "(hidden)"))
    if peer["endpoint"]:
        rows.append(("endpoint", peer["endpoint"]))
    if peer["resolver"]:
        rows.append(("name", peer["resolver"]))
    rows.append(("allowed ips", ", ".join(peer["allowed_ips"]) or "(none)"))
    if peer["latest_handshake"]:
        rows.append(("latest handshake", ago(peer["handshake_age_s"])))
    if peer["rx_bytes"] or peer["tx_bytes"]:
        text = f"{size(peer['rx_bytes'])} received, {size(peer['tx_bytes'])} sent"
        rows.append(("transfer", text))
    counts = peer["handshakes"]
    if counts["initiated"] or counts["responded"]:
        text = ", ".join([f"{counts[name]} {name}" for name in _COUNTS if name in counts])
        rows.append(("handshakes", text))
    if peer["staged"]:
        rows.append(("waiting packets", peer["staged"]))
    if peer["persistent_keepalive"]:
        rows.append(("persistent keepalive", f"every {span(peer['persistent_keepalive'])}"))
    return rows


_COUNTS = ("initiated", "responded", "completed", "failed")


def _page(first, name, rows):
    return f"{first}: {name}\n" + "".join([f"  {label}: {value}\n" for label, value in rows])


def pages(status):
    """The text of one interface, peer by peer. `status`: client.status()."""
    head = next(status)
    yield _page("interface", head["interface"], _facts(head))
    for peer in status:
        yield "\n" + _page("peer", peer["public_key"], _peer_facts(peer))


def json_pieces(status):
    """The same as one JSON object."""
    yield json.dumps(next(status))[:-1] + ', "peers": ['
    separator = ""
    for peer in status:
        yield separator + json.dumps(peer)
        separator = ", "
    yield "]}"
