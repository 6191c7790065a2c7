# SPDX-License-Identifier: MIT
"""Encapsulation = vxlan in a file: what each dialect makes of it, what goes with what, and how it
reaches a plane and a status."""

import hashlib
import ipaddress
import os
import struct
import subprocess

import pytest

from lab.fakes.net import Node, World
from tests.unit.test_layers import A, B, errors, parse
from tunlite import keys, md5
from tunlite.cli import show
from tunlite.config import vxlan
from tunlite.host import mtu, routes
from tunlite.plane import tuning
from tunlite.uapi import status

SEED = "e21f43ef" * 8
PUBLIC = keys.text(bytes(keys.public_of(keys.decode(A.encode()))))
PEER = f"[Peer]\nPublicKey = {B}\nAllowedIPs = fe80::/64\n"
HEAD = f"[Interface]\nPrivateKey = {A}\nEncapsulation = vxlan\n"


def of(text, peers=PEER):
    """The settings of a file that has no error."""
    config = parse(HEAD + text + peers)
    assert config.errors == []
    return config.settings


def by_shell(text):
    """What the routers' script makes of a key: the address as text."""
    script = (
        "set -- $(md5sum | sed 's/^\\(..\\)\\(..\\)\\(..\\)\\(..\\)\\(..\\).*$/"
        "02 \\1 \\2 \\3 \\4 \\5/'); echo fe80::$1$2:$3ff:fe$4:$5$6"
    )
    made = subprocess.run(["sh", "-c", script], input=text.encode(), stdout=-1, check=True)
    return str(ipaddress.ip_address(made.stdout.decode().strip()))


def number_of(word):
    """gluon.util.domain_seed_bytes(word, 3)."""
    return int(hashlib.md5((word + SEED.lower() + "1").encode()).hexdigest()[:6], 16)


# ---- md5 -----------------------------------------------------------------------------------------


def test_md5_is_the_systems_for_every_length_around_its_blocks():
    for length in [*range(130), 1000]:
        data = os.urandom(length)
        assert md5.md5(data) == hashlib.md5(data).digest(), length


def test_md5_has_the_digests_of_its_rfc():
    for text, digest in (
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    ):
        assert md5.md5(text.encode()).hex() == digest


# ---- dialects ------------------------------------------------------------------------------------


def test_gluon_s_file_is_one_number_and_all_else_comes_of_the_dialect():
    found = of("VNI = 4711\n")
    assert (found["VXLANPort"], found["VNI"], found["VXLANRemote"]) == (4789, 4711, "fe80::1")
    assert found["VXLANLocal"] == by_shell(PUBLIC)
    assert found.vxlan()[:4] == (6, 4711, 4789, 0)


def test_munich_hashes_keys_with_their_newline_and_the_gateway_has_its_own_address():
    found = of("VNI = 1\nVXLANDialect = Munich\n")
    assert found["VXLANLocal"] == by_shell(PUBLIC + "\n") != by_shell(PUBLIC)
    assert found["VXLANRemote"] == by_shell(B + "\n")
    assert found.vxlan()[:4] == (6, 1, 8472, 1)


def test_plain_is_what_the_file_says_alone():
    ends = "VXLANLocal = 10.0.0.9\nVXLANRemote = 10.0.0.1\n"
    found = of("VNI = 16777215\nVXLANDialect = plain\n" + ends, PEER.replace("fe80::/64", "::/0"))
    expected = (4, 0xFFFFFF, 4789, 1, bytes([10, 0, 0, 9]), bytes([10, 0, 0, 1]))
    assert found.vxlan() == expected


@pytest.mark.parametrize(
    "dialect, word", [("gluon", "gluon-mesh-vxlan"), ("munich", "gluon-mesh-vpn-vxlan")]
)
@pytest.mark.parametrize("seed", [SEED, SEED.upper()])
def test_a_domain_seed_becomes_the_number_that_gluon_makes_of_it(dialect, word, seed):
    assert of(f"VNI = {seed}\nVXLANDialect = {dialect}\n")["VNI"] == number_of(word)


