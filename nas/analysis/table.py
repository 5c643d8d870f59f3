"""The one table: searched, random-search and classic rows, from a campaign's records alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.campaigns.objectives import Objectives, minimised, recorded
from nas.campaigns.records import History, Record, read_records
from nas.errors import InputError
from nas.registry import unknown
from nas.searchers.pareto import pareto_front
from nas.spaces.search_space import recipe_choices

COLUMNS = {
    "name": "the classic's name with its options, or the trial that found the architecture",
    "kind": "found (by the campaign's searcher), random (by its baseline) or classic",
    "params": "trainable parameters",
    "macs": "multiply-accumulates of convolution and linear layers, batch 1",
    "flops": "what fvcore totals; where it has not counted, by the equal analytic rule",
    "activations": "elements that convolution and linear layers put out",
    "latency_ms": "measured median, mean over seeds; empty if neither objective nor limit asked",
    "train_seconds": "wall time of training, mean over seeds; empty if the evaluator tells none",
    "search_accuracy": "validation accuracy that the search saw: the best of many, so optimistic",
    "validation_accuracy": "after retraining from scratch, mean over seeds",
    "test_accuracy": "of the same networks, read once; empty for rows that were not retrained",
    "test_std": "sample standard deviation of test_accuracy over seeds; empty for one seed",
    "seeds": "how many networks were retrained",
    "front": "yes where no other retrained row dominates this one; empty for one objective",
    "recipe": "what was searched of the recipe with the architecture; empty: the campaign's recipe",
}
"""The table's schema. Accuracies are fractions."""

_NAMED = 5
"""Rows that a note names before it only counts."""


def campaign_table(folder: Path, every_trial: bool = False) -> pd.DataFrame:
    """The table of a campaign, the best by its first objective first.

    Args:
        folder: of the campaign; only its ``records.jsonl`` is read.
        every_trial: add a row for each completed search trial that was not retrained. Without any
            retrained row they are shown in any case.

    Returns the columns of :data:`COLUMNS`; ``attrs["notes"]`` holds what a reader must know.
    Raises :class:`InputError` where there are no records or they are corrupt.
    """
    records = read_records(folder)
    history = History(folder, records)
    if not history.results:
        raise InputError(f"{folder}: no results yet; run the campaign: nas run {folder}")
    groups: dict[str, list[tuple[Record, Record]]] = {}
    searched: dict[str, tuple[Record, Record]] = {}
    failed: list[Record] = []
    for trial, result in history.results.items():
        ask = history.asks[trial]
        if result["status"] != "completed":
            failed.append(ask)
        elif ask["stage"] == "final":
            groups.setdefault(ask["label"], []).append((ask, result))
        else:
            searched[trial] = (ask, result)
    rows = [_retrained(label, runs, searched.get(label)) for label, runs in groups.items()]
    runs_of_rows = list(groups.values())
    if every_trial or not rows:
        others = [pair for trial, pair in searched.items() if trial not in groups]
        rows += [_searched(*pair) for pair in others]
        runs_of_rows += [[pair] for pair in others]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    values = _values(recorded(records[0]["question"]), runs_of_rows)
    table["front"] = table["front"].astype("str")
    if values.shape[1] > 1 and groups:
        on_front = pareto_front(values[: len(groups)])
        table.loc[: len(groups) - 1, "front"] = np.where(on_front, "yes", "no")
    order = sorted(range(len(table)), key=lambda row: tuple(values[row, :1]))
    table = table.iloc[order].reset_index(drop=True)
    table["seeds"] = table["seeds"].astype("Int64")
    table["recipe"] = table["recipe"].astype("str")
    table.attrs["notes"] = [
        *_notes(history, groups, failed),
        *_question_notes(records[0], groups),
        *_recipe_notes(table),
    ]
    return table


def _values(
    objectives: Objectives, runs_of_rows: list[list[tuple[Record, Record]]]
) -> NDArray[np.float64]:
    """The objectives of every row, all to be minimised, mean over seeds: [rows, objectives]."""
    means = [
        np.mean([minimised(objectives, ask, result["metrics"]) for ask, result in runs], axis=0)
        for runs in runs_of_rows
    ]
    return np.array(means).reshape(len(means), len(objectives))


def _retrained(
    label: str, runs: list[tuple[Record, Record]], found: tuple[Record, Record] | None
) -> dict[str, Any]:
    # What an evaluator of one's own does not tell stays empty.
    told = ["latency_ms", "train_seconds", "validation_accuracy", "test_accuracy"]
    metrics = pd.DataFrame([result["metrics"] for _, result in runs]).reindex(columns=told)
    ask, first = runs[0]
    counted = first["metrics"].get("fvcore", ask["cost"])
    return {
        "name": label,
        "kind": ask["kind"],
        **ask["cost"],
        "flops": counted["flops"],
        "latency_ms": metrics["latency_ms"].mean(),
        "train_seconds": metrics["train_seconds"].mean(),
        "search_accuracy": found[1]["metrics"].get("validation_accuracy") if found else None,
        "validation_accuracy": metrics["validation_accuracy"].mean(),
        "test_accuracy": metrics["test_accuracy"].mean(),
        "test_std": metrics["test_accuracy"].std(),
        "seeds": len(runs),
        "recipe": _own_recipe(ask),
    }


def _searched(ask: Record, result: Record) -> dict[str, Any]:
    return {
        "name": ask["trial"],
        "kind": ask["kind"],
        **ask["cost"],
        "latency_ms": result["metrics"].get("latency_ms"),
        "train_seconds": result["metrics"].get("train_seconds"),
        "search_accuracy": result["metrics"].get("validation_accuracy"),
        "seeds": 0,
        "recipe": _own_recipe(ask),
    }


