"""Computes the anytime regret of every run of a benchmark, on one common grid.

A run is one searcher with one seed. Its incumbent is the network that a user would take at that
moment: the trial with the best validation value so far, and the earlier one among equals. With
several fidelities, trials of higher fidelity come before all trials of lower fidelity (HpBandSter's
``bigger_is_better``), because accuracies after 1 and after 100 epochs cannot be compared.

The simple regret is the distance between the incumbent and the best of the whole table, in the
table's units. There is one for validation, which the search has seen, and one for test, which the
search has not seen. With several objectives, the regret is the share of the true front's
hypervolume that the points of a run do not dominate. Only points of the highest fidelity count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nas.errors import InputError
from nas.statistics.hypervolume import hypervolume, hypervolume_over_time

Floats = NDArray[np.float64]
Paths = list[Floats]  # one array per run, with one value per trial
Axis = Literal["evaluations", "virtual hours"]

POINTS_IN_TIME = 200


@dataclass(frozen=True)
class Curves:
    """The regrets of all runs; the rows of every array are those of ``runs``."""

    axis: Axis
    """The unit of ``grid``: charged evaluations, or hours of the simulated clock."""
    grid: Floats
    runs: pd.DataFrame
    """The columns are group (searcher, with workers if given), searcher, workers, seed, trials,
    reused, failed, and end (on the axis)."""
    regret: Mapping[str, Floats]
    """The regret by metric, [runs, grid]; NaN before a run's first result."""
    area: Mapping[str, Floats]
    """The mean regret over the budget by metric, [runs]: the area under the curve by its length."""
    scale: Mapping[str, tuple[float, float]]
    """(best, sign) by metric: the table's own value is best + sign * regret."""

    @property
    def groups(self) -> list[str]:
        """The searchers, with their workers if these vary, in order of appearance."""
        return list(self.runs["group"].unique())

    @property
    def contests(self) -> dict[int, list[str]]:
        """The groups that are compared with each other, by number of workers."""
        parts = self.runs.groupby("workers", sort=False)["group"]
        return {int(workers): list(groups.unique()) for workers, groups in parts}

    def rows(self, group: str) -> NDArray[np.bool_]:
        """Marks the runs of a group."""
        return np.asarray(self.runs["group"] == group)

    def by_seed(self, values: Floats) -> pd.DataFrame:
        """Arranges one value per run by seed (rows) and group (columns); NaN for a missing run."""
        table = self.runs[["seed", "group"]].assign(value=values)
        return table.pivot(index="seed", columns="group", values="value")[self.groups]

    def at(self, metric: str, point: float) -> Floats:
        """Returns every run's regret at a point of the axis, [runs]."""
        place = int(np.searchsorted(self.grid, point, side="right")) - 1
        return self.regret[metric][:, place] if place >= 0 else np.full(len(self.runs), np.nan)


def curves(
    trials: pd.DataFrame,
    direction: Mapping[str, str],
    optimum: Mapping[str, float],
    *,
    objectives: Mapping[str, str] | None = None,
    true_front: ArrayLike | None = None,
    reference_point: ArrayLike | None = None,
) -> Curves:
    """Computes the regret of every run from a benchmark's trials.

    Args:
        trials: one row per trial in the order observed, with ``searcher, seed, evaluation, status``
            and ``validation, test`` or the objectives; optionally ``seconds`` (virtual end time),
            ``fidelity`` (epochs; NaN for full training), ``reused``, ``workers``. The axis is
            virtual hours if there are workers or several fidelities, else charged evaluations.
        direction: "max" or "min" for ``validation`` and ``test``.
        optimum: the best validation and the best test score of the whole table.
        objectives: "max" or "min" by column name; the only metric is then ``hypervolume``.
        true_front: [points, objectives], or every row of the table.
        reference_point: [objectives].

    For the mean regret, the time before a run's first result counts as the worst first result of
    all runs, so a late start is never an advantage. A run that ends before the others keeps its
    last value.

    Raises :class:`InputError` for missing columns, no trials, or rows that are out of order.
    """
    axis = _axis(trials)
    hours = axis == "virtual hours"
    _check(trials, [*(objectives or ("validation", "test")), *(["seconds"] if hours else [])])
    workers = trials["workers"] if "workers" in trials else pd.Series(1, index=trials.index)
    keys = [trials["searcher"], workers, trials["seed"]]
    run = pd.DataFrame({name: pd.factorize(key)[0] for name, key in enumerate(keys)})
    places = list(run.groupby([0, 1, 2], sort=False).indices.values())
    x = trials["seconds"].to_numpy(float) / 3600 if hours else trials["evaluation"].to_numpy(float)
    times = [x[place] for place in places]
    if any((np.diff(time) < 0).any() or np.isnan(time).any() for time in times):
        raise InputError("trials: rows of a run must be in the order of evaluation and time")

    if objectives:
        if true_front is None or reference_point is None:
            raise InputError("several objectives need a true front and a reference point")
        front, reference = np.asarray(true_front, dtype=float), np.asarray(reference_point)
        scale = {"hypervolume": (1.0, -1.0)}
        paths = {"hypervolume": _hypervolume(trials, places, objectives, front, reference)}
    else:
        scale = {
            name: (optimum[name], -1.0 if direction[name] == "max" else 1.0)
            for name in ("validation", "test")
        }
        paths = _incumbents(trials, places, scale)

    runs = _runs(trials, workers, places, times)
    grid = _grid(x, hours)
    ends = runs.groupby("workers")["end"].transform("max").to_numpy(float)
    # Evaluation n holds until n + 1.
    spans = [(0.0, end) if hours else (1.0, end + 1) for end in ends]
    regret, area = {}, {}
    for metric, of_runs in paths.items():
        firsts = [path[~np.isnan(path)][:1] for path in of_runs]
        worst = np.concatenate(firsts).max() if any(map(len, firsts)) else np.nan
        pairs = list(zip(times, of_runs, strict=True))
        regret[metric] = np.stack([_on_grid(time, path, grid) for time, path in pairs])
        area[metric] = np.array(
            [
                _mean_over_time(time, np.where(np.isnan(path), worst, path), span, worst)
                for (time, path), span in zip(pairs, spans, strict=True)
            ]
        )
    return Curves(axis, grid, runs, regret, area, scale)


