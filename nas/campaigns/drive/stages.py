"""What a campaign tries: the asks of each search, and of the final stage."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from nas.campaigns.spec.budget import Spending
from nas.campaigns.spec.campaign import BASELINE, Campaign
from nas.campaigns.spec.early_stopping import Json, MedianRule, points
from nas.campaigns.spec.objectives import Front, best_first, minimised
from nas.campaigns.store.log import Record
from nas.errors import InputError
from nas.searchers import Observation, Proposal
from nas.searchers.duplicates import LIMIT, Duplicates
from nas.searchers.multi_fidelity import MultiFidelity
from nas.searchers.population import Evolution
from nas.spaces.choices import recipe_choices


class Search:
    """One searcher of a campaign, with what it was asked and told.

    Attributes:
        name: of the searcher, and of the search.
        kind: what its architectures are called in tables: "random" or "found".
        asked: how many trials it was asked for; the next one's number.
        spending: what of its budget is spent, and how many trials were given out: the rest are
            duplicates.
        best: the values of the best trial so far by the first objective, to be minimised, and its
            ask; the first of equals, None before any.
        front: the values of the trials that no other dominates.
    """

    def __init__(self, campaign: Campaign, name: str) -> None:
        self.name = name
        self.kind = "random" if name == BASELINE else "found"
        self.asked = 0
        self.spending = Spending(campaign.config.budget)
        self.best: tuple[tuple[float, ...], Record] | None = None
        self.front = Front()
        self._campaign = campaign
        self._seed = _training_seed(campaign)
        self._searcher = campaign.searcher(name)
        self._completed: list[tuple[tuple[float, ...], Record]] = []
        self._duplicates: Duplicates[str] = Duplicates(campaign.config.duplicates)
        stopping = campaign.config.early_stopping
        self._rule = None
        if stopping is not None:
            self._rule = MedianRule(stopping.grace_epochs, stopping.min_trials)
        self._asks: dict[str, Record] = {}
        self._values: dict[str, tuple[float, ...] | None] = {}
        self._continued: set[str] = set()

    def is_over(self, elapsed: float) -> bool:
        """Whether it asks for nothing more; ``elapsed`` are the campaign's seconds up to now."""
        return self._duplicates.stuck or self.spending.is_over(elapsed)

    def ask(self, elapsed: float = 0.0) -> dict[str, Any] | None:
        """The fields of the next ask; None: nothing until more is told, or it is over."""
        if self.is_over(elapsed):
            return None
        proposal = self._searcher.ask(self.asked)
        if proposal is None:
            return None
        self.asked += 1
        further = {"fidelity": proposal.fidelity, "continues": proposal.continues}
        if self._campaign.config.inherit_weights:
            further["inherits"] = proposal.note.get("parent")
        return {
            "trial": trial_name(self.name, self.asked - 1),
            "stage": "search",
            "kind": self.kind,
            "search": self.name,
            "number": self.asked - 1,
            "genotype": proposal.genotype,
            "note": dict(proposal.note),
            "elapsed": elapsed,
            # One seed for all, so that trials differ in nothing but the architecture.
            "seed": self._seed,
            **{key: value for key, value in further.items() if value is not None},
        }

    def original(self, ask: Record) -> str | None:
        """The trial that answers for this one, if it is a duplicate; before it is recorded.

        The same are: the architecture, the choices of its training, and how far it is trained.
        """
        recipe = tuple(recipe_choices(ask["genotype"]).items())
        key = (ask["fingerprint"], recipe, ask.get("fidelity"))
        original = self._duplicates.repeats(ask["trial"], key)
        self._asks[ask["trial"]] = ask
        if "continues" in ask:
            before = self._asks[trial_name(self.name, ask["continues"])]
            self._continued.add(trained(before))
        if original is None:
            self.spending.asked(ask)
        return original

    def answer(self, ask: Record) -> None:
        """Tells the searcher of a duplicate, now that it is recorded, unless it has to wait."""
        if self._duplicates.policy == "retry":
            self._tell(ask, None)
        elif not self._duplicates.waits(ask["duplicate_of"]):
            self._tell(ask, self._values[ask["duplicate_of"]])

    def replay(self, ask: Record) -> None:
        """Takes a recorded ask for asked, and a duplicate for answered."""
        self.asked += 1
        self._searcher.replay(
            ask["number"],
            Proposal(ask["genotype"], ask["note"], ask.get("fidelity"), ask.get("continues")),
        )
        original = self.original(ask)
        if original != ask.get("duplicate_of"):
            raise InputError(
                f"{self._campaign.folder}: records.jsonl: trial {ask['trial']} repeats "
                f"{original or 'none'}, but is recorded as repeating "
                f"{ask.get('duplicate_of', 'none')}"
            )
        if original is not None:
            self.answer(ask)

    def tell(self, ask: Record, result: Record) -> None:
        """Takes a recorded result, for the trial and for those that waited for it."""
        self.spending.ended(result)
        told = None
        if result["status"] == "completed":
            told = minimised(self._campaign.config.objectives, ask, result["metrics"])
            self._completed.append((told, ask))
            self.front.add(told)
            if self._rule is not None:
                self._rule.completed(self._curve(result["metrics"].get("curve", ())))
            if self.best is None or told[0] < self.best[0][0]:
                self.best = (told, ask)
        # One that was stopped has failed, as far as a searcher knows: what it had reached does not
        # compare with what others reached in full, and answers for no duplicate.
        waiting = self._duplicates.ended(ask["trial"], told is not None)
        for trial in (ask["trial"], *waiting):
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

    def ranked(self) -> Iterator[Record]:
        """The asks of the architectures, each once, :func:`best_first`; of equals, the first.

        Those of the highest fidelity come first: results of unlike fidelity do not compare, and
        among many short trainings the best is a lucky one.
        """
        rungs: dict[float, list[tuple[tuple[float, ...], Record]]] = {}
        for values, ask in sorted(self._completed, key=lambda pair: pair[1]["number"]):
            rungs.setdefault(ask.get("fidelity", math.inf), []).append((values, ask))
        seen = set()
        for _, completed in sorted(rungs.items(), reverse=True):
            for position in best_first([values for values, _ in completed]):
                ask = completed[position][1]
                if ask["fingerprint"] not in seen:
                    seen.add(ask["fingerprint"])
                    yield ask

    def _curve(self, curve: Sequence[Json]) -> list[float]:
        return points(curve, self._campaign.config.objectives[0])

    def _tell(self, ask: Record, values: tuple[float, ...] | None) -> None:
        self._values[ask["trial"]] = values
        self._searcher.tell(
            Observation(ask["number"], ask["genotype"], values, ask["note"], ask.get("fidelity"))
        )


