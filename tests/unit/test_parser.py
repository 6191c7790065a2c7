# SPDX-License-Identifier: MIT
"""Configuration files: what wg and wg-quick accept, and what each mistake is told."""

import base64
import os
import threading

import pytest
from hypothesis import example, given, strategies as st

from tunlite import keys
from tunlite.config import options, parser as config, secret_text, values
from tunlite.system import port

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="


def _parse(text, features=None):
    return config.parse(secret_text.Text([bytearray(text.encode())]), "wg0.conf", features)


def _errors(text, features=None):
    parsed = _parse(text, features)
    return parsed.lines_of(parsed.errors)


def _warnings(text):
    parsed = _parse(text)
    assert not parsed.errors, parsed.errors
    return parsed.lines_of(parsed.warnings)


def _interface(line):
    parsed = _parse("[Interface]\n" + line)
    assert not parsed.errors, parsed.errors
    return parsed.interface


def _peer(line):
    parsed = _parse(f"[Peer]\nPublicKey = {PUBLIC}\n{line}")
    assert not parsed.errors, parsed.errors
    return next(iter(parsed.peers))


def test_a_usual_file_is_read_whole():
    parsed = _parse(f"""
# my tunnel
[Interface]
PrivateKey = {PRIVATE}
ListenPort = 51820
Address = 10.0.0.1/24, fd00::1/64
Address = 10.0.1.1/24
DNS = 192.0.2.53, example.org
MTU = 1280
Table = off
PostUp = iptables -A FORWARD -i %i -j ACCEPT # open
PostUp = echo two

[Peer]
PublicKey = {PUBLIC}
PresharedKey = {PRIVATE}
AllowedIPs = 10.0.0.2, 10.1.0.7/16
AllowedIPs = ::/0
Endpoint = vpn.example.org:51820
PersistentKeepalive = 25

[Peer]
PublicKey = {OTHER}
""")
    assert not parsed.errors and not parsed.warnings
    interface = parsed.interface
    assert bytes(interface["PrivateKey"]) == base64.b64decode(PRIVATE)
    assert isinstance(interface["PrivateKey"], bytearray)
    assert interface["ListenPort"] == 51820
    assert [bits for _, _, bits in interface["Address"]] == [24, 64, 24]
    assert interface["DNS"] == [("192.0.2.53", None), (None, "example.org")]
    assert interface["MTU"] == 1280
    assert interface["Table"] == 0
    assert interface["PostUp"] == ["iptables -A FORWARD -i %i -j ACCEPT", "echo two"]
    first, second = parsed.peers
    assert first["AllowedIPs"] == [
        (4, bytes([10, 0, 0, 2]), 32),
        (4, bytes([10, 1, 0, 0]), 16),
        (6, bytes(16), 0),
    ]
    assert first["Endpoint"] == "vpn.example.org:51820"
    assert first["PersistentKeepalive"] == 25
    assert second["PublicKey"] == base64.b64decode(OTHER)


def test_the_group_of_the_socket_is_understood_as_0_1_0_wrote_it():
    assert _interface("SocketGroup = staff") == {"SocketGroup": "staff"}
    assert _interface("Group = staff") == {"SocketGroup": "staff"}
    assert _warnings("[Interface]\nGroup = a\nSocketGroup = b\n")[0].startswith(
        "wg0.conf:3: SocketGroup: it was set in line 2 already"
    )
    wrong = f"[Interface]\nListenPort = 1\n[Peer]\nPublicKey = {PUBLIC}\nGroup = a\n"
    assert _errors(wrong)


def test_sections_and_options_have_no_case_and_spaces_do_not_matter():
    parsed = _parse(f"\ufeff[INTERFACE]\r\n\tlistenPORT=7 \r\n[pEER]\r\n PUBLICkey\t= {PUBLIC}\r\n")
    assert not parsed.errors
    assert parsed.interface == {"ListenPort": 7}
    assert list(parsed.peers) == [{"line": 3, "PublicKey": base64.b64decode(PUBLIC)}]


