# SPDX-License-Identifier: MIT
"""What goes with which layer in a file; `Encryption`: what is refused, what is warned of, and how
it reaches a daemon and comes back."""

import pytest

from lab.fakes.net import Log
from tests.unit.config_text import HEX_A, HEX_B, A, B, errors, key, lines, parse, running
from tunlite.config import as_uapi, layers, save
from tunlite.host import failures, mtu, reload
from tunlite.protocol.layer import MODES

TEXT = f"""[Interface]
Layer = 2
Encryption = authentic, on
[Group]
Name = nodes
Encryption = on
[Peer]
PublicKey = {A}
Encryption = OFF on
[Peer]
PublicKey = {B}
"""
RUNNING = (
    *("listen_port=7", "encryption=authentic,on", "group_name=nodes"),
    *(f"public_key={HEX_A}", "encryption=off,on", f"public_key={HEX_B}"),
)


def test_a_list_is_read_in_its_order_and_on_is_the_default():
    config = parse(TEXT)
    assert not config.errors
    assert config.settings["Encryption"] == "authentic,on"
    assert [group["Encryption"] for group in config.groups] == ["on"]
    assert [peer.get("Encryption") for peer in config.peers] == ["off,on", None]
    assert parse("[Interface]\n").settings["Encryption"] == "on"


@pytest.mark.parametrize("text", ["", "none", "on, on", "on, null", "0", ","])
def test_what_is_no_list_of_modes_is_refused_with_what_to_write(text):
    (line,) = errors(f"[Interface]\nLayer = 2\nEncryption = {text}\n")
    assert line.startswith("f:3: Encryption: ") and "write" in line


@pytest.mark.parametrize("text", ["authentic", "off", "on, authentic", "off, on"])
def test_on_layer_3_only_on_may_be_written_and_each_line_that_has_more_is_named(text):
    found = errors(
        f"[Peer]\nPublicKey = {A}\nEncryption = {text}\n[Group]\nName = n\nEncryption = {text}\n"
        f"[Interface]\nEncryption = {text}\n[Peer]\nPublicKey = {B}\nEncryption = on\n"
    )
    fix = f"Encryption: {text}: only layer 2 has other modes than on; write on, or Layer = 2"
    assert found == [f"f:{line}: {fix} under [Interface]" for line in (3, 6, 8)]


def test_a_file_of_peers_alone_does_not_know_the_layer():
    assert errors(f"[Peer]\nPublicKey = {A}\nEncryption = off\n") == []


def test_check_says_of_each_line_what_its_modes_leave_open():
    found = parse(TEXT)
    fix = "right in an open network; elsewhere write on"
    reads = "whoever is on the way reads every frame"
    makes = "whoever is on the way reads frames, changes them and makes up others"
    assert found.lines_of(found.warnings) == [
        f"f:3: Encryption: with authentic, {reads}; {fix}",
        f"f:9: Encryption: with off, {makes}; {fix}",
    ]


def test_of_a_thousand_lines_a_hundred_are_kept():
    peers = "".join([f"[Peer]\nPublicKey = {A}\nEncryption = off\n" for _ in range(1000)])
    config = parse("[Interface]\nListenPort = 7\n" + peers)
    assert len(config.noted) == 100 and len(config.errors) == 100


def test_every_mode_that_leaves_something_open_is_told():
    assert ["on", *layers.OPEN] == list(MODES)


# ---- AllowedIPs, MTU ---------------------------------------------------------------------------


def test_on_layer_2_allowed_ips_do_nothing_and_are_refused():
    peers = f"[Peer]\nPublicKey = {A}\nAllowedIPs =\n[Peer]\nPublicKey = {B}\nAllowedIPs = ::/0\n"
    (line,) = errors("[Interface]\nLayer = 2\n" + peers)
    assert line == (
        "f:6: AllowedIPs: on layer 2 the addresses behind a peer are learned, and it does nothing;"
        " remove it"
    )
    assert errors("[Interface]\nListenPort = 7\n" + peers) == []


def test_on_layer_2_nothing_is_routed_and_a_table_for_it_is_refused():
    text = "[Interface]\nLayer = 2\nTable = %s\n"
    wrong = "f:3: Table: on layer 2 nothing is routed to peers, and it does nothing; remove it"
    assert errors(text % "5") == [wrong]
    assert errors(text % "off") == errors(text % "auto") == []


def test_an_mtu_that_nobody_says_is_ethernet_s_on_layer_2_whatever_the_way():
    for text, expected in (("", 1500), ("MTU = 1532\n", 1532)):
        config = parse("[Interface]\nLayer = 2\n" + text)
        assert config.settings.first_mtu() == mtu.choose("none", config, 0) == expected
        assert config.settings.of_start()["MTU"] == expected
    assert parse("[Interface]\n").settings.first_mtu() == 1420


