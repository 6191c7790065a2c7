# SPDX-License-Identifier: MIT
"""What [Interface] says, with the defaults of the table filled in where it says nothing."""

from tunlite.config import options, values

# A change of these takes a new daemon; the others are applied by a reload.
FIXED = options.names("Interface", options.WHEN, "start")


def default(row):
    """The value of an option that is not set, as its parser gives it; None for none."""
    if row[options.DEFAULT] in ("none", "required"):
        return [] if row[options.KIND] in values.LISTS else None
    return values.PARSERS[row[options.KIND]](row[options.DEFAULT])


def defaults(section):
    return {
        row[options.NAME]: default(row) for row in options.rows() if row[options.SECTION] == section
    }


class Settings:
    """settings["MTU"]: what was set, else the default. `given`: what was set alone."""

    def __init__(self, given):
        self.given = given
        self._values = defaults("Interface")
        self._values.update(given)

    def __getitem__(self, name):
        return self._values[name]

    def __setitem__(self, name, value):
        self.given[name] = self._values[name] = value

    def fixed(self):
        """What was set of that which takes a new daemon, as the record gives it back."""
        found = {name: self.given[name] for name in FIXED if name in self.given}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in found.items()}

    def of_start(self):
        """What a daemon has to know from its start: no secret, and nothing that it is told."""
        start = Settings(self.fixed())
        start["MTU"] = self.first_mtu()
        return start

    def first_mtu(self):
        """Of the device, until the ways to the endpoints are known."""
        return self["MTU"] or 1420
