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

A network that is not distinguishable from another is called as good as it if the interval excludes
that it is worse by more than a margin (a test of non-inferiority): one percentage point, or, for a
metric that is not a fraction, 1 % of the other network's value.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nas.analysis.tables import contests as contest
from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.contests import Contest, Side
from nas.analysis.tables.feasibility import feasibility
from nas.analysis.tables.verdict_words import (
    CLASSIC,
    RANDOM,
    SEARCHED,
    SEEDS,
    evidence,
    in_words,
    is_as_good,
    sentence,
)
from nas.metrics import Catalogue
from nas.statistics.paired import holm, holm_levels, paired_t, redrawn_interval, verdict
from nas.words import counted

MARGIN = 0.01
"""A loss of at most so much counts as being as good: of a metric from 0 to 1 absolutely, of another
metric as a share of the other network's value."""

COLUMNS = {
    "campaign": ("str", "the campaign of the first network, as in the table"),
    "searched": ("str", "the first network, a searched one"),
    "against": ("str", "the second network"),
    "kind": ("str", "the kind of the second: classic, random, or searched (by another campaign)"),
    "role": ("str", "how they were picked: best (of each), equal cost (the best classic that costs "
                    "at most as much as the first) or cheaper (the cheapest searched network that "
                    "matches the best classic)"),
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
    "margin": ("float64", "a loss of at most this counts as being as good"),
    "as_good": ("boolean", "whether the interval excludes that the first is worse by more than the "
                           "margin"),
    "costs": ("str", "how much more or less the first costs, in words"),
    "saves": ("boolean", "whether the first costs less in some cost, and more in none"),
    "tests": ("Int64", "number of different tests in the table"),
    "verdict": ("str", "whether the first is better, worse, not distinguishable or too few seeds"),
}  # fmt: skip
"""The columns of :func:`verdicts`: dtype and meaning."""


class Rules(NamedTuple):
    """What a campaign's specification says about its comparisons.

    Attributes:
        limits: its constraints: :func:`nas.analysis.tables.feasibility.limits`.
        costs: the costs that are compared: objectives and limits, or else the one of the front.
        is_tradeoff: whether a cost is an objective.
        space: what its searches could choose from, with the constraints, as text.
    """

    limits: Mapping[str, float] = {}
    costs: Sequence[str] = ()
    is_tradeoff: bool = False
    space: str = ""


def verdicts(networks: pd.DataFrame, rules: Mapping[str, Rules] | None = None) -> pd.DataFrame:
    """Makes one row for each comparison that the rows allow.

    For each campaign, its best searched network is compared with

    - the best classic that keeps the campaign's constraints;
    - the best of these that costs at most as much, if the first one costs more;
    - the best of random search.

    If a cost is an objective, the cheapest searched network that matches the best classic is
    compared with it, too. A campaign without classics, or without random search, is compared with
    those of another campaign of the table. The best searched networks of every two campaigns are
    compared. Networks of different comparability groups are not compared.

    Args:
        networks: a table with one row per network:
            :func:`nas.analysis.tables.networks.campaign_table` with ``per_seed``.
        rules: the rules of each campaign of the table.

    Returns the columns of :data:`COLUMNS`. ``attrs["words"]`` says each row in words: its verdict,
    a sentence and the evidence for it. ``attrs["notes"]`` says why comparisons are missing, and
    what the verdicts do not say.
    """
    rules, metrics = rules or {}, metrics_of(networks)
    retrained = _scored(networks[networks["seeds"] > 0], metrics)
    steps = contest.steps(retrained)
    missing: list[str] = []
    contests: list[Contest] = []
    leaders = []
    for campaign, rows in retrained.groupby("campaign", sort=False):
        found = contest.side(rows[rows["kind"] == SEARCHED], rules.get(campaign, Rules()).costs)
        if found is None:
            missing.append(
                f"{prefix(campaign)}no verdict: no searched network is in the final stage"
            )
            continue
        leaders.append(found)
        for kind in (CLASSIC, RANDOM):
            made, said = _against(kind, found, retrained, rules, steps[found.group])
            contests += made
            missing += [prefix(campaign) + line for line in said]
    for first, second in combinations(leaders, 2):
        if first.group != second.group:
            missing.append(
                f"{first.campaign} and {second.campaign}: no verdict: their best searched networks "
                f"are in different comparability groups, {first.group} and {second.group}"
            )
        elif (pair := contest.best(first, second, steps[first.group])).is_of_one_side:
            missing.append(
                f"{first.campaign} and {second.campaign}: no verdict: their best searched networks "
                "are the same trainings"
            )
        else:
            contests.append(pair)
    table = _judged(contests, metrics)
    table.attrs["words"] = [
        {"verdict": row["verdict"], "sentence": f"{prefix(row['campaign'])}{sentence(row)}",
         "evidence": evidence(row, metrics)}
        for row in table.to_dict("records")
    ]  # fmt: skip
    table.attrs["notes"] = [*missing, *_cautions(contests, rules)]
    return table


