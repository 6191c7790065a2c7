# SPDX-License-Identifier: MIT
"""tunlite run, up, down and reload: what wg-quick does, hooks, privileges, undoing.

host, alone in its namespace, with a route and an MTU where a test needs them; or
router ==w1== gateway
"""

import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from lab.name_server import NameServer
from lab.netns import seconds_to_end
from lab.peers import Keys, ini, interface_name, tunlite_command, tunlite_program
from lab.topology import BackgroundPing, Tunlite, Tunnel, wait_for

pytestmark = pytest.mark.once

_SOCKETS = Path("/var/run/wireguard")
_STATES = Path("/var/run/tunlite")


class Host:
    """A namespace with one configuration file, NAME.conf."""

    def __init__(self, lab):
        self.namespace = lab.namespace("host")
        self.name = interface_name()
        self.keys = Keys()
        self.other = Keys()
        self.folder = lab.folder
        self.path = lab.folder / f"{self.name}.conf"
        self.path.touch(mode=0o600)
        self.interface = {"PrivateKey": self.keys.private, "Address": "10.5.0.1/24, fd05::1/64"}
        self.peer = {"PublicKey": self.other.public, "AllowedIPs": "10.5.0.2/32, 10.6.0.0/16"}
        self.env = {**os.environ, "HOOKS": str(lab.folder / "hooks")}
        lab.on_close(self.clean)

    def clean(self):
        """What a killed daemon left in folders that all namespaces share."""
        for path in (_SOCKETS / f"{self.name}.sock", _STATES / f"{self.name}.json"):
            path.unlink(missing_ok=True)

    def outside(self, name, address, mtu=1500):
        """Another interface of the host, up, with an address."""
        ip = self.namespace.ip
        ip("link", "add", name, "mtu", mtu, "type", "veth", "peer", "name", name + "far")
        ip("addr", "add", address, "dev", name)
        ip("link", "set", name + "far", "up")
        ip("link", "set", name, "up")

    def write(self):
        self.path.write_text(ini([("Interface", self.interface), ("Peer", self.peer)]))

    def cli(self, *words, check=True):
        return self.namespace.run([*tunlite_command(), *words], check=check, env=self.env)

    def up(self, check=True):
        self.write()
        return self.cli("up", self.path, check=check)

    def down(self, check=True):
        return self.cli("down", self.name, check=check)

    def begin(self, command, log="first", before=(), **kwargs):
        """`tunlite up` or `run`, or `down`, in the background; `before`: what becomes it."""
        words = {"up": ["up", self.path], "run": ["run", "--config", self.path]}
        argv = [*before, *tunlite_command(), *words.get(command, [command, self.name])]
        return self.namespace.start(argv, log, env=self.env, **kwargs)

    def run(self, log="first", before=()):
        """`tunlite run` in the background, ready."""
        self.write()
        process = self.begin("run", log, before)
        process.wait_line(f"{self.name}: ready")
        return process

    def link(self):
        return self.namespace.link(self.name)

    def has_link(self):
        probe = ["ip", "link", "show", "dev", self.name]
        return self.namespace.run(probe, check=False).returncode == 0

    def addresses(self):
        rows = json.loads(self.namespace.ip("-j", "addr", "show", "dev", self.name))[0]["addr_info"]
        return {f"{row['local']}/{row['prefixlen']}" for row in rows if row["scope"] == "global"}

    def routes(self, family="-4", table="main"):
        text = self.namespace.ip(family, "-j", "route", "show", "table", table, "dev", self.name)
        return {row["dst"] for row in json.loads(text or "[]")}

    def state(self):
        return json.loads((_STATES / f"{self.name}.json").read_text())

    def hooks(self):
        """Lines that hooks wrote by `echo ... >> "$HOOKS"`."""
        path = Path(self.env["HOOKS"])
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def assert_nothing_is_left(self):
        assert not self.has_link()
        assert not (_SOCKETS / f"{self.name}.sock").exists()
        assert not (_STATES / f"{self.name}.json").exists()
        for family in ("-4", "-6"):
            assert "suppress" not in self.namespace.ip(family, "rule")
            assert "fwmark" not in self.namespace.ip(family, "rule")
        assert self.name not in self.namespace.run(["nft", "list", "tables"]).stdout


@pytest.fixture
def host(lab):
    return Host(lab)


def test_up_sets_addresses_and_routes_and_down_removes_all(host):
    host.up()
    link = host.link()
    assert link["linkinfo"]["info_kind"] == "tun" and "UP" in link["flags"]
    assert host.addresses() == {"10.5.0.1/24", "fd05::1/64"}
    assert host.routes() == {"10.5.0.0/24", "10.6.0.0/16"}  # 10.5.0.2 is covered by the address
    folder = _STATES.stat()
    assert (folder.st_mode & 0o777, folder.st_uid) == (0o711, 0)
    assert (_STATES / f"{host.name}.json").stat().st_mode & 0o777 == 0o600
    host.down()
    host.assert_nothing_is_left()


def test_the_kernel_gives_the_interface_no_address_of_its_own(host):
    host.interface["Address"] = "10.5.0.1/24, fe80::7/64"
    host.up()
    rows = json.loads(host.namespace.ip("-j", "addr", "show", "dev", host.name))[0]["addr_info"]
    assert {row["local"] for row in rows} == {"10.5.0.1", "fe80::7"}
    host.down()


def test_the_state_holds_no_secret(host):
    shared = Keys().private
    host.peer["PresharedKey"] = shared
    host.up()
    text = (_STATES / f"{host.name}.json").read_text()
    assert host.keys.private not in text and shared not in text
    host.down()


def test_a_second_up_is_refused_and_a_down_of_nothing_too(host):
    host.up()
    second = host.up(check=False)
    assert second.returncode == 1
    assert f"tunlite down {host.name}" in second.stderr
    host.down()
    again = host.down(check=False)
    assert again.returncode == 1
    assert "was not brought up" in again.stderr


def test_a_link_of_another_is_left_alone(host):
    host.namespace.ip("link", "add", host.name, "type", "veth", "peer", "name", "far")
    failed = host.up(check=False)
    assert failed.returncode == 1
    assert "is not ours" in failed.stderr
    assert host.link()["linkinfo"]["info_kind"] == "veth"


def test_hooks_run_in_order_with_the_interfaces_name(host):
    for kind in ("PreUp", "PostUp", "PreDown", "PostDown"):
        host.interface[kind] = [
            f'echo {kind} {number} %i $(ip link show dev %i >/dev/null 2>&1; echo $?) >> "$HOOKS"'
            for number in (1, 2)
        ]
    host.up()
    host.down()
    there = {"PreUp": 1, "PostUp": 0, "PreDown": 0, "PostDown": 1}
    assert host.hooks() == [
        f"{kind} {number} {host.name} {there[kind]}" for kind in there for number in (1, 2)
    ]


@pytest.mark.parametrize("kind", ["PreUp", "PostUp"])
@pytest.mark.parametrize("command", ["up", "run"])
def test_a_failing_hook_undoes_everything_and_says_which(host, kind, command):
    host.interface[kind] = ["true", "exit 7", 'echo too far >> "$HOOKS"']
    host.interface["FwMark"] = "0x1234"
    host.peer["AllowedIPs"] = "0.0.0.0/0, ::/0"
    host.write()
    words = ["up", host.path] if command == "up" else ["run", "--config", host.path]
    failed = host.cli(*words, check=False)
    assert failed.returncode == 1
    assert f"{kind} = exit 7: the command failed with status 7" in failed.stderr
    assert host.hooks() == []
    host.assert_nothing_is_left()


