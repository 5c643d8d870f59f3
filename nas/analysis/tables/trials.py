"""Makes tables with one row per trial, or per epoch, from a campaign's records alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from nas.analysis.tables.columns import (
    WITHOUT,
    Columns,
    curve_columns,
    flops_without,
    trial_columns,
)
from nas.analysis.tables.columns import recorded as recorded_metrics
from nas.campaigns.store.history import History, parent_of
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Ask, Measurement, Record, Result
from nas.errors import InputError
from nas.metrics import METRICS, Catalogue, Metric
from nas.spaces.choices import recipe_choices

COLUMNS = trial_columns(METRICS)
"""The columns of :func:`trials` where a campaign declares no metrics of its own."""


def trials(folder: Path | str) -> pd.DataFrame:
    """Returns one row per trial, in the order suggested.

    Columns and dtypes are those of :func:`nas.analysis.tables.columns.trial_columns` for the
    campaign's metrics; all of them are always there. Values that do not fit the dtype are empty. It
    reads only ``records.jsonl``, so it also works while a campaign runs. Raises :class:`InputError`
    if there are no records or if they are corrupt.
    """
    recorded(folder)
    return _table(*_state(Path(folder))).copy()


def curves(folder: Path | str) -> pd.DataFrame:
    """Returns the learning curves that evaluators report, one row per epoch of a completed trial.

    Columns and dtypes are those of :func:`nas.analysis.tables.columns.curve_columns`. Raises the
    errors of :func:`trials`.
    """
    _, history = recorded(folder)
    rows = [
        {"trial": trial, **point}
        for trial, result in history.results.items()
        for point in result.metrics.get("curve") or []
    ]
    return frame(rows, curve_columns(recorded_metrics(history.header.specification)))


def recorded(folder: Path | str) -> tuple[list[Record], History]:
    """Reads the records of a campaign and its trials, which must not be changed.

    They are cached until the file changes. Raises :class:`InputError` if there are no records or if
    they are corrupt.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    records, history = _read(*_state(folder))
    if records:
        return records, history
    if (folder / "row.json").exists():
        raise InputError(f"{folder}: holds one training, no campaign: nas table shows its row")
    if (folder / "checkpoint.pt").exists():
        raise InputError(f"{folder}: holds a training that has not ended: run it again to go on")
    raise InputError(f"{folder}: no records yet; run the campaign: nas run {folder}")


def _state(folder: Path) -> tuple[Path, int, int]:
    """Returns the folder and values that change when its records change."""
    path = folder / "records.jsonl"
    state = path.stat() if path.exists() else None
    return folder, *((state.st_mtime_ns, state.st_size) if state else (0, 0))


@lru_cache(maxsize=2)
def _table(folder: Path, modified: int, size: int) -> pd.DataFrame:
    _, history = _read(folder, modified, size)
    start, metrics = history.header.time, recorded_metrics(history.header.specification)
    rows = [_row(history, ask, start, metrics) for ask in history.asks.values()]
    table = frame(rows, trial_columns(metrics))
    table.attrs["metrics"] = metrics.definition()
    return table


@lru_cache(maxsize=2)  # ten thousand trials take seconds to read, and a report asks many times
def _read(folder: Path, modified: int, size: int) -> tuple[list[Record], History]:
    records = read_records(folder)
    return records, History(folder, records)


def own_recipe(ask: Ask) -> str | None:
    """Returns the searched recipe choices of a trial as JSON, or None."""
    own = recipe_choices(ask.genotype)
    return json.dumps(own) if own else None


def _row(history: History, ask: Ask, start: float | None, known: Catalogue) -> dict[str, Any]:
    trial = ask.trial
    result = history.results.get(trial)
    metrics = {} if result is None else result.metrics
    waiting = "duplicate" if ask.is_duplicate else "unfinished"
    failures = len(history.failures.get(trial, ()))
    counted = metrics.get("fvcore")
    return {
        **{name: _told(metrics, metric) for name, metric in known.of("trials").items()},
        **{name: getattr(ask, name) for name in ask.model_fields_set},
        **ask.cost,
        "flops": (counted if isinstance(counted, dict) else ask.cost).get("flops"),
        WITHOUT: flops_without(ask.cost, metrics),
        "label": ask.label or trial,
        "status": waiting if result is None else result.status,
        "cause": result and result.cause,
        "error": result and result.error,
        "attempts": failures + (not ask.is_duplicate),
        "seconds": result and result.seconds,
        "worker": result and (result.worker or None),
        "asked_s": _since(start, ask),
        "ended_s": _since(start, result),
        "parent": parent_of(ask),
        "mutation": ask.note.get("mutation"),
        "initial": ask.note.get("initial"),
        "recipe": own_recipe(ask),
    }


def _told(metrics: Measurement, metric: Metric) -> Any:
    """Returns the value of a metric in a trial's measurements, or None."""
    if metric.path is None:
        return metrics.get(metric.name)
    tree, path = metrics.get("evaluations"), metric.path
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _since(start: float | None, record: Ask | Result | None) -> float | None:
    if start is None or record is None or record.time is None:
        return None
    return record.time - start


def frame(rows: list[dict[str, Any]], columns: Columns) -> pd.DataFrame:
    """Makes a frame of these columns; values that do not fit their column's type are empty."""
    return pd.DataFrame(
        {
            name: pd.Series([_KEPT[dtype](row.get(name)) for row in rows], dtype=dtype)
            for name, (dtype, _) in columns.items()
        }
    )


def _whole(low: int, high: int) -> Callable[[Any], int | None]:
    return lambda value: value if type(value) is int and low <= value < high else None


_KEPT: dict[str, Callable[[Any], Any]] = {
    "str": lambda value: value if isinstance(value, str) else None,
    "Int64": _whole(-(2**63), 2**63),
    "UInt64": _whole(0, 2**64),
    "float64": lambda value: float(value) if type(value) in (int, float) else None,
}
"""For each dtype, a function that converts a recorded value, or returns None if it does not fit."""
