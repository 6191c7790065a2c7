# SPDX-License-Identifier: MIT
"""The harness itself, with wireguard-go at both ends: what fails here is no fault of tunlite.

router ==w1== gateway        router ==w1== relay ==w2== gateway
"""

from pathlib import Path

import pytest

from tests.net.topology import (
    BackgroundPing,
    Faults,
    Lab,
    RelayedTunnel,
    Tunnel,
    WaitError,
    WireguardGo,
    iperf3,
    ping,
    tcp_transfer,
    wait_for,
)


@pytest.mark.parametrize("family", [4, 6])
def test_wireguard_go_reaches_itself_between_two_namespaces(lab, family):
    tunnel = Tunnel(lab, WireguardGo, WireguardGo, family=family).start()
    tunnel.wait_up()
    for result in tunnel.ping():
        assert (result.sent, result.received) == (3, 3)
    assert tunnel.router.wg_dump()[tunnel.gateway.keys.public]["latest_handshake"]
    transfer = tcp_transfer(
        tunnel.router.namespace, tunnel.gateway.namespace, tunnel.gateway.v6, size=3_000_001
    )
    assert transfer.is_intact
    assert transfer.bytes == 3_000_001
    assert tunnel.gateway.memory_kb("VmHWM") > 1000


def test_a_background_ping_counts_what_is_lost_on_the_way(lab):
    left, right = lab.namespace("left"), lab.namespace("right")
    near, far = lab.wire(left, right)
    background = BackgroundPing(left, far.v4, interval=0.01)
    background.wait_replies(5)
    right.nft(
        "table inet cut {\nchain input {\ntype filter hook input priority 0; policy drop;\n}\n}"
    )
    sent = left.sent_packets(near.name)
    wait_for(lambda: left.sent_packets(near.name) > sent + 5, 5, "unanswered pings")
    right.nft("delete table inet cut")
    background.wait_replies(5)
    result = background.stop()
    assert result.lost >= 5
    assert result.received >= 10


def test_the_relay_loses_doubles_swaps_and_damages(lab):
    tunnel = RelayedTunnel(lab, WireguardGo, WireguardGo).start()
    tunnel.wait_up()
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=20, interval=0.01).lost == 0
    tunnel.relay.faults = Faults(loss=0.2, duplicate=0.1, reorder=0.1, corrupt=0.1)
    result = ping(tunnel.router.namespace, tunnel.gateway.v4, count=200, interval=0.01)
    assert 20 < result.lost < 180
    counts = tunnel.relay.counts
    assert min(counts[key] for key in ("lost", "doubled", "reordered", "corrupted")) > 5


def test_iperf3_reports_bytes_of_a_run_between_two_namespaces(lab):
    left, right = lab.namespace("left"), lab.namespace("right")
    _, far = lab.wire(left, right)
    report = iperf3(left, right, far.v4, "-u", "-b", "10M", seconds=1)
    assert report["end"]["sum"]["bytes"] > 500_000


def test_closing_a_lab_ends_its_processes_and_namespaces(tmp_path):
    lab = Lab(tmp_path)
    namespace = lab.namespace("short")
    process = namespace.start(["sleep", "1000"], "sleep")
    daemon = namespace.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]).stdout.strip()
    lab.close()
    assert not process.is_running()
    assert not Path("/run/netns", namespace.name).exists()
    status = Path("/proc", daemon, "status")  # a zombie until init collects it
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_waiting_in_vain_says_what_for():
    with pytest.raises(WaitError, match="the moon"):
        wait_for(lambda: False, 0.05, "the moon")