def _own_recipe(ask: Record) -> str | None:
    own = recipe_choices(ask.get("genotype", {}))
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in own.items()) or None


def _notes(
    history: History, groups: dict[str, list[tuple[Record, Record]]], failed: list[Record]
) -> Iterator[str]:
    uncounted = sorted(
        {
            operator
            for runs in groups.values()
            for _, result in runs
            for operator in result["metrics"].get("fvcore_uncounted", [])
        }
    )
    if uncounted:
        yield f"fvcore does not count: {', '.join(uncounted)}"
    seeds = {len(runs) for runs in groups.values()}
    if seeds == {1}:
        yield "one seed a row: differences within the noise of retraining cannot be told apart"
    elif len(seeds) > 1:
        yield f"rows rest on unlike numbers of seeds: {', '.join(map(str, sorted(seeds)))}"
    unfinished = history.unfinished()
    # One whose retraining is not over may yet get its row.
    left = {ask["label"] for ask in unfinished if ask["stage"] == "final"}
    lost = {ask["label"] for ask in failed if ask["stage"] == "final"} - groups.keys() - left
    if lost:
        yield f"no row, because every retraining failed: {', '.join(sorted(lost))}"
    stopped = sum(result["status"] == "stopped" for result in history.results.values())
    yield (
        f"{len(history.results)} trials, {len(failed) - stopped} failed"
        + (f", {stopped} stopped early" if stopped else "")
        + (f", {len(unfinished)} unfinished" if unfinished else "")
    )
    counts = Counter(ask["search"] for ask in history.duplicates)
    for search, count in counts.items():
        yield (
            f"{search}: {count} proposals repeated an earlier trial of its own and spent no budget"
        )


def _question_notes(
    campaign: Record, groups: dict[str, list[tuple[Record, Record]]]
) -> Iterator[str]:
    question = campaign["question"]
    if "evaluator" in question:
        looked_up = question["evaluator"]
        yield (
            f"every row was looked up, nothing was trained: {', '.join(looked_up['table'])}, "
            f"validation {looked_up['validation']}, test {looked_up['test']}"
        )
        return
    recipe, data = question["recipe"], question["data"]
    name = f"recipe {campaign['recipe']}" if "recipe" in campaign else "one recipe"
    yield (
        f"every row: data {data['name']}, split seed {data['split']['seed']}, {name}, "
        f"{recipe['epochs']} epochs; selected by validation, test read once by the final stage"
    )
    if recipe.get("initialization") == "reference":
        own = {
            f"{label} {ask['initialization']}"
            for label, runs in groups.items()
            for ask, _ in runs
            if ask["kind"] == "classic" and "initialization" in ask
        }
        yield (
            "rows differ in initialisation: each classic starts from its reference's own, every "
            "other network from torch's default" + (f" ({', '.join(sorted(own))})" if own else "")
        )


def _recipe_notes(table: pd.DataFrame) -> Iterator[str]:
    own = list(table["name"][table["recipe"].notna()])
    if own:
        names = ", ".join(own[:_NAMED]) + (f" and {len(own) - _NAMED} more" * (len(own) > _NAMED))
        yield (
            f"not one recipe: {names} were trained by what their column recipe says, all others "
            "by the campaign's; rows of unlike recipes are not to be ranked together"
        )


def classics_table() -> pd.DataFrame:
    """Every classic as published: name, year, cost and paper, oldest first."""
    from nas.classics import CLASSICS, classic

    rows = []
    for name, entry in sorted(CLASSICS.items(), key=lambda item: item[1].year):
        cost = classic(name).cost
        rows.append(
            {
                "name": name,
                "year": entry.year,
                "input": "x".join(map(str, entry.input_shape)),
                "classes": entry.classes,
                **cost._asdict(),
                "source": entry.source,
                "paper": entry.paper,
            }
        )
    return pd.DataFrame(rows)


def render(table: pd.DataFrame, form: str) -> str:
    """The table as "text", "csv", "markdown" or "latex", its notes below (in CSV left out)."""
    forms: dict[str, Callable[[], str]] = {
        "text": lambda: _shown(table).to_string(index=False) + _below("", notes),
        "csv": lambda: table.to_csv(index=False).rstrip("\n"),
        "markdown": lambda: _shown(table).to_markdown(index=False) + _below("\n- ", notes),
        "latex": lambda: _shown(table).to_latex(index=False, escape=True) + _below("% ", notes),
    }
    notes = table.attrs.get("notes", [])
    if form not in forms:
        raise InputError(f"--format: {unknown('format', form, forms)}")
    return forms[form]()


def _below(mark: str, notes: list[str]) -> str:
    return "".join(f"\n{mark}{note}" for note in notes)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as people read them: counts with separators, fractions with four places."""
    shown = table.copy()
    for column in [name for name in ("latency_ms", "front", "recipe") if name in shown]:
        if shown[column].isna().all():
            shown = shown.drop(columns=column)
        elif column != "latency_ms":
            shown = shown.fillna({column: ""})
    for column in shown.columns:
        if column in ("params", "macs", "flops", "activations"):
            shown[column] = shown[column].map("{:,.0f}".format)
        elif column == "latency_ms":
            shown[column] = shown[column].map(lambda x: "" if pd.isna(x) else f"{x:.3f}")
        elif column == "train_seconds":
            shown[column] = shown[column].map(lambda x: "" if pd.isna(x) else f"{x:.1f}")
        elif column.endswith(("accuracy", "std")):
            shown[column] = shown[column].map(lambda x: "" if pd.isna(x) else f"{x:.4f}")
    return shown
