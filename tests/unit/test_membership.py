# SPDX-License-Identifier: MIT
"""Groups of a file, and the peers that name one."""

import base64

import pytest

from tunlite.config import as_uapi, parser, save, secret_text

A, B = (base64.b64encode(bytes([n]) * 31 + b"\x40").decode() for n in (1, 2))
HEX_A, HEX_B = (base64.b64decode(key).hex() for key in (A, B))


def parse(text):
    return parser.parse(secret_text.Text([bytearray(text.encode())]), "f")


def errors(text):
    return parse(text).lines_of(parse(text).errors)


def lines(pieces):
    return b"".join([bytes(piece) for piece in pieces]).decode().splitlines()


def running(*rows):
    return as_uapi.Running([row.encode().split(b"=", 1) for row in rows])


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
GROUP = ("group_name=nodes", "group_rate_in=", "group_rate_out=")


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
