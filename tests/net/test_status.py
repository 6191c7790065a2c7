# SPDX-License-Identifier: MIT
"""The status socket of daemons that were started in every way: what it tells and to whom.

host                            one daemon, no network
router ==w1== gateway           two, each of which hides where the other is, or does not
"""

import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from lab.netns import wait_for
from lab.peers import Keys, ini, interface_name, preshared_key, tunlite_command
from lab.traffic import ping

pytestmark = pytest.mark.once

_FOLDER = Path("/run/tunlite")


def read_socket(path):
    """All that it says to who connects."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        text = b""
        while part := client.recv(65536):
            text += part
    return text.decode()


class Host:
    """Starts a daemon of a name of its own in one of the ways."""

    def __init__(self, lab, tmp_path):
        self.namespace = lab.namespace("host")
        self.name = interface_name()
        self.file = tmp_path / f"{self.name}.conf"
        self.status = _FOLDER / f"{self.name}.status"
        self.keys, self.peer, self.psk = Keys(), Keys(), preshared_key()
        self.process = None
        lab.on_close(lambda: self.command("down", self.file, check=False))

    def command(self, *words, **kwargs):
        return self.namespace.run([*tunlite_command(), *words], **kwargs)

    def write(self, **interface):
        sections = [
            ("Interface", {"PrivateKey": self.keys.private, **interface}),
            ("Peer", {"PublicKey": self.peer.public, "PresharedKey": self.psk}),
        ]
        self.file.write_text(ini(sections))
        self.file.chmod(0o600)

    def spawn(self, *words):
        self.process = self.namespace.start([*tunlite_command(), *words], "daemon")
        self.process.wait_line("ready")

    def start(self, way, **interface):
        self.write(**interface)
        if way == "up":
            self.command("up", self.file)
        elif way.startswith("run"):
            self.spawn(*way.split(), "--config", str(self.file))
        elif way == "-f":
            self.spawn("-f", self.name)
        else:
            self.command(self.name)

    def told_text(self):
        return read_socket(self.status)

    def told(self):
        return json.loads(self.told_text())


@pytest.fixture
def host(lab, tmp_path):
    return Host(lab, tmp_path)


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("way", ["run", "run --bare", "up", "-f", "bare"])
def test_every_daemon_tells_its_status_to_who_may_ask_and_takes_it_away_at_the_end(host, way):
    host.start(way)
    if way in ("-f", "bare"):
        host.command("setconf", host.name, host.file)
    assert (_mode(host.status), _mode(_FOLDER)) == (0o600, 0o711)
    text = host.told_text()
    found = json.loads(text)
    assert found["public_key"] == host.keys.public
    assert [(row["public_key"], row["preshared"]) for row in found["peers"]] == [
        (host.peer.public, True)
    ]
    assert host.keys.private not in text and host.psk not in text
    assert host.namespace.run(["wg", "show", "interfaces"]).stdout.split() == [host.name]
    if way == "up":
        host.command("down", host.file)
    elif way == "bare":
        host.namespace.ip("link", "del", host.name)
    else:
        host.process.stop()
    wait_for(lambda: not host.status.exists(), 10, "the end of the status socket")


def test_a_group_that_was_named_may_read_it_and_nobody_else(host):
    host.start("up", SocketGroup="daemon", User="nobody")
    assert (_mode(host.status), host.status.stat().st_gid) == (0o660, 1)
    assert host.status.stat().st_uid == 65534
    for gid, may in ((1, True), (12345, False)):
        words = ["setpriv", "--reuid=12345", f"--regid={gid}", "--clear-groups"]
        words += [*tunlite_command(), "show", host.name]
        shown = host.namespace.run(words, check=False)
        assert (shown.returncode == 0) == may, shown
    host.command("down", host.file)
    assert not host.status.exists()


def test_who_may_use_the_status_socket_alone_sees_by_show_what_runs(host):
    host.start("up", SocketGroup="daemon")
    os.chmod(f"/var/run/wireguard/{host.name}.sock", 0o600)
    words = ["setpriv", "--reuid=12345", "--regid=1", "--clear-groups", *tunlite_command()]
    shown = host.namespace.run([*words, "show", host.name, "--json"])
    assert json.loads(shown.stdout)["peers"] == host.told()["peers"]
    assert host.namespace.run([*words, "reload", host.name], check=False).returncode == 1


def test_the_socket_of_a_daemon_that_was_killed_is_replaced(host):
    host.start("-f")
    old = host.status.stat().st_ino
    os.kill(host.process.pid, signal.SIGKILL)
    host.process.wait()
    assert host.status.exists()
    host.start("-f")
    wait_for(lambda: host.status.stat().st_ino != old, 10, "a new socket")
    assert host.told()["interface"] == host.name


def test_readers_that_do_not_read_hold_up_neither_the_daemon_nor_its_control_socket(host):
    host.start("up")
    silent = []
    for _ in range(8):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(host.status))
        silent.append(client)
    assert host.peer.public in host.command("show", host.name).stdout
    for client in silent:
        client.close()
    assert host.told()["interface"] == host.name


# ---- in fastd's words ----


def test_a_socket_of_its_own_tells_the_status_in_fastds_words(host, tmp_path):
    path = tmp_path / "fastd.status"
    host.start("up", StatusSocket=path, SocketGroup="daemon")
    assert _mode(path) == 0o660
    found = json.loads(read_socket(path))
    assert set(found) == {"uptime", "interface", "statistics", "peers"}
    assert found["interface"] == host.name
    assert set(found["statistics"]) == {"rx", "rx_reordered", "tx", "tx_dropped", "tx_error"}
    assert all(set(row) == {"packets", "bytes"} for row in found["statistics"].values())
    assert found["peers"] == {
        host.peer.public: {
            "name": None,
            "address": "any",
            "interface": host.name,
            "mtu": 1420,
            "connection": None,
        }
    }
    host.command("down", host.file)
    assert not path.exists() and not host.status.exists()


def test_a_socket_in_a_folder_of_others_is_refused_and_the_file_is_to_be_changed(host, tmp_path):
    tmp_path.chmod(0o777)
    host.write(StatusSocket=tmp_path / "fastd.status")
    failed = host.command("up", host.file, check=False)
    assert failed.returncode == 78 and "others than root may write there" in failed.stderr
    assert not host.status.exists()


@pytest.mark.parametrize("replaced", [False, True])
def test_what_a_killed_daemon_leaves_is_swept_but_no_file_that_is_no_socket(
    host, tmp_path, replaced
):
    path = tmp_path / "fastd.status"
    host.start("up", StatusSocket=path)
    pid = json.loads((_FOLDER / f"{host.name}.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: host.command("show", host.name, check=False).returncode, 10, "its end")
    assert path.exists() and host.status.exists()
    if replaced:
        path.unlink()
        path.write_text("mine")
    host.command("down", host.file)
    assert path.exists() == replaced and not host.status.exists()


# ---- HideAddresses ----


class Two:
    """Both ends by files; the router has two more peers: one whose endpoint lies inside the tunnel,
    and one whose name leads nowhere."""

    def __init__(self, lab, tmp_path, hides):
        self.router, self.gateway = Host(lab, tmp_path), Host(lab, tmp_path)
        self.wire = lab.wire(self.router.namespace, self.gateway.namespace)
        self.fastd = tmp_path / "fastd.status"
        folder = tmp_path / "peers"
        folder.mkdir(mode=0o700)
        (folder / "broken").write_text(
            f"[Peer]\nPublicKey = {Keys().public}\nEndpoint = 203.0.113.9:x\n"
        )
        common = {"HideAddresses": hides, "ListenPort": 51820, "OnEstablish": "exit 3"}
        common["Peers"] = folder
        self._write(
            self.router,
            {**common, "Address": "10.5.0.1/24", "StatusSocket": self.fastd},
            ("10.5.0.2/32", {"Endpoint": f"{self.wire[1].v4}:51820", "PublicKey": self.gateway}),
            ("10.9.0.0/16", {"Endpoint": "10.9.0.9:51820", "PersistentKeepalive": 1}),
            ("10.8.0.0/16", {"Endpoint": "gw.example.invalid:51820"}),
        )
        self._write(
            self.gateway,
            {**common, "Address": "10.5.0.2/24"},
            ("10.5.0.1/32", {"PublicKey": self.router}),
        )
        env = {"LOG_LEVEL": "verbose"}
        self.processes = []
        for host in (self.gateway, self.router):
            argv = [*tunlite_command(), "run", "--config", host.file]
            self.processes.append(host.namespace.start(argv, host.name, env=env))
            self.processes[-1].wait_line("ready")
        wait_for(lambda: ping(self.router.namespace, "10.5.0.2", count=1).received, 15, "a ping")

    def _write(self, host, interface, *peers):
        sections = [("Interface", {"PrivateKey": host.keys.private, **interface})]
        for allowed, peer in peers:
            key = peer.pop("PublicKey", None)
            public = key.keys.public if key else Keys().public
            sections.append(("Peer", {"PublicKey": public, "AllowedIPs": allowed, **peer}))
        host.file.write_text(ini(sections))
        host.file.chmod(0o600)

    def said(self):
        """All that people and programs for people get, one text each."""
        found = [process.log() for process in self.processes]
        for host in (self.router, self.gateway):
            found += [host.told_text(), host.command("show", host.name).stdout]
            found.append(host.command("show", "--json", host.name).stdout)
            words = [sys.executable, "-m", "tunlite", "metrics", "--per-peer", host.name]
            found.append(host.namespace.run(words).stdout)
        return [*found, read_socket(self.fastd)]

    def wait_told(self):
        """All that may name an address has been logged."""
        for text, seconds, what in (
            ("is routed into", 15, "the loop"),
            ("next try in", 30, "the name"),
            ("left out: ", 15, "the broken file of a peer"),
            ("the command ", 15, "the failed command"),
        ):
            wait_for(lambda text=text: text in self.processes[1].log(), seconds, what)

    def outside(self):
        """What is to be hidden."""
        return [self.wire[0].v4, self.wire[1].v4, "10.9.0.9", "example.invalid", "203.0.113.9"]


def test_addresses_outside_the_tunnel_are_where_people_look_for_them(lab, tmp_path):
    two = Two(lab, tmp_path, "off")
    two.wait_told()
    text = "".join(two.said())
    assert [address for address in two.outside() if address in text] == two.outside()
    connection = json.loads(read_socket(two.fastd))["peers"][two.gateway.keys.public]["connection"]
    assert connection["established"] > 0 and connection["statistics"]["rx"]["bytes"] > 0


def test_addresses_outside_the_tunnel_stand_nowhere_when_they_are_to_be_hidden(lab, tmp_path):
    two = Two(lab, tmp_path, "on")
    two.wait_told()
    two.router.file.write_text(two.router.file.read_text() + "Endpoint = 198.51.100.7:x\n")
    assert "198.51.100.7" in two.router.command("reload", two.router.name, check=False).stderr
    wait_for(lambda: "tunlite reload says why" in two.processes[1].log(), 10, "the refused reload")
    for text in two.said():
        for address in (*two.outside(), "198.51.100.7"):
            assert address not in text
    assert "endpoint: (hidden)" in two.said()[3]
    # wg(8) sets what it shows.
    assert two.wire[1].v4 in two.router.namespace.run(["wg", "show", two.router.name]).stdout
