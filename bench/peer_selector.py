# SPDX-License-Identifier: MIT
"""The rule by which mesh routers with the kernel's WireGuard leave a gateway, as wgpeerselector's
page tells it: one peer at a time is configured; each 5 s its latest handshake is looked at; one
that is older than 150 s, or that did not come within the first 5 s, and it is the next one's turn.

    peer_selector.py INTERFACE < a line of public key and endpoint for each gateway

Our own few lines, of the rule alone.
"""

import subprocess
import sys
import time

_LOOK_S = 5
_OLD_S = 150


def _set(interface, *words):
    subprocess.run(["wg", "set", interface, "peer", *words], check=True)


def _age(interface):
    """Seconds since the latest handshake of the only peer; endless before the first."""
    words = ["wg", "show", interface, "latest-handshakes"]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    stamp = int(text.split()[1])
    return time.time() - stamp if stamp else float("inf")


def main(interface):
    """Never ends."""
    gateways = [line.split() for line in sys.stdin]
    turn = 0
    while True:
        key, endpoint = gateways[turn % len(gateways)]
        _set(interface, key, "endpoint", endpoint, "allowed-ips", "0.0.0.0/0,::/0")
        _set(interface, key, "persistent-keepalive", "25")
        time.sleep(_LOOK_S)
        while _age(interface) <= _OLD_S:
            time.sleep(_LOOK_S)
        _set(interface, key, "remove")
        turn += 1


if __name__ == "__main__":
    main(sys.argv[1])
