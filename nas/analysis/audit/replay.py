"""Checks that the program still gives the recorded architectures, costs and suggestions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from nas.analysis.audit.records import Entry, Fault, Trials, differing
from nas.campaigns.drive.asks import Asks
from nas.campaigns.drive.final_stage import best_retrained, by_lineage
from nas.campaigns.drive.ledger import Ledger
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.specification import differences
from nas.campaigns.store.types import Ask, Header, Record
from nas.errors import InputError
from nas.metrics import Catalogue
from nas.searchers import Observation, Proposal, Searcher

_LATER_NOTES = {"predicted"}
"""What earlier versions did not note."""


class _AskedAgain(Searcher):
    """A searcher that is asked again at every recorded ask.

    After the first difference it gets no more results, because its state differs from then on.
    """

    def __init__(self, searcher: Searcher) -> None:
        super().__init__(searcher.space, searcher.seed, searcher.objectives)
        self._searcher = searcher
        self._differs = False
        self._news = ""

    def ask(self, trial_id: int) -> Proposal | None:
        """Returns the searcher's proposal."""
        return self._searcher.ask(trial_id)

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Asks the searcher and compares its proposal with the recorded one."""
        if self._differs:
            return
        asked = self._searcher.ask(trial_id)
        if asked is None:
            self._news = "nothing, the searcher waits for results"
        else:
            recorded, again = _plain(proposal), _plain(asked)
            for key in _LATER_NOTES - recorded["note"].keys():
                again["note"].pop(key, None)
            lines = differences(recorded, again).splitlines()
            self._news = "; ".join(line.strip() for line in lines)
        self._differs = bool(self._news)

    def tell(self, observation: Observation) -> None:
        """Gives a result to the searcher, unless there was a difference before."""
        if not self._differs:
            self._searcher.tell(observation)

    def news(self) -> str:
        """Returns the first difference, once; "" if there is none."""
        news, self._news = self._news, ""
        return news


@dataclass(frozen=True, eq=False)
class _Audited(Campaign):
    """A campaign whose searchers are asked again; ``made`` holds them by name."""

    made: dict[str, _AskedAgain] = field(default_factory=dict)

    def searcher(self, name: str) -> Searcher:
        self.made[name] = _AskedAgain(super().searcher(name))
        return self.made[name]


def remade_faults(
    campaign: Campaign, trials: Trials, advance: Callable[[], None]
) -> Iterator[Fault]:
    """Makes every ask again as a run would, architectures included, and compares.

    Args:
        campaign: asks the recorded specification.
        trials: the recorded ones.
        advance: is called after each.
    """
    make, numbers = Asks(campaign, trials.history), Counter[str]()
    asks = trials.history.asks
    for line, ask in trials.asks:
        advance()
        number = numbers[ask.search]
        numbers[ask.search] = ask.number + 1
        retrains = [ask.suggested_as] if ask.stage == "final" and ask.is_of_space else []
        if any(trial not in asks for trial in (*ask.members, *retrains)):
            continue  # which is said already
        try:
            again = make.again(ask, number)
        except InputError as error:
            what = "genotype" if ask.is_of_space else "classic"
            yield Fault(line, f"{ask.trial}: {what}: {error}".replace("\n", "; "))
        else:
            yield from _differences(line, ask, again)


_NOT_MADE = ("time", "type", "elapsed", "duplicate_of")
"""What of an ask depends on more than what is asked."""


_LATER = ("further_costs",)
"""What earlier versions did not record."""


_FOLLOW = ("fingerprint", "cost")
"""What follows from the genotype, and is not compared where that is another."""


def _differences(line: int, ask: Ask, again: Ask) -> Iterator[Fault]:
    left_out = {*_NOT_MADE, *(_FOLLOW if ask.genotype != again.genotype else ())}
    for name in Ask.model_fields:
        if name in left_out or (name in _LATER and name not in ask.model_fields_set):
            continue
        found, expected = getattr(ask, name), getattr(again, name)
        if name not in ("cost", "genotype"):
            yield from differing(line, f"{ask.trial}: {name}", _told(found), _told(expected))
            continue
        for key in {**found, **expected}:
            of = f"{ask.trial}: {name}.{key}"
            yield from differing(line, of, found.get(key), expected.get(key))


def _told(value: Any) -> Any:
    """A value as a line has it, or None where it has none."""
    return list(value) or None if isinstance(value, tuple) else None if value == "" else value


def replay_faults(
    campaign: Campaign, entries: Iterable[Entry[Record]], advance: Callable[[], None]
) -> Iterator[Fault]:
    """Asks every searcher again for each recorded proposal and gives it the recorded results.

    What a searcher suggests is a function of its seed and of the asks and results before, so the
    recorded order decides, with workers in parallel too. Of each search the first difference is a
    fault; what follows from it is none. What was retrained must have been the best of its search
    when it was picked, and the members of an ensemble the best that had been retrained.

    Args:
        campaign: asks the recorded specification.
        entries: all records, without faults among themselves.
        advance: is called after each.
    """
    audited = _Audited(**vars(campaign))
    ledger = Ledger(audited)
    retrained: set[str] = set()
    for line, record in entries:
        advance()
        trial = "" if isinstance(record, Header) else record.trial
        search = ""
        try:
            if isinstance(record, Ask):
                yield from _picked(line, record, ledger, retrained, campaign.metrics)
                search = record.search
            ledger.enter(record)
        except InputError as error:
            ledger.searches.pop(search, None)  # it cannot be followed any further
            yield Fault(line, str(error).rpartition("records.jsonl: ")[2])
        for searcher in audited.made.values():
            if difference := searcher.news():
                yield Fault(line, f"{trial}: asked again: {difference}")


def _picked(
    line: int, ask: Ask, ledger: Ledger, retrained: set[str], metrics: Catalogue
) -> Iterator[Fault]:
    """Whatever was better was retrained before, and is a member of a smaller ensemble."""
    if ask.is_ensemble:
        ranked = best_retrained(ledger.history, ledger.own.name, metrics)
        expected = [each.get(ask.seed) for each in ranked[: len(ask.members)]]
        yield from differing(line, f"{ask.trial}: members", list(ask.members), expected)
        return
    if ask.stage == "search" or not ask.is_of_space:
        return
    retrained.add(ask.label)
    suggested = ask.suggested_as
    search = ledger.search_of(suggested)
    by_value = [] if search is None else [*search.ranked()]
    missing = ""
    # Records do not say whether final.lineages has moved some forward.
    for order in (by_lineage(by_value, ledger.history), by_value):
        before = takewhile(suggested.__ne__, (each.trial for each in order))
        suffix = ask.label.removeprefix(suggested)
        lost = next((trial for trial in before if trial + suffix not in retrained), None)
        if lost is None:
            return
        missing = lost
    yield Fault(
        line,
        f"{ask.trial}: label: {json.dumps(ask.label)}, expected "
        f'"{missing}" before it, which was better',
    )


def _plain(proposal: Proposal) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps({**vars(proposal), "note": {**proposal.note}}))
    return plain
