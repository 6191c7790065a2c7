# SPDX-License-Identifier: MIT
"""OpenWrt's init script with real daemons, and a stand-in for procd: it starts, signals, ends.

router, alone in its namespace; where there is a tunnel, both its ends are here
"""

import json
from pathlib import Path

import pytest

from lab.netns import wait_for
from lab.peers import Keys, ini, interface_name, tunlite_command, tunlite_program

pytestmark = pytest.mark.once

_INIT = Path(__file__).resolve().parents[2] / "openwrt/tunlite/files/tunlite.init"
# One file an instance in $RUN: the pid of its daemon. What start_service did not name is ended. An
# instance that runs is left alone unless its command or a `file` of it has changed.
_PROCD = """
procd_open_instance() { instance="$1"; named="$named $1 "; file=/dev/null; }
procd_set_param() { case "$1" in command) shift; command="$*";; file) file="$2";; esac; }
# A daemon that ended may stay a zombie, which has a pid and no executable.
runs() { readlink "/proc/$(cat "$RUN/$instance" 2>&1)/exe" >/dev/null; }
procd_close_instance() {
	now="$command $(sha256sum "$file")"
	if runs; then
		[ "$now" != "$(cat "$RUN/../$instance.sum")" ] || return
		kill "$(cat "$RUN/$instance")"
		while runs; do sleep 0.05; done
	fi
	echo "$now" >"$RUN/../$instance.sum"
	setsid $command >"$RUN/../$instance.log" 2>&1 &
	echo $! >"$RUN/$instance"
}
config_load() { :; }
config_foreach() { :; } # no interface of netifd's
procd_send_signal() { for f in "$RUN"/*; do kill -HUP "$(cat "$f")" 2>/dev/null; done; }
start() {
	named=
	start_service
	for f in "$RUN"/*; do
		case "$named" in *" ${f##*/} "*) continue;; esac
		kill "$(cat "$f")"
		rm "$f"
	done
}
"""


class Router:
    """A namespace with /etc/tunlite (`files`) and the script."""

    def __init__(self, lab):
        self.namespace = lab.namespace("router")
        self.folder = lab.folder
        self.files = lab.folder / "files"
        (lab.folder / "run").mkdir()
        self.files.mkdir()
        self.program = tunlite_program(lab.folder)
        text = _INIT.read_text().replace("/usr/sbin/tunlite", str(self.program))
        text = text.replace("/lib/tunlite/uci.sh", str(_INIT.with_name("uci.sh")))
        self.script = _PROCD + text.replace("/etc/tunlite", str(self.files))

    def write(self, name, mode=0o600, peer=None, **options):
        path = self.files / f"{name}.conf"
        path.touch()
        path.chmod(mode)
        sections = [("Interface", {"PrivateKey": Keys().private, **options})]
        path.write_text(ini(sections + ([("Peer", peer)] if peer else [])))

    def call(self, command):
        words = ["sh", "-c", f"RUN={self.folder}/run\n{self.script}\n{command}"]
        self.namespace.run(words, stdin=None)

    def shown(self):
        """{interface: its status} of those that run."""
        done = self.namespace.run([*tunlite_command(), "show", "--json"])
        mine = {path.stem for path in (self.folder / "run").iterdir()}
        rows = {row["interface"]: row for row in json.loads(done.stdout)}
        return {name: rows[name] for name in mine & set(rows)}

    def mtus(self):
        """{interface: MTU} of those that run."""
        return {name: row["mtu"] for name, row in self.shown().items()}

    def pid(self, name):
        return (self.folder / "run" / name).read_text()

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()


def test_files_that_come_and_go_and_change_are_followed_and_a_bad_one_harms_none(lab):
    router = Router(lab)
    kept, gone, bad, wide, new = (interface_name() for _ in range(5))
    router.write(kept, MTU=1400)
    router.write(gone, MTU=1400)
    router.write(bad, MTU="many")
    router.write(wide, mode=0o644)
    router.call("start")
    wait_for(lambda: router.mtus() == {kept: 1400, gone: 1400}, 20, "the two good files run")
    wait_for(lambda: "MTU" in router.log(bad), 10, "the error is told")
    wait_for(lambda: "chmod 600" in router.log(wide), 10, "what everyone may read is told")
    pid = router.pid(kept)
    (router.files / f"{gone}.conf").unlink()
    router.write(kept, MTU=1300)
    router.write(bad, MTU=1200)
    router.write(new, MTU=1100)
    router.call("reload_service")
    wanted = {kept: 1300, bad: 1200, new: 1100}
    wait_for(lambda: router.mtus() == wanted, 20, "the files of now run")
    assert router.pid(kept) == pid  # it read its file again, nobody restarted it
    (router.files / f"{kept}.conf").write_text("nonsense\n")
    router.call("reload_service")
    wait_for(lambda: "not reloaded" in router.log(kept), 10, "the daemon refuses it")
    assert router.mtus() == wanted


def test_an_upgraded_program_is_started_in_the_old_one_s_place(lab):
    router = Router(lab)
    name = interface_name()
    router.write(name, MTU=1400)
    router.call("start")
    wait_for(lambda: router.mtus() == {name: 1400}, 20, "it runs")
    first = router.pid(name)
    router.call("start")  # which is all that a package's default_postinst does
    assert router.pid(name) == first
    with router.program.open("a") as program:
        program.write("# a newer version\n")
    router.call("start")
    assert router.pid(name) != first
    wait_for(lambda: router.mtus() == {name: 1400}, 20, "the new one runs")


def test_commands_from_events_and_a_folder_of_peers_work_under_it(lab):
    router = Router(lab)
    near, far = (interface_name() for _ in range(2))
    mine, others, laptop = (Keys() for _ in range(3))
    told, folder = lab.folder / "told", lab.folder / "peers.d"
    folder.mkdir()
    events = {
        name: f'echo "{name} $INTERFACE $PEER_NAME $REASON" >> {told}'
        for name in ("OnEstablish", "OnDisestablish")
    }
    end = {"Table": "off", "StateDir": lab.folder / "state"}
    router.write(near, PrivateKey=mine.private, ListenPort=5001, Peers=folder, **events, **end)
    known = {"PublicKey": mine.public, "AllowedIPs": "10.9.0.1/32"}
    router.write(far, PrivateKey=others.private, ListenPort=5002, peer=known, **end)
    where = {"Endpoint": "127.0.0.1:5002", "AllowedIPs": "10.9.0.2/32", "PersistentKeepalive": 1}
    text = ini([("Peer", {"PublicKey": others.public, **where})])
    (folder / "gateway").write_text(text)

    def peers():
        return {row["public_key"]: row["origin"] for row in router.shown()[near]["peers"]}

    router.call("start")
    wait_for(told.exists, 20, "a command")
    assert peers() == {others.public: "folder"}
    (folder / "laptop").write_text(ini([("Peer", {"PublicKey": laptop.public})]))
    (folder / "gateway").unlink()
    router.call("reload_service")
    wait_for(lambda: peers() == {laptop.public: "folder"}, 20, "the folder of now")
    lines = [f"OnEstablish {near} gateway ", f"OnDisestablish {near} gateway removed"]
    wait_for(lambda: told.read_text().splitlines() == lines, 10, "both commands")
