# SPDX-License-Identifier: MIT
"""Ten thousand routers and three gateways: choice.py alone over a net of a few lines, as ten
thousand whole daemons take too long.

Each router sends without a pause, and its gateway answers while it is up and knows the session. A
router whose gateway lives needs no look, so that none is made.
"""

import heapq
import random

import pytest

from tunlite.control import choice, liveness

ROUTERS, GATEWAYS = 10_000, 3
WAY_MS = 20
BACK_MS = 15_000
BOOT = 300
DAY_MS = 86_400_000


class Rules:
    choose = "random"
    fail_ms = 5000
    health = is_new = False


class Net:
    """`probe`: routers ask by echoes, else by handshakes."""

    def __init__(self, seed, probe):
        print("seed", seed)
        self.chance = random.Random(seed)
        self.probe = probe
        self.now_ms = 1_000_000
        self.up_ms = [1] * GATEWAYS  # since when, 0: it is down
        self.down_ms = [0] * GATEWAYS
        self.victims = []  # of each death, how many
        self.late = []  # routers that had no answer BACK_MS after they were cut off
        self._queue = []
        self._serial = 0
        self.routers = [Router(self) for _ in range(ROUTERS)]

    def at(self, when_ms, call, *arguments):
        self._serial += 1
        heapq.heappush(self._queue, (when_ms, self._serial, call, arguments))

    def run_until(self, end_ms):
        while self._queue and self._queue[0][0] <= end_ms:
            self.now_ms, _, call, arguments = heapq.heappop(self._queue)
            call(*arguments)
        self.now_ms = end_ms

    def run(self, ms):
        self.run_until(self.now_ms + ms)

    def kill(self, gateway):
        """Sessions are forgotten. Who used it is looked at BACK_MS later."""
        self.up_ms[gateway] = 0
        self.down_ms[gateway] = self.now_ms
        victims = [router for router in self.routers if router.used == gateway]
        self.victims.append(len(victims))
        for router in victims:
            router.cut_off(self.now_ms)
            # A look comes each third of FailAfter while data flows.
            self.at(self.now_ms + self.chance.randrange(1667), router.look)
        self.at(self.now_ms + BACK_MS, self._look_at, victims, self.now_ms)

    def _look_at(self, victims, cut_ms):
        """Each has been answered since, by whichever gateway; who was cut off again later is looked
        at later."""
        self.late += [router for router in victims if 0 < router.cut_ms <= cut_ms]

    def revive(self, gateway):
        self.up_ms[gateway] = self.now_ms

    def unserved(self):
        """Routers whose data is not answered."""
        return [router for router in self.routers if not router.is_served(router.used)]

    def shares(self):
        used = [router.used for router in self.routers]
        return [used.count(gateway) for gateway in range(GATEWAYS)]


