# SPDX-License-Identifier: MIT
"""The bench's own arithmetic on made-up samples: ratios, refusals, counts."""

import json

import pytest

from bench import measures, memory_only, places, report, side_by_side, syscalls

OURS, THEIRS, BARE = "tunlite", report.YARDSTICK, report.BARE


def rounds(ours, theirs, figure="mbit_s", bare=None):
    """Rounds of one measure, "tcp 1 flow"; None: that contender failed in that round."""
    names = {OURS: ours, THEIRS: theirs} | ({BARE: bare} if bare else {})
    return [
        {
            name: {} if values[i] is None else {"tcp 1 flow": {figure: values[i]}}
            for name, values in names.items()
        }
        for i in range(len(ours))
    ]


def figure(*args, name=OURS, what="mbit_s", **kwargs):
    """The Figure of one contender."""
    return report.figures(rounds(*args, figure=what, **kwargs))[name, "tcp 1 flow", what]


def test_a_ratio_is_of_one_round_and_the_median_of_all():
    # The machine became twice as slow in the middle: the ratios do not notice.
    found = figure([300, 150, 160], [100, 50, 50])
    assert found.ratios == [3, 3, 3.2]
    assert (found.ratio, found.median, found.doubt) == (3, 160, None)
    assert found.comparison("ratio") == "x3.00 (3.00 .. 3.20)"


def test_ratios_too_far_apart_allow_no_conclusion_and_the_table_says_how_far():
    found = figure([300, 200, 250], [100, 100, 100])
    assert found.spread == pytest.approx(0.4)
    assert found.comparison("ratio") == "no conclusion: spread 0.40 (2.00 .. 3.00)"
    row = found.as_dict()["ratio"]
    assert "median" not in row and row["no_conclusion"] == "spread 0.40"


@pytest.mark.parametrize(("last", "concludes"), [(258, True), (262, False)])
def test_the_bound_of_the_spread_is_sharp(last, concludes):
    found = figure([200, 200, last], [100, 100, 100])
    assert report.SPREAD_MAX == 0.3
    assert (found.doubt is None) == concludes


def test_fewer_than_three_rounds_allow_no_conclusion():
    found = figure([300, 300], [100, 100])
    assert found.comparison("ratio") == "no conclusion: 2 of 3 rounds (3.00 .. 3.00)"


def test_a_round_without_one_of_the_two_is_in_no_ratio():
    found = figure([300, None, 330, 300], [100, 100, None, 100])
    assert found.ratios == [3, 3]
    assert found.median == 300
    assert found.doubt == "2 of 3 rounds"


def test_a_yardstick_of_zero_gives_no_ratio():
    found = figure([1, 2, 3], [0, 0, 0])
    assert found.ratios == [] and found.comparison("ratio") == ""
    assert found.as_dict() == {"values": [1, 2, 3], "median": 2}


def test_retransmits_are_told_as_those_that_the_bare_cable_has_not():
    found = figure([5, 7, 6], [9, 9, 9], what="retransmits", bare=[4, 4, 6])
    assert found.comparison("excess") == "+1 to bare veth"
    assert found.as_dict()["over_bare"] == 1


def test_the_table_tells_the_bound_and_refuses_beside_the_figure(capsys):
    report.print_table("plain", rounds([300, 200, 250], [100, 100, 100]))
    page = capsys.readouterr().out
    assert "above 0.3 or rounds are fewer than 3" in page
    lines = [line for line in page.splitlines() if line.startswith(f"  {OURS} ")]
    assert len(lines) == 1 and "no conclusion: spread 0.40" in lines[0] and " x" not in lines[0]


def test_the_json_has_every_value_and_no_ratio_where_nothing_is_concluded(tmp_path):
    path = tmp_path / "bench.json"
    found = {"plain": rounds([300, 200, 250], [100, 100, 100])}
    report.write_json(found, {}, {"cpu": "x"}, path)
    page = json.loads(path.read_text(encoding="utf-8"))
    assert page["spread_max"] == 0.3 and page["facts"] == {"cpu": "x"}
    row = page["places"]["plain"][OURS]["tcp 1 flow"]["mbit_s"]
    assert row["values"] == [300, 200, 250]
    assert row["ratio"] == {"min": 2, "max": 3, "no_conclusion": "spread 0.40"}


def test_a_contender_that_failed_once_is_named():
    assert side_by_side.failures(rounds([1, None, 1], [1, 1, 1])) == [OURS]


def test_only_keeps_the_yardstick_and_names_what_it_does_not_know():
    class Row:
        def __init__(self, name):
            self.name = name

    rows = [Row(name) for name in ("tunlite", "tinc", THEIRS)]
    assert [row.name for row in side_by_side.only(rows, "tinc")] == ["tinc", THEIRS]
    with pytest.raises(ValueError, match="no contender fastd; there are tunlite, tinc"):
        side_by_side.only(rows, "tunlite,fastd")


def test_counts_are_read_from_what_perf_writes():
    text = "# started on Fri\n\n39597,,raw_syscalls:sys_enter,1007083,100.00,,\n"
    assert syscalls.perf_count(text) == 39597
    assert syscalls.perf_count("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n") is None
    assert syscalls.perf_count("") is None


def test_counts_are_read_from_what_strace_writes():
    text = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 86.36    0.000019           1        17         2 recvmmsg
 13.64    0.000003           0         6           sendmmsg
------ ----------- ----------- --------- --------- ----------------
100.00    0.000022           0        23         2 total
"""
    assert syscalls.strace_count(text) == 23
    assert syscalls.strace_count(text.replace("        2 total", "          total")) == 23
    assert syscalls.strace_count("") == 0


def iperf(protocol, sent, received):
    """iperf3's JSON, as far as it is read."""
    end = {"sum_sent": sent, "sum_received": received}
    return {"start": {"test_start": {"protocol": protocol}}, "end": end}


def test_packets_of_udp_are_those_that_arrived_and_of_tcp_its_segments():
    udp = iperf("UDP", {"packets": 100}, {"packets": 90, "lost_packets": 20})
    assert measures.packets_of(udp) == (100, 70)
    size = measures.SEGMENT
    assert measures.packets_of(iperf("TCP", {"bytes": 10 * size}, {"bytes": 9 * size})) == (10, 9)


LINE = "aead=avx2 packets=100 arrived=100 bytes=64 tx_ps={} rx_ps={}"


def test_a_row_without_a_kernel_has_medians_and_their_spread():
    found = memory_only.figures([LINE.format(n * 1000, 2 * n * 1000) for n in (100, 110, 90)])
    assert (found["aead"], found["bytes"]) == ("avx2", 64)
    assert (found["tx_ns"], found["rx_ns"]) == (100, 200)
    assert found["tx_gbit_s"] == pytest.approx(5.12)
    assert found["rx_spread"] == pytest.approx(0.2)


def test_a_packet_lost_in_memory_is_an_error():
    with pytest.raises(RuntimeError, match="lost in memory"):
        memory_only.figures([LINE.format(1, 1).replace("arrived=100", "arrived=99")])


def test_the_realistic_host_has_the_filter_rules_it_is_said_to_have():
    text = places.filter_rules()
    assert places.FILTERS == 200
    assert sum(line.rstrip().endswith("drop") for line in text.splitlines()) == 200
    assert text.count("jump long") == 2
