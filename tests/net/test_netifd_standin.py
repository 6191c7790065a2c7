# SPDX-License-Identifier: MIT
"""The stand-in for netifd keeps the rules that were seen on the real one, a test for each.

router (an interface `net0` of a protocol made here)
"""

import json

import pytest

from lab.netns import wait_for
from lab.openwrt.netifd import Netifd
from lab.openwrt.router import Router
from lab.peers import tunlite_program

pytestmark = pytest.mark.once

_HANDLER = """#!/bin/sh
. /lib/functions.sh
. ../netifd-proto.sh
init_proto "$@"
note() { echo "$*" >>/var/run/netifd/noted; }
tell() {
	proto_init_update dummy0 1
	proto_add_ipv4_address 10.5.0.1 24
	"$@"
	proto_send_update net0
}
proto_toy_init_config() {
	available=1 no_device=1 renew_handler=1 lasterror=1
	proto_config_add_string where
	proto_config_add_int number
	proto_config_add_boolean flag
	proto_config_add_array items
}
"""
_TASK = "proto_run_command net0 sleep 1000"
_UP = f"{_TASK}; tell :"


class Toy:
    """netifd with net0, whose handler does what the test says."""

    def __init__(self, lab):
        self.namespace = lab.namespace("router")
        self.link("dummy0")
        self.router = Router(lab.folder / "root", tunlite_program(lab.folder), self.namespace)
        self.netifd = Netifd(self.router)

    def link(self, name):
        """A link whose other end is here too."""
        self.namespace.ip("link", "add", name, "type", "veth", "peer", "name", name + "x")
        self.namespace.ip("link", "set", name + "x", "up")

    def start(self, setup, renew=":", teardown="proto_kill_command net0", **options):
        text = _HANDLER
        for verb, body in (("setup", setup), ("renew", renew), ("teardown", teardown)):
            text += f"proto_toy_{verb}() {{\n{body}\n}}\n"
        self.router.install("lib/netifd/proto/toy.sh", text + "add_protocol toy\n")
        self.configure(**options)
        return self.netifd.start()

    def configure(self, **options):
        self.router.write([("interface", "net0", {"proto": "toy", **options})])

    def noted(self):
        path = self.netifd.folder / "noted"
        return path.read_text().splitlines() if path.exists() else []

    def addresses(self):
        rows = json.loads(self.namespace.ip("-j", "addr", "show", "dev", "dummy0"))
        return {row["local"] for row in rows[0]["addr_info"] if row["family"] == "inet"}

    def routes(self):
        rows = json.loads(self.namespace.ip("-j", "route", "show", "dev", "dummy0"))
        return {row["dst"] for row in rows if row.get("protocol") != "kernel"}


@pytest.fixture
def toy(lab):
    return Toy(lab)


def test_a_handler_tells_once_what_it_is_a_line_of_json_a_protocol(toy):
    toy.start(_UP)
    folder = toy.router.root / "lib/netifd/proto"
    done = toy.router.sh(f"cd {folder} && ./toy.sh '' dump")
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told["config"] == [["where", 3], ["number", 5], ["flag", 7], ["items", 1]]
    flags = {name: value for name, value in told.items() if isinstance(value, bool)}
    assert flags == {
        **{"available": True, "no-device": True, "renew-handler": True, "lasterror": True},
        "no-proto-task": False,
    }


def test_a_handler_is_given_the_declared_options_and_no_other(toy):
    toy.start('note "$@ $4"; exit', where="a b", number="7", flag="on", items=["x", "y"], other="1")
    netifd = toy.netifd
    wait_for(lambda: netifd.happened("setup net0"), 5, "it")
    told = json.loads(netifd.get("net0", "json"))
    assert told == {"proto": "toy", "where": "a b", "number": 7, "flag": True, "items": ["x", "y"]}


def test_an_update_sets_link_addresses_and_routes_and_is_up_once(toy):
    toy.start(f"{_TASK}; tell proto_add_ipv4_route 10.6.0.0 16")
    toy.netifd.wait("up net0")
    assert toy.addresses() == {"10.5.0.1"} and toy.routes() == {"10.6.0.0/16"}
    assert "UP" in toy.namespace.link("dummy0")["flags"]
    toy.netifd.call("net0", "down")
    toy.netifd.wait("down net0")
    assert toy.addresses() == set() and toy.routes() == set()


@pytest.mark.parametrize("keep", [0, 1])
def test_an_update_takes_away_what_it_does_not_name_unless_it_keeps(toy, keep):
    first = f"{_TASK}; tell proto_add_ipv4_route 10.6.0.0 16"
    toy.start(first, renew=f"again() {{ proto_set_keep {keep}; }}; tell again")
    toy.netifd.wait("up net0")
    toy.namespace.ip("addr", "add", "10.7.0.1/24", "dev", "dummy0")  # somebody else's
    toy.netifd.call("net0", "renew")
    toy.netifd.wait("update net0")
    assert toy.routes() == ({"10.6.0.0/16"} if keep else set())
    assert toy.addresses() == {"10.5.0.1", "10.7.0.1"}
    assert toy.netifd.happened("down net0") == toy.netifd.happened("lost net0") == 0


