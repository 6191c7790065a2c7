# SPDX-License-Identifier: MIT
"""host/mtu.py: the widest way, less what a tunnel adds."""

import pytest

from tunlite.host import mtu as mtus
from tunlite.system import port


class _Ways:
    """port.links of a host with two ways out, the second of them for what has our mark."""

    defaults = {4: [(2, 0), (3, 0)], 6: [(3, 0)]}

    def link_get(self, name):
        return 9, 1420, True

    def route_get(self, family, packed, mark):
        if (family, packed) == (4, b"\4\4\4\4"):
            return (3, 0) if mark == 77 else (9, 0)
        return {(4, b"\1\1\1\1"): (2, 0), (4, b"\2\2\2\2"): (3, 1300)}.get((family, packed))

    def routes(self, family, table):
        for way in self.defaults[family]:
            yield (family, bytes(4), 0), *way
            yield (family, b"\1\0\0\0", 8), 5, 0

    def mtu_of(self, index):
        return {0: 0, 2: 1492, 3: 9000, 9: 1420}[index]


@pytest.mark.parametrize(
    ("endpoints", "mtu"),
    [
        ([(4, b"\1\1\1\1")], 1412),
        ([(4, b"\2\2\2\2")], 1220),
        ([(4, b"\1\1\1\1"), (4, b"\2\2\2\2")], 1412),
        ([(4, b"\4\4\4\4")], 8920),
        ([(4, b"\3\3\3\3")], 1412),
        ([], 1412),
    ],
)
def test_the_mtu_is_that_of_the_widest_way_less_80(monkeypatch, endpoints, mtu):
    monkeypatch.setattr(port, "links", _Ways())
    assert mtus.widest("wg0", endpoints, 77) == mtu


@pytest.mark.parametrize(
    ("v4", "v6", "mtu"),
    [
        ([(9, 0), (2, 0)], [], 1412),  # not through our own link
        ([(2, 1300)], [(3, 0)], 1220),
        ([(0, 0), (2, 0)], [], 1420),  # by several links: as wg-quick, none of them
        ([], [(3, 0)], 8920),
        ([], [], 1420),
    ],
)
def test_without_endpoints_the_first_default_route_counts(monkeypatch, v4, v6, mtu):
    ways = _Ways()
    ways.defaults = {4: v4, 6: v6}
    monkeypatch.setattr(port, "links", ways)
    assert mtus.widest("wg0", [(4, b"\4\4\4\4")], 0) == mtu