def test_a_failing_hook_on_the_way_down_is_told_and_the_interface_goes(host):
    host.interface["PreDown"] = "exit 3"
    host.interface["PostDown"] = 'echo done >> "$HOOKS"'
    host.up()
    failed = host.down(check=False)
    assert failed.returncode == 1
    assert "PreDown = exit 3" in failed.stderr
    assert host.hooks() == ["done"]
    host.assert_nothing_is_left()


def test_a_killed_hook_is_told_with_its_signal(host):
    host.interface["PostUp"] = "kill -9 $$"
    failed = host.up(check=False)
    assert "was killed by signal 9" in failed.stderr
    host.assert_nothing_is_left()


# a shell with a program below it, neither of which ends by itself
_HANGS = 'echo $$ >> "$HOOKS"; sleep 1000; echo too far >> "$HOOKS"'


def _assert_hooks_are_gone(host, number):
    """Of so many hooks that hung nothing is left, not even what they had started."""
    assert len(host.hooks()) == number
    groups = set(host.hooks())

    def left():
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                state, _, group = stat.read_text().rsplit(")", 1)[1].split()[:3]
                if group in groups and state not in "ZX":
                    found.append(stat.parent.name)
        return found

    wait_for(lambda: not left(), 5, "what hooks had started has ended")


# becomes what follows where /etc says that this is OpenWrt, whose supervisor kills after 5 s
_ON_OPENWRT = [
    *("unshare", "--mount", "sh", "-c"),
    "mount -t tmpfs etc /mnt && { cp -a /etc/. /mnt 2>/dev/null; touch /mnt/openwrt_release; }"
    ' && mount --move /mnt /etc && exec "$@"',
    "sh",
]


@pytest.mark.parametrize("kinds", [["PreDown"], ["PostDown"], ["PreDown", "PostDown"]])
def test_hooks_that_hang_are_ended_before_the_supervisor_kills_us(host, kinds):
    host.interface.update(dict.fromkeys(kinds, _HANGS))
    process = host.run(before=_ON_OPENWRT)
    assert process.stop(timeout=5) == 1
    for kind in kinds:
        assert f"{kind} = {_HANGS}: interrupted" in process.log()
    _assert_hooks_are_gone(host, len(kinds))
    host.assert_nothing_is_left()


def test_hooks_of_the_way_down_have_time_after_sigterm(host):
    host.interface["PreDown"] = host.interface["PostDown"] = 'sleep 1.5; echo done >> "$HOOKS"'
    assert host.run().stop(timeout=20) == 0
    assert host.hooks() == ["done", "done"]
    host.assert_nothing_is_left()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["PreUp", "PostUp"])
@pytest.mark.parametrize("command", ["up", "run"])
def test_a_hook_that_hangs_on_the_way_up_is_ended_by_a_signal(host, command, kind, signum):
    host.interface[kind] = _HANGS
    host.write()
    process = host.begin(command, before=_ON_OPENWRT)
    wait_for(host.hooks, 15, "the hook runs")
    process.popen.send_signal(signal.SIGHUP)  # no reason to end
    process.popen.send_signal(signum)
    assert process.wait(10) == 1
    assert f"{kind} = {_HANGS}: interrupted" in process.log()
    _assert_hooks_are_gone(host, 1)
    host.assert_nothing_is_left()


def test_a_hook_that_hangs_on_the_way_down_is_ended_by_a_signal(host):
    host.interface["PreDown"] = _HANGS
    host.up()
    process = host.begin("down", before=_ON_OPENWRT)
    wait_for(host.hooks, 15, "the hook runs")
    process.popen.send_signal(signal.SIGINT)
    assert process.wait(10) == 1
    _assert_hooks_are_gone(host, 1)
    host.assert_nothing_is_left()


def test_a_hook_may_take_longer_than_a_second_when_no_signal_came(host):
    host.interface["PostUp"] = host.interface["PostDown"] = 'sleep 1.2; echo done >> "$HOOKS"'
    host.up()
    host.down()
    assert host.hooks() == ["done", "done"]


def test_a_hooks_text_is_in_no_argument_and_no_environment_and_descriptor_3_is_closed(host):
    look = "cat /proc/{}/cmdline /proc/{}/environ | tr '\\0' '\\n' >> \"$HOOKS\""
    # the grandchild writes its own environment, the second look is that of the shell
    host.interface["PostUp"] = (
        f"sh -c '{look.format('$PPID', '$$')}'; ls /proc/$$/fd > \"$HOOKS.fds\"; : sesame"
    ).replace("'\\0' '\\n'", "\\\\0 \\\\n")
    host.up()
    assert f"HOOKS={host.env['HOOKS']}" in host.hooks() and "-c" in host.hooks()
    assert "sesame" not in "\n".join(host.hooks())
    assert Path(host.env["HOOKS"] + ".fds").read_text().split()[:3] == ["0", "1", "2"]
    assert "3" not in Path(host.env["HOOKS"] + ".fds").read_text().split()
    host.down()


@contextlib.contextmanager
def _terminal():
    """(our end, the other) of a pseudo terminal."""
    ours, theirs = os.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


# becomes a session's leader whose terminal is its stdin, waits for what follows
_OWN_TERMINAL = ["setsid", "--ctty", "--wait"]


@pytest.mark.parametrize("command", ["up", "run"])
@pytest.mark.parametrize("source", ["&0", "/dev/tty"])
def test_a_hook_reads_the_terminal_and_it_is_ours_again_afterwards(host, command, source):
    host.interface["PostUp"] = [
        f'echo asked >> "$HOOKS"; read -r answer <{source}; echo "$answer" >> "$HOOKS"',
        'cut -d " " -f 5,8 /proc/self/stat >> "$HOOKS"',
    ]
    host.interface["PreUp"] = "true < /dev/tty"
    host.write()
    with _terminal() as (ours, theirs):
        process = host.begin(command, before=_OWN_TERMINAL, stdin=theirs)
        wait_for(host.hooks, 15, "the hook asks")
        os.write(ours, b"open sesame\n")
        wait_for(lambda: len(host.hooks()) == 3, 15, "the hook has read it")
        if command == "run":
            process.wait_line(f"{host.name}: ready")
            host.down()
        assert process.wait(10) == 0
    group, in_front = host.hooks()[2].split()
    assert host.hooks()[1] == "open sesame" and in_front == group
    if command == "up":
        host.down()


def test_ctrl_c_ends_the_hook_that_reads_the_terminal_and_all_is_undone(host):
    host.interface["PostUp"] = 'echo asked >> "$HOOKS"; read -r answer'
    host.write()
    with _terminal() as (ours, theirs):
        process = host.begin("up", before=_OWN_TERMINAL, stdin=theirs)
        wait_for(host.hooks, 15, "the hook asks")
        os.write(ours, b"\x1a\x03")  # Ctrl-Z does nothing
        assert process.wait(10) == 1
    assert "was killed by signal 2" in process.log()
    host.assert_nothing_is_left()


