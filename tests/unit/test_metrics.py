# SPDX-License-Identifier: MIT
"""What Prometheus reads: names and units by its conventions, sums that never go back, the same by
text and over HTTP."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import core, parser

from lab.fakes.groups import Gateways
from lab.fakes.net import Node, World
from tunlite import keys
from tunlite.uapi import client, cpython_exporter, cpython_metrics as metrics, status

DOCS = Path(__file__).resolve().parents[2] / "docs"
_PEER = b"\x0a\0\0\x02"


class Commands:
    """A runner that is asked about strangers and says nothing."""

    def verifies(self):
        return True

    def verify(self, public, record, done):
        self.done = done
        return True

    def seen(self):
        return {"running": 1, "waiting": 2, "refused": 3}


class Daemons:
    """What the status sockets tell of wg0 and wg1, two ends, and of wg2, a router with a group of
    two gateways, the second without a Description; wg3 is of layer 2."""

    def __init__(self):
        self.world = World()
        router, gateway = (Node(self.world, bytes([192, 0, 2, n])).start() for n in (1, 2))
        self.peer = router.add(gateway, _PEER)
        gateway.add(router, b"\x0a\0\0\x01", endpoint=False)
        gateway.interface.groups.named("routers")
        for peer in gateway.interface.peers.values():
            gateway.interface.groups.join(peer, "routers")
            peer.described('a "name" \\ of one')
        router.send(_PEER)
        self.world.run(3)
        self._knock(gateway)
        self.group = Gateways(2, probe=True, choose="order", fail_after=3)
        self.group.set("public_key=" + self.group.key(1), "description=")
        self.group.ping(2)
        self.drops = 1
        for node in (router, gateway):  # what only happens in trouble
            node.interface.exchange.refused["not authentic"] = 2
        self.nodes = {"wg0": router, "wg1": gateway, "wg2": self.group.router}
        self.nodes["wg3"] = self._of_layer_2()
        self.edit = lambda found: found

    def _of_layer_2(self):
        near, far = (Node(self.world, bytes([192, 0, 2, n]), layer=2).start() for n in (3, 4))
        near.add(far, _PEER)
        return near

    def _knock(self, gateway):
        """A stranger is asked about."""
        self.commands = gateway.interface.commands = Commands()
        stranger = Node(self.world, bytes([192, 0, 2, 9])).start()
        stranger.add(gateway, b"\x0a\0\0\x01")
        stranger.send(b"\x0a\0\0\x01")
        self.world.run(7)

    def told(self, name):
        if name not in self.nodes:
            raise client.NoDaemon(f"{name} is not up")
        found = json.loads(b"".join(status.pieces(self.nodes[name].daemon)))
        found["drops"].setdefault("no_route", self.drops)
        found["returns"].setdefault("deadline", 5)
        found["memory_kb"] = found["memory_kb"] or 900
        peers = found.pop("peers")
        yield self.edit(found)
        yield from peers


@pytest.fixture
def daemons(monkeypatch):
    made = Daemons()
    monkeypatch.setattr(metrics.client, "told", made.told)
    monkeypatch.setattr(metrics, "interfaces", lambda: ["wg0", "wg1", "wg2", "wg3"])
    return made


def text_of(names=(), per_peer=True):
    return "".join(metrics.pieces(metrics.gathered(names, per_peer)))


def samples_of(text):
    """{(name, labels): value}"""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def _value(name, **labels):
    return samples_of(text_of())[(name, tuple(sorted(labels.items())))]


def test_the_text_is_read_by_prometheus_own_parser_with_a_help_and_a_type_for_each(daemons):
    text = text_of()
    families = list(parser.text_string_to_metric_families(text))
    assert {family.type for family in families} == {"gauge", "counter"}
    assert all(family.documentation and family.samples for family in families)
    told = {line.split(" ")[2] for line in text.split("\n") if line.startswith("# TYPE")}
    assert told == {name for name, _, _ in metrics._FAMILIES}, "each is seen here"


def test_what_only_layer_2_counts_is_told_of_that_alone(daemons):
    frames = {"tunlite_" + name for name, _ in metrics._FRAMES} | {"tunlite_addresses"}
    frames.add("tunlite_peer_path_mtu_bytes")
    for name in ("wg0", "wg3"):
        told = {sample.split("{")[0] for sample in text_of([name]).split("\n")}
        assert told & frames == (frames if name == "wg3" else set())


def test_names_and_units_are_by_prometheus_conventions():
    for name, kind, text in metrics._FAMILIES:
        assert re.fullmatch(r"tunlite_[a-z_]+", name) and text.endswith(".")
        assert name.endswith("_total") == (kind == "counter"), name
        for unit in ("_ms", "_kb", "_kilo", "_us", "_s", "_percent", "_minutes", "_bits"):
            assert not re.search(unit + r"(_total)?$", name), name
        for unit in ("seconds", "bytes"):  # last, but for _total
            assert unit not in name or re.search(unit + "(_total)?$", name), name


def test_a_peer_has_rows_of_its_own_only_when_asked_for(daemons):
    assert "tunlite_peer_info{" in text_of() and "tunlite_peer_info{" not in text_of(per_peer=False)
    short = text_of(per_peer=False)
    daemons.nodes["wg0"].interface.add_peer(b"\x09" * 32)
    assert len(text_of(per_peer=False).split("\n")) == len(short.split("\n"))


def test_what_is_established_and_who_is_in_a_group_is_counted(daemons):
    assert _value("tunlite_peers_established", interface="wg0") == 1
    assert _value("tunlite_peers", interface="wg0", origin="file") == 1
    assert _value("tunlite_group_peers_established", interface="wg1", group="routers") == 1
    assert _value("tunlite_handshakes_total", interface="wg0", result="completed") == 1
    daemons.world.run(600)
    assert _value("tunlite_peers_established", interface="wg0") == 0
    assert _value("tunlite_group_peers", interface="wg1", group="routers") == 1


def test_who_a_group_uses_and_since_when_and_what_it_lost_is_told(daemons):
    group = {"interface": "wg2", "group": "gateways"}
    peer = {"peer": "gw0", **group}
    assert _value("tunlite_group_used_info", **peer) == 1
    assert _value("tunlite_group_used_seconds", **group) == 2
    assert _value("tunlite_group_losses_total", **group) == 0
    daemons.group.kill(0, 1)
    daemons.group.ping(5)
    assert _value("tunlite_group_searching", **group) == 1
    daemons.group.revive(1)
    daemons.group.back_in()
    daemons.group.ping(9)
    key = keys.text(daemons.group.gateways[1].interface.me.public)
    assert _value("tunlite_group_used_info", **{**peer, "peer": key}) == 1  # it has no Description
    assert len(re.findall("tunlite_group_used_info{", text_of())) == 1
    assert _value("tunlite_group_used_seconds", **group) in (9, 10)
    assert _value("tunlite_group_losses_total", **group) == 1
    moves = [_value("tunlite_group_moves_total", why=why, **group) for why in metrics._WHYS]
    assert moves == [1, 1] + [0] * 8  # the first, and one that was silent
    assert _value("tunlite_group_searching", **group) == 0


def test_every_reason_of_a_move_is_a_row():
    page = (DOCS / "control.md").read_text()
    (told,) = re.findall(r"`why` \(([a-z, ]+)\)", page)
    assert told.split(", ") == list(metrics._WHYS)
    code = [(DOCS.parent / f"tunlite/control/{name}.py") for name in ("choice", "preference")]
    used = re.findall(r'(?:_switch|Move|_to)\(.*"(\w+)"', "".join(map(Path.read_text, code)))
    assert set(used) == set(metrics._WHYS)


def test_a_move_that_is_under_way_and_what_troubles_a_group_is_told(daemons):
    group = {"interface": "wg2", "group": "gateways"}
    names = ("tunlite_group_moving", "tunlite_group_trouble")
    assert [_value(name, **group) for name in names] == [0, 0]
    daemons.group.kill(1)
    daemons.group.set("public_key=" + daemons.group.key(1), "use=true")
    daemons.group.ping(1)
    assert [_value(name, **group) for name in names] == [1, 0]
    daemons.group.ping(20)
    assert [_value(name, **group) for name in names] == [0, 1]


def test_strangers_that_wait_and_that_were_let_in_are_counted(daemons):
    assert _value("tunlite_strangers_parked", interface="wg1") == 1
    assert _value("tunlite_strangers_admitted_total", interface="wg1") == 0
    daemons.commands.done([("allowed_ip", bytearray(b"10.0.0.9/32"))])
    assert _value("tunlite_strangers_parked", interface="wg1") == 0
    assert _value("tunlite_strangers_admitted_total", interface="wg1") == 1
    assert _value("tunlite_peers", interface="wg1", origin="admitted") == 1


def test_the_runners_queue_is_told_where_there_is_one(daemons):
    names = [f"tunlite_commands_{name}" for name in ("running", "waiting", "refused_total")]
    assert [_value(name, interface="wg1") for name in names] == [1, 2, 3]
    rows = [labels for name, labels in samples_of(text_of()) if "commands" in name]
    assert rows == [(("interface", "wg1"),)] * 3
    daemons.nodes["wg1"].interface.commands = None
    assert "tunlite_commands" not in text_of()


def test_sums_do_not_go_back_when_a_peer_goes(daemons):
    router = daemons.nodes["wg0"]
    names = ("tunlite_received_bytes_total", "tunlite_sent_bytes_total")
    before = [_value(name, interface="wg0") for name in names]
    shaken = _value("tunlite_handshakes_total", interface="wg0", result="initiated")
    assert all(before) and shaken
    router.interface.remove_peer(daemons.peer)
    for _ in ("before the commit", "after it"):
        assert [_value(name, interface="wg0") for name in names] == before
        assert _value("tunlite_handshakes_total", interface="wg0", result="initiated") == shaken
        router.interface.commit()


def test_a_daemon_that_does_not_answer_is_told_and_harms_no_other(daemons):
    del daemons.nodes["wg1"]
    found = samples_of(text_of())
    up = [found[("tunlite_up", (("interface", name),))] for name in ("wg0", "wg1", "wg2")]
    assert up == [1, 0, 1]
    others = [labels for name, labels in found if name != "tunlite_up"]
    assert all(dict(labels)["interface"] != "wg1" for labels in others)


@pytest.mark.parametrize(
    "hostile",
    [
        {"uptime_s": "1\ntunlite_up 1"},
        {"uptime_s": None},
        {"counters": None},
        {"counters": []},
        {"workers": [{"read": [], "written": 1}]},
        {"gone": {}},
        {"drops": {"a": {}}},
        {"groups": [{"name": "a", "limit": 1}]},
        {"groups": [7]},
        {"commands": {"running": "many"}},
        {"admission": {"parked": []}},
    ],
)
def test_what_is_no_status_of_ours_is_left_out_as_a_whole(daemons, hostile):
    daemons.edit = lambda found: {**found, **hostile} if found["public_key"] else found
    found = samples_of(text_of(["wg0"]))
    assert found == {("tunlite_up", (("interface", "wg0"),)): 0}


@pytest.mark.parametrize("word", ['a"b', "a\\b", "a\nb", '\n# TYPE x gauge\nx{y="'])
def test_a_label_stays_in_its_quotes(daemons, word):
    daemons.edit = lambda found: {**found, "drops": {word: 7}}
    value = _value("tunlite_dropped_packets_total", interface="wg0", reason=word)
    assert value == 7


def test_over_http_the_same_is_told_as_by_the_text(daemons):
    registry = core.CollectorRegistry()
    registry.register(cpython_exporter.Collector((), True))
    served = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert served == samples_of(text_of())


def test_no_right_to_ask_is_an_error_and_no_daemon_that_is_down(daemons, monkeypatch):
    def told(name):
        raise client.NoRight("you may not use it")
        yield

    monkeypatch.setattr(metrics.client, "told", told)
    with pytest.raises(client.NoRight):
        text_of()


def known():
    """{metric: its labels}"""
    found = {}
    for name, labels in samples_of(text_of()):
        found.setdefault(name, set()).update(label for label, _ in labels)
    return found


def test_the_page_lists_every_metric_with_its_labels(daemons):
    page = (DOCS / "running.md").read_text()
    rows = [line.split("|")[1:3] for line in page.split("\n") if line.startswith("| `tunlite_")]
    listed = {}
    for names, labels in rows:
        for name in re.findall(r"`(tunlite_\w+)`", names):
            outside = re.sub(r"\(.*?\)", "", labels)
            listed[name] = {"interface", *re.findall(r"`(\w+)`", outside)}
    assert listed == known()
