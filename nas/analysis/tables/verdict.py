"""Judges whether the best searched network is better than the classics and than random search.

The best network of each kind has the best mean, over all seeds, of the task's primary metric
(usually accuracy) on the validation images. If the same trainings also judged it, it would look too
good, because a lucky training is lucky on validation and on test images. So each seed judges, on
test images, the networks that the earlier seeds picked
(:func:`nas.statistics.picks.forward_picks`). Before the first seed, the value that the search
observed decides. No search observes the classics, so if there are several, the first seed only
picks.

Differences are paired by seed. The interval, the p value and the words come from one test,
Student's paired t test, with Holm's correction for all comparisons of a table
(:func:`nas.statistics.paired.paired_t`). ``results/error_rates.md`` has simulations of how often
the words are wrong and how often the interval contains the true difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.verdict_words import CLASSIC, RANDOM, SEARCHED, SEEDS, evidence, sentence
from nas.metrics import Catalogue
from nas.statistics.paired import holm, holm_levels, paired_t, redrawn_interval, verdict
from nas.statistics.picks import forward_picks
from nas.tasks.mistakes import unpacked

COLUMNS = {
    "campaign": ("str", "the campaign of the first network, as in the table"),
    "searched": ("str", "the first network: the best searched one by validation"),
    "against": ("str", "the second network: the best of its kind by validation"),
    "kind": ("str", "the kind of the second: classic, random, or searched (by another campaign)"),
    "seeds": ("Int64", "number of seeds that judge both networks: the pairs"),
    "only_pick": ("str", "seeds of both networks that only pick"),
    "left_out": ("str", "seeds left out because a picked network has no test result with them"),
    "other_picks": ("Int64", "number of seeds that judge other networks than the two named ones, "
                             "because the earlier seeds picked those"),
    "difference": ("float64", "mean difference of the task's primary metric on the test images: "
                              "the first minus the second"),
    "low": ("float64", "lower end of the 95 % interval of the difference, by Student's t, at the "
                       "level of Holm's correction"),
    "high": ("float64", "upper end of the same interval"),
    "p": ("float64", "two-sided p value of the paired t test"),
    "corrected_p": ("float64", "p value corrected by Holm over all different tests of the table"),
    "images": ("Int64", "number of test images; empty if the records hold no predictions"),
    "images_low": ("float64", "lower end of the interval over seeds and draws of test images"),
    "images_high": ("float64", "upper end of the same interval"),
    "tests": ("Int64", "number of different tests in the table"),
    "verdict": ("str", "whether the first is better, worse, not distinguishable or too few seeds"),
}  # fmt: skip
"""The columns of :func:`verdicts`: dtype and meaning."""


class _Side(NamedTuple):
    """The candidates of one kind, and the best of them.

    Attributes:
        campaign: their campaign, as in the table.
        name: the name of the best candidate, by its mean score over all seeds.
        kind: the kind of the candidates.
        group: the comparability group of the best and of all candidates.
        networks: one row per candidate and seed; see :func:`_scored`.
    """

    campaign: str
    name: str
    kind: str
    group: str
    networks: pd.DataFrame

    @property
    def candidates(self) -> int:
        """Returns the number of architectures from which the best was picked."""
        return int(self.networks["name"].nunique())

    def judged(self) -> pd.DataFrame:
        """Finds, for every seed, the network that the earlier seeds picked, and its results.

        Returns the columns name (empty if nothing is known to pick by), fingerprint, score, test
        and mistakes, by seed.
        """
        # The order of the table depends on all seeds, so the rows are sorted by name.
        by_name = self.networks.sort_values("name", kind="stable")
        scores = by_name.pivot(index="name", columns="seed", values="score")
        saw = by_name.groupby("name")["saw"].first().to_numpy(float)
        picked = forward_picks(scores.to_numpy(float), saw)
        names = np.where(picked >= 0, scores.index.to_numpy()[picked], "")
        picks = pd.DataFrame({"seed": scores.columns, "name": names})
        columns = ["name", "seed", "fingerprint", "score", "test", "mistakes"]
        return picks.merge(by_name[columns], "left", ["name", "seed"]).set_index("seed")


class _Contest(NamedTuple):
    """A comparison of two sides by the seeds with which both were retrained.

    Attributes:
        first: the searched networks.
        second: the networks with which they are compared.
        seeds: the columns of :meth:`_Side.judged` of both sides, for each common seed.
        step: the smallest difference between test results in their comparability group.
    """

    first: _Side
    second: _Side
    seeds: pd.DataFrame
    step: float

    @property
    def pairs(self) -> pd.DataFrame:
        """Returns the rows of the seeds that judge."""
        return self.seeds.dropna(subset=["test_first", "test_second"])

    @property
    def apart(self) -> NDArray[np.float64]:
        """Returns the differences on the test images, the first minus the second."""
        pairs = self.pairs
        apart = pairs["test_first"] - pairs["test_second"]
        found: NDArray[np.float64] = apart.to_numpy(np.float64)
        return found

    @property
    def images_apart(self) -> NDArray[np.float64] | None:
        """Returns the differences of being right, [pairs, images]; None if some are unknown."""
        pairs = self.pairs[["mistakes_first", "mistakes_second"]]
        if pairs.empty or pairs.isna().any(axis=None):
            return None
        first, second = ([unpacked(text) == 0 for text in pairs[name]] for name in pairs)
        if len({len(right) for right in (*first, *second)}) > 1:
            return None
        apart: NDArray[np.float64] = np.array(first, float) - np.array(second, float)
        return apart

    @property
    def resolution(self) -> float:
        """Returns the step between possible test results: one image, or what the table shows."""
        apart = self.images_apart
        return self.step if apart is None else 1 / apart.shape[1]

    @property
    def trainings(self) -> tuple[object, ...]:
        """Returns a key that is equal for comparisons of the same trainings."""
        return tuple(zip(self.pairs.index, *map(self._of_side, ("first", "second")), strict=True))

    @property
    def is_of_one_side(self) -> bool:
        """Tells if both sides are the same trainings."""
        return bool(self.trainings) and self._of_side("first") == self._of_side("second")

    def _of_side(self, side: str) -> list[tuple[object, ...]]:
        columns = ["fingerprint", "score", "test"]
        rows = self.pairs[[f"{column}_{side}" for column in columns]]
        return list(rows.itertuples(index=False, name=None))


def verdicts(networks: pd.DataFrame) -> pd.DataFrame:
    """Makes one row for each comparison that the rows allow.

    For each campaign, its best searched network is compared with the best classic that keeps the
    campaign's constraints and with the best of random search; the best searched networks of every
    two campaigns are compared, too. Networks of different comparability groups are not compared.

    Args:
        networks: a table with one row per network:
            :func:`nas.analysis.tables.networks.campaign_table` with ``per_seed``.

    Returns the columns of :data:`COLUMNS`. ``attrs["words"]`` says each row in words: its verdict,
    a sentence and the evidence for it. ``attrs["notes"]`` says why comparisons are missing, and
    what the verdicts do not say.
    """
    metrics = metrics_of(networks)
    retrained = _scored(networks[networks["seeds"] > 0], metrics)
    missing: list[str] = []
    contests: list[_Contest] = []
    leaders = []
    for campaign, rows in retrained.groupby("campaign", sort=False):
        found = _side(rows[rows["kind"] == SEARCHED])
        if found is None:
            missing.append(f"{prefix(campaign)}no verdict: no searched network is retrained")
            continue
        leaders.append(found)
        for kind, what in ((CLASSIC, "classics"), (RANDOM, "random search")):
            others = rows[rows["kind"] == kind]
            alike = others[others["group"] == found.group]
            allowed = alike[alike["breaks"].isna()] if kind == CLASSIC else alike
            other = _side(allowed)
            if other is not None:
                contests.append(_contest(found, other, retrained))
            elif others.empty:
                missing.append(f"{prefix(campaign)}no verdict against {what}: none is retrained")
            elif alike.empty:
                missing.append(
                    f"{prefix(campaign)}no verdict against {what}: none is in the comparability "
                    f"group {found.group} of {found.name}"
                )
            else:
                missing.append(
                    f"{prefix(campaign)}no verdict against {what}: none keeps the constraints"
                )
            if kind == CLASSIC:
                missing += _breaking(campaign, alike)
    for first, second in combinations(leaders, 2):
        if first.group != second.group:
            missing.append(
                f"{first.campaign} and {second.campaign}: no verdict: their best searched networks "
                f"are in different comparability groups, {first.group} and {second.group}"
            )
        elif (contest := _contest(first, second, retrained)).is_of_one_side:
            missing.append(
                f"{first.campaign} and {second.campaign}: no verdict: their best searched networks "
                "are the same trainings"
            )
        else:
            contests.append(contest)
    table = _judged(contests, metrics)
    table.attrs["words"] = [
        {"verdict": row["verdict"], "sentence": f"{prefix(row['campaign'])}{sentence(row)}",
         "evidence": evidence(row, metrics)}
        for row in table.to_dict("records")
    ]  # fmt: skip
    table.attrs["notes"] = [*missing, *_cautions(contests)]
    return table


def prefix(campaign: object) -> str:
    """Begins a sentence about one of several campaigns."""
    return f"{campaign}: " if campaign else ""


def _scored(networks: pd.DataFrame, metrics: Catalogue) -> pd.DataFrame:
    """Adds the primary metric as score (on validation), saw (in the search) and test (on test).

    Higher values of score and saw are better; test has the direction of the metric.
    """
    return networks.assign(
        score=-metrics.primary.flipped(networks[metrics.validation]),
        saw=-metrics.primary.flipped(networks[metrics.search]),
        test=networks[metrics.test],
        mistakes=networks.get("mistakes"),  # printed tables do not have them
    )


def _side(rows: pd.DataFrame) -> _Side | None:
    """Makes a side of its rows; among equals, the first is the best. None without scores."""
    if rows.empty:
        return None
    means = rows.groupby(["name", "group"], sort=False)["score"].mean()
    if means.isna().all():
        return None
    name, group = means.idxmax()
    networks = rows[rows["group"] == group]
    first = networks.iloc[0]
    return _Side(first["campaign"], name, first["kind"], group, networks)


def _contest(first: _Side, second: _Side, networks: pd.DataFrame) -> _Contest:
    seeds = first.judged().join(second.judged(), how="inner", lsuffix="_first", rsuffix="_second")
    group = networks.loc[networks["group"] == first.group, "test"]
    steps = np.diff(np.unique(group.dropna().to_numpy(float).round(12)))
    return _Contest(first, second, seeds, float(steps.min()) if len(steps) else 0.0)


def _judged(contests: Sequence[_Contest], metrics: Catalogue) -> pd.DataFrame:
    tests = {
        contest.trainings: paired_t(contest.apart, resolution=contest.resolution)
        for contest in contests
        if len(contest.apart) >= SEEDS
    }
    p = [float(test.p) for test in tests.values()]
    corrected = dict(zip(tests, zip(holm(p), holm_levels(p), strict=True), strict=True))
    rows = []
    for contest in contests:
        row = _named(contest)
        if contest.trainings in tests:
            own, level = corrected[contest.trainings]
            test = paired_t(contest.apart, level, contest.resolution)
            row |= {
                "low": float(test.low),
                "high": float(test.high),
                "p": float(test.p),
                "corrected_p": own,
                "tests": len(tests),
                **_redrawn(contest, level),
                "verdict": verdict(metrics.primary.flipped(float(test.mean)), own),
            }
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({name: dtype for name, (dtype, _) in COLUMNS.items()})


def _redrawn(contest: _Contest, level: float) -> dict[str, Any]:
    apart = contest.images_apart
    if apart is None:
        return {}
    low, high = redrawn_interval(apart, level, contest.resolution)
    return {"images": apart.shape[1], "images_low": low, "images_high": high}


def _named(contest: _Contest) -> dict[str, Any]:
    """Returns the cells of a comparison before it is tested."""
    first, second, seeds, apart = contest.first, contest.second, contest.seeds, contest.apart
    only = (seeds["name_first"] == "") | (seeds["name_second"] == "")
    left = seeds[["test_first", "test_second"]].isna().any(axis=1) & ~only
    pairs = contest.pairs
    others = (pairs["name_first"] != first.name) | (pairs["name_second"] != second.name)
    elsewhere = first.campaign != second.campaign
    return {
        "campaign": first.campaign,
        "searched": first.name,
        "against": f"{second.campaign}:{second.name}" if elsewhere else second.name,
        "kind": second.kind,
        "seeds": len(apart),
        "only_pick": _listed(seeds.index[only]),
        "left_out": _listed(seeds.index[left]),
        "other_picks": int(others.sum()),
        "difference": apart.mean() if len(apart) else np.nan,
        "verdict": "too few seeds",
    }


def _listed(seeds: pd.Index) -> str:
    return ", ".join(str(seed) for seed in seeds)


def _breaking(campaign: object, rows: pd.DataFrame) -> Iterator[str]:
    """Names the classic that would be the best, but breaks a constraint."""
    best, within = _side(rows), _side(rows[rows["breaks"].isna()])
    if best is None or (within is not None and best.name == within.name):
        return
    broken = rows.loc[rows["name"] == best.name, "breaks"].iloc[0]
    yield (
        f"{prefix(campaign)}{best.name}, the best of all classics by validation, breaks a "
        f"constraint ({broken}), so no verdict compares with it"
    )


def _cautions(contests: Sequence[_Contest]) -> Iterator[str]:
    """Yields notes on what the verdicts do not say."""
    for first, second, *_ in contests:
        if second.kind != CLASSIC and first.candidates != second.candidates:
            other = "random search" if second.kind == RANDOM else second.campaign
            yield (
                f"{prefix(first.campaign)}the best of {first.candidates} retrained networks is "
                f"compared with the best of {second.candidates} of {other}: the best of more "
                "candidates is better even if the searchers are equal; retrain equally many "
                "(final.top, final.top_random)"
            )
    if any(len(each.apart) >= SEEDS and each.images_apart is None for each in contests):
        yield (
            "the intervals cover other seeds, but only these test images; the prediction for each "
            "image is not recorded, so nothing is known about another draw of images"
        )
    if any(contest.second.kind != CLASSIC for contest in contests):
        yield (
            "each search ran once, which says little about the searchers; to compare searchers, "
            "use nas bench or several campaigns with different seeds"
        )


def selection(table: pd.DataFrame) -> Iterator[str]:
    """Compares the value that each search observed for its pick with the value after retraining.

    Args:
        table: a table of :func:`nas.analysis.tables.networks.campaign_table`, with one row per
            architecture.
    """
    metrics = metrics_of(table)
    measured = metrics[metrics.validation].in_words
    picks = table[(table["seeds"] > 0) & table[metrics.search].notna()]
    for (campaign, kind), rows in picks.groupby(["campaign", "kind"], sort=False):
        pick = rows.loc[metrics.primary.flipped(rows[metrics.search]).idxmin()]
        saw, has = pick[metrics.search], pick[metrics.validation]
        yield (
            f"{prefix(campaign)}the {'random ' * (kind == 'random')}search observed {saw:.4f} for "
            f"{pick['name']}, its best trial; after retraining, {measured} is {has:.4f}: "
            f"{abs(has - saw):.4f} {'less' if has < saw else 'more'}"
        )
