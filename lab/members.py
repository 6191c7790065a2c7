# SPDX-License-Identifier: MIT
"""A router whose gateways are one group: daemons on a Star (star.py)."""

from lab.peers import Tunlite
from lab.star import COMMON4, COMMON6, ROUTER
from lab.topology import endpoint, ping, wait_for

NAME = "gateways"


def join(star, router=None, peer=None, **options):
    """Makes the gateways' daemons and the router's, which is returned; none is started. Options are
    the [Group]'s, in addition or instead: None leaves one out; `peer`: options of each [Peer]."""
    router = router or Tunlite(star.router, ROUTER)
    group = {"Name": NAME, "Limit": 1, "FailAfter": 3, "ProbeAddress": COMMON6, **options}
    router.groups = [{key: value for key, value in group.items() if value is not None}]
    for index, spot in enumerate(star.spots, start=1):
        spot.daemon = Tunlite(spot.namespace, spot.number)
        spot.daemon.add_peer(router)
        more = {"AllowedIPs": "0.0.0.0/0, ::/0", "Group": NAME, "Description": f"gw{index}"}
        more.update(peer or {})
        router.add_peer(spot.daemon, endpoint(spot.far.v4), **more)
    return router


def run(star, router):
    """Starts what join() made: gateways, then the router."""
    for spot in star.spots:
        spot.daemon.start()
    router.start()


def start(star, router=None, **options):
    """join() and run(); waits for an answer inside. The router's daemon."""
    router = join(star, router, **options)
    run(star, router)
    wait_answer(star)
    return router


def wait_answer(star):
    """Waits until the router reaches what every gateway is inside."""
    wait_for(lambda: ping(star.router, COMMON4, count=1, wait=1).received, 15, "an answer inside")


def group_of(router):
    """The group's row of the status."""
    (group,) = router.show_json()["groups"]
    return group


def used(star, router):
    """The spot of the gateway that is used."""
    key = group_of(router)["used"]
    return next(spot for spot in star.spots if spot.daemon.keys.public == key)


def wait_used(star, router, spot, timeout=20):
    """Waits until this spot's gateway is used."""
    wait_for(lambda: used(star, router) is spot, timeout, f"gateway {spot.number} is used")
