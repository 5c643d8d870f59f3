"""Whether the program still gives what is recorded: architectures, costs, and what was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.analysis.audit.records import Entry, Fault, Trials, differing
from nas.campaigns.drive.ensembles import best_retrained
from nas.campaigns.drive.networks import Networks
from nas.campaigns.drive.stages import Search, training_seed
from nas.campaigns.spec.campaign import Campaign
from nas.campaigns.spec.specification import differences
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask, Record, Result
from nas.classics import CLASSICS, classic
from nas.configuration import validate_options
from nas.errors import InputError, at, in_file
from nas.searchers import Observation, Proposal, Searcher


class _AskedAgain(Searcher):
    """A searcher that is asked wherever a recorded ask is replayed, as when it was recorded.

    From the first difference on it hears nothing more: its state is no longer the recorded one.
    """

    def __init__(self, searcher: Searcher) -> None:
        super().__init__(searcher.space, searcher.seed, searcher.objectives)
        self._searcher = searcher
        self._differs = False
        self._news = ""

    def ask(self, trial_id: int) -> Proposal | None:
        """The searcher's answer."""
        return self._searcher.ask(trial_id)

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Asks, and compares."""
        if self._differs:
            return
        asked = self._searcher.ask(trial_id)
        if asked is None:
            self._news = "nothing, the searcher waits for results"
        else:
            lines = differences(_plain(proposal), _plain(asked)).splitlines()
            self._news = "; ".join(line.strip() for line in lines)
        self._differs = bool(self._news)

    def tell(self, observation: Observation) -> None:
        """Tells the searcher, as long as it is what it was."""
        if not self._differs:
            self._searcher.tell(observation)

    def news(self) -> str:
        """The first difference, once; "" where there is none."""
        news, self._news = self._news, ""
        return news


@dataclass(frozen=True, eq=False)
class _Audited(Campaign):
    """A campaign whose searchers are asked again; ``made`` holds them by name."""

    made: dict[str, _AskedAgain] = field(default_factory=dict)

    def searcher(self, name: str) -> Searcher:
        self.made[name] = _AskedAgain(super().searcher(name))
        return self.made[name]


def rebuild_faults(
    campaign: Campaign, trials: Trials, advance: Callable[[], None]
) -> Iterator[Fault]:
    """Builds every architecture again, and holds fingerprint and cost against it.

    Args:
        campaign: asks the question that is recorded, as far as architectures go.
        trials: the recorded ones.
        advance: is called after each.
    """
    known: dict[str, tuple[str, dict[str, int]] | str] = {}
    options = {each.label: each.options for each in campaign.classics}
    for trial, (line, ask) in trials.asks.items():
        if ask.kind == "ensemble":  # of networks that are built here themselves
            advance()
            continue
        what = "genotype" if ask.is_of_space else "classic"
        key = json.dumps([getattr(ask, what), ask.options])
        if key not in known:
            known[key] = _built(campaign, ask)
        built = known[key]
        if isinstance(built, str):
            yield Fault(line, f"{trial}: {what}: {built}")
        else:
            fingerprint, cost = built
            yield from differing(line, f"{trial}: fingerprint", ask.fingerprint, fingerprint)
            for name, count in cost.items():
                yield from differing(line, f"{trial}: cost.{name}", ask.cost[name], count)
        if what == "classic" and ask.label in options:
            expected = options[ask.label]
            yield from differing(line, f"{trial}: options", ask.options, expected)
        advance()


def _built(campaign: Campaign, ask: Ask) -> tuple[str, dict[str, int]] | str:
    """Fingerprint and cost of what an ask says, or why there is no such architecture."""
    try:
        if not ask.is_of_space:
            if ask.classic in CLASSICS:
                function = CLASSICS[ask.classic].function
                with in_file(ask.classic), at("options"):
                    validate_options(function, ask.options)
            shape, outputs = campaign.input_shape, campaign.outputs
            built = classic(ask.classic, shape, outputs, **ask.options)
        else:
            built = campaign.space.decode(ask.genotype)
    except InputError as error:
        return str(error).replace("\n", "; ")
    fingerprint, cost = built.recorded_as(ask.fingerprint)
    return fingerprint, cost._asdict()


def replay_faults(
    campaign: Campaign, entries: Iterable[Entry[Record]], advance: Callable[[], None]
) -> Iterator[Fault]:
    """Asks every searcher again for each recorded proposal, and tells it the recorded results.

    What a searcher asks is a function of its seed and of the asks and tells before, so the
    recorded order decides, with workers in parallel too. Of each search the first difference is a
    fault; what follows from it is none. What was retrained must have been the best of its search
    when it was picked, and the members of an ensemble the best that had been retrained.

    Args:
        campaign: asks the question that is recorded.
        entries: all records, without faults among themselves.
        advance: is called after each.
    """
    audited = _Audited(**vars(campaign))
    networks, seed = Networks(campaign), training_seed(campaign)
    searches = {name: Search(audited, name, networks) for name in audited.searches}
    history = History(campaign.folder)
    retrained: set[str] = set()
    for line, record in entries:
        advance()
        history.add(record)
        if isinstance(record, Ask) and record.is_ensemble:
            ranked = best_retrained(history, campaign.config.searcher.name, campaign.metrics)
            expected = [each.get(record.seed) for each in ranked[: len(record.members)]]
            yield from differing(line, f"{record.trial}: members", list(record.members), expected)
        elif isinstance(record, Ask) and record.stage == "final":
            retrained.add(record.label)
            yield from _picked(line, record, history.asks, searches, retrained)
        if not isinstance(record, Ask | Result):
            continue
        ask = history.asks[record.trial]
        search = searches.get(ask.search)
        if search is None:
            continue
        if isinstance(record, Ask):
            yield from differing(line, f"{ask.trial}: seed", ask.seed, seed)
        try:
            if isinstance(record, Result):
                search.tell(ask, record)
            else:
                search.replay(ask)
        except InputError as error:
            del searches[search.name]  # it cannot be followed any further
            yield Fault(line, str(error).rpartition("records.jsonl: ")[2])
        if difference := audited.made[search.name].news():
            yield Fault(line, f"{ask.trial}: asked again: {difference}")


def _picked(
    line: int,
    ask: Ask,
    asks: Mapping[str, Ask],
    searches: Mapping[str, Search],
    retrained: set[str],
) -> Iterator[Fault]:
    """Whatever its search had found better was retrained before it."""
    if ask.kind == "classic" or asks[ask.label].search not in searches:
        return
    for better in searches[asks[ask.label].search].ranked():
        if better.trial == ask.label:
            return
        if better.trial not in retrained:
            yield Fault(
                line,
                f"{ask.trial}: label: {json.dumps(ask.label)}, expected "
                f'"{better.trial}" before it, which was better',
            )
            return


def _plain(proposal: Proposal) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps({**vars(proposal), "note": {**proposal.note}}))
    return plain
