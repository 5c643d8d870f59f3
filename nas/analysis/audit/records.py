"""What the records of a campaign must be among themselves, before anything is built anew."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeGuard, TypeVar

from nas.campaigns.drive import ensembles
from nas.campaigns.drive.stages import trial_name
from nas.campaigns.spec.campaign import BASELINE
from nas.campaigns.store.types import Ask, Failure, Header, Record, Result
from nas.spaces.choices import recipe_choices

R = TypeVar("R", bound=Record)


class Entry(NamedTuple, Generic[R]):
    """A record and its line."""

    line: int
    record: R


class Fault(NamedTuple):
    """What is wrong in a line; a warning is what may be so in a sound campaign."""

    line: int
    text: str
    warning: bool = False


@dataclass
class Trials:
    """Asks and results by trial, in the order of events, without what contradicts it."""

    asks: dict[str, Entry[Ask]] = field(default_factory=dict)
    results: dict[str, Entry[Result]] = field(default_factory=dict)

    @property
    def unfinished(self) -> list[str]:
        """The trials that have no result, and should."""
        asks = self.asks.items()
        return [t for t, (_, a) in asks if not a.is_duplicate and t not in self.results]


def unlike(line: int, key: str, found: Any, expected: Any) -> Fault:
    """The fault of a value that should be another."""
    return Fault(line, f"{key}: {json.dumps(found)}, expected {json.dumps(expected)}")


def differing(line: int, key: str, found: Any, expected: Any) -> Iterator[Fault]:
    """:func:`unlike`, if they are."""
    if found != expected:
        yield unlike(line, key, found, expected)


def part_of(question: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A section of a recorded question; empty where there is none."""
    found = question.get(key)
    return found if isinstance(found, Mapping) else {}


def usual(values: Iterable[Any]) -> Any:
    """What most of the values are that are not None; None if there is none."""
    counts = Counter(json.dumps(value) for value in values if value is not None)
    return json.loads(counts.most_common(1)[0][0]) if counts else None


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is one, and finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def sort_out(entries: Iterable[Entry[Record]]) -> tuple[Trials, list[Fault]]:
    """The trials of a log, and what is wrong with the order of its lines."""
    trials, faults = Trials(), []
    entries = list(entries)
    asked_in = {r.trial: line for line, r in reversed(entries) if isinstance(r, Ask)}
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
        if isinstance(record, Header):
            continue
        if "elapsed" in record.model_fields_set and record.elapsed < elapsed:
            text = f"elapsed: {record.elapsed}, expected at least {elapsed}, as recorded before"
            faults.append(Fault(line, text))
        elapsed = max(elapsed, record.elapsed)
        if fault := _placed(trials, line, record, asked_in):
            faults.append(fault)
    return trials, faults


def _placed(
    trials: Trials, line: int, record: Ask | Failure | Result, asked_in: dict[str, int]
) -> Fault | None:
    """Takes the next record, or says why it cannot stand there."""
    trial, kind = record.trial, record.type
    taken: Mapping[str, Entry[Any]] = trials.asks if kind == "ask" else trials.results
    if trial in taken:
        if kind == "failure":
            return Fault(line, f"{trial}: a failure after its result, line {taken[trial].line}")
        return Fault(line, f"{trial}: a second {kind}, the first is line {taken[trial].line}")
    if kind != "ask":
        if trial not in trials.asks:
            where = f"is asked in line {asked_in[trial]} only" if trial in asked_in else "never was"
            return Fault(line, f"{trial}: a {kind}, expected an ask before it, which {where}")
        original = trials.asks[trial].record.duplicate_of
        if original:
            return Fault(line, f"{trial}: a {kind}, expected none, as it repeats {original}")
    if isinstance(record, Ask):
        trials.asks[trial] = Entry(line, record)
    elif isinstance(record, Result):
        trials.results[trial] = Entry(line, record)
    return None


def identity_faults(trials: Trials, question: Mapping[str, Any]) -> Iterator[Fault]:
    """Ids, numbers, seeds, and what trials say of one another."""
    own = part_of(question, "searcher").get("name")
    scheme = part_of(question, "recipe").get("initialization")
    yield from _unfinished_then(trials)
    numbers: dict[str, int] = {}
    seed = usual(ask.seed for _, ask in trials.asks.values() if ask.stage == "search")
    for trial, (line, ask) in trials.asks.items():
        if ask.kind == "ensemble":
            yield from _averages(trials, line, ask)
            continue
        choices = recipe_choices(ask.genotype)
        if bool(ask.initialization) != (choices.get("initialization", scheme) == "reference"):
            expected = "none" if ask.initialization else "that of its reference"
            found = json.dumps(ask.initialization or None)
            yield Fault(line, f"{trial}: initialization: {found}, expected {expected}")
        if ask.stage == "final":
            yield from differing(line, "trial", trial, f"final-{ask.label}-seed{ask.seed}")
            yield from _labelled(trials, line, ask)
            continue
        search, number = ask.search, ask.number
        yield from differing(line, "trial", trial, trial_name(search, number))
        if own is not None and search not in (own, BASELINE):
            text = f"{trial}: search: {json.dumps(search)}, expected {own} or {BASELINE}"
            yield Fault(line, text)
        kind = "random" if search == BASELINE else "searched"
        yield from differing(line, f"{trial}: kind", ask.kind, kind)
        yield from differing(line, f"{trial}: number", number, numbers.get(search, 0))
        numbers[search] = number + 1
        yield from differing(line, f"{trial}: seed", ask.seed, seed)
        yield from _repeats(trials, line, ask)
        yield from _continues(trials, line, ask)
        yield from _inherits(trials, line, ask, bool(question.get("inherit_weights")))