# ---- the daemon is told, and what it says is compared and saved --------------------------------


def test_a_configuration_tells_all_lists_and_an_old_file_tells_none():
    found = lines(as_uapi.whole(parse(TEXT)))
    assert [line for line in found if "encryption" in line] == [
        *("encryption=authentic,on", "group_encryption=on", "encryption=off,on"),
    ]
    assert "encryption=authentic,on" in lines(as_uapi.added(parse(TEXT)))
    old = f"[Interface]\nPrivateKey = {A}\n[Peer]\nPublicKey = {B}\n"
    for pieces in (as_uapi.whole(parse(old)), as_uapi.added(parse(old))):
        assert not [line for line in lines(pieces) if "encryption" in line]


def test_what_is_as_it_runs_is_not_told_again():
    text = TEXT.replace("[Group]\nName = nodes\nEncryption = on\n", "")
    rows = [row for row in RUNNING if row != "group_name=nodes"]
    assert lines(as_uapi.different(parse(text), running(*rows))) == []


def test_a_change_of_the_interface_s_list_or_a_peer_s_is_told_alone():
    text = TEXT.replace("[Group]\nName = nodes\nEncryption = on\n", "")
    rows = [row for row in RUNNING if row != "group_name=nodes"]
    other = text.replace("authentic, on", "on").replace("Encryption = OFF on\n", "")
    found = lines(as_uapi.different(parse(other), running(*rows)))
    assert found == ["encryption=on", f"public_key={HEX_A}", "encryption="]


def test_a_daemon_of_layer_3_which_tells_of_no_list_runs_with_on():
    assert lines(as_uapi.different(parse("[Interface]\n"), running("listen_port=7"))) == []


def test_save_writes_the_lists_that_run():
    text = save.render(parse(TEXT), running(*RUNNING)).decode()
    assert "Encryption = authentic, on\n" in text.split("[Group]")[0]
    assert "Encryption = off, on\n" in text.split(A)[1].split("[Peer]")[0]
    assert text.count("Encryption") == 3  # the group's line stands as it stood
    parsed = parse(text)
    assert not parsed.errors and parsed.settings["Encryption"] == "authentic,on"


# ---- PathMTU, MACs, ForwardPeers, ProbeAddress -------------------------------------------------

MACS = "02:00:00:00:00:01, 02:00:00:00:00:0A"
ALONE = f"""[Interface]
PathMTU = 1400
ForwardPeers = on
[Peer]
PublicKey = {A}
MACs = {MACS}
"""
LAYER_2 = ALONE.replace("[Interface]", "[Interface]\nLayer = 2")


def test_on_layer_3_what_layer_2_alone_has_is_refused_line_by_line_with_what_to_do():
    fix = "only layer 2 has it; remove it, or write Layer = 2 under [Interface]"
    rows = ((2, "PathMTU"), (3, "ForwardPeers"), (6, "MACs"))
    assert errors(ALONE) == [f"f:{line}: {name}: {fix}" for line, name in rows]
    assert errors("[Interface]\nPathMTU = auto\nForwardPeers = off\n") == []


def test_on_layer_2_it_is_taken():
    config = parse(LAYER_2)
    assert not config.errors
    assert (config.settings["PathMTU"], config.settings["ForwardPeers"]) == (1400, True)
    (peer,) = config.peers
    assert peer["MACs"] == ["02:00:00:00:00:01", "02:00:00:00:00:0a"]


@pytest.mark.parametrize(
    "line",
    [
        *("PathMTU = 575", "PathMTU = 65536", "PathMTU = on", "PathMTU =", "ForwardPeers = yes"),
        *("MTU = 9563", "ProbeAddress = 10.0.0.1", "MACs = 02:00:00:00:00", "MACs = ,"),
        *("MACs = ff:ff:ff:ff:ff:ff", "MACs = 00:00:00:00:00:00", "MACs = 02:00:00:00:00:1"),
        "MACs = 02:00:00:00:00:01, 02:00:00:00:00:01",
        "MACs = " + ", ".join([f"02:00:00:00:00:{n:02x}" for n in range(33)]),
    ],
)
def test_what_is_none_is_refused_at_its_option_with_what_to_write(line):
    name = line.partition(" ")[0]
    text = "[Interface]\nLayer = 2\n" + line
    if name in ("MACs", "ProbeAddress"):
        text = f"[Interface]\nLayer = 2\n[Peer]\nPublicKey = {A}\n" + line
    (found,) = errors(text)
    assert f": {name}: " in found and ("write" in found or "remove" in found or "pin" in found)


