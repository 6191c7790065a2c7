# SPDX-License-Identifier: MIT
"""The harness itself, with wireguard-go at both ends: what fails here is no fault of tunlite.

router ==w1== gateway        router ==w1== relay ==w2== gateway
"""

import contextlib
import socket
import threading
from pathlib import Path

import pytest

from lab.echo import checksum
from lab.topology import (
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

pytestmark = pytest.mark.once


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


@contextlib.contextmanager
def _answers(namespace, late):
    """We answer echo requests instead of the kernel: the one numbered `late` after 0.3 s."""
    namespace.sysctl("net/ipv4/icmp_echo_ignore_all", 1)
    ended = threading.Event()

    def answer():
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as echo:
            echo.settimeout(0.05)
            ready.set()
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    packet, where = echo.recvfrom(2000)
                    body = packet[24:]  # behind the IP header, type, code and checksum
                    if packet[20] != 8:
                        continue
                    if int.from_bytes(body[2:4], "big") == late:
                        ended.wait(0.3)
                    total = checksum(bytes(4) + body)
                    echo.sendto(bytes(2) + total.to_bytes(2, "big") + body, where)

    ready = threading.Event()
    thread = threading.Thread(target=namespace.inside, args=(answer,))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("late", [1, 5, 10])
def test_an_answer_that_is_late_is_no_lost_one(lab, late):
    left, right = lab.namespace("left"), lab.namespace("right")
    _, far = lab.wire(left, right)
    with _answers(right, late):
        result = ping(left, far.v4, count=10, interval=0.01)
    assert (result.received, result.lost) == (10, 0)
    assert result.times_ms[late] > 250


def test_a_ping_names_what_was_lost(lab):
    left, right = lab.namespace("left"), lab.namespace("right")
    _, far = lab.wire(left, right)
    right.nft(
        "table inet t { chain i { type filter hook input priority 0; "
        "icmp type echo-request icmp sequence { 3, 5 } drop; "
        "icmpv6 type echo-request icmpv6 sequence { 3, 5 } drop; }; }"
    )
    for address in (far.v4, far.v6):
        wait_for(lambda to=address: ping(left, to, count=1).received, 10, "the wire is up")
        result = ping(left, address, count=6, interval=0.01, wait=0.3)
        assert (result.sent, result.lost, sorted(result.times_ms)) == (6, 2, [1, 2, 4, 6])
        assert "[3, 5]" in repr(result)


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
