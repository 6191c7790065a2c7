# SPDX-License-Identifier: MIT
"""Commands from events, by real daemons: router and gateway in one namespace, over its loopback."""

import base64
import json
import os
import signal
from pathlib import Path

import pytest

from lab.peers import Keys, ini, interface_name, preshared_key, tunlite_command
from lab.topology import wait_for
from tunlite.host import record

pytestmark = pytest.mark.once

_EVENTS = {
    "OnEstablish": 'echo "came $INTERFACE $PEER_NAME $PEER_ADDRESS $PEER_PORT" >> OUT',
    "OnDisestablish": 'echo "left $PEER_NAME $REASON" >> OUT',
}


class End:
    """One daemon's file and namespace."""

    def __init__(self, lab, namespace, number):
        self.namespace = namespace
        self.number = number
        self.name = interface_name()
        self.keys = Keys()
        self.folder = lab.folder
        self.path = lab.folder / f"{self.name}.conf"
        self.out = lab.folder / f"{self.name}.out"
        self.interface = {
            **{"PrivateKey": self.keys.private, "ListenPort": 5000 + number, "Table": "off"},
            **{name: text.replace("OUT", str(self.out)) for name, text in _EVENTS.items()},
        }
        self.peer = {}
        lab.on_close(self.clean)

    def clean(self):
        for path in (f"/var/run/wireguard/{self.name}.sock", f"/var/run/tunlite/{self.name}.json"):
            Path(path).unlink(missing_ok=True)

    def knows(self, other, description):
        self.peer = {
            **{"PublicKey": other.keys.public, "Description": description},
            **{"AllowedIPs": f"10.9.0.{other.number}/32"},
            **{"Endpoint": f"127.0.0.1:{5000 + other.number}", "PersistentKeepalive": 1},
        }

    def write(self):
        self.path.touch(mode=0o600)
        self.path.write_text(ini([("Interface", self.interface), ("Peer", self.peer)]))

    def cli(self, *words, check=True):
        return self.namespace.run([*tunlite_command(), *words], check=check)

    def run(self, log, *words):
        self.write()
        argv = [*tunlite_command(), "run", "--config", self.path, *words]
        process = self.namespace.start(argv, log)
        process.wait_line(f"{self.name}: ready")
        return process

    def lines(self):
        return self.out.read_text().splitlines() if self.out.exists() else []

    def state(self):
        return json.loads(Path(f"/var/run/tunlite/{self.name}.json").read_text())


@pytest.fixture
def ends(lab):
    namespace = lab.namespace("host")
    namespace.ip("link", "set", "lo", "up")
    router, gateway = End(lab, namespace, 1), End(lab, namespace, 2)
    router.knows(gateway, "the gateway $(touch EVIL)")
    gateway.knows(router, "router")
    return router, gateway


def _until(condition):
    wait_for(condition, 15, "a command")


def _runs(pid):
    """Zombies do not: what reaps them is not ours."""
    return bool(record.start_time(pid))


def _came(end):
    return any(line.startswith("came") for line in end.lines())


def test_both_ends_run_their_commands_and_a_reload_takes_the_new_ones(ends):
    router, gateway = ends
    process = gateway.run("gateway")
    router.write()
    router.cli("up", router.path)
    _until(lambda: _came(router) and _came(gateway))
    assert router.lines() == [f"came {router.name} the gateway $(touch EVIL) 127.0.0.1 5002"]
    assert gateway.lines() == [f"came {gateway.name} router 127.0.0.1 5001"]
    router.interface["OnDisestablish"] = f'echo "new $REASON" >> {router.out}'
    router.write()
    router.cli("reload", router.name)
    router.cli("show", router.name)
    router.namespace.ip("link", "set", router.name, "down")
    _until(lambda: len(router.lines()) == 2)
    assert router.lines()[1] == "new link down"
    runners = [end.state()["runner"] for end in ends]
    router.cli("down", router.name)
    assert process.stop() == 0
    assert not [pid for pid in runners if _runs(pid)]


def test_a_peer_that_is_removed_or_silent_is_told_with_its_name(ends):
    router, gateway = ends
    gateway.run("gateway")
    router.run("router")
    _until(lambda: _came(router) and _came(gateway))
    gateway.namespace.run(["wg", "set", gateway.name, "peer", router.keys.public, "remove"])
    _until(lambda: len(gateway.lines()) == 2)
    assert gateway.lines()[1] == "left router removed"


def test_no_command_outlives_a_daemon_that_is_killed(ends):
    router, gateway = ends
    router.interface["OnEstablish"] = f"echo $$ >> {router.out}; trap '' TERM; sleep 1000"
    gateway.run("gateway")
    process = router.run("router")
    _until(router.lines)
    command = int(router.lines()[0])
    state = router.state()
    os.kill(state["pid"], signal.SIGKILL)
    process.wait_line("was killed by signal 9")
    _until(lambda: not _runs(command))
    assert not _runs(state["runner"])


def test_a_command_that_a_reload_adds_waits_for_the_next_start_and_that_is_told(ends):
    router, _ = ends
    events = {name: router.interface.pop(name) for name in _EVENTS}
    process = router.run("router")
    router.interface.update(events)
    router.write()
    router.cli("reload", router.name)
    process.wait_line("there is no runner of commands; that takes effect at the next start")


