"""What a campaign tries: the asks of each search, and of the final stage."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nas.campaigns.config import BASELINE, Campaign
from nas.campaigns.duplicates import LIMIT, Duplicates
from nas.campaigns.records import Record
from nas.errors import InputError
from nas.searchers import Observation, Proposal
from nas.searchers.population import Evolution
from nas.spaces.search_space import recipe_choices


class Search:
    """One searcher of a campaign, with what it was asked and told.

    Attributes:
        name: of the searcher, and of the search.
        kind: what its architectures are called in tables: "random" or "found".
        asked: how many trials it was asked for; the next one's number.
        evaluated: how many of them were given out: the rest are duplicates.
        best: the best objective so far and its ask, the first of equals; None before any.
    """

    def __init__(self, campaign: Campaign, name: str) -> None:
        self.name = name
        self.kind = "random" if name == BASELINE else "found"
        self.asked = 0
        self.evaluated = 0
        self.best: tuple[float, Record] | None = None
        self._campaign = campaign
        self._seed = _training_seed(campaign)
        self._searcher = campaign.searcher(name)
        self._completed: list[tuple[float, Record]] = []
        self._duplicates: Duplicates[str] = Duplicates(campaign.config.duplicates)
        self._asks: dict[str, Record] = {}
        self._values: dict[str, tuple[float, ...] | None] = {}

    def ask(self) -> dict[str, Any] | None:
        """The fields of the next ask; None: nothing until more is told, or the budget is spent."""
        config = self._campaign.config
        if self.evaluated >= config.budget.trials or self._duplicates.stuck:
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
        if original is None:
            self.evaluated += 1
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
        values = None
        if result["status"] == "completed":
            value = float(result["metrics"][self._campaign.config.objective])
            self._completed.append((value, ask))
            if self.best is None or value > self.best[0]:
                self.best = (value, ask)
            # Users maximise, searchers minimise: the sign changes here and nowhere else.
            values = (-value,)
        waiting = self._duplicates.ended(ask["trial"], values is not None)
        for trial in (ask["trial"], *waiting):
            self._tell(self._asks[trial], values)

    @property
    def parents(self) -> set[str]:
        """The trials that a later one may inherit from."""
        if not (self._campaign.config.inherit_weights and isinstance(self._searcher, Evolution)):
            return set()
        return {trial_name(self.name, alive.trial_id) for alive in self._searcher.population}

    @property
    def note(self) -> str | None:
        """What to say of a search that ended before its budget was spent."""
        if not self._duplicates.stuck:
            return None
        return (
            f"{self.name}: ended after {self.evaluated} trials: {LIMIT} proposals in a row "
            "repeated earlier ones"
        )

    def top(self, count: int) -> list[Record]:
        """The asks of the best architectures, the first of equals first, each once."""
        distinct: dict[str, Record] = {}
        for _, ask in sorted(self._completed, key=lambda pair: (-pair[0], pair[1]["number"])):
            distinct.setdefault(ask["fingerprint"], ask)
        return list(distinct.values())[:count]

    def _tell(self, ask: Record, values: tuple[float, ...] | None) -> None:
        self._values[ask["trial"]] = values
        self._searcher.tell(
            Observation(ask["number"], ask["genotype"], values, ask["note"], ask.get("fidelity"))
        )


def trial_name(search: str, number: int) -> str:
    """The id of a search's trial, from the searcher's number for it."""
    return f"{search}-{number:04d}"


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
        for ask in search.top(final.top_random if position else final.top):
            what = {"genotype": ask["genotype"]}
            yield from _with_each_seed(campaign, ask["trial"], search.kind, what)


def _with_each_seed(
    campaign: Campaign, label: str, kind: str, what: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for seed in campaign.config.final.seeds:
        trial = f"final-{label}-seed{seed}"
        yield {"trial": trial, "stage": "final", "kind": kind, "label": label, "seed": seed, **what}