@pytest.mark.parametrize(
    ("text", "value"),
    [("off", 0), ("OFF", 0), ("0", 0), ("51820", 51820), ("0xca6c", 0xCA6C), ("0XFF", 255)],
)
def test_a_mark_is_a_number_or_off(text, value):
    assert _interface("FwMark = " + text)["FwMark"] == value


@pytest.mark.parametrize(
    ("text", "value"), [("off", 0), ("auto", None), ("Auto", None), ("main", 254), ("1234", 1234)]
)
def test_a_table_is_auto_off_or_a_number(text, value):
    assert _interface("Table = " + text)["Table"] == value


@pytest.mark.parametrize(("text", "value"), [("off", 0), ("0", 0), ("25", 25), ("65535", 65535)])
def test_a_keepalive_is_seconds_or_off(text, value):
    assert _peer("PersistentKeepalive = " + text)["PersistentKeepalive"] == value


@pytest.mark.parametrize(
    "text", ["[2001:db8::1]:51820", "[fe80::1%eth0]:1", "192.0.2.1:1", "a-b.example.org:65535"]
)
def test_endpoints_keep_their_text(text):
    assert _peer("Endpoint = " + text)["Endpoint"] == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gw1.example:51820, [2001:db8::1]:51820", "gw1.example:51820,[2001:db8::1]:51820"),
        ("192.0.2.1:1,192.0.2.2:1", "192.0.2.1:1,192.0.2.2:1"),
    ],
)
def test_several_endpoints_stand_in_one_line(text, value):
    assert _peer("Endpoint = " + text)["Endpoint"] == value
    assert _warnings(f"[Peer]\nPublicKey = {PUBLIC}\nEndpoint = {text}") == []


def test_of_two_lines_with_endpoints_the_last_one_counts_as_for_wg():
    text = "Endpoint = 192.0.2.1:1, 192.0.2.2:1\nEndpoint = 192.0.2.3:1"
    assert _peer(text)["Endpoint"] == "192.0.2.3:1"
    (told,) = _warnings(f"[Peer]\nPublicKey = {PUBLIC}\n{text}")
    assert "the last one counts" in told


def test_empty_allowed_ips_are_none():
    assert _peer("AllowedIPs =")["AllowedIPs"] == []
    assert _peer("AllowedIPs = ,")["AllowedIPs"] == []


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("Engine = mmsg", "mmsg"),
        ("Offloads = udp-gso, tun-gso", ["udp-gso", "tun-gso"]),
        ("Offloads = auto", []),
        ("Batch = auto", 0),
        ("Batch = 16", 16),
        ("Memory = 4M", 4 << 20),
        ("Memory = 512k", 512 << 10),
        ("Workers = 2", 2),
        ("RingSlots = auto", ()),
        ("RingSlots = 8", (8, 0)),
        ("RingSlots = 8, 32", (8, 32)),
        ("RekeyAfter = 5", 5),
        ("Layer = 3", 3),
        ("StateDir = /etc/tunlite", "/etc/tunlite"),
        ("User = nobody", "nobody"),
    ],
)
def test_our_own_options_are_read(line, value):
    assert list(_interface(line).values()) == [value]


