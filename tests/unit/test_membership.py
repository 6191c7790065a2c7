# SPDX-License-Identifier: MIT
"""Groups of a file, and the peers that name one."""

import pytest

from tests.unit.config_text import HEX_A, HEX_B, A, B, errors, lines, parse, running
from tunlite.config import as_uapi, save

TEXT = f"""[Peer]
PublicKey = {A}
Group = nodes
AllowedIPs = 10.0.0.0/8
[Group]
Name = nodes
[Peer]
PublicKey = {B}
"""
RUNNING = (
    *("group_name=nodes", f"public_key={HEX_A}", "group=nodes", "allowed_ip=10.0.0.0/8"),
    f"public_key={HEX_B}",
)

# What a group of TEXT is told to be.
GROUP = (
    *("group_name=nodes", "group_rate_in=", "group_rate_out=", "group_limit="),
    *("group_choose=random", "group_fail_after=5", "group_probe_address="),
    *("group_health=", "group_peer_limit=0", "group_encryption="),
)


def test_a_group_is_known_wherever_it_stands():
    config = parse(TEXT)
    assert not config.errors
    assert config.groups == [{"line": 5, "Name": "nodes"}]
    assert [peer.get("Group") for peer in config.peers] == ["nodes", None]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            TEXT.replace("Group = n", "Group = m"),
            'f:1: Group: no [Group] has the Name "modes"; add',
        ),
        (TEXT.replace("Name = nodes", ""), "f:5: Name: this group has none; give it one"),
        (TEXT + "[Group]\nName = nodes\n", "f:9: Name: the group of line 5 has this name already;"),
        (TEXT + "[Group]\nName = a b\n", 'f:10: Name: "a b" is no name; write 1 to 32 letters'),
        (TEXT + f"[Group]\nName = {'x' * 33}\n", "f:10: Name: "),
        (TEXT + "[Group]\nName = ä\n", "f:10: Name: "),
    ],
)
def test_a_wrong_name_is_told_with_its_line_and_what_to_do(text, error):
    assert error in "\n".join(errors(text))


def test_a_file_of_peers_alone_may_name_a_group_of_the_file_that_it_is_for():
    peer = f"[Peer]\nPublicKey = {A}\nGroup = nodes\n"
    assert not errors(peer)
    assert len(errors("[Interface]\nListenPort = 1\n" + peer)) == 1


def test_a_group_of_a_wrong_name_is_told_once():
    assert len(errors("[Group]\nName = a b\n")) == 1


def test_a_daemon_is_told_of_groups_before_their_members_and_of_a_membership_before_prefixes():
    assert lines(as_uapi.whole(parse(TEXT)))[4:] == [
        *(*GROUP, "replace_groups=true"),
        *(f"public_key={HEX_A}", "group=nodes", "preshared_key=" + "00" * 32),
        *("persistent_keepalive_interval=0", "replace_allowed_ips=true", "allowed_ip=10.0.0.0/8"),
        *(f"public_key={HEX_B}", "preshared_key=" + "00" * 32, "persistent_keepalive_interval=0"),
        "replace_allowed_ips=true",
    ]
    assert lines(as_uapi.added(parse(TEXT)))[:3] == [
        *("group_name=nodes", f"public_key={HEX_A}", "group=nodes")
    ]


def test_a_file_without_groups_says_nothing_of_them():
    config = parse(f"[Peer]\nPublicKey = {A}\n")
    for pieces in (as_uapi.whole(config), as_uapi.added(config)):
        assert not [line for line in lines(pieces) if "group" in line]
    assert lines(as_uapi.different(config, running(f"public_key={HEX_A}"))) == []


def test_a_reload_says_a_changed_membership_with_all_prefixes_and_leaves_the_rest():
    same = [*GROUP, "replace_groups=true"]
    assert lines(as_uapi.different(parse(TEXT), running(*RUNNING))) == same
    left = TEXT.replace("Group = nodes\n", "")
    told = [f"public_key={HEX_A}", "group=", "replace_allowed_ips=true", "allowed_ip=10.0.0.0/8"]
    assert lines(as_uapi.different(parse(left), running(*RUNNING))) == same + told
    alone = left.replace("[Group]\nName = nodes\n", "")
    gone = ["replace_groups=true", *told]
    assert lines(as_uapi.different(parse(alone), running(*RUNNING))) == gone


def test_save_config_leaves_a_group_as_it_stands_and_writes_memberships_that_run():
    text = f"[Group]\n# all\nName = nodes # ours\n{TEXT.split('[Group]', maxsplit=1)[0]}"
    saved = bytes(save.render(parse(text), running(*RUNNING))).decode()
    assert saved.startswith("[Group]\n# all\nName = nodes # ours\n")
    assert saved.count("Group = nodes") == 1


CHOSEN = f"""[Interface]
Address = fd77::2/64
[Group]
Name = gws
Limit = 1
ProbeAddress = fd77::1
[Peer]
PublicKey = {A}
Group = gws
AllowedIPs = ::/0
[Peer]
PublicKey = {B}
Group = gws
AllowedIPs = ::/0
"""


