# SPDX-License-Identifier: MIT
"""Configurations as UAPI text: whole, added, or only what differs."""

import base64

import pytest

from tunlite import keys
from tunlite.config import as_uapi, parser, secret_text

A, B, C = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
PSK = base64.b64encode(bytes([9]) * 32).decode()
HEX_A, HEX_B, HEX_C = (f"{n:02x}" * 32 for n in (1, 2, 3))
ZERO = "00" * 32


def _config(text):
    parsed = parser.parse(secret_text.Text([bytearray(text.encode())]), "f")
    assert not parsed.errors, parsed.errors
    return parsed


def _lines(pieces):
    return b"".join(bytes(piece) for piece in pieces).decode().splitlines()


def _running(*rows):
    return as_uapi.Running([row.encode().split(b"=", 1) for row in rows])


TEXT = f"""
[Interface]
PrivateKey = {A}
ListenPort = 7
FwMark = 0x10
[Peer]
PublicKey = {B}
PresharedKey = {PSK}
Endpoint = vpn.example.org:51820
PersistentKeepalive = 25
AllowedIPs = 10.0.0.1/8, ::/0
Description = the gateway
[Peer]
PublicKey = {C}
"""

# What get=1 says once TEXT was set and the name resolved.
RUNNING = (
    *(f"private_key={HEX_A}", "listen_port=7", "fwmark=16"),
    *(f"public_key={HEX_B}", "preshared_key=" + "09" * 32, "protocol_version=1"),
    *("endpoint=192.0.2.1:51820", "last_handshake_time_sec=1", "tx_bytes=5"),
    *("persistent_keepalive_interval=25", "allowed_ip=::/0", "allowed_ip=10.0.0.0/8"),
    *(f"public_key={HEX_C}", f"preshared_key={ZERO}", "persistent_keepalive_interval=0"),
)


def test_a_prefix_that_a_peer_says_twice_is_no_difference():
    twice = TEXT.replace("10.0.0.1/8, ::/0", "10.0.0.1/8, ::/0, 10.0.0.2/8")
    running = _running(*RUNNING, "description=the gateway")
    same, again = (_lines(as_uapi.different(_config(text), running)) for text in (TEXT, twice))
    assert same == again


def test_a_whole_configuration_sets_everything_and_resets_the_rest():
    assert _lines(as_uapi.whole(_config(TEXT))) == [
        f"private_key={HEX_A}",
        "fwmark=16",
        "listen_port=7",
        "replace_peers=true",
        f"public_key={HEX_B}",
        "preshared_key=" + "09" * 32,
        "endpoint=vpn.example.org:51820",
        "persistent_keepalive_interval=25",
        "replace_allowed_ips=true",
        "allowed_ip=10.0.0.0/8",
        "allowed_ip=::/0",
        "description=the gateway",
        f"public_key={HEX_C}",
        f"preshared_key={ZERO}",
        "persistent_keepalive_interval=0",
        "replace_allowed_ips=true",
    ]


def test_an_added_configuration_names_only_what_the_file_does():
    text = f"[Interface]\nListenPort = 9\n[Peer]\nPublicKey = {B}\nAllowedIPs = 10.0.0.0/8\n"
    assert _lines(as_uapi.added(_config(text))) == [
        "listen_port=9",
        f"public_key={HEX_B}",
        "replace_allowed_ips=true",
        "allowed_ip=10.0.0.0/8",
    ]


def test_nothing_differs_from_what_was_set():
    wanted = _config(TEXT)
    lines = _lines(as_uapi.different(wanted, _running(*RUNNING), as_uapi.endpoints_of(wanted)))
    assert [line for line in lines if not line.startswith(("public_key", "description"))] == []


def test_only_changed_options_of_changed_peers_are_sent():
    before = _config(TEXT)
    after = _config(TEXT.replace("25", "30").replace("ListenPort = 7", "ListenPort = 8"))
    lines = _lines(as_uapi.different(after, _running(*RUNNING), as_uapi.endpoints_of(before)))
    assert lines == [
        "listen_port=8",
        f"public_key={HEX_B}",
        "persistent_keepalive_interval=30",
        "description=the gateway",
    ]


def test_a_roamed_peer_stays_where_it_is_until_its_endpoint_is_changed():
    moved = [row.replace("192.0.2.1:51820", "198.51.100.9:1") for row in RUNNING]
    literal = TEXT.replace("vpn.example.org", "192.0.2.1").replace(
        "Description = the gateway\n", ""
    )
    before = _config(literal)
    same = _lines(as_uapi.different(before, _running(*moved), as_uapi.endpoints_of(before)))
    assert same == []
    after = _config(literal.replace("192.0.2.1:51820", "192.0.2.2:51820"))
    lines = _lines(as_uapi.different(after, _running(*moved), as_uapi.endpoints_of(before)))
    assert lines == [f"public_key={HEX_B}", "endpoint=192.0.2.2:51820"]


