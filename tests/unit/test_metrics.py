# SPDX-License-Identifier: MIT
"""What Prometheus reads: names and units by its conventions, sums that never go back, the same by
text and over HTTP; and the dashboard asks for nothing else."""

import json
import re
from pathlib import Path

import promql_parser
import pytest
from prometheus_client import core, parser

from lab.fakes.net import Node, World
from tunlite.uapi import client, cpython_exporter, cpython_metrics as metrics, status

_DASHBOARD = Path(__file__).resolve().parents[2] / "docs/grafana-dashboard.json"
_PEER = b"\x0a\0\0\x02"


class Daemons:
    """Two ends by name, wg0 and wg1, and what their status sockets tell."""

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
        for node in (router, gateway):  # what only happens in trouble
            exchange, daemon = node.interface.exchange, node.daemon
            exchange.refused["not authentic"] = 2
            daemon.plane.native.drops["some_drop"] = 3
        self.nodes = {"wg0": router, "wg1": gateway}
        self.edit = lambda found: found

    def told(self, name):
        if name not in self.nodes:
            raise client.NoDaemon(f"{name} is not up")
        found = json.loads(b"".join(status.pieces(self.nodes[name].daemon)))
        found["drops"].setdefault("no_route", 1)
        found["returns"].setdefault("deadline", 5)
        found["memory_kb"] = found["memory_kb"] or 900
        peers = found.pop("peers")
        yield self.edit(found)
        yield from peers


@pytest.fixture
def daemons(monkeypatch):
    made = Daemons()
    monkeypatch.setattr(metrics.client, "told", made.told)
    monkeypatch.setattr(metrics, "interfaces", lambda: ["wg0", "wg1"])
    return made


def _text(names=(), per_peer=True):
    return "".join(metrics.pieces(metrics.gathered(names, per_peer)))


def _samples(text):
    """{(name, labels): value}"""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def _value(name, **labels):
    return _samples(_text())[(name, tuple(sorted(labels.items())))]


def test_the_text_is_read_by_prometheus_own_parser_with_a_help_and_a_type_for_each(daemons):
    text = _text()
    families = list(parser.text_string_to_metric_families(text))
    assert {family.type for family in families} == {"gauge", "counter"}
    assert all(family.documentation and family.samples for family in families)
    told = {line.split(" ")[2] for line in text.split("\n") if line.startswith("# TYPE")}
    assert told == {name for name, _, _ in metrics._FAMILIES}, "each is seen here"


def test_names_and_units_are_by_prometheus_conventions():
    for name, kind, text in metrics._FAMILIES:
        assert re.fullmatch(r"tunlite_[a-z_]+", name) and text.endswith(".")
        assert name.endswith("_total") == (kind == "counter"), name
        for unit in ("_ms", "_kb", "_kilo", "_us", "_s", "_percent", "_minutes", "_bits"):
            assert not re.search(unit + r"(_total)?$", name), name
        for unit in ("seconds", "bytes"):  # last, but for _total
            assert unit not in name or re.search(unit + "(_total)?$", name), name


def test_a_peer_has_rows_of_its_own_only_when_asked_for(daemons):
    assert "tunlite_peer_info{" in _text() and "tunlite_peer_info{" not in _text(per_peer=False)
    short = _text(per_peer=False)
    daemons.nodes["wg0"].interface.add_peer(b"\x09" * 32)
    assert len(_text(per_peer=False).split("\n")) == len(short.split("\n"))


def test_what_is_established_and_who_is_in_a_group_is_counted(daemons):
    assert _value("tunlite_peers_established", interface="wg0") == 1
    assert _value("tunlite_peers", interface="wg0", origin="file") == 1
    assert _value("tunlite_group_peers_established", interface="wg1", group="routers") == 1
    assert _value("tunlite_handshakes_total", interface="wg0", result="completed") == 1
    daemons.world.run(600)
    assert _value("tunlite_peers_established", interface="wg0") == 0
    assert _value("tunlite_group_peers", interface="wg1", group="routers") == 1


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
    found = _samples(_text())
    assert [found[("tunlite_up", (("interface", name),))] for name in ("wg0", "wg1")] == [1, 0]
    assert all(dict(labels)["interface"] == "wg0" for name, labels in found if name != "tunlite_up")


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
    ],
)
def test_what_is_no_status_of_ours_is_left_out_as_a_whole(daemons, hostile):
    daemons.edit = lambda found: {**found, **hostile} if found["public_key"] else found
    found = _samples(_text(["wg0"]))
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
    assert served == _samples(_text())