# line -> part of what is told; all of them in [Interface]
_WRONG = {
    "ListenPort = 65536": "0 to 65535",
    "ListenPort = -1": "0 to 65535",
    "ListenPort = x": "0 to 65535",
    "ListenPort =": "no value",
    "FwMark = 0x": "no mark",
    "FwMark = 0x100000000": "no mark",
    "FwMark = ff": "no mark",
    "Address = 10.0.0.256/24": "no address",
    "Address = 10.0.0.1/33": "no address",
    "MTU = 65536": "68 to 65535",
    "MTU = 67": "68 to 65535",
    "MTU = 08": "68 to 65535",
    "Table = x": "auto, off, main",
    "DNS = 300.1.1.1": "no domain",
    "DNS = fd00:::1": "no domain",
    "DNS = a;b": "no domain",
    "Table = 0x": "no table",
    "Table = 0x100000000": "no table",
    "Table = -1": "no table",
    "Address = 10.0.0.1/255.0.255.0": "no address",
    "SaveConfig =": "no value",
    "FwMark =": "no value",
    "Batch = 0": "1 to 256",
    "Memory = 1K": "no size",
    "Memory = M": "no size",
    "RingSlots = 3": "no number of slots",
    "RingSlots = 128": "1, 2, 4",
    "RingSlots = 1, 2, 4": "no number of slots",
    "RingSlots = ,": "no number of slots",
    "RekeyAfter = 4": "5 to 120",
    "RekeyAfter = 121": "5 to 120",
    "Layer = 4": "not a number from 2 to 3",
    "StateDir = state": "absolute path",
    "User = a b": "no name",
    "User = caf\N{LATIN SMALL LETTER E WITH ACUTE}": "no name",
    "DNS = caf\N{LATIN SMALL LETTER E WITH ACUTE}.lan": "no domain",
    "SaveConfig = maybe": "true or false",
    "PrivateKey = abc": "44 characters",
    "PrivateKey =": "44 characters",
    "Adress = 10.0.0.1": "did you mean Address?",
    "Prekey = 1": "tunlite check --keys",
    "Endpoint = a:1": "move it under [Peer]",
    "no equals sign": "neither",
    "= 5": "neither",
}


@pytest.mark.parametrize(
    ("option", "least", "most"),
    [
        ("ListenPort", 0, 65535),
        ("MTU", 68, 65535),
        ("FwMark", 0, 0xFFFFFFFF),
        ("Batch", 1, 256),
        ("Memory", 256 << 10, 1 << 30),
        ("Workers", 1, 8),
        ("RekeyAfter", 5, 120),
        ("PersistentKeepalive", 0, 65535),
    ],
)
def test_a_number_has_these_bounds(option, least, most):
    options = _peer if option == "PersistentKeepalive" else _interface
    for number in (least, most):
        assert options(f"{option} = {number}")[option] == number
    section = f"[Peer]\nPublicKey = {PUBLIC}\n" if options is _peer else "[Interface]\n"
    for number in (least - 1, most + 1):
        (error,) = _errors(f"{section}{option} = {number}\n")
        assert f" {option}: " in error


def test_slots_are_powers_of_two_from_1_to_64():
    good = [1, 2, 4, 8, 16, 32, 64]
    for number in range(130):
        for text in (f"{number}", f"8, {number}"):
            parsed = _parse(f"[Interface]\nRingSlots = {text}\n")
            assert (not parsed.errors) == (number in good), text


def test_a_description_has_128_characters_at_most():
    assert _peer("Description = " + "x" * 128)["Description"] == "x" * 128
    section = f"[Peer]\nPublicKey = {PUBLIC}\nDescription = "
    (error,) = _errors(section + "x" * 129 + "\n")
    assert "128 characters" in error


@pytest.mark.parametrize("line", _WRONG)
def test_a_mistake_is_told_with_its_file_line_and_what_to_do(line):
    (error,) = _errors("[Interface]\n\n" + line + "\n")
    assert error.startswith("wg0.conf:3: ")
    assert _WRONG[line] in error
    assert "; " in error


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("PublicKey = " + PUBLIC[:-1], "44 characters"),
        ("PublicKey = " + PUBLIC.replace("=", "A"), "ends in ="),
        ("AllowedIPs = 10.0.0.0/8/8", "no address"),
        ("Endpoint = 2001:db8::1", "[IPv6 address]:port"),
        ("Endpoint = a/b:1", "no host name"),
        ("Endpoint = 192.0.2.1:nosuchport", "the port"),
        ("Endpoint = 192.0.2.1:0", "the port"),
        ("Endpoint =", "no value"),
        ("AllowedIPs = 10.0.0.0/8 10.1.0.0/16", "no address"),
        ("Endpoint = a", "host:port"),
        ("Endpoint = a:1,", "host:port"),
        ("Endpoint = a:1,,b:1", "host:port"),
        ("Endpoint = a:1, b", "host:port"),
        ("Endpoint = " + ", ".join(["a:1"] * 17), "16 at most"),
        ("Endpoint = " + ", ".join(["a" * 99 + ":1"] * 9), "16 at most"),
        ("PersistentKeepalive = 65536", "0 to 65535"),
        ("Description = " + "x" * 129, "128"),
        # A daemon takes none: what passes here is to be what runs.
        ("Description = a\tb", "control character"),
        ("Description = \x7f", "control character"),
        ("Description = a\x85b", "control character"),
        ("Address = 10.0.0.1", "move it under [Interface]"),
    ],
)
def test_a_mistake_in_a_peer_is_told(line, told):
    text = "[Peer]\n" + ("" if "PublicKey" in line else f"PublicKey = {PUBLIC}\n") + line
    (error,) = _errors(text)
    assert told in error


