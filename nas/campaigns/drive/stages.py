"""What a campaign tries: the asks of each search, and of the final stage."""

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
    """One searcher of a campaign, with what it has suggested and observed.

    Args:
        campaign: says how the searcher is made, and what it may spend.
        name: of the searcher.
        networks: builds what it suggests.

    Attributes:
        name: of the searcher, and of the search.
        kind: what its architectures are called in tables: "random" or "searched".
        suggested: how many trials the searcher has suggested; the number of the next one.
        spending: what of its budget is spent, and how many trials were given out: the rest are
            duplicates.
        best: the values of the best trial so far by the first objective, to be minimised, and its
            ask; the first of equals, None before any.
        front: the values of the trials that no other dominates.
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
        """Whether it asks for nothing more; ``elapsed`` are the campaign's seconds up to now."""
        return self._duplicates.stuck or self.spending.is_over(elapsed)

    def ask(self, elapsed: float = 0.0) -> Ask | None:
        """What the searcher suggests next; None: nothing until it has heard more, or it is over.

        The ask is to be recorded; a duplicate is then to be answered with :meth:`answer`.
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
            # One seed for all, so that trials differ in nothing but the architecture.
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
        """Tells the searcher of a duplicate, now that it is recorded, unless it has to wait."""
        if self._duplicates.policy == "retry":
            self._tell(ask, None)
        elif not self._duplicates.waits(ask.duplicate_of):
            self._tell(ask, self._values[ask.duplicate_of])

    def replay(self, ask: Ask) -> None:
        """Takes a recorded ask for suggested, and a duplicate for answered."""
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
        """Takes note of an ask, and says in it which trial answers for it, if one does.

        Trials are the same that have the same architecture, the same choices of the recipe and
        the same fidelity.
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
        # One that was stopped has failed, as far as a searcher knows: what it had reached does not
        # compare with what others reached in full, and answers for no duplicate.
        waiting = self._duplicates.ended(ask.trial, told is not None)
        for trial in (ask.trial, *waiting):
            self._tell(self._asks[trial], told)

    def stops(self, curve: Sequence[Json]) -> bool:
        """Whether a trial under way is to be stopped where its learning curve now is."""
        return self._rule is not None and self._rule.stops(self._curve(curve))

    @property
    def starts(self) -> set[str]:
        """The trials that have ended and whose state a later one may start from."""
        numbers: Iterable[int] = ()
        if isinstance(self._searcher, MultiFidelity):
            if self._duplicates.policy == "reuse":  # whoever repeats one may go on with it
                return self._values.keys() - self._continued
            numbers = self._searcher.waiting
        elif self._campaign.config.inherit_weights and isinstance(self._searcher, Evolution):
            numbers = (alive.trial_id for alive in self._searcher.population)
        return {trained(self._asks[trial_name(self.name, number)]) for number in numbers}

    @property
    def note(self) -> str | None:
        """What to say of a search that ended before its budget was spent."""
        if not self._duplicates.stuck:
            return None
        return (
            f"{self.name}: ended after {self.spending.trials} trials: {LIMIT} proposals in a row "
            "repeated earlier ones"
        )

    def ranked(self) -> Iterator[Ask]:
        """The asks of the architectures, each once, :func:`best_first`; of equals, the first.

        Those of the highest fidelity come first: results of unlike fidelity do not compare, and
        among many short trainings the best is a lucky one.
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
    """The id of a search's trial, from the searcher's number for it."""
    return f"{search}-{number:04d}"


def trained(ask: Ask) -> str:
    """The trial that was trained for an ask: its own, or that which it repeats."""
    return ask.duplicate_of or ask.trial


def parent(ask: Ask) -> str | None:
    """The trial whose weights one inherits, if it inherits any."""
    return None if ask.inherits is None else trial_name(ask.search, ask.inherits)


def training_seed(campaign: Campaign) -> int:
    """The seed of every search trial's training.

    Drawn, and not the campaign's own, which ``final.seeds`` often holds: that retraining would
    repeat the search run bit for bit, and hide that its accuracy was selected for.
    """
    sequence = np.random.SeedSequence(campaign.config.seed, spawn_key=(1,))
    return int(sequence.generate_state(1)[0])


def classics(campaign: Campaign, networks: Networks) -> Iterator[Ask]:
    """The asks for the classics in the final stage."""
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
    """The asks in the final stage for the best of each search, known when the searches are over.

    A label is the trial that the architecture was suggested as, so a search that goes on with a
    larger budget adds finalists and never renames one.
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
    """How many trials the campaign will have given out in the end; None: nobody knows yet.

    A search that has not begun is taken to be as long as the campaign's own; the final stage, to
    find as many architectures as it may retrain.
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
