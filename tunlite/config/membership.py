# SPDX-License-Identifier: MIT
"""What a file's groups, and the peers that name one, must have."""

from tunlite.config import values


class Membership:
    """`parser` has `config`, error() and has_error_for(); check() once all is read."""

    def __init__(self, parser):
        self._parser = parser
        self._groups = {}  # name -> its section
        self._named = {}  # name -> line of the first peer that says it

    def note(self, peer):
        name = peer.get("Group")
        if name is not None:
            self._named.setdefault(name, peer["line"])

    def check(self):
        for group in self._parser.config.groups:
            self._check_name(group)
        for name, line in self._named.items():
            if name not in self._groups:
                wrong = f"no [Group] has the Name {values.quoted(name)}"
                self._parser.error("Group", wrong, "add the section, or correct the name", line)

    def _check_name(self, group):
        name = group.get("Name")
        line = group["line"]
        if name is None:
            if not self._parser.has_error_for("Name", line):
                self._parser.error("Name", "this group has none", "give it one", line)
            return
        first = self._groups.setdefault(name, group)
        if first is not group:
            wrong = f"the group of line {first['line']} has this name already"
            self._parser.error("Name", wrong, "choose another, or join the two", line)
