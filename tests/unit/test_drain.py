# SPDX-License-Identifier: MIT
"""drain: handshakes are neither begun nor answered, rekeys too; sessions go on until they end."""

import pytest

from lab.fakes.net import Node, World
from tunlite.protocol import wire
from tunlite.uapi import text as uapi

A_INSIDE, B_INSIDE = b"\x01\0\0\x01", b"\x01\0\0\x02"


@pytest.fixture
def pair():
    world = World()
    router = Node(world, b"\x0a\0\0\x01").start()
    gateway = Node(world, b"\x0a\0\0\x02").start()
    router.add(gateway, B_INSIDE)
    gateway.add(router, A_INSIDE)
    router.world = world
    return router, gateway


def _drain(node, word=b"true"):
    setter = uapi.Setter(node.interface)
    setter.line(bytearray(b"drain=" + word))
    setter.end()


def _second(router, gateway):
    """A packet each way, and whether they came."""
    router.send(B_INSIDE, b"up")
    gateway.send(A_INSIDE, b"down")
    router.world.run(1)
    return gateway.received() == [b"up"] and router.received() == [b"down"]


def _handshakes(node):
    """Types of handshake messages that left."""
    kinds = (wire.INITIATION, wire.RESPONSE)
    rows = node.world.log
    return [row[3][0] for row in rows if row[1][0] == node.address and row[3][0] in kinds]


def test_sessions_go_on_to_their_end_and_no_handshake_is_answered_or_begun(pair):
    router, gateway = pair
    assert _second(router, gateway)
    _drain(gateway)
    before = _handshakes(gateway)
    came = [_second(router, gateway) for _ in range(300)]
    assert _handshakes(gateway) == before
    assert all(came[: wire.REJECT_AFTER_MS // 1000 - 5])
    assert not any(came[wire.REJECT_AFTER_MS // 1000 + 5 :])
    assert gateway.interface.exchange.refused["draining"] > 10
    (peer,) = gateway.interface.peers.values()
    assert peer.established.reason == "silent"


def test_undrain_takes_up_what_was_wanted_meanwhile(pair):
    router, gateway = pair
    _drain(gateway)
    gateway.send(A_INSIDE)
    router.world.run(60)
    assert _handshakes(gateway) == []
    router.remove()  # it is ours to begin
    _drain(gateway, b"false")
    gateway.send(A_INSIDE)
    gateway.settle()
    gateway.world.run(1)
    assert _handshakes(gateway) == [wire.INITIATION]


def test_an_attempt_under_way_is_given_up(pair):
    router, gateway = pair
    router.world.delay_ms = lambda packet: 1000
    gateway.send(A_INSIDE)
    router.world.run(1.5)
    assert _handshakes(gateway) == [wire.INITIATION]
    _drain(gateway)
    router.world.run(10)
    assert not any(p.established.began_ms for p in gateway.interface.peers.values())


def test_packets_for_peers_without_a_session_wake_nobody_meanwhile(pair):
    router, gateway = pair
    router.remove()
    _drain(gateway)
    gateway.world.run(30)
    before = gateway.native.wakes
    for _ in range(1000):
        gateway.send(A_INSIDE)
        gateway.settle()
    assert gateway.native.wakes - before < 10


@pytest.mark.parametrize("word", [b"", b"yes", b"TRUE", b"1", b"\xff"])
def test_nothing_but_true_and_false_is_taken(pair, word):
    with pytest.raises(uapi.UapiError):
        _drain(pair[1], word)
    assert not pair[1].interface.draining
