# SPDX-License-Identifier: MIT
"""What is known of one peer's endpoint; the packet path has the endpoint itself."""


class Whereabouts:
    """The name is interface.py's, the way there ways.py's."""

    def __init__(self):
        self.name = None  # (host, port) of an endpoint that has to be resolved
        self.nowhere = True  # no endpoint is known
        self.asked = False  # its way is to be looked at
        self.doubted = False  # it routes into us, while no mark is set
        self.place = None  # one that did not: the first 24 bytes of its record
        self.judged_ms = 0

    def named(self, name):
        """name: (host, port), or None for an endpoint without."""
        self.name = name

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
