"""Plots the choices and the metrics of trials as parallel coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.distributions import explained, order
from nas.analysis.plots.style import COLOURS, FAINT
from nas.words import compact, counted

_CHOICES, _LETTERS = 7, 80
"""The largest number of choices, and of letters that fit below an axis."""
_DRAWN, _BEST = 200, 20


class Axis(NamedTuple):
    """One of the axes.

    Attributes:
        title: the choice or the metric.
        places: where each trial crosses it, from 0 to 1.
        ticks: the text at some places.
    """

    title: str
    places: NDArray[np.float64]
    ticks: dict[float, str]


def parallel(campaign: Campaign) -> Figure | str:
    """Draws each completed trial as a line through its choices, costs and values (Inselberg 1985).

    The axes lie one below the other, so that their names can be read. At most 200 trials are drawn:
    the best 20, which are coloured, and others, spread evenly over the search. The choices are
    those that explain most alone.
    """
    rows, options = campaign.completed()
    if len(rows) < 2:
        return f"{counted(len(rows), 'completed trial')}: a comparison needs two"
    ranked = rows["value0"].map(campaign.objectives[0].flipped).sort_values(kind="stable").index
    best, others = ranked[:_BEST], ranked[_BEST:].sort_values()
    evenly = np.linspace(0, len(others) - 1, min(len(others), _DRAWN - _BEST)).astype(int)
    shown = others[evenly].append(best[::-1])  # the best one lies on top
    axes = list(_axes(campaign, rows, options, shown))
    figure = Figure(figsize=(6.4, 0.5 * len(axes) + 0.6), layout="constrained")
    panel = figure.subplots()
    panel.axis("off")
    heights = np.arange(len(axes), 0, -1)
    lines = [
        np.column_stack([each, heights]) for each in zip(*(a.places for a in axes), strict=True)
    ]
    colours = [FAINT] * len(evenly) + [COLOURS[0]] * (len(best) - 1) + [COLOURS[1]]
    widths = [0.5] * len(evenly) + [1.0] * (len(best) - 1) + [2.2]
    panel.add_collection(LineCollection(lines, colors=colours, linewidths=widths))
    for height, axis in zip(heights, axes, strict=True):
        panel.plot([0, 1], [height, height], color="black", lw=0.8)
        white = {"facecolor": "white", "alpha": 0.8, "pad": 0.6, "edgecolor": "none"}
        panel.annotate(
            axis.title, (0, height), (-8, 0), textcoords="offset points", ha="right", va="center"
        )
        for place, text in axis.ticks.items():
            panel.annotate(
                text, (place, height), (0, -4), textcoords="offset points", fontsize=8,
                ha="center", va="top", bbox=white,
            )  # fmt: skip
    panel.set(xlim=(-0.02, 1.02), ylim=(0.4, len(axes) + 0.2))
    first = rows.loc[best[0]]
    metric = names.plain(campaign.objectives[0].metric)
    figure.suptitle(
        f"{len(shown):,} of {counted(len(rows), 'completed trial')}; blue: the best {len(best)} "
        f"by {metric}\norange: the best, {names.network(first['trial'], first['kind'])}",
        fontsize=9, x=0.01, ha="left",
    )  # fmt: skip
    return figure


def _axes(
    campaign: Campaign, rows: pd.DataFrame, options: pd.DataFrame, shown: pd.Index
) -> Iterator[Axis]:
    rng = np.random.default_rng(0)
    for name in explained(options, rows["value0"]).index[:_CHOICES]:
        yield of_choice(str(name), options.loc[shown, name], rng)
    measured = {each.metric: f"value{i}" for i, each in enumerate(campaign.objectives)}
    columns = {"macs": "macs", **dict(reversed(measured.items()))}
    for metric, column in columns.items():
        if rows.loc[shown, column].notna().all():
            known = campaign.metrics.get(metric)
            title = known.title if known is not None else ""
            whole = known is not None and known.form == "count"
            yield of_number(title or names.plain(metric), rows.loc[shown, column], whole)


def of_choice(title: str, chosen: pd.Series, rng: np.random.Generator) -> Axis:
    """Returns the axis of a choice: an equal part for each option, and one where it was not made.

    Within its part, a trial has a random place, so that lines do not cover each other.
    """
    options: list[object] = sorted(set(chosen.dropna()), key=order)
    options += ["not made"] * bool(chosen.isna().any())
    part = {option: (i + 0.5) / len(options) for i, option in enumerate(options)}
    middle = chosen.fillna("not made").map(part).to_numpy(float)
    spread = rng.uniform(-0.3, 0.3, len(chosen)) / len(options)
    every = -(-sum(len(str(option)) + 3 for option in options) // _LETTERS)
    ticks = {place: str(option) for option, place in list(part.items())[::every]}
    return Axis(title, middle + spread, ticks)


def of_number(title: str, values: pd.Series, whole: bool) -> Axis:
    """Returns the axis of a metric; what is beyond Tukey's outer fences lies at its ends.

    Args:
        title: the metric.
        values: one per trial.
        whole: whether the values are counts, whose axis is logarithmic.
    """
    scaled = np.log10(np.maximum(values.to_numpy(float), 1)) if whole else values.to_numpy(float)
    quarter, most = np.quantile(scaled, [0.25, 0.75])
    fence = 3 * (most - quarter)
    inside = scaled[(scaled >= quarter - fence) & (scaled <= most + fence)]
    low, high = inside.min(), inside.max()
    ends = {
        0.0: (low, "≤ " if scaled.min() < low else ""),
        0.5: ((low + high) / 2, ""),
        1.0: (high, "≥ " if scaled.max() > high else ""),
    }
    width = (high - low) or 1.0
    ticks = {p: sign + (compact(10**v) if whole else f"{v:.3g}") for p, (v, sign) in ends.items()}
    return Axis(title, (np.clip(scaled, low, high) - low) / width, ticks)
