# SPDX-License-Identifier: MIT
"""`tunlite show`: a daemon's status for people, in wg(8)'s manner."""

import binascii
import json

from tunlite import keys
from tunlite.system import port
from tunlite.uapi import client

_ZERO_KEY = b"0" * 64
_ADDRESSES_MOST = 64  # that are shown to people
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
    if not status.get("up", True):
        rows.append(("link", "down, or its UDP port could not be opened"))
    if status.get("draining"):
        rows.append(("draining", "handshakes are neither answered nor begun; sessions go on"))
    if status.get("peer_routes"):
        rows.append(("routes of peers", status["peer_routes"]))
    if "mtu" not in status:
        return rows  # another program's
    if status["layer"] == 2:
        rows.append(("layer", "2: Ethernet frames"))
        rows.append(("addresses known", status["addresses"]))
        rows += _frame_facts(status["counters"])
    if status.get("vxlan"):
        rows.append(("vxlan", _vxlan(status["vxlan"])))
    rows.append(("mtu", status["mtu"]))
    rows.append(("engine", status["engine"]))
    rows.append(("aead", status["aead"]))
    rows.append(("workers", f"{len(status['workers'])} ({status['workers_why']})"))
    for offload in status["offloads"]:
        state = "on" if offload["on"] else "off"
        why = offload["why"]
        rows.append(("offload " + offload["name"], state + (f" ({why})" if why else "")))
    for group in status.get("groups", ()):
        rows.append(("group " + group["name"], _group(group)))
    returns = status["returns"]
    causes = [f"{name} {returns[name]}" for name in sorted(returns) if name != "total"]
    rows.append(("returns to Python", f"{returns['total']} ({', '.join(causes)})"))
    rows.append(("commands", _commands(status.get("commands"))))
    if status["memory_kb"]:
        rows.append(("memory", f"{status['memory_kb']} kB"))
    rows.append(("up for", span(status["uptime_s"])))
    drops = status["drops"]
    for name in sorted(drops):
        if drops[name]:
            rows.append(("dropped, " + name.replace("_", " "), drops[name]))
    return rows


def _vxlan(ends):
    remote = ends["remote"] or "the allowed IP of the gateway in use"
    return f"{ends['local']} to {remote}, VNI {ends['vni']}, port {ends['port']}"


def _frame_facts(counts):
    """Of layer 2."""
    for first, second, words in _FRAME_COUNTS:
        if counts.get(first):
            yield words[0], f"{counts[first]} {words[1]} {counts.get(second, 0)} {words[2]}"


_FRAME_COUNTS = (
    ("frames_cut", "parts_sent", ("frames cut", "into", "parts")),
    ("frames_joined", "parts_read", ("frames joined", "of", "parts")),
    ("floods", "flood_copies", ("floods", "frames to several peers,", "copies")),
)


def _commands(counts):
    if not counts:
        return "none run: no file named any at the start"
    return f"{counts['running']} run, {counts['waiting']} wait"


def _group(group):
    words = [f"{group['members']} members"]
    if "used" in group:
        used = group["used_name"] or group["used"]
        words.append(f"uses {used} for {span(group['used_for_s'])} ({group['why']})")
        words.append(f"{group['choose']}, fails after {span(group['fails_after_s'])}")
        words.append("asked by " + group["probed_by"])
        if group["fails_after_s"] > group["fail_after_s"]:
            words.append("FailAfter is 5 seconds at least where handshakes judge")
        if group["silent_for_ms"] >= 1000:
            words.append(f"silent for {span(group['silent_for_ms'] // 1000)}")
        if group["searching"]:
            words.append("the others are asked")
        if group["moving_to"]:
            words.append("moving to " + (group["moving_to_name"] or group["moving_to"]))
        if group["held"]:
            words.append("held by tunlite use")
        if group["trouble"]:
            words.append(group["trouble"])
    return "; ".join(words)


def _peer_facts(peer):
    rows = []
    if peer.get("description"):
        rows.append(("description", peer["description"]))
    if peer.get("group"):
        rows.append(("group", peer["group"] + _standing(peer)))
    if peer.get("origin"):
        rows.append(("origin", peer["origin"]))
    if peer.get("blocked"):
        rows.append(("blocked", "yes"))
    if peer["preshared"]:
        rows.append(("preshared key", "(hidden)"))
    if peer["endpoint"]:
        rows.append(("endpoint", peer["endpoint"]))
    for other in peer.get("endpoints", ()):
        if other["endpoint"] != peer["endpoint"]:
            loops = " (not used: it is routed into the tunnel)" if other["loops"] else ""
            rows.append(("other endpoint", other["endpoint"] + loops))
    if peer.get("resolver"):
        rows.append(("name", peer["resolver"]))
    if peer.get("layer") != 2 or peer["allowed_ips"]:
        rows.append(("allowed ips", ", ".join(peer["allowed_ips"]) or "(none)"))
    if peer.get("established_s") is not None:
        rows.append(("established", "for " + span(peer["established_s"])))
    elif peer.get("ended"):
        rows.append(("established", f"no: {peer['ended']}"))
    if peer["latest_handshake"]:
        rows.append(("latest handshake", ago(peer["handshake_age_s"])))
    if peer["rx_bytes"] or peer["tx_bytes"]:
        text = f"{size(peer['rx_bytes'])} received, {size(peer['tx_bytes'])} sent"
        rows.append(("transfer", text))
    for key, text in (("rate_in", "from it"), ("rate_out", "to it")):
        if peer.get(key):
            rows.append(("most " + text, f"{peer[key]} bits a second"))
    counts = peer.get("handshakes")
    if counts and (counts["initiated"] or counts["responded"]):
        text = ", ".join([f"{counts[name]} {name}" for name in _COUNTS if name in counts])
        rows.append(("handshakes", text))
    if "encryption" in peer:
        rows.append(("encryption", _encryption(peer)))
        rows.append(("path mtu", f"{peer['path_mtu']} ({peer['path_mtu_why']})"))
        if peer["macs"]:
            rows.append(("macs", ", ".join(peer["macs"])))
    if peer.get("staged"):
        rows.append(("waiting packets", peer["staged"]))
    if peer["persistent_keepalive"]:
        rows.append(("persistent keepalive", f"every {span(peer['persistent_keepalive'])}"))
    return rows


