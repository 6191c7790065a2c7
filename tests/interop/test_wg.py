# SPDX-License-Identifier: MIT
"""wg(8) on tunlite and on wireguard-go: the same words, the same answers.

host, with one daemon of each kind in it and no wire
"""

import base64
import socket
from pathlib import Path

import pytest

from lab.netns import Lab
from lab.peers import Keys, Tunlite, WireguardGo, ini, preshared_key

_EINVAL, _EPROTO, _EADDRINUSE = -22, -71, -98


class Both:
    """A tunlite and a wireguard-go that have the same private key; each has a port of its own."""

    def __init__(self, lab):
        self.namespace = lab.namespace("host")
        self.folder = lab.folder
        self.ours = Tunlite(self.namespace, 1, 51001)
        self.theirs = WireguardGo(self.namespace, 1, 51002)
        self.theirs.keys = self.ours.keys
        for end in self.ends:
            end.start()

    @property
    def ends(self):
        return self.ours, self.theirs

    def wg(self, verb, *words, text=None):
        """Runs `wg VERB NAME WORDS` on both; the two exit statuses."""
        return [
            self.namespace.run(["wg", verb, end.name, *words], check=False, input=text).returncode
            for end in self.ends
        ]

    def show(self, what):
        """`wg show NAME WHAT` of both as sets of lines, their own names and ports left out."""
        found = []
        for end in self.ends:
            lines = end.wg("show", end.name, what).replace(str(end.port), "PORT").splitlines()
            found.append({_sorted_lists(line) for line in lines})
        return found

    def showconf(self):
        found = []
        for end in self.ends:
            text = end.wg("showconf", end.name).replace(str(end.port), "PORT")
            found.append(sorted(_sorted_lists(section) for section in text.split("\n\n")))
        return found

    def ask(self, request):
        """The errno that each answers to a UAPI request."""
        return [_errno(end.name, request) for end in self.ends]


def _sorted_lists(text):
    """Lists by commas or spaces have no order that anybody promises."""
    return "\n".join(" ".join(sorted(line.replace(",", " ").split())) for line in text.splitlines())


def _errno(name, request):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(f"/var/run/wireguard/{name}.sock")
        sock.sendall(request.encode() + b"\n\n")
        answer = b""
        while b"errno=" not in answer or not answer.endswith(b"\n\n"):
            part = sock.recv(65536)
            if not part:
                break
            answer += part
    return int(answer.rsplit(b"errno=", 1)[1])


@pytest.fixture
def both(lab):
    return Both(lab)


def _peers(number):
    return [
        {
            "PublicKey": Keys().public,
            "PresharedKey": preshared_key(),
            "AllowedIPs": f"10.{n}.0.0/16, 10.{n + 100}.7.0/24, fd00:{n}::/32",
            "Endpoint": f"192.0.2.{n}:{1000 + n}" if n % 2 else f"[2001:db8::{n}]:{1000 + n}",
            "PersistentKeepalive": 3600 + n,
        }
        for n in range(1, number + 1)
    ]


def _text(*peers, **interface):
    return ini([("Interface", interface), *(("Peer", peer) for peer in peers)])


_SHOWN = [
    *("public-key", "private-key", "fwmark", "peers", "preshared-keys", "endpoints"),
    *("allowed-ips", "latest-handshakes", "persistent-keepalive", "transfer", "dump"),
]


def _same(both):
    for what in _SHOWN:
        ours, theirs = both.show(what)
        assert ours == theirs, what
    ours, theirs = both.showconf()
    assert ours == theirs


@pytest.mark.parametrize("count", [0, 1, 50])
def test_wg_show_says_the_same_of_every_field(both, count):
    text = _text(*_peers(count), FwMark="0x1234")
    assert both.wg("addconf", "/dev/stdin", text=text) == [0, 0]
    assert len(both.ours.wg_dump()) == count
    _same(both)


def test_wg_set_changes_the_same(both):
    first, second = _peers(2)
    psk = both.folder / "psk"
    psk.write_text(preshared_key(), encoding="ascii")
    psk.chmod(0o600)
    steps = [
        ["fwmark", "77"],
        ["peer", first["PublicKey"], "allowed-ips", "10.0.0.1/8,::/0"],
        ["peer", second["PublicKey"], "allowed-ips", "10.1.2.3,::/0", "preshared-key", psk],
        ["peer", first["PublicKey"], "endpoint", "192.0.2.1:5", "persistent-keepalive", "9999"],
        ["peer", first["PublicKey"], "allowed-ips", "0.0.0.0/0,fd00::1/128"],
        ["peer", second["PublicKey"], "preshared-key", "/dev/null"],
        ["peer", first["PublicKey"], "persistent-keepalive", "off"],
        ["peer", first["PublicKey"], "endpoint", "[2001:db8::5]:65535"],
        ["fwmark", "off"],
        ["peer", second["PublicKey"], "remove"],
        ["peer", second["PublicKey"], "remove"],
    ]
    for words in steps:
        assert both.wg("set", *words) == [0, 0], words
        _same(both)
    assert len(both.ours.wg_dump()) == 1