def _unfinished_then(trials: Trials) -> Iterator[Fault]:
    """What a search has found is retrained when none of its trials is under way."""
    final = [(line, ask) for line, ask in trials.asks.values() if ask.stage == "final"]
    retrained = [line for line, ask in final if ask.kind != "classic"]
    for trial, (line, ask) in trials.asks.items():
        if ask.stage != "search" or ask.is_duplicate:
            continue
        after = bisect_right(retrained, line)
        ended = trials.results[trial].line if trial in trials.results else math.inf
        if after < len(retrained) and retrained[after] < ended:
            text = f"{trial}: no result, expected one before line {retrained[after]}, which "
            yield Fault(line, text + "retrains what the search had found")


def _labelled(trials: Trials, line: int, ask: Ask) -> Iterator[Fault]:
    """What is retrained is what its label says."""
    if ask.kind == "classic":
        return
    key = f"{ask.trial}: label"
    found = trials.asks.get(ask.label)
    if found is None or found.line > line or found.record.stage != "search":
        yield Fault(line, f"{key}: {json.dumps(ask.label)}, expected a search trial before it")
        return
    for name in ("kind", "fingerprint"):
        yield from differing(
            line, f"{ask.trial}: {name}", getattr(ask, name), getattr(found.record, name)
        )
    mine, theirs = ask.genotype, found.record.genotype
    for choice in {**mine, **theirs}:
        name = f"{ask.trial}: genotype.{choice}"
        yield from differing(line, name, mine.get(choice), theirs.get(choice))
    result = trials.results.get(ask.label)
    if result is None or result.line > line or result.record.status != "completed":
        yield Fault(line, f"{key}: {json.dumps(ask.label)}, expected one that has completed")


def _averages(trials: Trials, line: int, ask: Ask) -> Iterator[Fault]:
    """An ensemble is of networks retrained before it with its seed, and is called so."""
    trial, seed = ask.trial, ask.seed
    yield from differing(line, f"{trial}: stage", ask.stage, "final")
    members = []
    for member in ask.members:
        found, result = trials.asks.get(member), trials.results.get(member)
        if (
            found is None
            or result is None
            or result.line > line
            or result.record.status != "completed"
            or found.record.kind == "ensemble"
            or (found.record.stage, found.record.seed) != ("final", seed)
        ):
            yield Fault(line, f"{trial}: members: {json.dumps(member)}, expected a trial of the "
                        f"final stage with seed {seed} that had completed before")  # fmt: skip
            return
        members.append(found.record)
    label = ensembles.label_of(members)
    yield from differing(line, f"{trial}: label", ask.label, label)
    yield from differing(line, "trial", trial, f"final-{label}-seed{seed}")
    fingerprint, cost = ensembles.identity(members)
    yield from differing(line, f"{trial}: fingerprint", ask.fingerprint, fingerprint)
    yield from differing(line, f"{trial}: cost", ask.cost, cost)


def _repeats(trials: Trials, line: int, ask: Ask) -> Iterator[Fault]:
    original = ask.duplicate_of
    if not original:
        return
    key = f"{ask.trial}: duplicate_of: {json.dumps(original)}"
    found = trials.asks.get(original)
    if found is None or found.line >= line or found.record.search != ask.search:
        yield Fault(line, f"{key}, expected an earlier trial of its search")
    elif found.record.is_duplicate:
        yield Fault(line, f"{key}, expected one that repeats none itself")
    elif _what(found.record) != _what(ask):
        yield Fault(line, f"{key}, expected a trial of fingerprint {ask.fingerprint}, the same "
                    "choices of the recipe and the same fidelity")  # fmt: skip


def _what(ask: Ask) -> tuple[Any, ...]:
    return ask.fingerprint, recipe_choices(ask.genotype), ask.fidelity


def _continues(trials: Trials, line: int, ask: Ask) -> Iterator[Fault]:
    if ask.continues is None:
        return
    key = f"{ask.trial}: continues: {ask.continues}"
    before = trial_name(ask.search, ask.continues)
    found = trials.asks.get(before)
    if found is None or found.line >= line:
        yield Fault(line, f"{key}, expected the number of an earlier trial")
    elif found.record.genotype != ask.genotype:
        yield Fault(line, f"{key}, expected one of the same genotype")
    elif not (found.record.fidelity or math.inf) < (ask.fidelity or math.inf):
        yield Fault(line, f"{key}, expected one of a lower fidelity")


def _inherits(trials: Trials, line: int, ask: Ask, inherit: bool) -> Iterator[Fault]:
    key = f"{ask.trial}: inherits"
    expected = ask.note.get("parent") if inherit else None
    yield from differing(line, key, ask.inherits, expected)
    if ask.inherits is None:
        return
    found = trials.results.get(trial_name(ask.search, ask.inherits))
    if found is None or found.line >= line or found.record.status != "completed":
        yield Fault(line, f"{key}: {ask.inherits}, expected a trial that had completed before")
