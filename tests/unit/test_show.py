# SPDX-License-Identifier: MIT
"""`tunlite show` for people."""

import base64
import json
import re

import nacl.bindings
import pytest

from tunlite.cli import show
from tunlite.system import port
from tunlite.uapi import client

STATUS = {
    "interface": "wg0",
    "public_key": "PUB=",
    "listen_port": 51820,
    "fwmark": 51820,
    "mtu": 1420,
    "up": True,
    "layer": 3,
    "engine": "mmsg",
    "aead": "portable",
    "offloads": [
        {"name": "udp-gso", "on": True, "why": ""},
        {"name": "tun-gso", "on": False, "why": "the kernel has it not"},
    ],
    "workers": [{"read": 5, "written": 6}, {"read": 7, "written": 8}],
    "workers_why": "chosen",
    "drops": {"no_session": 0, "replay": 3},
    "counters": {},
    "returns": {"total": 7, "events": 3, "deadline": 4},
    "memory_kb": 900,
    "uptime_s": 3661,
    "peers": [
        {
            "public_key": "PEER=",
            "preshared": True,
            "endpoint": "192.0.2.1:51820",
            "allowed_ips": ["10.0.0.0/24", "::/0"],
            "latest_handshake": 1700000000,
            "handshake_age_s": 65,
            "rx_bytes": 1536,
            "tx_bytes": 10,
            "persistent_keepalive": 25,
            "handshakes": {"initiated": 1, "responded": 0, "completed": 1, "failed": 0},
            "staged": 0,
            "resolver": "",
        }
    ],
}


def _parts(status):
    """What client.status() gives."""
    yield {name: value for name, value in status.items() if name != "peers"}
    yield from status["peers"]


def _text(status):
    return "".join(show.pages(_parts(status)))


def test_the_json_is_the_object_that_the_daemon_has():
    two = dict(STATUS, peers=STATUS["peers"] * 2)
    for status in (STATUS, two, dict(STATUS, peers=[])):
        assert json.loads("".join(show.json_pieces(_parts(status)))) == status


def test_a_page_has_what_wg_shows_and_what_is_ours():
    page = _text(STATUS)
    for part in (
        "interface: wg0\n",
        "  private key: (hidden)\n",
        "  listening port: 51820\n",
        "  fwmark: 0xca6c\n",
        "  engine: mmsg\n",
        "  workers: 2 (chosen)\n",
        "  offload udp-gso: on\n",
        "  offload tun-gso: off (the kernel has it not)\n",
        "  returns to Python: 7 (deadline 4, events 3)\n",
        "  up for: 1 hour, 1 minute, 1 second\n",
        "  dropped, replay: 3\n",
        "\npeer: PEER=\n",
        "  preshared key: (hidden)\n",
        "  endpoint: 192.0.2.1:51820\n",
        "  allowed ips: 10.0.0.0/24, ::/0\n",
        "  latest handshake: 1 minute, 5 seconds ago\n",
        "  transfer: 1.50 KiB received, 10 B sent\n",
        "  persistent keepalive: every 25 seconds\n",
    ):
        assert part in page


def test_of_several_endpoints_those_not_in_use_are_told_and_why():
    rows = [("192.0.2.1:51820", False), ("[2001:db8::1]:1", False), ("10.0.0.9:1", True)]
    places = [{"endpoint": text, "loops": loops} for text, loops in rows]
    page = _text(dict(STATUS, peers=[dict(STATUS["peers"][0], endpoints=places)]))
    assert page.count("192.0.2.1:51820") == 1
    assert "  other endpoint: [2001:db8::1]:1\n" in page
    assert "  other endpoint: 10.0.0.9:1 (not used: it is routed into the tunnel)\n" in page