# hooks, and what they write or None where they fail; each line was seen with wg-quick as well
_SHELL_FACTS = {
    'echo "$INTERFACE" "$CONFIG_FILE" "$LC_ALL" "$PWD" "$(umask)" >> "$HOOKS"': 1,
    'export INTERFACE; env | sed -n "/^CONFIG_FILE=/p; /^LC_ALL/p" >> "$HOOKS"': 1,
    'false; echo too far >> "$HOOKS"': None,
    'false | true; echo too far >> "$HOOKS"': None,
    '[[ abca == +([a-c]) ]]; echo "${BASH_VERSION:+bash}" >> "$HOOKS"': 1,
    'cat <(echo substituted) >> "$HOOKS"': 1,
    'cmd echo by cmd >> "$HOOKS"': 1,
    "die by die": None,
    'if false; then :; fi; false || echo "a  b\\n" >> "$HOOKS"': 1,
    'read -r line; echo "$line" >> "$HOOKS"': 1,
    'cd /; shopt -s nullglob; echo %i >> "$HOOKS"': 1,
    'echo $- >> "$HOOKS"; shopt extglob >> "$HOOKS"; shopt -o pipefail >> "$HOOKS"': 3,
}


@pytest.mark.parametrize("hook", _SHELL_FACTS)
def test_a_hook_finds_what_it_finds_in_the_shell_of_wg_quick(host, tmp_path, hook):
    lines = _SHELL_FACTS[hook]
    program = tunlite_program(tmp_path)
    host.interface["PostUp"] = hook
    host.interface["PostDown"] = [
        'cd /tmp; x=1; echo "$PWD" >> "$HOOKS"',
        'echo "$PWD$x" >> "$HOOKS"',
    ]
    host.write()
    found = {}
    for name, command in (("wg-quick", "wg-quick"), ("tunlite", program)):
        Path(host.env["HOOKS"]).unlink(missing_ok=True)
        env = {**host.env, "WG_QUICK_USERSPACE_IMPLEMENTATION": str(program)}

        def run(verb, command=command, env=env):
            argv = [command, verb, host.path]
            return host.namespace.run(argv, check=False, env=env, input="typed\nmore\n")

        up = run("up")
        assert (up.returncode == 0) == (lines is not None), up.stderr
        assert host.has_link() == (lines is not None)
        wrote = host.hooks()
        assert len(wrote) == (lines or 0)
        if lines is not None:
            assert run("down").returncode == 0
        # wg-quick does not wait for the daemon, whose end removes its socket
        wait_for(lambda: not (_SOCKETS / f"{host.name}.sock").exists(), 10, "the daemon's end")
        found[name] = wrote, host.hooks()
    flags = [re.sub("[cs]", "", row) for row in found["tunlite"][0]]
    assert flags == [re.sub("[cs]", "", row) for row in found["wg-quick"][0]]
    assert found["tunlite"][1][len(flags) :] == found["wg-quick"][1][len(flags) :]


def _change(host):
    """Another MTU in the file."""
    host.interface["MTU"] = 1390
    host.write()


@pytest.mark.parametrize("kind", ["PreUp", "PostUp"])
def test_a_sighup_while_a_hook_runs_is_not_lost(host, kind):
    fifo = host.folder / "fifo"
    os.mkfifo(fifo)
    host.interface[kind] = f"cat {fifo}"
    host.write()
    process = host.begin("run")
    with open(fifo, "w"):  # the hook runs
        _change(host)
        process.popen.send_signal(signal.SIGHUP)
        if kind == "PostUp":
            process.wait_line("reloaded")  # while it runs on
    process.wait_line("ready")
    process.wait_line("reloaded")
    assert host.link()["mtu"] == 1390
    assert process.stop() == 0


@pytest.mark.parametrize("command", ["up", "run"])
def test_a_hook_may_reload_its_interface_and_what_that_did_is_undone_too(host, tmp_path, command):
    edited = host.folder / "edited"
    host.peer["AllowedIPs"] = "0.0.0.0/0"
    host.interface["PostUp"] = f"cat {edited} > {host.path}; {tunlite_program(tmp_path)} reload %i"
    host.write()
    text = host.path.read_text().replace("0.0.0.0/0", "0.0.0.0/0, ::/0")
    edited.write_text(text + "PersistentKeepalive = 7\n")
    before = host.path.read_text()
    if command == "up":
        host.cli("up", host.path)
    else:
        process = host.run()
    assert "suppress_prefixlength 0" in host.namespace.ip("-6", "rule")
    assert host.state()["busy"] == []
    assert "persistent keepalive: every 7 seconds" in host.cli("show", host.name).stdout
    host.down()
    host.assert_nothing_is_left()
    # and where the next hook fails
    host.path.write_text(before.replace("reload %i\n", "reload %i\nPostUp = false\n"))
    edited.write_text(text)
    process = host.begin(command, "second")
    assert process.wait(15) == 1
    assert "PostUp = false" in process.log()
    host.assert_nothing_is_left()


@pytest.mark.parametrize("kind", ["PreUp", "PostUp", "PreDown", "PostDown"])
@pytest.mark.parametrize("command", ["up", "run"])
def test_while_a_hook_runs_others_fail_at_once_naming_the_process(host, command, kind):
    fifo = host.folder / "fifo"
    os.mkfifo(fifo)
    host.interface[kind] = f"cat {fifo}"
    host.write()
    process = host.begin(command)
    if kind.endswith("Down"):
        wait_for(host.has_link, 15, "it is up")
        if command == "run":
            process.wait_line("ready")
            process.popen.send_signal(signal.SIGTERM)
        else:
            assert process.wait(15) == 0
            process = host.begin("down", "down")
    with open(fifo, "w"):  # the hook runs
        word = "taken down" if kind.endswith("Down") else "brought up"
        for words in (("up", host.path), ("down", host.name)):
            failed = host.cli(*words, check=False)
            assert failed.returncode == 1
            assert f"{host.name} is being {word} by another process (pid" in failed.stderr
            assert f"(pid {host.state()['busy'][0][0]})" in failed.stderr
        if kind == "PreDown":
            assert f"is being {word}" in host.cli("reload", host.name, check=False).stderr
        assert process.is_running()
    if kind.endswith("Up"):
        wait_for(lambda: not host.state()["busy"], 15, "it is done")
        host.down()
    assert process.wait(15) == 0
    host.assert_nothing_is_left()


def test_a_hook_that_takes_its_own_interface_down_is_refused_and_nothing_hangs(host, tmp_path):
    host.interface["PostUp"] = f"{tunlite_program(tmp_path)} down %i"
    host.write()
    failed = host.cli("run", "--config", host.path, check=False)
    assert failed.returncode == 1
    assert "is being brought up by another process" in failed.stderr
    host.assert_nothing_is_left()


def test_two_reloads_at_once_are_done_one_after_the_other(host):
    host.up()
    _change(host)
    several = [host.begin("reload", f"reload{number}") for number in range(4)]
    assert [process.wait(20) for process in several] == [0] * 4
    assert host.state()["loads"] == 5 and host.state()["busy"] == []
    host.down()


