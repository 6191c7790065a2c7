# SPDX-License-Identifier: MIT
"""What may happen to the gateway that a router uses, and to the router's uplink: one each run.

A ping goes to an address that every gateway has inside, at a random phase. Behind a death the clock
runs from the last answer, behind a return from its moment.
"""

import random
import time
from dataclasses import dataclass, field

from lab.name_server import NameServer
from lab.netns import WaitError
from lab.pinger import Pinger
from lab.star import Star

PING_S = 0.05
AWAY_S = 10  # of all gateways, and of the uplink
_SETTLED = 20  # answers before anything happens


@dataclass
class Run:
    """What a scenario has to do with. `data` is the first byte of datagrams that carry packets,
    `patience_s` how long an answer is waited for."""

    star: Star
    pinger: Pinger
    server: NameServer | None
    data: int
    patience_s: float
    used: object = None  # the spot whose gateway is in use
    others: list = field(default_factory=list)

    def look(self):
        """Finds who is in use: whoever the pings go to."""
        way, spots = self.star.way, self.star.spots
        before = [way.sent_packets(spot.near.name) for spot in spots]
        self.pinger.wait_answers(_SETTLED)
        sent = [way.sent_packets(spot.near.name) - n for spot, n in zip(spots, before, strict=True)]
        self.used = spots[sent.index(max(sent))]
        self.others = [spot for spot in spots if spot is not self.used]


def _dead_names(run):
    run.server.silent = True
    run.used.kill()


def _two(run):
    for spot in (run.used, run.others[0]):
        spot.kill()


def _all_and_one_back(run):
    for spot in run.star.spots:
        spot.kill()
    time.sleep(AWAY_S)
    run.others[0].daemon.start()


def _uplink(run):
    run.star.uplink_away()
    time.sleep(AWAY_S)
    run.star.uplink_back()


def _no_data(run):
    run.used.lose_kind(run.data)


@dataclass(frozen=True)
class Scenario:
    """What happens; with so many gateways, reached by name or not, a death or a return."""

    happens: object
    spots: int = 2
    by_name: bool = False
    returns: bool = False


SCENARIOS = {
    "gateway killed": Scenario(lambda run: run.used.kill()),
    "gateway stands still": Scenario(lambda run: run.used.freeze()),
    "cable cut": Scenario(lambda run: run.used.cut()),
    "black hole, both ways": Scenario(lambda run: run.used.black_hole()),
    "black hole to the gateway": Scenario(lambda run: run.used.black_hole(back=False)),
    "black hole from the gateway": Scenario(lambda run: run.used.black_hole(to=False)),
    "killed, name server dead too": Scenario(_dead_names, by_name=True),
    "two of three killed": Scenario(_two, spots=3),
    "handshakes pass, data does not": Scenario(_no_data),
    "all killed, another one back": Scenario(_all_and_one_back, returns=True),
    "uplink back": Scenario(_uplink, returns=True),
}


def happen(run, name):
    """Seconds without an answer; None where none came for as long as it was waited."""
    scenario = SCENARIOS[name]
    run.pinger.wait_answers(_SETTLED, 30)
    run.look()
    time.sleep(random.random())
    scenario.happens(run)
    tell = run.pinger.back if scenario.returns else run.pinger.gap
    try:
        return tell(time.monotonic(), run.patience_s)
    except WaitError:
        return None
