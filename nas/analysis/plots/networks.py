"""Plots networks: accuracy against cost, learning curves, and ranks over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.analysis.plots import names
from nas.analysis.plots.campaign import Campaign
from nas.analysis.plots.ranks import critical_difference_figure
from nas.analysis.plots.style import KINDS, MANY, Label, label_ends, label_points, within
from nas.analysis.tables.networks import campaign_table
from nas.metrics import Catalogue, Metric
from nas.statistics.hypervolume import pareto_front
from nas.statistics.paired import average_ranks, critical_difference, friedman
from nas.words import counted

_COSTS = ("macs", "params", "latency_ms")
"""The costs against which the value of a network is drawn."""

_DRAWN = 200
"""The largest number of search trials whose learning curves are drawn, spread over the search."""

_LABELLED = 15

_SEEDS = 5
"""The smallest number of seeds for a rank diagram: with fewer, its critical difference is so large
that it tells nothing apart."""


def points(campaign: Campaign) -> pd.DataFrame:
    """Returns one row per architecture, from the campaign's table.

    The columns are name, kind, group, retrained, value (the primary metric on validation
    images, which is the mean over seeds after retraining), deviation (over seeds) and the costs.
    Raises the errors of :func:`campaign_table`.
    """
    table = campaign_table(campaign.folder, every_trial=True)
    metrics, retrained = campaign.metrics, table["seeds"] > 0
    return table[["name", "kind", "group", *_COSTS]].assign(
        retrained=retrained,
        value=table[metrics.validation].where(retrained, table[metrics.search]).round(12),
        deviation=table["validation_std"],
    )


def front(rows: pd.DataFrame, cost: str, metric: Metric) -> pd.DataFrame:
    """Returns the Pareto front of value and cost within each comparability group, by cost."""
    member = pd.Series(False, index=rows.index)
    for group in rows.groupby("group").groups.values():
        values = rows.loc[group, [cost, "value"]].to_numpy(dtype=float, na_value=np.nan)
        member[group] = pareto_front(values * (1, metric.flipped(1)))
    return rows[member].sort_values([cost, "value"], kind="stable")


def tradeoff(campaign: Campaign) -> Figure | str:
    """Draws the primary metric against each known cost.

    The front is that of the retrained networks, if there are any.
    """
    if not (campaign.trials["status"] == "completed").any():
        return "no trial has completed"
    rows = points(campaign)
    costs = [cost for cost in _COSTS if rows[cost].notna().any()]
    figure = Figure(figsize=(3.7 * len(costs) + 0.5, 3.9), layout="constrained")
    panels = figure.subplots(1, len(costs), squeeze=False, sharey=True)[0]
    for panel, cost in zip(panels, costs, strict=True):
        _draw_tradeoff(panel, rows[rows[cost].notna()], cost, campaign.metrics)
    within(panels[0], campaign.metrics.primary.bounds)
    panels[0].set_ylabel(names.axis(campaign.metrics.validation, campaign.metrics))
    handles, told = panels[0].get_legend_handles_labels()
    figure.legend(handles, told, loc="outside lower center", ncols=3)
    for panel, cost in zip(panels, costs, strict=True):
        shown = rows[rows[cost].notna()]
        labels = _named(shown, cost, campaign.metrics.primary)
        label_points(panel, labels, shown[[cost, "value"]].to_numpy(float))
    return figure


def _draw_tradeoff(panel: Axes, rows: pd.DataFrame, cost: str, metrics: Catalogue) -> None:
    panel.set_xscale("log")
    panel.margins(x=0.14, y=0.08)
    panel.set_xlabel(names.axis(cost, metrics))
    for kind, mark in KINDS.items():
        for retrained in (False, True):
            mine = rows[(rows["kind"] == kind) & (rows["retrained"] == retrained)]
            if mine.empty:
                continue
            x, y = mine[cost].to_numpy(float), mine["value"].to_numpy(float)
            panel.scatter(
                x, y, s=34 if retrained else 14, marker=mark.shape, linewidths=0.8,
                facecolors=mark.colour if retrained else "none", edgecolors=mark.colour,
                alpha=1 if retrained else 0.45, rasterized=len(mine) > MANY,
                zorder=3 if retrained else 2, clip_on=False,
                label=kind if kind in ("classic", "ensemble", "shared weights") else
                f"{kind}, {'final stage' if retrained else 'as the search saw it'}",
            )  # fmt: skip
            if retrained:
                error = mine["deviation"].fillna(0).to_numpy(float)
                panel.errorbar(x, y, error, fmt="none", ecolor=mark.colour, elinewidth=0.8)
    judged = rows[rows["retrained"]] if rows["retrained"].any() else rows
    what = "front of the final stage" if rows["retrained"].any() else "front"
    for _, best in front(judged, cost, metrics.primary).groupby("group", sort=False):
        x, y = best[cost].to_numpy(float), best["value"].to_numpy(float)
        # Between two of its points, a front attains the worse value.
        panel.plot(
            np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1], color="#333333", lw=1, zorder=1, label=what
        )
        what = "_nolegend_"  # once


def _named(rows: pd.DataFrame, cost: str, metric: Metric) -> list[Label]:
    """Makes labels of the classics, the best of each other kind, and the front."""
    rows = rows[rows["retrained"]]
    best = metric.flipped(rows["value"]).groupby(rows["kind"]).idxmin()
    named = rows[
        (rows["kind"] == "classic")
        | rows.index.isin(best)
        | rows.index.isin(front(rows, cost, metric).index)
    ].sort_values("kind", kind="stable")
    return [
        Label(row[cost], row["value"], names.network(row["name"], row["kind"]),
              KINDS[row["kind"]].colour)
        for _, row in named.iterrows()
    ]  # fmt: skip


def curves(campaign: Campaign) -> Figure | str:
    """Draws the learning curves of search trials, and the means over seeds after retraining."""
    of_trials = campaign.trials[["trial", "stage", "kind", "label"]]
    value = campaign.metrics.validation
    points = campaign.curves.dropna(subset=["epoch", value]).rename(columns={value: "value"})
    points = points.merge(of_trials, on="trial")
    if points.empty:
        return "no trial has told a learning curve"
    stages = [stage for stage in ("search", "final") if (points["stage"] == stage).any()]
    figure = Figure(figsize=(4.2 * len(stages) + 1, 3.9), layout="constrained")
    panels = figure.subplots(1, len(stages), squeeze=False, sharey=True)[0]
    ends: list[Label] = []
    for panel, stage in zip(panels, stages, strict=True):
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_xlabel("epoch")
        shown = points[points["stage"] == stage]
        if stage == "search":
            _draw_searched(panel, shown)
        else:
            ends = _draw_retrained(panel, shown)
    within(panels[0], campaign.metrics.primary.bounds)
    panels[0].set_ylabel(names.axis(campaign.metrics.validation, campaign.metrics))
    handles, told = panels[0].get_legend_handles_labels()
    if stages[0] == "search":
        figure.legend(handles[::-1], told[::-1], loc="outside lower left", ncols=len(told))
    label_ends(
        panels[-1],
        sorted(ends, key=lambda end: campaign.metrics.primary.flipped(end.y))[:_LABELLED],
    )
    return figure


def _draw_searched(panel: Axes, points: pd.DataFrame) -> None:
    trials = points["trial"].unique()
    spread = np.linspace(0, len(trials) - 1, min(len(trials), _DRAWN)).astype(int)
    chosen = points[points["trial"].isin(trials[spread])]
    for kind, mark in reversed(KINDS.items()):  # random ones behind
        mine = [
            rows[["epoch", "value"]].to_numpy(float)
            for _, rows in chosen[chosen["kind"] == kind].groupby("trial", sort=False)
        ]
        if mine:
            dots = "o" if max(map(len, mine)) == 1 else ""
            panel.plot([], [], color=mark.colour, lw=1, marker=dots, ms=3, label=kind)
            panel.add_collection(LineCollection(mine, colors=mark.colour, lw=0.7, alpha=0.5))
            if dots:
                panel.plot(*np.concatenate(mine).T, "o", ms=3, color=mark.colour, alpha=0.5)
    panel.autoscale_view()
    some = f"{len(spread)} of " if len(spread) < len(trials) else ""
    panel.set_title(f"search: {some}{counted(len(trials), 'trial')}")


def _draw_retrained(panel: Axes, points: pd.DataFrame) -> list[Label]:
    ends = []
    for label, rows in points.groupby("label", sort=False):
        by_epoch = rows.groupby("epoch")["value"]
        x, mean = by_epoch.mean().index.to_numpy(float), by_epoch.mean().to_numpy(float)
        kind = rows["kind"].iloc[0]
        mark = KINDS[kind]
        low, high = by_epoch.min().to_numpy(float), by_epoch.max().to_numpy(float)
        panel.fill_between(x, low, high, color=mark.colour, alpha=0.1, lw=0)
        panel.plot(x, mean, color=mark.colour, lw=1.3, marker=mark.shape, ms=3, label=label)
        ends.append(Label(x[-1], mean[-1], names.network(str(label), kind), mark.colour))
    panel.set_title("final stage: mean and range over seeds")
    panel.margins(x=0.02)
    return ends


def mean_ranks(campaign: Campaign) -> tuple[pd.DataFrame, str]:
    """Ranks the retrained architectures on the test images, in one row per common seed.

    The columns are the architectures; 1 is the best, ties share. Also returns a line that describes
    the data. If there is nothing to rank, the frame is empty, and the line says why.
    """
    metric = campaign.metrics[campaign.metrics.test]
    final = campaign.trials[(campaign.trials["stage"] == "final")].dropna(subset=metric.name)
    network = [names.network(*each) for each in zip(final["label"], final["kind"], strict=True)]
    final = final.assign(label=network)
    table = final.pivot_table(index="seed", columns="label", values=metric.name).dropna()
    seeds, networks = table.shape
    if networks < 3 or seeds < 2:
        return pd.DataFrame(), (
            f"{counted(networks, 'finalist')} with {counted(seeds, 'seed')} in common: "
            "ranks need three and two"
        )
    ranks = pd.DataFrame(
        average_ranks(metric.flipped(table.to_numpy())), table.index, table.columns
    )
    return ranks, f"{metric.in_words}, {seeds} seeds: Friedman p = {friedman(ranks):.2g}"


def ranks(campaign: Campaign) -> Figure | str:
    """Draws the critical-difference diagram of the retrained architectures; seeds are blocks."""
    table, told = mean_ranks(campaign)
    if table.empty:
        return told
    if len(table) < _SEEDS:
        return f"{counted(len(table), 'seed')} in common: the diagram needs {_SEEDS}"
    difference = critical_difference(table.shape[1], table.shape[0])
    return critical_difference_figure(table.mean().to_dict(), difference, told)
