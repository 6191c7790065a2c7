# SPDX-License-Identifier: MIT
"""Cookies in both directions, and a daemon under load that stays as small as it was.

router ==w1== middle (relay, attacker) ==w2== gateway
"""

from functools import partial

import pytest

from lab.floods import FloodedTunnel
from lab.peers import Tunlite
from lab.topology import ping, wait_for


@pytest.mark.parametrize("flooded", [["gateway"], ["router"], ["router", "gateway"]], ids="-".join)
def test_a_handshake_completes_by_cookies_while_a_flood_is_on(lab, flooded):
    # A router that found a moment without load begins anew after 5 seconds, not after 15.
    tunnel = FloodedTunnel(lab, router=partial(Tunlite, RekeyAfter=5)).start()
    tunnel.tap.sought = flooded
    attacks = tunnel.flood_ends(*flooded)
    for label in flooded:
        tunnel.wait_load(label)
    for label in flooded:
        tunnel.wait_cookie(label)
    tunnel.wait_up(45)
    assert all(attack.is_running() for attack in attacks), "a flood ended too early"
    for attack in attacks:
        attack.stop()
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=10).received == 10


class Withheld:
    """A relay's `watch` that keeps cookie replies back, and all initiations in memory.

    An initiation without a mac2 that comes between a second of load and the flood's next burst is
    answered by a response: it goes no further.
    """

    def __init__(self):
        self.cookies, self.initiations = [], []

    def __call__(self, direction, datagram):
        if datagram[0] == 3:
            self.cookies.append(datagram)
            return []
        if datagram[0] == 1:
            self.initiations.append(datagram)
        if datagram[0] == 2 and not self.is_proved():
            return []
        return [datagram]

    def is_proved(self):
        """Whether the newest initiation carries a mac2."""
        return any(self.initiations[-1][-16:])


def _refusals(end):
    state = end.show_json()
    return sum(state["drops"].values()) + sum(state["handshakes_refused"].values())


def test_a_forged_short_long_or_replayed_cookie_is_refused_and_the_true_one_followed(lab):
    tunnel = FloodedTunnel(lab).start()
    watch = tunnel.relay.watch = Withheld()
    (attack,) = tunnel.flood_ends("gateway")
    tunnel.wait_load("gateway")
    tunnel.knock()
    wait_for(lambda: watch.cookies, 45, "a cookie for the router")
    true = watch.cookies[0]
    flipped = [true[:at] + bytes([true[at] ^ 0x10]) + true[at + 1 :] for at in range(len(true))]
    forged = [true[:-1], true + b"\0", *flipped]
    before = _refusals(tunnel.router)
    for datagram in forged:
        tunnel.relay.answer(datagram)
    wait_for(
        lambda: _refusals(tunnel.router) - before >= len(forged), 10, "each refusal is counted"
    )
    assert not watch.is_proved()
    # the first cookie belongs to the first initiation: after the second it is of no use
    wait_for(lambda: len(watch.initiations) >= 2, 30, "the next initiation")
    before = _refusals(tunnel.router)
    tunnel.relay.answer(true)
    wait_for(lambda: _refusals(tunnel.router) > before, 5, "the replay is counted")

    def follows():
        tunnel.relay.answer(watch.cookies[-1])
        return watch.is_proved()

    wait_for(follows, 45, "the cookie of the newest initiation is followed")
    tunnel.router.wait_handshake(tunnel.gateway)
    attack.stop()


def test_a_daemon_under_load_keeps_its_memory_bounded(lab):
    tunnel = FloodedTunnel(lab).start()
    tunnel.wait_up()
    memory = tunnel.gateway.memory_kb("VmHWM")
    (attack,) = tunnel.flood_ends("gateway", rate=12_000)
    wait_for(
        lambda: tunnel.gateway.drops().get("cookie_sent", 0) > 50_000, 60, "50,000 cookies sent"
    )
    attack.stop()
    assert tunnel.gateway.memory_kb("VmHWM") - memory < 2048
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=10).received == 10