def _standing(peer):
    if "standby" not in peer:
        return ""
    words = ["stands by" if peer["standby"] else "in use"]
    if peer["probes"]:
        words.append(f"{peer['probes']} probes")
    if peer["losses"]:
        words.append(f"{peer['losses']} losses")
    if peer["loser_for_s"]:
        words.append(f"at the end of the row for {span(peer['loser_for_s'])}")
    if peer["round_trip_ms"]:
        words.append(f"round trip {peer['round_trip_ms']} ms")
    return f" ({', '.join(words)})"


def _encryption(peer):
    """Of a peer of layer 2."""
    from tunlite.config import layers

    if peer["encryption_refused"]:
        ours = peer["encryption_taken"].replace(",", ", ")
        return f"none: the peer's begins with {peer['encryption_refused']}, ours is {ours}"
    mode = peer["encryption"]
    what = layers.OPEN.get(mode, "nobody on the way reads or changes a frame")
    return f"{mode} ({what})" if mode else "no session"


_COUNTS = ("initiated", "responded", "completed", "failed")


# ---- another program's ----


def look(name):
    """client.status() where the daemon is ours; else as much of it as `get=1` tells."""
    status = client.status(name)
    try:
        head = next(status)
    except (client.Refused, OSError):  # it may hang up before it has read our question
        status = _foreign(name)
        head = next(status)
    yield head
    yield from status


def _foreign(name):
    found = {"interface": name, "public_key": None, "listen_port": 0, "fwmark": 0}
    for key, value in client.get_device(name):
        if key == b"public_key":
            yield found
            found = {"preshared": False, "endpoint": None, "allowed_ips": []}
            for word in ("latest_handshake", "rx_bytes", "tx_bytes", "persistent_keepalive"):
                found[word] = 0
        try:
            _note(found, key.decode(), value)
        except ValueError:
            raise client.nonsense()
    yield found


def _note(found, key, value):
    """A line of an answer in the words of the status."""
    key = _FOREIGN.get(key, key)
    before = found.get(key)
    if key.endswith("_key"):
        secret = bytearray(binascii.unhexlify(value))
        if key == "public_key":
            found[key] = keys.text(secret)
        elif value == _ZERO_KEY:
            pass
        elif key == "private_key":
            found["public_key"] = keys.text(keys.public_of(secret))
        else:
            found["preshared"] = True
        keys.wipe(secret)
    elif key == "endpoint" and key in found:
        found[key] = value.decode()
    elif isinstance(before, list):
        before.append(value.decode())
    elif before is not None:
        found[key] = int(value)
    if key == "latest_handshake":
        age = port.wall_ns()[0] // 1000000000 - found[key]
        found["handshake_age_s"] = age if found[key] else None


_FOREIGN = {
    "allowed_ip": "allowed_ips",
    "last_handshake_time_sec": "latest_handshake",
    "persistent_keepalive_interval": "persistent_keepalive",
}


def _page(first, name, rows):
    """Without what steers a terminal: a daemon that was taken over speaks to root's."""
    text = f"{first}: {name}\n" + "".join([f"  {label}: {value}\n" for label, value in rows])
    return "".join([c if c == "\n" or " " <= c < "\x7f" or c >= "\xa0" else " " for c in text])


def pages(status):
    """The text of one interface, peer by peer. `status`: client.status()."""
    head = next(status)
    yield _page("interface", head["interface"], _facts(head))
    names = {}
    for peer in status:
        if _has_table(head):
            names[peer["public_key"]] = peer.get("description") or peer["public_key"]
        yield "\n" + _page("peer", peer["public_key"], _peer_facts(peer))
    if _has_table(head):
        rows = list(_address_facts(head, names))
        if rows:
            yield "\n" + _page("addresses", head["interface"], rows)


def json_pieces(status):
    """The same as one JSON object."""
    head = next(status)
    yield json.dumps(head)[:-1] + ', "peers": ['
    separator = ""
    for peer in status:
        yield separator + json.dumps(peer)
        separator = ", "
    yield "]"
    if _has_table(head):
        yield ', "address_table": ['
        separator = ""
        for row in _table(head["interface"]):
            yield separator + json.dumps(row)
            separator = ", "
        yield "]"
    yield "}"


# ---- layer 2's table ----


def _has_table(head):
    return bool(head.get("addresses"))


def _table(name):
    """Rows as dicts; none for who may only read the status."""
    try:
        for mac, public, age_s, how in client.get_addresses(name):
            key = keys.text(binascii.unhexlify(public))
            yield {"mac": mac, "peer": key, "age_s": int(age_s), "how": how}
    except ValueError:
        raise client.nonsense()
    except client.NoRight:
        return


def _address_facts(head, names):
    """The first of them, as people read them."""
    count = 0
    for row in _table(head["interface"]):
        count += 1
        if count <= _ADDRESSES_MOST:
            place = "behind " + names.get(row["peer"], row["peer"])
            heard = "" if row["how"] == "pinned" else ", heard " + ago(row["age_s"])
            how = "" if row["how"] == "learned" else ", " + row["how"]
            yield row["mac"], place + heard + how
    if count > _ADDRESSES_MOST:
        yield "more", f"{count - _ADDRESSES_MOST}; --json has all"
