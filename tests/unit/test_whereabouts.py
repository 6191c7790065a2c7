# SPDX-License-Identifier: MIT
"""whereabouts.py alone: what is known of an endpoint, and what is forgotten when."""

from tunlite.control.whereabouts import Whereabouts


def test_a_peer_is_nowhere_until_it_is_heard_or_told():
    where = Whereabouts()
    assert where.nowhere and where.entries == where.places == ()
    where.heard()
    assert not where.nowhere
    where.moved(True)
    assert where.nowhere
    where.moved(False)
    assert not where.nowhere


def test_a_new_endpoint_forgets_the_place_of_the_old_one_but_not_the_name():
    where = Whereabouts()
    where.configured((("gateway.example", 1),))
    where.is_outside(b"place")
    where.moved(False)
    assert where.place is None and where.entries == (("gateway.example", 1),)
    where.configured(())
    assert where.entries == ()


def test_a_place_outside_ends_the_doubt():
    where = Whereabouts()
    where.doubt()
    assert where.doubted
    where.is_outside(b"place")
    assert not where.doubted and where.place == b"place"


def test_it_is_asked_until_it_was_looked_at():
    where = Whereabouts()
    where.ask()
    assert where.asked
    where.looked()
    where.judged(7)
    assert not where.asked and where.judged_ms == 7
