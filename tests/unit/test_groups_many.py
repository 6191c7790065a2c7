# SPDX-License-Identifier: MIT
"""Ten thousand routers and three gateways: choice.py alone over a net of a few lines, as ten
thousand whole daemons take too long.

Each router sends without a pause. One whose gateway lives needs no look, so that none is made.
"""

import heapq
import random

from tunlite.control import choice, liveness

ROUTERS, GATEWAYS = 10_000, 3
WAY_MS = 20
DAY_MS = 86_400_000


class Rules:
    choose = "random"
    fail_ms = 5000
    health = is_new = False


class Net:
    def __init__(self, seed):
        print("seed", seed)
        self.chance = random.Random(seed)
        self.now_ms = 1_000_000
        self.up_ms = [1] * GATEWAYS  # since when, 0: it is down
        self.down_ms = [0] * GATEWAYS
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
        """Sessions are forgotten."""
        self.up_ms[gateway] = 0
        self.down_ms[gateway] = self.now_ms
        for router in self.routers:
            if router.used == gateway:
                # A look comes each third of FailAfter while data flows.
                self.at(self.now_ms + self.chance.randrange(1667), router.look)

    def revive(self, gateway):
        self.up_ms[gateway] = self.now_ms

    def cut_off(self):
        """Routers whose data is not answered."""
        return [router for router in self.routers if not router.is_served(router.used)]

    def shares(self):
        used = [router.used for router in self.routers]
        return [used.count(gateway) for gateway in range(GATEWAYS)]


class Router:
    """The `hands` of its own choice; its peers are numbers of gateways."""

    def __init__(self, net):
        self.net = net
        self.session_ms = [1] * GATEWAYS
        self.tried = [0] * GATEWAYS  # number of the attempt under way, 0: none
        self.sent_ms = [0] * GATEWAYS
        self._attempts = 0
        self._due_ms = None
        self.members = [liveness.Member(i, i) for i in range(GATEWAYS)]
        self.choice = choice.Choice(self, Rules)
        self.choice.changed(self.members, net.now_ms)

    @property
    def used(self):
        return self.choice.used.peer

    def is_served(self, gateway):
        up_ms = self.net.up_ms[gateway]
        return 0 < up_ms <= self.session_ms[gateway]

    def look(self):
        self.choice.run(self.net.now_ms)

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
        return False

    def echoed_ms(self, _gateway):
        return 0

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

    def ask(self, gateway):
        if self.net.up_ms[gateway]:
            self.net.at(self.net.now_ms + 2 * WAY_MS, self._thrown, gateway)

    def _thrown(self, gateway):
        self.choice.thrown(self.members[gateway], 2 * WAY_MS, self.net.now_ms)


def test_ten_thousand_routers_are_back_in_time_after_each_death_and_shares_are_even_in_two_days():
    net = Net(12)
    assert max(net.shares()) < 1.2 * ROUTERS / GATEWAYS
    net.run(60_000)
    net.kill(0)
    assert len(net.cut_off()) > ROUTERS / 4
    net.run(15_000)
    assert net.cut_off() == []
    assert net.shares()[0] == 0 and max(net.shares()) < 1.1 * ROUTERS / 2
    net.run(60_000)
    net.revive(0)
    for _ in range(20):  # ten minutes
        net.run(20_000)
        net.kill(1)
        net.run(10_000)
        net.revive(1)
        net.run(5_000)
        assert net.cut_off() == []
    net.run(2 * DAY_MS)
    print("shares", net.shares())
    assert net.cut_off() == []
    assert max(net.shares()) <= 1.2 * ROUTERS / GATEWAYS
