# SPDX-License-Identifier: MIT
"""host/filter.py: the texts for nft, and a sysctl."""

import pytest

from tunlite import addresses
from tunlite.host import filter as filters
from tunlite.system import port


def test_the_filter_names_only_addresses_of_its_family():
    own = [addresses.parse_prefix(text) for text in ("10.5.0.1/24", "fd05::1/64")]
    v4, v6 = (filters._filter_text("wg0", family, own, 77) for family in (4, 6))
    assert "ip daddr 10.5.0.1 fib saddr type != local drop" in v4 and "fd05" not in v4
    assert "ip6 daddr fd05::1 fib saddr type != local drop" in v6 and "10.5" not in v6
    assert "meta mark 77 ct mark set meta mark" in v4


class _Log:
    def __init__(self):
        self.lines = []

    def error(self, text):
        self.lines.append(text)


@pytest.mark.parametrize(("value", "complaints"), [(b"1\n", 0), (b"0\n", 1)])
def test_a_read_only_sysctl_is_complained_of_only_where_it_is_not_set(
    monkeypatch, value, complaints
):
    def refuse(path, data):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(port, "read_file", lambda path: value)
    monkeypatch.setattr(port, "write_file", refuse)
    log = _Log()
    filters._keep_marked_sources_valid(log)
    assert len(log.lines) == complaints
