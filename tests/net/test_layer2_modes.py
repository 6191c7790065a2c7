# SPDX-License-Identifier: MIT
"""Two daemons of layer 2: what is on the wire in each mode, and what they do that disagree.

router ==w1== middle (relay) ==w2== gateway
"""

import sys

import pytest

from lab.peers import Tunlite
from lab.topology import RelayedTunnel, tcp_transfer, wait_for

# No file may have Layer = 2 yet.
_COMMAND = [
    sys.executable,
    "-c",
    "import sys; from tunlite.config import values; values.PARSERS['layer'] = int;"
    " from tunlite.cli import words; sys.exit(words.main(sys.argv[1:]))",
]


class Frames(Tunlite):
    """An end whose device is a TAP."""

    def __init__(self, *arguments):
        super().__init__(*arguments, Layer=2)
        self.command = _COMMAND

    def add_peer(self, other, endpoint=None, **options):
        super().add_peer(other, endpoint, **options)
        del self.peers[other.keys.public]["AllowedIPs"]


class Tap:
    """Counts what passes by its first byte, and keeps the last of each."""

    def __init__(self):
        self.types = {}
        self.last = {}

    def __call__(self, direction, datagram):
        self.types[datagram[0]] = self.types.get(datagram[0], 0) + 1
        self.last[datagram[0]] = datagram
        return [datagram]


def tunnel(lab, mine, theirs, kinds=(Frames, Frames)):
    tap = Tap()
    found = RelayedTunnel(lab, router=kinds[0], gateway=kinds[1], watch=tap)
    for end, modes in ((found.router, mine), (found.gateway, theirs)):
        end.interface["Encryption"] = modes
    return found.start(), tap


def mode(there):
    row = there.router.peer_json(there.gateway)
    return row["layer"], row["encryption"]


@pytest.mark.parametrize(("modes", "kind"), [("on", 4), ("authentic", 5), ("off", 6)])
def test_ping_and_tcp_pass_in_each_mode_and_the_wire_has_its_type(lab, modes, kind):
    there, tap = tunnel(lab, modes, modes)
    there.wait_up()
    for answer in there.ping(count=20, interval=0.01):
        assert answer.received == 20
    ends = there.router.namespace, there.gateway.namespace
    for left, right, address in ((*ends, there.gateway.v4), (*ends[::-1], there.router.v6)):
        passed = tcp_transfer(left, right, address, size=4 << 20)
        assert passed.is_intact and passed.bytes == 4 << 20
    assert {1, 2, kind} <= set(tap.types) <= {1, 2, 4, kind} and tap.types[kind] > 1000
    assert kind == 4 or tap.types.get(4, 0) < 30  # what is sealed in any mode
    for end in (there.router, there.gateway):
        assert not {"wrong_mode", "bare_refused", "not_authentic"} & set(end.drops())
    assert mode(there) == (2, modes)


def test_a_mode_that_is_refused_is_asked_for_otherwise_at_once(lab):
    there, tap = tunnel(lab, "authentic, on", "on")
    there.wait_up()
    assert mode(there) == (2, "on") and set(tap.types) == {1, 2, 4}
    assert there.router.peer_json(there.gateway)["handshakes"]["initiated"] == 2


def test_ends_without_a_common_mode_say_so_and_a_reload_of_one_mends_it(lab):
    there, tap = tunnel(lab, "authentic", "on")
    there.ping(count=1)
    told = "its Encryption begins with on, ours is authentic; it is asked again in a minute"
    wait_for(lambda: told in there.router.process.log(), 10, "a line about it")
    row = there.router.peer_json(there.gateway)
    assert row["encryption_refused"] == "on" and row["encryption"] is None
    assert "the peer's begins with on" in there.router.cli("show", there.router.name).stdout
    refused = there.gateway.show_json()["handshakes_refused"]
    assert refused["of a mode that is not taken"] >= 1
    assert set(tap.types) == {1, 2}
    there.router.interface["Encryption"] = "authentic, on"
    there.router.reload()
    there.wait_up()
    assert mode(there) == (2, "on")


@pytest.mark.parametrize("kinds", [(Frames, Tunlite), (Tunlite, Frames)])
def test_an_end_of_the_other_layer_is_told_of_once_a_minute_and_not_answered(lab, kinds):
    there, tap = tunnel(lab, "on", "on", kinds)
    for _ in range(3):
        there.ping(count=1)
    wait_for(lambda: tap.types.get(1, 0) >= 2, 20, "two initiations")
    wait_for(lambda: "write the same Layer" in there.gateway.process.log(), 10, "a line about it")
    assert there.gateway.process.log().count("write the same Layer") == 1
    assert set(tap.types) == {1} and there.gateway.drops()["other_layer"] >= 2


def test_a_tunnel_moves_from_on_to_authentic_end_by_end_and_loses_nothing(lab):
    there, tap = tunnel(lab, "on", "on")
    there.wait_up()
    assert mode(there) == (2, "on")
    for modes in ("authentic, on", "authentic"):
        for end in (there.router, there.gateway):
            end.interface["Encryption"] = modes
            end.reload()
            assert all(answer.received == 20 for answer in there.ping(count=20, interval=0.02))
    assert 5 not in tap.types  # the session goes on as it was made


def test_after_a_restart_a_recorded_initiation_and_what_is_forged_on_its_index_do_nothing(lab):
    there, tap = tunnel(lab, "off", "off")
    there.wait_up()
    assert all(answer.received == 10 for answer in there.ping(count=10, interval=0.05))
    recorded, frame = tap.last[1], tap.last[6]
    there.router.stop()
    there.gateway.kill9()
    there.gateway.start()
    stranger = there.far[0].namespace.udp_socket()
    with stranger:
        stranger.settimeout(10)
        target = (there.far[1].v4, there.gateway.port)
        stranger.sendto(recorded, target)
        answer = stranger.recv(200)
        assert len(answer) == 96
        for kind in (4, 5, 6):
            # the index that answers it, in front of what was a frame
            forged = bytes([kind]) + bytes(3) + answer[4:8] + bytes(8) + frame[16:]
            stranger.sendto(forged, target)
        wait_for(lambda: there.gateway.drops().get("bare_refused"), 10, "the forged frame's end")
    drops = there.gateway.drops()
    assert drops["wrong_mode"] == drops["bare_refused"] == drops["not_authentic"] == 1
    row = there.gateway.peer_json(there.router)
    assert row["endpoint"] is None and row["established_s"] is None
    assert row["encryption"] is None and row["rx_bytes"] == 0
    there.router.start()
    there.wait_up()  # the peer itself is let in at once
