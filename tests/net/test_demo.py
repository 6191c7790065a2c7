# SPDX-License-Identifier: MIT
"""The demo, as its reader runs it.

router ==veth== gateway
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.lint import ROOT
from lab.netns import wait_for

pytestmark = pytest.mark.once

_DEMO = [sys.executable, "-m", "devtools.demo"]


def test_the_demo_prints_one_json_object_with_all_its_figures():
    result = subprocess.run([*_DEMO, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["handshake"]["latest_handshake"] > 0
    for family in ("ipv4", "ipv6"):
        assert figures["ping"][family]["received"] == figures["ping"][family]["sent"] > 0
    tcp = figures["tcp"]
    assert tcp["bytes"] >= 256_000_000
    assert tcp["sha256_sent"] == tcp["sha256_received"]
    assert tcp["mbit_s"] > 1
    for end in figures["ends"].values():
        assert end["engine"] in ("basic", "mmsg", "io_uring")
        assert end["aead"]
        assert end["cpu_seconds_per_gb"] > 0
        assert end["memory_kb"] > 1000
        assert all(n > 0 for n in end["drops"].values())


def test_the_demo_prints_a_table_for_people():
    argv = [*_DEMO, "--megabytes", "1"]
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for row in ("CPU seconds per GB", "resident memory", "I/O engine", "AEAD"):
        assert f"\n  {row} " in result.stdout
    assert "\n  dropped" in result.stdout
    assert "SHA-256 equal" in result.stdout


def test_ctrl_c_ends_the_demo_and_leaves_nothing_behind(tmp_path):
    log = tmp_path / "demo.log"
    with open(log, "wb") as out:
        # a run in the background may have been started with Ctrl-C ignored
        argv = ["env", "--default-signal=INT", *_DEMO, "--megabytes", "2000"]
        demo = subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=out, process_group=0)
    try:
        wait_for(lambda: "TCP" in log.read_text() or demo.poll(), 30, "the transfer begins")
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(20) == 130, log.read_text()
    finally:
        demo.kill()
        demo.wait()
    assert "Traceback" not in log.read_text()
    assert list(Path("/run/netns").glob(f"tl-{demo.pid}-*")) == []
    sockets = Path("/var/run/wireguard")
    assert list(sockets.glob(f"tl{demo.pid}n*")) == []
