"""Draws the figures of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from nas.analysis.plots.style import COLOURS, STYLE
from nas.benchmark.comparison import budgets, quantile
from nas.benchmark.regret import Curves
from nas.statistics.hypervolume import pareto_front

Floats = NDArray[np.float64]


def _colours(curves: Curves) -> dict[str, str]:
    searchers = curves.runs["searcher"].unique()
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(searchers)}


def regret_figure(curves: Curves) -> Figure:
    """Draws median regret over time with its interquartile range; one row per worker count."""
    contests, colours = curves.contests, _colours(curves)
    metrics = list(curves.regret)
    with matplotlib.rc_context(STYLE):
        size = (4.2 * len(metrics) + 0.4, 2.9 * len(contests) + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(contests), len(metrics), squeeze=False, sharex=True)
        for row, (workers, groups) in zip(panels, contests.items(), strict=True):
            for panel, metric in zip(row, metrics, strict=True):
                _draw_regret(panel, curves, metric, groups, colours)
                titles = {"hypervolume": "hypervolume not reached (share of the true front's)"}
                title = titles.get(metric, f"{metric} regret of the incumbent")
                if len(contests) > 1:
                    title += f", {workers} worker{'s' if workers > 1 else ''}"
                panel.set_title(title, fontsize=9)
        for panel in panels[-1]:
            panel.set_xlabel("charged evaluations" if curves.axis == "evaluations" else curves.axis)
        for panel in panels[:, 0]:
            panel.set_ylabel("share" if "hypervolume" in metrics else "regret, units of the table")
        handles, names = panels[0, 0].get_legend_handles_labels()
        columns = max(2, min(len(names), 2 * len(metrics)))
        figure.legend(handles, names, loc="outside lower center", ncols=columns)
    return figure


def _draw_regret(
    panel: Axes, curves: Curves, metric: str, groups: Sequence[str], colours: Mapping[str, str]
) -> None:
    drawn: list[Floats] = []
    end = curves.runs.loc[curves.runs["group"].isin(groups), "end"].max()
    for group in groups:
        mine = curves.rows(group)
        shares = (0.25, 0.5, 0.75)
        lived = max(1, np.searchsorted(curves.grid, end, side="right"))
        steps = np.array(
            [
                [quantile(now, share) for share in shares]
                for now in curves.regret[metric][mine, :lived].T
            ]
        )
        # Points without a change are left out, which makes the file smaller.
        change = (np.diff(steps, axis=0) != 0).any(axis=1)
        kept = np.flatnonzero(np.concatenate([[True], change[:-1], [True]]))
        x, (low, middle, high) = curves.grid[kept], steps[kept].T
        name = curves.runs.loc[mine, "searcher"].iloc[0]
        panel.fill_between(x, low, high, step="post", color=colours[name], alpha=0.12, lw=0)
        panel.step(x, middle, where="post", color=colours[name], lw=1.5, label=name)
        drawn += [middle, low]
    if curves.axis != "evaluations":
        panel.set_xscale("log")
    values = np.concatenate(drawn)
    positive = values[values > 0]
    if len(positive):  # zero, the optimum itself, lies below a logarithmic axis
        panel.set_yscale("log", nonpositive="clip")
        panel.set_ylim(bottom=positive.min() * 0.8)
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.yaxis.set_minor_locator(NullLocator())


def fronts_figure(
    trials: pd.DataFrame, curves: Curves, objectives: Mapping[str, str], true_front: ArrayLike
) -> Figure:
    """Draws the true front and each group's front over time, from its run of median hypervolume.

    There must be two objectives. The figure has one row per worker count, one column per budget.
    """
    (first, second), ways = list(objectives)[:2], list(objectives.values())
    signs = np.array([-1.0 if way == "max" else 1.0 for way in ways])
    points_in_time = budgets(curves)[-3:]
    contests, colours = curves.contests, _colours(curves)
    time = trials["evaluation" if curves.axis == "evaluations" else "seconds"].to_numpy(float)
    time = time if curves.axis == "evaluations" else time / 3600
    # Between two of its points, a front attains the worse of the two in each objective.
    drawn = "steps-pre" if ways[0] == "max" else "steps-post"
    truth = _front(np.asarray(true_front, dtype=float), signs)
    with matplotlib.rc_context(STYLE):
        size = (3.4 * len(points_in_time) + 0.4, 2.9 * len(contests) + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(
            len(contests), len(points_in_time), squeeze=False, sharex=True, sharey=True
        )
        for row, (workers, groups) in zip(panels, contests.items(), strict=True):
            for panel, point in zip(row, points_in_time, strict=True):
                panel.plot(*truth.T, ds=drawn, color="#999999", lw=3, alpha=0.6, label="true front")
                for group in groups:
                    runs = np.flatnonzero(curves.rows(group))
                    order = np.argsort(curves.at("hypervolume", point)[runs], kind="stable")
                    median = curves.runs.iloc[runs[order[len(runs) // 2]]]
                    mine = (trials["searcher"] == median["searcher"]) & (
                        trials["seed"] == median["seed"]
                    )
                    if "workers" in trials:
                        mine &= trials["workers"] == workers
                    seen = trials[(mine & (time <= point)).to_numpy()]
                    front = _front(seen[[first, second]].to_numpy(float), signs)
                    name = median["searcher"]
                    panel.plot(
                        *front.T, "o-", ds=drawn, ms=3, lw=1, color=colours[name], label=name
                    )
                unit = "evaluations" if curves.axis == "evaluations" else "hours"
                title = f"after {point:.3g} {unit}"
                title += f", {workers} workers" if len(contests) > 1 else ""
                panel.set_title(title, fontsize=9)
        for panel in panels[-1]:
            panel.set_xlabel(first)
        for panel in panels[:, 0]:
            panel.set_ylabel(second)
        handles, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 8))
    return figure


def _front(points: Floats, signs: Floats) -> Floats:
    front = points[pareto_front(points * signs)]
    return front[np.argsort(front[:, 0], kind="stable")]
