# SPDX-License-Identifier: MIT
"""text.py and get.py: the configuration text of WireGuard, in and out."""

import pytest
from hypothesis import given, settings, strategies as st

from lab.fakes.net import Node, World
from tunlite.plane.plane import PlaneError
from tunlite.uapi import get as uapi_get, text as uapi

KEY = bytes(range(1, 33))
PEER = "public_key=" + "ab" * 32


@pytest.fixture
def node():
    return Node(World(), b"\x0a\0\0\x01").start()


def apply(node, *lines):
    """errno of a set, 0 when all lines were taken."""
    setter = uapi.Setter(node.interface)
    try:
        for line in lines:
            setter.line(bytearray(line.encode()))
        return 0
    except (uapi.UapiError, PlaneError) as e:
        return uapi.errno_of(e)
    finally:
        setter.end()


def get(node):
    return b"".join(bytes(piece) for piece in uapi_get.pieces(node.interface)).decode()


def peer_of(node, key="ab" * 32):
    return node.interface.peers[bytes.fromhex(key)]


def test_everything_that_is_set_is_shown_again(node):
    assert (
        apply(
            node,
            "private_key=" + "48" * 32,
            "listen_port=12345",
            "fwmark=51820",
            "replace_peers=true",
            PEER,
            "protocol_version=1",
            "preshared_key=" + "cd" * 32,
            "endpoint=192.0.2.7:51820",
            "persistent_keepalive_interval=25",
            "replace_allowed_ips=true",
            "allowed_ip=10.0.0.7/8",
            "allowed_ip=2001:db8::/32",
            "public_key=" + "ef" * 32,
            "endpoint=[2001:db8::1]:7",
            "allowed_ip=0.0.0.0/0",
        )
        == 0
    )
    peer = peer_of(node)
    peer.shakes.complete(0, 1_700_000_000_000_000_005)
    assert get(node) == (
        "private_key=" + "48" * 32 + "\n"
        "listen_port=12345\n"
        "fwmark=51820\n" + PEER + "\npreshared_key=" + "cd" * 32 + "\nprotocol_version=1\n"
        "endpoint=192.0.2.7:51820\n"
        "last_handshake_time_sec=1700000000\n"
        "last_handshake_time_nsec=5\n"
        "tx_bytes=0\n"
        "rx_bytes=0\n"
        "persistent_keepalive_interval=25\n"
        "allowed_ip=10.0.0.0/8\n"
        "allowed_ip=2001:db8::/32\n"
        "public_key=" + "ef" * 32 + "\npreshared_key=" + "00" * 32 + "\nprotocol_version=1\n"
        "endpoint=[2001:db8::1]:7\n"
        "last_handshake_time_sec=0\n"
        "last_handshake_time_nsec=0\n"
        "tx_bytes=0\n"
        "rx_bytes=0\n"
        "persistent_keepalive_interval=0\n"
        "allowed_ip=0.0.0.0/0\n"
    )


def test_a_fresh_interface_shows_nothing_that_is_not_set():
    node = Node(World(), b"\x0a\0\0\x01")
    assert get(node) == ""


@pytest.mark.parametrize(
    ("line", "errno"),
    [
        ("private_key=" + "ab" * 31, 22),
        ("private_key=" + "ab" * 33, 22),
        ("private_key=" + "ab" * 31 + "ag", 22),
        ("listen_port=65536", 22),
        ("listen_port=-1", 22),
        ("listen_port=", 22),
        ("fwmark=4294967296", 22),
        ("replace_peers=false", 22),
        ("nonsense=1", 22),
        ("endpoint=192.0.2.1:1", 22),
        ("no equals sign", 71),
        ("=1", 71),
    ],
)
def test_a_bad_line_of_the_interface_is_refused(node, line, errno):
    assert apply(node, line) == errno


