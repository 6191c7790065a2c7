# SPDX-License-Identifier: MIT
"""What [Interface] says, with the defaults of the table filled in where it says nothing."""

from tunlite import addresses
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
        if self.is_wrapped():
            # Allowed IPs say who is on the outside of the vxlan: nothing for the kernel to route.
            self._values["Table"] = 0

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

    def is_wrapped(self):
        return self["Encapsulation"] == "vxlan"

    def device_layer(self):
        return 2 if self.is_wrapped() else self["Layer"]

    def wrapping(self):
        """How much longer a frame's packet in the tunnel is than what the device's MTU counts."""
        if not self.is_wrapped():
            return 0
        return 14 + 8 + 8 + (40 if ":" in (self["VXLANRemote"] or ":") else 20)

    def vxlan(self):
        """As plane.options() has it; parser.py has filled in what the dialect says. The remote
        address is empty where it is that of the group's member in use."""
        if not self.is_wrapped():
            return (0, 0, 0, 0, b"", b"")
        family, local = addresses.parse_address(self["VXLANLocal"])
        remote = self["VXLANRemote"]
        remote = addresses.parse_address(remote)[1] if remote else b""
        sums = int(self["VXLANDialect"] != "gluon")
        return (family, self["VNI"], self["VXLANPort"], sums, local, remote)

    def first_mtu(self):
        """Of the device; on layer 3 until the ways to the endpoints are known. On layer 2 no way is
        too narrow for a frame."""
        return self["MTU"] or (1500 if self["Layer"] == 2 else 1420 - self.wrapping())