KEY = "77d54d2a5b0c1f3e77d54d2a5b0c1f3e77d54d2a5b0c1f3e77d54d2a5b0c1f3e"
FOREIGN = (
    ("private_key", KEY),
    ("listen_port", "51820"),
    ("fwmark", "16"),
    ("public_key", KEY),
    ("preshared_key", "01" * 32),
    ("protocol_version", "1"),
    ("endpoint", "192.0.2.1:7"),
    ("last_handshake_time_sec", "1700000000"),
    ("last_handshake_time_nsec", "5"),
    ("tx_bytes", "2048"),
    ("rx_bytes", "1536"),
    ("persistent_keepalive_interval", "25"),
    ("allowed_ip", "10.0.0.0/8"),
    ("allowed_ip", "::/0"),
    ("public_key", "02" * 32),
    ("preshared_key", "00" * 32),
    ("last_handshake_time_sec", "0"),
)


def _foreign(monkeypatch, error, rows=FOREIGN):
    """A daemon that does not know status=1, and says or does `error` then."""

    def status(name):
        raise error
        yield

    lines = [(key.encode(), value.encode()) for key, value in rows]
    monkeypatch.setattr(show.client, "status", status)
    monkeypatch.setattr(show.client, "get_device", lambda name: iter(lines))
    return show.look("wg0")


@pytest.mark.parametrize("error", [client.Refused("closed"), BrokenPipeError(32, "gone")])
def test_another_programs_interface_is_shown_as_far_as_it_tells(monkeypatch, error):
    page = "".join(show.pages(_foreign(monkeypatch, error)))
    public = nacl.bindings.crypto_scalarmult_base(bytes.fromhex(KEY))
    age = show.ago(port.wall_ns()[0] // 10**9 - 1700000000).split(", ")[0]
    assert re.sub(r"(latest handshake: [^,]*),.*", r"\1", page) == (
        "interface: wg0\n"
        f"  public key: {base64.b64encode(public).decode()}\n"
        "  private key: (hidden)\n"
        "  listening port: 51820\n"
        "  fwmark: 0x10\n"
        "\n"
        "peer: d9VNKlsMHz531U0qWwwfPnfVTSpbDB8+d9VNKlsMHz4=\n"
        "  preshared key: (hidden)\n"
        "  endpoint: 192.0.2.1:7\n"
        "  allowed ips: 10.0.0.0/8, ::/0\n"
        f"  latest handshake: {age}\n"
        "  transfer: 1.50 KiB received, 2.00 KiB sent\n"
        "  persistent keepalive: every 25 seconds\n"
        "\n"
        "peer: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
        "  allowed ips: (none)\n"
    )
    found = json.loads("".join(show.json_pieces(_foreign(monkeypatch, error))))
    assert set(found) == {"interface", "public_key", "listen_port", "fwmark", "peers"}
    assert found["interface"] == "wg0" and found["peers"][0]["tx_bytes"] == 2048
    # In the words that our own daemon has for what is not there.
    assert [peer["endpoint"] for peer in found["peers"]] == ["192.0.2.1:7", None]
    assert [peer["preshared"] for peer in found["peers"]] == [True, False]
    assert [peer["handshake_age_s"] is None for peer in found["peers"]] == [False, True]


@pytest.mark.parametrize(
    "row",
    [("private_key", "01"), ("public_key", "0x"), ("listen_port", "many"), ("fwmark", "")],
)
def test_another_programs_nonsense_is_a_refusal(monkeypatch, row):
    with pytest.raises(client.Refused, match="makes no sense"):
        list(_foreign(monkeypatch, client.Refused("closed"), [row, row]))


def test_a_stuck_daemon_is_not_asked_a_second_time(monkeypatch):
    with pytest.raises(client.NoAnswer):
        list(_foreign(monkeypatch, client.NoAnswer("wg0 does not answer")))


def test_another_programs_interface_without_a_key_has_none(monkeypatch):
    found = _foreign(monkeypatch, client.Refused("closed"), [("listen_port", "7")])
    assert next(found)["public_key"] is None


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"established_s": 65, "ended": "silent"}, "established: for 1 minute, 5 seconds\n"),
        ({"established_s": 0, "ended": None}, "established: for 0 seconds\n"),
        ({"established_s": None, "ended": "silent"}, "established: no: silent\n"),
    ],
)
def test_since_when_a_peer_is_established_is_told_or_why_it_is_not(facts, text):
    assert text in _text(dict(STATUS, peers=[{**STATUS["peers"][0], **facts}]))
    assert "established" not in _text(STATUS)


