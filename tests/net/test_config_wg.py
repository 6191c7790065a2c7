# SPDX-License-Identifier: MIT
"""The same file given to wg-quick(8) and wg(8), and to us: what they take we take, as they do.

bash runs wg-quick's own reading of the file, wg hands the rest to a socket of the test's.
"""

import os
import random
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from lab.peers import Keys, interface_name, tunlite_command
from tunlite import addresses, endpoints
from tunlite.config import as_uapi, parser as config, secret_text

pytestmark = pytest.mark.once

_SOCKETS = Path("/var/run/wireguard")
_READ = r"""
shopt -s extglob; export LC_ALL=C PROGRAM=wg-quick
source <(for f in parse_options read_bool die; do sed -n "/^$f()/,/^}/p" "$(which wg-quick)"; done)
ADDRESSES=( ) MTU="" DNS=( ) DNS_SEARCH=( ) TABLE="" SAVE_CONFIG=0 WG_CONFIG=""
PRE_UP=( ) POST_UP=( ) PRE_DOWN=( ) POST_DOWN=( )
parse_options "$1" || exit 1
group() { printf '%s\0' "$@" ""; printf '\1\0'; }
group "${ADDRESSES[@]}"; group "$MTU"; group "${DNS[@]}"; group "${DNS_SEARCH[@]}"
group "$TABLE"; group "${PRE_UP[@]}"; group "${POST_DOWN[@]}"; group "$SAVE_CONFIG"
group "$WG_CONFIG"
"""


class Reference:
    """wg-quick and wg: what they make of a file."""

    def __init__(self, folder):
        self.name = interface_name()
        self.path = folder / f"{self.name}.conf"
        _SOCKETS.mkdir(exist_ok=True)
        self._at = _SOCKETS / f"{self.name}.sock"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self._at))
        self._socket.listen(8)
        self._sets = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._socket.close()
        self._at.unlink()

    def _serve(self):
        while True:
            try:
                asked, _ = self._socket.accept()
            except OSError:
                return
            with asked:
                data = b""
                while not data.endswith(b"\n\n") and (part := asked.recv(65536)):
                    data += part
                if data.startswith(b"set=1"):
                    self._sets.append(data.decode())
                if data:
                    asked.sendall(b"errno=0\n\n")

    def read(self, text):
        """(wg-quick's options, what wg sends), or None where one of them refuses."""
        self.path.write_text(text)
        done = subprocess.run(
            ["bash", "-c", _READ, "-", self.path], capture_output=True, check=False
        )
        if done.returncode:
            return None
        groups = [part.split("\0")[:-2] for part in done.stdout.decode().split("\1\0")[:-1]]
        before = len(self._sets)
        self._socket.settimeout(None)
        told = subprocess.run(
            ["wg", "setconf", self.name, "/dev/stdin"],
            input=groups.pop()[0].encode(),
            capture_output=True,
            check=False,
        )
        return (groups, self._sets[before]) if told.returncode == 0 else None


@pytest.fixture
def reference(tmp_path):
    made = Reference(tmp_path)
    yield made
    made.close()


def effect(text):
    """What a daemon has after this set=1."""
    interface, peers, owners, of = {}, {}, {}, None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "public_key":
            of = value
            peers.setdefault(of, {"preshared_key": "0" * 64, "persistent_keepalive_interval": "0"})
        elif key == "replace_allowed_ips":
            owners = {prefix: owner for prefix, owner in owners.items() if owner != of}
        elif key == "allowed_ip":
            owners[addresses.network(addresses.parse_prefix(value))] = of
        elif key == "endpoint":
            peers[of][key] = endpoints.literal(value)
        elif key not in ("set", "replace_peers", ""):
            (interface if of is None else peers[of])[key] = value
    return interface, peers, owners


def ours(text):
    """(the parsed config, what we send); no config where it has errors."""
    parsed = config.parse(secret_text.Text([bytearray(text.encode())]), "f")
    if parsed.errors:
        return None, parsed.lines_of(parsed.errors)
    return parsed, b"".join(bytes(piece) for piece in as_uapi.whole(parsed)).decode()


