# SPDX-License-Identifier: MIT
"""Layer 2's own part of an interface, on the fakes: pinned addresses, PathMTU, who is in use."""

import json

import pytest

from lab.fakes.net import Node, World
from tests.unit.test_admission import Commands
from tests.unit.test_modes import A_INSIDE, B_AT, Ends
from tunlite import addresses, keys
from tunlite.control.guests import Answer
from tunlite.plane import plane as planes
from tunlite.uapi import get, status, text

FIRST, SECOND, OWN = (bytes([2, 0, 0, 0, 0, n]) for n in (1, 2, 9))
KEYS = [bytes([n]) * 32 for n in (1, 2, 3)]


def said(mac):
    return addresses.format_mac(mac)


@pytest.fixture
def node():
    return Node(World(), b"\x0a\0\0\x01", layer=2).start()


def tell(node, *lines):
    setter = text.Setter(node.interface)
    try:
        for line in lines:
            setter.line(bytearray(line.encode()))
    finally:
        setter.end()


def told(node):
    return b"".join(bytes(piece) for piece in get.pieces(node.interface)).decode().splitlines()


def pins(node):
    """Address -> the number of its key's peer; the device's own with None."""
    handles = {peer.handle: KEYS.index(public) for public, peer in node.interface.peers.items()}
    return {mac: handles.get(handle) for mac, handle in node.native.macs}


def with_macs(number, *macs):
    return f"public_key={KEYS[number].hex()}", "macs=" + ",".join(said(mac) for mac in macs)


def test_an_address_is_one_peer_s_and_the_device_s_own_stands_first(node):
    node.interface.bridge.is_at(OWN)
    tell(node, *with_macs(0, FIRST, SECOND))
    assert node.native.macs[0] == (OWN, planes.OURS)
    assert pins(node) == {OWN: None, FIRST: 0, SECOND: 0}
    assert f"macs={said(FIRST)},{said(SECOND)}" in told(node)


def test_who_is_told_last_of_an_address_has_it(node):
    tell(node, *with_macs(0, FIRST, SECOND), *with_macs(1, FIRST))
    assert pins(node) == {FIRST: 1, SECOND: 0}
    assert f"macs={said(SECOND)}" in told(node)


def test_a_list_takes_the_place_of_the_one_before_and_an_empty_one_ends_it(node):
    tell(node, *with_macs(0, FIRST))
    tell(node, *with_macs(0, SECOND))
    assert pins(node) == {SECOND: 0}
    tell(node, *with_macs(0))
    assert pins(node) == {} and not [line for line in told(node) if line.startswith("macs")]


def test_what_is_pinned_goes_with_its_peer(node):
    tell(node, *with_macs(0, FIRST), *with_macs(1, SECOND))
    tell(node, f"public_key={KEYS[0].hex()}", "remove=true")
    assert pins(node) == {SECOND: 1}


def test_our_own_address_is_pinned_to_nobody_whichever_is_known_first(node):
    tell(node, *with_macs(0, FIRST, OWN))
    node.interface.bridge.is_at(OWN)
    assert pins(node) == {OWN: None, FIRST: 0}
    assert said(OWN) in node.log.texts("error")[-1]
    node.interface.bridge.is_at(SECOND)
    assert pins(node) == {SECOND: None, FIRST: 0, OWN: 0}


def test_the_log_hides_an_address_where_it_is_to(node):
    node.log.hides = True
    tell(node, *with_macs(0, OWN))
    node.interface.bridge.is_at(OWN)
    assert "(hidden)" in node.log.texts("error")[-1]


