# SPDX-License-Identifier: MIT
"""A command says who may come: OnVerify, with real daemons and a real shell.

router ==w1== gateway
"""

import pytest

from lab.peers import Tunlite, WireguardGo, preshared_key
from lab.pinger import Pinger
from lab.topology import Tunnel, ping, wait_for

pytestmark = pytest.mark.once

_LIFETIME_S = 6
_COMMAND = """#!/bin/sh
echo "$PEER_KEY at $PEER_ADDRESS" >> "{log}"
test "$PEER_KEY" = "{key}" || exit 1
echo "AllowedIPs = {allowed}"
echo "PresharedKey = {psk}"
"""


def _stranger(lab, kind):
    """A tunnel whose gateway knows nobody, and asks a command about a router of that kind."""
    psk = preshared_key()
    made = Tunnel(lab, kind, Tunlite, PresharedKey=psk)
    router, gateway = made.router, made.gateway
    gateway.peers.clear()
    made.log, made.command = lab.folder / "asked", lab.folder / "verify"
    words = {"log": made.log, "key": router.keys.public, "psk": psk}
    made.command.write_text(_COMMAND.format(allowed=f"{router.v4}, {router.v6}", **words))
    made.command.chmod(0o700)
    gateway.interface["OnVerify"] = made.command
    return made


@pytest.fixture(params=[Tunlite, WireguardGo])
def tunnel(request, lab):
    return _stranger(lab, request.param)


@pytest.mark.parametrize("way", ["remove", "block"])
def test_who_the_command_takes_is_in_and_goes_by_remove_or_block(tunnel, way):
    tunnel.start()
    gateway, router = tunnel.gateway, tunnel.router
    tunnel.wait_up(20)
    row = gateway.peer_json(router)
    assert (row["origin"], row["preshared"]) == ("admitted", True)
    assert set(row["allowed_ips"]) == {router.v4 + "/32", router.v6 + "/128"}
    assert tunnel.log.read_text().splitlines() == [f"{router.keys.public} at {tunnel.wire[0].v4}"]
    gateway.reload()
    assert ping(router.namespace, gateway.v4).received == 3
    gateway.cli(way, gateway.name, router.keys.public)
    assert not ping(router.namespace, gateway.v4, count=2, wait=0.3).received
    assert gateway.show_json()["peers"] == []


def test_who_the_command_refuses_stays_out_and_is_asked_about_once(tunnel):
    tunnel.command.write_text(f'#!/bin/sh\necho "$PEER_KEY" >> "{tunnel.log}"; exit 1\n')
    tunnel.start()
    source = tunnel.router.namespace
    ping(source, tunnel.gateway.v4, count=1, wait=0.1)
    wait_for(tunnel.log.exists, 20, "the question")
    ping(source, tunnel.gateway.v4, count=6, interval=1, wait=0.3)
    assert len(tunnel.log.read_text().splitlines()) == 1
    assert tunnel.gateway.show_json()["peers"] == []


def test_a_lifetime_is_renewed_beside_the_session_until_the_command_says_no(lab):
    tunnel = _stranger(lab, Tunlite)
    gateway, source = tunnel.gateway, tunnel.router.namespace
    taken = tunnel.command.read_text()
    tunnel.command.write_text(f"{taken}echo Lifetime = {_LIFETIME_S}\n")

    def asked(times):
        return lambda: len(tunnel.log.read_text().splitlines()) >= times

    tunnel.start()
    tunnel.wait_up(20)
    pinger = Pinger(source, gateway.v4)
    wait_for(asked(2), 2 * _LIFETIME_S, "the question before the end")
    refuses = tunnel.command.with_name("refuses")
    refuses.write_text(f'#!/bin/sh\necho "$PEER_KEY" >> "{tunnel.log}"; exit 1\n')
    refuses.chmod(0o700)
    refuses.rename(tunnel.command)
    pinger.wait_answers(40)  # two seconds: more than was left before the renewal
    assert pinger.stop() == []
    assert gateway.peer_json(tunnel.router)["handshakes"]["completed"] == 1
    wait_for(asked(3), 2 * _LIFETIME_S, "the next question")
    wait_for(lambda: gateway.show_json()["peers"] == [], _LIFETIME_S, "the end of its time")
    assert not ping(source, gateway.v4, count=3, wait=0.3).received