def test_a_file_of_somebody_else_gets_no_runner(ends):
    router, _ = ends
    router.write()
    os.chown(router.path, 12345, -1)
    failed = router.cli("up", router.path, check=False)
    assert failed.returncode == 78
    assert "it belongs to user 12345, and root runs its commands; mend it with: chown root " in (
        failed.stderr
    )


def test_a_daemon_without_a_file_says_that_it_runs_no_commands(ends):
    router, gateway = ends
    bare = router.namespace.start([*tunlite_command(), "-f", router.name], "bare")
    bare.wait_line("there is no file, so no commands run from events")
    gateway.run("gateway")
    assert "commands: none run: no file named any" in router.cli("show", router.name).stdout
    assert "commands: 0 run, 0 wait" in router.cli("show", gateway.name).stdout
    assert json.loads(router.cli("show", router.name, "--json").stdout)["commands"] is None


def _memory(pid):
    """All that the process can write to."""
    found = b""
    rows = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for begin, end in [row.split()[0].split("-") for row in rows if " rw" in row]:
            memory.seek(int(begin, 16))
            found += memory.read(int(end, 16) - int(begin, 16))
    return found


def test_neither_the_runner_nor_its_child_keeps_a_secret_of_the_file(ends):
    router, gateway = ends
    router.peer["PresharedKey"] = gateway.peer["PresharedKey"] = preshared_key()
    gateway.run("gateway")
    router.run("router")
    _until(lambda: _came(router))
    runner = router.state()["runner"]
    (child,) = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    secrets = [router.interface["PrivateKey"], router.peer["PresharedKey"]]
    forms = [form for text in secrets for form in (text.encode(), base64.b64decode(text))]
    kept = {whose: [] for whose in ("runner", "child")}
    for whose, pid in (("runner", runner), ("child", child)):
        memory = _memory(pid)
        assert router.name.encode() in memory
        kept[whose] = [at for at, form in enumerate(forms) if form in memory]
    assert kept == {"runner": [], "child": []}


# ---- run --bare ------------------------------------------------------------------------------


@pytest.fixture
def bare(ends):
    """A router under a supervisor, its file with what is the supervisor's too."""
    router, gateway = ends
    del router.interface["Table"]
    router.interface.update(Address="10.9.0.1/24", MTU="1300", DNS="192.0.2.1", Table="123")
    gateway.run("gateway")
    return router, gateway


def test_under_run_bare_addresses_mtu_dns_and_routes_are_the_supervisors_and_commands_run(bare):
    router, _ = bare
    process = router.run("router", "--bare", "--interface", router.name)
    for name in ("Address", "DNS", "Table", "MTU"):
        assert f"with --bare {name} is the supervisor's: it is left out" in process.log()
    link = router.namespace.link(router.name)
    assert "UP" not in link["flags"] and link["mtu"] == 1420
    assert "inet" not in router.namespace.ip("addr", "show", "dev", router.name)
    router.namespace.ip("link", "set", router.name, "mtu", 1380, "up")
    _until(lambda: _came(router))
    assert (
        router.namespace.ip("route", "show", "table", "all", "dev", router.name, "proto", "3") == ""
    )
    router.write()
    router.cli("reload", router.name)
    assert router.namespace.link(router.name)["mtu"] == 1380
    assert (
        router.namespace.ip("route", "show", "table", "all", "dev", router.name, "proto", "3") == ""
    )
    assert process.stop() == 0


def test_peers_of_wg_set_stay_at_a_reload_under_run_bare_and_those_of_the_file_go(bare):
    router, gateway = bare
    router.run("router", "--bare")
    added = Keys().public

    def peers():
        wg = router.namespace.run(["wg", "show", router.name, "peers"])
        return set(wg.stdout.split())

    router.namespace.run(["wg", "set", router.name, "peer", added, "allowed-ips", "10.8.0.0/16"])
    router.cli("reload", router.name)
    assert peers() == {added, gateway.keys.public}
    other = Keys().public
    router.peer["PublicKey"] = other
    router.write()
    router.cli("reload", router.name)
    assert peers() == {added, other}
    router.cli("down", router.name)
    assert not Path(f"/var/run/tunlite/{router.name}.json").exists()


@pytest.mark.parametrize("hook", ["PreUp", "PostUp", "PreDown", "PostDown"])
def test_a_hook_is_refused_under_run_bare_and_the_supervisor_is_told_never(bare, hook):
    router, _ = bare
    router.interface[hook] = "true"
    router.write()
    failed = router.cli("run", "--bare", "--config", router.path, check=False)
    assert failed.returncode == 78
    assert f"{router.path}: {hook}: with --bare hooks are the supervisor's" in failed.stderr


def test_run_bare_ends_with_who_started_it(bare):
    router, _ = bare
    router.write()
    words = " ".join(map(str, [*tunlite_command(), "run", "--bare", "--config", router.path]))
    shell = router.namespace.start(["sh", "-c", f"{words} --parent $$; true"], "router")
    shell.wait_line("ready")
    state = router.state()
    shell.stop(signal.SIGKILL)
    _until(lambda: not any(_runs(state[name]) for name in ("pid", "parent", "runner")))
    assert not Path(f"/var/run/tunlite/{router.name}.json").exists()
