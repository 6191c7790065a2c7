# SPDX-License-Identifier: MIT
"""`tunlite metrics` of a real daemon: to stdout, and over HTTP by a user who may only see.

router ==w1== gateway
"""

import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import parser

from lab import members
from lab.netns import wait_for
from lab.peers import Tunlite, tunlite_command
from lab.star import ROUTER, Star
from lab.topology import Tunnel

pytestmark = pytest.mark.once

_METRICS = [sys.executable, "-m", "tunlite", "metrics"]  # also of the static executable's daemons


@pytest.fixture
def tunnel(lab):
    made = Tunnel(lab).start()
    made.wait_up()
    return made


def _samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_daemons_numbers_are_what_wg_shows(tunnel):
    router = tunnel.router
    run = router.namespace.run
    text = run([*_METRICS, router.name, "--per-peer"]).stdout
    found = _samples(text)
    (peer,) = router.wg_dump().values()
    key = (("interface", router.name), ("public_key", tunnel.gateway.keys.public))
    assert found[("tunlite_peer_received_bytes_total", key)] == peer["rx_bytes"] > 0
    assert found[("tunlite_received_bytes_total", key[:1])] == peer["rx_bytes"]
    assert (
        found[("tunlite_peer_latest_handshake_timestamp_seconds", key)]
        == (peer["latest_handshake"])
    )
    assert found[("tunlite_peer_established", key)] == 1
    assert tunnel.outside not in text and router.keys.private not in text
    # All that tell their status, which both do.
    both = _samples(run(_METRICS).stdout)
    up = {dict(labels)["interface"] for name, labels in both if name == "tunlite_up"}
    assert {router.name, tunnel.gateway.name} <= up


def test_who_a_router_uses_and_that_it_moved_there_is_told(lab):
    star = Star(lab, 2)
    router = Tunlite(star.router, ROUTER, OnEstablish="true")
    members.start(star, router, Choose="order")
    router.cli("use", router.name, "gw2")
    # For a second its own address is tentative, and can ask nobody.
    wait_for(lambda: not members.group_of(router)["trouble"], 10, "the end of its trouble")
    found = _samples(star.router.run([*_METRICS, router.name]).stdout)
    group = (("group", members.NAME), ("interface", router.name))
    used = [dict(labels)["peer"] for name, labels in found if name == "tunlite_group_used_info"]
    assert used == ["gw2"]
    assert found[("tunlite_group_moves_total", (*group, ("why", "use")))] == 1
    for name in ("losses_total", "searching", "moving", "trouble"):
        assert found[("tunlite_group_" + name, group)] == 0
    assert found[("tunlite_commands_refused_total", group[1:])] == 0


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def test_over_http_a_user_serves_who_may_only_read_the_status(tunnel):
    router = tunnel.router
    status = Path(f"/run/tunlite/{router.name}.status")
    status.chmod(0o666)
    number = router.namespace.inside(_free_port)
    words = [*_METRICS, "--listen", f"127.0.0.1:{number}"]
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *words, router.name]
    process = router.namespace.start(argv, "metrics")

    def scraped():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{number}/metrics", timeout=5) as answer:
                return _samples(answer.read().decode())
        except OSError:
            return None

    wait_for(lambda: router.namespace.inside(scraped), 20, "an answer over HTTP")
    found = router.namespace.inside(scraped)
    assert found[("tunlite_peers_established", (("interface", router.name),))] == 1
    router.stop()
    found = router.namespace.inside(scraped)
    assert found == {("tunlite_up", (("interface", router.name),)): 0}
    assert process.stop(signal.SIGTERM) == 0


def test_the_static_executable_says_what_it_needs(tunnel):
    failed = tunnel.router.namespace.run([*tunlite_command(), "metrics"], check=False)
    if len(tunlite_command()) == 1:
        assert failed.returncode == 1 and "needs tunlite on CPython" in failed.stderr
    else:
        assert failed.returncode == 0
