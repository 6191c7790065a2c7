# SPDX-License-Identifier: MIT
"""Rounds into figures: medians, ratios pair by pair, a table, JSON, and charts."""

import json
import statistics

YARDSTICK = "wireguard-go"
_WIDE = 0.5  # (max - min) / median of the ratios above which nothing is concluded

# measure, figure, unit, whether more is better
HEADLINES = (
    ("tcp 1 flow", "mbit_s", "Mbit/s", True),
    ("tcp 1 flow back", "mbit_s", "Mbit/s", True),
    ("tcp 4 flows", "mbit_s", "Mbit/s", True),
    ("tcp 4 flows back", "mbit_s", "Mbit/s", True),
    ("tcp 1 flow", "cpu_s_per_gb", "CPU s/GB", False),
    ("tcp 1 flow", "retransmits", "retransmits", False),
    ("udp 64", "packets_s", "packets/s", True),
    ("udp 64", "loss", "lost share", False),
    ("udp 1400", "packets_s", "packets/s", True),
    ("udp 1400", "loss", "lost share", False),
    ("ping idle", "median_ms", "ms", False),
    ("ping loaded", "median_ms", "ms", False),
    ("memory", "sender_peak_kb", "kB", False),
)


class Figure:
    """One number of one contender over all rounds, and its ratio to the yardstick's, per round."""

    def __init__(self, values, yardstick):
        self.values = values
        pairs = zip(values, yardstick, strict=False)
        self.ratios = [a / b for a, b in pairs if b]

    @property
    def median(self):
        """Of the values."""
        return statistics.median(self.values)

    @property
    def ratio(self):
        """Of the ratios, or None."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def is_wide(self):
        """Whether the rounds disagree too much to conclude from."""
        return bool(self.ratios) and max(self.ratios) - min(self.ratios) > _WIDE * self.ratio

    def as_dict(self):
        """For the JSON."""
        row = {"values": self.values, "median": self.median}
        if self.ratios:
            row["ratio"] = {
                "median": self.ratio,
                "min": min(self.ratios),
                "max": max(self.ratios),
                "conclusive": not self.is_wide,
            }
        return row


def figures(rounds):
    """{(contender, measure, figure): Figure} from [{contender: {measure: {figure: number}}}]."""

    def column(name, measure, figure):
        rows = [r[name].get(measure, {}).get(figure) for r in rounds if name in r]
        return [value for value in rows if value is not None]

    table = {}
    for name in rounds[0]:
        for measure, row in rounds[0][name].items():
            for figure in row:
                yardstick = column(YARDSTICK, measure, figure)
                table[name, measure, figure] = Figure(column(name, measure, figure), yardstick)
    return table


def print_table(rounds):
    """The headlines, a line for each contender; ratios are to the yardstick of the same round."""
    table = figures(rounds)
    for measure, figure, unit, _ in HEADLINES:
        rows = [(name, table.get((name, measure, figure))) for name in rounds[0]]
        rows = [(name, row) for name, row in rows if row and row.values]
        if not rows:
            continue
        print(f"\n{measure}, {unit} (median of {len(rounds)} rounds)")
        for name, row in rows:
            line = f"  {name:24} {row.median:12.4g}"
            if row.ratios:
                line += f"   x{row.ratio:.2f} ({min(row.ratios):.2f} .. {max(row.ratios):.2f})"
                line += "   too wide to conclude" if row.is_wide else ""
            print(line)


def write_json(rounds, facts, path):
    """Everything, for later comparisons."""
    rows = {}
    for (name, measure, figure), value in figures(rounds).items():
        rows.setdefault(name, {}).setdefault(measure, {})[figure] = value.as_dict()
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"facts": facts, "contenders": rows}, out, indent=1)


def draw(rounds, path):
    """A PNG with one bar chart a headline."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    table = figures(rounds)
    charts = []
    for measure, figure, unit, _ in HEADLINES:
        rows = [(n, table.get((n, measure, figure))) for n in rounds[0]]
        rows = [(name, row) for name, row in rows if row and row.values]
        if rows:
            charts.append((f"{measure}, {unit}", rows))
    columns = 3
    lines = -(-len(charts) // columns)
    plot, axes = pyplot.subplots(lines, columns, figsize=(15, 3.2 * lines), squeeze=False)
    for axis in axes.flat[len(charts) :]:
        axis.axis("off")
    for axis, (title, rows) in zip(axes.flat, charts, strict=False):
        names = [name for name, _ in rows]
        medians = [row.median for _, row in rows]
        low = [row.median - min(row.values) for _, row in rows]
        high = [max(row.values) - row.median for _, row in rows]
        axis.barh(names, medians, xerr=[low, high], color="#3b6ea5", capsize=2)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=8)
    plot.tight_layout()
    plot.savefig(path, dpi=110)
