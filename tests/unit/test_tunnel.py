# SPDX-License-Identifier: MIT
"""What wg-quick's options mean: names, routes, tables, MTU, filter."""

import pytest

from tunlite import addresses
from tunlite.config import files, options, secret_text
from tunlite.host import hooks, links, record as states, tunnel
from tunlite.system import port

PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="


def _config(interface, allowed):
    text = f"[Interface]\n{interface}\n[Peer]\nPublicKey = {PUBLIC}\nAllowedIPs = {allowed}\n"
    parsed = options.parse(secret_text.Text([bytearray(text.encode())]), "f")
    assert not parsed.errors
    return parsed


def _routes(interface, allowed, mark=51820):
    rows = links.wanted_routes(_config(interface, allowed), mark)
    return [(addresses.format_prefix(prefix), table) for prefix, table in rows]


@pytest.mark.parametrize("name", ["wg0", "a", "fifteen-letters", "x_=+.-1"])
def test_names_that_the_kernel_takes_are_taken(name):
    files.check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "sixteen-letters-", "a/b", "a b", "a\n", "a:1"])
def test_names_that_it_does_not_are_refused(name):
    with pytest.raises(files.BadName):
        files.check_name(name)


def test_a_file_gives_its_interface_the_name():
    assert files.find_config("/x/wg0.conf") == ("wg0", "/x/wg0.conf")
    here = port.getcwd()
    assert files.find_config("./gate") == ("gate", here + "/./gate")
    assert files.find_config("wg0.conf") == ("wg0", here + "/wg0.conf")
    with pytest.raises(files.BadName):
        files.find_config("/x/too-long-for-an-interface.conf")


def test_a_name_is_looked_for_in_our_folder_first(tmp_path, monkeypatch):
    folders = tmp_path / "tunlite", tmp_path / "wireguard"
    monkeypatch.setattr(files, "CONFIG_FOLDERS", tuple(str(folder) for folder in folders))
    for folder in folders:
        folder.mkdir()
    with pytest.raises(files.BadName):
        files.find_config("wg0")
    (folders[1] / "wg0.conf").write_text("")
    assert files.find_config("wg0") == ("wg0", str(folders[1] / "wg0.conf"))
    (folders[0] / "wg0.conf").write_text("")
    assert files.find_config("wg0") == ("wg0", str(folders[0] / "wg0.conf"))


def test_routes_go_to_the_main_table_the_narrowest_first():
    assert _routes("", "10.0.0.0/8, 10.1.0.0/16, fd00::/8, 10.1.1.1") == [
        ("10.1.1.1/32", 0),
        ("10.1.0.0/16", 0),
        ("10.0.0.0/8", 0),
        ("fd00::/8", 0),
    ]


def test_what_an_address_covers_needs_no_route():
    interface = "Address = 10.1.2.3/16, fd00::1/64"
    assert _routes(interface, "10.1.9.0/24, 10.1.0.0/16, 10.0.0.0/8, fd00::/64, fd00::/63") == [
        ("fd00::/63", 0),
        ("10.0.0.0/8", 0),
    ]


def test_a_default_route_goes_to_the_table_of_the_mark():
    assert _routes("", "0.0.0.0/0, ::/0, 10.0.0.0/8", 777) == [
        ("10.0.0.0/8", 0),
        ("0.0.0.0/0", 777),
        ("::/0", 777),
    ]
    assert links.wants_default(_config("", "0.0.0.0/0, ::/0")) == [4, 6]
    assert links.wants_default(_config("", "::/0")) == [6]
    assert links.wants_default(_config("Table = 5", "::/0")) == []


def test_a_table_of_its_own_gets_all_routes_and_off_none():
    interface = "Address = 10.0.0.1/8\nTable = 5"
    assert _routes(interface, "10.0.0.0/8, ::/0") == [("10.0.0.0/8", 5), ("::/0", 5)]
    assert _routes("Table = off", "10.0.0.0/8, ::/0") == []


def test_a_prefix_of_two_peers_is_routed_once():
    parsed = _config("", f"10.0.0.0/8\n[Peer]\nPublicKey = {OTHER}\nAllowedIPs = 10.0.0.0/8")
    assert len(parsed.peers) == 2
    assert len(links.wanted_routes(parsed, 0)) == 1


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
    assert links.choose_mtu("wg0", endpoints, 77) == mtu


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
    assert links.choose_mtu("wg0", [(4, b"\4\4\4\4")], 0) == mtu


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
    first, second = links.new_state(), links.new_state()
    links.set_rules([4, 6], 51820, first)
    links.set_rules([4], 51821, second)
    links.set_rules([4, 6], 51820, first)  # nothing is new
    assert [row for row in kernel.rows if row[0] == 4] == [
        (4, 51820, 32766),
        (4, 254, 32765),
        (4, 51821, 32764),
        (4, 254, 32763),
    ]
    links.set_rules([6], 51820, first)
    assert kernel.rows == [
        (6, 51820, 32766),
        (6, 254, 32765),
        (4, 51821, 32764),
        (4, 254, 32763),
    ]
    links.set_rules([6], 77, first)
    assert kernel.rows[2:] == [(6, 77, 32766), (6, 254, 32765)]
    links.drop_rules(second)
    links.drop_rules(first)
    assert kernel.rows == first["rules"] == second["rules"] == []


def test_half_a_pair_of_rules_is_made_anew(monkeypatch):
    kernel = _Rules()
    monkeypatch.setattr(port, "links", kernel)
    state = links.new_state()
    kernel.fails = True
    with pytest.raises(links.LinkError):
        links.set_rules([4], 77, state)
    assert kernel.rows == [(4, 77, 32766)]
    kernel.fails = False
    links.set_rules([4], 77, state)
    assert kernel.rows == [(4, 77, 32766), (4, 254, 32765)]


def test_the_filter_names_only_addresses_of_its_family():
    own = _config("Address = 10.5.0.1/24, fd05::1/64", "").interface["Address"]
    v4, v6 = (links._filter_text("wg0", family, own, 77) for family in (4, 6))
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
    links._keep_marked_sources_valid(log)
    assert len(log.lines) == complaints


def test_a_down_that_comes_when_another_has_just_ended_takes_nothing_down_again(monkeypatch):
    record = {"parent": 0, "parent_began": "", "busy": []}
    taken = []
    monkeypatch.setattr(states, "read", lambda name: record)
    monkeypatch.setattr(states, "claim", lambda name, doing: None)
    monkeypatch.setattr(hooks, "Patience", lambda: None)
    monkeypatch.setattr(tunnel, "take_down", lambda *_: taken.append(1))
    with pytest.raises(tunnel.steps.QuickError, match="was not brought up"):
        tunnel.down("t", None)
    assert not taken