def test_all_mistakes_are_told_in_the_order_of_lines():
    errors = _errors("[Interface]\nMTU = x\nFoo = 1\n[Peer]\nEndpoint = x\n[Pear]\nFoo = 1\n")
    places = [error.split(": ")[0] for error in errors]
    assert places == ["wg0.conf:2", "wg0.conf:3", "wg0.conf:4", "wg0.conf:5", "wg0.conf:6"]
    assert "did you mean [Peer]?" in errors[-1]


def test_a_file_that_is_nothing_but_mistakes_is_told_in_a_hundred_lines():
    errors = _errors("[Interface]\n" + "Foo = 1\n" * 50_000)
    assert len(errors) == 102
    assert errors[-1].startswith("wg0.conf:103: ") and "too many errors" in errors[-1]


def test_a_long_line_of_many_pieces_is_one_line():
    prefixes = [f"10.{i >> 8}.{i & 255}.0/24" for i in range(20_000)]
    text = f"[Peer]\nPublicKey = {PUBLIC}\nAllowedIPs = {', '.join(prefixes)}".encode()
    pieces = [bytearray(text[i : i + 7]) for i in range(0, len(text), 7)]
    (peer,) = config.parse(secret_text.Text(pieces), "f").peers
    assert len(peer["AllowedIPs"]) == 20_000


def test_an_option_before_any_section_is_told_once():
    assert len(_errors("ListenPort = 1\nMTU = 1400\n")) == 1


def test_of_a_repeated_option_the_last_counts_and_each_is_told_with_the_line_before():
    text = "[Interface]\nMTU = 1400\nListenPort = 1\nmtu = 1401\nMTU =\nFwMark=1\nFwMark=off\n"
    parsed = _parse(text)
    assert parsed.interface == {"MTU": 0, "ListenPort": 1, "FwMark": 0}
    told = _warnings(text)
    assert [line.split(": ")[0] for line in told] == [f"wg0.conf:{n}" for n in (4, 5, 5, 7)]
    assert "MTU: it was set in line 2 already" in told[0]


def test_a_repeated_secret_is_the_last_and_the_first_is_wiped(monkeypatch):
    wiped = []
    monkeypatch.setattr(keys, "wipe", lambda secret: wiped.append(bytes(secret or b"")))
    parsed = _parse(f"[Interface]\nPrivateKey={PRIVATE}\nPrivateKey={OTHER}\n")
    assert parsed.interface["PrivateKey"] == base64.b64decode(OTHER)
    assert base64.b64decode(PRIVATE) in wiped


def test_lists_add_up():
    parsed = _interface(
        "Address=10.0.0.1\nAddress=10.0.0.2\nDNS=1.1.1.1\nDNS=a.b\nPreUp=x\nPreUp=y"
    )
    assert len(parsed["Address"]) == len(parsed["DNS"]) == len(parsed["PreUp"]) == 2


