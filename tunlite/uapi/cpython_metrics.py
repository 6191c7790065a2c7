# SPDX-License-Identifier: MIT
"""What runs, as Prometheus' text: of each daemon its status, read where nothing can be changed.

Names and units follow prometheus.io/docs/practices/naming. What a peer that left had counted stays
in its interface's totals, so that these never go back. Where peers are is never told. A gateway's:
routers' executables have it not.
"""

from tunlite.errors import UserError
from tunlite.system import port
from tunlite.uapi import client

# name, type, help; in the order in which they are told
_FAMILIES = (
    ("tunlite_up", "gauge", "Whether the daemon answers."),
    ("tunlite_interface_info", "gauge", "Its public key, engine and AEAD."),
    ("tunlite_link_up", "gauge", "Whether the link is up and the UDP sockets are open."),
    ("tunlite_draining", "gauge", "Whether handshakes are neither answered nor begun."),
    ("tunlite_peer_routes", "gauge", "Routes that stand while their peer is established."),
    ("tunlite_uptime_seconds", "gauge", "Since the daemon began."),
    ("tunlite_memory_peak_bytes", "gauge", "The most resident memory that it had."),
    ("tunlite_peers", "gauge", "Peers, by where they come from."),
    ("tunlite_peers_established", "gauge", "Peers with a session that receives."),
    ("tunlite_group_peers", "gauge", "Members of a group."),
    ("tunlite_group_peers_established", "gauge", "Members with a session that receives."),
    ("tunlite_group_used_info", "gauge", "The member in use, by its Description, else its key."),
    ("tunlite_group_used_seconds", "gauge", "For how long it has been in use."),
    ("tunlite_group_moves_total", "counter", "To another member, by why."),
    ("tunlite_group_losses_total", "counter", "Members that were silent or failed a check."),
    ("tunlite_group_searching", "gauge", "Whether another is sought, as none in use answers."),
    ("tunlite_group_moving", "gauge", "Whether a planned move to another is under way."),
    ("tunlite_group_trouble", "gauge", "Whether it cannot judge or move as asked; see show."),
    ("tunlite_strangers_parked", "gauge", "Strangers about whom a command is asked now."),
    ("tunlite_strangers_admitted_total", "counter", "Strangers who were let in."),
    ("tunlite_commands_running", "gauge", "Commands that run now."),
    ("tunlite_commands_waiting", "gauge", "Commands that are to run."),
    ("tunlite_commands_refused_total", "counter", "Questions for which no command ran."),
    ("tunlite_received_bytes_total", "counter", "From peers, inside the tunnel."),
    ("tunlite_sent_bytes_total", "counter", "To peers, inside the tunnel."),
    ("tunlite_received_datagrams_total", "counter", "UDP datagrams, by worker."),
    ("tunlite_sent_datagrams_total", "counter", "UDP datagrams, by worker."),
    ("tunlite_dropped_packets_total", "counter", "Packets refused or dropped, by reason."),
    ("tunlite_handshakes_total", "counter", "Handshakes of peers, by what became of them."),
    ("tunlite_handshake_messages_refused_total", "counter", "By reason."),
    ("tunlite_cookies_sent_total", "counter", "Answers to handshakes under load."),
    ("tunlite_peer_moves_total", "counter", "Endpoints that peers changed."),
    ("tunlite_returns_total", "counter", "Of the packet path to Python, by cause."),
    ("tunlite_events_dropped_total", "counter", "Events that failed, by cause."),
    ("tunlite_addresses", "gauge", "Ethernet addresses that are known, of layer 2."),
    ("tunlite_frames_cut_total", "counter", "Frames longer than the way, sent in parts."),
    ("tunlite_frames_joined_total", "counter", "Frames that came in parts and are whole."),
    ("tunlite_parts_sent_total", "counter", "Parts of frames."),
    ("tunlite_parts_received_total", "counter", "Parts of frames."),
    ("tunlite_floods_total", "counter", "Frames to more than one peer."),
    ("tunlite_flood_copies_total", "counter", "What they were sent as."),
    ("tunlite_forwarded_frames_total", "counter", "Frames of one peer that went to another."),
    ("tunlite_peer_info", "gauge", "A peer's description, origin and group."),
    ("tunlite_peer_established", "gauge", "Whether a session receives."),
    ("tunlite_peer_established_seconds", "gauge", "Since when, 0 while none does."),
    ("tunlite_peer_latest_handshake_timestamp_seconds", "gauge", "Since 1970; 0 for none."),
    ("tunlite_peer_received_bytes_total", "counter", "From the peer, inside the tunnel."),
    ("tunlite_peer_sent_bytes_total", "counter", "To the peer, inside the tunnel."),
    ("tunlite_peer_handshakes_total", "counter", "By what became of them."),
    ("tunlite_peer_path_mtu_bytes", "gauge", "Of outer packets, on layer 2."),
)
# Counters of layer 2: name, and what the daemon calls it.
_FRAMES = (
    ("frames_cut_total", "frames_cut"),
    ("frames_joined_total", "frames_joined"),
    ("parts_sent_total", "parts_sent"),
    ("parts_received_total", "parts_read"),
    ("floods_total", "floods"),
    ("flood_copies_total", "flood_copies"),
    ("forwarded_frames_total", "forwarded"),
)
# Why a group's choice is another one; a row of each: what begins at 1 is no increase.
_WHYS = (
    *("first", "silent", "draw", "order", "nearest"),
    *("use", "rekey", "health", "echo", "address"),
)
_HANDSHAKES = ("initiated", "responded", "completed", "failed")


