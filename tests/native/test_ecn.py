# SPDX-License-Identifier: MIT
"""ECN between inner and outer header: RFC 6040, normal mode out, figure 4 in."""

import pytest

from tests.native.plane_ffi import KEY_B, Plane, checksum, ipv4, ipv6, seal

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
# (outer, inner) where the delivered packet's field is not the inner one's.
CHANGED = {(CE, ECT0): CE, (CE, ECT1): CE, (ECT1, ECT0): ECT1}


@pytest.fixture
def plane():
    with Plane() as p:
        p.index_bytes = p.session(p.index(p.peer(["0.0.0.0/0", "::/0"])))
        yield p


@pytest.mark.parametrize("make", [lambda t: ipv4(tos=t), lambda t: ipv6(tclass=t)])
@pytest.mark.parametrize("tos", range(0, 256, 7))
def test_outside_carries_the_inner_ecn_field_and_no_dscp(plane, make, tos):
    plane.put_inside(make(tos))
    plane.turn()
    assert [t for _, _, t in plane.take_outside_all()] == [tos & 3]


@pytest.mark.parametrize("outer", range(4))
@pytest.mark.parametrize("inner", range(4))
@pytest.mark.parametrize("dscp", [0, 0x88, 0xFC])
def test_inside_gets_what_rfc_6040_says_and_a_right_checksum(plane, outer, inner, dscp):
    expected = CHANGED.get((outer, inner), inner) | dscp
    packets = [ipv4(tos=inner | dscp, payload=b"x"), ipv6(tclass=inner | dscp)]
    for i, packet in enumerate(packets):
        plane.put_outside(seal(KEY_B, plane.index_bytes, i, packet), tos=outer | 0x40)
    plane.turn()
    assert plane.take_inside() == [ipv4(tos=expected, payload=b"x"), ipv6(tclass=expected)]
    assert plane.counters()["ecn_ce_not_ect"] == (2 if (outer, inner) == (CE, NOT_ECT) else 0)


def test_the_checksum_is_mended_for_every_value_it_can_have(plane):
    packets = [ipv4(f"10.{n >> 8}.{n & 255}.1", tos=ECT0) for n in range(0, 65536, 97)]
    for i, packet in enumerate(packets):
        plane.put_outside(seal(KEY_B, plane.index_bytes, i, packet), tos=CE)
    plane.turn(40)
    got = plane.take_inside()
    assert len(got) == len(packets)
    assert all(checksum(p[:20]) == 0 and p[1] == CE for p in got)