class Router:
    """The `hands` of its own choice; its peers are numbers of gateways."""

    def __init__(self, net):
        self.net = net
        self.cut_ms = 0  # since when its data is not answered; 0: it is
        self._attempts = 0
        self._boots(1)

    def _boots(self, session_ms):
        self.session_ms = [session_ms] * GATEWAYS
        self.echoed = [session_ms] * GATEWAYS  # when each answered one last
        self.tried = [0] * GATEWAYS  # number of the attempt under way, 0: none
        self.sent_ms = [0] * GATEWAYS
        self._due_ms = None
        self.members = [liveness.Member(i, i) for i in range(GATEWAYS)]
        self.choice = choice.Choice(self, Rules)
        self.choice.changed(self.members, self.net.now_ms)

    def boot(self):
        """It knows nothing any more, and sends."""
        self._boots(0)
        self.cut_off(self.net.now_ms)
        self.begin(self.used)
        self.choice.wants(self.choice.used, self.net.now_ms)

    @property
    def used(self):
        return self.choice.used.peer

    def is_served(self, gateway):
        up_ms = self.net.up_ms[gateway]
        return 0 < up_ms <= self.session_ms[gateway]

    def look(self):
        self.choice.run(self.net.now_ms)
        self._served()

    def cut_off(self, now_ms):
        self.cut_ms = self.cut_ms or now_ms

    def _served(self):
        if self.cut_ms and self.is_served(self.used):
            self.cut_ms = 0

    # ---- hands ----

    def below(self, number):
        return self.net.chance.randrange(number)

    def wake_at(self, when_ms):
        self._due_ms = when_ms
        if when_ms is not None:
            self.net.at(when_ms, self._wake, when_ms)

    def _wake(self, when_ms):
        if when_ms == self._due_ms:
            self.look()

    def stamps(self, gateway):
        now_ms = self.net.now_ms
        if self.is_served(gateway):
            return 0, now_ms, now_ms
        received_ms = max(self.net.down_ms[gateway], self.session_ms[gateway])
        return received_ms + 10, now_ms, received_ms

    def active(self, gateway):
        return not self.is_served(gateway)

    def placed(self, _gateway):
        return True

    def echoes(self, _gateway):
        return self.net.probe

    def echoed_ms(self, gateway):
        return self.echoed[gateway]

    def echo(self, gateway):
        if self.is_served(gateway):
            self.net.at(self.net.now_ms + 2 * WAY_MS, self._echoed, gateway)

    def _echoed(self, gateway):
        self.echoed[gateway] = self.net.now_ms
        self.look()

    def rekey_ms(self, _gateway):
        return 0

    def use(self, old, new, why):
        pass

    def rest(self, gateway):
        self.tried[gateway] = 0

    def begin(self, gateway):
        if not self.tried[gateway]:
            self._attempt(gateway, max(self.net.now_ms, self.sent_ms[gateway] + 5000))

    def shake(self, gateway):
        self._attempt(gateway, self.net.now_ms)

    def _attempt(self, gateway, when_ms):
        self._attempts += 1
        self.tried[gateway] = self._attempts
        self.net.at(when_ms, self._leaves, gateway, self._attempts)

    def _leaves(self, gateway, attempt):
        if self.tried[gateway] == attempt:
            self.sent_ms[gateway] = self.net.now_ms
            self.net.at(self.net.now_ms + WAY_MS, self._reaches, gateway, attempt)
            again_ms = self.net.now_ms + 5000 + self.net.chance.randrange(334)
            self.net.at(again_ms, self._leaves, gateway, attempt)

    def _reaches(self, gateway, attempt):
        if self.net.up_ms[gateway]:
            self.net.at(self.net.now_ms + WAY_MS, self._answered, gateway, attempt)

    def _answered(self, gateway, attempt):
        if self.tried[gateway] == attempt:
            self.tried[gateway] = 0
            self.session_ms[gateway] = self.net.now_ms
            self.choice.answered(self.members[gateway], self.net.now_ms)
            self._served()

    def ask(self, gateway):
        if self.net.up_ms[gateway]:
            self.net.at(self.net.now_ms + 2 * WAY_MS, self._thrown, gateway)

    def _thrown(self, gateway):
        self.choice.thrown(self.members[gateway], 2 * WAY_MS, self.net.now_ms)


def flap(net, gateway, times):
    """20 s up, 10 s down. Who fled does not come back so soon: a few routers boot each time, so
    that each death has its victims."""
    for _ in range(times):
        net.run(19_000)
        for router in net.chance.sample(net.routers, BOOT):
            router.boot()
        net.run(1000)
        net.kill(gateway)
        net.run(10_000)
        net.revive(gateway)


@pytest.mark.parametrize("probe", [False, True], ids=["handshakes", "echoes"])
def test_ten_thousand_routers_are_back_in_time_after_each_death_and_shares_are_even_in_two_days(
    probe,
):
    """One dies, and comes back while another flaps for ten minutes; then all stay up."""
    net = Net(12, probe)
    share = ROUTERS / GATEWAYS
    assert max(net.shares()) < 1.2 * share
    net.run(60_000)
    net.kill(0)
    assert len(net.unserved()) == net.victims[0] > 0.8 * share
    net.run(15_000)
    assert net.unserved() == []
    assert net.shares()[0] == 0 and max(net.shares()) < 1.1 * ROUTERS / 2
    flap(net, 1, 6)
    net.revive(0)
    flap(net, 1, 14)
    net.run(15_000)
    print("cut off by each death", net.victims)
    assert len(net.victims) == 21 and net.victims[1] > share
    assert min(net.victims) > 0.25 * BOOT
    assert net.late == [] and net.unserved() == []
    net.run(2 * DAY_MS)
    print("shares", net.shares())
    assert net.late == [] and net.unserved() == []
    assert max(net.shares()) <= 1.2 * share
