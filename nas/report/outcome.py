"""The report's text on the results: the best of each kind, the verdicts, failures and costs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.verdict_words import SEEDS
from nas.campaigns.store.history import History
from nas.errors import InputError
from nas.export.script import onnx_script
from nas.jobs import names as named
from nas.metrics import Catalogue
from nas.words import compact, counted

KINDS = {
    "searched": "Best found",
    "ensemble": "Best ensemble",
    "shared weights": "Best with shared weights",
    "classic": "Best classic",
    "random": "Best of random search",
}

_LAST = 12
"""How many lines of a traceback a failure shows."""


def leaders(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the best row of each kind by validation, with its value and labels.

    A classic that breaks a constraint of the campaign is left out, as in the verdicts.
    """
    metrics, found = metrics_of(table), []
    for kind, title in KINDS.items():
        rows = table[(table["kind"] == kind) & table["breaks"].isna()]
        retrained = rows[rows["seeds"] > 0]
        by = metrics.search if retrained.empty else metrics.validation
        rows = rows if retrained.empty else retrained
        if rows[by].isna().all():
            continue
        best = rows.loc[metrics.primary.flipped(rows[by].round(12)).idxmin()]
        shown = metrics.test if pd.notna(best[metrics.test]) else by
        found.append(
            {
                "title": title,
                "name": best["name"],
                "kind": kind,
                "value": f"{best[shown]:.4f}",
                "of": _of(shown, best, metrics),
                "cost": f"{compact(best.params)} params, {compact(best.macs)} MACs",
            }
        )
    return found


def _of(shown: str, best: pd.Series, metrics: Catalogue) -> str:
    if shown == metrics.search:
        return f"{metrics[metrics.validation].in_words} in the search, which is optimistic"
    words = metrics[shown].in_words
    seeds = int(best["seeds"])
    if shown == metrics.test and seeds >= SEEDS and pd.notna(best["test_low"]):
        low, high = best["test_low"], best["test_high"]
        return f"{words}, 95 % [{low:.4f}, {high:.4f}], {counted(seeds, 'seed')}"
    return f"{words}, {counted(seeds, 'seed')}"


def failures(trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Groups failed trials by cause and last line, the most frequent first."""
    failed = trials[trials["status"] == "failed"].copy()
    errors = failed["error"].fillna("").str.rstrip()
    failed["last"] = errors.map(lambda error: error.rpartition("\n")[2])
    groups = failed.fillna({"cause": "not recorded"}).groupby(["cause", "last"], sort=False)
    found = [
        {
            "cause": cause.replace("_", " "),
            "last": last or "no message",
            "count": len(rows),
            "trials": ", ".join(rows["trial"].head(5)) + (" …" if len(rows) > 5 else ""),
            "lines": "\n".join(str(rows["error"].iloc[0] or "").splitlines()[-_LAST:]),
        }
        for (cause, last), rows in groups
    ]
    return sorted(found, key=lambda group: -group["count"])


def total(trials: pd.DataFrame, history: History, unit: str) -> list[tuple[str, str]]:
    """Returns what the whole campaign has cost: trials, time in workers, and when.

    Args:
        trials: the table of :func:`nas.analysis.tables.trials.trials`.
        history: the campaign's records.
        unit: of what the hours are: GPU or core.
    """
    results = history.results
    own = {trial: result.accelerators for trial, result in results.items()}
    spent = _spent("all", trials, own)
    final = int((trials["stage"] == "final").sum())
    searched = int((trials["status"] != "duplicate").sum()) - final
    facts = [
        ("Trials", f"{searched:,} in the search, {final:,} in the final stage"),
        ("Time", f"{spent['worker']} in workers, {spent['accelerator']} {unit} hours"),
    ]
    times = [each.time for each in (history.header, *results.values()) if each.time is not None]
    if len(times) > 1:
        first, last = (datetime.fromtimestamp(f(times), UTC) for f in (min, max))
        day = "" if first.date() == last.date() else f"{last:%Y-%m-%d} "
        took = duration((last - first).total_seconds())
        facts.append(("When", f"{first:%Y-%m-%d %H:%M} to {day}{last:%H:%M} UTC, {took}"))
    return facts


def costs(trials: pd.DataFrame, accelerators: dict[str, float]) -> list[dict[str, str]]:
    """Returns the costs of each search and of the final stage.

    Args:
        trials: the table of :func:`nas.analysis.tables.trials.trials`.
        accelerators: the number of accelerators of each trial with a result.
    """
    rows = []
    stage = trials["search"].where(trials["stage"] == "search", "final stage")
    for name, group in trials.groupby(stage, sort=False):
        rows.append(_spent(str(name), group, accelerators))
    if len(rows) > 1:
        rows.append(_spent("all", trials, accelerators))
    return rows


def _spent(name: str, group: pd.DataFrame, accelerators: dict[str, float]) -> dict[str, str]:
    own = group["trial"].map(accelerators).fillna(0.0)
    measured = group["proposal_seconds"].sum()
    epochs = (group["epochs"] - group["epochs_before"].fillna(0)).sum()
    return {
        "name": name,
        "trials": f"{(group['status'] != 'duplicate').sum():,}",
        "failed": f"{(group['status'] == 'failed').sum():,}",
        "epochs": f"{int(epochs):,}",
        "training": duration(group["train_seconds"].sum()),
        "worker": duration(group["seconds"].sum()),
        "accelerator": f"{((group['seconds'] * own).sum() + measured) / 3600:,.3f}",
    }


def duration(seconds: float) -> str:
    """Writes seconds for people: ``42.0 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def use(folder: Path) -> str:
    """Returns the script that runs the exported best network; "" if it was not retrained."""
    name = f"{folder}:best"
    try:
        found = named.reference(name)
    except InputError:  # there is no best network, or it cannot be built again
        return ""
    if found.weights is None or found.preprocessing is None:
        return ""
    return onnx_script(named.short(name), found.preprocessing)
