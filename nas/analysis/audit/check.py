"""``nas check``: verifies that a campaign's folder is complete and consistent."""

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
    Trials,
    differing,
    order_faults,
    sort_out,
)
from nas.analysis.audit.replay import remade_faults, replay_faults
from nas.analysis.audit.results import data_checksum, result_faults
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.spec.campaign import FILE_NAME, Campaign, load_campaign
from nas.campaigns.spec.recorded_code import check_code
from nas.campaigns.spec.specification import changes, differences
from nas.campaigns.store.checkpoints import (
    Checkpoints,
    verify_weights,
    weights_path,
)
from nas.campaigns.store.defaults import completed, recorded_specification
from nas.campaigns.store.log import read_lines
from nas.campaigns.store.provenance import environment
from nas.campaigns.store.types import Header, Record
from nas.errors import InputError, at, in_file
from nas.files import is_damaged, read_json
from nas.training.recipe import fingerprints

TABLES = {"table.csv": "csv", "table.md": "markdown", "table.tex": "latex", "table.txt": "text"}
"""Files that may hold the output of ``nas table --format``, with or without ``--all``."""


@dataclass(frozen=True)
class Report:
    """The problems that a check has found, one line each, and a line on what was checked."""

    problems: list[str]
    warnings: list[str]
    summary: str


def check(folder: Path, *, replay: bool = False, console: Console | None = None) -> Report:
    """Verifies a campaign's folder and changes nothing in it; the campaign may be running.

    - ``records.jsonl``: every line has a valid schema; ids, numbers and order are right; results
      are possible, agree with their learning curves and come from one data set; no search trial
      has a test metric; duplicates, continued and retrained trials fit the trials they refer to.
    - ``campaign.yaml`` matches the recorded specification.
    - Every architecture is built again: the genotype is in the space and keeps the constraints;
      fingerprint and cost equal the recorded ones.
    - ``resolved.json`` and the files of :data:`TABLES`, if they exist, agree with the records.
    - Weights have the recorded checksums, and checkpoints are not damaged.

    If something is wrong, checks that depend on it are skipped, and a warning says so.

    Args:
        folder: the folder of the campaign.
        replay: whether to ask the searchers again for all proposals, which takes as long as before.
        console: where progress is shown; by default on the standard error stream.

    Raises :class:`InputError` if there are no records.
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
    campaign, changed, others = _present(folder, recorded)
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
        notes.append(
            "proposals were not made again: that takes sound records and their own specification"
        )
    elif replay and campaign is not None:
        with _progress(console, "proposals", len(entries)) as advance:
            faults += replay_faults(campaign, entries, advance)
        counts.append("proposals made again")
    if campaign is not None and header is not None and header.data and "data" not in changed:
        known = campaign.data_fingerprints
        same = header.data if header.data in known else campaign.data_fingerprint
        faults += differing(1, "data", header.data, same)
    others += _resolved_problems(folder, header, data_checksum(trials))
    others += _damaged_files(folder, trials)
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
    """Reads the records, and returns the faults of lines that cannot be read."""
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
    """Checks that the recorded recipe has the recorded fingerprint."""
    if header is None:
        return
    expected = ""
    if "recipe" in header.specification:
        try:
            given = header.specification["recipe"]
            with in_file("specification"), at("recipe"):
                known = fingerprints(given)
        except InputError as error:
            yield from (Fault(1, line) for line in str(error).splitlines())
            return
        expected = header.recipe if header.recipe in known else known[0]
    yield from differing(1, "recipe", header.recipe, expected)


def _known_fingerprints(header: Header) -> set[str]:
    """The fingerprints that this and older versions give to the recorded recipe."""
    try:
        return {*fingerprints(header.specification["recipe"])}
    except (InputError, KeyError):
        return set()


def _present(
    folder: Path, recorded: Mapping[str, Any]
) -> tuple[Campaign | None, set[str], list[str]]:
    """Loads the campaign; returns it, the sections that are not as recorded, and the problems."""
    try:
        check_code(folder / FILE_NAME, recorded)
        campaign = load_campaign(folder)
        lines = changes(campaign, recorded).splitlines() if recorded else []
    except InputError as error:
        return None, set(), str(error).splitlines()
    changed = {line.strip().partition(":")[0].partition(".")[0] for line in lines}
    return campaign, changed, [f"{campaign.file}: {line.strip()}" for line in lines]


def _resolved_problems(folder: Path, header: Header | None, checksum: str | None) -> list[str]:
    """Checks that ``resolved.json`` holds the recorded specification and data."""
    path = folder / "resolved.json"
    if not path.exists():
        return [f"{path}: is not there, expected what the last run resolved campaign.yaml to"]
    try:
        resolved = read_json(path)
        told: dict[str, Any] = {
            "specification": completed(recorded_specification(resolved)),
            "recipe": resolved["recipe_fingerprint"],
        }
    except (ValueError, TypeError, KeyError) as error:
        return [f"{path}: is corrupt: {error!r}"]
    recorded: dict[str, Any] = told
    if header is not None:
        recorded = {
            "specification": completed(header.specification),
            "recipe": header.recipe or None,
        }
        if "code" not in header.specification:  # as older versions recorded it
            told["specification"].pop("code", None)
        if {told["recipe"], header.recipe} <= _known_fingerprints(header):
            recorded["recipe"] = told["recipe"]
    if checksum is not None:
        told["data_checksum"] = resolved.get("data_checksum")
        recorded = {**recorded, "data_checksum": checksum}
    return [f"{path}: {line.strip()}" for line in differences(recorded, told).splitlines()]


def _damaged_files(folder: Path, trials: Trials) -> Iterator[str]:
    """Checks the files of weights and checkpoints by their checksums; missing files are allowed."""
    for result in trials.history.results.values():
        path = weights_path(folder, result.trial)
        if path.exists():
            try:
                verify_weights(path, result.weights)
            except InputError as error:
                yield str(error)
    checkpoints = Checkpoints(folder)
    for trial in trials.history.asks:
        state = checkpoints.find(trial)
        if state is not None and is_damaged(state):
            yield f"{state}: is damaged: a checksum inside is wrong; the next run does not use it"


def _version_notes(folder: Path) -> list[str]:
    """Notes packages whose versions differ from those of the runs, which may explain problems."""
    try:
        resolved = read_json(folder / "resolved.json")
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
    """Checks that a table file equals the table made from the records."""
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
    """Shows progress and the remaining time in a terminal; yields a function that counts."""
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
