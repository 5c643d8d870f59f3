"""Whether what was found is better than the classics and than random search, in words.

The best of each is chosen by the primary metric of the task, accuracy as a rule, on the validation
images after retraining, and judged by the same on the test images: both are means over the seeds
that the two share, and differences are paired by seed. The test is Student's, corrected by Holm
over all that one table tells. It speaks of these test images and of retraining with other seeds,
and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.trials import trials
from nas.metrics import Catalogue
from nas.statistics.paired import holm, paired_t, verdict

COLUMNS = {
    "campaign": ("str", "of the first, as in the table"),
    "found": ("str", "the first: the best found network by validation"),
    "against": ("str", "the second: the best of its kind by validation"),
    "kind": ("str", "of the second: classic, random, or found by another campaign"),
    "seeds": ("Int64", "that both were retrained with; the pairs"),
    "difference": ("float64", "mean of the task's primary metric on the test images, of the first "
                              "less the second's"),
    "low": ("float64", "of the 95 % interval of the difference, by Student's t"),
    "high": ("float64", "of the same"),
    "p": ("float64", "of the paired t test, two-sided"),
    "corrected_p": ("float64", "the same by Holm, over all rows"),
    "verdict": ("str", "on the first: better, worse, not distinguishable or too few seeds"),
}  # fmt: skip
"""The columns of :func:`verdicts`: dtype and meaning."""

SEEDS = 3
"""Fewer pairs are too few to say: with two, the interval is 12.7 standard errors to each side."""


class _Entry(NamedTuple):
    campaign: str
    name: str
    kind: str
    conditions: str
    networks: pd.DataFrame


def verdicts(networks: pd.DataFrame) -> pd.DataFrame:
    """A row for each comparison that the rows allow.

    These are, for each campaign, its best found network against the best classic and the best of
    random search; and the best found networks of every two campaigns. Rows of unlike conditions
    are not compared.

    Args:
        networks: a table with one row per network:
            :func:`nas.analysis.tables.networks.campaign_table` with ``per_seed``.

    Returns the columns of :data:`COLUMNS`; ``attrs["notes"]`` says the same in words, and why
    what is missing is.
    """
    metrics = metrics_of(networks)
    retrained = networks[(networks["seeds"] > 0) & networks[metrics.test].notna()]
    missing: list[str] = []
    contests: list[tuple[_Entry, _Entry]] = []
    leaders = []
    for campaign, rows in retrained.groupby("campaign", sort=False):
        found = _best(rows[rows["kind"] == "searched"], metrics)
        if found is None:
            missing.append(f"{prefix(campaign)}no verdict: no found network is retrained")
            continue
        leaders.append(found)
        for kind, what in (("classic", "classics"), ("random", "random search")):
            others = rows[rows["kind"] == kind]
            other = _best(others[others["conditions"] == found.conditions], metrics)
            if other is not None:
                contests.append((found, other))
            elif others.empty:
                missing.append(f"{prefix(campaign)}no verdict against {what}: none is retrained")
            else:
                missing.append(
                    f"{prefix(campaign)}no verdict against {what}: none has the conditions "
                    f"{found.conditions} of {found.name}"
                )
    for first, second in combinations(leaders, 2):
        if first.conditions == second.conditions:
            contests.append((first, second))
        else:
            missing.append(
                f"{first.campaign} and {second.campaign}: no verdict: their best found networks "
                f"have unlike conditions, {first.conditions} and {second.conditions}"
            )
    table = _judged(contests, metrics)
    words = (_in_words(row, metrics) for row in table.to_dict("records"))
    table.attrs["notes"] = [*words, *missing]
    return table


def prefix(campaign: object) -> str:
    """What begins a sentence on one of several campaigns."""
    return f"{campaign}: " if campaign else ""


def _best(rows: pd.DataFrame, metrics: Catalogue) -> _Entry | None:
    """The architecture of the best mean on the validation images, the first of equals."""
    if rows.empty:
        return None
    means = rows.groupby(["name", "conditions"], sort=False)[metrics.validation].mean()
    if means.isna().all():
        return None
    name, conditions = metrics.primary.flipped(means).idxmin()
    networks = rows[(rows["name"] == name) & (rows["conditions"] == conditions)]
    first = networks.iloc[0]
    return _Entry(first["campaign"], first["name"], first["kind"], first["conditions"], networks)


def _judged(contests: Sequence[tuple[_Entry, _Entry]], metrics: Catalogue) -> pd.DataFrame:
    rows = []
    for first, second in contests:
        tested = [entry.networks.groupby("seed")[metrics.test].mean() for entry in (first, second)]
        both = pd.concat(tested, axis=1, join="inner", keys=["first", "second"])
        apart = (both["first"] - both["second"]).to_numpy()
        other = first.campaign != second.campaign
        row = {
            "campaign": first.campaign,
            "found": first.name,
            "against": f"{second.campaign}:{second.name}" if other else second.name,
            "kind": second.kind,
            "seeds": len(apart),
            "difference": apart.mean() if len(apart) else np.nan,
            "verdict": "too few seeds",
        }
        if len(apart) >= SEEDS:
            test = paired_t(apart)
            row |= {"low": float(test.low), "high": float(test.high), "p": float(test.p)}
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table.astype({name: dtype for name, (dtype, _) in COLUMNS.items()})
    told = table["p"].notna()
    table.loc[told, "corrected_p"] = holm(table.loc[told, "p"])
    for index in table.index[told]:
        difference, p = table.loc[index, ["difference", "corrected_p"]]
        table.loc[index, "verdict"] = verdict(metrics.primary.flipped(difference), p)
    return table


def _in_words(row: dict[str, object], metrics: Catalogue) -> str:
    measured = metrics[metrics.test].in_words
    what = {"classic": "the best classic, ", "random": "random search's ", "searched": ""}
    other = f"{what[str(row['kind'])]}{row['against']}"
    begin = f"{prefix(row['campaign'])}{row['found']} against {other}: "
    if row["verdict"] == "too few seeds":
        apart = f", {row['difference']:+.4f} in {measured}" if row["seeds"] else ""
        return begin + (
            f"too few seeds to say: {row['seeds']} in common{apart}; from {SEEDS} on there is a "
            "verdict"
        )
    return begin + (
        f"{row['verdict']}: {row['difference']:+.4f} in {measured}, 95 % interval "
        f"[{row['low']:+.4f}, {row['high']:+.4f}] over {row['seeds']} paired seeds, "
        f"p {row['p']:.2g}, by Holm {row['corrected_p']:.2g}"
    )


def selection(table: pd.DataFrame) -> Iterator[str]:
    """What each search saw of its own pick, and what is left of that after retraining.

    Args:
        table: of :func:`nas.analysis.tables.networks.campaign_table`, a row an architecture.
    """
    metrics = metrics_of(table)
    picks = table[(table["seeds"] > 0) & table[metrics.search].notna()]
    for (campaign, kind), rows in picks.groupby(["campaign", "kind"], sort=False):
        pick = rows.loc[metrics.primary.flipped(rows[metrics.search]).idxmin()]
        saw, has = pick[metrics.search], pick[metrics.validation]
        measured = metrics[metrics.validation].in_words
        yield (
            f"{prefix(campaign)}the {'random ' * (kind == 'random')}search saw {saw:.4f} of its "
            f"pick {pick['name']}, the best of what it tried; retrained, {measured} is "
            f"{has:.4f}: {abs(has - saw):.4f} {'less' if has < saw else 'more'}"
        )


def budgets(folder: Path) -> Iterator[str]:
    """What the searches of a campaign have spent, and whether it is as much."""
    asked = trials(folder)
    asked = asked[(asked["stage"] == "search") & ~asked["status"].isin(["unfinished", "duplicate"])]
    trained = asked["epochs"] - asked["epochs_before"].fillna(0)
    spent = pd.DataFrame({"trials": 1, "epochs": trained}).groupby(asked["search"]).sum()
    if len(spent) < 2:
        return
    # Epochs are what a schedule that stops trials early has in common with one that does not.
    unit = "epochs" if (spent["epochs"] > 0).all() else "trials"
    equal = spent[unit].nunique() == 1
    shares = ", ".join(f"{search} {count:,}" for search, count in spent[unit].items())
    yield f"the searches have spent {'equally' if equal else 'unequally'}: {shares} {unit}"