def test_a_link_that_is_down_is_told():
    assert "  link: down" in _text(dict(STATUS, up=False))
    assert "  link: " not in _text(STATUS)


def test_drops_that_did_not_happen_are_not_shown():
    assert "no session" not in _text(STATUS)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1048575, "1023.99 KiB"),
        (1048576, "1.00 MiB"),
        (3 << 39, "1.50 TiB"),
        (1 << 60, "1048576.00 TiB"),
    ],
)
def test_sizes_are_written_with_two_places(count, text):
    assert show.size(count) == text


def test_ages_are_written_as_wg_does():
    assert show.ago(0) == "now"
    assert show.ago(1) == "1 second ago"
    assert show.ago(90061) == "1 day, 1 hour, 1 minute, 1 second ago"
    assert "set back" in show.ago(-5)


GROUP = {
    **{"name": "gws", "members": 3, "limit": 1, "choose": "random", "fail_after_s": 3},
    **{"fails_after_s": 5, "used": "PEER=", "used_name": "", "why": "silent", "used_for_s": 65},
    **{"probed_by": "handshake", "silent_for_ms": 2100, "searching": True, "moving_to": None},
    **{"moving_to_name": None, "held": False, "trouble": ""},
}
MEMBER = {"standby": True, "probes": 3, "losses": 2, "loser_for_s": 59, "round_trip_ms": 12}


def _page(**changes):
    peer = {**STATUS["peers"][0], "group": "gws", **MEMBER}
    status = {**STATUS, "groups": [{**GROUP, **changes}]}
    status.pop("peers")
    return "".join(show.pages(iter([status, peer])))


def test_a_group_is_shown_with_who_is_used_and_why_and_what_it_is_doing():
    page = _page()
    assert (
        "group gws: 3 members; uses PEER= for 1 minute, 5 seconds (silent); random, fails after"
        " 5 seconds; asked by handshake; FailAfter is 5 seconds at least where handshakes judge;"
        " silent for 2 seconds; the others are asked\n"
    ) in page
    assert "group: gws (stands by, 3 probes, 2 losses, at the end of the row for 59" in page
    page = _page(searching=False, silent_for_ms=0, moving_to="NEW=", held=True, trouble="no way")
    assert "judge; moving to NEW=; held by tunlite use; no way\n" in page


def test_members_are_shown_by_their_names():
    page = _page(used_name="gw1", moving_to="NEW=", moving_to_name="gw2")
    assert "; uses gw1 for " in page and "; moving to gw2\n" in page


def test_a_group_without_a_limit_is_its_name_and_how_many_there_are():
    status = {**STATUS, "groups": [{"name": "nodes", "members": 7}]}
    status.pop("peers")
    assert "group nodes: 7 members\n" in "".join(show.pages(iter([status])))


def _of_layer_2(**told):
    row = {"layer": 2, "encryption": None}
    row |= {"path_mtu": 1400, "path_mtu_why": "found by probes", "macs": []}
    row |= {"encryption_taken": "authentic,on", "encryption_refused": None, **told}
    status = {**STATUS, "layer": 2, "addresses": 0, "peers": [{**STATUS["peers"][0], **row}]}
    return "".join(show.pages(_parts(status)))


