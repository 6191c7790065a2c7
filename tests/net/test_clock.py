# SPDX-License-Identifier: MIT
"""Wall clocks that jump: the gateway has seen a newer time than the router now has.

router ==w1== gateway; the router's CLOCK_REALTIME and adjtimex(2) are the test's (clock.c)
"""

import os
import time

import pytest

from lab.topology import BackgroundPing, Tunlite, Tunnel, WireguardGo, wait_for
from machine import native_build
from tunlite.protocol import stamp

pytestmark = pytest.mark.once

_1970 = 60  # a router without a clock, a minute after it was switched on
_RELEASE = stamp.RELEASED // stamp.SECOND
_2099 = 4_070_908_800


class Clock:
    """The wall clock of a daemon that is started with `env`."""

    def __init__(self, folder):
        if "TUNLITE_BIN" in os.environ:
            pytest.skip("a library cannot be loaded into the static executable")
        library = native_build.shared("test_clock", ["tests/net/clock.c"])
        self._file = folder / "clock"
        self.env = {"LD_PRELOAD": str(library), "TUNLITE_TEST_CLOCK": str(self._file)}
        self.set(time.time(), True)

    def set(self, seconds, synchronised):
        """From now on it is `seconds` since 1970."""
        self.seconds = seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"{round(seconds - time.time())} {int(synchronised)}\n", encoding="ascii")
        new.replace(self._file)


class Rebooting:
    """A tunnel whose router is switched off and on."""

    def __init__(self, lab, gateway, **interface):
        def router(namespace, number):
            return Tunlite(namespace, number, **interface)

        self.clock = Clock(lab.folder)
        self.tunnel = Tunnel(lab, router=router, gateway=gateway)
        self.router, self.gateway = self.tunnel.router, self.tunnel.gateway
        self.gateway.start()

    def boot(self, seconds, synchronised=False):
        """The router starts with this time, after a power cut if it ran."""
        if self.router.process and self.router.process.is_running():
            self.router.kill9()
        self.clock.set(seconds, synchronised)
        self.router.start(env=self.clock.env)
        return self

    def connect(self, timeout=15):
        """Waits for an answer; how many initiations that took."""
        self.tunnel.wait_up(timeout)
        row = self.router.peer_json(self.gateway)
        ahead = row["latest_handshake"] - self.clock.seconds
        assert -2 < ahead < 60, "the daemon's clock is not the test's"
        return row["handshakes"]["initiated"]


@pytest.fixture(params=[Tunlite, WireguardGo], ids=["tunlite", "wireguard-go"])
def gateway(request):
    return request.param


def test_a_router_that_boots_in_1970_connects_at_once_each_time_to(lab, gateway):
    router = Rebooting(lab, gateway)
    assert router.boot(time.time(), True).connect() == 1
    for _ in range(4):
        assert router.boot(_1970).connect() == 1


def test_a_router_that_was_in_2099_and_is_back_connects_at_once_to(lab, gateway):
    router = Rebooting(lab, gateway)
    assert router.boot(_2099, True).connect() == 1
    assert router.boot(time.time(), True).connect() == 1
    assert router.boot(time.time(), False).connect() == 1
    assert router.boot(_1970, False).connect() == 1


def test_a_lost_file_is_healed_by_a_leap_that_is_logged(lab):
    router = Rebooting(lab, WireguardGo)
    assert router.boot(_RELEASE + 1800, True).connect() == 1
    (kept,) = (router.router.folder / "state").glob("stamp-*")
    kept.unlink()
    # or the gateway, whose answers stay unanswered, would begin a handshake of its own
    router.gateway.namespace.nft(
        "table inet t { chain o { type filter hook output priority 0; udp length 156 drop; }; }"
    )
    # 3 initiations find no answer, the 4th comes 30 days past the release
    assert router.boot(_1970).connect(timeout=40) == 4
    assert "leaps 720 h ahead" in router.router.process.log()
    assert router.boot(_1970).connect() == 1


def test_initiations_that_find_no_route_move_no_stamp_ahead(lab):
    router = Rebooting(lab, WireguardGo)
    assert router.boot(time.time(), True).connect() == 1
    router.router.namespace.ip("link", "set", router.tunnel.wire[0].name, "down")
    router.boot(_1970)
    (kept,) = (router.router.folder / "state").glob("stamp-*")
    ping = BackgroundPing(router.router.namespace, router.gateway.v4, interval=1)

    def tried():
        return router.router.peer_json(router.gateway)["handshakes"]["initiated"]

    wait_for(tried, 15, "an initiation")
    before = kept.read_text()
    wait_for(lambda: tried() >= 5, 60, "four more")
    ping.stop()
    assert kept.read_text() == before
    assert "the time in handshakes" not in router.router.process.log()


def goes_back_to_wireguard_go(tunnel, router):
    """wireguard-go in the router's place, with its key; the answers to 3 pings."""
    other = WireguardGo(router.namespace, router.number)
    other.keys, other.peers = router.keys, router.peers
    other.start()
    return tunnel.ping(count=3)


@pytest.mark.parametrize("synchronised", [True, False])
def test_who_goes_back_to_wireguard_go_with_the_same_key_is_let_in_at_once(lab, synchronised):
    running = Rebooting(lab, WireguardGo)
    for _ in range(2):
        running.clock.set(time.time(), synchronised)
        running.router.start(env=running.clock.env)
        assert running.connect() == 1
        running.router.stop()
    assert all(
        not answer.lost for answer in goes_back_to_wireguard_go(running.tunnel, running.router)
    )


def test_who_goes_back_to_wireguard_go_is_let_in_at_once_whatever_clock_this_machine_has(lab):
    tunnel = Tunnel(lab, gateway=WireguardGo)
    tunnel.gateway.start()
    for _ in range(2):
        tunnel.router.start()
        tunnel.wait_up()
        tunnel.router.stop()
    assert all(not answer.lost for answer in goes_back_to_wireguard_go(tunnel, tunnel.router))


@pytest.mark.parametrize("jump", ["a year back", "to 1970", "to 2099"])
def test_a_clock_set_under_traffic_stops_neither_packets_nor_rekeys(lab, jump):
    seconds = {"a year back": time.time() - 365 * 86400, "to 1970": _1970, "to 2099": _2099}[jump]
    running = Rebooting(lab, Tunlite, RekeyAfter=5).boot(time.time(), True)
    running.connect()
    router, gateway = running.router, running.gateway
    pings = BackgroundPing(router.namespace, gateway.v4, interval=0.01)
    pings.wait_replies(10)
    running.clock.set(seconds, jump == "to 2099")
    before = router.peer_json(gateway)["handshakes"]["completed"]
    wait_for(
        lambda: router.peer_json(gateway)["handshakes"]["completed"] >= before + 2,
        20,
        "two new sessions after the jump",
    )
    answer = pings.stop()
    assert answer.sent > 200 and answer.lost == 0