@pytest.mark.parametrize(
    "line",
    [
        "preshared_key=zz",
        "endpoint=192.0.2.1",
        "endpoint=192.0.2.1:0",
        "endpoint=192.0.2.1:65536",
        "endpoint=[2001:db8::1:51820",
        "endpoint=gateway.example:51820",  # no resolver here
        "persistent_keepalive_interval=65536",
        "persistent_keepalive_interval=off",
        "allowed_ip=10.0.0.0/33",
        "allowed_ip=10.0.0/24",
        "allowed_ip=+-10.0.0.0/8",
        "replace_allowed_ips=1",
        "remove=yes",
        "update_only=no",
        "protocol_version=2",
        "private_key=" + "ab" * 32,
    ],
)
def test_a_bad_line_of_a_peer_is_refused(node, line):
    assert apply(node, PEER, line) == 22


def test_one_peers_failure_leaves_the_others_applied(node):
    lines = [PEER, "allowed_ip=10.0.0.1/32", "public_key=" + "ef" * 32, "allowed_ip=bad"]
    assert apply(node, *lines) == 22
    assert [row[3] for row in node.native.routes] == [peer_of(node).handle]
    assert len(node.interface.peers) == 2


def test_errno_of_the_packet_path_reaches_the_client(node):
    node.native.tl_plane_listen = lambda *args: -98
    assert apply(node, "listen_port=53") == 98


def test_update_only_makes_no_peer(node):
    assert apply(node, PEER, "update_only=true", "allowed_ip=10.0.0.1/32") == 0
    assert node.interface.peers == {}
    assert node.native.peers == {}
    apply(node, PEER)
    assert apply(node, PEER, "update_only=true", "allowed_ip=10.0.0.1/32") == 0
    assert len(node.native.routes) == 1


def test_remove_takes_a_peer_and_one_that_is_not_there_is_no_error(node):
    apply(node, PEER, "allowed_ip=10.0.0.1/32")
    assert apply(node, PEER, "remove=true", "allowed_ip=10.0.0.2/32") == 0
    assert apply(node, PEER, "remove=true") == 0
    assert node.interface.peers == {}
    assert node.native.routes == []


def test_replace_peers_leaves_only_the_new_ones(node):
    apply(node, PEER, "allowed_ip=10.0.0.1/32")
    old = peer_of(node)
    assert apply(node, "replace_peers=true", PEER, "public_key=" + "ef" * 32) == 0
    assert len(node.interface.peers) == 2
    assert peer_of(node) is not old
    assert node.native.routes == []


def test_an_allowed_ip_with_a_minus_goes_and_with_a_plus_comes(node):
    apply(
        node, PEER, "allowed_ip=10.0.0.1/32", "allowed_ip=+10.0.0.2/32", "allowed_ip=-10.0.0.1/32"
    )
    assert [row[4][:4] for row in node.native.routes] == [b"\x0a\0\0\x02"]


def test_our_own_public_key_is_ignored_with_its_lines(node):
    public = "public_key=" + node.interface.me.public.hex()
    lines = [public, "preshared_key=" + "cd" * 32, "allowed_ip=10.0.0.1/32", "endpoint=192.0.2.1:1"]
    assert apply(node, *lines) == 0
    assert node.interface.peers == {}


def test_an_empty_fwmark_is_none(node):
    apply(node, "fwmark=7")
    assert apply(node, "fwmark=") == 0
    assert node.interface.fwmark == 0


class Resolver:
    """Knows nothing yet."""

    def __init__(self):
        self.wanted = []

    def want(self, key, names):
        self.wanted.append(names)

    def found(self, name):
        return []


def test_a_name_goes_to_the_resolver(node):
    resolver = node.interface.resolver = Resolver()
    assert apply(node, PEER, "endpoint=gateway.example:51820") == 0
    assert resolver.wanted == [[("gateway.example", 51820)]]


SET = "gateway.example:51820,192.0.2.1:7,[fe80::1%7]:51820"