def test_what_is_written_goes_before_what_the_dialect_says():
    text = "VNI = 1\nVXLANPort = 9\nVXLANLocal = fe80::9\nVXLANRemote = fe80::8\n"
    for dialect in ("gluon", "munich", "plain"):
        found = of(f"VXLANDialect = {dialect}\n" + text)
        assert [found[n] for n in ("VXLANPort", "VXLANLocal", "VXLANRemote")] == [
            *(9, "fe80::9", "fe80::8")
        ]


# ---- what goes with what -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, line",
    [
        ("", "f:3: VNI: there is none; write the gateway's number, or its domain_seed"),
        (
            f"VXLANDialect = plain\nVXLANLocal = ::1\nVXLANRemote = fe80::1\nVNI = {SEED}\n",
            "f:7: VNI: a domain_seed has a number in the dialects gluon and munich alone;"
            " write the number",
        ),
        (
            "VNI = 1\nVXLANLocal = 10.0.0.1\n",
            "f:5: VXLANLocal: it is no address of VXLANRemote's family; write two of IPv4, or two"
            " of IPv6",
        ),
        (
            "VNI = 1\nVXLANLocal = fe80::1\n",
            "f:5: VXLANLocal: VXLANRemote is the same; write our own address",
        ),
        (
            "VNI = 1\nVXLANLocal = ::\n",
            "f:5: VXLANLocal: no host has it; write an address of the inside",
        ),
        (
            "VNI = 1\nVXLANRemote = ff02::1\n",
            "f:5: VXLANRemote: no host has it; write an address of the inside",
        ),
        (
            "VNI = 1\nVXLANLocal = 10.0.0.1\nVXLANRemote = 224.0.0.1\n",
            "f:6: VXLANRemote: no host has it; write an address of the inside",
        ),
        (
            "VNI = 1\nTable = 5\n",
            "f:5: Table: AllowedIPs are ends of the vxlan, and nothing is routed to them;"
            " remove it",
        ),
        (
            "VNI = 1\nMTU = 65458\n",
            "f:5: MTU: no packet is so long; write 65457 or less, or auto",
        ),
        ("VNI = 1\nLayer = 2\n", "f:3: Encapsulation: a vxlan goes over layer 3; remove Layer = 2"),
    ],
)
def test_what_cannot_be_is_told_with_its_line_and_what_to_write(text, line):
    assert line in errors(HEAD + text + PEER)


def test_plain_without_addresses_names_both():
    found = errors(HEAD + "VNI = 1\nVXLANDialect = plain\n" + PEER)
    assert found == [
        "f:3: VXLANLocal: the dialect plain has none; write our address inside",
        "f:3: VXLANRemote: the dialect plain has none; write the gateway's address",
    ]


def test_munich_with_several_gateways_has_no_address_of_all():
    two = PEER + f"[Peer]\nPublicKey = {A}\n"
    fix = "keep one [Peer], put all into one group with Limit = 1, or write the address of all"
    for peers, n in (("", 0), (two, 2)):
        assert errors(HEAD + "VNI = 1\nVXLANDialect = munich\n" + peers) == [
            f"f:3: VXLANRemote: each gateway has its own, and there are {n} peers; {fix}"
        ]


OTHER, THIRD = keys.text(bytes(range(32))), keys.text(bytes(range(1, 33)))


def grouped(*publics, limit="Limit = 1\n", end="\n", allowed="{}/128"):
    rows = "".join(
        f"[Peer]\nPublicKey = {public}\nGroup = g\nAllowedIPs = "
        + allowed.format(by_shell(public + end))
        + "\n"
        for public in publics
    )
    return f"[Group]\nName = g\n{limit}{rows}"


