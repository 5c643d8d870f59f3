"""Carries out one run of a benchmark: a searcher on a simulated cluster with tabular results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.config import Benchmark
from nas.campaigns.engines.base import Json, Outcome, Trial, Update
from nas.campaigns.engines.simulated import Faults, SimulatedCluster
from nas.searchers import Proposal
from nas.searchers.base import prediction
from nas.searchers.duplicates import LIMIT
from nas.searchers.loop import SearchLoop

STATUSES = ("completed", "failed", "retried")

_PLACES = {status: place for place, status in enumerate(STATUSES)}

_COLUMNS = ("trial", "evaluation", "seconds", "status", "reused", "fidelity", "row", "predicted",
            "params")  # fmt: skip


class Search:
    """A searcher's run; it supplies the trials of a cluster and keeps the results in memory.

    The searcher observes objectives only. Other values of a row, above all the test score, are
    read from the table when the search is over.

    Args:
        benchmark: the benchmark.
        label: the searcher's label.
        seed: the seed of the searcher and of the injected faults.
        workers: the number of workers of the cluster.

    Attributes:
        stuck: whether the search ended because it found nothing new.
    """

    def __init__(self, benchmark: Benchmark, label: str, seed: int, workers: int) -> None:
        budget, faults = benchmark.config.budget, benchmark.config.faults
        self.stuck = False
        self._benchmark = benchmark
        self._loop = SearchLoop(benchmark.searcher(label, seed), benchmark.config.duplicates)
        self._cluster = SimulatedCluster(
            self._evaluate,
            workers,
            faults=Faults(**faults.model_dump(), seed=seed) if any(dict(faults).values()) else None,
        )
        self._left = math.inf if budget.evaluations is None else budget.evaluations
        self._deadline = math.inf if budget.virtual_seconds is None else budget.virtual_seconds
        self._ended = 0
        self._rows: list[int] = []
        self._told: list[tuple[Any, ...]] = []
        self._scores = self._loop.searcher.screen.scores

    def run(self) -> dict[str, NDArray[Any]]:
        """Searches until the budget is spent.

        Returns arrays with one entry per observed trial, in that order: ``trial``, ``evaluation``,
        ``seconds``, ``status`` (a position in :data:`STATUSES`), ``reused``, ``fidelity`` (0 for
        full training), ``row`` (the row of the table), ``predicted`` (the objective that the
        searcher predicted for the trial, minimised; NaN if it did not), ``params`` (of its network,
        if it was predicted, or the searcher uses proxies), and ``proxy NAME`` for each proxy.
        """
        self._cluster.run(self)
        names = (*_COLUMNS, *(f"proxy {name}" for name in self._scores))
        columns = zip(*self._told, strict=True) if self._told else ((),) * len(names)
        return {name: np.array(column) for name, column in zip(names, columns, strict=True)}

    def next(self) -> Trial | None:
        """Returns the next trial to evaluate; duplicates before it are answered at once."""
        if self._left <= 0 or self._cluster.clock >= self._deadline:
            return None
        lookup, loop = self._benchmark.lookup, self._loop
        while not loop.stuck:
            proposal = loop.propose()
            if proposal is None:
                return None
            number, row = len(self._rows), lookup.row(proposal.genotype)
            self._rows.append(row)
            # If duplicates are evaluated too, equal architectures need not be found.
            same = row if loop.policy == "evaluate" else lookup.identity(proposal.genotype)
            if loop.enter(proposal, (same, proposal.fidelity)) is None:
                self._left -= 1
                return Trial(str(number), self._payload(proposal, row))
            if loop.policy == "retry":
                self._note(number, "retried")
            elif number in loop.values:
                self._note(number, "completed", reused=True)
        self.stuck = True
        return None

    def update(self, trial: str, update: Update) -> bool:
        """Does nothing: results are looked up at once, so no trial can be stopped."""
        return False

    def done(self, trial: str, outcome: Outcome) -> None:
        """Gives the result to the searcher, unless the budget ended before the trial did."""
        if self._cluster.clock > self._deadline:
            return
        self.stuck = False
        self._ended += 1
        number = int(trial)
        values = outcome.metrics.get("values")
        curve: Sequence[float] = ()
        if values is not None and self._loop.searcher.takes_curves:
            fidelity = self._loop.proposals[number].fidelity
            curve = self._benchmark.curve(self._rows[number], fidelity)
        for each in self._loop.end(number, values, curve=curve):
            self._note(each, outcome.status, reused=each != number)

    def _note(self, number: int, status: str, reused: bool = False) -> None:
        """Remembers what the searcher has observed."""
        proposal = self._loop.proposals[number]
        predicted = prediction(proposal.note, proposal.fidelity)
        proxies = [score([proposal.genotype])[0] for score in self._scores.values()]
        judged = proxies or not math.isnan(predicted)
        params = self._benchmark.lookup.params(proposal.genotype) if judged else math.nan
        self._told.append(
            (number, self._ended, self._cluster.clock, _PLACES[status], reused,
             proposal.fidelity or 0, self._rows[number], predicted, params, *proxies)
        )  # fmt: skip

    def _payload(self, proposal: Proposal, row: int) -> Json:
        before = proposal.continues
        since = None if before is None else self._loop.proposals[before].fidelity
        return {"row": row, "epoch": proposal.fidelity, "since": since}

    def _evaluate(self, payload: Mapping[str, Any]) -> Outcome:
        row, epoch = payload["row"], payload["epoch"]
        values = self._benchmark.values(row, epoch)
        seconds = self._benchmark.lookup.seconds(row, epoch, payload["since"])
        return Outcome("completed", {"values": values}, None, seconds)


def stuck_note(label: str, runs: int) -> str:
    """Returns the note on runs that ended early."""
    return (
        f"{label}: {runs} runs ended before their budget: {LIMIT} proposals in a row "
        "repeated earlier ones"
    )