@pytest.mark.parametrize(
    "value",
    [
        *("02:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:0g", "2:0:0:0:0:1"),
        *("00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "02-00-00-00-00-01", ","),
        *("02:00:00:00:00:+1", "02:00:00:00:00:01,02:00:00:00:00:01", "02:00:00:00:00:001"),
        ",".join(f"02:00:00:00:00:{n:02x}" for n in range(33)),
    ],
)
def test_what_is_no_list_of_one_device_s_addresses_each_is_refused(node, value):
    with pytest.raises(text.UapiError):
        tell(node, f"public_key={KEYS[0].hex()}", "macs=" + value)


def test_path_mtu_holds_for_peers_of_now_and_later_at_once_and_0_measures_again(node):
    tell(node, f"public_key={KEYS[0].hex()}")
    tell(node, "path_mtu=1400", f"public_key={KEYS[1].hex()}")
    assert [peer.path.size() for peer in node.interface.peers.values()] == [1400, 1400]
    assert [peer.path[1] for peer in node.native.peers.values()] == [1400 - 48] * 2
    assert "path_mtu=1400" in told(node)
    tell(node, "path_mtu=0")
    assert [peer.path.why() for peer in node.interface.peers.values()] == ["not measured yet"] * 2
    assert not [line for line in told(node) if line.startswith("path_mtu")]


def test_a_whole_configuration_that_says_nothing_of_it_measures_again(node):
    tell(node, "path_mtu=1400")
    tell(node, "replace_peers=true")
    assert node.interface.bridge.path_mtu == 0


@pytest.mark.parametrize("value", ["575", "65536", "-1", "auto", ""])
def test_a_path_mtu_that_is_none_is_refused(node, value):
    with pytest.raises(text.UapiError):
        tell(node, "path_mtu=" + value)


@pytest.mark.parametrize(
    "line", ["path_mtu=1400", with_macs(0, FIRST)[1], "group_probe_address=", "probe_address="]
)
def test_a_daemon_of_layer_3_has_none_of_it_and_takes_the_words_that_say_nothing(line):
    node = Node(World(), b"\x0a\0\0\x01").start()
    key, _, value = line.partition("=")
    first = [f"public_key={KEYS[0].hex()}"] if key in ("macs", "probe_address") else []
    first = ["group_name=nodes"] if key.startswith("group") else first
    if value:
        with pytest.raises(text.UapiError):
            tell(node, *first, line)
    nothing = "path_mtu=0" if key == "path_mtu" else key + "="
    tell(node, *first, nothing)
    assert not hasattr(node.native, "macs")


@pytest.mark.parametrize(
    "lines",
    [
        ("group_name=nodes", "group_probe_address="),
        (f"public_key={KEYS[0].hex()}", "probe_address="),
    ],
)
def test_members_of_layer_2_have_no_probe_address(node, lines):
    tell(node, *lines)
    with pytest.raises(text.UapiError):
        tell(node, lines[0], lines[1] + "10.0.0.1")


def test_allowed_ips_are_refused_but_not_that_there_are_none(node):
    tell(node, f"public_key={KEYS[0].hex()}", "replace_allowed_ips=true")
    with pytest.raises(text.UapiError):
        tell(node, f"public_key={KEYS[0].hex()}", "allowed_ip=10.0.0.0/8")
    assert node.native.routes == []


# ---- strangers -------------------------------------------------------------------------------


def welcome(node, number, *macs):
    """What becomes of an answer about a stranger that says these addresses."""
    interface = node.interface
    interface.commands = Commands()
    found = interface.admits().guests
    said_macs = ",".join(said(mac) for mac in macs).encode()
    answer = Answer([("macs", said_macs)])
    why = found.overlap(KEYS[number], answer)
    if why is None:
        peer = interface.add_peer(KEYS[number])
        found.apply(found.add(peer), answer, 0)
        interface.commit()
    return why


def test_the_answer_about_a_stranger_pins_his_addresses_but_never_another_s(node):
    tell(node, *with_macs(0, FIRST))
    assert welcome(node, 1, SECOND) is None
    assert pins(node) == {FIRST: 0, SECOND: 1}
    why = welcome(node, 2, FIRST)
    assert said(FIRST) in why and keys.text(KEYS[0]) in why
    assert welcome(node, 1, SECOND) is None
    assert pins(node) == {FIRST: 0, SECOND: 1}


def test_an_answer_of_the_other_layer_is_refused(node):
    allowed = Answer([("allowed_ip", b"10.0.0.0/8")])
    node.interface.commands = Commands()
    assert "no AllowedIPs" in node.interface.admits().guests.overlap(KEYS[1], allowed)


def test_on_layer_3_an_answer_with_addresses_is_refused():
    node = Node(World(), b"\x0a\0\0\x01").start()
    assert "only layer 2" in welcome(node, 1, FIRST)


# ---- what is shown ---------------------------------------------------------------------------


def table(node):
    lines = b"".join([bytes(piece) for piece in get.addresses_of(node.interface)]).decode()
    return lines.splitlines()


def test_the_table_tells_each_address_with_who_it_is_behind_and_none_that_is_hidden(node):
    tell(node, f"public_key={KEYS[0].hex()}", f"public_key={KEYS[1].hex()}")
    first, second = [peer.handle for peer in node.interface.peers.values()]
    rows = [(FIRST, first, 7000, 0), (SECOND, second, 0, 1), (OWN, first, 999, 2)]
    node.native.fdb = [*rows, (OWN, 77, 0, 0)]  # one whose peer is gone by now
    assert table(node) == [
        f"address={said(FIRST)} {KEYS[0].hex()} 7 learned",
        f"address={said(SECOND)} {KEYS[1].hex()} 0 pinned",
        f"address={said(OWN)} {KEYS[0].hex()} 0 held",
    ]
    assert json.loads(b"".join(status.pieces(node.daemon)))["addresses"] == 4
    node.log.hides = True
    assert table(node) == []
    node.interface.bridge.pin(node.interface.peers[KEYS[0]], [FIRST])
    found = json.loads(b"".join(status.pieces(node.daemon)))
    assert found["addresses"] == 4 and found["peers"][0]["macs"] == ["(hidden)"]


def test_a_status_of_layer_2_tells_each_way_and_why_it_is_so_long(node):
    tell(node, f"public_key={KEYS[0].hex()}")
    (peer,) = json.loads(b"".join(status.pieces(node.daemon)))["peers"]
    assert (peer["path_mtu"], peer["path_mtu_why"]) == (1280, "not measured yet")
    tell(node, "path_mtu=1400")
    (peer,) = json.loads(b"".join(status.pieces(node.daemon)))["peers"]
    assert (peer["path_mtu"], peer["path_mtu_why"]) == (1400, "PathMTU")


def test_a_daemon_of_layer_3_has_no_table():
    node = Node(World(), b"\x0a\0\0\x01").start()
    assert table(node) == [] and b"addresses" not in b"".join(status.pieces(node.daemon))


# ---- whoever leaves says so ------------------------------------------------------------------


def stops(node, _peer):
    node.daemon.close()
    node.remove()


def removes(node, peer):
    node.interface.remove_peer(peer)
    node.interface.commit()


def goes_down(node, _peer):
    node.interface.link_down()


def changes_its_key(node, _peer):
    node.interface.set_private_key(bytearray(b"k" * 32))


def blocks(node, peer):
    node.interface.block(peer.public)


@pytest.mark.parametrize("leaves", [stops, removes, goes_down, changes_its_key, blocks])
def test_whoever_leaves_says_bye_once_and_before_its_keys_are_gone(leaves):
    ends = Ends()
    ends.flow(1)
    leaves(ends.a, ends.b_of_a)
    ends.run(1)
    assert ends.b.native.peers[ends.a_of_b.handle].byes == 1
    assert ends.a.log.texts("error") == ends.b.log.texts("error") == []


def test_who_is_given_up_after_its_bye_gets_none_back():
    """It may be there after all, its answer lost: the two would end each other's sessions."""
    ends = Ends()
    ends.flow(1)
    peer = ends.b.native.peers[ends.a_of_b.handle]
    ends.b.native.tl_peer_keepalive(0, ends.a_of_b.handle, b"\2\4", 2)
    ends.world.loses = lambda packet: packet[0][0] == B_AT and packet[2][0] == 4
    ends.world.run(0.03)
    session = ends.a_of_b.sessions.current
    ends.run(3)
    assert ends.b_of_a.established.reason == "left" and peer.byes == 0
    assert ends.a_of_b.sessions.current == session
    ends.world.loses = lambda packet: False
    ends.send(b"again")
    ends.run(6)
    assert ends.b.received()[-1] == b"again"


def test_to_one_that_stands_by_nothing_is_said():
    ends = Ends()
    ends.flow(1)
    ends.b_of_a.stands_by(True)
    removes(ends.a, ends.b_of_a)
    ends.run(1)
    assert ends.b.native.peers[ends.a_of_b.handle].byes == 0


@pytest.mark.parametrize("leaves", [stops, goes_down])
def test_one_that_left_has_no_session_any_more_and_is_there_again_as_soon_as_it_is_back(leaves):
    ends = Ends()
    ends.b.interface.set_endpoint(ends.a_of_b, 0, b"", 0)  # only we can begin
    ends.flow(1)
    key, files = bytearray(ends.b.interface.me.private), ends.b.port.files
    leaves(ends.b, ends.a_of_b)
    ends.run(1.5)
    assert ends.b_of_a.established.reason == "left" and ends.b_of_a.sessions.current is None
    assert ends.a.native.peers[ends.b_of_a.handle].use == planes.IN_USE
    ends.b = Node(ends.world, B_AT, files, seed=7, layer=2).start(key)
    ends.b.add(ends.a, A_INSIDE, endpoint=False)
    ends.send(b"again")
    ends.run(6)
    assert ends.b.received() == [b"again"]


def test_one_that_takes_no_frames_but_is_there_keeps_its_session():
    ends = Ends()
    ends.flow(1)
    session = ends.b_of_a.sessions.current
    peer = ends.b.native.peers[ends.a_of_b.handle]
    peer.use = planes.STANDBY
    for _ in range(50):
        ends.send()
        ends.run(0.1)
    assert ends.b_of_a.sessions.current == session
    asked = [row for row in ends.messages(4, ends.a) if row[3][16:22] == b"\2\2\0\0\0\0"]
    assert ends.a.native.peers[ends.b_of_a.handle].byes == 50 and 3 <= len(asked) <= 6


@pytest.mark.parametrize("leaves", [stops, removes, goes_down])
def test_layer_3_says_nothing(leaves):
    ends = Ends(layers=(3, 3))
    ends.flow(1)
    sent = len(ends.messages(4, ends.a))
    leaves(ends.a, ends.b_of_a)
    ends.run(1)
    assert len(ends.messages(4, ends.a)) == sent
