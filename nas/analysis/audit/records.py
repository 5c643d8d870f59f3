"""Checks that the records of a campaign are consistent with each other."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeGuard, TypeVar

from nas.campaigns.drive.search import same
from nas.campaigns.spec.campaign import BASELINE
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask, Failure, Record, Result
from nas.user_code import short_name

R = TypeVar("R", bound=Record)


class Entry(NamedTuple, Generic[R]):
    """A record and its line."""

    line: int
    record: R


class Fault(NamedTuple):
    """A problem in a line; a warning may also occur in a valid campaign."""

    line: int
    text: str
    warning: bool = False


@dataclass
class Trials:
    """Asks and results by trial, in the order of events, without what comes a second time."""

    history: History
    asked: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    @property
    def asks(self) -> Iterator[Entry[Ask]]:
        """The asks with their lines."""
        return (Entry(self.asked[trial], ask) for trial, ask in self.history.asks.items())

    @property
    def results(self) -> Iterator[Entry[Result]]:
        """The results with their lines."""
        return (Entry(self.ended[trial], each) for trial, each in self.history.results.items())


def unlike(line: int, key: str, found: Any, expected: Any) -> Fault:
    """Makes the fault of a value that differs from the expected one."""
    return Fault(line, f"{key}: {json.dumps(found)}, expected {json.dumps(expected)}")


def differing(line: int, key: str, found: Any, expected: Any) -> Iterator[Fault]:
    """Yields the fault of :func:`unlike` if the values differ."""
    if found != expected:
        yield unlike(line, key, found, expected)


def part_of(specification: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns a section of a recorded specification; it is empty if there is none."""
    found = specification.get(key)
    return found if isinstance(found, Mapping) else {}


def usual(values: Iterable[Any]) -> Any:
    """Returns the most frequent value that is not None; None if there is none."""
    counts = Counter(json.dumps(value) for value in values if value is not None)
    return json.loads(counts.most_common(1)[0][0]) if counts else None


def is_number(value: Any) -> TypeGuard[float]:
    """Tells if a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def sort_out(folder: Path, entries: Iterable[Entry[Record]]) -> tuple[Trials, list[Fault]]:
    """The trials of a log, and what is wrong with the order of its lines.

    Args:
        folder: of the campaign.
        entries: its records.
    """
    entries = list(entries)
    faults: list[Fault] = []
    line = 0

    def report(trial: str, what: str) -> None:
        lines = [f"{did} in line {of[trial]}" for did, of in where.items() if trial in of]
        hint = f" ({', '.join(lines)})" if lines and what.startswith("a ") else ""
        faults.append(Fault(line, f"{trial}: {what}{hint}"))

    trials = Trials(History(folder, report=report))
    for line, record in reversed(entries):
        if isinstance(record, Ask):
            trials.asked[record.trial] = line
    where = {"asked": trials.asked, "ended": trials.ended}
    time, elapsed = -math.inf, 0.0
    for line, record in entries:
        now = record.time
        if now is None or not math.isfinite(now):
            faults.append(Fault(line, f"time: {json.dumps(now)}, expected Unix seconds"))
        else:
            if now < time:
                text = f"time: {now}, expected at least {time}, that of the line before"
                faults.append(Fault(line, text, warning=True))
            time = now
        if isinstance(record, Ask | Failure | Result):
            if "elapsed" in record.model_fields_set and record.elapsed < elapsed:
                text = f"elapsed: {record.elapsed}, expected at least {elapsed}, as before"
                faults.append(Fault(line, text))
            elapsed = max(elapsed, record.elapsed)
        trials.history.add(record)
        if isinstance(record, Result):
            trials.ended.setdefault(record.trial, line)
    return trials, faults


def order_faults(trials: Trials, specification: Mapping[str, Any]) -> Iterator[Fault]:
    """Names of searches, what duplicates repeat, and when the final stage began.

    What a search has suggested is retrained when none of its trials is under way.
    """
    name = part_of(specification, "searcher").get("name")
    own = None if name is None else short_name(str(name))
    asks = trials.history.asks
    retrained = [line for line, ask in trials.asks if ask.stage == "final" and ask.is_of_space]
    for line, ask in trials.asks:
        if ask.stage != "search":
            continue
        if own is not None and ask.search not in (own, BASELINE):
            text = f"{ask.trial}: search: {json.dumps(ask.search)}, expected {own} or {BASELINE}"
            yield Fault(line, text)
        if ask.is_duplicate:
            original = asks.get(ask.duplicate_of)
            if original is not None and same(original) != same(ask):
                text = f"{ask.trial}: duplicate_of: {json.dumps(ask.duplicate_of)}, expected a "
                yield Fault(line, text + f"trial of fingerprint {ask.fingerprint}, the same "
                            "choices of the recipe and the same fidelity")  # fmt: skip
            continue
        after = bisect_right(retrained, line)
        if after < len(retrained) and retrained[after] < trials.ended.get(ask.trial, math.inf):
            text = f"{ask.trial}: no result, expected one before line {retrained[after]}, which "
            yield Fault(line, text + "retrains what the search had found")