def test_sections_of_one_key_are_one_peer_as_wg_has_it():
    text = (
        f"[Peer]\nPublicKey={PUBLIC}\nAllowedIPs=10.0.0.0/8\nPersistentKeepalive=5\n"
        f"PresharedKey={PRIVATE}\nEndpoint=192.0.2.1:1\n"
        f"[Peer]\nPublicKey={OTHER}\n"
        f"[Peer]\nPublicKey={PUBLIC}\nAllowedIPs=10.1.0.0/16\nEndpoint=192.0.2.2:2\n"
    )
    parsed = _parse(text)
    assert len(parsed.peers) == 2
    peers = iter(parsed.peers)
    assert next(peers)["PublicKey"] == base64.b64decode(OTHER)
    joined = next(peers)
    secret = joined["PresharedKey"]
    assert secret == base64.b64decode(PRIVATE)
    assert joined["AllowedIPs"] == [(4, bytes([10, 1, 0, 0]), 16)]
    assert joined["Endpoint"] == "192.0.2.2:2" and joined["PersistentKeepalive"] == 5
    assert list(peers) == [] and secret == bytes(32)
    (told,) = _warnings(text)
    assert told.startswith("wg0.conf:9: PublicKey: ") and "line 1" in told
    (endpoints,) = [peer for peer in parsed.peers.each(("Endpoint",)) if "Endpoint" in peer]
    assert endpoints["Endpoint"] == "192.0.2.2:2" and "PresharedKey" not in endpoints


def test_a_last_section_without_allowed_ips_leaves_the_peer_none():
    parsed = _parse(
        f"[Peer]\nPublicKey={PUBLIC}\nAllowedIPs=10.0.0.0/8\n[Peer]\nPublicKey={PUBLIC}\n"
    )
    (peer,) = parsed.peers
    assert "AllowedIPs" not in peer


def test_what_a_section_takes_that_a_later_one_replaces_is_nobodys_as_wg_has_it():
    text = (
        f"[Peer]\nPublicKey={PUBLIC}\nAllowedIPs=0.0.0.0/0, 10.2.0.1/16\n"
        f"[Peer]\nPublicKey={OTHER}\nAllowedIPs=0.0.0.0/0, 10.3.0.0/16\n"
        f"[Peer]\nPublicKey={OTHER}\nAllowedIPs=10.1.0.0/16\n"
        f"[Peer]\nPublicKey={PRIVATE}\nAllowedIPs=10.3.0.0/16\n"
    )
    above, twice, below = _parse(text).peers
    assert above["AllowedIPs"] == [(4, bytes([10, 2, 0, 0]), 16)]
    assert twice["AllowedIPs"] == [(4, bytes([10, 1, 0, 0]), 16)]
    assert below["AllowedIPs"] == [(4, bytes([10, 3, 0, 0]), 16)]


def test_a_later_preshared_key_of_a_peer_wins_and_none_stays_in_memory():
    section = f"[Peer]\nPublicKey={PUBLIC}\nPresharedKey="
    parsed = _parse(f"{section}{PRIVATE}\n{section}{OTHER}\n")
    (peer,) = [dict(peer, PresharedKey=bytes(peer["PresharedKey"])) for peer in parsed.peers]
    assert peer["PresharedKey"] == base64.b64decode(OTHER)


@pytest.mark.parametrize(
    ("line", "option", "value"),
    [
        ("PreUp =", "PreUp", []),
        ("PostDown = # nothing", "PostDown", []),
        ("DNS =", "DNS", []),
        ("MTU =", "MTU", 0),
        ("Table =", "Table", None),
        ("Address =", "Address", []),
    ],
)
def test_an_option_of_wg_quick_may_be_empty_which_is_told(line, option, value):
    assert _interface(line)[option] == value
    (told,) = _warnings("[Interface]\n" + line)
    assert told.startswith(f"wg0.conf:2: {option}: there is no value")


def test_addresses_and_name_servers_may_be_separated_by_blanks():
    read = _interface(
        "Address = 10.66.0.2/24 fd66::2/64\t10.66.0.3\nDNS = 9.9.9.9 149.112.112.112 lan.example"
    )
    assert [bits for _, _, bits in read["Address"]] == [24, 64, 32]
    assert read["DNS"] == [("9.9.9.9", None), ("149.112.112.112", None), (None, "lan.example")]


