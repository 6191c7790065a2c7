# SPDX-License-Identifier: MIT
"""Rules that give default routes a table of their own. They outlive the link.

State: "rules" [[family, rule]], so that another process can undo them.
"""

from tunlite.host import failures
from tunlite.system import port


def mark(state):
    """The mark of the rules that there are, 0 where there are none."""
    found = [rule["mark"] for _, rule in state["rules"] if "mark" in rule]
    return found[-1] if found else 0


def apply(families, mark, state):
    """Rules that send what is not our own to table `mark`, and let more precise routes win."""
    for family in (4, 6):
        marks = [rule.get("mark") for found, rule in state["rules"] if found == family]
        if family in families and marks == [mark, None]:
            continue
        _drop_rules(family, state)
        if family in families:
            _add_rule(family, {"table": mark, "mark": mark, "invert": True}, state)
            _add_rule(family, {"table": 254, "suppress_prefixlength": 0}, state)


def _add_rule(family, rule, state):
    """Notes the kernel's priority too: other full tunnels have a rule that is the same but for it,
    and only before our own table it is ours."""
    try:
        state["rules"].append([family, port.links.rule_add(family, rule) or rule])
    except OSError as e:
        raise failures.step_error("rule for a default route", e)


def _drop_rules(family, state):
    for row in list(state["rules"]):
        if row[0] == family:
            failures.undo(lambda rule=row[1]: port.links.rule_del(family, rule))
            state["rules"].remove(row)


def undo(state):
    apply((), 0, state)
