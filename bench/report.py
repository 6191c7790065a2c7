# SPDX-License-Identifier: MIT
"""Rounds into figures: medians, ratios pair by pair, a table, JSON, and charts.

A ratio is of one round's two figures. Where the ratios of the rounds lie too far apart, or are too
few to tell, there is no conclusion, and the table says why in its place.
"""

import json
import statistics
from dataclasses import dataclass

YARDSTICK = "wireguard-go"
BARE = "bare veth"
SPREAD_MAX = 0.3  # (max - min) / median of the ratios
ROUNDS_MIN = 3


@dataclass(frozen=True)
class Headline:
    """A block of the table. `compare`: by "ratio" to the yardstick, the "excess" over the bare
    cable, or not at all ("")."""

    measure: str
    figure: str
    unit: str
    compare: str = "ratio"

    @property
    def title(self):
        """As table and charts have it."""
        return f"{self.measure}, {self.unit}"


HEADLINES = (
    Headline("tcp 1 flow", "mbit_s", "Mbit/s"),
    Headline("tcp 1 flow back", "mbit_s", "Mbit/s"),
    Headline("tcp 4 flows", "mbit_s", "Mbit/s"),
    Headline("tcp 4 flows back", "mbit_s", "Mbit/s"),
    Headline("tcp 1 flow", "cpu_s_per_gb", "daemon CPU s/GB, both ends"),
    Headline("tcp 1 flow", "sender_user_s_per_gb", "sender user CPU s/GB"),
    Headline("tcp 1 flow", "sender_kernel_s_per_gb", "sender kernel CPU s/GB"),
    Headline("tcp 1 flow", "receiver_user_s_per_gb", "receiver user CPU s/GB"),
    Headline("tcp 1 flow", "receiver_kernel_s_per_gb", "receiver kernel CPU s/GB"),
    Headline("tcp 1 flow", "retransmits", "retransmits", "excess"),
    Headline("tcp 4 flows", "retransmits", "retransmits", "excess"),
    Headline("udp 64", "out_of_tunnel_s", "packets/s out of the tunnel"),
    Headline("udp 64", "packets_s", "packets/s that iperf3 took"),
    Headline("udp 64", "loss", "lost share", ""),
    Headline("udp 64", "cpu_us_per_packet", "daemon CPU us a packet, both ends"),
    Headline("udp 1400", "out_of_tunnel_s", "packets/s out of the tunnel"),
    Headline("udp 1400", "packets_s", "packets/s that iperf3 took"),
    Headline("udp 1400", "loss", "lost share", ""),
    Headline("ping idle", "median_ms", "ms"),
    Headline("ping loaded", "median_ms", "ms, median"),
    Headline("ping loaded", "p99_ms", "ms, 99th percentile"),
    Headline("memory", "sender_peak_kb", "peak resident kB, sender"),
    Headline("memory", "receiver_peak_kb", "peak resident kB, receiver"),
    Headline("calls tcp", "sender_per_packet", "system calls a packet, sender"),
    Headline("calls tcp", "receiver_per_packet", "system calls a packet, receiver"),
    Headline("calls udp 64", "sender_per_packet", "system calls a packet, sender"),
    Headline("calls udp 64", "receiver_per_packet", "system calls a packet, receiver"),
    Headline("relay", "lost", "frames lost by the relay", ""),
)