def test_munich_with_several_gateways_in_a_group_of_one_goes_to_the_one_in_use():
    found = of("VNI = 1\nVXLANDialect = munich\n", grouped(OTHER, B))
    assert found["VXLANRemote"] is None
    ends = found.of_start().vxlan()
    assert ends[0] == 6 and ends[5] == b"" and found.first_mtu() == 1350
    assert status._vxlan(ends)["remote"] is None
    assert "to the allowed IP of the gateway in use, VNI 1" in show._vxlan(status._vxlan(ends))


@pytest.mark.parametrize(
    "peers",
    [
        grouped(OTHER, B, limit=""),
        grouped(OTHER, B) + f"[Peer]\nPublicKey = {THIRD}\n",
        grouped(OTHER, B)
        + f"[Group]\nName = h\nLimit = 1\n[Peer]\nPublicKey = {THIRD}\nGroup = h\n",
    ],
    ids=["all are used", "one is in none", "two groups"],
)
def test_munich_s_gateways_that_are_used_at_once_have_no_address_of_all(peers):
    found = errors(HEAD + "VNI = 1\nVXLANDialect = munich\n" + peers)
    assert any("VXLANRemote: each gateway has its own, and there are" in line for line in found)


@pytest.mark.parametrize(
    "how",
    [{"end": ""}, {"allowed": "::/0"}, {"allowed": "{}/128, fe80::9/128"}, {"allowed": "{}/64"}],
)
def test_munich_s_gateways_in_a_group_are_told_the_address_that_each_must_have(how):
    found = errors(HEAD + "VNI = 1\nVXLANDialect = munich\n" + grouped(OTHER, B, **how))
    wrong = "frames go to its /128, and its key makes another one"
    assert [line.split(": ", 1)[1] for line in found] == [
        f"AllowedIPs: {wrong}; write AllowedIPs = {by_shell(public + chr(10))}/128"
        for public in (OTHER, B)
    ]


def test_an_address_inside_the_vxlan_is_not_what_asks_a_gateway_outside_it():
    asked = grouped(OTHER, B).replace("Group = g", "Group = g\nProbeAddress = fe80::1")
    asked = asked.replace("/128", "/128, fe80::1/64")
    assert parse(HEAD + "Address = 10.0.0.1/8\nVNI = 1\n" + asked).errors == []


def test_munich_s_addresses_made_of_keys_are_of_the_family_of_ours():
    text = "VNI = 1\nVXLANDialect = munich\nVXLANLocal = 10.0.0.1\n"
    (line,) = errors(HEAD + text + grouped(OTHER, B))
    assert "VXLANLocal: gateways have addresses of IPv6, made of their keys" in line


def test_without_a_key_there_is_no_address_of_ours():
    (line,) = errors("[Interface]\nEncapsulation = vxlan\nVNI = 1\n" + PEER)
    wrong = "it is made from PrivateKey, and there is none; write one of the two"
    assert line == "f:2: VXLANLocal: " + wrong


@pytest.mark.parametrize(
    "name, value",
    [
        *(("VNI", "7"), ("VXLANDialect", "plain"), ("VXLANPort", "9")),
        *(("VXLANLocal", "::1"), ("VXLANRemote", "::1")),
    ],
)
def test_a_vxlans_option_alone_is_refused(name, value):
    fix = "remove it, or write Encapsulation = vxlan under [Interface]"
    expected = [f"f:2: {name}: only Encapsulation = vxlan has it; {fix}"]
    assert errors(f"[Interface]\n{name} = {value}\n") == expected
    assert errors(f"[Interface]\n{name} = {value}\nEncapsulation = none\n") == expected


