# SPDX-License-Identifier: MIT
"""PeerLimit of a file, with real daemons: so many are established, the next one waits outside.

router1 ==w1== gateway, router2 ==w2== gateway ...
"""

import pytest

from lab.peers import Tunlite
from lab.topology import endpoint, ping, wait_for
from tests.net.test_layer2 import know

pytestmark = pytest.mark.once


class _Hub:
    """A gateway that knows three routers, each with a wire of its own to it."""

    def __init__(self, lab, **interface):
        namespace = lab.namespace("gateway")
        meets = know if interface else Tunlite.add_peer
        self.gateway = Tunlite(namespace, 1, **interface)
        self.routers = []
        for number in (1, 2, 3):
            outside = lab.namespace(f"router{number}")
            router = Tunlite(outside, 1 + number, **interface)
            meets(router, self.gateway, endpoint(lab.wire(namespace, outside, number)[0].v4))
            meets(self.gateway, router)
            self.routers.append(router)

    def start(self):
        self.gateway.start()
        for router in self.routers:
            router.start()

    def comes(self, router, count=1):
        """How many of its pings are answered."""
        return ping(router.namespace, self.gateway.v4, count=count, wait=0.5).received

    def wait(self, router):
        wait_for(lambda: self.comes(router), 20, f"{router.namespace.label} is let in")

    def established(self):
        rows = self.gateway.show_json()["peers"]
        keys = {row["public_key"] for row in rows if row["established_s"] is not None}
        return [router.keys.public in keys for router in self.routers]

    def refused(self):
        return self.gateway.show_json()["handshakes_refused"].get("over PeerLimit", 0)

    def check_outside(self, router, told):
        """It gets no answer, the gateway counts it and says why."""
        before = self.refused()
        assert not self.comes(router, 3)
        wait_for(lambda: self.refused() > before, 15, "its next handshake is counted")
        row = router.peer_json(self.gateway)
        assert row["handshakes"]["completed"] == 0 and row["rx_bytes"] == 0
        assert self.gateway.process.log().count(told) == 1


@pytest.fixture
def hub(lab, request):
    return _Hub(lab, **getattr(request, "param", {}))


@pytest.mark.parametrize("hub", [{}, {"Layer": 2}], ids=["packets", "frames"], indirect=True)
def test_one_more_than_the_interface_takes_comes_when_another_one_has_left(hub):
    first, second, third = hub.routers
    hub.gateway.interface["PeerLimit"] = 2
    hub.start()
    hub.wait(first)
    hub.wait(second)
    told = "2 peers are established: PeerLimit refused handshakes of others"
    hub.check_outside(third, told)
    assert hub.established() == [True, True, False]
    assert hub.comes(first) and hub.comes(second)
    hub.gateway.cli("remove", hub.gateway.name, first.keys.public)
    hub.wait(third)
    assert not hub.comes(first)


def test_a_group_that_is_full_refuses_its_members_alone_until_a_reload_makes_room(hub):
    first, second, third = hub.routers
    hub.gateway.groups.append({"Name": "routers", "PeerLimit": 1})
    for router in (first, second):
        hub.gateway.peers[router.keys.public]["Group"] = "routers"
    hub.start()
    hub.wait(first)
    told = "1 members of group routers are established: its PeerLimit refused handshakes of others"
    hub.check_outside(second, told)
    hub.wait(third)
    assert hub.established() == [True, False, True]
    hub.gateway.groups[0]["PeerLimit"] = 2
    hub.gateway.reload()
    hub.wait(second)
    assert hub.established() == [True, True, True]