def test_an_interface_that_tunlite_0_1_0_brought_up_is_taken_down(host):
    host.up()
    record = host.state()
    del record["version"], record["busy"]
    (_STATES / f"{host.name}.json").write_text(json.dumps(record))
    host.cli("reload", host.name)
    (_STATES / f"{host.name}.json").write_text(json.dumps(record))
    host.down()
    host.assert_nothing_is_left()


def test_the_record_of_a_later_tunlite_is_refused_in_words_and_left_alone(host):
    host.up()
    record = host.state()
    path = _STATES / f"{host.name}.json"
    path.write_text(json.dumps(dict(record, version=99)))
    for words in (("down", host.name), ("reload", host.name), ("up", host.path)):
        failed = host.cli(*words, check=False)
        assert failed.returncode == 1
        assert "was written by another tunlite (version 99, not 2)" in failed.stderr
    assert host.state() == dict(record, version=99)
    path.write_text(json.dumps(record))
    host.down()


def test_a_stopped_daemon_holds_up_neither_reload_nor_the_end_of_a_run_that_saves(host):
    host.interface["SaveConfig"] = "true"
    process = host.run()
    os.kill(host.state()["pid"], signal.SIGSTOP)
    failed = host.cli("reload", host.name, check=False)
    assert failed.returncode == 1
    assert f"{host.name} does not answer" in failed.stderr
    assert process.stop(timeout=10) == 1
    assert f"{host.name} does not answer" in process.log()
    host.assert_nothing_is_left()


@pytest.mark.parametrize("kind", ["PostUp", "PreDown"])
def test_what_a_hook_leaves_running_goes_on_and_keeps_nothing_of_ours(host, kind):
    host.interface[kind] = 'sleep 1000 > /dev/null 2>&1 & echo $! >> "$HOOKS"'
    host.up()
    if kind == "PreDown":
        host.down()
    [pid] = host.hooks()
    # No descriptor came with it, so no lock of the record either.
    assert sorted(fd.name for fd in Path(f"/proc/{pid}/fd").iterdir()) == ["0", "1", "2"]
    if kind == "PostUp":
        host.cli("reload", host.name)
    else:
        host.up()
    host.down()
    assert Path(f"/proc/{pid}").exists()
    for pid in host.hooks():
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize("command", ["up", "run"])
def test_saveconfig_writes_what_ran_back_when_it_goes_down(host, command):
    host.interface["SaveConfig"] = "true"
    host.interface["PreDown"] = f"wg set %i peer {host.other.public} persistent-keepalive 21"
    third = Keys()
    if command == "up":
        host.up()
    else:
        process = host.run()
    wg = ["wg", "set", host.name, "listen-port", "40077", "peer", third.public]
    host.namespace.run([*wg, "allowed-ips", "10.9.0.0/16,fd09::/64", "endpoint", "192.0.2.7:99"])
    said = host.down().stderr
    if command == "run":
        assert process.wait(5) == 0
        said = process.log()
    assert f"{host.path} has what ran" in said
    assert host.path.stat().st_mode & 0o777 == 0o600
    text = host.path.read_text()
    assert re.search("PrivateKey = .{44}\nListenPort = 40077\n", text)
    assert "Address = 10.5.0.1/24, fd05::1/64\n" in text and "SaveConfig = true\n" in text
    assert text.endswith(
        f"[Peer]\nPublicKey = {host.other.public}\n"
        "AllowedIPs = 10.5.0.2/32, 10.6.0.0/16\nPersistentKeepalive = 21\n\n"
        f"[Peer]\nPublicKey = {third.public}\n"
        "AllowedIPs = 10.9.0.0/16, fd09::/64\nEndpoint = 192.0.2.7:99\n"
    )
    host.cli("check", host.path)
    host.cli("up", host.path)
    shown = host.namespace.run(["wg", "show", host.name]).stdout
    assert f"public key: {host.keys.public}\n" in shown and "listening port: 40077\n" in shown
    assert third.public in shown
    host.down()
    assert host.path.read_text() == text, "what did not change is written the same"


@pytest.mark.parametrize("mark", [None, 777])
def test_saveconfig_writes_through_a_symlink_and_leaves_the_choice_of_a_mark_to_us(host, mark):
    kept = host.folder / "kept" / "file"
    kept.parent.mkdir()
    host.path.rename(kept)
    host.path.symlink_to("kept/file")
    host.interface["SaveConfig"] = "true"
    host.peer["AllowedIPs"] = "0.0.0.0/0"
    if mark:
        host.interface["FwMark"] = mark
    host.up()
    before = host.path.read_text()
    host.namespace.run(["wg", "set", host.name, "listen-port", "40078"])
    host.down()
    assert host.path.is_symlink() and not kept.is_symlink()
    text = kept.read_text()
    assert text != before and "ListenPort = 40078\n" in text
    assert re.findall("FwMark = .*", text) == ([f"FwMark = {mark}"] if mark else [])


def test_without_saveconfig_the_file_is_left_alone(host):
    host.up()
    before = host.path.read_text()
    host.namespace.run(["wg", "set", host.name, "peer", Keys().public])
    host.down()
    assert host.path.read_text() == before


def test_a_file_that_cannot_be_saved_is_told_and_the_interface_goes(host):
    host.interface["SaveConfig"] = "true"
    host.up()
    host.path.write_text("[Interface]\nMTU = x\n")
    failed = host.down(check=False)
    assert failed.returncode == 1
    assert "is not written anew" in failed.stderr and "MTU" in failed.stderr
    assert host.path.read_text() == "[Interface]\nMTU = x\n"
    host.assert_nothing_is_left()


