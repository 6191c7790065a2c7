# SPDX-License-Identifier: MIT
"""SaveConfig: what a file says afterwards."""

import base64
import stat

import pytest

from tunlite.config import as_uapi, parser, save, secret_text
from tunlite.uapi import client


def _key(number):
    return bytes([number]) * 31 + b"\x40"  # as X25519 clamps it


def _base64(number):
    return base64.b64encode(_key(number)).decode()


def _running(*peers, **interface):
    """An as_uapi.Running of rows such as `get=1` gives; a peer is (number, [(key, value)])."""
    rows = [("private_key", _key(9).hex()), ("listen_port", "40001"), *interface.items()]
    for number, lines in peers:
        rows += [("public_key", _key(number).hex()), *lines]
    return as_uapi.Running([(k.encode(), v.encode()) for k, v in rows])


def _saved(text, running, chosen=0):
    config = parser.parse(secret_text.Text([bytearray(text.encode())]), "t.conf")
    assert config.errors == []
    return save.render(config, running, chosen).decode()


FILE = f"""# the gateway
[interface]
PrivateKey = {_base64(1)}  # ours
Address = 10.0.0.1/24
# a fast one
Engine = mmsg
SaveConfig = true
PostUp = echo a=b
listenport = 51820

# Alice's
[Peer]
PublicKey = {_base64(2)}
Description = Alice, at home
Endpoint = alice.example:51820
AllowedIPs = 10.0.0.2/32

[Peer]
PublicKey = {_base64(3)}
Endpoint = 192.0.2.3:51820
"""


def test_the_interface_stays_but_for_its_key_and_port_and_peers_are_those_that_run():
    running = _running(
        (
            4,
            [
                ("preshared_key", _key(7).hex()),
                ("persistent_keepalive_interval", "25"),
                ("allowed_ip", "10.0.0.4/32"),
                ("allowed_ip", "fd00::4/128"),
                ("endpoint", "[2001:db8::4]:4444"),
            ],
        ),
        (2, [("preshared_key", "0" * 64), ("endpoint", "198.51.100.2:1"), ("allowed_ip", "::/0")]),
        (3, [("persistent_keepalive_interval", "0"), ("endpoint", "192.0.2.33:3333")]),
        fwmark="0",
    )
    assert (
        _saved(FILE, running)
        == f"""# the gateway
[interface]
PrivateKey = {_base64(9)}
ListenPort = 40001
Address = 10.0.0.1/24
# a fast one
Engine = mmsg
SaveConfig = true
PostUp = echo a=b

[Peer]
PublicKey = {_base64(2)}
AllowedIPs = ::/0
Endpoint = alice.example:51820
Description = Alice, at home

[Peer]
PublicKey = {_base64(3)}
Endpoint = 192.0.2.33:3333

[Peer]
PublicKey = {_base64(4)}
PresharedKey = {_base64(7)}
AllowedIPs = 10.0.0.4/32, fd00::4/128
Endpoint = [2001:db8::4]:4444
PersistentKeepalive = 25
"""
    )


def test_several_endpoints_are_saved_as_they_were_set_and_what_wg_set_in_their_place_too():
    text = (
        "[Interface]\n[Peer]\nPublicKey = " + _base64(2) + "\nEndpoint = a.example:1, b.example:1\n"
    )
    runs = [("endpoint", "192.0.2.7:1"), ("endpoints", "a.example:1,192.0.2.1:1")]
    assert "Endpoint = a.example:1, 192.0.2.1:1\n" in _saved(text, _running((2, runs)))
    assert "Endpoint = 192.0.2.7:1\n" in _saved(text, _running((2, runs[:1])))


def test_what_was_saved_is_saved_the_same_again():
    running = _running((2, [("allowed_ip", "10.0.0.2/32")]), (5, []))
    once = _saved(FILE, running)
    assert _saved(once, running) == once


@pytest.mark.parametrize(
    ("line", "runs", "chosen", "saved"),
    [
        ("", 51820, 51820, None),  # a default route's, and ours to choose again
        ("FwMark = off\n", 51820, 51820, None),
        ("FwMark = 0x309\n", 777, 777, 777),  # a default route's, but the file's
        ("FwMark = 0x1\n", 777, 1, 777),
        ("", 777, 51820, 777),  # as `wg set` made it
        ("", 777, 0, 777),
        ("FwMark = 0x1\n", 0, 1, None),
    ],
)
def test_the_mark_is_saved_as_it_runs_but_not_where_we_chose_it(line, runs, chosen, saved):
    text = _saved("[Interface]\n" + line, _running(fwmark=str(runs)), chosen)
    found = [row for row in text.split("\n") if row.startswith("FwMark")]
    assert found == ([f"FwMark = {saved}"] if saved else [])


def test_blanks_that_wg_leaves_out_are_no_other_section_or_option():
    text = f"[ Interface ]\nPrivate Key = {_base64(1)}\nlisten port = 1\nAddress = 10.0.0.1\n"
    saved = _saved(text, _running())
    assert saved.splitlines() == [
        "[ Interface ]",
        f"PrivateKey = {_base64(9)}",
        "ListenPort = 40001",
        "Address = 10.0.0.1",
    ]


def test_sections_may_stand_in_any_order_and_come_twice():
    text = (
        f"\ufeff[Peer]\nPublicKey = {_base64(2)}\n[Interface]\nMTU = 1400\n"
        f"[Peer]\nPublicKey = {_base64(3)}\n# why\n[Interface]\nTable = off"
    )
    saved = _saved(text, _running((3, [])))
    assert saved == (
        f"[Interface]\nPrivateKey = {_base64(9)}\nListenPort = 40001\nMTU = 1400\n"
        f"[Interface]\nTable = off\n\n[Peer]\nPublicKey = {_base64(3)}\n"
    )


def test_the_file_is_its_owner_s_alone_and_one_with_errors_is_not_touched(tmp_path, monkeypatch):
    rows = [(b"private_key", _key(9).hex().encode()), (b"listen_port", b"7")]
    monkeypatch.setattr(client, "get_device", lambda name, silence_ms: iter(rows))
    path = tmp_path / "t.conf"
    path.write_text("[Interface]\nMTU = 1400\n")
    save.save("t", str(path), 100)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "ListenPort = 7\n" in path.read_text()
    link = tmp_path / "folder" / "t.conf"
    link.parent.mkdir()
    link.symlink_to("../t.conf")
    path.write_text("[Interface]\nMTU = 1500\n")
    save.save("t", str(link), 100)
    assert link.is_symlink() and "ListenPort = 7\nMTU = 1500\n" in path.read_text()
    assert list(link.parent.iterdir()) == [link]
    link.unlink()
    link.parent.rmdir()
    path.write_text("[Interface]\nMTU = x\n")
    with pytest.raises(save.SaveError, match="MTU"):
        save.save("t", str(path), 100)
    assert path.read_text() == "[Interface]\nMTU = x\n"
    with pytest.raises(save.SaveError, match="No such file"):
        save.save("t", str(tmp_path / "gone" / "t.conf"), 100)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("origin", ["folder", "added", "admitted"])
def test_peers_that_came_by_other_ways_are_not_saved(origin):
    running = _running((5, [("origin", origin)]), (6, []))
    saved = _saved(FILE, running)
    assert _base64(5) not in saved and _base64(6) in saved
