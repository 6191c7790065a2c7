# SPDX-License-Identifier: MIT
"""host/rules.py: pairs of rules, each tunnel its own."""

import pytest

from tunlite.host import failures, record, rules
from tunlite.system import port


class _Rules:
    """port.links that notes rules as (family, table, priority); the newest comes first."""

    def __init__(self):
        self.rows = []
        self.fails = False

    def rule_add(self, family, rule):
        if self.fails and "mark" not in rule:
            raise OSError(1, "")
        priority = min([32767] + [row[2] for row in self.rows if row[0] == family]) - 1
        self.rows.append((family, rule["table"], priority))
        return {**rule, "priority": priority}

    def rule_del(self, family, rule):
        self.rows.remove((family, rule["table"], rule["priority"]))


def test_each_tunnel_takes_back_its_own_rules_only(monkeypatch):
    kernel = _Rules()
    monkeypatch.setattr(port, "links", kernel)
    first, second = record.new(), record.new()
    rules.apply([4, 6], 51820, first)
    rules.apply([4], 51821, second)
    rules.apply([4, 6], 51820, first)  # nothing is new
    assert [row for row in kernel.rows if row[0] == 4] == [
        (4, 51820, 32766),
        (4, 254, 32765),
        (4, 51821, 32764),
        (4, 254, 32763),
    ]
    rules.apply([6], 51820, first)
    assert kernel.rows == [
        (6, 51820, 32766),
        (6, 254, 32765),
        (4, 51821, 32764),
        (4, 254, 32763),
    ]
    rules.apply([6], 77, first)
    assert kernel.rows[2:] == [(6, 77, 32766), (6, 254, 32765)]
    rules.undo(second)
    rules.undo(first)
    assert kernel.rows == first["rules"] == second["rules"] == []


def test_half_a_pair_of_rules_is_made_anew(monkeypatch):
    kernel = _Rules()
    monkeypatch.setattr(port, "links", kernel)
    state = record.new()
    kernel.fails = True
    with pytest.raises(failures.LinkError):
        rules.apply([4], 77, state)
    assert kernel.rows == [(4, 77, 32766)]
    kernel.fails = False
    rules.apply([4], 77, state)
    assert kernel.rows == [(4, 77, 32766), (4, 254, 32765)]
