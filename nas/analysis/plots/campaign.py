"""Reads the data from which a campaign's plots are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nas.analysis.tables.columns import recorded as recorded_metrics
from nas.analysis.tables.trials import curves, recorded, trials
from nas.campaigns.spec.budget import Budget, Spending
from nas.campaigns.spec.objectives import Objectives, minimised, missing
from nas.campaigns.spec.objectives import recorded as objectives_of
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask, Failure, Header, Record, Result
from nas.errors import InputError
from nas.metrics import Catalogue


class Campaign(NamedTuple):
    """The records of a campaign as data frames.

    Attributes:
        folder: the folder of the campaign.
        trials: the frame of :func:`nas.analysis.tables.trials.trials`.
        curves: the frame of :func:`nas.analysis.tables.trials.curves`.
        searched: the search trials that have ended, without duplicates, in the order in which they
            ended. Its further columns are ``hours`` (spent by the search until then), and
            ``value0``, ``value1``, ... for the objectives; these are NaN if a trial has not
            completed, or has less than the highest fidelity.
        objectives: the objectives of the columns ``value0``, ``value1``, ...
        metrics: the metrics of the campaign.
        fidelity: the unit of the column ``fidelity``.
        history: the asks and results, which must not be changed.
    """

    folder: Path
    trials: pd.DataFrame
    curves: pd.DataFrame
    searched: pd.DataFrame
    objectives: Objectives
    metrics: Catalogue
    fidelity: str
    history: History

    @property
    def best(self) -> str | None:
        """Returns the trial that found the best searched network, the one of ``NAME:best``.

        Networks that were retrained are compared by their mean on validation images, as in the
        table. If none was retrained, the trials are compared by the first objective.
        """
        trials = self.trials
        final = trials[(trials["stage"] == "final") & (trials["kind"] == "searched")]
        retrained = final[final["status"] == "completed"].groupby("label", sort=False)
        means = retrained[self.metrics.validation].mean().round(12).dropna()
        if len(means):
            return str(self.metrics.primary.flipped(means).idxmin())
        own = self.searched[self.searched["kind"] == "searched"]["value0"].dropna()
        if own.empty:
            return None
        highest = self.objectives[0].direction == "maximize"
        return str(self.searched["trial"][own.idxmax() if highest else own.idxmin()])

    def completed(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Returns the completed rows of ``searched``, and the options that they chose.

        The options have the same index and one column per choice; NaN where it was not made.
        """
        rows = self.searched.dropna(subset="value0")
        chosen = [dict(self.history.asks[trial].genotype) for trial in rows["trial"]]
        return rows, pd.DataFrame(chosen, index=rows.index, dtype=object)

    def values(self) -> dict[str, float]:
        """Returns the first objective of each completed search trial, at any fidelity.

        A duplicate has the value of the trial that it repeats.
        """
        first, found = self.objectives[:1], {}
        for trial, ask in self.history.asks.items():
            result = self.history.results.get(ask.duplicate_of or trial)
            if ask.stage == "search" and result is not None and result.completed:
                value = _values(first, ask, result)["value0"]
                found[trial] = value
        return found


def read(folder: Path) -> Campaign:
    """Reads a campaign's folder.

    Raises :class:`InputError` if there are no records, if they are corrupt, or if their objectives
    are unknown.
    """
    records, history = recorded(folder)
    specification = history.header.specification
    objectives = objectives_of(specification)
    if not objectives:
        raise InputError(f"{folder}: records.jsonl: objectives: none that can be read")
    metrics = recorded_metrics(specification)
    table = trials(folder)
    ended = pd.DataFrame(_ended(records, history, objectives))
    searched = (
        ended.merge(table, on="trial")
        if len(ended)
        else table.iloc[:0].assign(
            hours=np.nan, **{f"value{i}": 0.0 for i in range(len(objectives))}
        )
    )
    full = searched["fidelity"].isna() | (searched["fidelity"] == searched["fidelity"].max())
    values = [f"value{index}" for index in range(len(objectives))]
    searched[values] = searched[values].where(full.astype(bool))
    axis = str(specification.get("fidelity", "epochs"))
    return Campaign(folder, table, curves(folder), searched, objectives, metrics, axis, history)


def _ended(
    records: list[Record], history: History, objectives: Objectives
) -> Iterator[dict[str, Any]]:
    spent: dict[str, Spending] = {}
    for record in records:
        if isinstance(record, Header):
            continue
        ask = history.asks[record.trial]
        if ask.stage != "search" or ask.is_duplicate:
            continue
        search = spent.setdefault(ask.search, Spending(Budget(hours=1)))
        if isinstance(record, Ask):
            search.asked(record)
        elif isinstance(record, Failure):
            search.lost(record)
        else:
            search.ended(record)
            hours, _ = search.shares(record.elapsed)["hours"]
            yield {
                "trial": record.trial,
                "hours": hours,
                **_values(objectives, ask, record),
            }


def _values(objectives: Objectives, ask: Ask, result: Result) -> dict[str, float]:
    metrics = result.metrics
    if not result.completed or missing(objectives, ask, metrics):
        return {f"value{index}": np.nan for index in range(len(objectives))}
    flipped = minimised(objectives, ask, metrics)
    return {
        f"value{index}": objective.flipped(value)
        for index, (objective, value) in enumerate(zip(objectives, flipped, strict=True))
    }
