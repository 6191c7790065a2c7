# SPDX-License-Identifier: MIT
"""Configuration files: what wg and wg-quick accept, and what each mistake is told."""

import base64

import pytest
from hypothesis import example, given, strategies as st

from tunlite import config, keys

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="


def _parse(text, features=None):
    return config.parse(keys.Text([bytearray(text.encode())]), "wg0.conf", features)


def _errors(text, features=None):
    parsed = _parse(text, features)
    return parsed.lines_of(parsed.errors)


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
    assert _errors("[Interface]\nGroup = a\nSocketGroup = b\n")[0].startswith(
        "wg0.conf:3: SocketGroup: it was set in line 2 already"
    )
    assert _errors(f"[Peer]\nPublicKey = {PUBLIC}\nGroup = a\n")


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
    "Address =": "no address",
    "Address = 10.0.0.256/24": "no address",
    "Address = 10.0.0.1/33": "no address",
    "MTU = 65536": "576 to 65535",
    "MTU = 100": "576 to 65535",
    "Table = x": "auto, off, main",
    "DNS = exa mple": "no domain",
    "PostUp =": "no command",
    "Batch = 0": "1 to 256",
    "Memory = 1K": "no size",
    "Memory = M": "no size",
    "RingSlots = 3": "no number of slots",
    "RingSlots = 128": "1, 2, 4",
    "RingSlots = 1, 2, 4": "no number of slots",
    "RingSlots = ,": "no number of slots",
    "RekeyAfter = 4": "5 to 120",
    "RekeyAfter = 121": "5 to 120",
    "Layer = 2": "reserved",
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
        ("MTU", 576, 65535),
        ("Table", 1, 0xFFFFFFFF),
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
        ("Endpoint = ::1:51820", "[IPv6 address]:port"),
        ("Endpoint = a b:1", "no host name"),
        ("Endpoint = a", "host:port"),
        ("PersistentKeepalive = 65536", "0 to 65535"),
        ("Description = " + "x" * 129, "128"),
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
    (peer,) = config.parse(keys.Text(pieces), "f").peers
    assert len(peer["AllowedIPs"]) == 20_000


def test_an_option_before_any_section_is_told_once():
    assert len(_errors("ListenPort = 1\nMTU = 1400\n")) == 1


def test_a_repeated_option_is_told_with_its_first_line():
    (error,) = _errors("[Interface]\nMTU = 1400\nListenPort = 1\nmtu = 1401\n")
    assert error.startswith("wg0.conf:4: MTU: ") and "line 2" in error


def test_two_peers_of_one_key_are_told():
    (error,) = _errors(f"[Peer]\nPublicKey={PUBLIC}\n[Peer]\nPublicKey={PUBLIC}\n")
    assert error.startswith("wg0.conf:3: PublicKey: ") and "line 1" in error


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
    st.sampled_from([row[1] for row in config.KEYS] + ["", "PrivatKey", "x"]),
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
    config.parse(keys.Text([bytearray(b"[Interface]\n" + data)]), "f")
    config.parse(keys.Text([bytearray(data)]), "f")


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
    for peers in (me + other, other + me):
        parsed = _parse(f"[Interface]\nPrivateKey={PRIVATE}\n{peers}")
        assert parsed.errors == [] and len(parsed.peers) == 1
        (warning,) = parsed.lines_of(parsed.warnings)
        assert "PublicKey: it is our own: left out" in warning
        for peer in [*parsed.peers, *parsed.peers.each(("AllowedIPs",))]:
            assert peer["PublicKey"] == base64.b64decode(OTHER)
    parsed = _parse(f"{me}{other}[Interface]\nPrivateKey={PRIVATE}\n")
    assert [peer["PublicKey"] for peer in parsed.peers] == [base64.b64decode(OTHER)]
    assert len(list(_parse(me + other).peers)) == 2  # of whom it is for, nothing is known


def test_every_row_of_the_table_has_a_parser():
    from tunlite import config_values

    for section, name, whose, kind, default, text in config.KEYS:
        assert section in ("Interface", "Peer") and name and default and text
        assert whose in ("wg", "wg-quick", "tunlite")
        assert kind in config_values.SECRETS or kind in config_values.PARSERS


def test_every_default_that_can_be_written_is_accepted():
    for section, name, _, _, default, _ in config.KEYS:
        if default not in ("none", "required"):
            peer = f"PublicKey = {PUBLIC}\n" if section == "Peer" else ""
            assert not _errors(f"[{section}]\n{peer}{name} = {default}\n"), name


@pytest.mark.parametrize(
    "option", ["ListenPort", "MTU", "Memory", "Batch", "RingSlots", "FwMark", "Table"]
)
@pytest.mark.parametrize("digits", ["\N{SUPERSCRIPT TWO}", "\N{SUPERSCRIPT TWO}M"])
def test_digits_that_are_no_digits_are_an_error_and_no_crash(option, digits):
    text = f"[Interface]\n{option} = {digits}\n"
    found = config.parse(keys.Text([bytearray(text.encode())]), "x")
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
