"""Prepares the data that the page's script draws and lists, as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nas.analysis.plots.campaign import read
from nas.analysis.tables.columns import Columns, metrics_of, network_columns, trial_columns
from nas.campaigns.store.history import History
from nas.campaigns.store.types import Result
from nas.metrics import Catalogue, Metric

_KINDS = {"str": "text", "bool": "flag", "Int64": "count", "UInt64": "id", "float64": "number"}
_ID = {"rank", "seeds", "fidelity"}

_POINTS = 400
"""The largest number of epochs of a learning curve that are drawn."""
_SEARCHED = 300
"""How many trials of the search stage keep their learning curves; they are the best ones."""


_SHOWN = 8
"""How many columns a table shows at first; they fit a page that is 1,280 pixels wide."""


def column(
    name: str, title: str, form: str, meaning: str, place: str, values: Sequence[Any]
) -> dict[str, Any]:
    """Returns a column as the page's script reads it.

    Args:
        name: its name.
        title: its head.
        form: how its values are written: one of the writers in ``table.js``, or another word.
        meaning: what its values are.
        place: "card" (it is also shown on a phone), "first" or "more" (on demand).
        values: one per row; None where nothing is known.
    """
    told = {"name": name, "title": title, "form": form, "meaning": meaning, "place": place}
    return {**told, "values": values}


def columns(
    table: pd.DataFrame,
    declared: Columns,
    names: Sequence[str],
    metrics: Catalogue,
    card: Collection[str],
) -> list[dict[str, Any]]:
    """Returns the columns that are not empty; those in ``card`` are also shown on a phone."""
    found: list[dict[str, Any]] = []
    for name in names:
        dtype, meaning = declared[name]
        if not table[name].notna().any() or (name == "group" and table[name].nunique() < 2):
            continue
        form = _form(name, dtype, metrics)
        place = "card" if name in card else "first" if len(found) < _SHOWN else "more"
        title = _title(name, metrics)
        found.append(column(name, title, form, meaning, place, _plain(table[name], form)))
    return found


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the columns of the results table."""
    metrics = metrics_of(table)
    cost = table.attrs["cost"]
    scores = [metrics.test, "test_std", metrics.validation]
    if not (table["seeds"] > 0).any():
        scores = [metrics.search]
    further = [name for name in metrics.of("networks") if name not in scores]
    rare = {*metrics.on_predictions, "train_seconds"}
    shown = [name for name in further if metrics[name].shown and name not in rare]
    names = ["name", "kind", *scores, cost, *shown, "pareto", "seeds", metrics.search, "rank",
             "test_low", "test_high", *metrics.on_predictions, *further, "group",
             "recipe"]  # fmt: skip
    card = {"name", "kind", scores[0], cost}
    unique = list(dict.fromkeys(names))
    return columns(table, network_columns(metrics), unique, metrics, card)


def trials(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the columns of the table of all trials."""
    metrics = metrics_of(table)
    names = ["trial", "kind", "stage", "status", metrics.validation, metrics.test, "macs"]
    names += [n for n in metrics.of("trials") if n not in names and n not in metrics.evaluated]
    names += ["seconds", "seed", "fidelity", "cause", "parent", "duplicate_of"]
    card = {"trial", "kind", metrics.validation, "macs"}
    return columns(table, trial_columns(metrics), names, metrics, card)


def labels(trials: pd.DataFrame) -> dict[str, str]:
    """Returns, for each trial of the final stage, the table row to which it belongs."""
    final = trials[trials["stage"] == "final"]
    return dict(zip(final["trial"], final["label"], strict=True))


def measured(metrics: Catalogue, limits: Mapping[str, float]) -> dict[str, Any]:
    """Returns what the page's script needs of the metrics: names, words, directions and limits."""
    primary = metrics.primary
    words = {name: metrics[name].in_words for name in (metrics.validation, metrics.test)}
    costs = {
        name: _title(name, metrics)
        for name, metric in metrics.of("networks").items()
        if metric.direction == "minimize" and not name.startswith(("validation_", "test_"))
    }
    return {
        "validation": metrics.validation,
        "test": metrics.test,
        "search": metrics.search,
        "words": words[metrics.validation],
        "form": primary.form,
        "maximize": primary.direction == "maximize",
        "bounds": _bounds(primary),
        "limits": dict(limits),
        "costs": {"macs": costs["macs"], **costs},
        "scores": {
            metrics.test: f"{words[metrics.test]}, final stage",
            metrics.validation: f"{words[metrics.validation]}, final stage",
            metrics.search: f"{words[metrics.validation]}, search",
        },
        "short": [
            metrics.test, metrics.validation, metrics.search, "seeds", "epochs", "params", "macs",
            "latency_ms",
        ],
    }  # fmt: skip


def _bounds(metric: Metric) -> list[float | None]:
    return [bound if math.isfinite(bound) else None for bound in metric.bounds]


_TITLES = {"seconds": "worker, s", "test_low": "95 % low", "test_high": "95 % high",
           "pareto": "front", "duplicate_of": "repeats"}  # fmt: skip


def _title(name: str, metrics: Catalogue) -> str:
    if name in metrics and metrics[name].title:
        return metrics[name].title
    return _TITLES.get(name, name.removesuffix(f"_{metrics.primary.name}").replace("_", " "))


def _form(name: str, dtype: str, metrics: Catalogue) -> str:
    if name in metrics:
        return metrics[name].form
    if name in (metrics.search, "test_std", "test_low", "test_high"):
        return metrics.primary.form
    if name == "seconds":
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
    The result holds ``metric``, its ``bounds`` (None: infinite) and, for each search, ``trial``,
    ``hours`` and ``epochs`` (spent by the search until then), ``value``, and ``by``, the id of the
    trial. The last point is at the search's last trial.
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
    known = campaign.metrics.get(first.metric)
    return {
        "metric": first.metric.replace("_", " "),
        "bounds": [None, None] if known is None else _bounds(known),
        "searches": searches,
    }


def curves(history: History, metrics: Catalogue) -> dict[str, list[list[Any]]]:
    """Returns epochs and validation values of retrained networks and the best searched ones.

    The values are of the task's primary metric.

    Long curves are thinned to 400 epochs. The best 300 trials of the search stage are kept.
    """
    kept: dict[str, list[list[Any]]] = {}
    searched: list[tuple[float, str]] = []
    for trial, result in history.results.items():
        if not result.metrics.get("curve"):
            continue
        if history.asks[trial].stage == "final":
            kept[trial] = _curve(result, metrics.validation)
        elif (value := result.number(metrics.validation)) is not None and _finite(value):
            searched.append((metrics.primary.flipped(value), trial))
    for _, trial in sorted(searched)[:_SEARCHED]:
        kept[trial] = _curve(history.results[trial], metrics.validation)
    return kept


def _curve(result: Result, name: str) -> list[list[Any]]:
    points = [
        (point["epoch"], point[name])
        for point in result.metrics["curve"]
        if _finite(point.get(name)) and _finite(point.get("epoch"))
    ]
    step = max(1, math.ceil(len(points) / _POINTS))
    thinned = points[::-step][::-1]  # this keeps the last point
    return [[epoch for epoch, _ in thinned], [round(value, 5) for _, value in thinned]]


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
