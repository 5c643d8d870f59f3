"""Tables of a benchmark: each searcher at the end, over time, and against the others.

A group is a searcher, or a searcher with a number of workers if that number varies; see
:class:`nas.benchmark.regret.Curves`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.benchmark.regret import Curves
from nas.statistics.paired import SignFlip, average_ranks, holm, holm_levels, verdict

Floats = NDArray[np.float64]

SUMMARY = {
    "group": "the searcher, with its number of workers if that varies",
    "runs": "number of runs, one per seed",
    "METRIC_mean": "mean of the final incumbents, in the table's units, over runs that have one",
    "METRIC_sd": "sample standard deviation of the same values",
    "METRIC_regret": "median distance to the table's best; infinite for a run without a result",
    "METRIC_area": "mean regret over the whole budget: the area under the curve by its length",
    "METRIC_rank": "mean rank over seeds at the end: 1 is best, ties share, no result is last",
    "trials": "trials that the searcher observed in a run",
    "reused": "duplicates among them, answered from the run's own history at no cost",
    "failed": "failed trials among them",
    "no_result": "runs that never had an incumbent",
}
"""Columns of :func:`summary`; METRIC is validation, test, or hypervolume (as a share)."""

PAIRWISE = {
    "metric": "the metric whose regret at the end is compared",
    "first": "the group with the better average rank",
    "second": "the other group, with the same number of workers",
    "seeds": "number of seeds that both ran, which form the pairs",
    "difference": "mean regret of the first minus that of the second; negative: first is better",
    "low": "lower end of the 95 % interval of the difference, at the level of Holm's correction",
    "high": "upper end of the same interval",
    "p": "two-sided p value of the sign-flip test",
    "corrected_p": "p value corrected by Holm over all pairs of the metric with enough seeds",
    "verdict": "whether the first is better, worse or not distinguishable, or too few seeds",
}
"""Columns of :func:`pairwise`."""


def summary(curves: Curves) -> pd.DataFrame:
    """Makes a table with one row per group at the end of the budget (:data:`SUMMARY`)."""
    ranks = {metric: mean_ranks(curves, regret[:, -1]) for metric, regret in curves.regret.items()}
    rows = []
    for group in curves.groups:
        mine = curves.rows(group)
        row: dict[str, object] = {"group": group, "runs": int(mine.sum())}
        empty = np.zeros(len(mine), dtype=bool)
        for metric, regret in curves.regret.items():
            mean, deviation = value(curves, metric, regret[mine, -1])
            row |= {
                f"{metric}_mean": mean,
                f"{metric}_sd": deviation,
                f"{metric}_regret": quantile(regret[mine, -1], 0.5),
                f"{metric}_area": curves.area[metric][mine].mean(),
                f"{metric}_rank": ranks[metric][group],
            }
            empty = np.isnan(regret[:, -1])
        row |= curves.runs.loc[mine, ["trials", "reused", "failed"]].mean().to_dict()
        rows.append(row | {"no_result": int((mine & empty).sum())})
    return pd.DataFrame(rows)


def anytime(curves: Curves) -> pd.DataFrame:
    """Makes a table of regret over time, with one row per group, metric and point in time.

    The columns are group, metric, the time axis, runs (how many have a result by then), mean and
    sd (of the value in the table's units over these runs), and q25, median and q75 (of the regret
    over all runs; empty if the quantile falls on runs that have no result yet).
    """
    places = np.unique(np.geomspace(1, len(curves.grid), 40).round().astype(int)) - 1
    rows = []
    for group in curves.groups:
        for metric in curves.regret:
            for point in sorted({*curves.grid[places].tolist(), *budgets(curves)}):
                now = curves.at(metric, point)[curves.rows(group)]
                row = {"group": group, "metric": metric, curves.axis: point}
                row["runs"] = int((~np.isnan(now)).sum())
                row["mean"], row["sd"] = value(curves, metric, now)
                shares = {"q25": 0.25, "median": 0.5, "q75": 0.75}
                rows.append(row | {name: quantile(now, share) for name, share in shares.items()})
    return pd.DataFrame(rows)


def pairwise(curves: Curves, alpha: float = 0.05) -> pd.DataFrame:
    """Compares all pairs of groups with equal workers by their final regret, paired by seed.

    The columns are :data:`PAIRWISE`. A run without any result counts as the worst of all runs.
    Seeds that only one of the two groups ran are left out.
    """
    rows = []
    for metric, regret in curves.regret.items():
        for judged in _judged(curves, regret[:, -1], alpha):
            rows.append({"metric": metric, **judged._asdict()})
    return pd.DataFrame(rows, columns=list(PAIRWISE))


def leaders(curves: Curves, metric: str, point: float, alpha: float = 0.05) -> set[str]:
    """Returns the group of best average rank at a point, and the groups it is not better than.

    The tests are those of :func:`pairwise`, corrected over the pairs at that point.
    """
    now = curves.at(metric, point)
    ranks = mean_ranks(curves, now)
    beaten = set()
    found = {min(groups, key=ranks.__getitem__) for groups in curves.contests.values()}
    for judged in _judged(curves, now, alpha):
        if judged.first in found and judged.verdict == "better":
            beaten.add(judged.second)
    return set(curves.groups) - beaten


class _Judged(NamedTuple):
    """The cells of one pair; see :data:`PAIRWISE`."""

    first: str
    second: str
    seeds: int
    difference: float
    low: float
    high: float
    p: float
    corrected_p: float
    verdict: str


def _judged(curves: Curves, regret: Floats, alpha: float) -> Iterator[_Judged]:
    """Judges all pairs of groups with equal workers; the group of better rank comes first.

    Pairs with so few seeds that no outcome could be significant are not tested: they would only
    make the correction of the others stricter.
    """
    pairs = list(_pairs(curves, regret))
    tests = [SignFlip(apart) if len(apart) > 1 else None for _, _, apart in pairs]
    able = [test for test in tests if test is not None and test.least_p <= alpha]
    p = [test.p for test in able]
    levels = dict(zip(able, zip(holm(p), holm_levels(p, alpha), strict=True), strict=True))
    for (first, second, apart), test in zip(pairs, tests, strict=True):
        seeds, mean = len(apart), float(apart.mean()) if len(apart) else np.nan
        corrected, level = levels.get(test, (np.nan, 0.0)) if test else (np.nan, 0.0)
        low, high = test.interval(level) if test else (np.nan, np.nan)
        enough = test is not None and test.least_p <= level
        word = verdict(mean, corrected, alpha) if enough else "too few seeds"
        p_value = test.p if test else np.nan
        yield _Judged(first, second, seeds, mean, low, high, p_value, float(corrected), word)


def _pairs(curves: Curves, regret: Floats) -> Iterator[tuple[str, str, Floats]]:
    """Yields two groups and their differences of regret by seed."""
    ran = curves.by_seed(np.ones(len(regret))).notna()
    worst = np.nanmax(regret) if np.isfinite(regret).any() else 0.0
    table = curves.by_seed(np.where(np.isnan(regret), worst, regret))
    ranks = mean_ranks(curves, regret)
    for groups in curves.contests.values():
        for first, second in combinations(sorted(groups, key=ranks.__getitem__), 2):
            both = ran[first] & ran[second]
            # Distances are rounded, so that rounding errors do not decide between equal ones.
            yield first, second, (table[first] - table[second])[both].to_numpy().round(9)


def seed_ranks(curves: Curves, regret: Floats, groups: list[str]) -> Floats:
    """Ranks the groups by regret for each seed that all of them ran: [seeds, groups]."""
    ran = curves.by_seed(np.ones(len(regret)))[groups].notna().all(axis=1)
    return average_ranks(curves.by_seed(regret)[groups][ran])


def mean_ranks(curves: Curves, regret: Floats) -> dict[str, float]:
    """Returns the average rank of every group among those with equal workers."""
    found: dict[str, float] = {}
    for groups in curves.contests.values():
        ranks = seed_ranks(curves, regret, groups)
        means = ranks.mean(axis=0) if len(ranks) else np.full(len(groups), np.nan)
        found |= zip(groups, means.tolist(), strict=True)
    return found


def budgets(curves: Curves) -> list[float]:
    """Picks points of the grid for a table: 10, 20, 50, ... evaluations, or shares of the hours."""
    last = float(curves.grid[-1])
    if curves.axis == "evaluations":
        steps = [digit * 10.0**power for power in range(1, 7) for digit in (1, 2, 5)]
        return [*[step for step in steps if step < last], last][-6:]
    near = np.searchsorted(curves.grid, last * np.array([0.001, 0.01, 0.03, 0.1, 0.3, 1.0]))
    return [float(curves.grid[place]) for place in np.unique(near)]


def value(curves: Curves, metric: str, regret: Floats) -> tuple[float, float]:
    """Returns mean and sample deviation in the table's units, over runs that have a result."""
    best, sign = curves.scale[metric]
    found = best + sign * regret[~np.isnan(regret)]
    mean = float(found.mean()) if len(found) else np.nan
    return mean, float(found.std(ddof=1)) if len(found) > 1 else np.nan


def quantile(regret: Floats, share: float) -> float:
    """Returns a quantile over all runs; NaN if it falls on a run without a result."""
    ordered = np.sort(regret)  # NaN last
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return float(low + (place % 1) * (high - low))
