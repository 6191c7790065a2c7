# SPDX-License-Identifier: MIT
"""A gateway whose packets are turned by several threads.

routers ==w1== gateway        twenty routers in one namespace, each with a link of its own
"""

import platform
import time
from pathlib import Path

import pytest

from lab.peers import Tunlite
from lab.topology import (
    BackgroundPing,
    BackgroundTransfer,
    Keys,
    Tunnel,
    endpoint,
    ping,
    wait_for,
)
from tests.net.test_layer2 import know, wait_reached

ROUTERS = 20

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="one worker only on this machine"
)


class _Several:
    """Makes ends with options, as Tunnel wants its classes."""

    def __init__(self, **interface):
        self.interface = interface

    def __call__(self, namespace, number):
        return Tunlite(namespace, number, **self.interface)


def _crew(lab, workers, **options):
    gateway = _Several(Workers=workers, Engine="mmsg", RekeyAfter=5)
    return Tunnel(lab, router=_Several(RekeyAfter=5), gateway=gateway, **options)


def _completed(end, other):
    return end.peer_json(other)["handshakes"]["completed"]


def _add_routers(tunnel, n):
    """Further routers beside the first, each a peer of the gateway's and reached from there."""
    found = []
    for number in range(10, 10 + n):
        router = Tunlite(tunnel.router.namespace, number, port=52000 + number, RekeyAfter=5)
        router.interface["Address"] = router.v4 + "/32"
        router.add_peer(tunnel.gateway, endpoint(tunnel.outside), PersistentKeepalive=1)
        tunnel.gateway.add_peer(router)
        found.append(router)
    return found


def _start_routers(routers):
    """Answers leave by the link that the question came by."""
    for router in routers:
        router.start()
        table = ("table", 1000 + router.number)
        router.namespace.ip("route", "add", "default", "dev", router.name, *table)
        router.namespace.ip("rule", "add", "from", router.v4, *table)


@pytest.mark.parametrize("workers", [2, 4])
def test_twenty_peers_rotate_their_keys_and_no_ping_or_byte_is_lost(lab, workers):
    tunnel = _crew(lab, workers)
    routers = _add_routers(tunnel, ROUTERS - 1)
    tunnel.start()
    _start_routers(routers)
    tunnel.wait_up()
    router, gateway = tunnel.router, tunnel.gateway
    for other in routers:
        wait_for(
            lambda other=other: ping(gateway.namespace, other.v4, count=1).received,
            20,
            f"{other.v4} answers",
        )
    others = routers[: 2 * workers - 1]
    pings = [BackgroundPing(gateway.namespace, other.v4, interval=0.01) for other in others]
    pings.append(BackgroundPing(router.namespace, gateway.v6, interval=0.01))
    start = [_completed(gateway, other) for other in others]
    moving = [
        BackgroundTransfer(router.namespace, gateway.namespace, gateway.v4, size=24 << 20),
        BackgroundTransfer(gateway.namespace, router.namespace, router.v6, size=24 << 20),
    ]
    stranger = Keys().public
    while any(_completed(gateway, o) < n + 1 for o, n in zip(others, start, strict=True)):
        gateway.wg("set", gateway.name, "peer", stranger, "allowed-ips", "10.99.0.0/16")
        gateway.wg("set", gateway.name, "peer", stranger, "remove")
    for transfer in moving:
        assert transfer.finish().is_intact
    for running in pings:
        running.wait_replies(100)
    for answer in [running.stop() for running in pings]:
        assert answer.sent > 100 and answer.lost == 0, answer
    shown = gateway.show_json()
    assert len(shown["workers"]) == workers and shown["workers_why"] == "chosen"
    for way in ("read", "written"):
        counts = [worker[way] for worker in shown["workers"]]
        assert all(counts), counts
        assert abs(sum(counts) - shown["counters"]["socket_" + way]) < 100
    assert not {"replayed", "not_authentic", "worker_full"} & set(shown["drops"])
    assert gateway.stop() == 0