def test_several_endpoints_are_told_together_and_again_only_when_they_were_changed():
    several = TEXT.replace("vpn.example.org:51820", "vpn.example.org:51820, 192.0.2.9:9")
    before = _config(several)
    assert "endpoints=vpn.example.org:51820,192.0.2.9:9" in _lines(as_uapi.whole(before))
    row = "endpoints=vpn.example.org:51820,192.0.2.9:9"
    at = RUNNING.index("endpoint=192.0.2.1:51820")
    running = [*RUNNING[: at + 1], row, *RUNNING[at + 1 :]]
    for known in (as_uapi.endpoints_of(before), None):
        lines = _lines(as_uapi.different(before, _running(*running), known))
        assert not [line for line in lines if line.startswith("endpoint")]
    after = _config(several.replace("9:9", "9:8"))
    lines = _lines(as_uapi.different(after, _running(*running), as_uapi.endpoints_of(before)))
    assert row.replace("9:9", "9:8") in lines
    lines = _lines(as_uapi.different(_config(TEXT), _running(*running)))
    assert "endpoint=vpn.example.org:51820" in lines


def test_a_peer_that_is_not_named_goes_and_a_new_one_comes():
    text = f"[Interface]\nPrivateKey = {A}\nListenPort = 7\nFwMark = 16\n[Peer]\nPublicKey = {A}\n"
    lines = _lines(as_uapi.different(_config(text), _running(*RUNNING)))
    assert lines == [
        *(f"public_key={HEX_B}", "remove=true", f"public_key={HEX_C}", "remove=true"),
        *(f"public_key={HEX_A}", f"preshared_key={ZERO}", "persistent_keepalive_interval=0"),
        "replace_allowed_ips=true",
    ]


def test_a_new_or_dropped_preshared_key_is_sent():
    text = TEXT.replace(f"PresharedKey = {PSK}\n", "").replace("Description = the gateway\n", "")
    wanted = _config(text)
    lines = _lines(as_uapi.different(wanted, _running(*RUNNING), as_uapi.endpoints_of(wanted)))
    assert lines == [f"public_key={HEX_B}", f"preshared_key={ZERO}"]


@pytest.mark.parametrize(
    ("line", "without", "sent"),
    [
        (
            "PersistentKeepalive = 25",
            "",
            [f"public_key={HEX_B}", "persistent_keepalive_interval=0"],
        ),
        (
            "AllowedIPs = 10.0.0.1/8, ::/0",
            "AllowedIPs = ::/0",
            [f"public_key={HEX_B}", "replace_allowed_ips=true", "allowed_ip=::/0"],
        ),
        (
            "AllowedIPs = 10.0.0.1/8, ::/0",
            "",
            [f"public_key={HEX_B}", "replace_allowed_ips=true"],
        ),
        ("FwMark = 0x10", "", ["fwmark=0"]),
        (f"PrivateKey = {A}", "", [f"private_key={ZERO}"]),
        ("ListenPort = 7", "", []),  # any port: the one it has will do
        ("Endpoint = vpn.example.org:51820", "", []),  # where it was last
    ],
)
def test_what_a_file_no_longer_names_goes_back_to_its_default(line, without, sent):
    text = TEXT.replace("Description = the gateway\n", "")
    before, after = _config(text), _config(text.replace(line + "\n", without + "\n"))
    lines = _lines(as_uapi.different(after, _running(*RUNNING), as_uapi.endpoints_of(before)))
    assert lines == sent


def test_a_whole_configuration_that_names_nothing_sets_every_default():
    assert _lines(as_uapi.whole(_config("[Interface]\n"))) == [
        f"private_key={ZERO}",
        "fwmark=0",
        "listen_port=0",
        "replace_peers=true",
    ]


def test_a_thousand_peers_are_a_thousand_pieces():
    names = [keys.text(n.to_bytes(32, "big")) for n in range(1, 1001)]
    text = "[Interface]\n" + "".join(f"[Peer]\nPublicKey = {name}\n" for name in names)
    assert len(list(as_uapi.whole(_config(text)))) == 1001


def test_peers_that_came_by_other_ways_are_left_as_they_are():
    text = f"[Interface]\nPrivateKey = {A}\nListenPort = 7\nFwMark = 16\n"
    for origin in ("folder", "added", "admitted"):
        running = _running(
            *(f"private_key={HEX_A}", "listen_port=7", "fwmark=16"),
            *(f"public_key={HEX_B}", f"origin={origin}", "allowed_ip=::/0"),
            *(f"public_key={HEX_C}", "allowed_ip=10.0.0.0/8"),
        )
        lines = _lines(as_uapi.different(_config(text), running))
        assert lines == [f"public_key={HEX_C}", "remove=true"]


def test_a_peer_that_came_by_another_way_and_stands_in_the_file_now_is_the_file_s():
    text = f"[Interface]\nPrivateKey = {A}\n[Peer]\nPublicKey = {B}\nAllowedIPs = ::/0\n"
    same = (f"private_key={HEX_A}", f"public_key={HEX_B}", "allowed_ip=::/0")
    assert _lines(as_uapi.different(_config(text), _running(*same))) == []
    lines = _lines(as_uapi.different(_config(text), _running(*same, "origin=admitted")))
    assert lines[:2] == [f"public_key={HEX_B}", "origin="] and "allowed_ip=::/0" in lines