def test_layer_2_is_named_and_what_protects_each_peer_s_frames_is_said_plainly():
    text = _of_layer_2(encryption="on")
    assert "  layer: 2: Ethernet frames\n" in text
    assert "  encryption: on (nobody on the way reads or changes a frame)\n" in text
    text = _of_layer_2(encryption="authentic")
    assert "  encryption: authentic (whoever is on the way reads every frame)" in text
    text = _of_layer_2(encryption="off")
    assert "off (whoever is on the way reads frames, changes them and makes up others)" in text
    assert "  encryption: no session\n" in _of_layer_2()


def test_a_mode_that_was_refused_is_shown_with_ours():
    text = _of_layer_2(encryption_refused="off")
    assert "  encryption: none: the peer's begins with off, ours is authentic, on\n" in text


def test_a_page_of_layer_3_says_nothing_of_layers_or_encryption():
    text = "".join(show.pages(_parts(STATUS)))
    assert "layer" not in text and "encryption" not in text


def _page_of_table(monkeypatch, rows, **told):
    monkeypatch.setattr(show.client, "get_addresses", lambda name: iter(rows))
    row = {"layer": 2, "encryption": "on", "encryption_refused": None, "description": "gate"}
    row |= {"path_mtu": 1400, "path_mtu_why": "found by probes", "macs": [], "allowed_ips": []}
    peer = {**STATUS["peers"][0], **row, "public_key": PEER}
    return {**STATUS, "layer": 2, "addresses": len(rows), "peers": [peer], **told}


PEER = base64.b64encode(b"\xab" * 32).decode()


def _table(count, how="learned"):
    return [(f"02:00:00:00:00:{n:02x}", "ab" * 32, "5", how) for n in range(count)]


def test_the_table_of_addresses_names_who_each_is_behind(monkeypatch):
    rows = _table(1) + [("02:00:00:00:01:00", "ab" * 32, "0", "pinned")]
    rows += [("02:00:00:00:02:00", "cd" * 32, "9", "held")]
    text = "".join(show.pages(_parts(_page_of_table(monkeypatch, rows))))
    other = base64.b64encode(b"\xcd" * 32).decode()
    assert text.endswith(
        "addresses: wg0\n"
        "  02:00:00:00:00:00: behind gate, heard 5 seconds ago\n"
        "  02:00:00:00:01:00: behind gate, pinned\n"
        f"  02:00:00:00:02:00: behind {other}, heard 9 seconds ago, held\n"
    )
    assert "  addresses known: 3\n" in text and "allowed ips" not in text
    assert "  path mtu: 1400 (found by probes)\n" in text


def test_of_many_addresses_64_are_shown_and_json_has_all(monkeypatch):
    status = _page_of_table(monkeypatch, _table(200))
    text = "".join(show.pages(_parts(status)))
    assert text.count(": behind gate") == 64 and "  more: 136; --json has all\n" in text
    found = json.loads("".join(show.json_pieces(_parts(status))))
    assert len(found["address_table"]) == found["addresses"] == 200
    first = {"mac": "02:00:00:00:00:00", "peer": PEER, "age_s": 5, "how": "learned"}
    assert found["address_table"][0] == first


def test_who_may_not_ask_for_the_table_gets_the_rest(monkeypatch):
    status = _page_of_table(monkeypatch, _table(2))

    def refused(name):
        raise client.NoRight("no")
        yield

    monkeypatch.setattr(show.client, "get_addresses", refused)
    assert "addresses known: 2" in "".join(show.pages(_parts(status)))
    assert json.loads("".join(show.json_pieces(_parts(status))))["address_table"] == []


def test_parts_and_floods_are_shown_once_there_are_any(monkeypatch):
    counts = {"frames_cut": 3, "parts_sent": 6, "floods": 2, "flood_copies": 8}
    text = "".join(show.pages(_parts(_page_of_table(monkeypatch, [], counters=counts))))
    assert "  frames cut: 3 into 6 parts\n" in text
    assert "  floods: 2 frames to several peers, 8 copies\n" in text
    assert "frames joined" not in text
