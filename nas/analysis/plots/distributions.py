"""Plots how values and durations of search trials are distributed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.style import FAINT, KINDS, MANY
from nas.words import counted

_PANELS, _OPTIONS, _LETTERS = 6, 8, 14
_FEWEST = 10


def explained(genotypes: pd.DataFrame, values: pd.Series) -> pd.Series:
    """Returns the share of the variance of values that each choice explains alone, adjusted.

    It is the adjusted R² of a linear model with one indicator per option, over the trials that make
    the choice; so a choice is not ahead because it has many options. A choice that fewer than ten
    trials make, or fewer than half, is left out, because a few trials differ by chance.

    Args:
        genotypes: one column per choice and one row per trial; None where it was not made.
        values: the values of the trials.
    """
    found = {}
    for name, column in genotypes.items():
        own = values[column.notna()]
        if len(own) < max(_FEWEST, len(values) / 2):
            continue
        groups = own.groupby(column[column.notna()].astype(str))
        spread, free = own.sub(own.mean()).pow(2).sum(), len(own) - groups.ngroups
        if groups.ngroups < 2 or free < 1 or not spread:
            continue
        within = own.sub(groups.transform("mean")).pow(2).sum()
        found[name] = 1 - within / spread * (len(own) - 1) / free
    return pd.Series(found, dtype="float64").sort_values(ascending=False, kind="stable")


def choices(campaign: Campaign) -> Figure | str:
    """Draws the values of the trials by option, for the choices that explain most alone."""
    rows, genotypes = campaign.completed()
    if len(rows) < _FEWEST:
        return f"{counted(len(rows), 'completed trial')}: distributions need ten"
    shown = explained(genotypes, rows["value0"]).head(_PANELS)
    if shown.empty:
        return "no choice explains any difference"
    high = -(-len(shown) // 2)
    figure = Figure(figsize=(7.4, 1.9 * high), layout="constrained")
    panels = figure.subplots(high, 2, squeeze=False, sharey=True).ravel()
    rng = np.random.default_rng(0)
    for panel, (name, share) in zip(panels, shown.items(), strict=False):
        column = genotypes[name].dropna()
        most = column.astype(str).value_counts().index[:_OPTIONS]
        options = [each for each in dict.fromkeys(sorted(column, key=order)) if str(each) in most]
        for place, option in enumerate(options):
            values = rows["value0"][column.index[column.astype(str) == str(option)]]
            beside = place + rng.uniform(-0.25, 0.25, len(values))
            rasterized = len(rows) > MANY
            panel.plot(beside, values, ".", color=FAINT, ms=4, rasterized=rasterized)
            median = values.median()
            panel.plot([place - 0.3, place + 0.3], [median] * 2, color=KINDS["searched"].colour)
        panel.set_xticks(range(len(options)), [str(each)[:_LETTERS] for each in options])
        if max(len(str(each)) for each in options) * len(options) > 34:
            panel.tick_params(axis="x", rotation=25)
        panel.set_title(f"{name}: explains {max(share, 0):.0%}")
        panel.grid(axis="x", visible=False)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    figure.supylabel(names.axis(campaign.objectives[0].metric, campaign.metrics), fontsize=9)
    return figure


def order(option: object) -> tuple[bool, float, str]:
    """Sorts the options of a choice: numbers by their value, then words."""
    number = isinstance(option, int | float)
    return not number, float(option) if isinstance(option, int | float) else 0.0, str(option)


def durations(campaign: Campaign) -> Figure | str:
    """Draws how long the search trials took in their workers, against their cost."""
    trials = campaign.trials
    ran = trials[(trials["stage"] == "search") & trials["seconds"].gt(0) & trials["macs"].gt(0)]
    if len(ran) < 2:
        return "fewer than two search trials have a recorded time and a cost"
    unit, scale = names.time(ran["seconds"].max())
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    panel = figure.subplots()
    for kind, rows in ran.groupby("kind", sort=False):
        mark = KINDS[str(kind)]
        panel.plot(
            rows["macs"], rows["seconds"] / scale, mark.shape, color=mark.colour, ms=4, alpha=0.6,
            label=str(kind), rasterized=len(ran) > MANY,
        )  # fmt: skip
    low, middle, high = np.quantile(ran["seconds"] / scale, [0.1, 0.5, 0.9])
    panel.set_title(f"median {middle:.3g} {unit}, from {low:.3g} to {high:.3g} for eight of ten")
    panel.set(xlabel="MACs", ylabel=f"time in the worker ({unit})", xscale="log", ylim=(0, None))
    panel.legend()
    return figure