def test_an_address_may_have_a_netmask_as_ip_takes_it():
    assert _interface("Address = 10.0.0.1/255.255.240.0")["Address"][0][2] == 20


@pytest.mark.parametrize("word", ["~corp.example", "~.", "_srv.lan"])
def test_a_domain_may_be_for_routing_only(word):
    assert _interface(f"DNS = 10.0.0.1, {word}")["DNS"] == [("10.0.0.1", None), (None, word)]


def test_a_name_server_may_have_a_scope():
    assert _interface("DNS = fe80::1%eth0")["DNS"] == [("fe80::1%eth0", None)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x4d2", 1234),
        ("0X4D2", 1234),
        ("010", 8),
        ("0", 254),
        ("4294967295", 0xFFFFFFFF),
        ("local", 255),
        ("vpn", 77),
    ],
)
def test_a_table_is_written_as_ip_reads_it(text, value, tmp_path, monkeypatch):
    monkeypatch.setattr(values, "TABLES", str(tmp_path / "rt_tables"))
    (tmp_path / "rt_tables").write_text("# tables\n255\tlocal\n0x4d\tvpn # ours\n\n")
    assert _interface("Table = " + text)["Table"] == value


@pytest.mark.parametrize(("text", "value"), [("500", 500), ("0x500", 1280), ("auto", 0)])
def test_an_mtu_is_written_as_ip_reads_it_and_a_small_one_is_told(text, value):
    assert _interface("MTU = " + text)["MTU"] == value
    assert len(_warnings("[Interface]\nMTU = " + text)) == (value == 500)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2001:db8::9:51820", "[2001:db8::9]:51820"),
        ("fe80::1%eth0:5", "[fe80::1%eth0]:5"),
        ("192.0.2.1:tunnel", "192.0.2.1:1194"),
        ("vpn.example:alias", "vpn.example:1194"),
        ("192.0.2.1 : 51820", "192.0.2.1:51820"),
        ("192.0.2.1:051820", "192.0.2.1:51820"),
    ],
)
def test_an_endpoint_that_wg_takes_is_read_and_told(text, value, tmp_path, monkeypatch):
    monkeypatch.setattr(values, "SERVICES", str(tmp_path / "services"))
    (tmp_path / "services").write_text(
        "# ports\ntunnel 9/tcp\ntunnel\t1194/udp alias # a comment\nbad\n"
    )
    assert _peer("Endpoint = " + text)["Endpoint"] == value
    (told,) = _warnings(f"[Peer]\nPublicKey = {PUBLIC}\nEndpoint = {text}")
    assert told.startswith("wg0.conf:3: Endpoint: ") and value in told


def test_a_listen_port_may_be_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(values, "SERVICES", str(tmp_path / "services"))
    (tmp_path / "services").write_text("tunnel 1194/udp\n")
    assert _interface("ListenPort = tunnel")["ListenPort"] == 1194


def test_blanks_in_what_wg_reads_are_left_out_and_told():
    text = (
        "[ Inter face ]\nListen Port = 51 820\nFwMark = 0x1\t0\n"
        f"PrivateKey = {PRIVATE[:9]} {PRIVATE[9:]}\n"
        f"[Peer ]\nPublicKey = {PUBLIC[:4]} {PUBLIC[4:]}\nAllowedIPs = 10.0.0.0 / 8\n"
    )
    parsed = _parse(text)
    assert parsed.interface["ListenPort"] == 51820 and parsed.interface["FwMark"] == 16
    assert parsed.interface["PrivateKey"] == base64.b64decode(PRIVATE)
    (peer,) = parsed.peers
    assert peer["PublicKey"] == base64.b64decode(PUBLIC)
    assert peer["AllowedIPs"] == [(4, bytes([10, 0, 0, 0]), 8)]
    told = _warnings(text)
    assert [line.split(": ")[0][-1] for line in told] == ["2", "3", "4", "6"]


def test_a_file_of_nothing_but_oddities_is_told_in_a_hundred_lines():
    assert len(_warnings("[Interface]\n" + "PreUp =\n" * 50_000)) == 100


