# SPDX-License-Identifier: MIT
"""How a group of layer 3 asks whether a member is there: ICMP echoes to its ProbeAddress, where it
has one and we have an address that can ask (control.md, "Groups")."""

from tunlite import addresses
from tunlite.protocol import echo

_SOURCE_MS = 10_000  # an address that was found holds so long
_NO_SOURCE_MS = 1000


class Pings:
    """`interface` is an Interface, `group` a groups.Group."""

    def __init__(self, interface, group):
        self._interface = interface
        self._group = group
        self._mark = bytes(interface.port.random_bytes(2 + echo.DATA_SIZE))
        self._sequence = 0
        self._sources = {}  # target -> (source or None, until when that holds)

    def can_ask(self, peer):
        target = self._target(peer)
        return target is not None and self._source(target) is not None

    def answered_ms(self, member):
        # What was on its way when ProbeAddress changed came from another one.
        return member.echoed_ms if member.target == self._target(member.peer) else 0

    def frame(self, peer):
        """What leaves now."""
        target = self._target(peer)
        peer.member.echoes_to(target)
        self._sequence += 1
        return echo.request(self._source(target), target, self._mark, self._sequence)

    def trouble(self, used):
        """What keeps ProbeAddress from being asked. `used`: the member in use, or None."""
        target = self._target(used.peer) if used is not None else None
        if target is None or self._source(target) is not None:
            return ""
        text = addresses.format_bytes(target)
        return f"the interface has no address that can ask ProbeAddress {text}"

    def _target(self, peer):
        return peer.probe or self._group.probe

    def _source(self, target):
        """Our address to ask from, looked up now and then; None: there is none, or the device is in
        another network namespace."""
        now_ms = self._interface.port.now_ms()
        source, until_ms = self._sources.get(target, (None, 0))
        if now_ms >= until_ms:
            source = self._interface.source_for(target)
            until_ms = now_ms + (_SOURCE_MS if source else _NO_SOURCE_MS)
            # What was asked by an earlier configuration goes.
            rows = self._sources.items()
            self._sources = {key: row for key, row in rows if row[1] > now_ms}
            self._sources[target] = (source, until_ms)
        return source
