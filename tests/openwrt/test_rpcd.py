# SPDX-License-Identifier: MIT
"""The rpcd plugin in busybox' ash, as rpcd calls it: one object in, one object out."""

import base64
import ipaddress
import json
import os
import random
import shlex
import subprocess
from pathlib import Path

import pytest

from lab.peers import Keys, tunlite_program

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = _ROOT / "openwrt/luci-proto-tunlite/root"
_PLUGIN = _PACKAGE / "usr/libexec/rpcd/tunlite"
_KEY = base64.b64encode(bytes(range(32))).decode()

# What the plugin may ask of uci, of a file as `uci show network` prints it.
_UCI = """#!/bin/sh
[ "$1 $2" = "-q get" ] && sed -n "s/^$3=//p" {0} | tr -d "'"
[ "$1 $2" = "-q show" ] && cat {0}
"""
_NOTES = '#!/bin/sh\nprintf "%s\\n" "$@" >> {0}\n[ "$1" != show ] || printf "[]"\n'


def _script(path, text):
    path.write_text(text)
    path.chmod(0o755)


class Router:
    """Its programs are those of `folder` and busybox' own."""

    def __init__(self, folder):
        self.folder = folder
        self.network = folder / "network"
        self.network.write_text("")
        _script(folder / "uci", _UCI.format(self.network))
        tunlite_program(folder)

    def raw(self, *words, stdin=""):
        """What the plugin prints."""
        argv = ["busybox", "ash", str(_PLUGIN), *words]
        env = {**os.environ, "PATH": f"{self.folder}:/bin:/usr/bin"}
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(self, method, **arguments):
        """The answer to a call; one object, or this fails."""
        found = json.loads(
            self.raw("call", method, stdin=json.dumps(arguments, ensure_ascii=False))
        )
        assert isinstance(found, dict)
        return found

    def notes(self, method, **arguments):
        """The words that the plugin gives to `tunlite`, which does nothing here."""
        path = self.folder / "words"
        path.write_text("")
        _script(self.folder / "tunlite", _NOTES.format(path))
        assert self.call(method, **arguments) == {}
        return path.read_text().splitlines()


@pytest.fixture
def router(tmp_path):
    return Router(tmp_path)


def test_each_method_is_listed_with_its_arguments_and_has_its_place_in_the_acl(router):
    methods = json.loads(router.raw("list"))
    assert methods["use"].keys() == {"interface", "peer"}
    acl = json.loads((_PACKAGE / "usr/share/rpcd/acl.d/luci-proto-tunlite.json").read_text())
    rights = acl["luci-proto-tunlite"]
    read, write = (set(rights[kind]["ubus"]["tunlite"]) for kind in ("read", "write"))
    assert read | write == set(methods) and not read & write
    # who may look gets no key and changes nothing
    assert read == {"info", "status", "check", "nextAddress"}


@pytest.mark.parametrize(
    "stdin", ["", "[]", "null", "{", '{"a":}', '{"a":"b"', '{"a":"b",}', '{"a":"b"}x', '{"a":{}}',
              '{"a":"\\u0000"}', '{"a":"\\q"}', '{"a" "b"}', '"a"']
)  # fmt: skip
def test_what_is_no_object_of_texts_is_refused_in_an_object(router, stdin):
    found = json.loads(router.raw("call", "info", stdin=stdin))
    assert found == {"error": "this is no object of texts"}


def test_an_argument_is_read_as_it_was_written(router):
    peer = "M\u00fcllers \"Gateway\" \\n \\ / 'x' $(reboot) `reboot`"
    assert router.notes("use", interface="wg0", peer=peer) == ["use", "--", "wg0", peer]
    text = {"peer": peer, "ubus_rpc_session": "0", "interface": "a.b", "n": -1}
    text = json.dumps(text, ensure_ascii=False)
    router.raw("call", "use", stdin=" " + text.replace("/", "\\/") + "\n")
    assert (router.folder / "words").read_text().splitlines()[4:] == ["use", "--", "a.b", peer]


