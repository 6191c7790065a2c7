# SPDX-License-Identifier: MIT
"""The dashboard and the alerts of the documentation ask for what `tunlite metrics` writes, and
Prometheus' own promtool draws each of their queries from it."""

import json
import re
import subprocess

import promql_parser
import pytest

from machine import debs
from tests.unit.test_metrics import DOCS, daemons as daemons, known, text_of

_SCRAPES = 5  # one a minute


def _queries():
    """(expression, legend) of each target, with Grafana's variables filled in."""
    for panel in json.loads((DOCS / "grafana-dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5m").replace("$interface", "wg.*")
            assert "$" not in text
            yield text, target["legendFormat"]


def _alerts():
    """Expressions of running.md."""
    section = (DOCS / "running.md").read_text().split("\n### What to alert on\n")[1]
    lines = section.split("\n#")[0].split("\n")
    return [line.split(" # ")[0].strip() for line in lines if line.startswith("    ")]


# ---- names and labels ----


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


def test_every_metric_and_label_that_is_asked_for_is_in_the_text(daemons):
    found = known()
    queries = [*_queries(), *((alert, "") for alert in _alerts())]
    for expression, legend in queries:
        assert _wrong(expression, legend, found) == [], expression
    asked = {part.name for text, _ in queries for part in _selectors(promql_parser.parse(text))}
    assert len(asked) > 25


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
    assert _wrong(expression, legend, known()) == wrong


# ---- what they evaluate to ----


@pytest.fixture(scope="module")
def promtool():
    """Of Debian's package, unpacked below the cache: installed, it would start a server."""
    words = ["dpkg", "--print-architecture"]
    arch = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    (deb,) = debs.Apt("bookworm", arch).fetch(["prometheus"])
    return debs.unpacked([deb], debs.CACHE / "promtool" / deb.stem) / "usr/bin/promtool"


def _scraped(daemons, happens=lambda minute: None):
    """Series for promtool: what the text says in each of some minutes, before which happens(it)."""
    texts = []
    for minute in range(_SCRAPES):
        happens(minute)
        daemons.drops = minute
        daemons.world.run(60)
        daemons.group.ping(60, every_ms=1000)
        texts.append(dict(row.rsplit(" ", 1) for row in text_of().splitlines() if row[0] != "#"))
    names = sorted(set().union(*texts))
    return [
        {"series": name, "values": " ".join([text.get(name, "stale") for text in texts])}
        for name in names
    ]


@pytest.fixture
def series(daemons):
    """Of daemons with Descriptions for all peers; one key is a peer of two of them, and one of them
    has a second group that chooses."""
    router = daemons.nodes["wg0"]
    router.add(daemons.group.gateways[0], b"\x0a\0\0\x07")
    group = ("group_name=uplinks", "group_limit=1")
    daemons.group.set(*group, "public_key=" + "07" * 32, "group=uplinks")
    for node in daemons.nodes.values():
        for number, peer in enumerate(node.interface.peers.values()):
            peer.described(f"peer{number}")
    return _scraped(daemons)


def _faults(promtool, folder, series, wanted):
    """promtool's words for each of `wanted` (expression, samples) that is otherwise."""
    last = f"{_SCRAPES - 1}m"
    tests = [
        {"expr": expression, "eval_time": last, "exp_samples": samples}
        for expression, samples in wanted
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    file = folder / "test.yml"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [], "tests": [test]}))
    words = [promtool, "test", "rules", file]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    faults = said.split("expr: ")[1:]
    assert bool(faults) == bool(done.returncode), said
    return faults


def _drawn(expression, legend):
    """True of a query that draws something, one line for each legend, each label of which is
    filled in."""
    labels = re.findall(r"{{(\w+)}}", legend)
    joined = ", ".join([f"({expression})", '"legend"', '";"', *(f'"{each}"' for each in labels)])
    filled = f'"whole", "yes", "legend", "{";".join(["[^;]+"] * len(labels))}"'
    whole = f"label_replace(label_join({joined}), {filled})"
    drawn = f"max by (whole) (count by (whole, legend) ({whole}))"
    return drawn, [{"labels": '{whole="yes"}', "value": 1}]


def test_every_query_draws_one_line_for_each_of_its_legends(promtool, series, tmp_path):
    queries = list(_queries())
    assert len(queries) > 25
    assert _faults(promtool, tmp_path, series, [_drawn(*query) for query in queries]) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "on (interface, public_key) group_left (description) ",
            "on (public_key) group_left (description) ",
            "err:",
        ),
        (" group_left (description)", "", "got:"),  # the legend is not filled in
        (" * on (interface, group) group_left (peer)", " *", "got:"),  # nothing matches
        (
            "on (interface, group) group_left (peer)",
            "on (interface) group_left (peer)",
            "err:",
        ),
        ("count by (group, peer)", "count by (group)", "got:"),
        ("sum by (interface, reason)", "sum by (reason)", "got:"),
    ],
)
def test_a_mistake_that_is_planted_in_one_query_is_seen_there(
    promtool, series, tmp_path, right, wrong, said
):
    queries = [(text.replace(right, wrong), legend) for text, legend in _queries()]
    (planted,) = [text for text, legend in queries if (text, legend) not in list(_queries())]
    (fault,) = _faults(promtool, tmp_path, series, [_drawn(*query) for query in queries])
    assert planted in fault.replace('\\"', '"') and said in fault


def test_a_gateway_that_dies_is_one_fail_over_and_another_one_in_use(promtool, daemons, tmp_path):
    daemons.group.set("public_key=" + daemons.group.key(1), "description=gw1")
    series = _scraped(daemons, lambda minute: minute == 2 and daemons.group.kill(0))
    panels = {legend: text for text, legend in _queries()}
    moved = panels["{{interface}} {{group}}: {{why}}"] + " > 0"
    wanted = [
        (moved, '{interface="wg2", group="gateways", why="silent"}'),
        (panels["{{group}}: {{peer}}"], '{group="gateways", peer="gw1"}'),
    ]
    wanted = [(text, [{"labels": labels, "value": 1}]) for text, labels in wanted]
    assert _faults(promtool, tmp_path, series, wanted) == []


# ---- alerts ----


class Trouble:
    """What a status tells when all goes wrong, ever more of it."""

    def __init__(self):
        self._times = 0

    def of(self, found):
        self._times += 1
        for group in found["groups"]:
            if "limit" in group:
                group.update(searching=True, trouble="use: the peer does not answer")
                group["moves"]["silent"] = 10 * self._times
        if found.get("admission"):
            found["admission"]["parked"] = 64
        if found["commands"]:
            found["commands"]["refused"] = self._times
        return found


def test_no_alert_is_raised_while_all_is_well(promtool, daemons, tmp_path):
    wanted = [(alert, []) for alert in _alerts()]
    assert _faults(promtool, tmp_path, _scraped(daemons), wanted) == []


def test_every_alert_is_raised_by_its_trouble(promtool, daemons, tmp_path):
    assert len(_alerts()) >= 5
    daemons.edit = Trouble().of
    del daemons.nodes["wg0"]
    raised = [{"labels": "{}", "value": 1}]
    wanted = [(f"count(({alert})) > bool 0", raised) for alert in _alerts()]
    assert _faults(promtool, tmp_path, _scraped(daemons), wanted) == []
