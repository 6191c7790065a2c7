# SPDX-License-Identifier: MIT
"""tunlite add, remove, block, unblock: what their words become."""

import base64

import pytest

from tunlite.cli import peers
from tunlite.config import as_uapi
from tunlite.errors import UsageError
from tunlite.uapi import client

KEY = base64.b64encode(bytes([1]) * 32).decode()
PSK = base64.b64encode(bytes([9]) * 32).decode()


def _lines(words, secret_path=None):
    config = peers.described(KEY, words, secret_path)
    return b"".join(bytes(piece) for piece in as_uapi.one_more(config)).decode().splitlines()


def test_words_are_options_of_a_peer_and_what_is_not_said_goes_back_to_its_default():
    words = ["AllowedIPs=10.0.0.5/32, fd00::/64", "Description=a laptop", "Endpoint=192.0.2.1:9"]
    lines = _lines(words)
    assert lines[:2] == ["public_key=" + "01" * 32, "origin=added"]
    for line in ("allowed_ip=10.0.0.5/32", "allowed_ip=fd00::/64", "description=a laptop"):
        assert line in lines
    assert "persistent_keepalive_interval=0" in lines and "replace_allowed_ips=true" in lines


def test_its_group_is_one_of_the_daemon_s_which_its_words_cannot_name():
    assert "group=routers" in _lines(["AllowedIPs=10.0.0.5/32", "Group=routers"])


def test_a_preshared_key_comes_from_a_file(tmp_path):
    path = tmp_path / "psk"
    path.write_text(PSK + "\n")
    assert "preshared_key=" + "09" * 32 in _lines([], str(path))
    path.write_text(PSK + "\nAllowedIPs = ::/0\n")
    with pytest.raises(peers.PeerError):
        _lines([], str(path))
    with pytest.raises(peers.PeerError, match="cannot be read"):
        _lines([], str(tmp_path / "none"))


@pytest.mark.parametrize(
    "word, told",
    [
        ("PresharedKey=" + PSK, "--preshared-key FILE"),
        ("preshared key=" + PSK, "--preshared-key FILE"),
        ("PublicKey=" + KEY, "stands alone"),
        ("AllowedIPs=10.0.0.0/33", "AllowedIPs: "),
        ("AllowdIPs=10.0.0.0/8", "did you mean AllowedIPs"),
        ("Description=a\n[Interface]", "new line"),
        ("Description=a # b", "has a #"),
        ("nonsense", "a word: "),
        ("ListenPort=5", "ListenPort"),
    ],
)
def test_a_wrong_word_is_told_and_no_secret_is_shown(word, told):
    with pytest.raises(UsageError) as e:
        _lines([word])
    assert told in e.value.args[0] and PSK not in e.value.args[0]


def test_a_key_that_is_none_is_told():
    with pytest.raises(UsageError, match="KEY is no public key"):
        peers.one_key("wg0", "block", KEY[:-2])


def test_a_key_alone_is_a_line_and_what_the_daemon_refuses_is_told_in_the_command_s_words(
    monkeypatch,
):
    sent = []

    def set_device(name, request):
        sent.extend([bytes(piece) for piece in request])
        e = client.Refused("a line was refused")
        e.number = 2
        raise e

    monkeypatch.setattr(client, "set_device", set_device)
    with pytest.raises(peers.PeerError, match="wg0: this key is not blocked"):
        peers.one_key("wg0", "unblock", KEY)
    with pytest.raises(client.Refused):
        peers.one_key("wg0", "block", KEY)
    assert sent == [b"unblock=" + b"01" * 32 + b"\n", b"block=" + b"01" * 32 + b"\n"]
