"""Collects everything that a report shows, as plain values, from a campaign's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from nas.analysis.tables.columns import metrics_of
from nas.analysis.tables.ending import proposals
from nas.analysis.tables.feasibility import limits
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.notes import budgets
from nas.analysis.tables.trials import recorded, trials
from nas.campaigns.store.history import History
from nas.metrics import Catalogue
from nas.report import data, outcome, specification
from nas.report.checklist import checklist
from nas.report.drawings import DRAWN, drawings, genotypes
from nas.report.errors import confusions
from nas.report.figures import figures, tested_images
from nas.report.overview import state
from nas.words import counted

_FIGURED = 1000
"""The largest number of trials for which figures are drawn."""


def context(folder: Path, live: bool = False) -> dict[str, Any]:
    """Collects the values that the page's template uses; its script reads those under ``data``.

    If the campaign is not over, or has no completed trial, ``partial`` says so. Drawing the figures
    takes seconds, so they are left out if there are many trials or if the page is ``live``.

    Raises :class:`nas.errors.InputError` if there are no records, or if they are corrupt or of
    another schema.
    """
    now = state(folder)
    _, history = recorded(folder)
    campaign, every, told = history.header, trials(folder), specification.resolved(folder)
    metrics = metrics_of(every)
    partial = list(specification.unfinished(every, told))
    notes: list[str] = []
    details: list[str] = []
    proposed: dict[str, str] = {}
    verdicts: dict[str, Any] = {"words": [], "notes": []}
    table = None
    if (every["status"] == "completed").any():
        table = campaign_table(folder)
        verdicts = table.attrs["verdicts"]
        details = table.attrs["details"]
        notes = table.attrs["notes"][sum(map(len, verdicts.values())) :]
        notes = [note for note in notes if note not in details]
        proposed = proposals(folder, table)
    else:
        failed = int((every["status"] == "failed").sum())
        partial.insert(0, f"no trial has completed ({failed} failed), so there are no results")
    single = [] if table is None else table[table["kind"] != "ensemble"]["name"].head(DRAWN)
    pictures, undrawn = drawings(folder, history, single)
    figured = not live and table is not None and len(every) <= _FIGURED
    shown, unshown = figures(folder) if figured else ([], [])
    seen = not live and table is not None and (folder / "weights").is_dir()
    tested, untested = tested_images(folder) if seen else ([], "")
    leaders = [] if table is None else outcome.leaders(table)
    spent = list(budgets({"": folder}))
    on_gpu = bool((told.get("environment") or {}).get("gpus"))
    unit = "GPU" if on_gpu else "core"
    return {
        "name": folder.resolve().name,
        "folder": str(folder),
        "partial": partial,
        "counts": _counts(every),
        "about": specification.in_one_line(campaign, told),
        "total": outcome.total(every, history, unit),
        "proposed": proposed,
        "specification": specification.summary(campaign, told),
        "leaders": leaders,
        "rule": _rule(table, metrics),
        "verdicts": verdicts["words"],
        "missing": verdicts["notes"],
        "notes": notes,
        "details": details,
        "best": next((each["name"] for each in leaders if each["kind"] == "searched"), None),
        "drawings": pictures,
        "undrawn": undrawn,
        "figures": shown,
        "unshown": unshown,
        "confusions": confusions(history, leaders),
        "failures": outcome.failures(every),
        "costs": outcome.costs(every, _accelerators(history)),
        "unit": unit,
        "provenance": specification.provenance(campaign, told, every),
        "settings": specification.complete(campaign),
        "checklist": checklist(campaign, told, every, spent),
        "tested": tested,
        "untested": untested,
        "script": outcome.use(folder),
        "data": {
            "state": now,
            "folder": str(folder),
            "rows": [] if table is None else data.rows(table),
            "trials": data.trials(every),
            "incumbents": data.incumbents(folder),
            "curves": data.curves(history, metrics),
            "metrics": data.measured(metrics, limits(campaign.specification)),
            "labels": data.labels(every),
            "drawings": {name: each._asdict() for name, each in pictures.items()},
            "genotypes": genotypes(history, pictures),
        },
    }


def _counts(every: pd.DataFrame) -> str:
    counts = every["status"].value_counts()
    order = ("completed", "stopped", "failed", "unfinished", "duplicate")
    told = ", ".join(f"{counts[status]:,} {status}" for status in order if status in counts)
    if counts.get("duplicate", 0) > 1:
        told += "s"
    return f"{counted(len(every), 'trial')}: {told}"


def _rule(table: pd.DataFrame | None, metrics: Catalogue) -> str:
    """Says how the best network of each kind was picked."""
    words = metrics[metrics.validation].in_words
    if table is None or not (table["seeds"] > 0).any():
        return f"The best of each kind has the best {words} that the search observed."
    return (
        f"The best of each kind has the best mean {words} over the seeds of the final stage; "
        "the test images were read once and selected nothing."
    )


def _accelerators(history: History) -> dict[str, float]:
    return {trial: result.accelerators for trial, result in history.results.items()}