def _daemon_status(host):
    text = Path(f"/proc/{host.state()['pid']}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines())


def test_hooks_keep_the_rights_of_root_and_the_daemon_gives_them_up(host):
    host.interface["PostUp"] = 'grep CapEff /proc/self/status >> "$HOOKS"'
    host.interface["ListenPort"] = 500
    host.up()
    mine = re.search(r"CapEff:\s+(\w+)", Path("/proc/self/status").read_text())[1]
    assert host.hooks()[0].split() == ["CapEff:", mine]
    status = _daemon_status(host)
    assert int(status["CapEff"], 16) == 1 << 12 | 1 << 10  # and NET_BIND_SERVICE for port 500
    assert status["NoNewPrivs"] == "1"
    host.down()


def test_the_daemon_becomes_user_and_group_and_shares_its_socket_with_them(host):
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        pytest.skip("this user namespace has one user")
    host.interface["User"] = "nobody"
    host.interface["SocketGroup"] = "daemon"
    host.interface["StateDir"] = str(host.folder / "state")
    host.up()
    status = _daemon_status(host)
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["1"] * 4
    assert status["Groups"].strip() in ("", "1")
    assert int(status["CapEff"], 16) == 1 << 12 | 1 << 10
    socket = (_SOCKETS / f"{host.name}.sock").stat()
    assert (socket.st_uid, socket.st_gid, socket.st_mode & 0o777) == (65534, 1, 0o660)
    folder = (host.folder / "state").stat()
    assert (folder.st_uid, folder.st_gid, folder.st_mode & 0o777) == (65534, 1, 0o700)
    assert host.namespace.run(["wg", "show", host.name]).returncode == 0
    host.down()
    host.assert_nothing_is_left()


def test_a_user_alone_opens_the_socket_to_nobody_else(host):
    """Whoever may use it reads the private key, and nogroup is anybody's."""
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        pytest.skip("this user namespace has one user")
    host.interface["User"] = "nobody"
    host.interface["StateDir"] = str(host.folder / "state")
    host.up()
    assert _daemon_status(host)["Gid"].split() == ["65534"] * 4
    socket = (_SOCKETS / f"{host.name}.sock").stat()
    assert (socket.st_uid, socket.st_gid, socket.st_mode & 0o777) == (65534, 0, 0o600)
    foreign = ["setpriv", "--reuid=1", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    refused = host.namespace.run([*foreign, "wg", "show", host.name, "private-key"], check=False)
    assert refused.returncode and not refused.stdout
    host.down()


def test_an_unknown_user_is_told(host):
    host.interface["User"] = "no-such-user"
    failed = host.up(check=False)
    assert failed.returncode == 78
    assert "no user no-such-user" in failed.stderr
    host.assert_nothing_is_left()


def test_the_mtu_comes_from_the_way_to_the_endpoints(host):
    namespace = host.namespace
    host.outside("d0", "192.0.2.1/24", mtu=1400)
    host.peer["Endpoint"] = "192.0.2.9:51820"
    host.up()
    assert host.link()["mtu"] == 1320
    host.down()
    namespace.ip("route", "add", "192.0.2.9/32", "dev", "d0", "mtu", "1380")
    host.up()
    assert host.link()["mtu"] == 1300
    host.down()
    host.interface["MTU"] = 1281
    host.up()
    assert host.link()["mtu"] == 1281
    host.down()


def test_without_endpoints_the_mtu_comes_from_the_default_route(host):
    host.up()
    assert host.link()["mtu"] == 1420
    host.down()
    host.outside("d0", "192.0.2.1/24", mtu=9000)
    host.namespace.ip("route", "add", "default", "dev", "d0")
    host.up()
    assert host.link()["mtu"] == 8920
    host.down()


def test_a_reload_looks_at_the_ways_to_the_endpoints_again(host):
    ip = host.namespace.ip
    host.outside("d0", "192.0.2.1/24", mtu=1400)
    host.outside("d1", "198.51.100.1/24", mtu=1500)
    ip("route", "add", "default", "dev", "d0")
    host.interface["MTU"] = "auto"
    host.interface["PostUp"] = "ip link set %i mtu 1300"
    host.peer["AllowedIPs"] = "0.0.0.0/0, 10.5.0.2/32"
    host.peer["Endpoint"] = "203.0.113.9:51820"
    host.up()

    def reloaded():
        host.write()
        host.cli("reload", host.name)
        return host.link()["mtu"]

    assert reloaded() == 1300  # the hook's, though the way to the endpoint is our own link's now
    host.peer["Endpoint"] = "198.51.100.9:51820"
    assert reloaded() == 1420
    host.interface["MTU"] = 1333
    assert reloaded() == 1333
    del host.interface["MTU"]
    assert reloaded() == 1420
    host.peer["Endpoint"] = "203.0.113.9:51820"
    assert reloaded() == 1320
    host.down()


def test_the_mtu_waits_for_names_but_not_for_a_dead_resolver(host, lab):
    host.outside("d0", "192.0.2.1/24", mtu=1400)
    host.outside("d1", "198.51.100.1/24", mtu=1500)
    host.namespace.ip("route", "add", "default", "dev", "d0")
    server = NameServer(lab, host.namespace, {"d1.test": "198.51.100.9"})
    host.command = []
    server.serve(host)
    host.peer["Endpoint"] = "d1.test:51820"
    host.write()
    up = [*host.command, *tunlite_command(), "up", host.path]
    host.namespace.run(up, env=host.env)
    assert host.link()["mtu"] == 1420
    host.down()
    server.silent = True
    host.namespace.run(up, env=host.env)  # its 30 s: the resolver of libc takes longer
    assert host.link()["mtu"] == 1320
    server.silent = False
    wait_for(
        lambda: "198.51.100.9" in host.namespace.run(["wg", "show", host.name]).stdout, 60, "d1"
    )
    host.cli("reload", host.name)
    assert host.link()["mtu"] == 1420
    host.down()


@pytest.mark.parametrize("command", ["up", "run", "reload"])
def test_a_route_that_another_link_has_is_an_error_that_names_the_link(host, command):
    host.outside("d0", "192.0.2.1/24")
    host.namespace.ip("route", "add", "blackhole", "198.51.100.0/24")
    if command == "reload":
        host.up()
    for taken, owner in (
        ("192.0.2.0/24", "d0 has it"),
        ("198.51.100.0/24", "another route has it"),
    ):
        host.peer["AllowedIPs"] = f"{taken}, 10.6.0.0/16, 10.7.0.0/16"
        host.write()
        words = {"up": ["up", host.path], "run": ["run", "--config", host.path]}
        failed = host.cli(*words.get(command, ["reload", host.name]), check=False)
        assert failed.returncode == 1
        assert f"route to {taken}: {owner}" in failed.stderr
    assert "dev d0" in host.namespace.ip("route", "get", "192.0.2.9")
    if command == "reload":
        assert host.routes() == {"10.5.0.0/24", "10.6.0.0/16", "10.7.0.0/16"}
        host.down()
    host.assert_nothing_is_left()


def test_a_default_route_in_a_table_that_has_one_is_an_error_that_names_the_link(host):
    host.outside("d0", "192.0.2.1/24")
    host.namespace.ip("route", "add", "default", "dev", "d0", "table", "777")
    host.interface["FwMark"] = 777
    host.peer["AllowedIPs"] = "0.0.0.0/0"
    failed = host.up(check=False)
    assert failed.returncode == 1
    assert "route to 0.0.0.0/0: d0 has it" in failed.stderr
    host.assert_nothing_is_left()


def test_a_route_that_a_hook_made_over_our_link_is_no_error(host):
    host.interface["PostUp"] = "ip route add 10.7.0.0/16 dev %i"
    host.up()
    host.peer["AllowedIPs"] = "10.5.0.2/32, 10.7.0.0/16"
    host.write()
    host.cli("reload", host.name)
    assert host.routes() == {"10.5.0.0/24", "10.7.0.0/16"}
    host.down()


def test_an_ipv6_route_of_a_better_metric_over_another_link_is_told(host):
    host.outside("d0", "fd99::1/64")
    host.peer["AllowedIPs"] = "fd99::/64, fd98::/64"
    done = host.up()
    assert "packets to fd99::/64 leave by d0" in done.stderr
    assert "fd98" not in done.stderr
    host.down()


@pytest.mark.parametrize("mark", [None, 777])
def test_a_default_route_gets_rules_a_mark_and_a_filter(host, mark):
    namespace = host.namespace
    host.peer["AllowedIPs"] = "0.0.0.0/0, ::/0"
    if mark:
        host.interface["FwMark"] = mark
    else:
        host.outside("d0", "192.0.2.1/24")
        namespace.ip("route", "add", "10.1.1.2", "dev", "d0", "table", "51820")
    table = mark or 51821  # the first number whose table is empty
    host.up()
    for family in ("-4", "-6"):
        rules = namespace.ip(family, "rule")
        assert f"not from all fwmark 0x{table:x} lookup {table}" in rules
        assert "from all lookup main suppress_prefixlength 0" in rules
        assert host.routes(family, str(table)) == {"default"}
    assert namespace.run(["wg", "show", host.name, "fwmark"]).stdout.strip() == f"0x{table:x}"
    src_valid_mark = "cat /proc/sys/net/ipv4/conf/all/src_valid_mark"
    assert namespace.run(["sh", "-c", src_valid_mark]).stdout == "1\n"
    filters = namespace.run(["nft", "list", "ruleset"]).stdout
    assert f"table ip tunlite-{host.name}" in filters
    assert f"table ip6 tunlite-{host.name}" in filters
    assert "ip daddr 10.5.0.1" in filters and "ip6 daddr fd05::1" in filters
    # A more precise route of the main table wins over the tunnel's.
    host.outside("d9", "198.51.100.1/24")
    assert "dev d9" in namespace.ip("route", "get", "198.51.100.7")
    assert f"dev {host.name}" in namespace.ip("route", "get", "203.0.113.7")
    host.down()
    host.assert_nothing_is_left()


def _rules(host, family="-4"):
    """The rules that are not the kernel's own, in the kernel's order."""
    rows = json.loads(host.namespace.ip(family, "-j", "rule"))
    return [
        ("main" if "suppress_prefixlen" in row else row["table"], row.get("fwmark"))
        for row in sorted(rows, key=lambda row: row["priority"])
        if "suppress_prefixlen" in row or "fwmark" in row
    ]


def test_our_own_key_among_the_peers_makes_no_route_rule_or_peer(host):
    host.peer["PublicKey"] = host.keys.public
    host.peer["AllowedIPs"] = "10.5.0.1/32, 10.6.0.0/16, 0.0.0.0/0, ::/0"
    done = host.up()
    assert "PublicKey: it is our own: left out" in done.stderr
    for _ in range(2):
        assert host.routes() == {"10.5.0.0/24"}
        assert _rules(host) == _rules(host, "-6") == []
        assert host.namespace.run(["wg", "show", host.name, "fwmark"]).stdout == "off\n"
        assert host.namespace.run(["wg", "show", host.name, "peers"]).stdout == ""
        host.cli("reload", host.name)
    host.down()
    host.assert_nothing_is_left()


@pytest.mark.parametrize("first", [0, 1, 2])
def test_full_tunnels_come_and_go_in_any_order_and_each_keeps_its_own_rules(host, lab, first):
    hosts = [host, Host(lab), Host(lab)]
    for number, other in enumerate(hosts):
        other.namespace = host.namespace
        other.interface["Address"] = f"10.{50 + number}.0.1/24"
        other.peer["AllowedIPs"] = "0.0.0.0/0, ::/0"
        other.up()
    tables = {one.name: 51820 + number for number, one in enumerate(hosts)}

    def wanted(alive):
        rows = []
        for one in reversed(alive):
            table = tables[one.name]
            rows += [("main", None), (str(table), f"{table:#x}")]
        return rows

    assert _rules(host) == _rules(host, "-6") == wanted(hosts)
    gone = hosts.pop(first)
    gone.down()
    assert _rules(host) == _rules(host, "-6") == wanted(hosts)
    gone.up()  # in the table that was left
    hosts.append(gone)
    assert _rules(host) == _rules(host, "-6") == wanted(hosts)
    while hosts:
        hosts.pop(0).down()
        assert _rules(host) == _rules(host, "-6") == wanted(hosts)
    host.assert_nothing_is_left()


def test_a_table_with_any_route_at_all_is_not_taken_for_a_default_route(host):
    host.namespace.ip("route", "add", "blackhole", "10.1.1.2", "table", "51820")
    host.namespace.ip("-6", "route", "add", "unreachable", "fd99::/64", "table", "51821")
    host.peer["AllowedIPs"] = "0.0.0.0/0"
    host.up()
    assert host.routes(table="51822") == {"default"}
    host.down()


@pytest.mark.parametrize("mark", [None, 777])
def test_rules_and_filters_go_and_come_with_the_default_routes_of_a_reload(host, mark):
    if mark:
        host.interface["FwMark"] = mark
    table = mark or 51820
    pair = [("main", None), (str(table), f"{table:#x}")]
    host.peer["AllowedIPs"] = "0.0.0.0/0, ::/0"
    host.up()
    for allowed, v4, v6 in (
        ("0.0.0.0/0", True, False),
        ("::/0", False, True),
        ("10.6.0.0/16", False, False),
        ("0.0.0.0/0, ::/0", True, True),
    ):
        host.peer["AllowedIPs"] = allowed
        host.write()
        host.cli("reload", host.name)
        assert (_rules(host), _rules(host, "-6")) == (pair * v4, pair * v6)
        tables = host.namespace.run(["nft", "list", "tables"]).stdout
        assert (f"table ip tunlite-{host.name}" in tables) == v4
        assert (f"table ip6 tunlite-{host.name}" in tables) == v6
    host.down()
    host.assert_nothing_is_left()


def test_the_filter_protects_the_addresses_of_the_last_reload(host):
    host.peer["AllowedIPs"] = "0.0.0.0/0, ::/0"
    host.up()
    host.interface["Address"] = "10.9.0.1/24, fd09::1/64"
    host.write()
    host.cli("reload", host.name)
    filters = host.namespace.run(["nft", "list", "ruleset"]).stdout
    assert filters.count("10.9.0.1") == filters.count("fd09::1") == 1
    assert "10.5.0.1" not in filters and "fd05::1" not in filters
    assert filters.count("ct mark set") == 2
    host.down()
    host.assert_nothing_is_left()


@pytest.mark.parametrize("name", ["ip", "drop", "type", "0x1", "1st.uplink", "a=b+c", "last", "_-"])
def test_every_name_of_an_interface_gets_its_filter(host, name):
    host.name = name
    host.path = host.folder / f"{name}.conf"
    host.path.touch(mode=0o600)
    host.peer["AllowedIPs"] = "0.0.0.0/0, ::/0"
    done = host.up()
    assert "nft" not in done.stderr
    filters = host.namespace.run(["nft", "list", "ruleset"]).stdout
    for address in ("ip daddr 10.5.0.1", "ip6 daddr fd05::1"):
        assert f'iifname != "{name}" {address}' in filters
    host.down()
    assert "tunlite" not in host.namespace.run(["nft", "list", "ruleset"]).stdout
    host.assert_nothing_is_left()


def test_without_nft_it_says_what_is_left_out(host):
    host.peer["AllowedIPs"] = "0.0.0.0/0"
    bin_folder = host.folder / "bin"
    bin_folder.mkdir()
    for program in ("bash", "nsenter"):
        (bin_folder / program).symlink_to(f"/usr/bin/{program}")
    host.env["PATH"] = str(bin_folder)
    done = host.up()
    assert "no nft program" in done.stderr
    assert "default" in host.routes(table="51820")
    host.down()


@pytest.mark.parametrize(("table", "found"), [("off", None), ("123", "123")])
def test_table_says_where_routes_go(host, table, found):
    host.interface["Table"] = table
    host.peer["AllowedIPs"] = "0.0.0.0/0, 10.6.0.0/16"
    host.up()
    assert host.routes() == {"10.5.0.0/24"}
    if found:
        assert host.routes(table=found) == {"default", "10.6.0.0/16"}
    assert "fwmark" not in host.namespace.ip("rule")
    host.down()


def test_dns_without_resolvconf_is_an_error_that_undoes_all(host):
    host.interface["DNS"] = "192.0.2.53"
    host.env["PATH"] = "/usr/bin:/bin:/usr/sbin:/sbin"
    failed = host.up(check=False)
    assert failed.returncode == 1
    assert "resolvconf" in failed.stderr
    host.assert_nothing_is_left()


def test_dns_is_handed_to_resolvconf_and_taken_back(host):
    bin_folder = host.folder / "bin"
    bin_folder.mkdir()
    program = bin_folder / "resolvconf"
    program.write_text('#!/bin/sh\necho "$@" >> "$HOOKS"; [ "$1" = -d ] || cat >> "$HOOKS"\n')
    program.chmod(0o755)
    host.env["PATH"] = f"{bin_folder}:{host.env['PATH']}"
    host.interface["DNS"] = "192.0.2.53, fd00::53, example.org, example.net"
    host.up()
    host.down()
    assert host.hooks() == [
        f"-a {host.name} -m 0 -x",
        "nameserver 192.0.2.53",
        "nameserver fd00::53",
        "search example.org example.net",
        f"-d {host.name} -f",
    ]


def test_a_private_key_file_that_others_may_read_is_refused(host):
    host.write()
    host.path.chmod(0o644)
    failed = host.cli("up", host.path, check=False)
    assert failed.returncode == 78
    assert f"chmod 600 {host.path}" in failed.stderr


def test_every_error_of_a_file_is_told_before_anything_is_done(host):
    host.interface["MTU"] = "x"
    host.peer["Endpoint"] = "nowhere"
    failed = host.up(check=False)
    assert failed.returncode == 78
    assert "MTU: " in failed.stderr and "Endpoint: " in failed.stderr
    host.assert_nothing_is_left()


def test_run_ends_within_a_second_of_sigterm_with_its_hooks(host):
    host.interface["PreDown"] = 'echo pre >> "$HOOKS"'
    host.interface["PostDown"] = 'echo post >> "$HOOKS"'
    assert seconds_to_end(lambda number: host.run(f"run{number}")) < 1
    assert host.hooks() == ["pre", "post"] * 3
    host.assert_nothing_is_left()


@pytest.mark.parametrize("how", ["link", "socket"])
def test_run_cleans_up_when_its_link_or_socket_is_removed(host, how):
    host.peer["AllowedIPs"] = "0.0.0.0/0"
    host.interface["PostDown"] = 'echo post >> "$HOOKS"'
    process = host.run()
    if how == "link":
        host.namespace.ip("link", "del", host.name)
    else:
        (_SOCKETS / f"{host.name}.sock").unlink()
    assert process.wait(5) == 0
    assert host.hooks() == ["post"]
    host.assert_nothing_is_left()


def test_down_ends_a_run(host):
    process = host.run()
    host.down()
    assert process.wait(5) == 0
    host.assert_nothing_is_left()


def test_a_killed_run_leaves_nothing_in_the_way_of_the_next(host):
    host.peer["AllowedIPs"] = "0.0.0.0/0"
    process = host.run()
    process.stop(signal.SIGKILL)
    process = host.run("second")
    assert "cleaning up after an earlier run" in process.log()
    assert host.namespace.ip("rule").count("suppress_prefixlength") == 1
    assert process.stop() == 0
    host.assert_nothing_is_left()


@pytest.mark.parametrize("command", ["up", "run"])
def test_the_confined_daemon_has_nothing_that_its_caller_had_open(host, command):
    host.write()
    lock = host.folder / "lock"
    words = ["run", "--config", host.path] if command == "run" else ["up", host.path]
    argv = ["sh", "-c", f'exec 9>{lock} && exec "$@"', "sh", *tunlite_command(), *words]
    if command == "run":
        host.namespace.start(argv, "first").wait_line(f"{host.name}: ready")
    else:
        host.namespace.run(argv)
    folder = Path(f"/proc/{host.state()['pid']}/fd")
    assert str(lock) not in [os.readlink(path) for path in folder.iterdir()]
    host.down()


def test_a_killed_daemon_is_cleaned_up_by_its_parent(host):
    process = host.run()
    os.kill(host.state()["pid"], signal.SIGKILL)
    assert process.wait(5) == 1
    assert "the daemon was killed by signal 9" in process.log()
    host.assert_nothing_is_left()


def test_what_a_supervisor_reads_as_an_error_is_one(host):
    """procd logs stderr as errors, stdout as information."""
    host.write()
    errors = host.folder / "errors"
    argv = ["sh", "-c", f'exec "$@" 2>{errors}', "sh", *tunlite_command(), "run", "--config"]
    process = host.namespace.start([*argv, host.path], "first")
    process.wait_line(f"{host.name}: ready")
    assert process.stop() == 0
    assert errors.read_text() == ""


@pytest.mark.parametrize("words", [[], ["--no-new-privs"]])
def test_hooks_can_gain_rights_unless_it_is_told_otherwise(host, words):
    host.interface["PostUp"] = 'grep NoNewPrivs /proc/self/status >> "$HOOKS"'
    host.write()
    argv = [*tunlite_command(), "run", *words, "--config", host.path]
    process = host.namespace.start(argv, "first", env={"HOOKS": host.env["HOOKS"]})
    process.wait_line(f"{host.name}: ready")
    assert host.hooks()[0].split() == ["NoNewPrivs:", str(len(words))]
    assert process.stop() == 0


@pytest.mark.parametrize("how", ["SIGHUP", "reload", "reload of up"])
def test_a_reload_applies_addresses_routes_mtu_and_peers(host, how):
    process = host.up() if how == "reload of up" else host.run()
    third = Keys()
    host.interface["Address"] = "10.5.0.1/24, 10.7.0.1/24"
    host.interface["MTU"] = 1390
    host.peer["AllowedIPs"] = "10.5.0.2/32, 10.8.0.0/16"
    host.path.write_text(
        ini(
            [
                ("Interface", host.interface),
                ("Peer", host.peer),
                ("Peer", {"PublicKey": third.public, "AllowedIPs": "10.9.0.0/16"}),
            ]
        )
    )
    if how == "SIGHUP":
        process.popen.send_signal(signal.SIGHUP)
        process.wait_line("reloaded")
    else:
        host.cli("reload", host.name)
    assert host.addresses() == {"10.5.0.1/24", "10.7.0.1/24"}
    assert host.routes() == {"10.5.0.0/24", "10.7.0.0/24", "10.8.0.0/16", "10.9.0.0/16"}
    assert host.link()["mtu"] == 1390
    allowed = host.namespace.run(["wg", "show", host.name, "allowed-ips"]).stdout
    assert set(allowed.split()) == {
        *(host.other.public, "10.5.0.2/32", "10.8.0.0/16"),
        *(third.public, "10.9.0.0/16"),
    }
    host.down()


def test_a_reload_of_an_unchanged_file_finds_no_option_changed(host):
    host.interface |= {"RingSlots": "8, 32", "Offloads": "udp_gso", "Batch": 8, "RekeyAfter": 60}
    host.up()
    assert "was changed" not in host.cli("reload", host.name).stderr
    host.interface["RingSlots"] = "8, 16"
    host.write()
    assert "RingSlots was changed: that takes effect" in host.cli("reload", host.name).stderr


def test_a_reload_of_a_broken_file_changes_nothing_and_says_why(host):
    process = host.run()
    before = host.state()
    host.interface["MTU"] = "x"
    host.write()
    failed = host.cli("reload", host.name, check=False)
    assert failed.returncode == 1
    assert "MTU" in failed.stderr
    process.wait_line("not reloaded")
    assert process.is_running()
    assert host.state()["addresses"] == before["addresses"]


def test_a_reload_keeps_sessions_of_unchanged_peers_and_loses_no_ping(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    tunnel.router.wait_handshake(tunnel.gateway)
    before = tunnel.gateway.peer_json(tunnel.router)["handshakes"]
    background = BackgroundPing(tunnel.router.namespace, tunnel.gateway.v4, interval=0.02)
    background.wait_replies(3)
    for number in range(5):
        extra = Keys()
        section = {"PublicKey": extra.public, "AllowedIPs": f"10.88.{number}.0/24"}
        tunnel.gateway.peers[extra.public] = section
        tunnel.gateway.reload()
        wait_for(
            lambda key=extra.public: key in tunnel.gateway.wg("show", tunnel.gateway.name, "peers"),
            10,
            "the new peer",
        )
    background.wait_replies(5)
    assert background.stop().lost == 0
    assert tunnel.gateway.peer_json(tunnel.router)["handshakes"] == before


@pytest.mark.parametrize("verb", ["setconf", "syncconf", "addconf"])
def test_a_configuration_is_handed_to_a_waited_for_daemon(lab, verb):
    tunnel = Tunnel(lab)
    host, name = tunnel.router.namespace, tunnel.router.name
    host.start([*tunlite_command(), "-f", name], name)
    peer = next(iter(tunnel.router.peers.values()))
    text = ini([("Interface", {"PrivateKey": tunnel.router.keys.private}), ("Peer", peer)])
    argv = [*tunlite_command(), verb, "--wait", "10", name, "/dev/stdin"]
    host.run(argv, input=text)
    assert host.run(["wg", "show", name, "peers"]).stdout.split() == [tunnel.gateway.keys.public]
    host.ip("addr", "add", tunnel.router.v4 + "/16", "dev", name)
    host.ip("link", "set", name, "up")
    tunnel.gateway.start()
    tunnel.wait_up()
    other = Keys()
    text = ini([("Interface", {}), ("Peer", {"PublicKey": other.public})])
    host.run([*tunlite_command(), verb, name, "-"], input=text)
    peers = set(host.run(["wg", "show", name, "peers"]).stdout.split())
    kept = {tunnel.gateway.keys.public} if verb == "addconf" else set()
    assert peers == {other.public} | kept


def test_a_daemon_that_is_not_there_is_waited_for_and_then_told(host):
    host.write()
    begun = time.monotonic()
    failed = host.cli("setconf", "--wait", "1", host.name, host.path, check=False)
    assert failed.returncode == 1
    assert "is not up" in failed.stderr
    assert 1 <= time.monotonic() - begun < 5


def test_syncconf_keeps_the_session_that_runs(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    before = tunnel.router.peer_json(tunnel.gateway)["handshakes"]
    argv = [*tunlite_command(), "syncconf", tunnel.router.name, "-"]
    for _ in range(3):
        tunnel.router.namespace.run(argv, input=tunnel.router.set_text())
        tunnel.wait_up()
    assert tunnel.router.peer_json(tunnel.gateway)["handshakes"] == before
    assert isinstance(tunnel.router, Tunlite)


@pytest.mark.parametrize("command", ["up", "run"])
def test_a_port_that_is_taken_is_told_and_all_is_undone(host, command):
    holder = host.namespace.udp_socket(port=51999)
    host.interface["ListenPort"] = 51999
    host.write()
    words = ["up", host.path] if command == "up" else ["run", "--config", host.path]
    failed = host.cli(*words, check=False)
    assert failed.returncode == 1
    assert "UDP port 51999" in failed.stderr
    host.assert_nothing_is_left()
    holder.close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["up", "run"])
def test_a_signal_while_it_comes_up_undoes_everything(host, command, signum):
    host.peer["AllowedIPs"] = "0.0.0.0/0"
    fifo = host.folder / "fifo"
    os.mkfifo(fifo)
    host.interface["PostUp"] = f"cat {fifo}"
    host.write()
    words = ["up", host.path] if command == "up" else ["run", "--config", host.path]
    process = host.namespace.start([*tunlite_command(), *words], "first", env=host.env)
    with open(fifo, "w"):  # the hook runs
        process.popen.send_signal(signum)
    assert process.wait(10) == 1
    assert "interrupted" in process.log()
    host.assert_nothing_is_left()


def test_a_signal_while_names_are_waited_for_undoes_everything(host, lab):
    server = NameServer(lab, host.namespace, silent=True)
    host.command = []
    server.serve(host)
    host.peer["Endpoint"] = "dead.test:51820"
    host.write()
    argv = [*host.command, *tunlite_command(), "run", "--config", host.path]
    process = host.namespace.start(argv, "first", env=host.env)
    wait_for(lambda: server.asked, 10, "the name is asked for")
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait(10) == 1
    assert "interrupted" in process.log()
    host.assert_nothing_is_left()


def test_the_daemon_of_a_killed_up_is_on_its_own(host):
    host.up()
    assert host.state()["parent"] == 0
    pid = host.state()["pid"]
    assert os.getsid(pid) == pid
    host.down()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 5, "init has collected it")


def test_two_interfaces_live_side_by_side(host, lab):
    other = Host(lab)
    other.namespace = host.namespace
    other.interface["Address"] = "10.55.0.1/24"
    other.peer["AllowedIPs"] = "0.0.0.0/0"
    host.peer["AllowedIPs"] = "0.0.0.0/0, ::/0"
    host.up()
    other.up()
    host.down()
    rules = host.namespace.ip("rule")
    assert "lookup 51821" in rules and "lookup 51820" not in rules
    assert rules.count("suppress_prefixlength 0") == 1
    other.down()
    host.assert_nothing_is_left()


def test_a_reload_opens_a_port_below_1024(host):
    host.up()
    host.interface["ListenPort"] = 443
    host.write()
    host.cli("reload", host.name)
    assert host.namespace.run(["wg", "show", host.name, "listen-port"]).stdout == "443\n"
    assert host.namespace.run(["ss", "-lnuH", "sport = :443"]).stdout.count(":443") == 2
    host.down()


def test_a_reload_to_a_taken_port_is_told_and_the_old_one_stays(host):
    holder = host.namespace.udp_socket(port=51999)
    host.interface["ListenPort"] = 51998
    host.up()
    host.interface["ListenPort"] = 51999
    host.write()
    failed = host.cli("reload", host.name, check=False)
    assert failed.returncode == 1
    assert "the UDP port is taken" in failed.stderr
    assert host.namespace.run(["wg", "show", host.name, "listen-port"]).stdout == "51998\n"
    holder.close()
    host.cli("reload", host.name)
    assert host.namespace.run(["wg", "show", host.name, "listen-port"]).stdout == "51999\n"
    host.down()