@pytest.mark.parametrize(
    "name", ["", "-f", "a b", "a;b", "../x", ".x", "a/b", "sixteen.letters.", 7]
)
def test_a_name_that_no_interface_has_is_refused(router, name):
    for method in ("use", "block", "unblock", "nextAddress"):
        found = router.call(method, interface=name, peer="x", key=_KEY)
        assert found["error"].startswith("interface is")


@pytest.mark.parametrize(
    "key", ["", "-", _KEY[:-1], _KEY + "=", _KEY[:-1] + "A", _KEY[:-2] + "\n="]
)
def test_a_key_that_is_none_is_refused(router, key):
    assert router.call("block", interface="wg0", key=key)["error"].startswith("key is")
    found = router.call("getPublicAndPrivateKeyFromPrivate", privkey=key)
    assert found["error"].startswith("privkey is")


def test_block_and_unblock_hand_the_key_over_and_failures_are_told(router):
    assert router.call("block", interface="nosuch0", key=_KEY)["error"].startswith(
        "tunlite: nosuch0"
    )
    assert router.notes("block", interface="wg0", key=_KEY) == ["block", "--", "wg0", _KEY]
    assert router.notes("unblock", interface="wg0", key=_KEY) == ["unblock", "--", "wg0", _KEY]


def test_keys_fit_and_no_secret_is_a_word_of_a_command(router):
    pair = router.call("generateKeyPair")["keys"]
    keys = Keys()
    found = router.call("getPublicAndPrivateKeyFromPrivate", privkey=keys.private)
    assert found == {"keys": {"priv": keys.private, "pub": keys.public}}
    again = router.call("getPublicAndPrivateKeyFromPrivate", privkey=pair["priv"])
    assert again == {"keys": pair}
    assert len(base64.b64decode(router.call("generatePsk")["psk"])) == 32
    words = router.folder / "words"
    real = (router.folder / "tunlite").read_text()
    (router.folder / "real").write_text(real)
    (router.folder / "real").chmod(0o755)
    log = f'#!/bin/sh\necho "$@" >> {words}\nenv >> {words}\nexec {router.folder}/real "$@"\n'
    _script(router.folder / "tunlite", log)
    router.call("getPublicAndPrivateKeyFromPrivate", privkey=keys.private)
    router.call("check", config=f"[Interface]\nPrivateKey = {keys.private}\n")
    assert keys.private not in words.read_text()


def test_check_tells_line_and_option_of_each_error(router):
    text = '[Interface]\nListenPort = 99999\n\n[Peer]\nPublicKey = "x\\\nAllowedIPs = 10.0.0.300\n'
    found = router.call("check", config=text)
    assert [(row["line"], row["option"]) for row in found["errors"]] == [
        (2, "ListenPort"),
        (5, "PublicKey"),
        (6, "AllowedIPs"),
    ]
    assert '"99999" is not a number from 0 to 65535; choose' in found["errors"][0]["text"]
    good = f"[Interface]\nMTU = 500\n[Peer]\nPublicKey = {_KEY}\n"
    found = router.call("check", config=good)
    assert found["errors"] == [] and found["warnings"][0]["option"] == "MTU"


def test_what_is_too_long_is_refused(router):
    assert "longer than" in router.call("check", config="x" * 270_000)["error"]
    assert router.call("check", config="#" * 250_000)["errors"] == []


def test_the_qr_code_is_there_where_qrencode_is(router):
    _script(router.folder / "qrencode", '#!/bin/sh\necho "<svg $*>\t$(cat)</svg>"\n')
    assert router.call("info")["qrencode"]
    (line,) = router.call("qrcode", config="a secret")["svg"]
    assert line == "<svg --inline --8bit --type=SVG --output=-> a secret</svg>"
    _script(router.folder / "qrencode", "#!/bin/sh\nexit 1\n")
    assert "qrencode is not installed" in router.call("qrcode", config="x")["error"]