def _check(trials: pd.DataFrame, metrics: Sequence[str]) -> None:
    needed = ["searcher", "seed", "evaluation", "status", *metrics]
    missing = [name for name in needed if name not in trials]
    if missing:
        raise InputError(f"trials: there is no column {', '.join(missing)}, only {list(trials)}")
    if len(trials) == 0:
        raise InputError("trials: there are none")


def _axis(trials: pd.DataFrame) -> Axis:
    several = "fidelity" in trials and trials["fidelity"].nunique(dropna=False) > 1
    timed = several or "workers" in trials
    return "virtual hours" if timed else "evaluations"


def _grid(x: Floats, hours: bool) -> Floats:
    if not hours:
        return np.arange(1.0, x.max() + 1)
    later = x[x > 0]
    if len(later) == 0:
        raise InputError("trials: seconds are all zero, so no curve over time can be drawn")
    return np.geomspace(later.min(), later.max(), POINTS_IN_TIME)


def _runs(
    trials: pd.DataFrame, workers: pd.Series, places: list[NDArray[np.intp]], times: Paths
) -> pd.DataFrame:
    failed = (trials["status"] == "failed").to_numpy()
    reused = trials["reused"].to_numpy(bool) if "reused" in trials else np.zeros_like(failed)
    first = [place[0] for place in places]
    runs = trials.iloc[first][["searcher", "seed"]].reset_index(drop=True)
    runs["workers"] = workers.to_numpy()[first]
    runs["group"] = runs["searcher"].astype(str)
    if "workers" in trials:
        plural = np.where(runs["workers"] == 1, " worker", " workers")
        runs["group"] += ", " + runs["workers"].astype(str) + plural
    runs["trials"] = [len(place) for place in places]
    runs["reused"] = [int(reused[place].sum()) for place in places]
    runs["failed"] = [int(failed[place].sum()) for place in places]
    runs["end"] = [float(time[-1]) for time in times]
    return runs


def _incumbents(
    trials: pd.DataFrame,
    places: list[NDArray[np.intp]],
    scale: Mapping[str, tuple[float, float]],
) -> dict[str, Paths]:
    # The regret of every trial if it were the incumbent: value = best + sign * regret.
    regret = {
        name: (trials[name].to_numpy(float) - best) * sign + 0.0  # no -0.0
        for name, (best, sign) in scale.items()
    }
    loss = regret["validation"]
    tried = (trials["status"] == "completed").to_numpy() & ~np.isnan(loss)
    fidelity = np.zeros(len(trials))
    if "fidelity" in trials:
        fidelity = trials["fidelity"].fillna(np.inf).to_numpy(float)
    # Higher fidelity first, then lower loss; equals share a rank, so the earlier one stays.
    order = np.lexsort((loss, -fidelity))
    keys = np.stack([fidelity, loss])[:, order]
    standing = np.empty(len(trials))
    standing[order] = np.append(0, np.cumsum((keys[:, 1:] != keys[:, :-1]).any(axis=0)))
    standing[~tried] = np.inf

    paths: dict[str, Paths] = {name: [] for name in scale}
    for place in places:
        mine = standing[place]
        before = np.minimum.accumulate(np.append(np.inf, mine[:-1]))
        incumbent = np.maximum.accumulate(np.where(mine < before, np.arange(len(place)), -1))
        for name, found in paths.items():
            found.append(np.where(incumbent >= 0, regret[name][place[incumbent]], np.nan))
    return paths


def _hypervolume(
    trials: pd.DataFrame,
    places: list[NDArray[np.intp]],
    objectives: Mapping[str, str],
    true_front: Floats,
    reference: Floats,
) -> Paths:
    signs = np.array([-1.0 if way == "max" else 1.0 for way in objectives.values()])
    points = trials[list(objectives)].to_numpy(float) * signs
    points[(trials["status"] != "completed").to_numpy()] = np.nan
    if "fidelity" in trials:  # a short training is no network of the front
        fidelity = trials["fidelity"].fillna(np.inf)
        points[(fidelity < trials["fidelity"].max()).to_numpy()] = np.nan
    padded = np.full((len(places), max(map(len, places)), len(signs)), np.nan)
    for run, place in enumerate(places):
        padded[run, : len(place)] = points[place]
    volumes = hypervolume_over_time(padded, reference * signs)
    whole = hypervolume(true_front * signs, reference * signs)
    if whole == 0:
        raise InputError(f"reference point {reference}: no point of the true front dominates it")
    return [1 - volume[: len(place)] / whole for volume, place in zip(volumes, places, strict=True)]


def _on_grid(time: Floats, path: Floats, grid: Floats) -> Floats:
    place = np.searchsorted(time, grid, side="right") - 1
    return np.where(place >= 0, path[place], np.nan)


def _mean_over_time(time: Floats, path: Floats, span: tuple[float, float], before: float) -> float:
    edges = np.concatenate([span[:1], time, span[1:]])
    return float(np.append(before, path) @ np.diff(edges)) / (span[1] - span[0])