def test_a_prefix_of_two_peers_is_a_warning():
    parsed = _parse(
        f"[Peer]\nPublicKey={PUBLIC}\nAllowedIPs=10.0.0.0/8\n"
        f"[Peer]\nPublicKey={OTHER}\nAllowedIPs=10.1.2.3/8\n"
    )
    assert not parsed.errors
    assert len(parsed.warnings) == 1


def test_names_of_engines_are_checked_where_they_are_known():
    known = ["engine basic", "aead portable", "udp-gso"]
    text = "[Interface]\nEngine = {}\nAEAD = {}\nOffloads = {}\n"
    assert not _errors(text.format("auto", "auto", "off"), known)
    assert not _errors(text.format("basic", "portable", "udp-gso"), known)
    errors = _errors(text.format("portable", "basic", "udp-gso, basic"), known)
    assert len(errors) == 3
    assert all("tunlite probe" in error for error in errors)


@given(
    st.sampled_from([row[1] for row in options.rows()] + ["", "PrivatKey", "x"]),
    st.sampled_from(["[Interface]\n", "[Peer]\n", ""]),
    st.sampled_from([" = ", "", "\n", "= #"]),
)
@example("", "[Interface]\n", "")
def test_no_error_ever_holds_a_secret(option, section, between):
    for secret in (PRIVATE, PRIVATE[:-1], "!" + PRIVATE[1:], PRIVATE + "=", PRIVATE + ":1"):
        text = section + option + between + secret
        parsed = _parse(text)
        for line in parsed.lines_of(parsed.errors + parsed.warnings):
            for at in range(len(PRIVATE) - 10):
                assert PRIVATE[at : at + 10] not in line


@given(st.binary(max_size=300))
@example(b"[Interface]\nPostUp = \xff\n")
@example(b"[Interface]\nPostUp = a\0b\n")
@example(b"[Interface]\n=\n\xff=1")
def test_no_bytes_make_the_parser_raise(data):
    config.parse(secret_text.Text([bytearray(b"[Interface]\n" + data)]), "f")
    config.parse(secret_text.Text([bytearray(data)]), "f")


def test_a_command_with_a_nul_is_refused():
    assert _errors("[Interface]\nPostUp = a\0b\n")


def test_a_private_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "wg0.conf"
    path.write_text(f"[Interface]\nPrivateKey = {PRIVATE}\n")
    path.chmod(0o644)
    with pytest.raises(config.ConfigError) as refused:
        config.load(str(path))
    assert f"chmod 600 {path}" in refused.value.args[0][0]
    path.chmod(0o640)
    assert config.load(str(path)).interface["PrivateKey"]


def test_a_file_that_everyone_may_read_is_taken_on_a_read_only_mount_where_the_caller_says_so(
    tmp_path, monkeypatch
):
    path = tmp_path / "wg0.conf"
    path.write_text(f"[Interface]\nPrivateKey = {PRIVATE}\n")
    path.chmod(0o644)
    assert config.read(str(path), readable_ok=True).errors

    def refused(path, mode):
        raise OSError(30, "read-only")

    monkeypatch.setattr(port, "chmod", refused)
    parsed = config.read(str(path), readable_ok=True)
    assert not parsed.errors and parsed.readable_ok
    (told,) = parsed.lines_of(parsed.warnings)
    assert "everyone may read this file" in told
    assert "--allow-readable" in config.read(str(path)).errors[0][3]
    path.chmod(0o646)  # whoever may write it does so where it is mounted otherwise
    assert config.read(str(path), readable_ok=True).errors


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for_a_second_time(tmp_path):
    path = tmp_path / "wg0.conf"
    os.mkfifo(path)
    with pytest.raises(OSError, match="is no regular file"):
        config.load(str(path))
    thread = threading.Thread(target=path.write_text, args=("[Interface]\nListenPort = 7\n",))
    thread.start()
    assert config.load(str(path), first=True).interface["ListenPort"] == 7
    thread.join()


