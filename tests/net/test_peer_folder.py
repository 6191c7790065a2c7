# SPDX-License-Identifier: MIT
"""Peers = FOLDER with a real daemon, alone in its namespace."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from lab.netns import wait_for
from lab.peers import Keys, interface_name, preshared_key, tunlite_command

pytestmark = pytest.mark.once


class Gateway:
    def __init__(self, lab):
        self.namespace = lab.namespace("host")
        self.name = interface_name()
        self.keys = Keys()
        self.path = lab.folder / f"{self.name}.conf"
        self.folder = lab.folder / "peers.d"
        self.folder.mkdir()
        self.path.touch(mode=0o600)
        self.more = ""
        lab.on_close(self.clean)

    def clean(self):
        for path in (f"/var/run/wireguard/{self.name}.sock", f"/var/run/tunlite/{self.name}.json"):
            Path(path).unlink(missing_ok=True)

    def run(self, *words):
        self.path.write_text(
            f"[Interface]\nPrivateKey = {self.keys.private}\nTable = off\nPeers = {self.folder}\n"
            + self.more
        )
        argv = [*tunlite_command(), "run", *words, "--config", self.path]
        self.process = self.namespace.start(argv, "gateway")
        self.process.wait_line(f"{self.name}: ready")
        return self.process

    def put(self, file, public, more=""):
        path = self.folder / file
        path.touch(mode=0o600)
        path.write_text(f"[Peer]\nPublicKey = {public}\n{more}")

    def cli(self, *words, check=True):
        return self.namespace.run([*tunlite_command(), *words], check=check)

    def peers(self):
        """public key -> its row of the status."""
        found = json.loads(self.cli("show", self.name, "--json").stdout)
        return {row["public_key"]: row for row in found["peers"]}

    def until(self, condition, seconds=10):
        wait_for(condition, seconds, "the folder")


@pytest.fixture
def gateway(lab):
    return Gateway(lab)


@pytest.fixture
def three():
    return [Keys().public for _ in range(3)]


@pytest.mark.parametrize("words", [[], ["--bare"]], ids=["run", "bare"])
def test_peers_of_the_folder_come_and_go_with_their_files_and_no_reload(gateway, three, words):
    a, b, c = three
    gateway.put("node-a", a, f"AllowedIPs = 10.1.0.1/32\nPresharedKey = {preshared_key()}\n")
    gateway.put("b c", b, "Description = the second\nAllowedIPs = fd00::2/128\n")
    gateway.run(*words)
    gateway.until(lambda: len(gateway.peers()) == 2)
    peers = gateway.peers()
    assert peers[a]["origin"] == peers[b]["origin"] == "folder"
    assert (peers[a]["description"], peers[b]["description"]) == ("node-a", "the second")
    assert peers[a]["allowed_ips"] == ["10.1.0.1/32"] and peers[a]["preshared"]
    gateway.put("c", c)
    gateway.until(lambda: len(gateway.peers()) == 3)
    gateway.put("c", c, "AllowedIPs = 10.3.0.0/16\n")
    (gateway.folder / "node-a").unlink()
    gateway.until(lambda: len(gateway.peers()) == 2)
    assert gateway.peers()[c]["allowed_ips"] == ["10.3.0.0/16"]
    gateway.cli("reload", gateway.name)
    assert set(gateway.peers()) == {b, c}
    gateway.cli("down", gateway.name)
    assert not list(Path("/var/run/tunlite").glob(gateway.name + ".*"))


def test_a_broken_file_is_told_and_left_out_and_its_peer_stays_as_it_was(gateway, three):
    a, b, c = three
    gateway.put("a", a, "AllowedIPs = 10.1.0.1/32\n")
    gateway.put("b", b)
    process = gateway.run()
    gateway.until(lambda: len(gateway.peers()) == 2)
    gateway.put("a", a, "AllowedIPs = 10.1.0.999/32\n")
    gateway.put("b", "no key")
    gateway.put("c", c)
    for file, text in (
        ("d", f"[Peer]\nPublicKey = {Keys().public}\n[Peer]\nPublicKey = {c}\n"),
        ("e", "[Interface]\nListenPort = 7\n"),
        ("f", f"[Peer]\nPublicKey = {Keys().public}\nGroup = none\n"),
    ):
        (gateway.folder / file).write_text(text)
    gateway.until(lambda: len(gateway.peers()) == 3)
    assert gateway.peers()[a]["allowed_ips"] == ["10.1.0.1/32"]
    gateway.until(lambda: process.log().count("left out: ") >= 5)
    for why in ("AllowedIPs: ", "PublicKey: ", "more than one [Peer]", "no [Group] has"):
        assert why in process.log(), why
    gateway.cli("reload", gateway.name)
    time.sleep(1.5)
    assert set(gateway.peers()) == {a, b, c}


def test_what_is_no_file_or_has_a_name_that_is_no_text_keeps_no_peer_from_coming(gateway, three):
    a, b, c = three
    folder = os.fsencode(gateway.folder)
    gateway.put("a", a)
    gateway.put("b\n\x1b[31m", b)
    Path(os.fsdecode(folder + b"/\xff\n\x1b[31m")).write_text("no peer")
    (gateway.folder / "kmsg").symlink_to("/proc/kmsg")  # a file by what stat says
    os.mkfifo(gateway.folder / "pipe")
    (gateway.folder / "folder").mkdir()
    (gateway.folder / "long").touch()
    os.truncate(gateway.folder / "long", 1 << 40)
    process = gateway.run()
    gateway.until(lambda: set(gateway.peers()) == {a, b})
    gateway.put("c", c)
    gateway.cli("reload", gateway.name)
    gateway.until(lambda: set(gateway.peers()) == {a, b, c})
    assert "/?  [31m: left out: " in process.log()


def test_a_folder_that_is_gone_changes_nothing_and_one_that_is_back_is_read(gateway, three):
    a, b, _ = three
    gateway.put("a", a)
    process = gateway.run()
    gateway.until(lambda: len(gateway.peers()) == 1)
    away = gateway.folder.with_name("away")
    gateway.folder.rename(away)
    process.wait_line("no peer is changed: ")
    assert set(gateway.peers()) == {a}
    gateway.cli("reload", gateway.name)
    assert set(gateway.peers()) == {a}
    away.rename(gateway.folder)
    gateway.put("b", b)
    gateway.until(lambda: set(gateway.peers()) == {a, b}, 20)


def test_a_file_that_comes_back_within_a_second_keeps_its_peer(gateway, three):
    a = three[0]
    gateway.put("a", a, "Endpoint = 192.0.2.1:5\n")
    gateway.run()
    gateway.until(lambda: len(gateway.peers()) == 1)
    wg = ["wg", "set", gateway.name, "peer", a, "endpoint", "192.0.2.9:9"]
    gateway.namespace.run(wg)  # as if it had moved
    for _ in range(4):
        (gateway.folder / "a").unlink()
        time.sleep(0.2)
        gateway.put("a", a, "Endpoint = 192.0.2.1:5\n")
        time.sleep(0.2)
    gateway.cli("reload", gateway.name)
    time.sleep(1.5)
    assert gateway.peers()[a]["endpoint"] == "192.0.2.9:9"
    gateway.put("a", a, "Endpoint = 192.0.2.2:5\n")
    gateway.until(lambda: gateway.peers()[a]["endpoint"] == "192.0.2.2:5")


def test_a_peer_of_the_configuration_is_not_the_folders(gateway, three):
    a, b, _ = three
    gateway.more = f"[Peer]\nPublicKey = {a}\nAllowedIPs = 10.9.0.0/16\n"
    gateway.put("a", a, "AllowedIPs = 10.1.0.0/16\n")
    gateway.put("b", b)
    process = gateway.run()
    gateway.until(lambda: b in gateway.peers())
    assert gateway.peers()[a]["allowed_ips"] == ["10.9.0.0/16"]
    assert "the configuration, or wg set, has this peer" in process.log()
    shutil.rmtree(gateway.folder)
    gateway.cli("reload", gateway.name)
    assert set(gateway.peers()) == {a, b}


def test_a_folder_is_refused_where_there_is_no_runner(gateway):
    bare = gateway.namespace.start([*tunlite_command(), "-f", gateway.name], "bare")
    bare.wait_line("ready")
    gateway.path.write_text(f"[Interface]\nPeers = {gateway.folder}\n")
    failed = gateway.cli("setconf", gateway.name, gateway.path, check=False)
    assert failed.returncode == 78
    assert "only tunlite up and run read a folder of peers" in failed.stderr