@pytest.mark.parametrize(
    "line",
    [
        *("VNI = 16777216", "VNI = -1", "VNI =", "VNI = 0x7", f"VNI = {SEED[:-1]}g", "VNI = e21f"),
        *("VXLANPort = 0", "VXLANPort = 65536", "VXLANPort = off", "Encapsulation = vxlan6"),
        *(
            "VXLANDialect = hannover",
            "VXLANDialect =",
            "VXLANLocal = x",
            "VXLANRemote = fe80::1%wg",
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_to_write(line):
    found = errors(f"[Interface]\n{line}\n")
    assert found[0].startswith("f:2: " + line.split(" =")[0] + ": ") and "write" in found[0]


def test_a_gateway_that_no_peer_has_is_warned_of():
    config = parse(HEAD + "VNI = 1\n" + PEER.replace("fe80::/64", "10.0.0.0/8, fe81::/16"))
    assert config.errors == []
    fix = "write AllowedIPs = fe80::1/128 at the gateway's [Peer]"
    expected = f"f:3: AllowedIPs: no peer has fe80::1, where frames go; {fix}"
    assert config.lines_of(config.warnings) == [expected]
    for peers in (PEER, PEER.replace("fe80::/64", "fe80::1"), ""):
        assert parse(HEAD + "VNI = 1\n" + peers).warnings == []


def test_layer_2_s_modes_are_none_of_a_vxlans():
    assert "only layer 2 has other modes" in errors(HEAD + "VNI = 1\nEncryption = off\n" + PEER)[0]


# ---- what it does --------------------------------------------------------------------------------


def test_nothing_is_routed_and_a_frame_fits_the_way():
    config = parse(HEAD + "VNI = 1\n" + PEER.replace("fe80::/64", "fe80::/64, 10.0.0.0/8, ::/0"))
    assert config.errors == [] and routes.wanted(config) == []
    assert config.settings.device_layer() == 2 and config.settings["Layer"] == 3
    assert config.settings.first_mtu() == 1420 - 70
    plain = "VNI = 1\nVXLANDialect = plain\nVXLANLocal = 10.0.0.9\nVXLANRemote = 10.0.0.1\n"
    assert of(plain, "").first_mtu() == 1420 - 50
    assert of("VNI = 1\nMTU = 1532\n").first_mtu() == 1532


def test_auto_is_the_way_less_what_goes_in_front(monkeypatch):
    monkeypatch.setattr(mtu, "widest", lambda name, places, mark: 1412)
    assert mtu.choose("none", parse(HEAD + "VNI = 1\n" + PEER), 0) == 1342


def test_what_the_dialect_says_takes_a_new_daemon_where_it_changes():
    """A reload compares: another key of ours has another address."""
    first, second = of("VNI = 1\n"), parse(HEAD.replace(A, B) + "VNI = 1\n" + PEER).settings
    changed = {name for name in first.fixed() if first.fixed()[name] != second.fixed()[name]}
    assert changed == {"VXLANLocal"}


def test_what_the_daemon_starts_with_has_no_secret_and_makes_the_record():
    start = of("VNI = 4711\n").of_start()
    assert "PrivateKey" not in start.given and start["MTU"] == 1350
    record = tuning.Tuning(Node(World(), b"\x0a\0\0\x01").port, start, True).record
    assert struct.unpack_from("<4I", record, 104) == (6, 4711, 4789, 0)
    local, remote = record[120:136], record[136:152]
    assert str(ipaddress.ip_address(bytes(local))) == by_shell(PUBLIC)
    assert remote == bytes.fromhex("fe80" + "0" * 27 + "1")
    plain = tuning.Tuning(
        Node(World(), b"\x0a\0\0\x01").port, parse("[Interface]\n").settings, True
    )
    assert plain.record[104:] == bytes(48)


def test_the_addresses_of_a_dialect_are_those_of_its_words():
    public = bytes(range(32))
    for end in (b"", b"\n"):
        assert vxlan.address_of(public, end) == by_shell(keys.text(public) + end.decode())


def test_status_and_show_tell_both_ends():
    ends = of("VNI = 4711\n").vxlan()
    told = status._vxlan(ends)
    assert told == {
        **{"vni": 4711, "port": 4789, "checksums": False, "remote": "fe80::1"},
        "local": by_shell(PUBLIC),
    }
    assert show._vxlan(told) == f"{by_shell(PUBLIC)} to fe80::1, VNI 4711, port 4789"