@pytest.mark.parametrize("mode", ["authentic", "off"])
def test_frames_of_each_mode_reach_their_peer_s_worker_at_once(lab, mode):
    """Types 5 and 6 are steered by the kernel as type 4 is: each worker reads its own peers'."""
    options = {"Layer": 2, "Encryption": mode}
    space = lab.namespace("gateway")
    gateway = Tunlite(space, 1, Workers=2, Engine="mmsg", **options)
    routers = []
    for number in (1, 2):
        router = Tunlite(lab.namespace(f"router{number}"), 1 + number, **options)
        know(router, gateway, endpoint(lab.wire(space, router.namespace, number)[0].v4))
        know(gateway, router)
        routers.append(router)
    for end in (gateway, *routers):
        end.start()
    for router in routers:
        wait_reached(router, gateway.v4)
    moving = [
        BackgroundTransfer(router.namespace, space, address, size=8 << 20)
        for router, address in zip(routers, (gateway.v4, gateway.v6), strict=True)
    ]
    for transfer in moving:
        assert transfer.finish().is_intact
    shown = gateway.show_json()
    sent = [router.show_json()["counters"]["socket_written"] for router in routers]
    assert min(sent) > 100
    # The tail of a run alone may be another's.
    assert min(row["read"] for row in shown["workers"]) > min(sent) // 2
    wrong = {"wrong_mode", "bare_refused", "replayed", "not_authentic", "worker_full"}
    assert not wrong & set(shown["drops"])


@pytest.mark.parametrize("workers", [2, 4])
def test_sigterm_under_load_ends_all_workers_within_a_second(lab, workers):
    tunnel = _crew(lab, workers)
    routers = _add_routers(tunnel, 3)
    tunnel.start()
    _start_routers(routers)
    tunnel.wait_up()
    gateway = tunnel.gateway
    for other in routers:
        gateway.wait_handshake(other)
    moving = [
        BackgroundTransfer(tunnel.router.namespace, gateway.namespace, address, size=1 << 29)
        for address in (gateway.v4, gateway.v6)
    ]
    pings = [BackgroundPing(gateway.namespace, other.v4, interval=0.002) for other in routers]
    for transfer in moving:
        wait_for(lambda transfer=transfer: transfer.received() > 1 << 20, 20, "it is under way")
    for running in pings:
        running.wait_replies(5)
    tasks = [path for pid in gateway.pids() for path in Path(f"/proc/{pid}/task").iterdir()]
    assert len(tasks) >= workers
    begun = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - begun < 1
    assert not any(task.exists() for task in tasks)


def test_a_peer_that_is_removed_under_traffic_is_cut_off_and_the_others_go_on(lab):
    tunnel = _crew(lab, 2)
    first, second = _add_routers(tunnel, 2)
    tunnel.start()
    _start_routers([first, second])
    tunnel.wait_up()
    gateway = tunnel.gateway
    for other in (first, second):
        gateway.wait_handshake(other)
    staying = BackgroundPing(gateway.namespace, second.v4, interval=0.005)
    staying.wait_replies(20)
    for _ in range(2):
        going = BackgroundPing(gateway.namespace, first.v4, interval=0.005)
        going.wait_replies(5, timeout=30)
        gateway.wg("set", gateway.name, "peer", first.keys.public, "remove")
        going.stop()
        assert not ping(gateway.namespace, first.v4, count=1, wait=1).received
        gateway.wg_set_conf("addconf")
    answer = staying.stop()
    assert answer.sent > 200 and answer.lost == 0, answer


def test_a_new_port_mark_and_mtu_reach_every_worker(lab):
    tunnel = _crew(lab, 2)
    (other,) = _add_routers(tunnel, 1)
    tunnel.start()
    _start_routers([other])
    tunnel.wait_up()
    gateway = tunnel.gateway
    for port in (51821, 51822, 51820):
        gateway.wg("set", gateway.name, "listen-port", port, "fwmark", port)
        for router in (tunnel.router, other):
            router.wg(
                *("set", router.name, "peer", gateway.keys.public),
                *("endpoint", endpoint(tunnel.outside, port)),
            )
        gateway.namespace.ip("link", "set", "mtu", 1300 + port % 10, "dev", gateway.name)
        for router in (tunnel.router, other):
            wait_for(
                lambda router=router: ping(gateway.namespace, router.v4, count=1).received,
                20,
                f"{router.v4} answers at port {port}",
            )


def test_workers_that_an_engine_cannot_have_are_one_and_the_log_says_so_once(lab):
    tunnel = Tunnel(lab, gateway=_Several(Workers=2, Engine="io_uring")).start()
    tunnel.wait_up()
    shown = tunnel.gateway.show_json()
    if shown["engine"] != "io_uring":
        pytest.skip("no io_uring on this machine")
    assert len(shown["workers"]) == 1
    log = tunnel.gateway.process.log()
    assert log.count("Workers = 2: the engine works without it; using 1") == 1
