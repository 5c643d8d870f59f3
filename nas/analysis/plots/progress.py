"""Plots the progress of searches: the incumbent and the hypervolume over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.style import KINDS, Label, label_ends
from nas.statistics.hypervolume import hypervolume_over_time


def best_so_far(campaign: Campaign) -> pd.DataFrame:
    """Returns the best value of the first objective after each trial of each search.

    The columns are search, kind, trials (that have ended, including failed ones), hours (spent) and
    reached, which is NaN before the first trial of full fidelity has completed.
    """
    parts = []
    for _, rows in campaign.searched.groupby("search", sort=False):
        value = rows["value0"]
        highest = campaign.objectives[0].direction == "maximize"
        best = (value.cummax() if highest else value.cummin()).ffill()
        parts.append(_reached(rows, best.to_numpy()))
    return _joined(parts)


def volume_so_far(campaign: Campaign) -> pd.DataFrame:
    """Returns the hypervolume after each trial of each search, in the columns of `best_so_far`.

    Every objective is scaled from its best (0) to its worst value (1) over all searches; the
    reference point has the worst values. So 1 is the volume of the whole box, which may not be
    reachable.
    """
    columns = [f"value{index}" for index in range(len(campaign.objectives))]
    values = campaign.searched[columns].to_numpy(float)
    values = values * [1 if o.direction == "minimize" else -1 for o in campaign.objectives]
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1)
    parts = []
    for rows in campaign.searched.groupby("search", sort=False).indices.values():
        volume = hypervolume_over_time(scaled[None, rows], np.ones(len(columns)))[0]
        parts.append(_reached(campaign.searched.iloc[rows], volume))
    return _joined(parts)


def incumbent(campaign: Campaign) -> Figure | str:
    """Draws anytime performance: each search's best value so far, by trials and by hours."""
    if campaign.searched["value0"].isna().all():
        return "no search trial has completed"
    metric = campaign.objectives[0].metric
    return _over_time(best_so_far(campaign), f"best {names.axis(metric, campaign.metrics)}")


def hypervolume(campaign: Campaign) -> Figure | str:
    """Draws the hypervolume that each search has reached, by trials and by hours."""
    if len(campaign.objectives) < 2:
        return f"one objective, {campaign.objectives[0].metric}: a hypervolume needs several"
    if campaign.searched["value0"].isna().all():
        return "no search trial has completed"
    told = ", ".join(names.plain(objective.metric) for objective in campaign.objectives)
    return _over_time(
        volume_so_far(campaign),
        "hypervolume (share of the box)",
        f"objectives: {told}; the box runs from the best to the worst of each",
    )


def _reached(rows: pd.DataFrame, reached: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "search": rows["search"].to_numpy(),
            "kind": rows["kind"].to_numpy(),
            "trials": np.arange(1, len(rows) + 1),
            "hours": rows["hours"].to_numpy(),
            "reached": reached,
        }
    )


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)


def _over_time(table: pd.DataFrame, ylabel: str, title: str = "") -> Figure:
    """Draws a panel by trials, and one by hours if these are known."""
    timed = table["hours"].max() > 0
    figure = Figure(figsize=(8.4 if timed else 4.8, 3.2), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=9)
    panels = figure.subplots(1, 2 if timed else 1, squeeze=False, sharey=True)[0]
    _draw(panels[0], table, table["trials"])
    panels[0].set(xlabel="trials of the search", ylabel=ylabel, xlim=(0, None))
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    if timed:
        unit, scale = names.time(table["hours"].max() * 3600)
        _draw(panels[1], table, table["hours"] * 3600 / scale)
        panels[1].set(xlabel=f"time that the search was running ({unit})", xlim=(0, None))
    labels = [
        Label(0, rows["reached"].iloc[-1], names.search(search), KINDS[rows["kind"].iloc[0]].colour)
        for search, rows in table.dropna(subset="reached").groupby("search", sort=False)
    ]
    label_ends(panels[-1], labels)
    return figure


def _draw(panel: Axes, table: pd.DataFrame, time: pd.Series) -> None:
    for search, rows in table.groupby("search", sort=False):
        y, x = rows["reached"].to_numpy(), time[rows.index].to_numpy()
        # Points without a change are left out, which makes the file smaller.
        changes = np.flatnonzero(np.diff(y, prepend=np.nan) != 0)
        kept = np.unique(np.append(changes[~np.isnan(y[changes])], len(y) - 1))
        colour = KINDS[rows["kind"].iloc[0]].colour
        panel.step(x[kept], y[kept], where="post", color=colour, lw=1.6, label=search)
