# SPDX-License-Identifier: MIT
"""respondd's module, loaded by a program of ours, and the daemon's status in made-up words."""

import json
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from lab.openwrt.gluon.node import LAB, PACKAGE, Node
from lab.peers import Keys, tunlite_program
from tests.openwrt.test_gluon import site

_KEY = Keys()


def _status(*peers):
    rows = [{"public_key": f"key{n}", **peer} for n, peer in enumerate(peers)]
    return json.dumps({"interface": "mesh-vpn", "drops": {}, "peers": rows}).encode() + b"\n"


@pytest.fixture(scope="module")
def node():
    """A node with the module at respondd.so, its paths in the root, and respondd beside it."""
    folder = Path(tempfile.mkdtemp(prefix="gluon"))  # short: a socket lies in it
    made = Node(folder / "root", tunlite_program(folder), site())
    source = (PACKAGE / "src/respondd.c").read_text()
    source = source.replace("/var/run/tunlite", str(folder))
    source = source.replace("exec /lib", f"exec {made.root}/lib")
    assert str(folder) in source and str(made.root) in source
    (folder / "respondd.c").write_text(source)
    shutil.copy(PACKAGE / "src/Makefile", folder)
    flags = f"-I{LAB} -O1 -g -Werror -Wconversion -Wshadow -fsanitize=address,undefined"
    subprocess.run(["make", "-s", "-C", folder, f"CFLAGS={flags}"], check=True)
    command = f"cc {flags} -o {folder}/respondd {LAB}/respondd.c -ldl -ljson-c"
    subprocess.run(command.split(), check=True)
    made.folder = folder
    yield made
    shutil.rmtree(folder)


def ask(node, request):
    """The answer of respondd."""
    done = subprocess.run(
        [node.folder / "respondd", node.folder / "respondd.so", request],
        env=node.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture
def daemon(node):
    """daemon(pieces, stays): says these pieces to who connects, then ends, or says nothing more."""
    path = node.folder / "mesh-vpn.status"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)
    held = []

    def start(pieces, stays=False):
        def serve():
            client, _ = server.accept()
            held.append(client)
            try:
                for piece in pieces:
                    client.sendall(piece)
            except OSError:
                pass  # who reads has enough
            if not stays:
                client.close()

        held.append(threading.Thread(target=serve))
        held[0].start()

    yield start
    server.close()
    path.unlink()
    if held:
        held[0].join(10)
        held[-1].close()


def test_statistics_are_peers_of_groups_as_fastd_s_are(node, daemon):
    rows = (
        {"description": "gw1", "group": "backbone", "established_s": 12.5, "standby": False},
        {"description": "gw0", "group": "backbone", "established_s": 9, "standby": True},
        {"description": "gw2", "group": "backbone", "established_s": None},
        {"description": "", "group": "", "established_s": 3},
    )
    daemon([_status(*rows)])
    assert ask(node, "statistics") == {
        "mesh_vpn": {
            "groups": {
                "backbone": {"peers": {"gw1": {"established": 12.5}, "gw2": None, "gw0": None}}
            },
            "peers": {"key3": {"established": 3}},
        }
    }


def test_no_text_lies_below_mesh_vpn_as_map_servers_walk_texts_for_ever(node, daemon):
    daemon([_status({"description": "gw1", "group": "backbone", "established_s": 1})])

    def walk(part):
        assert not isinstance(part, str | list)
        for below in part.values() if isinstance(part, dict) else ():
            walk(below)

    walk(ask(node, "statistics")["mesh_vpn"])


def test_a_status_in_many_pieces_is_one(node, daemon):
    rows = [{"description": f"gw{n}", "established_s": n} for n in range(300)]
    text = _status(*rows)
    daemon([text[at : at + 1000] for at in range(0, len(text), 1000)])
    peers = ask(node, "statistics")["mesh_vpn"]["peers"]
    assert len(peers) == 300 and peers["gw299"] == {"established": 299}


def test_without_a_daemon_there_is_nothing_to_tell(node):
    assert ask(node, "statistics") == {}


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x00\xff",
        b"null",
        b"7",
        b'"peers"',
        b"[]",
        b'{"peers": 7}',
        b'{"peers": {"a": 1}}',
        _status({})[:-9],
        b'{"a": ' * 1000,
        b" " * ((1 << 20) + 8192) + _status({"description": "late"}),
    ],
    ids=range(11),
)
def test_a_status_that_is_none_tells_nothing_and_harms_nobody(node, daemon, said):
    daemon([said])
    assert ask(node, "statistics") == {}


@pytest.mark.parametrize(
    "row", [None, 7, "gw1", [], {}, {"description": 7}, {"description": None, "group": []}]
)
def test_a_row_that_is_no_peer_is_left_out(node, daemon, row):
    daemon([json.dumps({"peers": [row, {"description": "gw1", "group": 7}]}).encode()])
    assert ask(node, "statistics") == {"mesh_vpn": {"peers": {"gw1": None}}}


def test_a_daemon_that_says_nothing_does_not_hold_others_up(node, daemon):
    daemon([_status({})[:10]], stays=True)
    assert ask(node, "statistics") == {}


@pytest.mark.parametrize("shown", [True, False])
def test_nodeinfo_has_version_state_and_the_key_unless_it_is_private(node, shown):
    conf = site()
    conf["mesh_vpn"]["pubkey_privacy"] = not shown
    node.write_site(conf)
    node.write([("interface", "wg_mesh", {"private_key": _KEY.private})])
    node.write([("mesh_vpn", "mesh_vpn", {"enabled": "1"})], "gluon")
    expected = {"version": "0.1.0", "enabled": True}
    if shown:
        expected["public_key"] = _KEY.public
    assert ask(node, "nodeinfo") == {"software": {"tunlite": expected}}
    node.write([("mesh_vpn", "mesh_vpn", {"enabled": "0"})], "gluon")
    expected = {"version": "0.1.0", "enabled": False}
    assert ask(node, "nodeinfo") == {"software": {"tunlite": expected}}


def test_where_another_provider_is_active_nodeinfo_says_that_this_one_is_not(node):
    node.write([("mesh_vpn", "mesh_vpn", {"enabled": "1"})], "gluon")
    node.write_site({"mesh_vpn": {}})
    assert ask(node, "nodeinfo")["software"]["tunlite"]["enabled"] is False


def test_it_answers_to_nothing_else(node):
    done = subprocess.run(
        [node.folder / "respondd", node.folder / "respondd.so", "neighbours"],
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"")