def test_the_longest_mtu_is_taken():
    assert errors("[Interface]\nLayer = 2\nMTU = 9562\n") == []
    assert errors("[Interface]\nMTU = 65535\n") == []


def test_an_address_of_two_peers_is_refused_and_names_the_first():
    other = f"[Peer]\nPublicKey = {B}\nMACs = 02:00:00:00:00:0A\n"
    assert errors(LAYER_2 + other) == [
        "f:8: MACs: the peer of line 5 has 02:00:00:00:00:0a too; pin each address to one peer"
    ]


def test_groups_of_layer_2_need_no_probe_address_and_may_have_none():
    group = "[Interface]\nLayer = 2\n[Group]\nName = g\nLimit = 1\n"
    peer = f"[Peer]\nPublicKey = {A}\nGroup = g\n"
    assert errors(group + peer) == []
    wrong = "on layer 2 members are asked by control frames, and it does nothing; remove it"
    assert errors(group + "ProbeAddress = 10.0.0.1\n" + peer) == [f"f:3: ProbeAddress: {wrong}"]


def test_more_than_one_member_at_a_time_is_refused_on_each_layer():
    for layer, more in ((2, "; two groups use two"), (3, "")):
        (line,) = errors(f"[Interface]\nLayer = {layer}\n[Group]\nName = g\nLimit = 2\n")
        assert line == f"f:3: Limit: 2 is too many: one member is used at a time; write 1{more}"


def told(text):
    return [line for line in lines(as_uapi.whole(parse(text))) if line[:4] in ("path", "macs")]


def test_the_daemon_is_told_what_it_can_be_and_an_old_file_tells_none_of_it():
    both = ["path_mtu=1400", "macs=02:00:00:00:00:01,02:00:00:00:00:0a"]
    assert told(LAYER_2) == both
    found = lines(as_uapi.added(parse(LAYER_2)))
    assert [line for line in found if line[:4] in ("path", "macs")] == both
    assert told(f"[Interface]\n[Peer]\nPublicKey = {A}\n") == []


def test_a_change_of_them_is_told_alone_and_what_runs_is_not():
    rows = ("listen_port=7", "path_mtu=1400", f"public_key={HEX_A}", f"macs={MACS.lower()}")
    rows = [row.replace(", ", ",") for row in rows]
    assert lines(as_uapi.different(parse(LAYER_2), running(*rows))) == []
    other = LAYER_2.replace("1400", "auto").replace(f"MACs = {MACS}\n", "")
    found = lines(as_uapi.different(parse(other), running(*rows)))
    assert found == ["path_mtu=0", f"public_key={HEX_A}", "macs="]


def test_save_writes_what_runs_of_them():
    rows = ("path_mtu=1300", f"public_key={HEX_A}", "macs=02:00:00:00:00:07,02:00:00:00:00:08")
    text = save.render(parse(LAYER_2), running(*rows)).decode()
    assert "PathMTU = 1300\n" in text and "1400" not in text and "ForwardPeers = on\n" in text
    assert "MACs = 02:00:00:00:00:07, 02:00:00:00:00:08\n" in text
    assert not parse(text).errors


@pytest.mark.parametrize(("before", "now"), [({"Layer": 2}, ""), ({}, "Layer = 2\n")])
def test_a_reload_with_another_layer_changes_nothing_and_says_what_to_do(monkeypatch, before, now):
    told = []
    monkeypatch.setattr(reload.client, "get_device", lambda name: [(b"encryption", b"authentic")])
    monkeypatch.setattr(reload.client, "set_device", lambda name, pieces: told.extend(pieces))
    config = parse("[Interface]\n" + now)
    state = {"interface": "mesh", "fixed": before, "peers": [], "endpoints": {}}
    with pytest.raises(failures.QuickError, match="Layer.*restart"):
        reload._apply(state, config, Log())
    assert told == []


def test_what_the_interface_says_is_looked_at_behind_any_number_of_peers_too():
    peers = [key(n) for n in range(1, 110)]
    rows = [
        f"[Peer]\nPublicKey = {p}\nMACs = 02:00:00:00:00:{n:02x}\n" for n, p in enumerate(peers, 1)
    ]
    config = parse("".join(rows) + "[Interface]\nLayer = 2\nMTU = 20000\nEncryption = off\n")
    assert "330: MTU: 20000 is too long" in config.lines_of(config.errors)[0]
    assert "331: Encryption: with off" in config.lines_of(config.warnings)[0]
