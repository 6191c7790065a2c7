# SPDX-License-Identifier: MIT
"""The dashboard asks for what `tunlite metrics` writes."""

import json
import re

import promql_parser
import pytest

from tests.unit.test_metrics import DOCS, daemons as daemons, known

_SCRAPES = 5  # one a minute


def _queries():
    """(expression, legend) of each target, with Grafana's variables filled in."""
    for panel in json.loads((DOCS / "grafana-dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5m").replace("$interface", "wg.*")
            assert "$" not in text
            yield text, target["legendFormat"]


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
    for expression, legend in _queries():
        assert _wrong(expression, legend, found) == [], expression
    asked = {part.name for text, _ in _queries() for part in _selectors(promql_parser.parse(text))}
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
