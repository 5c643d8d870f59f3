"""The report's text on the experiment specification, on unfinished work, and on provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from nas.analysis.tables.columns import recorded as recorded_metrics
from nas.campaigns.spec.specification import flat
from nas.campaigns.store.types import Header
from nas.files import read_json
from nas.metrics import Catalogue
from nas.words import counted

Facts = list[tuple[str, str]]
"""Pairs of a term and its description."""


def resolved(folder: Path) -> dict[str, Any]:
    """Reads ``resolved.json``; the result is empty if it is missing or cannot be read."""
    try:
        told = read_json(folder / "resolved.json")
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def summary(campaign: Header, told: dict[str, Any]) -> Facts:
    """Summarises the specification: data, space, searcher, objectives, budget and recipe."""
    specification, config = campaign.specification, told.get("campaign") or {}
    facts: Facts = []
    if isinstance(data := specification.get("data"), dict):
        shape = told.get("input_shape")
        form = "x".join(map(str, shape)) if shape else ""
        classifies = "task" not in specification and told.get("classes")
        classes = _many(told["classes"], "class", "classes") if classifies else ""
        split = data.get("split") or {}
        parts = ", ".join(
            f"{part} {split[part]}" for part in ("train", "validation", "test") if split.get(part)
        )
        seed = f"split seed {split['seed']}" if "seed" in split else ""
        facts.append(("Data", _joined(data.get("name"), form, classes, parts, seed)))
    if isinstance(task := specification.get("task"), dict):
        facts.append(("Task", _joined(task.get("name"))))
    if isinstance(evaluator := specification.get("evaluator"), dict):
        if "table" in evaluator:
            facts.append(("Table", _joined("results looked up, not trained", *_files(evaluator))))
        else:
            options = {key: value for key, value in evaluator.items() if key != "name"}
            facts.append(("Evaluator", _joined(evaluator.get("name"), _options(options))))
    space = specification.get("space") or {}
    name = (config.get("space") or {}).get("name")
    facts.append(("Space", _joined(name, f"family {space['family']}" if "family" in space else "")))
    if (reading := specification.get("reading", "image")) != "image":
        facts.append(("Reading", f"images are read as {reading}"))
    searcher = dict(specification.get("searcher") or {})
    options = {key: value for key, value in searcher.items() if key != "name" and value != []}
    baseline = "random search as baseline" if config.get("random_baseline") else ""
    facts.append(("Searcher", _joined(searcher.get("name"), _options(options), baseline)))
    objectives, known = specification.get("objectives") or [], recorded_metrics(specification)
    facts.append(("Objectives", ", ".join(_objective(each, known) for each in objectives)))
    limits = {
        key: value for key, value in (specification.get("constraints") or {}).items() if value
    }
    if limits:
        facts.append(("Constraints", ", ".join(_limited(k, v) for k, v in limits.items())))
    if budget := {key: value for key, value in (config.get("budget") or {}).items() if value}:
        words = ", ".join(_spent(k, v) for k, v in budget.items())
        facts.append(("Budget", f"{words}, for each search"))
    if isinstance(recipe := specification.get("recipe"), dict):
        epochs = _many(recipe.get("epochs"), "epoch")
        rate = f"learning rate {recipe['learning_rate']}" if "learning_rate" in recipe else ""
        preset = (config.get("recipe") or {}).get("preset")
        facts.append(("Recipe", _joined(preset, epochs, recipe.get("optimizer"), rate)))
    if final := config.get("final"):
        seeds = final.get("seeds") or []
        said = f"seeds {', '.join(map(str, seeds))}" if seeds else ""
        facts.append(("Final stage", _joined(_final(final), said)))
    return [(what, words) for what, words in facts if words]


def in_one_line(campaign: Header, told: dict[str, Any]) -> str:
    """Says what was searched in: data, space, searcher, objectives and constraints."""
    facts = dict(summary(campaign, told))
    first = [facts[key].split(", ")[0] for key in ("Data", "Space", "Searcher") if key in facts]
    rest = [facts[key] for key in ("Reading", "Objectives", "Constraints") if key in facts]
    return " · ".join([*first, *rest])


def _final(final: dict[str, Any]) -> str:
    of_random = final.get("top_random")
    counts = [(final.get("top"), "searched"),
              (final.get("top") if of_random is None else of_random, "of random search"),
              (len(final.get("classics") or []), "classics"),
              (len(final.get("ensembles") or []), "ensembles")]  # fmt: skip
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def _spent(what: str, most: Any) -> str:
    words = what.replace("_", " ")
    return _many(most, words.removesuffix("s")) or f"{_amount(most)} {words}"


def _limited(name: str, most: Any) -> str:
    if name == "fit":
        return f"{_amount(most)} fitted to the limits"
    if isinstance(most, dict) and "limit" in most:  # a latency, with the file that it comes from
        most = most["limit"]
    return f"{name} ≤ {_amount(most)}"


def _many(count: Any, noun: str, plural: str = "") -> str:
    """Writes a count from a file; "" for anything else that the file may hold."""
    return counted(count, noun, plural) if isinstance(count, int) else ""


def unfinished(trials: pd.DataFrame, told: dict[str, Any]) -> Iterator[str]:
    """Yields the reasons why the campaign is not over, from the records and ``resolved.json``."""
    waiting = int((trials["status"] == "unfinished").sum())
    if waiting:
        yield f"{counted(waiting, 'trial')} started, but not ended: running or interrupted"
    config = told.get("campaign") or {}
    searched = trials[(trials["stage"] == "search") & (trials["status"] != "duplicate")]
    budget = {key: value for key, value in (config.get("budget") or {}).items() if value}
    if set(budget) == {"trials"}:
        for search, spent in searched.groupby("search").size().items():
            if spent < budget["trials"]:
                yield f"{search}: {spent:,} of {counted(budget['trials'], 'trial')} started"
    final = config.get("final") or {}
    retrained = trials[trials["stage"] == "final"]
    seeds = len(final.get("seeds") or [0])  # what is looked up has one
    wanted = len(final.get("classics") or []) * seeds
    classics = int((retrained["kind"] == "classic").sum())
    if classics < wanted:
        yield f"classics: {classics} of {counted(wanted, 'training')} started"
    if final.get("top", 1) and not (retrained["kind"] == "searched").any():
        yield "the final stage has no searched network yet, so values are those of the search"


def provenance(campaign: Header, told: dict[str, Any], trials: pd.DataFrame) -> Facts:
    """Lists versions, commit, hardware, seeds and checksums."""
    place = told.get("environment") or {}
    versions = {"python": place.get("python"), **(place.get("versions") or {})}
    git = place.get("git") or {}
    modified = " with uncommitted changes" if git.get("modified") else ""
    final = trials[trials["stage"] == "final"]["seed"].dropna().unique()
    known = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    cores = f"{place['cores']} cores" if place.get("cores") else ""
    memory = f"{place['memory_gib']} GiB" if place.get("memory_gib") else ""
    gpus = place.get("gpus") or ["no GPU"] * bool(place)
    facts = [
        ("Versions", known),
        ("Commit", f"{git['commit']}{modified}" if git.get("commit") else ""),
        ("Hardware", _joined(place.get("processor"), cores, memory, *gpus)),
        ("System", _joined(place.get("platform"), place.get("host"))),
        ("Search seed", _text(campaign.specification.get("seed"))),
        ("Final seeds", ", ".join(str(seed) for seed in sorted(final))),
        ("Data checksum", _text(told.get("data_checksum"))),
        ("Recipe hash", _text(campaign.recipe or told.get("recipe_fingerprint"))),
        ("Evaluator", _text(told.get("evaluator"))),
        ("Record schema", _text(campaign.schema_version)),
    ]  # fmt: skip
    return [(what, words or "not recorded") for what, words in facts]


def complete(campaign: Header) -> Facts:
    """Lists the whole specification by key path, with every default."""
    return [(key, json.dumps(value)) for key, value in flat(campaign.specification).items()]


def _joined(*parts: Any) -> str:
    return ", ".join(str(part) for part in parts if part)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _options(options: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_amount(value)}" for key, value in options.items())


def _amount(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value)


def _objective(objective: Any, known: Catalogue) -> str:
    if not isinstance(objective, dict):
        return str(objective)
    metric = str(objective.get("metric"))
    words = known[metric].in_words if metric == known.validation else metric.replace("_", " ")
    return f"{objective.get('direction')} {words}"


def _files(table: dict[str, Any]) -> Iterator[str]:
    yield from table.get("table") or {}
    yield from (f"{part} {table[part]}" for part in ("validation", "test") if table.get(part))
