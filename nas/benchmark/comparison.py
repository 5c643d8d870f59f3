"""Tables of a benchmark: how good each searcher was in the end, over time, and against each other.

Groups are searchers, with their workers where these vary; see :class:`nas.benchmark.regret.Curves`.
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
from nas.statistics.paired import average_ranks, bootstrap_interval, holm, signed_rank, verdict

Floats = NDArray[np.float64]

SUMMARY = {
    "group": "the searcher, with its workers where these vary",
    "runs": "seeds",
    "METRIC_mean": "of the incumbent at the end, in the table's units, over runs that have one",
    "METRIC_sd": "sample standard deviation of the same",
    "METRIC_regret": "median distance to the best of the table; no result is infinitely far",
    "METRIC_area": "mean regret over the whole budget: the area under its curve by its length",
    "METRIC_rank": "mean over seeds of the rank at the end: 1 is best, ties share, none is last",
    "trials": "told to the searcher in a run",
    "reused": "of them duplicates, answered from the run's own history at no cost",
    "failed": "of them failed",
    "no_result": "runs that never had an incumbent",
}
"""Columns of :func:`summary`; METRIC is validation and test, or hypervolume (share of the true)."""

PAIRWISE = {
    "metric": "what is compared: regret of it at the end",
    "first": "the group of better average rank",
    "second": "the other one, of equal workers",
    "seeds": "that both ran; the pairs",
    "difference": "mean regret of the first less the second's: negative, the first is better",
    "low": "of the 95 % bootstrap interval (BCa) of the difference",
    "high": "of the same",
    "p": "Wilcoxon's signed-rank test, two-sided",
    "corrected_p": "the same by Holm, over all pairs of the metric",
    "verdict": "on the first: better, worse or not distinguishable",
}
"""Columns of :func:`pairwise`."""


def summary(curves: Curves) -> pd.DataFrame:
    """One row a group, at the end of the budget. Columns: :data:`SUMMARY`."""
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
    """Regret over time: a row a group, a metric and a point of the axis.

    Columns: group, metric, the axis, runs (that have a result by then), mean and sd (of the value
    in the table's units over these runs), q25, median, q75 (of regret over all runs; empty where it
    falls on runs that have no result yet).
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
    """Every two groups of equal workers, by regret at the end, paired by seed.

    Columns: :data:`PAIRWISE`. A run without any result counts as the worst of all runs; a seed that
    only one of the two ran is left out.
    """
    rows = []
    for metric, regret in curves.regret.items():
        tests = _tests(curves, regret[:, -1])
        for (first, second, difference, balance, p), corrected in _corrected(tests):
            low, high = bootstrap_interval(difference)
            word = verdict(balance, corrected, alpha)
            cells = [metric, first, second, len(difference), difference.mean(), low, high]
            rows.append(dict(zip(PAIRWISE, [*cells, p, corrected, word], strict=True)))
    return pd.DataFrame(rows, columns=list(PAIRWISE))


def leaders(curves: Curves, metric: str, point: float, alpha: float = 0.05) -> set[str]:
    """At a point of the axis, the first by average rank and all that it is not better than.

    By the tests of :func:`pairwise`, corrected over the pairs of that point.
    """
    now = curves.at(metric, point)
    ranks = mean_ranks(curves, now)
    beaten = set()
    found = {min(groups, key=ranks.__getitem__) for groups in curves.contests.values()}
    for (first, second, _, balance, _), corrected in _corrected(_tests(curves, now)):
        word = verdict(balance, corrected, alpha)
        if first in found and word == "better":
            beaten.add(second)
    return set(curves.groups) - beaten


class _Test(NamedTuple):
    first: str
    second: str
    difference: Floats
    balance: float
    p: float


def _tests(curves: Curves, regret: Floats) -> list[_Test]:
    """Of all pairs of equal workers, the one of better rank first."""
    ran = curves.by_seed(np.ones(len(regret))).notna()
    worst = np.nanmax(regret) if np.isfinite(regret).any() else 0.0
    table = curves.by_seed(np.where(np.isnan(regret), worst, regret))
    ranks = mean_ranks(curves, regret)
    tests = []
    for groups in curves.contests.values():
        for first, second in combinations(sorted(groups, key=ranks.__getitem__), 2):
            both = ran[first] & ran[second]
            if both.sum() < 2:
                continue
            # Rounded, for two equal distances must tie whatever their last bits.
            difference = (table[first] - table[second])[both].to_numpy().round(9)
            test = signed_rank(difference)
            tests.append(_Test(first, second, difference, float(test.balance), float(test.p)))
    return tests


def _corrected(tests: list[_Test]) -> Iterator[tuple[_Test, float]]:
    return zip(tests, holm([test.p for test in tests]).tolist(), strict=True)


def seed_ranks(curves: Curves, regret: Floats, groups: list[str]) -> Floats:
    """Ranks [seeds, groups] of one regret a run, over the seeds that all these groups ran."""
    ran = curves.by_seed(np.ones(len(regret)))[groups].notna().all(axis=1)
    return average_ranks(curves.by_seed(regret)[groups][ran])


def mean_ranks(curves: Curves, regret: Floats) -> dict[str, float]:
    """The average rank of every group among those of equal workers."""
    found: dict[str, float] = {}
    for groups in curves.contests.values():
        ranks = seed_ranks(curves, regret, groups)
        means = ranks.mean(axis=0) if len(ranks) else np.full(len(groups), np.nan)
        found |= zip(groups, means.tolist(), strict=True)
    return found


def budgets(curves: Curves) -> list[float]:
    """A few points of the grid for a table: 10, 20, 50, ... evaluations, or shares of the hours."""
    last = float(curves.grid[-1])
    if curves.axis == "evaluations":
        steps = [digit * 10.0**power for power in range(1, 7) for digit in (1, 2, 5)]
        return [*[step for step in steps if step < last], last][-6:]
    near = np.searchsorted(curves.grid, last * np.array([0.001, 0.01, 0.03, 0.1, 0.3, 1.0]))
    return [float(curves.grid[place]) for place in np.unique(near)]


def value(curves: Curves, metric: str, regret: Floats) -> tuple[float, float]:
    """Mean and sample deviation in the table's units, over runs that have a result."""
    best, sign = curves.scale[metric]
    found = best + sign * regret[~np.isnan(regret)]
    mean = float(found.mean()) if len(found) else np.nan
    return mean, float(found.std(ddof=1)) if len(found) > 1 else np.nan


def quantile(regret: Floats, share: float) -> float:
    """Over all runs, one without a result being infinitely far; NaN where it falls on such."""
    ordered = np.sort(regret)  # NaN last
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return float(low + (place % 1) * (high - low))