def test_wg_setconf_addconf_and_syncconf_leave_the_same(both):
    peers = _peers(6)
    key = {"PrivateKey": both.ours.keys.private}
    steps = [
        ("setconf", peers[:3]),
        ("addconf", peers[3:5]),
        ("syncconf", peers[1:4]),
        ("syncconf", [dict(peers[2], AllowedIPs="10.99.0.0/16"), peers[5]]),
        ("syncconf", []),
        ("setconf", peers),
        ("setconf", []),
    ]
    for verb, chosen in steps:
        for end in both.ends:
            text = _text(*chosen, ListenPort=end.port, **key)
            end.wg(verb, end.name, "/dev/stdin", input=text)
        expected = {peer["PublicKey"] for peer in chosen}
        if verb == "addconf":
            expected |= {peer["PublicKey"] for peer in peers[:3]}
        assert set(both.ours.wg_dump()) == expected
        _same(both)


def test_what_showconf_prints_setconf_takes(both):
    assert both.wg("addconf", "/dev/stdin", text=_text(*_peers(5), FwMark=5)) == [0, 0]
    before = both.show("dump")[0]
    text = both.ours.wg("showconf", both.ours.name)
    both.ours.wg("setconf", both.ours.name, "/dev/stdin", input=text)
    assert both.show("dump")[0] == before


_KEY = "ab" * 32
_REFUSED = {
    "a key of one digit too few": ("set=1\nprivate_key=" + _KEY[1:], _EINVAL),
    "a key that is not hex": ("set=1\nprivate_key=" + "g" + _KEY[1:], _EINVAL),
    "a port that is too high": ("set=1\nlisten_port=65536", _EINVAL),
    "a port that is no number": ("set=1\nlisten_port=x", _EINVAL),
    "a mark that is no number": ("set=1\nfwmark=x", _EINVAL),
    "a word other than true": ("set=1\nreplace_peers=yes", _EINVAL),
    "an unknown key of the interface": ("set=1\nunheard_of=1", _EINVAL),
    "a peer's key before a peer": ("set=1\nendpoint=192.0.2.1:5", _EINVAL),
    "an unknown key of a peer": (f"set=1\npublic_key={_KEY}\nunheard_of=1", _EINVAL),
    "a public key that is too short": ("set=1\npublic_key=ab", _EINVAL),
    "a preshared key that is too short": (f"set=1\npublic_key={_KEY}\npreshared_key=ab", _EINVAL),
    "an endpoint without a port": (f"set=1\npublic_key={_KEY}\nendpoint=192.0.2.1", _EINVAL),
    "an allowed IP that is none": (f"set=1\npublic_key={_KEY}\nallowed_ip=10.0.0.0/33", _EINVAL),
    "a keepalive that is too long": (
        f"set=1\npublic_key={_KEY}\npersistent_keepalive_interval=65536",
        _EINVAL,
    ),
    "a protocol of another version": (f"set=1\npublic_key={_KEY}\nprotocol_version=2", _EINVAL),
    "a line without an equals sign": ("set=1\nlisten_port", _EPROTO),
    "nothing but a peer that is not there": (f"set=1\npublic_key={_KEY}\nremove=true", 0),
    "an update of a peer that is not there": (
        f"set=1\npublic_key={_KEY}\nupdate_only=true\nallowed_ip=10.0.0.0/8",
        0,
    ),
    "an empty set": ("set=1", 0),
}


@pytest.fixture(scope="module")
def one_pair(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("pair"))
    try:
        yield Both(lab)
    finally:
        lab.close()


@pytest.mark.parametrize("case", _REFUSED)
def test_both_answer_with_the_same_errno_to(one_pair, case):
    request, expected = _REFUSED[case]
    assert one_pair.ask(request) == [expected, expected]
    assert all(not end.wg_dump() or _peer_is_bare(end) for end in one_pair.ends)
    _errno(one_pair.ours.name, "set=1\nreplace_peers=true")
    _errno(one_pair.theirs.name, "set=1\nreplace_peers=true")


def _peer_is_bare(end):
    """What stood before the refused line is applied: a peer, but nothing of it."""
    return all(row["allowed_ips"] == "(none)" for row in end.wg_dump().values())


def test_a_port_in_use_is_refused_with_its_errno_and_the_old_one_stays(both):
    with both.namespace.udp_socket(port=51003):
        assert both.ask("set=1\nlisten_port=51003")[0] == _EADDRINUSE
        failed = both.namespace.run(
            ["wg", "set", both.ours.name, "listen-port", "51003"], check=False
        )
        assert failed.returncode and "Address already in use" in failed.stderr
    assert both.ours.wg("show", both.ours.name, "listen-port").strip() == "51001"


def _hexed(keys):
    return base64.b64decode(keys.public).hex()


def test_one_peers_failure_leaves_what_came_before_applied(both):
    first, second = Keys(), Keys()

    request = (
        f"set=1\nfwmark=9\npublic_key={_hexed(first)}\nallowed_ip=10.1.0.0/16\n"
        f"allowed_ip=10.2.0.0/99\nallowed_ip=10.3.0.0/16\n"
        f"public_key={_hexed(second)}\nallowed_ip=10.4.0.0/16"
    )
    assert both.ask(request) == [_EINVAL, _EINVAL]
    _same(both)
    assert list(both.ours.wg_dump()) == [first.public]
    assert both.ours.wg_dump()[first.public]["allowed_ips"] == "10.1.0.0/16"


def test_wg_show_without_a_name_lists_ours_too(both):
    listed = both.namespace.run(["wg", "show", "interfaces"]).stdout.split()
    assert {both.ours.name, both.theirs.name} <= set(listed)
    assert Path(f"/var/run/wireguard/{both.ours.name}.sock").is_socket()
