"""Prepares the data that the page's script draws and lists, as plain values for JSON."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nas.analysis.plots.campaign import read
from nas.analysis.tables import networks as network_table
from nas.analysis.tables import trials as trial_table
from nas.analysis.tables.trials import EVALUATED
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Result

_ROWS = (
    "name", "kind", "test_accuracy", "test_std", "seeds", "validation_accuracy", "search_accuracy",
    "rank", "pareto", "params", "macs", "latency_ms", "train_seconds", "test_low", "test_high",
    *EVALUATED, "flops", "activations", "conditions", "recipe",
)  # fmt: skip
_TRIALS = (
    "trial", "kind", "stage", "status", "validation_accuracy", "test_accuracy", "params", "macs",
    "flops", "activations", "latency_ms", "epochs", "train_seconds", "seconds", "seed", "fidelity",
    "cause", "parent", "duplicate_of",
)  # fmt: skip

_KINDS = {"str": "text", "bool": "flag", "Int64": "count", "UInt64": "id", "float64": "number"}
_ID = {"rank", "seeds", "epochs", "fidelity"}

_POINTS = 400
"""The largest number of epochs of a learning curve that are drawn."""
_SEARCHED = 300
"""How many trials of the search stage keep their learning curves; they are the best ones."""


def columns(table: pd.DataFrame, module: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Returns the columns that are not empty: name, title, format, meaning and values."""
    found = []
    for name in names:
        dtype, meaning = module.COLUMNS[name]
        if not table[name].notna().any() or (name == "conditions" and table[name].nunique() < 2):
            continue
        found.append(
            {
                "name": name,
                "title": _title(name),
                "form": _form(name, dtype),
                "meaning": meaning,
                "values": _plain(table[name], _form(name, dtype)),
            }
        )
    return found


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the columns of the results table."""
    return columns(table, network_table, _ROWS)


def trials(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the columns of the table of all trials."""
    return columns(table, trial_table, _TRIALS)


def _title(name: str) -> str:
    units = {"latency_ms": "latency, ms", "train_seconds": "training, s", "seconds": "worker, s",
             "macs": "MACs", "flops": "FLOPs", "test_low": "95 % low", "test_high": "95 % high",
             "pareto": "front", "test_std": "test std", "duplicate_of": "repeats"}  # fmt: skip
    return units.get(name, name.replace("_accuracy", "").replace("_", " "))


def _form(name: str, dtype: str) -> str:
    if name.endswith("_loss"):
        return "number"
    if name.startswith(("test_", "validation_", "search_acc")):
        return "fraction"
    if name.endswith("_ms"):
        return "milliseconds"
    if name.endswith("seconds"):
        return "seconds"
    return "id" if name in _ID else _KINDS[dtype]


_PLACES = {"fraction": 6, "milliseconds": 4, "seconds": 2}


def _plain(values: pd.Series, form: str) -> list[Any]:
    places = _PLACES.get(form)
    plain = values.astype("object").where(values.notna(), None).tolist()
    return plain if places is None else [v if v is None else round(v, places) for v in plain]


def incumbents(folder: Path) -> dict[str, Any]:
    """Returns each search's best value of the first objective, at each trial that improves it.

    Duplicates are not counted. If fidelities differ, only trials of the highest can be the best.
    The result holds ``metric`` and, for each search, ``trial``, ``hours`` and ``epochs`` (spent by
    the search until then), ``value``, and ``by``, the id of the trial. The last point is at the
    search's last trial.
    """
    campaign = read(folder)
    first = campaign.objectives[0]
    searches = {}
    for search, rows in campaign.searched.groupby("search", sort=False):
        flipped = first.flipped(1.0) * rows["value0"].to_numpy(dtype=float)
        best = np.fmin.accumulate(flipped)
        improves = np.flatnonzero(flipped < np.nan_to_num(np.r_[np.inf, best[:-1]], nan=np.inf))
        if not len(improves):
            continue
        epochs = [campaign.history.results[trial].epochs for trial in rows["trial"]]
        shown = np.r_[improves, len(rows) - 1]
        by = np.r_[improves, improves[-1]]
        searches[str(search)] = {
            "trial": (shown + 1).tolist(),
            "hours": np.round(rows["hours"].to_numpy(dtype=float)[shown], 6).tolist(),
            "epochs": np.cumsum(epochs)[shown].tolist(),
            "value": [round(value, 6) for value in rows["value0"].iloc[by].tolist()],
            "by": rows["trial"].iloc[by].tolist(),
        }
    return {"metric": first.metric.replace("_", " "), "searches": searches}


def curves(history: History) -> dict[str, list[list[Any]]]:
    """Returns epochs and validation accuracies of retrained networks and the best searched ones.

    Long curves are thinned to 400 epochs. The best 300 trials of the search stage are kept.
    """
    kept: dict[str, list[list[Any]]] = {}
    searched: list[tuple[float, str]] = []
    for trial, result in history.results.items():
        if not result.metrics.get("curve"):
            continue
        if history.asks[trial].stage == "final":
            kept[trial] = _curve(result)
        elif _finite(result.metrics.get("validation_accuracy")):
            searched.append((-result.metrics["validation_accuracy"], trial))
    for _, trial in sorted(searched)[:_SEARCHED]:
        kept[trial] = _curve(history.results[trial])
    return kept


def _curve(result: Result) -> list[list[Any]]:
    points = [
        (point["epoch"], point["validation_accuracy"])
        for point in result.metrics["curve"]
        if _finite(point.get("validation_accuracy")) and _finite(point.get("epoch"))
    ]
    step = max(1, math.ceil(len(points) / _POINTS))
    thinned = points[::-step][::-1]  # this keeps the last point
    return [[epoch for epoch, _ in thinned], [round(value, 5) for _, value in thinned]]


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