def test_a_task_is_netifds_child_and_gets_its_environment(toy):
    task = "proto_export A=1; proto_run_command net0 sh -c 'echo $PPID $A; exec sleep 1000'"
    toy.start(f"{task}; note $PPID; tell :")
    toy.netifd.wait("up net0")
    pid = str(toy.netifd.process.pid)
    wait_for(lambda: f"{pid} 1" in toy.netifd.said(), 5, "the task's word")
    assert toy.noted() == [pid]


@pytest.mark.parametrize("end, error", [("exit 7", "7"), ("kill -9 $$", "0")])
def test_how_a_task_ended_is_told_to_teardown_and_it_is_set_up_anew(toy, end, error):
    task = f"proto_run_command net0 sh -c 'sleep 0.3; {end}'; tell :"
    toy.start(task, teardown='note "ERROR=$ERROR"')
    toy.netifd.wait("setup net0", 2)
    assert toy.noted()[0] == f"ERROR={error}"
    log = toy.netifd.log()
    begun = log.index("up net0")
    assert [line for line in log[begun : begun + 8] if "addr" not in line][:4] == [
        *("up net0", f"ended net0 {error}", "lost net0", f"teardown net0 ERROR={error}")
    ]


def test_at_ifdown_no_error_is_told_and_a_task_that_nobody_killed_gets_sigterm(toy):
    toy.start(_UP, teardown='note "ERROR=$ERROR"')
    toy.netifd.wait("up net0")
    toy.netifd.call("net0", "down")
    toy.netifd.wait("down net0")
    assert toy.noted() == ["ERROR="] and toy.netifd.get("net0", "task") == ""
    assert toy.netifd.happened("setup net0") == 1


def test_a_task_that_ends_while_setup_runs_ends_setup_too_and_then_comes_teardown(toy):
    task = "proto_run_command net0 sh -c 'exit 3'; trap 'note term; exit' TERM; sleep 9; note late"
    toy.start(task, teardown='note "ERROR=$ERROR"; proto_block_restart net0')
    toy.netifd.wait("down net0")
    assert [line for line in toy.noted() if line != "term"] == ["ERROR=3"]


def test_there_is_no_pause_before_it_is_set_up_anew(toy):
    toy.start("proto_run_command net0 sh -c 'exit 1'; sleep 1")
    toy.netifd.wait("setup net0", 4, timeout=8)


@pytest.mark.slow
def test_a_teardown_is_killed_after_five_seconds_with_the_task(toy):
    toy.start(f"proto_run_command net0 sh -c 'trap : TERM; {'sleep 1;' * 60}'; tell :",
              teardown="sleep 60")  # fmt: skip
    toy.netifd.wait("up net0")
    toy.netifd.call("net0", "down")
    toy.netifd.wait("down net0")
    assert toy.netifd.happened("killed net0") == 1


def test_a_renew_waits_for_setup_and_is_lost_on_an_interface_that_is_down(toy):
    toy.start(f"note setup; sleep 1; {_UP}; note done", renew="note renew")
    wait_for(toy.noted, 5, "setup")
    toy.netifd.call("net0", "renew")
    wait_for(lambda: len(toy.noted()) == 3, 5, "renew")
    assert toy.noted() == ["setup", "done", "renew"]
    toy.netifd.call("net0", "down")
    toy.netifd.wait("down net0")
    toy.netifd.call("net0", "renew")
    assert toy.netifd.happened("renew net0") == 1


def test_a_blocked_restart_is_undone_by_ifup_alone(toy):
    refuse = 'proto_notify_error net0 BAD "some \\"words\\""; proto_block_restart net0'
    toy.start(f"{refuse}; proto_setup_failed net0; sleep 9; note late")
    toy.netifd.wait("down net0")
    status = toy.netifd.status("net0")
    assert status["errors"] == [{"subsystem": "toy", "code": "BAD", "data": ['some "words"']}]
    toy.configure(other="2")
    toy.netifd.network("reload")
    assert toy.netifd.happened("setup net0") == 1 and toy.noted() == []
    toy.router.run([toy.router.root / "sbin/ifup", "net0"])
    toy.netifd.wait("setup net0", 2)