def test_several_endpoints_are_told_as_they_were_set_and_one_of_wgs_replaces_them(node):
    resolver = node.interface.resolver = Resolver()
    assert apply(node, PEER, "endpoints=" + SET) == 0
    assert resolver.wanted == [[("gateway.example", 51820)]]
    assert "endpoint=192.0.2.1:7\n" in get(node) and f"endpoints={SET}\n" in get(node)
    assert apply(node, PEER, "endpoint=192.0.2.9:9") == 0
    assert "endpoint=192.0.2.9:9\n" in get(node) and "endpoints=" not in get(node)
    assert resolver.wanted[-1] == []


def test_of_several_endpoints_one_that_is_none_refuses_all_and_so_do_too_many(node):
    apply(node, PEER, "endpoint=192.0.2.9:9")
    bad = ["", ",", "192.0.2.1:7,", "192.0.2.1:7,x", "192.0.2.1:7,,192.0.2.2:7"]
    for text in (*bad, ",".join([f"192.0.2.{n}:7" for n in range(17)])):
        assert apply(node, PEER, "endpoints=" + text) == 22
    assert apply(node, PEER, "endpoint=192.0.2.1:7,192.0.2.2:7") == 22  # wg has one
    assert "endpoint=192.0.2.9:9\n" in get(node)
    assert apply(node, PEER, "endpoints=" + ",".join([f"192.0.2.{n}:7" for n in range(16)])) == 0


def test_a_link_local_endpoint_keeps_its_scope(node):
    assert apply(node, PEER, "endpoint=[fe80::1%7]:51820") == 0
    assert "endpoint=[fe80::1%7]:51820\n" in get(node)


def test_switching_persistent_keepalives_on_sends_one_at_once(node):
    other = Node(node.world, b"\x0a\0\0\x02").start()
    other.interface.add_peer(node.interface.me.public)
    public = "public_key=" + other.interface.me.public.hex()
    apply(node, public, "endpoint=10.0.0.2:51820")
    node.world.run(1)
    assert node.world.log == []
    apply(node, public, "persistent_keepalive_interval=25")
    node.world.run(1)
    assert [row[3][0] for row in node.world.log] == [1, 2, 4]


def test_a_peer_that_goes_while_a_slow_client_reads_is_left_out(node):
    apply(node, PEER, "allowed_ip=10.0.0.1/32", "public_key=" + "ef" * 32)
    pieces = uapi_get.pieces(node.interface)
    seen = [bytes(next(pieces)) for _ in range(3)]
    apply(node, PEER, "remove=true")
    seen += [bytes(piece) for piece in pieces]
    text = b"".join(seen).decode()
    assert text.count("public_key=") == 2
    assert "allowed_ip" not in text


def test_no_piece_grows_with_the_number_of_allowed_ips(node):
    lines = [f"allowed_ip=10.{i // 256}.{i % 256}.0/24" for i in range(2000)]
    assert apply(node, PEER, *lines) == 0
    sizes = [len(piece) for piece in uapi_get.pieces(node.interface)]
    assert max(sizes) < 1500
    assert get(node).count("allowed_ip=") == 2000


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(
    [PEER, "public_key=" + "ef" * 32, "remove=true", "update_only=true", "allowed_ip=10.0.0.1/32",
     "allowed_ip=-10.0.0.1/32", "allowed_ip=::/0", "replace_allowed_ips=true", "replace_peers=true",
     "endpoint=192.0.2.1:1", "persistent_keepalive_interval=1", "preshared_key=" + "01" * 32]
), max_size=20))  # fmt: skip
def test_whatever_is_set_routes_and_peers_agree_with_the_plane(lines):
    node = Node(World(), b"\x0a\0\0\x01").start()
    apply(node, *lines)
    peers = node.interface.peers.values()
    assert set(node.native.peers) == {peer.handle for peer in peers}
    shown = [(peer.handle, key) for peer in peers for key in peer.allowed]
    published = [
        (row[3], bytes(row[:2]) + row[4][: 4 if row[0] == 4 else 16]) for row in node.native.routes
    ]
    assert sorted(shown) == sorted(published)