def warnings(text):
    return parse(text).lines_of(parse(text).warnings)


def test_members_of_a_group_with_a_limit_may_share_prefixes():
    assert errors(CHOSEN) == [] and warnings(CHOSEN) == []
    free = CHOSEN.replace("Limit = 1\n", "").replace("ProbeAddress = fd77::1\n", "")
    assert "f:9: AllowedIPs: another peer above has one of these prefixes" in warnings(free)[0]
    apart = CHOSEN.replace(f"{B}\nGroup = gws", B)
    assert "f:11: AllowedIPs: another peer above has one of these prefixes" in warnings(apart)[0]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("Limit = 1", "Limit = 2", "f:3: Limit: 2 is too many: one member is used"),
        ("Limit = 1", "Limit = 0", 'f:5: Limit: "0" is not a number from 1 to 65000; write 1'),
        ("Limit = 1", "Limit = 1\nChoose = least", 'f:6: Choose: "least" is no rule; write order'),
        ("Limit = 1", "Limit = 1\nFailAfter = 0", 'f:6: FailAfter: "0" is not a number from 1 to'),
        ("Limit = 1", "Limit = 1\nFailAfter = 1.5", 'f:6: FailAfter: "1.5" is not a number'),
        ("fd77::1", "fd77::1/64", 'f:6: ProbeAddress: "fd77::1/64" is no address; write one'),
        (
            "fd77::1",
            "10.0.0.1",
            "f:7: ProbeAddress: 10.0.0.1 lies in none of this peer's AllowedIPs",
        ),
        (
            "fd77::1",
            "10.0.0.1",
            "f:7: ProbeAddress: no Address of [Interface] can ask 10.0.0.1; add",
        ),
        ("fd77::1", "fe80::1", "f:11: ProbeAddress: no Address of [Interface] can ask fe80::1;"),
        (
            "fd77::2/64",
            "fe80::2/64",
            "f:7: ProbeAddress: no Address of [Interface] can ask fd77::1",
        ),
        (f"{B}\n", f"{B}\nProbeAddress = 10.1.1.1\n", "f:11: ProbeAddress: 10.1.1.1 lies in none"),
    ],
)
def test_what_a_choice_cannot_do_is_told_with_its_line_and_what_to_do(old, new, error):
    text = CHOSEN.replace(old, new)
    assert error in "\n".join(errors(text))
    assert all("; " in line for line in errors(text))


def test_without_addresses_in_the_file_none_is_looked_for():
    assert errors(CHOSEN.replace("Address = fd77::2/64\n", "")) == []


def test_a_probe_of_a_peer_goes_before_the_one_of_its_group():
    text = CHOSEN.replace("ProbeAddress = fd77::1", "ProbeAddress = 10.0.0.1")
    text = text.replace("Group = gws\n", "Group = gws\nProbeAddress = fd77::9\n")
    assert errors(text) == []


def test_what_does_nothing_without_a_limit_is_told():
    text = CHOSEN.replace("Limit = 1", "Choose = order\nFailAfter = 3").replace("::/0", "fd00::/8")
    told = [line.split(": ")[1] for line in warnings(text)]
    assert sorted(told) == ["AllowedIPs", "Choose", "FailAfter", "ProbeAddress"]


@pytest.mark.parametrize("section", ["[Interface]", "[Group]"])
def test_a_peer_limit_that_leaves_no_room_for_who_is_moved_to_is_told(section):
    """The one that is silent counts until its session is too old: three minutes without a way."""
    told = warnings(CHOSEN.replace(section, section + "\nPeerLimit = 1"))
    assert "PeerLimit: 1 leaves no room for a member that the group moves to; write 2" in told[0]
    assert warnings(CHOSEN.replace(section, section + "\nPeerLimit = 2")) == []


def test_what_stands_by_is_configured_as_what_is_used():
    rows = ("group_name=gws", f"public_key={HEX_A}", "group=gws", "configured_ip=::/0")
    found = running(*rows, f"public_key={HEX_B}", "group=gws", "allowed_ip=::/0")
    assert [found.peer(bytes.fromhex(key))["allowed_ip"] for key in (HEX_A, HEX_B)] == [
        ["::/0"]
    ] * 2
    told = lines(as_uapi.different(parse(CHOSEN), found))
    assert not [line for line in told if line.startswith("public_key")]
    assert bytes(save.render(parse(CHOSEN), found)).decode().count("AllowedIPs = ::/0") == 2


def test_a_reload_names_members_in_the_file_s_order_where_that_is_the_rule():
    text = CHOSEN.replace("Limit = 1", "Limit = 1\nChoose = order")
    rows = (f"public_key={HEX_B}", "group=gws", "allowed_ip=::/0")
    found = running("group_name=gws", *rows, f"public_key={HEX_A}", *rows[1:])
    told = lines(as_uapi.different(parse(text), found))
    assert told[-4:] == [f"public_key={HEX_A}", "group=gws", f"public_key={HEX_B}", "group=gws"]
