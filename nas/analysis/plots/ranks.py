"""Draws critical-difference diagrams: average ranks of several methods, and which differ."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from nas.analysis.plots.style import STYLE
from nas.statistics.paired import cliques


def critical_difference_figure(
    mean_ranks: Mapping[str, float], difference: float, caption: str
) -> Figure:
    """Draws Demsar's diagram of average ranks; bars join methods that do not differ."""
    names = sorted(mean_ranks, key=lambda name: mean_ranks[name])
    ranks = [mean_ranks[name] for name in names]
    bars = cliques(ranks, difference)
    right = (len(names) + 1) // 2  # the better half is labelled at the right
    rows = max(right, len(names) - right)
    with matplotlib.rc_context(STYLE):
        # The axis and the longest label beside it, at 5.2 points per letter.
        inches, longest = 3.125, (5.2 * max(map(len, names)) + 40) / 72
        margin = max(0.62, 0.1 + longest / inches)
        size = (inches * (1 + 2 * margin), 1.5 + 0.24 * rows + 0.12 * len(bars))
        figure = Figure(figsize=size, layout="constrained")
        panel = figure.subplots()
        panel.set_axis_off()
        worst = len(names)
        panel.set_xlim(worst + margin * (worst - 1), 1 - margin * (worst - 1))
        first = 0.5 + 0.5 * len(bars)  # below the axis: bars, then labels
        length = min(difference, worst - 1)
        above = -1.65 if length < 0.5 * (worst - 1) else -2.7  # the bar leaves it no room beside
        panel.set_ylim(first + rows + 0.2, above - 0.75)
        panel.plot([1, worst], [0, 0], color="black", lw=1)
        for rank in range(1, worst + 1):
            panel.plot([rank, rank], [0, -0.25], color="black", lw=1)
            panel.text(rank, -0.4, str(rank), ha="center", va="bottom")
        panel.plot([worst, worst - length], [-1.5, -1.5], color="black", lw=1, marker="|")
        panel.text(worst - length / 2, -1.65, f"CD = {difference:.2g}", ha="center", va="bottom")
        panel.text(1, above, caption, ha="right", va="bottom")
        for level, (best, last) in enumerate(bars, start=1):
            ends = np.array([ranks[best], ranks[last]]) + np.array([-1, 1]) * 0.008 * (worst - 1)
            panel.plot(ends, [0.5 * level] * 2, color="#D55E00", lw=3, solid_capstyle="butt")
        for place, (name, mean) in enumerate(zip(names, ranks, strict=True)):
            better = place < right
            height = first + (place if better else len(names) - 1 - place) + 0.4
            edge = 1 - 0.1 * (worst - 1) if better else worst + 0.1 * (worst - 1)
            panel.plot([mean, mean, edge], [0, height, height], color="#555555", lw=0.8)
            label = f" {mean:.2f}  {name}" if better else f"{name}  {mean:.2f} "
            panel.text(edge, height, label, ha="left" if better else "right", va="center")
    return figure
