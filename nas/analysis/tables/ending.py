"""Says what a campaign has found, and what to do next: the last lines of `nas run`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import WIDTH, render, wrapped
from nas.analysis.tables.trials import recorded
from nas.analysis.tables.verdict_words import in_words
from nas.errors import InputError

NEAR = 0.005
"""How much worse a smaller network may be to be proposed: of a metric from 0 to 1 absolutely, of
another metric as a share of its value."""


def ending(folder: Path) -> str:
    """Returns the verdicts, the table, and commands that the reader may want to run next.

    Args:
        folder: the folder of a campaign that is over.
    """
    try:
        table = campaign_table(folder)
    except InputError as error:  # no trial has completed
        return wrapped(str(error))
    commands = {
        f"nas report {folder}": "everything on one page, report.html",
        **proposals(folder, table),
        "nas new results/mine --data FOLDER": "search for your own pictures",
    }
    verdicts = table.attrs.pop("verdicts")
    table.attrs["notes"] = []
    lines = []
    for words in verdicts["words"]:
        lines += [wrapped(words["sentence"]), wrapped("    " + words["evidence"])]
    lines += map(wrapped, verdicts["notes"])
    short = [len(command) for command in commands if len(command) <= WIDTH // 2]
    longest = max(short, default=0)
    told = [f"  {command:{longest}}  # {what}" for command, what in commands.items()]
    return "\n".join([*lines, "", render(table, "text"), "", "next:", *told])


def proposals(folder: Path, table: pd.DataFrame) -> dict[str, str]:
    """Returns commands that a campaign's reader may want to run next, and what each does.

    Args:
        folder: the folder of the campaign.
        table: its table: :func:`nas.analysis.tables.networks.campaign_table`.
    """
    _, history = recorded(folder)
    found: dict[str, str] = {}
    undecided = {words["verdict"] for words in table.attrs["verdicts"]["words"]}
    trained = "table" not in (history.header.specification.get("evaluator") or {})
    if trained and undecided & {"too few seeds", "not distinguishable"}:
        found[f"nas run {folder}"] = "decide more: add seeds to final.seeds in campaign.yaml first"
    # Where nothing was trained, there are no weights, and onnx needs them.
    take = "nas export {} --to onnx" if (folder / "weights").is_dir() else "nas show {}"
    first = table.iloc[0]
    leaders = set(table.loc[table["rank"] == 1, "kind"])
    ahead = bool(leaders) and leaders <= {"classic", "random"}
    if ahead:
        found[take.format(f"{folder}:{first['name']}")] = f"the best network ({first['kind']})"
    if (table["kind"] == "searched").any():
        of_all = "the best searched network" if ahead else "the best network"
        found[take.format(f"{folder}:best")] = of_all
    if (smaller := _smaller(table)) is not None:
        name, what = smaller
        found[take.format(f"{folder}:{name}")] = what
    return found | {
        f"nas compare {folder} results/OTHER": "beside another campaign or a training",
        f"nas table {folder} --columns all": "all columns and notes",
    }


def _smaller(table: pd.DataFrame) -> tuple[str, str] | None:
    """Finds the cheapest searched network that is nearly as good as the best by validation."""
    metrics, cost = metrics_of(table), table.attrs["cost"]
    rows = table[(table["kind"] == "searched") & (table["seeds"] > 0) & table[cost].notna()]
    value = metrics.primary.flipped(rows[metrics.validation].round(12)).dropna()
    if value.empty:
        return None
    best = rows.loc[value.idxmin()]
    scale = 1.0 if metrics.primary.unit == "fraction" else abs(value.min())
    near = rows[(value <= value.min() + NEAR * scale) & (rows["group"] == best["group"])]
    cheapest = near.loc[near[cost].idxmin()]
    if not cheapest[cost] < best[cost]:
        return None
    saved = in_words({cost: (cheapest[cost], best[cost])}, metrics)
    return str(cheapest["name"]), f"within {100 * NEAR:g} % of the best by validation, with {saved}"
