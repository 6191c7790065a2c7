# SPDX-License-Identifier: MIT
"""host/routes.py: what Table and AllowedIPs ask for."""

from tunlite import addresses
from tunlite.config import parser, secret_text
from tunlite.host import routes

PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="


def _config(interface, allowed):
    text = f"[Interface]\n{interface}\n[Peer]\nPublicKey = {PUBLIC}\nAllowedIPs = {allowed}\n"
    parsed = parser.parse(secret_text.Text([bytearray(text.encode())]), "f")
    assert not parsed.errors
    return parsed


def _routes(interface, allowed, mark=51820):
    rows = routes.with_table(routes.wanted(_config(interface, allowed)), mark)
    return [(addresses.format_prefix(prefix), table) for prefix, table in rows]


def _default_families(config):
    return routes.default_families(routes.wanted(config))


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
    assert _default_families(_config("", "0.0.0.0/0, ::/0")) == [4, 6]
    assert _default_families(_config("", "::/0")) == [6]
    assert _default_families(_config("Table = 5", "::/0")) == []


def test_a_table_of_its_own_gets_all_routes_and_off_none():
    interface = "Address = 10.0.0.1/8\nTable = 5"
    assert _routes(interface, "10.0.0.0/8, ::/0") == [("10.0.0.0/8", 5), ("::/0", 5)]
    assert _routes("Table = off", "10.0.0.0/8, ::/0") == []


def test_a_prefix_of_two_peers_is_routed_once():
    parsed = _config("", f"10.0.0.0/8\n[Peer]\nPublicKey = {OTHER}\nAllowedIPs = 10.0.0.0/8")
    assert len(parsed.peers) == 2
    assert len(routes.wanted(parsed)) == 1