def test_the_status_is_one_object_also_where_it_is_too_long(router):
    rows = [
        {"interface": "a", "peers": []},
        {"interface": "b", "peers": [{"public_key": "x" * 44}]},
    ]
    text = json.dumps(rows)
    _script(router.folder / "tunlite", f"#!/bin/sh\nprintf '%s' {shlex.quote(text)}\n")
    assert router.call("status") == {"interfaces": rows}
    _script(router.folder / "tunlite", f"#!/bin/sh\ncat <<END\n{text}\nEND\nexit 1\n")
    assert router.call("status") == {"interfaces": rows}
    _script(router.folder / "tunlite", "#!/bin/sh\nexit 1\n")
    assert router.call("status") == {"interfaces": []}
    much = "x" * 500_000
    _script(router.folder / "tunlite", f"#!/bin/sh\n[ $# -gt 2 ] || {{ echo '[{much}]'; exit; }}\n")
    assert router.call("status") == {"interfaces": []}  # nobody answers at a socket here


# ---- the next free address ----


def _dumb_next(own, taken):
    """Tries one after the other."""
    owns = [ipaddress.ip_interface(text) for text in own]
    nets = [ipaddress.ip_interface(text).network for text in taken]
    wide = [each.network for each in owns if each.network.prefixlen < each.max_prefixlen]
    nets = [
        n
        for n in nets
        if not any(w.version == n.version and n != w and n.supernet_of(w) for w in wide)
    ]
    found = []
    for net in wide:
        hosts = list(net)
        if net.prefixlen < net.max_prefixlen - 1:
            hosts = hosts[1 : -1 if net.version == 4 else None]
        free = [
            host
            for host in hosts
            if host not in [each.ip for each in owns] and not any(host in n for n in nets)
        ]
        found += [f"{host}/{host.max_prefixlen}" for host in free[:1]]
    return found


def test_the_next_address_is_that_of_a_search_one_by_one(router):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)

    def prefix(lengths4, lengths6):
        if chance.random() < 0.5:
            return f"10.0.{chance.randrange(2)}.{chance.randrange(40)}/{chance.choice(lengths4)}"
        return f"fd00::{chance.randrange(3):x}:{chance.randrange(40):x}/{chance.choice(lengths6)}"

    for _ in range(25):
        own = [prefix((24, 26, 28, 30, 31, 32), (118, 124, 126, 127, 128)) for _ in range(2)]
        taken = [prefix((22, 24, 28, 30, 31, 32, 32), (112, 120, 125, 128, 128)) for _ in range(12)]
        found = router.call("nextAddress", interface="x", own=" ".join(own), taken=", ".join(taken))
        assert found.get("addresses", []) == _dumb_next(own, taken), (own, taken)


def test_own_prefixes_and_peers_are_those_of_uci(router):
    router.network.write_text(
        "network.x=interface\nnetwork.x.addresses='10.7.0.1/29' 'fd07::1/64'\n"
        "network.x.private_key='secret'\n"
        "network.@tunlite_x[0]=tunlite_x\nnetwork.@tunlite_x[0].allowed_ips='10.7.0.2/32' '::/0'\n"
        "network.@tunlite_xy[0]=tunlite_xy\nnetwork.@tunlite_xy[0].allowed_ips='10.7.0.3/32'\n"
        "network.laptop=tunlite_x\nnetwork.laptop.allowed_ips='10.7.0.4/32' 'fd07::2/128'\n"
    )
    found = router.call("nextAddress", interface="x")
    assert found == {"addresses": ["10.7.0.3/32", "fd07::3/128"]}
    found = router.call("nextAddress", interface="x", taken="10.7.0.3/32, 10.7.0.5/32")
    assert found["addresses"][0] == "10.7.0.6/32"
    running = {
        "peers": [{"allowed_ips": ["10.7.0.3/32"]}, {"allowed_ips": ["10.7.0.5/32", "fd07::3/128"]}]
    }
    _script(router.folder / "tunlite", f"#!/bin/sh\necho '{json.dumps(running)}'\n")
    found = router.call("nextAddress", interface="x")
    assert found == {"addresses": ["10.7.0.6/32", "fd07::4/128"]}


def test_no_address_left_is_an_error_that_names_the_prefix(router):
    found = router.call("nextAddress", interface="x", own="10.7.0.1/30", taken="10.7.0.2/32")
    assert found == {"error": "no address is left in 10.7.0.1/30: give the interface a wider one"}
    assert "error" in router.call("nextAddress", interface="x", own="10.7.0.1/32")
    assert "error" in router.call("nextAddress", interface="x")