class Figure:
    """One number of one contender over all rounds, and beside it the yardstick's of each round."""

    def __init__(self, values, yardstick=(), bare=()):
        """Lists by round; None where a round has none."""
        self.values = [value for value in values if value is not None]
        self.ratios = _pairwise(values, yardstick, lambda a, b: a / b if b else None)
        self.excess = _pairwise(values, bare, lambda a, b: a - b)

    @property
    def median(self):
        """Of the values."""
        return statistics.median(self.values)

    @property
    def ratio(self):
        """Of the ratios, or None."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def spread(self):
        """How far the rounds disagree: (max - min) / median of the ratios."""
        return (max(self.ratios) - min(self.ratios)) / self.ratio if self.ratio else float("inf")

    @property
    def doubt(self):
        """Why nothing is concluded from the ratios, or None."""
        if len(self.ratios) < ROUNDS_MIN:
            return f"{len(self.ratios)} of {ROUNDS_MIN} rounds"
        return f"spread {self.spread:.2f}" if self.spread > SPREAD_MAX else None

    def comparison(self, how):
        """What the table says beside the median."""
        if how == "excess" and self.excess:
            return f"{statistics.median(self.excess):+.4g} to {BARE}"
        if how != "ratio" or not self.ratios:
            return ""
        bounds = f"({min(self.ratios):.2f} .. {max(self.ratios):.2f})"
        if self.doubt:
            return f"no conclusion: {self.doubt} {bounds}"
        return f"x{self.ratio:.2f} {bounds}"

    def as_dict(self):
        """For the JSON."""
        row = {"values": self.values, "median": self.median}
        if self.ratios:
            row["ratio"] = {"min": min(self.ratios), "max": max(self.ratios)}
            if self.doubt:
                row["ratio"]["no_conclusion"] = self.doubt
            else:
                row["ratio"]["median"] = self.ratio
        if self.excess:
            row["over_bare"] = statistics.median(self.excess)
        return row


def _pairwise(values, others, function):
    pairs = zip(values, others, strict=False)
    found = [function(a, b) for a, b in pairs if a is not None and b is not None]
    return [value for value in found if value is not None]


def figures(rounds):
    """{(contender, measure, figure): Figure} from [{contender: {measure: {figure: number}}}]."""

    def column(name, measure, figure):
        return [r.get(name, {}).get(measure, {}).get(figure) for r in rounds]

    table = {}
    for one in rounds:
        for name, measures in one.items():
            for measure, row in measures.items():
                for figure in row:
                    key = (name, measure, figure)
                    if key not in table:
                        rest = (column(other, measure, figure) for other in (YARDSTICK, BARE))
                        table[key] = Figure(column(*key), *rest)
    return table


def blocks(rounds):
    """[(Headline, [(contender, Figure), ...]), ...] of what there is."""
    table = figures(rounds)
    found = []
    for headline in HEADLINES:
        keys = [(name, (name, headline.measure, headline.figure)) for name in rounds[0]]
        rows = [(name, table[key]) for name, key in keys if key in table]
        if rows:
            found.append((headline, rows))
    return found


def print_table(place, rounds):
    """The headlines, a line for each contender."""
    print(f"\n==== {place}: medians of {len(rounds)} rounds")
    print(
        f"ratios are to {YARDSTICK} in the same round, (min .. max); none where"
        f" (max - min) / median is above {SPREAD_MAX} or rounds are fewer than {ROUNDS_MIN}"
    )
    for headline, rows in blocks(rounds):
        print(f"\n{headline.title}")
        for name, row in rows:
            line = f"  {name:24} {row.median:12.4g}   {row.comparison(headline.compare)}"
            print(line.rstrip())


def write_json(places, memory_only, facts, path):
    """Everything, for later comparisons. places: {name: rounds}."""
    pages = {}
    for place, rounds in places.items():
        rows = pages.setdefault(place, {})
        for (name, measure, figure), value in figures(rounds).items():
            rows.setdefault(name, {}).setdefault(measure, {})[figure] = value.as_dict()
    page = {
        "facts": facts,
        "spread_max": SPREAD_MAX,
        "places": pages,
        "memory_only": memory_only,
    }
    with open(path, "w", encoding="utf-8") as out:
        json.dump(page, out, indent=1)


def _bars(axis, headline, rows):
    names = [name for name, _ in rows]
    medians = [row.median for _, row in rows]
    low = [row.median - min(row.values) for _, row in rows]
    high = [max(row.values) - row.median for _, row in rows]
    axis.barh(names, medians, xerr=[low, high], color="#3b6ea5", capsize=2)
    axis.invert_yaxis()
    axis.set_title(headline.title, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.set_xlim(0, (max(max(row.values) for _, row in rows) or 1) * 1.35)
    for at, (_, row) in enumerate(rows):
        text = row.comparison(headline.compare).split(" (")[0].split(":")[0]
        axis.annotate(
            text, (max(row.values), at), (4, 0), textcoords="offset points", va="center", fontsize=7
        )


def draw(place, rounds, path):
    """A PNG with one bar chart a headline: medians, and lines from the least to the most."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    charts = blocks(rounds)
    columns = 3
    lines = -(-len(charts) // columns)
    plot, axes = pyplot.subplots(lines, columns, figsize=(16, 2.6 * lines), squeeze=False)
    for axis in axes.flat[len(charts) :]:
        axis.axis("off")
    for axis, (headline, rows) in zip(axes.flat, charts, strict=False):
        _bars(axis, headline, rows)
    plot.suptitle(f"{place}, ratios to {YARDSTICK}", fontsize=11)
    plot.tight_layout(rect=(0, 0, 1, 0.985))
    plot.savefig(path, dpi=110)
    pyplot.close(plot)