def _against(
    kind: str, found: Side, retrained: pd.DataFrame, rules: Mapping[str, Rules], step: float
) -> tuple[list[Contest], list[str]]:
    """Compares a campaign with the classics or with random search; also returns what is missing."""
    what = "classics" if kind == CLASSIC else "random search"
    own = rules.get(found.campaign, Rules())
    others = _opponents(kind, found, retrained, rules)
    if others.empty:
        return [], [f"no verdict against {what}: none is in the final stage"]
    alike = others[others["group"] == found.group]
    if alike.empty:
        return [], [
            f"no verdict against {what}: none is in the comparability group {found.group} of "
            f"{found.best}"
        ]
    second = contest.side(alike[alike["breaks"].isna()], own.costs)
    said = [*_breaking(alike, second), *_unchecked(alike)]
    if second is None:
        why = (
            "none keeps the constraints"
            if alike["breaks"].notna().all()
            else "none has a validation score"
        )
        return [], [f"no verdict against {what}: {why}", *said]
    made = [contest.best(found, second, step)]
    if kind == CLASSIC:
        cheap = contest.equal_cost(found, second, step)
        fewer = contest.cheaper(found, second, step) if own.is_tradeoff else None
        for each in (cheap, fewer):
            if each is not None and each.names != made[0].names:
                made.append(each)
    return made, said


def _opponents(
    kind: str, found: Side, retrained: pd.DataFrame, rules: Mapping[str, Rules]
) -> pd.DataFrame:
    """Returns the rows of a kind: the campaign's own, or else those of the first other campaign.

    Classics of another campaign must keep the constraints of this one. Random search of another
    campaign counts only if it had the same space and the same constraints.
    """
    rows = retrained[retrained["kind"] == kind]
    mine = rows[rows["campaign"] == found.campaign]
    if not mine.empty:
        return mine
    own = rules.get(found.campaign, Rules())
    if kind == RANDOM:
        same = [name for name, each in rules.items() if each.space == own.space]
        rows = rows[rows["campaign"].isin(same)]
    alike = rows[rows["group"] == found.group]
    if alike.empty:
        return mine
    borrowed = alike[alike["campaign"] == alike["campaign"].iloc[0]]
    return borrowed.assign(**feasibility(borrowed, own.limits))


def prefix(campaign: object) -> str:
    """Begins a sentence about one of several campaigns."""
    return f"{campaign}: " if campaign else ""


def _scored(networks: pd.DataFrame, metrics: Catalogue) -> pd.DataFrame:
    """Adds the primary metric as score (on validation), saw (in the search) and test (on test).

    Higher values of score and saw are better; test has the direction of the metric. Printed tables
    lack some columns, which are then empty.
    """
    return networks.assign(
        score=-metrics.primary.flipped(networks[metrics.validation]),
        saw=-metrics.primary.flipped(networks[metrics.search]),
        test=networks[metrics.test],
        mistakes=networks.get("mistakes"),
        unchecked=networks.get("unchecked"),
    )


def _judged(contests: Sequence[Contest], metrics: Catalogue) -> pd.DataFrame:
    tests = {
        each.trainings: paired_t(each.apart, resolution=each.resolution)
        for each in contests
        if len(each.apart) >= SEEDS
    }
    p = [float(test.p) for test in tests.values()]
    corrected = dict(zip(tests, zip(holm(p), holm_levels(p), strict=True), strict=True))
    rows = []
    for each in contests:
        row = _named(each, metrics)
        if each.trainings in tests:
            own, level = corrected[each.trainings]
            test = paired_t(each.apart, level, each.resolution)
            row |= {
                "low": float(test.low),
                "high": float(test.high),
                "p": float(test.p),
                "corrected_p": own,
                "tests": len(tests),
                **_redrawn(each, level),
                "verdict": verdict(metrics.primary.flipped(float(test.mean)), own),
            }
            row["as_good"] = is_as_good(row["low"], row["high"], row["margin"], metrics)
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({name: dtype for name, (dtype, _) in COLUMNS.items()})


