# SPDX-License-Identifier: MIT
"""RateIn and RateOut from the file to the packet path, and back."""

import base64
import json

import pytest

from lab.fakes.net import Node, World
from tunlite.config import as_uapi, parser, save, secret_text, values
from tunlite.uapi import get, status, text as uapi

KEYS = [bytes([number]) * 31 + b"\x40" for number in (1, 2, 3)]
ME, FIRST, SECOND = (base64.b64encode(key).decode() for key in KEYS)


@pytest.fixture
def node():
    return Node(World(), b"\x0a\0\0\x01")


def config(first="", second="", group=""):
    text = f"[Interface]\nPrivateKey = {ME}\n"
    if group:
        text += f"[Group]\nName = nodes\n{group}\n"
    for key, options in ((FIRST, first), (SECOND, second)):
        text += f"[Peer]\nPublicKey = {key}\n{options}\n"
        if group:
            text += "Group = nodes\n"
    found = parser.parse(secret_text.Text([bytearray(text.encode())]), "f")
    assert not found.errors, found.errors
    return found


def feed(node, pieces):
    setter = uapi.Setter(node.interface)
    for piece in pieces:
        for line in bytes(piece).splitlines():
            setter.line(bytearray(line))
    setter.end()


def running(node):
    text = b"".join(bytes(piece) for piece in get.pieces(node.interface))
    return as_uapi.Running([line.split(b"=", 1) for line in text.splitlines()])


def reload(node, found):
    feed(node, as_uapi.different(found, running(node)))


def rates(node):
    """What the packet path has of both peers."""
    return [node.native.peers[node.interface.peers[key].handle].rates for key in KEYS[1:]]


@pytest.mark.parametrize(
    ("text", "bits"),
    [("1000", 1000), ("1k", 1000), ("5M", 5_000_000), ("2g", 2 * 10**9), ("1000G", 10**12)]
    + [("off", 0), ("OFF", 0), ("0001M", 10**6)],
)
def test_a_rate_is_bits_a_second(text, bits):
    assert values.PARSERS["rate"](text) == bits


@pytest.mark.parametrize(
    "text",
    ["", "0", "999", "1001G", "5 M", "5Mbit", "-5M", "0.5M", "1e6", "M", "0x10M", "9" * 40, "٣M"],
)
def test_other_text_is_no_rate(text):
    with pytest.raises(values.Bad):
        values.PARSERS["rate"](text)


def test_a_peers_rates_reach_the_packet_path_and_reload_changes_them(node):
    feed(node, as_uapi.whole(config("RateIn = 5M", "RateOut = 800K")))
    assert rates(node) == [(5_000_000, 0), (0, 800_000)]
    reload(node, config("RateIn = 5M\nRateOut = 1K"))
    assert rates(node) == [(5_000_000, 1000), (0, 0)]


def test_what_did_not_change_is_not_told_again(node):
    found = config("RateIn = 5M", "RateOut = off")
    feed(node, as_uapi.whole(found))
    assert b"rate" not in b"".join(as_uapi.different(found, running(node)))


def test_a_file_without_rates_says_nothing_of_them(node):
    assert b"rate" not in b"".join(bytes(piece) for piece in as_uapi.whole(config()))
    feed(node, as_uapi.whole(config()))
    assert rates(node) == [(0, 0), (0, 0)]


def test_a_groups_rates_are_those_of_each_member_without_its_own(node):
    group = "RateIn = 5M\nRateOut = 6M"
    feed(node, as_uapi.whole(config("RateIn = 1M", "RateIn = off", group)))
    assert rates(node) == [(1_000_000, 6_000_000), (0, 6_000_000)]
    reload(node, config("", "RateIn = off", "RateIn = 7M"))
    assert rates(node) == [(7_000_000, 0), (0, 0)]
    reload(node, config("RateIn = 2M"))
    assert rates(node) == [(2_000_000, 0), (0, 0)]


def test_a_group_that_goes_takes_its_rates_with_it(node):
    feed(node, as_uapi.whole(config("", "", "RateIn = 5M")))
    feed(node, [b"replace_groups=true\n"])
    assert rates(node) == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    "value", ["999", "-1", "1000000000001", "5M", "off", "x", "00000000001000"]
)
@pytest.mark.parametrize("key", ["rate_in", "rate_out", "group_rate_in", "group_rate_out"])
def test_a_bad_rate_is_refused_on_the_socket(node, key, value):
    before = "group_name=a\n" if key.startswith("group") else f"public_key={KEYS[1].hex()}\n"
    with pytest.raises(uapi.UapiError):
        feed(node, [f"{before}{key}={value}\n".encode()])


def test_a_groups_rate_needs_a_group(node):
    with pytest.raises(uapi.UapiError):
        feed(node, [b"group_rate_in=1000\n"])


def test_save_config_writes_what_is_a_peers_own(node):
    found = config("RateIn = 1500K", "RateOut = off", "RateIn = 5M")
    feed(node, as_uapi.whole(found))
    feed(node, [f"public_key={KEYS[1].hex()}\nrate_out=1234567\n".encode()])
    text = save.render(found, running(node)).decode()
    assert text.count("Rate") == 4
    assert "Name = nodes\nRateIn = 5M\n" in text
    assert "RateIn = 1500K\nRateOut = 1234567\n" in text and "RateOut = off\n" in text


def test_the_status_tells_what_holds(node):
    feed(node, as_uapi.whole(config("RateIn = 1M", "", "RateIn = 5M")))
    node.daemon.interface = node.interface
    told = json.loads(b"".join(status.pieces(node.daemon)))
    assert [(row["rate_in"], row["rate_out"]) for row in told["peers"]] == [
        (1_000_000, 0),
        (5_000_000, 0),
    ]
