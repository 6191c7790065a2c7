# SPDX-License-Identifier: MIT
"""What peers that left had counted, so that an interface's totals never go back."""

from tunlite.plane import plane as planes

NAMES = ("rx_bytes", "tx_bytes", "initiated", "responded", "completed", "failed")


class Totals:
    """counts: numbers, as NAMES has them."""

    def __init__(self):
        self.counts = [0] * len(NAMES)

    def left(self, peer, state):
        """state: the packet path's numbers of the peer."""
        shakes = peer.shakes
        counted = (shakes.initiated, shakes.responded, shakes.completed, shakes.failed)
        counted = (state[planes.RX_BYTES], state[planes.TX_BYTES]) + counted
        for at in range(len(NAMES)):
            self.counts[at] += counted[at]

    def seen(self):
        """What the status has of it."""
        return {NAMES[at]: self.counts[at] for at in range(len(NAMES))}