class Metrics:
    """Samples by name: rows (labels, value), labels a tuple of (name, text), value a text."""

    def __init__(self, per_peer):
        self._per_peer = per_peer
        self._samples = {}
        self._fresh = []  # of the interface that is read now

    def families(self):
        """Rows (name, type, help, samples) of those that there are samples of."""
        for name, kind, text in _FAMILIES:
            if name in self._samples:
                yield name, kind, text, self._samples[name]

    def _add(self, name, labels, value):
        self._fresh.append((name, labels, str(value + 0)))  # a number: it may not be our daemon

    def read(self, name):
        """Adds an interface, whole or, where its daemon does not answer, as one that is not up.
        NoRight."""
        labels = (("interface", name),)
        self._fresh = []
        try:
            asked = client.told(name)
            head = next(asked)
            self._add("up", labels, 1)
            self._interface(labels, head)
            self._strangers(labels, head)
            for group in head["groups"]:
                self._choice(labels + (("group", group["name"]),), group)
            self._peers(labels, head, [self._facts(peer) for peer in asked])
        except client.NoRight:
            raise
        except (UserError, OSError, StopIteration, KeyError, TypeError, AttributeError):
            self._fresh = []
            self._add("up", labels, 0)
        for short, of_sample, value in self._fresh:
            self._samples.setdefault("tunlite_" + short, []).append((of_sample, value))

    @staticmethod
    def _facts(peer):
        """What is used of a peer: a thousand of them need no more room than that."""
        counts = peer.get("handshakes") or {}
        return (
            (peer["public_key"], peer.get("description") or ""),
            (peer.get("origin") or "file", peer.get("group") or ""),
            peer.get("established_s"),
            peer["latest_handshake"],
            (peer["rx_bytes"], peer["tx_bytes"]),
            [counts.get(kind, 0) for kind in _HANDSHAKES],
            peer.get("path_mtu"),
        )

    # ---- an interface ----

    def _interface(self, labels, head):
        info = [(key, head.get(key) or "") for key in ("public_key", "engine", "aead")]
        self._add("interface_info", labels + tuple(info), 1)
        self._add("link_up", labels, int(bool(head["up"])))
        self._add("draining", labels, int(bool(head["draining"])))
        self._add("peer_routes", labels, head["peer_routes"])
        self._add("uptime_seconds", labels, head["uptime_s"])
        if head.get("memory_kb"):
            self._add("memory_peak_bytes", labels, head["memory_kb"] * 1024)
        counters = head["counters"]
        self._add("cookies_sent_total", labels, counters.get("cookies_written", 0))
        self._add("peer_moves_total", labels, counters.get("roamed", 0))
        if head.get("layer") == 2:
            self._add("addresses", labels, head["addresses"])
            for name, of_daemon in _FRAMES:
                self._add(name, labels, counters.get(of_daemon, 0))
        for number, worker in enumerate(head["workers"]):
            of_worker = labels + (("worker", str(number)),)
            self._add("received_datagrams_total", of_worker, worker["read"])
            self._add("sent_datagrams_total", of_worker, worker["written"])
        self._by("dropped_packets_total", labels, "reason", head["drops"])
        self._by("handshake_messages_refused_total", labels, "reason", head["handshakes_refused"])
        self._by("events_dropped_total", labels, "cause", head["events_dropped"])
        causes = {cause: count for cause, count in head["returns"].items() if cause != "total"}
        self._by("returns_total", labels, "cause", causes)

    def _by(self, name, labels, label, counts):
        for key in sorted(counts):
            self._add(name, labels + ((label, key),), counts[key])

    def _strangers(self, labels, head):
        """Where there is a runner of commands, and where somebody was asked about."""
        commands, admission = head.get("commands"), head.get("admission")
        if commands:
            self._add("commands_running", labels, commands["running"])
            self._add("commands_waiting", labels, commands["waiting"])
            self._add("commands_refused_total", labels, commands["refused"])
        if admission:
            self._add("strangers_parked", labels, admission["parked"])
            self._add("strangers_admitted_total", labels, admission["let_in"])

    def _choice(self, labels, group):
        """Of a group with a limit; `labels` name it."""
        if "limit" not in group:
            return
        if "used" in group:
            peer = group["used_name"] or group["used"]
            self._add("group_used_info", labels + (("peer", peer),), 1)
            self._add("group_used_seconds", labels, group["used_for_s"])
        for why in _WHYS:
            self._add("group_moves_total", labels + (("why", why),), group["moves"].get(why, 0))
        self._add("group_losses_total", labels, group["losses"])
        self._add("group_searching", labels, int(bool(group["searching"])))
        self._add("group_moving", labels, int(bool(group["moving_to"])))
        self._add("group_trouble", labels, int(bool(group["trouble"])))

    # ---- its peers ----

    def _peers(self, labels, head, peers):
        gone = head["gone"]
        origins = {"file": 0}
        groups = {group["name"]: [0, 0] for group in head.get("groups", ())}
        rx, tx, established = gone["rx_bytes"], gone["tx_bytes"], 0
        shaken = [gone[kind] for kind in _HANDSHAKES]
        for row in peers:
            _, (origin, group), since_s, _, (received, sent), counts, _ = row
            is_established = since_s is not None
            origins[origin] = origins.get(origin, 0) + 1
            rx, tx, established = rx + received, tx + sent, established + is_established
            shaken = [shaken[at] + counts[at] for at in range(len(counts))]
            if group in groups:
                groups[group][0] += 1
                groups[group][1] += is_established
            if self._per_peer:
                self._peer(labels, row)
        self._by("peers", labels, "origin", origins)
        self._add("peers_established", labels, established)
        self._add("received_bytes_total", labels, rx)
        self._add("sent_bytes_total", labels, tx)
        self._handshakes("handshakes_total", labels, shaken)
        for group in sorted(groups):
            of_group = labels + (("group", group),)
            self._add("group_peers", of_group, groups[group][0])
            self._add("group_peers_established", of_group, groups[group][1])

    def _peer(self, labels, row):
        (key, description), (origin, group), since_s, shaken_s, (received, sent), counts = row[:6]
        labels += (("public_key", key),)
        info = (("description", description), ("group", group), ("origin", origin))
        self._add("peer_info", labels + info, 1)
        self._add("peer_established", labels, int(since_s is not None))
        self._add("peer_established_seconds", labels, since_s or 0)
        self._add("peer_latest_handshake_timestamp_seconds", labels, shaken_s)
        self._add("peer_received_bytes_total", labels, received)
        self._add("peer_sent_bytes_total", labels, sent)
        self._handshakes("peer_handshakes_total", labels, counts)
        if row[6] is not None:
            self._add("peer_path_mtu_bytes", labels, row[6])

    def _handshakes(self, name, labels, counts):
        for at in range(len(counts)):
            self._add(name, labels + (("result", _HANDSHAKES[at]),), counts[at])


def gathered(names, per_peer):
    """Metrics of these interfaces, or without any of all whose daemons tell their status."""
    found = Metrics(per_peer)
    for name in names or interfaces():
        found.read(name)
    return found


def interfaces():
    """Names that have a status socket, be it a killed daemon's."""
    return [name for name in client.interfaces() if _is_there(client.status_path(name))]


def _is_there(path):
    try:
        return bool(port.stat(path))
    except OSError:
        return False


# ---- the text ----


def _quoted(text):
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def pieces(metrics):
    """The text, line by line."""
    for name, kind, text, samples in metrics.families():
        yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
        for labels, value in samples:
            written = ",".join([f'{label}="{_quoted(said)}"' for label, said in labels])
            yield name + "{" + written + "} " + value + "\n"
