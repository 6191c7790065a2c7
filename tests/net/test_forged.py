# SPDX-License-Identifier: MIT
"""An attacker on the path: replayed, truncated, extended and bit-flipped messages of every type.

router ==w1== middle (relay) ==w2== gateway
"""

import pytest

from lab.topology import RelayedTunnel, ping

TYPES = {1: "initiation", 2: "response", 4: "transport"}


class _Tap:
    """Keeps every datagram that passes, by direction and type."""

    def __init__(self):
        self.seen = []

    def __call__(self, direction, datagram):
        self.seen.append((direction, datagram))
        return [datagram]

    def last(self, kind, direction=None):
        found = [d for way, d in self.seen if d[0] == kind and direction in (None, way)]
        return found[-1]


def _tunnel_with_tap(lab):
    tap = _Tap()
    tunnel = RelayedTunnel(lab, watch=tap).start()
    tunnel.wait_up()
    return tunnel, tap


def _flip_each_byte(datagram):
    for position in range(len(datagram)):
        yield datagram[:position] + bytes([datagram[position] ^ 0x10]) + datagram[position + 1 :]


@pytest.mark.parametrize("kind", TYPES.values())
@pytest.mark.parametrize("harm", ["replayed", "one byte short", "one byte long", "bits flipped"])
def test_a_forged_message_is_refused_and_the_tunnel_goes_on(lab, kind, harm):
    tunnel, tap = _tunnel_with_tap(lab)
    number = next(n for n, name in TYPES.items() if name == kind)
    original = tap.last(number, "in" if kind != "response" else "out")
    forged = {
        "replayed": [original] * 3,
        "one byte short": [original[:-1]],
        "one byte long": [original + b"\0"],
        "bits flipped": list(_flip_each_byte(original)),
    }[harm]
    before = tunnel.gateway.peer_json(tunnel.router)
    for datagram in forged:
        tunnel.relay.inject(datagram)
    answers = ping(tunnel.router.namespace, tunnel.gateway.v4, count=10, interval=0.05)
    assert answers.received == 10
    after = tunnel.gateway.peer_json(tunnel.router)
    assert after["endpoint"] == before["endpoint"]
    assert after["handshakes"]["completed"] == before["handshakes"]["completed"]
    state = tunnel.gateway.show_json()
    refusals = sum(state["drops"].values()) + sum(state["handshakes_refused"].values())
    assert refusals >= len(forged)


def test_a_replayed_initiation_does_not_move_the_endpoint(lab):
    tunnel, tap = _tunnel_with_tap(lab)
    initiation = tap.last(1, "in")
    before = tunnel.gateway.peer_json(tunnel.router)["endpoint"]
    attacker = tunnel.gateway.namespace.udp_socket("127.0.0.1")
    with attacker:
        for _ in range(5):
            attacker.sendto(initiation, ("127.0.0.1", tunnel.gateway.port))
        attacker.settimeout(0.5)
        with pytest.raises(TimeoutError):
            attacker.recv(2000)
    assert tunnel.gateway.peer_json(tunnel.router)["endpoint"] == before
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=3).received == 3


def test_nothing_unauthenticated_is_answered_with_more_bytes_than_it_had(lab):
    tunnel, tap = _tunnel_with_tap(lab)
    attacker = tunnel.gateway.namespace.udp_socket("127.0.0.1")
    originals = [datagram for _, datagram in tap.seen]
    with attacker:
        attacker.settimeout(0.05)
        for datagram in originals:
            for length in {1, 4, 16, 31, 32, 64, 92, 147, 148, 149, len(datagram)}:
                question = datagram[:length]
                attacker.sendto(question, ("127.0.0.1", tunnel.gateway.port))
                try:
                    answer = attacker.recv(65535)
                except TimeoutError:
                    continue
                assert len(answer) <= len(question)
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=3).received == 3
