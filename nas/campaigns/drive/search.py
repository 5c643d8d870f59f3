"""Runs one searcher of a campaign: its suggestions, its observations and its budget."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from nas.campaigns.drive.asks import Asks
from nas.campaigns.spec.budget import Spending
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.early_stopping import RULES, Json, points
from nas.campaigns.spec.objectives import Front, minimised
from nas.campaigns.store.types import Ask, Result
from nas.errors import InputError
from nas.searchers import Proposal
from nas.searchers.duplicates import LIMIT
from nas.searchers.loop import SearchLoop
from nas.searchers.multi_fidelity import MultiFidelity
from nas.searchers.population import Evolution
from nas.searchers.screening import Abandoned
from nas.spaces.choices import recipe_choices
from nas.statistics.pareto import best_first


class Search:
    """One searcher of a campaign, with its suggestions and observations.

    An ask takes effect when it is recorded (:meth:`enter`), in this run or in an earlier one. The
    same holds for a result (:meth:`tell`). So a resumed search is in the state in which it stopped.

    Args:
        campaign: the campaign, which defines the searcher and its budget.
        name: the name of the searcher.
        make: makes asks of the searcher's proposals.

    Attributes:
        name: the name of the searcher and of the search.
        spending: the part of the budget that is spent, and the number of started trials; all other
            suggestions are duplicates.
        best: the values, to be minimised, and the ask of the best trial so far by the first
            objective; the first among equals, None before the first result.
        front: the values of the trials that no other trial dominates.
    """

    def __init__(self, campaign: Campaign, name: str, make: Asks) -> None:
        self.name = name
        self.spending = Spending(campaign.config.budget)
        self.best: tuple[tuple[float, ...], Ask] | None = None
        self.front = Front()
        self._campaign = campaign
        self._make = make
        self._loop = SearchLoop(campaign.searcher(name), campaign.config.duplicates)
        self._suggested = ""  # the trial that was suggested last, until it is recorded
        self._completed: list[tuple[tuple[float, ...], Ask]] = []
        stopping = campaign.config.early_stopping
        self._rule = (
            RULES[stopping.name](stopping.grace_epochs, stopping.min_trials) if stopping else None
        )
        self._asks: list[Ask] = []
        self._measured = 0.0  # the seconds of proxies in earlier asks of this run
        self._continued: set[str] = set()

    def watch(self, tell: Callable[[str], None], stops: Callable[[], bool]) -> None:
        """Shows lines about what the searcher measures, and tells it when to stop measuring."""
        for score in self._loop.searcher.screen.scores.values():
            score.tell, score.stops = tell, stops

    def is_over(self, elapsed: float) -> bool:
        """Tells if the search has ended; ``elapsed`` are the campaign's seconds so far."""
        return self._loop.stuck or (self.spending.is_over(elapsed) and not self._loop.owed)

    def suggest(self, elapsed: float = 0.0) -> Ask | None:
        """Returns the searcher's next suggestion; None if it needs results first, or has to end.

        The caller must record the ask and then :meth:`enter` it.
        """
        if self.is_over(elapsed):
            return None
        try:
            proposal = self._loop.propose()
        except Abandoned:
            return None
        if proposal is None:
            return None
        measured = self._loop.searcher.screen.seconds
        seconds, self._measured = round(measured - self._measured, 3), measured
        ask = self._make.searched(self.name, len(self._asks), proposal, elapsed, seconds)
        self._suggested = ask.trial
        original = self._loop.original(same(ask))
        if original is None:
            return ask
        return ask.model_copy(update={"duplicate_of": self._asks[original].trial})

    def enter(self, ask: Ask) -> None:
        """Takes a recorded ask; a duplicate is answered, unless its original is still running.

        Raises :class:`InputError` if the ask is not the next one of its search, or repeats another
        trial than it says.
        """
        where = f"{self._campaign.folder}: records.jsonl: trial {ask.trial}"
        if ask.number != len(self._asks):
            raise InputError(f"{where}: number: {ask.number}, expected {len(self._asks)}")
        proposal = Proposal(ask.genotype, ask.note, ask.fidelity, ask.continues)
        if ask.trial != self._suggested:
            self._loop.searcher.replay(ask.number, proposal)
        self._asks.append(ask)
        repeated = self._loop.enter(proposal, same(ask))
        original = "" if repeated is None else self._asks[repeated].trial
        if original != ask.duplicate_of:
            raise InputError(
                f"{where} repeats {original or 'none'}, but is recorded as repeating "
                f"{ask.duplicate_of or 'none'}"
            )
        if ask.continues is not None:
            self._continued.add(self._asks[ask.continues].answered_by)
        self.spending.asked(ask)

    def tell(self, ask: Ask, result: Result) -> None:
        """Takes a recorded result; the trial and the duplicates that waited for it get it."""
        self.spending.ended(result)
        values = None
        curve: Sequence[float] = ()
        if result.completed:
            values = minimised(self._campaign.config.objectives, ask, result.metrics)
            self._completed.append((values, ask))
            self.front.add(values)
            if self._loop.searcher.takes_curves:
                curve = [-value for value in self._curve(result.metrics.get("curve"))]
            if self._rule is not None:
                self._rule.completed(self._curve(result.metrics.get("curve")))
            if self.best is None or values[0] < self.best[0][0]:
                self.best = (values, ask)
        # A searcher observes a stopped trial as failed: its values cannot be compared with those of
        # full trainings, so they do not answer duplicates either.
        self._loop.end(ask.number, values, result.metrics.get("suggested", ()), curve)

    def stops(self, curve: Sequence[Json]) -> bool:
        """Tells if a running trial is stopped, given its learning curve so far."""
        return self._rule is not None and self._rule.stops(self._curve(curve))

    @property
    def starts(self) -> set[str]:
        """Returns the trials that have ended and from whose state a later trial may start."""
        numbers: Iterable[int] = ()
        searcher = self._loop.searcher
        if isinstance(searcher, MultiFidelity):
            if self._loop.policy == "reuse":  # a duplicate may continue it
                return {self._asks[number].trial for number in self._loop.values} - self._continued
            numbers = searcher.waiting
        elif self._campaign.config.inherit_weights and isinstance(searcher, Evolution):
            numbers = (alive.trial_id for alive in searcher.population)
        return {self._asks[number].answered_by for number in numbers}

    @property
    def note(self) -> str | None:
        """Returns a remark if the search ended before its budget was spent."""
        if not self._loop.stuck:
            return None
        return (
            f"{self.name}: ended after {self.spending.trials} trials: {LIMIT} proposals in a row "
            "repeated earlier ones"
        )

    @property
    def found(self) -> bool:
        """Whether a trial has been completed."""
        return bool(self._completed)

    def ranked(self) -> Iterator[Ask]:
        """Yields one ask per architecture, :func:`best_first`; among equals, the first ask.

        Those of the highest fidelity come first, because results of different fidelities cannot be
        compared, and the best of many short trainings is often just lucky.
        """
        rungs: dict[float, list[tuple[tuple[float, ...], Ask]]] = {}
        for values, ask in sorted(self._completed, key=lambda pair: pair[1].number):
            rungs.setdefault(ask.fidelity or math.inf, []).append((values, ask))
        seen = set()
        for _, completed in sorted(rungs.items(), reverse=True):
            for position in best_first([values for values, _ in completed]):
                ask = completed[position][1]
                if ask.fingerprint not in seen:
                    seen.add(ask.fingerprint)
                    yield ask

    def _curve(self, curve: object) -> list[float]:
        """Returns the values of a curve; none of what is no curve, which users may report."""
        if not isinstance(curve, list) or not all(isinstance(point, dict) for point in curve):
            return []
        return points(curve, self._campaign.config.objectives[0])


def same(ask: Ask) -> tuple[object, ...]:
    """Returns the key that equal trials share: architecture, recipe choices and fidelity."""
    return ask.fingerprint, tuple(recipe_choices(ask.genotype).items()), ask.fidelity