def test_the_rest_of_a_peer_that_another_client_removed_is_read_over(node):
    """The peer's number in C may be another's by then."""
    first = uapi.Setter(node.interface)
    first.line(bytearray(PEER.encode()))
    assert apply(node, PEER, "remove=true") == 0
    native = node.native
    native._next_peer -= 1  # C gives the lowest free number
    assert apply(node, "public_key=" + "cd" * 32, "endpoint=192.0.2.7:1") == 0
    for line in (
        "endpoint=192.0.2.66:6",
        "allowed_ip=10.0.0.0/8",
        "preshared_key=" + "cd" * 32,
        "persistent_keepalive_interval=1",
        "description=gone",
        "remove=true",
    ):
        first.line(bytearray(line.encode()))
    first.end()
    assert native.routes == []
    text = get(node)
    assert "endpoint=192.0.2.7:1\n" in text and "allowed_ip" not in text


def test_a_refused_key_name_is_not_repeated_where_it_may_be_a_secret(node):
    secret = "yAnz5TFlXXJte14tji3zlMNqhd2rYUIgJBgB3fBmkx"
    with pytest.raises(uapi.UapiError) as refused:
        uapi.Setter(node.interface).line(bytearray((secret + "=").encode()))
    assert "yAnz5" not in str(refused.value)
    with pytest.raises(uapi.UapiError, match="unknown key listenport"):
        uapi.Setter(node.interface).line(bytearray(b"listenport=1"))


@pytest.mark.parametrize("text", ["\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT THREE}", ""])
def test_digits_of_other_scripts_are_no_number(node, text):
    assert apply(node, "listen_port=" + text) == uapi.EINVAL


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "\x7f"])
def test_a_description_cannot_steer_the_terminal_that_shows_it(node, text):
    assert apply(node, PEER, "description=" + text) == uapi.EINVAL


def test_members_of_a_group_are_told_and_go_with_it(node):
    assert apply(node, "group_name=a", "group_name=b", PEER, "group=a") == 0
    assert "group_name=a\ngroup_name=b\n" in get(node)
    assert get(node).endswith("group=a\n")
    assert apply(node, PEER, "group=b") == 0
    assert [len(group.members) for group in node.interface.groups.all()] == [0, 1]
    assert apply(node, "group_name=a", "replace_groups=true") == 0
    assert "group=" not in get(node)
    assert node.interface.groups.names() == ["a"]
    assert apply(node, PEER, "group=a", "remove=true") == 0
    assert [len(group.members) for group in node.interface.groups.all()] == [0]


def test_a_group_goes_with_replace_peers_and_a_peer_leaves_it_by_an_empty_name(node):
    assert apply(node, "group_name=a", PEER, "group=a", "group=") == 0
    assert "group=a" not in get(node)
    assert apply(node, "replace_peers=true") == 0
    assert node.interface.groups.names() == []


@pytest.mark.parametrize("line", ["group_name=", "group_name=a b", "group_name=" + "x" * 33])
def test_a_bad_name_of_a_group_is_refused(node, line):
    assert apply(node, line) == uapi.EINVAL
    assert node.interface.groups.names() == []


def test_a_peer_of_an_unknown_group_and_a_group_too_many_are_refused(node):
    assert apply(node, PEER, "group=a") == uapi.EINVAL
    assert apply(node, *[f"group_name={i}" for i in range(256)]) == 0
    assert apply(node, "group_name=256") == uapi.EINVAL
    assert apply(node, "group_name=255") == 0


# ---- who tells of a peer ----


def test_what_was_added_stays_where_the_peers_of_the_file_are_replaced(node):
    assert apply(node, PEER, "public_key=" + "cd" * 32, "origin=added") == 0
    assert apply(node, "replace_peers=true") == 0
    assert list(node.interface.peers) == [bytes.fromhex("cd" * 32)]
    assert "origin=added\n" in get(node)


def test_a_peer_that_replaces_is_the_file_s_from_then_on(node):
    assert apply(node, PEER, "origin=folder") == 0
    assert apply(node, "replace_peers=true", PEER) == 0
    assert peer_of(node).origin == "" and "origin" not in get(node)


