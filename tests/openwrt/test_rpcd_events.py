# SPDX-License-Identifier: MIT
"""/usr/lib/tunlite/event: what a daemon tells of peers goes to ubus, the rest to the log."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_EVENT = (
    Path(__file__).resolve().parents[2] / "openwrt/luci-proto-tunlite/root/usr/lib/tunlite/event"
)
_LINES = """import os, signal, sys, time
print("tunlite: wg0: ready", flush=True)
print('tunlite: wg0: {"event": "use", "name": "a \\\\"b\\\\": {c}", "why": null}', flush=True)
print("tunlite: wg0: not { an event", flush=True)
print(os.environ["LOG_LEVEL"], os.getpid(), flush=True)
sys.exit(78) if len(sys.argv) > 1 else time.sleep(60)
"""


@pytest.fixture
def start(tmp_path):
    """Starts a command below `event`; ubus writes what it is given to `sent`."""
    ubus = tmp_path / "ubus"
    ubus.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/sent\n')
    ubus.chmod(0o755)
    script = tmp_path / "event"
    script.write_text(_EVENT.read_text().replace("/var/run/", f"{tmp_path}/"))
    running = []

    def begin(*words):
        argv = ["busybox", "ash", script, sys.executable, "-c", _LINES, *words]
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        running.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env))
        return running[-1]

    yield begin
    for each in running:
        each.kill()
        each.communicate()


def test_events_go_to_ubus_whole_and_lines_of_the_log_stay(start, tmp_path):
    out, _ = (daemon := start("ends")).communicate(timeout=30)
    assert daemon.returncode == 78
    lines = out.splitlines()
    assert lines[:2] == ["tunlite: wg0: ready", "tunlite: wg0: not { an event"]
    assert lines[2:] == [f"events {daemon.pid}"]  # the supervisor's child is the daemon itself
    sent = (tmp_path / "sent").read_text().splitlines()
    assert sent[:4] == ["-t", "2", "send", "tunlite"]
    assert json.loads(sent[4]) == {"event": "use", "name": 'a "b": {c}', "why": None}
    assert not [path for path in tmp_path.iterdir() if path.is_fifo()]


def test_a_signal_reaches_the_daemon_and_the_relay_ends_with_it(start):
    daemon = start()
    assert daemon.stdout.readline() == "tunlite: wg0: ready\n"
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(10) == -signal.SIGTERM
    rest = daemon.stdout.read()  # ends when the relay has ended, which holds it too
    assert "not { an event" in rest or rest == ""


def test_without_a_place_for_its_pipe_the_daemon_runs_all_the_same(start, tmp_path):
    text = (tmp_path / "event").read_text().replace("mkfifo", "false")
    (tmp_path / "event").write_text(text)
    out, _ = start("ends").communicate(timeout=30)
    assert '{"event": "use"' in out and not (tmp_path / "sent").exists()