def test_a_refusal_tells_of_a_path_with_any_text_in_it(tmp_path):
    path = tmp_path / "a; b.conf"
    path.write_text(f"[Interface]\nPrivateKey = {PRIVATE}\n")
    path.chmod(0o644)
    assert f"chmod 600 {path}" in config.read(str(path)).errors[0][3]


def test_a_file_without_a_secret_may_be_read_by_all(tmp_path):
    path = tmp_path / "wg0.conf"
    path.write_text("[Interface]\nListenPort = 1\n")
    path.chmod(0o644)
    assert config.load(str(path)).interface == {"ListenPort": 1}


def test_wiping_leaves_no_secret():
    parsed = _parse(f"[Interface]\nPrivateKey={PRIVATE}\n")
    secret = parsed.interface["PrivateKey"]
    parsed.wipe()
    assert secret == bytes(32)


def test_a_peer_has_its_secret_until_the_next_one_is_reached():
    parsed = _parse(
        f"[Interface]\nPrivateKey={PRIVATE}\n[Peer]\nPublicKey={PUBLIC}\nPresharedKey={PRIVATE}\n"
        f"[Peer]\nPublicKey={OTHER}\n[Interface]\nListenPort=5\n"
    )
    assert len(parsed.peers) == 2 and parsed.interface["ListenPort"] == 5
    peers = iter(parsed.peers)
    secret = next(peers)["PresharedKey"]
    assert secret == base64.b64decode(PRIVATE)
    assert next(peers)["PublicKey"] == base64.b64decode(OTHER)
    assert secret == bytes(32)
    assert [sorted(peer) for peer in parsed.peers.each(("PresharedKey",))] == [
        ["PresharedKey", "PublicKey", "line"],
        ["PublicKey", "line"],
    ]
    parsed.wipe()
    assert list(parsed.peers) == []


def test_a_peer_with_our_own_key_is_left_out_wherever_peers_are_walked():
    own = base64.b64encode(keys.public_of(base64.b64decode(PRIVATE))).decode()
    me = f"[Peer]\nPublicKey={own}\nPresharedKey={PRIVATE}\nAllowedIPs=::/0\nEndpoint=[::1]:1\n"
    other = f"[Peer]\nPublicKey={OTHER}\nAllowedIPs=::/0\n"
    us = f"[Interface]\nPrivateKey={PRIVATE}\n"
    for text in (us + me + other, us + other + me, me + other + us, other + me + us):
        parsed = _parse(text)
        assert parsed.errors == [] and len(parsed.peers) == 1
        (warning,) = parsed.lines_of(parsed.warnings)
        assert "PublicKey: it is our own: left out" in warning
        for peer in [*parsed.peers, *parsed.peers.each(("AllowedIPs",))]:
            assert peer["PublicKey"] == base64.b64decode(OTHER)
    assert len(list(_parse(me + other).peers)) == 2  # of whom it is for, nothing is known


@pytest.mark.parametrize(
    "option", ["ListenPort", "MTU", "Memory", "Batch", "RingSlots", "FwMark", "Table"]
)
@pytest.mark.parametrize("digits", ["\N{SUPERSCRIPT TWO}", "\N{SUPERSCRIPT TWO}M"])
def test_digits_that_are_no_digits_are_an_error_and_no_crash(option, digits):
    text = f"[Interface]\n{option} = {digits}\n"
    found = config.parse(secret_text.Text([bytearray(text.encode())]), "x")
    assert [row[1] for row in found.errors] == [option]


@pytest.mark.parametrize(("mode", "refused"), [(0o644, False), (0o664, True), (0o646, True)])
def test_a_file_whose_hooks_others_could_write_is_refused_without_a_key_too(
    tmp_path, mode, refused
):
    path = tmp_path / "t.conf"
    path.write_text("[Interface]\nPostUp = wg set %i private-key /root/key\n")
    path.chmod(mode)
    errors = config.read(str(path)).errors
    assert bool(errors) == refused
    if refused:
        assert "chmod" in errors[0][3] and "write" in errors[0][2]