def _redrawn(each: Contest, level: float) -> dict[str, Any]:
    apart = each.images_apart
    if apart is None:
        return {}
    low, high = redrawn_interval(apart, level, each.resolution)
    return {"images": apart.shape[1], "images_low": low, "images_high": high}


def _named(each: Contest, metrics: Catalogue) -> dict[str, Any]:
    """Returns the cells of a comparison before it is tested."""
    apart, pairs = each.apart, each.pairs
    searched, against = each.names
    only = [seed for seed, *both in each.seeds if not all(one.name for one in both)]
    judges = {seed for seed, _, _ in pairs}
    left = [seed for seed, _, _ in each.seeds if seed not in judges and seed not in only]
    others = [seed for seed, *both in pairs if tuple(one.name for one in both) != each.names]
    elsewhere = each.first.campaign != each.second.campaign
    size = np.mean([abs(second.test) for _, _, second in pairs]) if pairs else np.nan
    is_fraction = metrics.primary.unit == "fraction"
    return {
        "campaign": each.first.campaign,
        "searched": searched,
        "against": f"{each.second.campaign}:{against}" if elsewhere else against,
        "kind": each.second.kind,
        "role": each.role,
        "seeds": len(apart),
        "only_pick": _listed(only),
        "left_out": _listed(left),
        "other_picks": len(others),
        "difference": apart.mean() if len(apart) else np.nan,
        "margin": MARGIN * (1.0 if is_fraction else size),
        "costs": in_words(each.costs, metrics),
        "saves": each.saves,
        "verdict": "too few seeds",
    }


def _listed(seeds: Sequence[Hashable]) -> str:
    return ", ".join(str(seed) for seed in seeds)


def _breaking(rows: pd.DataFrame, within: Side | None) -> Iterator[str]:
    """Names the classic that would be the best, but breaks a constraint."""
    all_of_them = contest.side(rows)
    if all_of_them is None or (within is not None and all_of_them.best == within.best):
        return
    best = all_of_them.best
    broken = rows.loc[rows["name"] == best, "breaks"].iloc[0]
    yield (
        f"{best}, the best of all classics by validation, breaks a constraint ({broken}), so no "
        "verdict compares with it"
    )


def _unchecked(rows: pd.DataFrame) -> Iterator[str]:
    """Names the constraints that could not be checked for classics."""
    for lacking, names in rows.groupby("unchecked", sort=False)["name"]:
        yield (
            f"it is not recorded whether {', '.join(names.unique())} keeps the constraint on "
            f"{lacking}; verdicts take it as kept"
        )


def _cautions(contests: Sequence[Contest], rules: Mapping[str, Rules]) -> Iterator[str]:
    """Yields notes on what the verdicts do not say."""
    for each in contests:
        first, second = each.first, each.second
        if second.kind == CLASSIC:
            continue
        if first.candidates != second.candidates:
            other = "random search" if second.kind == RANDOM else second.campaign
            yield (
                f"{prefix(first.campaign)}the best of {counted(first.candidates, 'finalist')} is "
                f"compared with the best of {second.candidates} of {other}: the best of more "
                "candidates is better even if the searchers are equal; take equally many "
                "(final.top, final.top_random)"
            )
        unlike = [rules.get(side.campaign, Rules()).limits for side in (first, second)]
        if unlike[0] != unlike[1]:
            yield (
                f"{first.campaign} and {second.campaign} have different constraints: "
                f"{_limited(unlike[0])}, and {_limited(unlike[1])}"
            )
    if any(len(each.apart) >= SEEDS and each.images_apart is None for each in contests):
        yield (
            "the intervals cover other seeds, but only these test images; the prediction for each "
            "image is not recorded, so nothing is known about another draw of images"
        )
    if any(each.second.kind != CLASSIC for each in contests):
        yield (
            "each search ran once, which says little about the searchers; to compare searchers, "
            "use nas bench or several campaigns with different seeds"
        )


def _limited(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{name} at most {most:,}" for name, most in limits.items()) or "none"


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
        apart = f"{abs(has - saw):.4f}"
        change = "equal" if apart == "0.0000" else f"{apart} {'less' if has < saw else 'more'}"
        yield (
            f"{prefix(campaign)}the {'random ' * (kind == 'random')}search observed {saw:.4f} for "
            f"{pick['name']}, its best trial; in the final stage, {measured} is {has:.4f}: {change}"
        )