def assert_same(groups, parsed):
    """wg-quick's options are ours."""
    words, (mtu,), servers, domains, (table,), pre_up, post_down, (save,) = groups
    options = parsed.interface.get
    assert options("Address", []) == [addresses.parse_prefix(word) for word in words]
    assert (options("MTU") or 0) == (_c(mtu) if mtu else 0)
    rows = options("DNS", [])
    assert [row[0] for row in rows if row[0]] == servers
    assert [row[1] for row in rows if row[1]] == domains
    known = {"": None, "auto": None, "off": 0, "main": 254, "0": 254}
    assert options("Table") == (known[table] if table in known else _c(table))
    assert options("PreUp", []) == [word for word in pre_up if word]
    assert options("PostDown", []) == [word for word in post_down if word]
    assert options("SaveConfig", False) == (save == "1")


def _c(text):
    """A number as strtoul reads it."""
    return int(text, 8 if text[0] == "0" and text[1:].isdigit() else 0)


_INTERFACE = {
    "ListenPort": ["1", "51820", "0", "010", "openvpn", "5 1", "65535", "x", "0x10"],
    "FwMark": ["off", "OFF", "0", "010", "0xca6c", "4294967295", "1 2", "z", "00000000000001"],
    "Address": ["10.0.0.1/24", "10.0.0.1", "fd00::1/64 10.1.0.1/9", "10.2.0.1/8,fd01::1", "", ","],
    "MTU": ["1420", "", "500", "0x500", "02600"],
    "DNS": ["9.9.9.9", "9.9.9.9 a.example,fd00::53", "~corp.example", "", "_x.lan ~."],
    "Table": ["off", "auto", "", "0x4d2", "1234", "main", "010", "0"],
    "PreUp": ["", "true; true;", "echo a = b %i", "echo [x]"],
    "PostDown": ["", "true"],
    "SaveConfig": ["true", "false", "TRUE", "", "no"],
}
_PEER = {
    "Endpoint": [
        "192.0.2.1:1",
        "[2001:db8::1]:51820",
        "2001:db8::9:51820",
        "192.0.2.1:openvpn",
        "192.0.2.1 : 5",
        "192.0.2.1:051820",
        "[192.0.2.7]:5",
        "192.0.2.1",
        "",
    ],
    "AllowedIPs": [
        "10.0.0.0/24",
        "10.9.9.9/8, fd00::/8",
        "0.0.0.0/0,::/0",
        "10.0.0.0 / 032",
        "::ffff:1.2.3.4/128",
        "10.5.0.1",
        "10.1.0.0/16 10.2.0.0/16",
        "10.0.0.0/33",
    ],
    "PersistentKeepalive": ["25", "off", "0", "2 5", "010", "65535", "65536", ""],
}


