# SPDX-License-Identifier: MIT
"""The io_uring engine at the end of its life, and where the kernel forbids it.

router ==w1== gateway
"""

import errno
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from lab import refuse
from lab.peers import Tunlite
from lab.topology import Tunnel, wait_for
from lab.traffic import BackgroundTransfer


def _engine(end):
    return end.show_json()["engine"]


def test_sigterm_under_load_ends_within_a_second_and_leaves_no_kernel_thread(lab):
    end = partial(Tunlite, Engine="io_uring")
    tunnel = Tunnel(lab, router=end, gateway=end).start()
    tunnel.wait_up()
    if _engine(tunnel.router) != "io_uring":
        pytest.skip("no io_uring on this machine")
    load = BackgroundTransfer(
        tunnel.router.namespace, tunnel.gateway.namespace, tunnel.gateway.v4, size=1 << 29
    )
    wait_for(lambda: load.received() > 1 << 20, 20, "the transfer is under way")
    for peer in (tunnel.gateway, tunnel.router):
        tasks = [Path(f"/proc/{pid}/task") for pid in peer.pids()]
        begun = time.monotonic()
        assert peer.stop() == 0
        assert time.monotonic() - begun < 1
        assert not any(task.exists() for task in tasks)


def test_where_io_uring_is_forbidden_the_log_says_so_once_and_packets_pass(lab):
    def end(namespace, number):
        peer = Tunlite(namespace, number, Engine="io_uring")
        taken_away = (refuse.__file__, refuse.IO_URING_SETUP, errno.EPERM)
        peer.command = [sys.executable, *taken_away, *peer.command]
        return peer

    tunnel = Tunnel(lab, router=end).start()
    tunnel.wait_up()
    assert _engine(tunnel.router) == "mmsg"
    said = [line for line in tunnel.router.process.log().splitlines() if "io_uring" in line]
    assert len(said) == 1
    assert "Engine = io_uring: the kernel forbids it" in said[0]
    assert said[0].endswith("using mmsg")