def trial_name(search: str, number: int) -> str:
    """The id of a search's trial, from the searcher's number for it."""
    return f"{search}-{number:04d}"


def trained(ask: Record) -> str:
    """The trial that was trained for an ask: its own, or that which it repeats."""
    return str(ask.get("duplicate_of", ask["trial"]))


def parent(ask: Record) -> str:
    """The trial whose weights one inherits."""
    return trial_name(ask["search"], ask["inherits"])


def _training_seed(campaign: Campaign) -> int:
    """The seed of every search trial's training.

    Drawn, and not the campaign's own, which ``final.seeds`` often holds: that retraining would
    repeat the search run bit for bit, and hide that its accuracy was selected for.
    """
    sequence = np.random.SeedSequence(campaign.config.seed, spawn_key=(1,))
    return int(sequence.generate_state(1)[0])


def classics(campaign: Campaign) -> Iterator[dict[str, Any]]:
    """The fields of the classics' asks in the final stage."""
    for entry in campaign.classics:
        what = {"classic": entry.name, "options": entry.options}
        yield from _with_each_seed(campaign, entry.label, "classic", what)


def finalists(campaign: Campaign, searches: Sequence[Search]) -> Iterator[dict[str, Any]]:
    """The fields of the asks in the final stage for what was found, known when searches are over.

    A label is the trial that found the architecture, so a search that goes on with a larger
    budget adds finalists and never renames one.
    """
    final = campaign.config.final
    for position, search in enumerate(searches):
        for ask in islice(search.ranked(), final.top_random if position else final.top):
            what = {"genotype": ask["genotype"]}
            yield from _with_each_seed(campaign, ask["trial"], search.kind, what)


def expected_trials(campaign: Campaign, searches: Sequence[Search], elapsed: float) -> int | None:
    """How many trials the campaign will have given out in the end; None: nobody knows yet.

    A search that has not begun is taken to be as long as the campaign's own; the final stage, to
    find as many architectures as it may retrain.
    """
    first, *others = (search.spending.expected_trials(elapsed) for search in searches)
    if first is None:
        return None
    final, baselines = campaign.config.final, len(others)
    to_retrain = len(campaign.classics) + final.top + baselines * final.top_random
    searched = first + sum(first if other is None else other for other in others)
    return searched + (to_retrain + len(final.ensembles)) * len(final.seeds)


def _with_each_seed(
    campaign: Campaign, label: str, kind: str, what: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for seed in campaign.config.final.seeds:
        trial = f"final-{label}-seed{seed}"
        yield {"trial": trial, "stage": "final", "kind": kind, "label": label, "seed": seed, **what}
