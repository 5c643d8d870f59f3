"""The state of a campaign's trials, from its records, and the rules that records obey."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from nas.campaigns.store.types import Ask, Failure, Header, Record, Result, trial_name
from nas.errors import InputError

Report = Callable[[str, str], None]
"""Takes the id of a trial and what is wrong with its record."""


class History:
    """The asks and results by trial id, in the order of events.

    A record that contradicts earlier ones is reported. A second ask or result of a trial, and a
    result of a trial that was never asked, are then left out.

    Args:
        folder: the folder of the campaign, for messages.
        records: the first records, in order.
        report: takes what is wrong; by default :class:`InputError` is raised.
    """

    def __init__(
        self, folder: Path, records: Iterable[Record] = (), report: Report | None = None
    ) -> None:
        self.asks: dict[str, Ask] = {}
        self.results: dict[str, Result] = {}
        self.failures: dict[str, list[Failure]] = {}
        self.elapsed = 0.0
        self._header: Header | None = None
        self._path = folder / "records.jsonl"
        self._report = report or self._refuse
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Adds the next record."""
        if isinstance(record, Header):
            self._header = record
            return
        trial = record.trial
        self.elapsed = max(self.elapsed, record.elapsed)
        if isinstance(record, Ask):
            if trial in self.asks:
                self._report(trial, "a second ask")
                return
            for wrong in self._contradictions(record):
                self._report(trial, wrong)
            self.asks[trial] = record
        elif trial not in self.asks:
            self._report(trial, f"a {record.type}, but it was never asked before")
        elif trial in self.results:
            late = "a failure after its result"
            self._report(trial, late if isinstance(record, Failure) else "a second result")
        elif self.asks[trial].is_duplicate:
            original = self.asks[trial].duplicate_of
            self._report(trial, f"a {record.type}, expected none, as it repeats {original}")
        elif isinstance(record, Failure):
            self.failures.setdefault(trial, []).append(record)
        else:
            self.results[trial] = record

    @property
    def header(self) -> Header:
        """The first record."""
        assert self._header is not None, "the first record is not added yet"
        return self._header

    @property
    def evaluated(self) -> list[Ask]:
        """The asks that have a result or wait for one, that is all except duplicates."""
        return [ask for ask in self.asks.values() if not ask.is_duplicate]

    @property
    def duplicates(self) -> list[Ask]:
        """The asks that an earlier trial answers."""
        return [ask for ask in self.asks.values() if ask.is_duplicate]

    def unfinished(self) -> list[Ask]:
        """The asks whose result is missing."""
        return [ask for ask in self.evaluated if ask.trial not in self.results]

    def has_completed(self, trial: str) -> bool:
        """Tells if a trial has completed, with a number for every objective."""
        return trial in self.results and self.results[trial].completed

    def founder(self, ask: Ask) -> tuple[Ask, int]:
        """Returns the ask from which one of a search descends, and after how many mutations."""
        mutations = 0
        while "initial" not in ask.note:
            before = self.asks.get(parent_of(ask) or "")
            if before is None or before.number >= ask.number:
                break
            ask, mutations = before, mutations + 1
        return ask, mutations

    def _contradictions(self, ask: Ask) -> Iterator[str]:
        """Yields what an ask says about earlier trials that is not true."""
        if ask.is_duplicate:
            original, key = self.asks.get(ask.duplicate_of), f'duplicate_of: "{ask.duplicate_of}"'
            if original is None or original.search != ask.search:
                yield f"{key}, expected an earlier trial of its search"
            elif original.is_duplicate:
                yield f"{key}, expected one that repeats none itself"
        if ask.predecessor is not None:
            before, key = self.asks.get(ask.predecessor), f"continues: {ask.continues}"
            if before is None:
                yield f"{key}, expected the number of an earlier trial"
            elif before.genotype != ask.genotype:
                yield f"{key}, expected one of the same genotype"
            elif not (before.fidelity or math.inf) < (ask.fidelity or math.inf):
                yield f"{key}, expected one of a lower fidelity"
        if ask.parent is not None and not self.has_completed(ask.parent):
            yield f"inherits: {ask.inherits}, expected a trial that had completed before"
        if ask.stage == "final" and ask.is_of_space:
            suggested, key = ask.suggested_as, f"label: {json.dumps(ask.label)}"
            searched = self.asks.get(suggested)
            if searched is None or searched.stage != "search":
                yield f"{key}, expected a search trial before it"
            elif not self.has_completed(suggested):
                yield f"{key}, expected one that has completed"
        for member in ask.members:
            found = self.asks.get(member)
            if (
                found is None
                or found.is_ensemble
                or (found.stage, found.seed) != (ask.stage, ask.seed)
                or not self.has_completed(member)
            ):
                yield (
                    f"members: {json.dumps(member)}, expected a trial of the final stage with "
                    f"seed {ask.seed} that had completed before"
                )

    def _refuse(self, trial: str, what: str) -> None:
        raise InputError(f"{self._path}: trial {trial}: {what}")


def parent_of(ask: Ask) -> str | None:
    """Returns the trial whose genotype was changed, by the notes of the searchers.

    Of a crossover, it is the first parent. Searchers that only predict note none.
    """
    of_crossover = ask.note.get("parents")
    first = of_crossover[0] if isinstance(of_crossover, list) and of_crossover else None
    parent = ask.note.get("parent", ask.note.get("from", first))
    return trial_name(ask.search, parent) if isinstance(parent, int) else None
