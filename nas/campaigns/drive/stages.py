"""Makes the asks of a campaign's searches and of its final stage."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from nas.campaigns.drive.networks import Networks, scheme
from nas.campaigns.spec.budget import Spending
from nas.campaigns.spec.campaign import BASELINE, Campaign
from nas.campaigns.spec.early_stopping import Json, MedianRule, points
from nas.campaigns.spec.hyperparameters import own_recipe
from nas.campaigns.spec.objectives import Front, best_first, minimised
from nas.campaigns.store.types import Ask, Kind, Result, given
from nas.errors import InputError
from nas.searchers import Observation, Proposal
from nas.searchers.duplicates import LIMIT, Duplicates
from nas.searchers.multi_fidelity import MultiFidelity
from nas.searchers.population import Evolution
from nas.spaces.choices import recipe_choices


class Search:
    """One searcher of a campaign, with its suggestions and observations.

    Args:
        campaign: the campaign, which defines the searcher and its budget.
        name: the name of the searcher.
        networks: builds the suggested architectures.

    Attributes:
        name: the name of the searcher and of the search.
        kind: the kind of its rows in tables, "random" or "searched".
        suggested: the number of trials that the searcher has suggested, which is also the number
            of the next one.
        spending: the part of the budget that is spent, and the number of started trials; all other
            suggestions are duplicates.
        best: the values, to be minimised, and the ask of the best trial so far by the first
            objective; the first among equals, None before the first result.
        front: the values of the trials that no other trial dominates.
    """

    def __init__(self, campaign: Campaign, name: str, networks: Networks) -> None:
        self.name = name
        self.kind: Kind = "random" if name == BASELINE else "searched"
        self.suggested = 0
        self.spending = Spending(campaign.config.budget)
        self.best: tuple[tuple[float, ...], Ask] | None = None
        self.front = Front()
        self._campaign = campaign
        self._networks = networks
        self._seed = training_seed(campaign)
        self._searcher = campaign.searcher(name)
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

    def ask(self, elapsed: float = 0.0) -> Ask | None:
        """Returns the searcher's next suggestion; None if it needs results first, or has ended.

        The caller must record the ask, and must then answer a duplicate with :meth:`answer`.
        """
        if self.is_over(elapsed):
            return None
        number = self.suggested
        proposal = self._searcher.ask(number)
        if proposal is None:
            return None
        network = self._networks.member(proposal.genotype)
        recipe = self._campaign.recipe
        own = recipe and own_recipe(recipe, proposal.genotype)
        inherits = self._campaign.config.inherit_weights
        ask = Ask(
            trial=trial_name(self.name, number),
            stage="search",
            kind=self.kind,
            search=self.name,
            number=number,
            genotype=proposal.genotype,
            note=dict(proposal.note),
            elapsed=elapsed,
            # All trials have the same seed, so that they differ only in the architecture.
            seed=self._seed,
            **self._networks.identity(network),
            **given(
                initialization=scheme(own),
                fidelity=proposal.fidelity,
                continues=proposal.continues,
                inherits=proposal.note.get("parent") if inherits else None,
            ),
        )
        return self._enter(ask)

    def answer(self, ask: Ask) -> None:
        """Gives the result of a recorded duplicate to the searcher, unless it has to wait."""
        if self._duplicates.policy == "retry":
            self._tell(ask, None)
        elif not self._duplicates.waits(ask.duplicate_of):
            self._tell(ask, self._values[ask.duplicate_of])

    def replay(self, ask: Ask) -> None:
        """Replays a recorded ask, and the answer if it is a duplicate."""
        self._searcher.replay(
            ask.number, Proposal(ask.genotype, ask.note, ask.fidelity, ask.continues)
        )
        original = self._enter(ask).duplicate_of
        if original != ask.duplicate_of:
            raise InputError(
                f"{self._campaign.folder}: records.jsonl: trial {ask.trial} repeats "
                f"{original or 'none'}, but is recorded as repeating "
                f"{ask.duplicate_of or 'none'}"
            )
        if ask.is_duplicate:
            self.answer(ask)

    def _enter(self, ask: Ask) -> Ask:
        """Registers an ask and sets the trial that it repeats, if there is one.

        Trials are equal if they have the same architecture, recipe choices and fidelity.
        """
        self.suggested += 1
        recipe = tuple(recipe_choices(ask.genotype).items())
        key = (ask.fingerprint, recipe, ask.fidelity)
        original = self._duplicates.repeats(ask.trial, key) or ""
        if original != ask.duplicate_of:
            ask = ask.model_copy(update={"duplicate_of": original})
        self._asks[ask.trial] = ask
        if ask.continues is not None:
            self._continued.add(trained(self._asks[trial_name(self.name, ask.continues)]))
        if not original:
            self.spending.asked(ask)
        return ask

    def tell(self, ask: Ask, result: Result) -> None:
        """Takes a recorded result, for the trial and for those that waited for it."""
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
        return {trained(self._asks[trial_name(self.name, number)]) for number in numbers}

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


def trial_name(search: str, number: int) -> str:
    """Makes the id of a search's trial from the searcher's number."""
    return f"{search}-{number:04d}"


def trained(ask: Ask) -> str:
    """Returns the trial that was trained for an ask: its own, or the one that it repeats."""
    return ask.duplicate_of or ask.trial


def parent(ask: Ask) -> str | None:
    """Returns the trial whose weights an ask inherits, if any."""
    return None if ask.inherits is None else trial_name(ask.search, ask.inherits)


def training_seed(campaign: Campaign) -> int:
    """Returns the training seed of all search trials.

    It is drawn from the campaign's seed. The campaign's seed itself is often among ``final.seeds``;
    a retraining with it would repeat the search trial bit for bit, and hide that this accuracy was
    selected.
    """
    sequence = np.random.SeedSequence(campaign.config.seed, spawn_key=(1,))
    return int(sequence.generate_state(1)[0])


def classics(campaign: Campaign, networks: Networks) -> Iterator[Ask]:
    """Yields the asks for the classics in the final stage."""
    for entry in campaign.classics:
        yield from _with_each_seed(
            campaign,
            entry.label,
            kind="classic",
            classic=entry.name,
            options=entry.options,
            **networks.identity(entry.architecture),
            **given(initialization=scheme(campaign.recipe, entry.name)),
        )


def finalists(campaign: Campaign, searches: Sequence[Search]) -> Iterator[Ask]:
    """Yields the final stage's asks for the best of each search, after the searches have ended.

    The label is the trial in which the architecture was suggested. So a search that continues with
    a larger budget adds finalists and never renames one.
    """
    final = campaign.config.final
    for position, search in enumerate(searches):
        for ask in islice(search.ranked(), final.random_finalists if position else final.top):
            yield from _with_each_seed(
                campaign,
                ask.trial,
                kind=search.kind,
                genotype=ask.genotype,
                fingerprint=ask.fingerprint,
                cost=ask.cost,
                **given(initialization=ask.initialization or None),
            )


def expected_trials(campaign: Campaign, searches: Sequence[Search], elapsed: float) -> int | None:
    """Estimates how many trials the campaign will start; None if that is unknown yet.

    It assumes that a search that has not begun takes as many trials as the campaign's own search,
    and that the final stage retrains as many architectures as it may.
    """
    first, *others = (search.spending.expected_trials(elapsed) for search in searches)
    if first is None:
        return None
    final, baselines = campaign.config.final, len(others)
    to_retrain = len(campaign.classics) + final.top + baselines * final.random_finalists
    searched = first + sum(first if other is None else other for other in others)
    return searched + (to_retrain + len(final.ensembles)) * len(final.seeds)


def _with_each_seed(campaign: Campaign, label: str, **fields: Any) -> Iterator[Ask]:
    for seed in campaign.config.final.seeds:
        trial = f"final-{label}-seed{seed}"
        yield Ask(trial=trial, stage="final", label=label, seed=seed, **fields)
