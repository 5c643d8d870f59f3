"""Pairs the networks that verdicts compare: for each seed, one of each side."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isnan, nan
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.statistics.picks import forward_means, forward_picks
from nas.tasks.mistakes import unpacked

Floats = NDArray[np.float64]

Role = Literal["best", "equal cost", "cheaper"]
"""Which networks of two sides are compared.

- ``best``: the best of each side.
- ``equal cost``: the best of the first side, and the best of the second side that costs at most as
  much.
- ``cheaper``: the cheapest of the first side that is as good as the best of the second side and
  costs less.
"""


class Training(NamedTuple):
    """A network that the earlier seeds picked, retrained with a seed; NaN and None are unknown."""

    name: str
    fingerprint: str | None = None
    score: float = nan
    test: float = nan
    mistakes: str | None = None


Pair = tuple[Hashable, Training, Training]
"""A seed with the training of each of two sides."""


@dataclass(frozen=True, eq=False)
class Side:
    """The candidates of one kind in one campaign.

    What follows from the rows is computed once, because a side takes part in many comparisons.

    Attributes:
        rows: one row per candidate and seed, with score (higher is better), saw (the score that
            the search observed) and test, and the columns of a table of networks.
        costs: the columns of the costs that are compared.
    """

    rows: pd.DataFrame
    costs: Sequence[str] = ()

    @cached_property
    def campaign(self) -> str:
        """Returns the campaign, as in the table."""
        return str(self.rows["campaign"].iloc[0])

    @cached_property
    def kind(self) -> str:
        """Returns the kind of the candidates."""
        return str(self.rows["kind"].iloc[0])

    @cached_property
    def group(self) -> str:
        """Returns the comparability group."""
        return str(self.rows["group"].iloc[0])

    @property
    def candidates(self) -> int:
        """Returns the number of architectures from which the best is picked."""
        return len(self.means)

    @cached_property
    def means(self) -> pd.Series:
        """Returns the mean score of each candidate over all seeds, in the table's order."""
        # Means are rounded, so that rounding errors do not decide between equal ones.
        return self.rows.groupby("name", sort=False)["score"].mean().round(12)

    @cached_property
    def best(self) -> str:
        """Returns the name of the best candidate over all seeds; among equals, the first."""
        return str(self.means.idxmax())

    @cached_property
    def cost(self) -> pd.DataFrame:
        """Returns the costs by the name of the candidate; unknown costs are NaN."""
        costs = self.rows.reindex(columns=["name", *self.costs]).set_index("name").astype(float)
        return costs.groupby(level=0).mean()

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Returns the scores, with one row per name and one column per seed."""
        # The order of the table depends on all seeds, so the rows are sorted by name.
        return self.rows.pivot(index="name", columns="seed", values="score")

    @cached_property
    def forward(self) -> pd.DataFrame:
        """Returns the mean scores over the seeds before each seed; see :func:`forward_means`."""
        means = forward_means(self.scores.to_numpy(float), self._saw)
        return pd.DataFrame(means, self.scores.index, self.scores.columns)

    @property
    def _saw(self) -> Floats:
        saw: Floats = self.rows.groupby("name")["saw"].first().to_numpy(float)
        return saw

    def picks(self, allowed: pd.DataFrame | None = None) -> pd.Series:
        """Finds the candidate that the seeds before each seed picked; "" if none can be picked.

        Args:
            allowed: whether a name may be picked for a seed; by default, all may.
        """
        may = None if allowed is None else allowed.to_numpy(bool)
        picked = forward_picks(self.scores.to_numpy(float), self._saw, may)
        names = np.where(picked >= 0, self.scores.index.to_numpy()[picked], "")
        return pd.Series(names, self.scores.columns, name="name")

    @cached_property
    def _trained(self) -> dict[tuple[Hashable, Hashable], Training]:
        rows = self.rows
        columns = [
            rows["name"],
            rows["fingerprint"],
            rows["score"].to_numpy(float).tolist(),
            rows["test"].to_numpy(float).tolist(),
            rows["mistakes"].astype(object).where(rows["mistakes"].notna(), None),
        ]
        trainings = map(Training, *columns)
        return dict(zip(zip(rows["name"], rows["seed"], strict=True), trainings, strict=True))

    def results(self, picks: pd.Series) -> dict[Hashable, Training]:
        """Returns the trainings of the picks, by seed."""
        return {
            seed: self._trained.get((name, seed), Training(name)) for seed, name in picks.items()
        }

    @cached_property
    def picked(self) -> dict[Hashable, Training]:
        """Returns the trainings of the candidates that the seeds before each seed picked."""
        return self.results(self.picks())


@dataclass(frozen=True, eq=False)
class Contest:
    """A comparison of two sides by the seeds with which both were retrained.

    Attributes:
        first: the searched networks.
        second: the networks with which they are compared.
        names: the two compared networks, which all seeds pick.
        seeds: the trainings of both sides, for each common seed.
        step: the smallest difference between test results in their comparability group.
        role: how the networks were picked.
    """

    first: Side
    second: Side
    names: tuple[str, str]
    seeds: Sequence[Pair]
    step: float
    role: Role = "best"

    @cached_property
    def pairs(self) -> list[Pair]:
        """Returns the seeds that judge."""
        return [each for each in self.seeds if not any(isnan(side.test) for side in each[1:])]

    @cached_property
    def apart(self) -> Floats:
        """Returns the differences on the test images, the first minus the second."""
        return np.array([first.test - second.test for _, first, second in self.pairs], float)

    @cached_property
    def images_apart(self) -> Floats | None:
        """Returns the differences of being right, [pairs, images]; None if some are unknown."""
        first = [mine.mistakes for _, mine, _ in self.pairs]
        second = [theirs.mistakes for _, _, theirs in self.pairs]
        if not first or None in first or None in second:
            return None
        right = [_right(text) for text in (*first, *second) if text is not None]
        if len({len(each) for each in right}) > 1:
            return None
        return np.array(right[: len(first)]) - np.array(right[len(first) :])

    @property
    def resolution(self) -> float:
        """Returns the step between possible test results: one image, or what the table shows."""
        apart = self.images_apart
        return self.step if apart is None else 1 / apart.shape[1]

    @cached_property
    def costs(self) -> dict[str, tuple[float, float]]:
        """Returns the costs of the two named networks, as far as both are known."""
        first, second = self.first.cost.loc[self.names[0]], self.second.cost.loc[self.names[1]]
        both = {name: (first[name], second[name]) for name in first.index}
        return {name: pair for name, pair in both.items() if np.isfinite(pair).all()}

    @property
    def saves(self) -> bool:
        """Tells if the first network costs less in some cost, and more in none."""
        pairs = self.costs.values()
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    @cached_property
    def trainings(self) -> tuple[object, ...]:
        """Returns a key that is equal for comparisons of the same trainings."""
        seeds = [seed for seed, _, _ in self.pairs]
        return tuple(zip(seeds, self._of_side(1), self._of_side(2), strict=True))

    @property
    def is_of_one_side(self) -> bool:
        """Tells if both sides are the same trainings."""
        return bool(self.trainings) and self._of_side(1) == self._of_side(2)

    def _of_side(self, side: Literal[1, 2]) -> list[tuple[object, ...]]:
        return [(each[side].fingerprint, each[side].score, each[side].test) for each in self.pairs]


@lru_cache(maxsize=4096)
def _right(mistakes: str) -> Floats:
    """Returns for each image whether it was right; cached, as a side is in many comparisons."""
    right: Floats = (unpacked(mistakes) == 0).astype(float)
    return right


def side(rows: pd.DataFrame, costs: Sequence[str] = ()) -> Side | None:
    """Makes a side of its rows, in the group of the best. None without scores."""
    if rows.empty:
        return None
    means = rows.groupby(["name", "group"], sort=False)["score"].mean().round(12)
    if means.isna().all():
        return None
    return Side(rows[rows["group"] == means.idxmax()[1]], costs)


def steps(networks: pd.DataFrame) -> dict[str, float]:
    """Finds the smallest difference between test results in each comparability group."""
    found = {}
    for group, tests in networks.groupby("group")["test"]:
        apart = np.diff(np.unique(tests.dropna().to_numpy(float).round(12)))
        found[str(group)] = float(apart.min()) if len(apart) else 0.0
    return found


def best(first: Side, second: Side, step: float) -> Contest:
    """Compares the best networks of two sides.

    Args:
        first: the searched networks.
        second: the networks with which they are compared.
        step: the smallest difference between test results in their group, from :func:`steps`.
    """
    named = (first.best, second.best)
    return _contest(first, second, named, (first.picked, second.picked), step, "best")


def equal_cost(first: Side, second: Side, step: float) -> Contest | None:
    """Compares the best of a side with the best of the other that costs at most as much.

    Each seed allows the networks that cost at most as much as the pick of the earlier seeds. None
    if no network of the second side costs at most as much as the first side's best.
    """
    cheap = second.means[_at_most(second.cost, first.cost.loc[first.best])[second.means.index]]
    if not first.costs or cheap.isna().all():
        return None
    unknown = pd.Series(np.nan, first.costs)
    caps = {
        seed: first.cost.loc[each.name] if each.name else unknown
        for seed, each in first.picked.items()
    }
    allowed = pd.DataFrame(
        {seed: _at_most(second.cost, caps.get(seed, unknown)) for seed in second.scores}
    )
    theirs = second.results(second.picks(allowed.loc[second.scores.index]))
    named = (first.best, str(cheap.idxmax()))
    return _contest(first, second, named, (first.picked, theirs), step, "equal cost")


def cheaper(first: Side, second: Side, step: float) -> Contest | None:
    """Compares the cheapest network of a side that matches the best of the other side with it.

    A network matches another if its mean validation score is at least as good. It must cost less in
    the first of the costs, and not more in the others. Each seed compares the networks that the
    earlier seeds picked by this rule. None if there is no such network.
    """
    if not first.costs:
        return None

    def cheapest(score: pd.Series, least: float, most: pd.Series) -> str:
        fits = _at_most(first.cost, most) & (first.cost[first.costs[0]] < most[first.costs[0]])
        matching = first.cost.loc[fits & (score.loc[first.cost.index] >= least), first.costs[0]]
        return str(matching.idxmin()) if len(matching) else ""

    found = cheapest(first.means, second.means[second.best], second.cost.loc[second.best])
    if not found:
        return None
    mine = []
    for seed, score in first.forward.items():
        name = second.picked.get(seed, Training("")).name
        least = second.forward.loc[name, seed] if name else -np.inf
        known = np.isfinite(least)  # else nothing is known about the pick, a single candidate
        mine.append(cheapest(score, least, second.cost.loc[name]) if known else "")
    own = first.results(pd.Series(mine, first.scores.columns, name="name"))
    return _contest(first, second, (found, second.best), (own, second.picked), step, "cheaper")


def _at_most(costs: pd.DataFrame, most: pd.Series) -> pd.Series:
    """Tells for each network if all its costs are known and at most as large."""
    return (costs <= most).all(axis=1)


def _contest(
    first: Side,
    second: Side,
    names: tuple[str, str],
    trainings: tuple[Mapping[Hashable, Training], Mapping[Hashable, Training]],
    step: float,
    role: Role,
) -> Contest:
    mine, theirs = trainings
    seeds = [(seed, each, theirs[seed]) for seed, each in mine.items() if seed in theirs]
    return Contest(first, second, names, seeds, step, role)
