"""What the plots of a campaign are drawn from."""

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
    """The records of a campaign, as frames.

    Attributes:
        folder: of the campaign.
        trials: as :func:`nas.analysis.tables.trials.trials` gives them.
        curves: as :func:`nas.analysis.tables.trials.curves` gives them.
        searched: the trials of searches that have ended, duplicates left out, in the order in
            which they ended. Further columns: ``hours`` (that the search had spent by then), and
            ``value0``, ``value1``, ... for the objectives; NaN where a trial has not completed, or
            at less than the largest fidelity.
        objectives: what the columns ``value0``, ``value1``, ... are.
        metrics: what the campaign measures.
        fidelity: what the column ``fidelity`` counts.
        history: asks and results, to be read only.
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
        """The trial that was best by the first objective, of the campaign's own searcher."""
        own = self.searched[self.searched["kind"] == "searched"]["value0"].dropna()
        if own.empty:
            return None
        highest = self.objectives[0].direction == "maximize"
        return str(self.searched["trial"][own.idxmax() if highest else own.idxmin()])

    def values(self) -> dict[str, float]:
        """The first objective of each search trial that completed, at whatever fidelity.

        A duplicate has the value of what it repeats.
        """
        first, found = self.objectives[:1], {}
        for trial, ask in self.history.asks.items():
            result = self.history.results.get(ask.duplicate_of or trial)
            if ask.stage == "search" and result is not None and result.completed:
                value = _values(first, ask, result)["value0"]
                found[trial] = value
        return found


def read(folder: Path) -> Campaign:
    """The frames of a campaign's folder.

    Raises :class:`InputError` where there are no records, they are corrupt, or their objectives
    are not known.
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
