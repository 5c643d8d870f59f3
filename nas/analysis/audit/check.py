"""``nas check``: whether a campaign's folder holds what its campaign asked and what it came to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from nas.analysis.audit.records import (
    Entry,
    Fault,
    differing,
    order_faults,
    sort_out,
)
from nas.analysis.audit.replay import remade_faults, replay_faults
from nas.analysis.audit.results import data_checksum, result_faults
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.spec.campaign import Campaign, load_campaign
from nas.campaigns.spec.specification import differences, question
from nas.campaigns.store.log import read_lines
from nas.campaigns.store.provenance import environment
from nas.campaigns.store.types import Header, Record
from nas.configuration import validate
from nas.errors import InputError, at, in_file
from nas.training.recipe import Recipe

TABLES = {"table.csv": "csv", "table.md": "markdown", "table.tex": "latex", "table.txt": "text"}
"""Files of a campaign's folder that hold what ``nas table --format`` prints, with or without
``--all``."""


@dataclass(frozen=True)
class Report:
    """What a check has found, a line each, and a line on what was checked."""

    problems: list[str]
    warnings: list[str]
    summary: str


def check(folder: Path, *, replay: bool = False, console: Console | None = None) -> Report:
    """Verifies a campaign's folder and changes nothing in it; the campaign may be running.

    - ``records.jsonl``: every line by its schema; ids, numbers and order; that results are
      possible, agree with their learning curves and come of one data set, and that no search trial
      knows a test metric; that duplicates, continued and retrained trials are what they say.
    - ``campaign.yaml`` asks the recorded question.
    - Every architecture is built again: the genotype is in the space and keeps the constraints,
      fingerprint and cost are the recorded ones.
    - ``resolved.json`` and the files of :data:`TABLES`, where they are, agree with the records.

    What rests on something that is wrong is not checked, which a warning says.

    Args:
        folder: of the campaign.
        replay: ask the searchers again for all that they proposed, which takes as long as it took.
        console: where progress is shown; by default the standard error.

    Raises :class:`InputError` where there are no records.
    """
    path = folder / "records.jsonl"
    entries, faults = _read(path)
    trials, misplaced = sort_out(folder, entries)
    first = entries[0].record if entries else None
    header = first if isinstance(first, Header) else None
    recorded = {} if header is None else header.specification
    faults += misplaced
    faults += order_faults(trials, recorded)
    faults += result_faults(trials, recorded)
    faults += _recipe_faults(header)
    campaign, changed, others = _asked(folder, recorded)
    console = console or Console(stderr=True)
    counts = [f"{len(trials.history.asks):,} asks", f"{len(trials.history.results):,} results"]
    notes = []
    if campaign is None or changed:
        notes.append("architectures were not built again: campaign.yaml is not what built them")
    else:
        with _progress(console, "architectures", len(trials.history.asks)) as advance:
            faults += remade_faults(campaign, trials, advance)
        counts.append("architectures built again")
    sound = all(fault.warning for fault in faults)
    if replay and (campaign is None or changed or not sound):
        notes.append("proposals were not asked again: that takes sound records and their question")
    elif replay and campaign is not None:
        with _progress(console, "proposals", len(entries)) as advance:
            faults += replay_faults(campaign, entries, advance)
        counts.append("proposals asked again")
    if campaign is not None and header is not None and header.data and "data" not in changed:
        faults += differing(1, "data", header.data, campaign.data_fingerprint)
    others += _resolved_problems(folder, header, data_checksum(trials))
    notes += _version_notes(folder)
    for name, form in TABLES.items():
        if not (folder / name).exists():
            continue
        if not sound:
            notes.append(f"{name} was not compared: the records are not sound")
            continue
        others += _table_problems(folder, name, form)
        counts.append(f"{name} compared")
    left = [ask.trial for ask in trials.history.unfinished()]
    if left:
        shown = left[0] if len(left) == 1 else f"{left[0]} and {len(left) - 1:,} more"
        notes.append(f"no result yet of {shown}; go on with: nas run {folder}")
    faults.sort(key=lambda fault: fault.line)
    lines = {w: [f"{path}:{f.line}: {f.text}" for f in faults if f.warning == w] for w in (0, 1)}
    problems, warnings = [*lines[0], *others], [*lines[1], *(f"{folder}: {n}" for n in notes)]
    said = f"problems: {len(problems):,}; warnings: {len(warnings):,}; checked: {', '.join(counts)}"
    return Report(problems, warnings, f"{folder}: {said}")


def _read(path: Path) -> tuple[list[Entry[Record]], list[Fault]]:
    """The records that can be read, and what is wrong with the other lines."""
    if not path.is_file():
        raise InputError(f"{path}: is not there; is {path.parent} a campaign that has run?")
    entries: list[Entry[Record]] = []
    faults: list[Fault] = []
    for number, _, record, fault, torn in read_lines(path):
        if record is not None:
            entries.append(Entry(number, record))
        elif torn:
            text = "is torn, as after a crash; the next run will set it aside"
            faults.append(Fault(number, text, warning=True))
        else:
            each = (line.removeprefix(f"{path}:{number}: ") for line in fault.splitlines())
            faults += [Fault(number, line) for line in each]
    if not entries and all(fault.warning for fault in faults):
        raise InputError(f"{path}: holds no record")
    return entries, faults


def _recipe_faults(header: Header | None) -> Iterator[Fault]:
    """The recorded recipe has the recorded fingerprint."""
    if header is None:
        return
    expected = ""
    if "recipe" in header.specification:
        try:
            given = header.specification["recipe"]
            with in_file("specification"), at("recipe"):
                recipe = validate(Recipe, given)
        except InputError as error:
            yield from (Fault(1, line) for line in str(error).splitlines())
            return
        expected = recipe.fingerprint
    yield from differing(1, "recipe", header.recipe, expected)


def _asked(
    folder: Path, recorded: Mapping[str, Any]
) -> tuple[Campaign | None, set[str], list[str]]:
    """The campaign, which parts of its question are not the recorded ones, and the problems."""
    try:
        campaign = load_campaign(folder)
        lines = differences(recorded, question(campaign)).splitlines() if recorded else []
    except InputError as error:
        return None, set(), str(error).splitlines()
    changed = {line.strip().partition(":")[0].partition(".")[0] for line in lines}
    return campaign, changed, [f"{campaign.file}: {line.strip()}" for line in lines]


def _resolved_problems(folder: Path, header: Header | None, checksum: str | None) -> list[str]:
    """``resolved.json`` tells the recorded question, and the data that were trained on."""
    path = folder / "resolved.json"
    if not path.exists():
        return [f"{path}: is not there, expected what the last run resolved campaign.yaml to"]
    try:
        resolved = json.loads(path.read_text(encoding="utf-8"))
        told = {"question": resolved["question"], "recipe": resolved["recipe_fingerprint"]}
    except (ValueError, TypeError, KeyError) as error:
        return [f"{path}: is corrupt: {error!r}"]
    recorded: dict[str, Any] = told
    if header is not None:
        recorded = {"question": header.specification, "recipe": header.recipe or None}
    if checksum is not None:
        told["data_checksum"] = resolved.get("data_checksum")
        recorded = {**recorded, "data_checksum": checksum}
    return [f"{path}: {line.strip()}" for line in differences(recorded, told).splitlines()]


def _version_notes(folder: Path) -> list[str]:
    """Packages that are not those of its runs, which may explain problems."""
    try:
        resolved = json.loads((folder / "resolved.json").read_text(encoding="utf-8"))
        runs = [*resolved.get("earlier_runs", ()), resolved]
        versions = [dict(run["environment"]["versions"]) for run in runs]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    now = environment()["versions"]
    unlike = {
        f"{name} {then[name]}, here {now[name]}": None
        for then in versions
        for name in now
        if name in then and then[name] != now[name]
    }
    return [f"it ran with other versions: {'; '.join(unlike)}"] if unlike else []


def _table_problems(folder: Path, name: str, form: str) -> list[str]:
    """A table is what the records make it."""
    found = (folder / name).read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n")
    tables = [render(campaign_table(folder, every), form).split("\n") for every in (False, True)]
    if found in tables:
        return []
    expected = min(tables, key=lambda table: abs(len(table) - len(found)))
    pairs = enumerate(zip_longest(found, expected), start=1)
    number, (line, right) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
    return [f"{folder / name}:{number}: {json.dumps(line)}, expected {json.dumps(right)}"]


@contextmanager
def _progress(console: Console, what: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows in a terminal how far something is and how long it will take; gives what counts."""
    with Progress(
        TextColumn("{task.completed:,}/{task.total:,} {task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)