@pytest.mark.parametrize(
    "before, said, errno",
    [
        ("", "added", 17),
        ("", "folder", 17),
        ("folder", "added", 17),
        ("folder", "folder", 0),
        ("added", "added", 0),
        ("added", "folder", 0),
        ("added", "", 0),
        ("folder", "", 0),
        ("", "admitted", 22),
        ("", "x", 22),
    ],
)
def test_what_a_weaker_one_says_of_a_peer_is_refused(node, before, said, errno):
    assert apply(node, PEER, "origin=" + before) == 0
    assert apply(node, PEER, "origin=" + said, "description=new") == errno
    assert peer_of(node).origin == (before if errno else said)
    assert peer_of(node).description == ("" if errno else "new")


def test_a_peer_is_removed_by_its_key_and_one_that_is_not_there_is_refused(node):
    assert apply(node, PEER) == 0
    assert apply(node, "remove_peer=" + "ab" * 32) == 0
    assert not node.interface.peers
    assert apply(node, "remove_peer=" + "ab" * 32) == 2


def test_keys_are_blocked_and_unblocked_and_the_disk_s_errno_is_told(node):
    assert apply(node, PEER, "public_key=" + "cd" * 32) == 0
    assert apply(node, "block=" + "ab" * 32) == 0
    assert peer_of(node).blocked and not peer_of(node, "cd" * 32).blocked
    assert apply(node, "unblock=" + "ab" * 32) == 0
    assert not peer_of(node).blocked
    assert apply(node, "unblock=" + "ab" * 32) == 2
    node.port.disk_error = 28
    assert apply(node, "block=" + "ab" * 32) == 28
    assert peer_of(node).blocked
    assert apply(node, "block=" + "ab" * 31) == 22


GROUP = ("group_name=a", "group_limit=1", "group_choose=order", "group_fail_after=3")


def test_what_a_group_chooses_by_is_set_and_shown_of_its_members(node):
    lines = (*GROUP, "group_probe_address=10.0.0.1", PEER, "group=a", "probe_address=fd00::1")
    assert apply(node, *lines) == 0
    (group,) = node.interface.groups.all()
    assert (group.limit, group.choose, group.fail_ms) == (1, "order", 3000)
    assert group.probe == bytes([10, 0, 0, 1]) and group.choice.used.peer is peer_of(node)
    assert get(node).endswith("group=a\nprobe_address=fd00::1\n")
    assert apply(node, "group_name=a", "group_limit=", "group_probe_address=") == 0
    assert group.choice is None and group.probe is None
    assert apply(node, PEER, "probe_address=") == 0
    assert "probe_address" not in get(node)


@pytest.mark.parametrize(
    "line",
    [
        *("group_limit=2", "group_limit=x", "group_choose=", "group_choose=best"),
        *("group_fail_after=0", "group_fail_after=601", "group_fail_after=-1"),
        *("group_probe_address=x", "group_probe_address=10.0.0.0/8", "group_planted=1"),
        *("use=me", "use=true", "use="),
    ],
)
def test_a_bad_line_of_a_group_is_refused(node, line):
    assert apply(node, *GROUP, line) == uapi.EINVAL


@pytest.mark.parametrize("line", ["group_limit=1", "group_choose=order"])
def test_a_line_of_a_group_before_any_is_refused(node, line):
    assert apply(node, line) == uapi.EINVAL


@pytest.mark.parametrize("line", ["use=auto", "use=true", "probe_address=x", "group=b"])
def test_a_bad_line_of_a_member_is_refused(node, line):
    assert apply(node, PEER, line) == uapi.EINVAL


def test_a_lifetime_begins_when_it_is_said(node):
    assert apply(node, PEER, "lifetime=1000") == 0
    node.world.run(900)
    assert apply(node, PEER, "lifetime=1000", "public_key=" + "cd" * 32, "lifetime=0") == 0
    node.world.run(900)
    assert len(node.interface.peers) == 2
    node.world.run(200)
    assert list(node.interface.peers) == [bytes.fromhex("cd" * 32)]
    assert apply(node, PEER, "lifetime=x") == 22
