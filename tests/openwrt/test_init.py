# SPDX-License-Identifier: MIT
"""The init script, sourced by a shell that has procd's functions as prints."""

import subprocess
from pathlib import Path

import pytest

_INIT = Path(__file__).resolve().parents[2] / "openwrt/tunlite/files/tunlite.init"
_UCI = _INIT.with_name("uci.sh")
_PROCD = """
procd_open_instance() { echo "open $1"; }
procd_set_param() { echo "param $*"; }
procd_close_instance() { echo "close"; }
procd_send_signal() { echo "signal $*"; }
procd_open_trigger() { echo "open trigger"; }
procd_add_config_trigger() { echo "trigger $*"; }
procd_close_trigger() { echo "close trigger"; }
start() { start_service "$@"; }
config_load() { echo "load $1"; }
config_foreach() { echo "each $*"; }
"""


@pytest.fixture
def run(tmp_path):
    """Calls one function of the script with /etc/tunlite replaced; its lines of output."""
    script = _INIT.read_text().replace("/etc/tunlite", str(tmp_path))
    script = script.replace("/lib/tunlite/uci.sh", str(_UCI))
    assert str(tmp_path) in script

    def call(command):
        done = subprocess.run(
            ["sh", "-eu", "-c", f"{_PROCD}\n{script}\nset -- ''\n{command}"],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return call


def test_every_conf_file_becomes_an_instance_named_as_the_file(run, tmp_path):
    for name in ("mesh.conf", "wg0.conf", "notes.txt"):
        (tmp_path / name).write_text("[Interface]\n")
    lines = run("start_service ''")
    assert [line for line in lines if line.startswith("open")] == ["open mesh", "open wg0"]
    command = "/usr/sbin/tunlite run --no-new-privs --config"
    assert f"param command {command} {tmp_path}/wg0.conf --interface wg0" in lines
    assert "param respawn 3600 5 0" in lines and "param file /usr/sbin/tunlite" in lines


def test_one_instance_can_be_started_by_name(run, tmp_path):
    for name in ("mesh.conf", "wg0.conf"):
        (tmp_path / name).write_text("[Interface]\n")
    assert [line for line in run("start_service wg0") if line.startswith("open")] == ["open wg0"]


def test_without_a_file_nothing_starts(run):
    assert run("start_service ''") == []


def test_the_group_of_the_file_is_procds(run, tmp_path):
    (tmp_path / "mesh.conf").write_text("[Interface]\nSocketGroup = gluon-mesh-vpn # for DNS\n")
    assert "param group gluon-mesh-vpn" in run("start_service ''")
    (tmp_path / "mesh.conf").write_text("[interface]\r\n group=gluon-mesh-vpn\r\nMTU = 1420\r\n")
    assert "param group gluon-mesh-vpn" in run("start_service ''")  # names have no case
    (tmp_path / "mesh.conf").write_text("[Interface]\n\tsocketgroup=gluon-mesh-vpn\n")
    assert "param group gluon-mesh-vpn" in run("start_service ''")
    (tmp_path / "mesh.conf").write_text("[Interface]\nGroup = a\nSocketGroup = b\n")
    assert "param group b" in run("start_service ''")  # the last one counts, as it does for us
    members = "[Peer]\nGroup = c\n[Group]\nName = c\n[Peer]\nGroup = c\n"
    (tmp_path / "mesh.conf").write_text("\ufeff[Interface]\nGroup = a\n" + members)
    assert "param group a" in run("start_service ''")
    for text in (members, "MyGroup = a\nMTU = 1420\n", "SocketGroup = a\nSocketGroup = auto\n"):
        (tmp_path / "mesh.conf").write_text("[Interface]\n" + text)
        assert not [line for line in run("start_service ''") if line.startswith("param group")]


def test_a_file_with_spaces_in_its_path_stays_one_word(run, tmp_path):
    (tmp_path / "a b.conf").write_text("[Interface]\n")
    assert "open a b" in run("start_service ''")


def test_reload_tells_running_daemons_before_procd_starts_new_ones(run, tmp_path):
    (tmp_path / "mesh.conf").write_text("[Interface]\n")
    lines = run("reload_service")
    assert lines[0] == "signal tunlite *"
    assert "open mesh" in lines[1:]
    assert lines[-2:] == ["load network", "each renew_interface interface"]


def test_a_change_of_the_network_renews_interfaces_and_reads_no_file_again(run, tmp_path):
    (tmp_path / "mesh.conf").write_text("[Interface]\n")
    trigger = "trigger config.change network /etc/init.d/tunlite renew"
    assert run("service_triggers") == ["open trigger", trigger, "close trigger"]
    assert run("renew") == ["load network", "each renew_interface interface"]


def test_one_instance_can_be_reloaded_by_name(run, tmp_path):
    for name in ("mesh.conf", "wg0.conf"):
        (tmp_path / name).write_text("[Interface]\n")
    lines = run("reload_service wg0")
    assert lines[0] == "signal tunlite wg0"
    assert [line for line in lines if line.startswith("open")] == ["open wg0"]