class Writer:
    """Files in the wild: options that come again, in any case, with blanks and comments."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.keys = [Keys() for _ in range(3)]

    def _line(self, name, value):
        chance = self.chance
        name = chance.choice([name, name, name.lower(), name.upper()])
        gap = chance.choice(["", " ", " ", "\t", "  "])
        tail = chance.choice(["", "", " ", "\t", " # a comment", "\r"])
        return f"{chance.choice(['', '', ' '])}{name}{gap}={gap}{value}{tail}\n"

    def _key(self, text):
        at = self.chance.randrange(44)
        return text if self.chance.random() < 0.8 else f"{text[:at]} {text[at:]}"

    def _options(self, table, least, most):
        names = self.chance.choices(list(table), k=self.chance.randint(least, most))
        return [self._line(name, self.chance.choice(table[name])) for name in names]

    def _section(self, lines):
        self.chance.shuffle(lines)
        return "".join(lines) + self.chance.choice(["", "\n", "# between\n"])

    def text(self):
        private = self._line("PrivateKey", self._key(self.keys[0].private))
        parts = ["[Interface]\n", self._section([private, *self._options(_INTERFACE, 0, 5)])]
        for _ in range(self.chance.randint(0, 4)):
            peer = self.chance.choice(self.keys[1:])
            lines = [self._line("PublicKey", self._key(peer.public))]
            if self.chance.random() < 0.3:
                lines.append(self._line("PresharedKey", self._key(self.keys[0].private)))
            lines += self._options(_PEER, 0, 4)
            parts += ["[Peer]\n", self._section(lines)]
        return "".join(parts)


def test_what_wg_and_wg_quick_take_is_taken_and_means_the_same(reference):
    seed = int(os.environ.get("TUNLITE_SEED", random.randrange(1 << 32)))
    print(f"TUNLITE_SEED={seed}")
    writer = Writer(seed)
    taken = 0
    for _ in range(250):
        text = writer.text()
        theirs = reference.read(text)
        if theirs is None:
            continue
        taken += 1
        parsed, sent = ours(text)
        assert parsed is not None, (text, sent)
        assert effect(sent) == effect(theirs[1]), text
        assert_same(theirs[0], parsed)
    assert taken > 50


def test_a_file_as_wg_easy_and_others_write_it_comes_up_and_goes_down(lab):
    host = lab.namespace("host")
    name = interface_name()
    path = lab.folder / f"{name}.conf"
    path.touch(mode=0o600)
    mine, other = Keys(), Keys()
    path.write_text(
        f"[Interface]\nPrivateKey = {mine.private}\nAddress = 10.8.0.1/24 fd08::1/64\n"
        "ListenPort = 51820\nListenPort = 51821\nPreUp = \nPostUp = true; true;\nPreDown = \n"
        "PostDown = \nDNS =\nMTU =\nTable = 0x4d2\n"
        f"[Peer]\nPublicKey = {other.public}\nEndpoint = 2001:db8::9:51820\n"
        f"AllowedIPs = 10.9.0.0/24\n[Peer]\nPublicKey = {other.public}\n"
        "AllowedIPs = 10.8.1.0/24\n"
    )
    up = host.run([*tunlite_command(), "up", path])
    assert f"warning: {path}:6: PreUp: there is no value" in up.stderr.replace("\\", "")
    assert "10.8.0.1/24 fd08::1/64" in host.ip("-br", "addr", "show", "dev", name)
    assert host.run(["wg", "show", name, "listen-port"]).stdout == "51821\n"
    assert host.run(["wg", "show", name, "endpoints"]).stdout.split()[1] == "[2001:db8::9]:51820"
    assert "10.8.1.0/24" in host.ip("route", "show", "table", "1234")
    assert "10.9.0.0" not in host.ip("route", "show", "table", "1234")
    host.run([*tunlite_command(), "down", path])
    assert name not in host.ip("-br", "link")


def test_a_readable_file_on_a_read_only_mount_is_taken_where_the_caller_says_so(lab):
    host = lab.namespace("host")
    folder = lab.folder / "configmap"
    folder.mkdir()
    name = interface_name()
    path = folder / f"{name}.conf"
    path.write_text(f"[Interface]\nPrivateKey = {Keys().private}\n")
    path.chmod(0o644)
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'

    def check(*words, before=()):
        return host.run([*before, *tunlite_command(), "check", *words, path], check=False)

    read_only = ["unshare", "-m", "sh", "-c", mount, folder]
    taken = check("--allow-readable", before=read_only)
    assert taken.returncode == 0 and "warning: " in taken.stderr
    assert "everyone may read this file" in taken.stderr
    for refused in (check(before=read_only), check("--allow-readable")):
        assert refused.returncode == 1 and "--allow-readable" in refused.stderr

    up = [*read_only, *tunlite_command(), "up", "--allow-readable", path]
    assert "everyone may read" in host.run(up).stderr
    reload = host.run([*read_only, *tunlite_command(), "reload", name])
    assert "everyone may read" not in reload.stderr
    host.run([*tunlite_command(), "down", name])
