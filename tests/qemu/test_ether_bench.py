# SPDX-License-Identifier: MIT
"""Ethernet over tunnels on the instruction clock: what its figures are, and that its rows run."""

import pytest

from devtools import cross
from qemu import ether_bench

HERE = {"idle_ticks": 100, "segments": 1000, "bytes": 1_250_000}


def said(name, seconds, acks):
    """What a guest says of one flow."""
    return {f"{name}:{key}": n for key, n in {**HERE, "seconds": seconds, "acks": acks}.items()}


def test_a_segment_costs_what_the_line_through_both_flows_has_at_half_an_acknowledgement():
    values = {**said("bat:on/plain", 5, 250), **said("bat:on/quickack", 7, 1000)}
    row = ether_bench.row(values, "bat:on")
    # 4 ms at 0.25 and 6 at 1: 4.667 at 0.5, of 250 million instructions a second.
    assert row["instructions_per_segment"] == 1_166_667
    assert row["mbit_s"] == round(1250 * 8 / 4666.67, 2)
    assert row["segment"] == 1250


def test_flows_that_are_acknowledged_alike_have_no_line_but_their_mean():
    values = {**said("bat:on/plain", 5, 500), **said("bat:on/quickack", 7, 510)}
    assert ether_bench.row(values, "bat:on")["instructions_per_segment"] == 1_250_000


def test_every_row_of_a_pair_is_measured_once():
    rows = ether_bench.rows_of(ether_bench.PAIRS)
    assert len(rows) == len(set(rows))
    assert {"bat:l2tp", "bat:off", "bat:kernel:cut", "fragments:on"} <= set(rows)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_batman_adv_gets_more_through_layer_2_than_through_the_kernels_wireguard_and_vxlan():
    cross.build("mipsel")
    report = ether_bench.ether_bench(ether_bench.PAIRS[:1], seconds=2)
    (_, ratio, _) = report["pairs"][0]
    assert ratio > 1.2
    assert [row["quickack"][1] for row in report["rows"]] == pytest.approx([1, 1], abs=0.05)