def test_no_right_to_ask_is_an_error_and_no_daemon_that_is_down(daemons, monkeypatch):
    def told(name):
        raise client.NoRight("you may not use it")
        yield

    monkeypatch.setattr(metrics.client, "told", told)
    with pytest.raises(client.NoRight):
        _text()


# ---- the dashboard ----


def _queries():
    """(expression, legend) of each target, with Grafana's variables filled in."""
    for panel in json.loads(_DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5m").replace("$interface", "wg.*")
            assert "$" not in text
            yield text, target["legendFormat"]


def _parts(node):
    """The nodes right below one."""
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if getattr(node, name, None) is not None:
            yield getattr(node, name)
    yield from getattr(node, "args", ())


def _below(node):
    yield node
    for part in _parts(node):
        yield from _below(part)


def _selectors(node):
    return [part for part in _below(node) if isinstance(part, promql_parser.VectorSelector)]


def _wrong(expression, legend, known):
    """What an expression names that is not in `known`: {metric: labels}."""
    tree = promql_parser.parse(expression)
    wrong = [part.name for part in _selectors(tree) if part.name not in known]
    if wrong:
        return wrong
    for part in _selectors(tree):
        wrong += [m.name for m in part.matchers.matchers if m.name not in known[part.name]]
    for part in _below(tree):
        modifier = getattr(part, "modifier", None)
        matching = getattr(modifier, "matching", None)
        shared = getattr(matching or modifier, "labels", None) or ()
        for selector in _selectors(part):
            wrong += [label for label in shared if label not in known[selector.name]]
        for selector in _selectors(part.rhs) if matching else ():
            wrong += [x for x in modifier.group_labels or () if x not in known[selector.name]]
    seen = {label for part in _selectors(tree) for label in known[part.name]}
    return wrong + [label for label in re.findall(r"{{(\w+)}}", legend) if label not in seen]


def _known():
    found = {}
    for name, labels in _samples(_text()):
        found.setdefault(name, set()).update(label for label, _ in labels)
    return found


def test_every_metric_and_label_that_the_dashboard_asks_for_is_in_the_text(daemons):
    known = _known()
    for expression, legend in _queries():
        assert _wrong(expression, legend, known) == [], expression
    asked = {part.name for text, _ in _queries() for part in _selectors(promql_parser.parse(text))}
    assert len(asked) > 15


@pytest.mark.parametrize(
    ("expression", "legend", "wrong"),
    [
        ("rate(tunlite_no_such_total[5m])", "", ["tunlite_no_such_total"]),
        ('tunlite_up{nothing="x"}', "", ["nothing"]),
        ("sum by (reason) (tunlite_up)", "", ["reason"]),
        ("tunlite_up * on (public_key) tunlite_peer_info", "", ["public_key"]),
        (
            "tunlite_peer_info * on (public_key) group_left (engine) tunlite_peer_established",
            "",
            ["engine"],
        ),
        ("tunlite_up", "{{interface}} {{reason}}", ["reason"]),
    ],
)
def test_a_planted_query_for_what_is_not_there_is_seen(daemons, expression, legend, wrong):
    assert _wrong(expression, legend, _known()) == wrong


def test_the_page_lists_every_metric_with_its_labels(daemons):
    page = (_DASHBOARD.parent / "running.md").read_text()
    rows = [line.split("|")[1:3] for line in page.split("\n") if line.startswith("| `tunlite_")]
    listed = {}
    for names, labels in rows:
        for name in re.findall(r"`(tunlite_\w+)`", names):
            outside = re.sub(r"\(.*?\)", "", labels)
            listed[name] = {"interface", *re.findall(r"`(\w+)`", outside)}
    assert listed == _known()
