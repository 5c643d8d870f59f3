"""Runs one searcher of a campaign: its suggestions, its observations and its budget."""

import math
from collections.abc import Iterable, Iterator, Sequence

from nas.campaigns.drive.asks import Asks
from nas.campaigns.spec.budget import Spending
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.early_stopping import Json, MedianRule, points
from nas.campaigns.spec.objectives import Front, best_first, minimised
from nas.campaigns.store.types import Ask, Result, trial_name
from nas.errors import InputError
from nas.searchers import Observation, Proposal
from nas.searchers.duplicates import LIMIT, Duplicates
from nas.searchers.multi_fidelity import MultiFidelity
from nas.searchers.population import Evolution
from nas.spaces.choices import recipe_choices


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
        self._searcher = campaign.searcher(name)
        self._suggested = ""  # the trial that was suggested last, until it is recorded
        self._completed: list[tuple[tuple[float, ...], Ask]] = []
        self._duplicates: Duplicates[str] = Duplicates(campaign.config.duplicates)
        stopping = campaign.config.early_stopping
        self._rule = None
        if stopping is not None:
            self._rule = MedianRule(stopping.grace_epochs, stopping.min_trials)
        self._asks: dict[str, Ask] = {}
        self._values: dict[str, tuple[float, ...] | None] = {}
        self._continued: set[str] = set()

    def is_over(self, elapsed: float) -> bool:
        """Tells if the search has ended; ``elapsed`` are the campaign's seconds so far."""
        return self._duplicates.stuck or self.spending.is_over(elapsed)

    def suggest(self, elapsed: float = 0.0) -> Ask | None:
        """Returns the searcher's next suggestion; None if it needs results first, or has ended.

        The caller must record the ask and then :meth:`enter` it.
        """
        if self.is_over(elapsed):
            return None
        proposal = self._searcher.ask(len(self._asks))
        if proposal is None:
            return None
        ask = self._make.searched(self.name, len(self._asks), proposal, elapsed)
        self._suggested = ask.trial
        original = self._duplicates.original(same(ask))
        return ask if original is None else ask.model_copy(update={"duplicate_of": original})

    def enter(self, ask: Ask) -> None:
        """Takes a recorded ask; a duplicate is answered, unless its original is still running.

        Raises :class:`InputError` if the ask repeats another trial than it says.
        """
        if ask.trial != self._suggested:
            proposal = Proposal(ask.genotype, ask.note, ask.fidelity, ask.continues)
            self._searcher.replay(ask.number, proposal)
        self._asks[ask.trial] = ask
        original = self._duplicates.repeats(ask.trial, same(ask)) or ""
        if original != ask.duplicate_of:
            raise InputError(
                f"{self._campaign.folder}: records.jsonl: trial {ask.trial} repeats "
                f"{original or 'none'}, but is recorded as repeating {ask.duplicate_of or 'none'}"
            )
        if ask.predecessor is not None:
            self._continued.add(self._asks[ask.predecessor].answered_by)
        if not original:
            self.spending.asked(ask)
        elif self._duplicates.policy == "retry":
            self._tell(ask, None)
        elif not self._duplicates.waits(original):
            self._tell(ask, self._values[original])

    def tell(self, ask: Ask, result: Result) -> None:
        """Takes a recorded result, for the trial and for the duplicates that waited for it."""
        self.spending.ended(result)
        told = None
        if result.completed:
            told = minimised(self._campaign.config.objectives, ask, result.metrics)
            self._completed.append((told, ask))
            self.front.add(told)
            if self._rule is not None:
                self._rule.completed(self._curve(result.metrics.get("curve", ())))
            if self.best is None or told[0] < self.best[0][0]:
                self.best = (told, ask)
        # A searcher observes a stopped trial as failed: its values cannot be compared with those of
        # full trainings, so they do not answer duplicates either.
        waiting = self._duplicates.ended(ask.trial, told is not None)
        for trial in (ask.trial, *waiting):
            self._tell(self._asks[trial], told)

    def stops(self, curve: Sequence[Json]) -> bool:
        """Tells if a running trial is stopped, given its learning curve so far."""
        return self._rule is not None and self._rule.stops(self._curve(curve))

    @property
    def starts(self) -> set[str]:
        """Returns the trials that have ended and from whose state a later trial may start."""
        numbers: Iterable[int] = ()
        if isinstance(self._searcher, MultiFidelity):
            if self._duplicates.policy == "reuse":  # a duplicate may continue it
                return self._values.keys() - self._continued
            numbers = self._searcher.waiting
        elif self._campaign.config.inherit_weights and isinstance(self._searcher, Evolution):
            numbers = (alive.trial_id for alive in self._searcher.population)
        return {self._asks[trial_name(self.name, number)].answered_by for number in numbers}

    @property
    def note(self) -> str | None:
        """Returns a remark if the search ended before its budget was spent."""
        if not self._duplicates.stuck:
            return None
        return (
            f"{self.name}: ended after {self.spending.trials} trials: {LIMIT} proposals in a row "
            "repeated earlier ones"
        )

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

    def _curve(self, curve: Sequence[Json]) -> list[float]:
        return points(curve, self._campaign.config.objectives[0])

    def _tell(self, ask: Ask, values: tuple[float, ...] | None) -> None:
        self._values[ask.trial] = values
        self._searcher.tell(Observation(ask.number, ask.genotype, values, ask.note, ask.fidelity))


def same(ask: Ask) -> tuple[object, ...]:
    """Returns what equal trials have in common: architecture, recipe choices and fidelity."""
    return ask.fingerprint, tuple(recipe_choices(ask.genotype).items()), ask.fidelity
