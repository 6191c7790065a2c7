# SPDX-License-Identifier: MIT
"""What is known of one peer's endpoints; the packet path has the one in use itself."""

from tunlite.control import endpoint_set


class Whereabouts:
    """The entries and places are interface.py's, the way there ways.py's."""

    # As it is configured: a tuple of (host, port) for names that have to be resolved and first 24
    # bytes of records; () for one endpoint without a name.
    entries = ()
    places = ()  # an EndpointSet where there are several

    def __init__(self):
        self.nowhere = True  # no endpoint is known
        self.asked = False  # its way is to be looked at
        self.doubted = False  # it routes into us, while no mark is set
        self.place = None  # one that did not: the first 24 bytes of its record
        self.judged_ms = 0

    def configured(self, entries):
        """As `entries` above."""
        if entries or self.entries:
            self.entries = entries

    def settled(self, records, native):
        """The first 24 bytes of the endpoints that are known by now."""
        if len(records) > 1:
            self.places = endpoint_set.EndpointSet(records, self.places, native)
        elif self.places:
            self.forget(native)
            self.places = ()

    def forget(self, native):
        """Cookies of several endpoints."""
        if self.places:
            self.places.forget(native)

    def round_ended(self):
        if self.places:
            self.places.end()

    def stopped(self):
        if self.places:
            self.places.stopped()

    def moved(self, nowhere):
        """By who configures us, or a name's new address."""
        self.nowhere = nowhere
        self.place = None

    def heard(self):
        self.nowhere = False

    def ask(self):
        self.asked = True

    def looked(self):
        self.asked = False

    def judged(self, now_ms):
        self.judged_ms = now_ms

    def doubt(self):
        self.doubted = True

    def is_outside(self, place):
        self.doubted = False
        self.place = place
