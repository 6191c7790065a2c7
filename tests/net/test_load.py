# SPDX-License-Identifier: MIT
"""A gateway under load: cookies, forged floods, and a crowd that comes back at once.

attacker and routers ==w1== gateway
"""

import sys
from pathlib import Path

from lab.floods import flood, open_to_forged_sources
from lab.peers import Tunlite
from lab.topology import Keys, RelayedTunnel, Tunnel, endpoint, ping, wait_for

_ROOT = Path(__file__).resolve().parents[2]


def test_a_router_reconnects_by_cookie_while_forged_initiations_flood_the_gateway(lab):
    tunnel = Tunnel(lab).start()
    open_to_forged_sources(tunnel.gateway.namespace, tunnel.wire[0].v4)
    attack = flood(tunnel.router.namespace, tunnel.gateway, tunnel.outside, 100_000, 10_000)
    wait_for(lambda: tunnel.gateway.drops().get("cookie_sent"), 10, "the gateway is under load")
    tunnel.wait_up(30)
    assert attack.is_running(), "the flood ended before the router was up: nothing is shown"
    assert ping(tunnel.router.namespace, tunnel.gateway.v4, count=20).received >= 18
    attack.stop()
    state = tunnel.gateway.show_json()
    assert state["drops"]["cookie_sent"] > 1000
    assert tunnel.gateway.peer_json(tunnel.router)["handshakes"]["completed"] >= 1


class Listener:
    """A relay's `watch`: the gateway's index, as anybody on the way sees it."""

    index = None

    def __call__(self, direction, datagram):
        if direction == "in" and datagram[0] == 4:
            self.index = datagram[4:8]
        return [datagram]


def test_cookie_replies_forged_with_a_live_index_put_nobody_under_load(lab):
    listener = Listener()
    tunnel = RelayedTunnel(lab, watch=listener).start()
    tunnel.wait_up()
    gateway, attacker = tunnel.gateway, tunnel.near[1].namespace
    place = tunnel.far[1].v4
    argv = [sys.executable, "-c", _COOKIES, place, str(gateway.port), listener.index.hex()]
    attack = attacker.start(argv, "cookies")
    attack.wait_line("begun")
    # the session is 5 s old: they are nothing any more
    wait_for(lambda: gateway.drops().get("unknown_index", 0) > 1000, 30, "replies are refused")
    newcomer = Tunlite(attacker, 7, port=51999, Address="10.77.0.7/32")
    newcomer.add_peer(gateway, endpoint(place, gateway.port), PersistentKeepalive=25)
    gateway.add_peer(newcomer)
    gateway.reload()
    newcomer.start()
    newcomer.wait_handshake(gateway)
    assert attack.is_running() and "cookie_sent" not in gateway.drops()


_COOKIES = """
import os, socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
target = (sys.argv[1], int(sys.argv[2]))
print("begun", flush=True)
while True:
    sock.sendto(b"\\3\\0\\0\\0" + bytes.fromhex(sys.argv[3]) + os.urandom(56), target)
"""


def test_a_running_tunnel_loses_nothing_to_a_flood_of_garbage(lab):
    tunnel = Tunnel(lab).start()
    tunnel.wait_up()
    argv = [sys.executable, "-c", _GARBAGE, tunnel.outside, str(tunnel.gateway.port)]
    attack = tunnel.router.namespace.start(argv, "garbage")
    attack.wait_line("begun")
    answers = ping(tunnel.router.namespace, tunnel.gateway.v4, count=50, interval=0.02)
    assert attack.wait(60) == 0
    assert answers.lost <= 1
    drops = tunnel.gateway.drops()
    assert sum(drops.values()) > 10_000
    assert drops["bad_type"] and drops["too_short"] and drops["bad_mac1"] and drops["unknown_index"]


_GARBAGE = """
import os, random, socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
target = (sys.argv[1], int(sys.argv[2]))
heads = [b"\\x01\\0\\0\\0", b"\\x02\\0\\0\\0", b"\\x03\\0\\0\\0", b"\\x04\\0\\0\\0", b"", b"\\xff"]
sizes = [0, 1, 4, 31, 32, 64, 92, 148, 149, 1452]
print("begun", flush=True)
for number in range(40000):
    head = random.choice(heads)
    sock.sendto(head + os.urandom(max(0, random.choice(sizes) - len(head))), target)
    if number % 20 == 0:
        time.sleep(0.001)
"""


def test_a_thousand_peers_behind_one_address_come_back_at_once(lab):
    left, right = lab.namespace("router"), lab.namespace("gateway")
    far = lab.wire(left, right)[1]
    gateway = Tunlite(right, 1)
    crowd = [Keys() for _ in range(1000)]
    for number, keys in enumerate(crowd):
        section = {
            "PublicKey": keys.public,
            "AllowedIPs": f"10.78.{number >> 8}.{number & 255}/32",
        }
        gateway.peers[keys.public] = section
    gateway.start()
    listed = gateway.folder / "keys"
    listed.write_text("".join(keys.private + "\n" for keys in crowd), encoding="ascii")
    argv = [sys.executable, _ROOT / "lab/crowd.py", far.v4, gateway.port, gateway.keys.public]
    with open(listed, encoding="ascii") as keys:
        running = left.start(argv, "crowd", stdin=keys, env={"PYTHONPATH": str(_ROOT)})
    running.wait_line("all up", timeout=90)
    assert running.wait() == 0
    rows = gateway.show_json()["peers"]
    assert sum(row["handshakes"]["responded"] > 0 for row in rows) == 1000