def test_a_declared_option_that_changes_makes_a_teardown_and_no_other_does(toy):
    toy.start(_UP, where="here", other="1")
    toy.netifd.wait("up net0")
    toy.configure(where="here", other="2")
    toy.netifd.network("reload")
    assert toy.netifd.happened("changed net0") == 0
    toy.configure(where="there", other="2")
    toy.netifd.network("reload")
    toy.netifd.wait("up net0", 2)
    log = [line for line in toy.netifd.log() if "addr" not in line]
    assert log[-5:] == [f"{word} net0" for word in ("changed", "teardown", "down", "setup", "up")]
    assert json.loads(toy.netifd.get("net0", "json"))["where"] == "there"


def test_an_interface_that_left_the_configuration_is_taken_down(toy):
    toy.start(_UP)
    toy.netifd.wait("up net0")
    toy.router.write([])
    toy.netifd.network("reload")
    toy.netifd.wait("down net0")
    wait_for(lambda: toy.netifd.get("net0", "state") == "", 5, "it is forgotten")


def test_hosts_are_all_or_nothing_and_a_lost_way_is_a_teardown(toy):
    toy.link("wan")
    toy.namespace.ip("addr", "add", "192.0.2.2/24", "dev", "wan")
    toy.namespace.ip("link", "set", "wan", "up")
    toy.namespace.ip("route", "add", "default", "via", "192.0.2.1")
    depend = "proto_add_host_dependency net0 198.51.100.1"
    toy.start(f"{_TASK}; {depend}; tell :")
    toy.netifd.wait("up net0")
    assert "198.51.100.1 via 192.0.2.1" in toy.namespace.ip("route")
    toy.namespace.ip("link", "set", "wan", "down")
    toy.netifd.network("routes")
    toy.netifd.wait("down net0")
    assert toy.netifd.log()[-1] == "down net0"
    toy.namespace.ip("link", "set", "wan", "up")
    toy.namespace.ip("route", "add", "default", "via", "192.0.2.1")
    toy.netifd.network("routes")
    toy.netifd.wait("up net0", 2)


def test_one_host_without_a_way_makes_the_interface_unavailable(toy):
    toy.start(f"{_TASK}; proto_add_host_dependency net0 2001:db8::1; sleep 9")
    toy.netifd.wait("down net0")
    assert toy.netifd.happened("unavailable net0") == 1
    assert toy.netifd.happened("setup net0") == 1 and toy.netifd.get("net0", "hosts")


def test_a_setup_that_sets_nothing_up_is_torn_down(toy):
    toy.start("note once", teardown="proto_block_restart net0")
    toy.netifd.wait("down net0")
    assert toy.noted() == ["once"]


def test_setup_failed_of_an_interface_that_is_up_sets_it_up_anew(toy):
    toy.start(_UP, renew="proto_setup_failed net0")
    toy.netifd.wait("up net0")
    toy.netifd.call("net0", "renew")
    toy.netifd.wait("up net0", 2)
    assert toy.netifd.happened("teardown net0") == 1


def test_what_netifd_began_outlives_it(toy):
    toy.start(_UP)
    toy.netifd.wait("up net0")
    pid = toy.netifd.get("net0", "task")
    toy.netifd.kill()
    stat = toy.namespace.run(["cat", f"/proc/{pid}/stat"]).stdout
    assert stat.split()[3] != str(toy.netifd.process.pid)


# ---- uci and the shell library -------------------------------------------------------------------


def test_what_is_set_is_seen_and_stays_aside_until_it_is_committed(lab):
    router = Router(lab.folder / "root", tunlite_program(lab.folder))
    router.write([("interface", "net0", {"text": "it's", "items": ["a b", "c"]})])
    file = router.root / "etc/config/network"
    before = file.read_text()
    set_ = "printf \"set network.net0.key='x y'\\n\" | uci batch"
    assert router.sh(f"{set_}; uci get network.net0.key").stdout == "x y\n"
    assert file.read_text() == before
    router.sh("uci commit network")
    text = "config_load network; config_get a net0 text; config_get b net0 items; echo $a, $b, $key"
    assert router.sh(f"{text}; config_get key net0 key; echo $key").stdout == "it's, a b c,\nx y\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_library_knows_an_option_from_a_list_and_no_odd_names(lab):
    router = Router(lab.folder / "root", tunlite_program(lab.folder))
    router.write([("a", "one", {"option": "x", "list": ["y", "z z"]}), ("b", None, {})])
    say = 'say() { echo "$1-$2"; }; config_load network; '
    assert router.sh(f"{say} config_list_foreach one list say q").stdout == "y-q\nz z-q\n"
    assert router.sh(f"{say} config_list_foreach one option say q").stdout == ""
    assert router.sh(f"{say} v=kept; config_get v 'o-ne' option; echo $v").stdout == "kept\n"
    assert router.sh(f"{say} config_foreach say a w; config_foreach say b w").stdout == (
        "one-w\ncfg02-w\n"
    )
