"""Every trial of a campaign as a row, and every epoch, from its records alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from nas.campaigns.drive.stages import trial_name
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Ask, Record, Result
from nas.errors import InputError
from nas.metrics import Protocol
from nas.spaces.choices import recipe_choices

EVALUATED = {
    "test_loss": ("single", "test", "loss"),
    "test_top5": ("single", "test", "top5"),
    "test_calibration_error": ("single", "test", "calibration_error"),
    **{f"{part}_{protocol}": (protocol, part, "accuracy")
       for protocol in get_args(Protocol)[1:] for part in ("validation", "test")},
}  # fmt: skip
"""The columns that the final stage's ``evaluations`` fill, and where in them each stands: under
which protocol, part and metric."""

COLUMNS = {
    "trial": ("str", "its id"),
    "stage": ("str", "search, or final: retrained from scratch and tested"),
    "kind": ("str", "searched (suggested by the campaign's searcher), random (by its baseline), "
                    "classic or ensemble (of the best searched ones, once retrained)"),
    "search": ("str", "the searcher that asked for it; empty in the final stage"),
    "number": ("Int64", "the searcher's number for it; likewise"),
    "label": ("str", "final stage: what the seeds of one architecture share, the trial that found "
                     "it or the classic's name; search stage: the trial"),
    "seed": ("UInt64", "of its training"),
    "fidelity": ("Int64", "that the searcher asked for: epochs, or what else the campaign counts; "
                          "empty: the full one"),
    "status": ("str", "completed, stopped (early), failed, unfinished (asked, no result yet) or "
                      "duplicate (its result is that of duplicate_of; it spent no budget)"),
    "cause": ("str", "of a failure: error, out_of_memory, diverged, time_limit, worker_died or "
                     "infeasible"),
    "error": ("str", "of a failure: the last traceback"),
    "attempts": ("Int64", "how often it was begun, once more for each worker that died"),
    "fingerprint": ("str", "of the architecture: equal for isomorphic ones"),
    "params": ("Int64", "trainable parameters"),
    "macs": ("Int64", "multiply-accumulates, batch 1, by the analytic rule"),
    "flops": ("Int64", "what fvcore totals; where it has not counted, by the equal analytic rule"),
    "activations": ("Int64", "elements that convolution and linear layers put out"),
    "latency_ms": ("float64", "where the evaluator measured it"),
    "validation_accuracy": ("float64", "a fraction, after its last epoch"),
    "test_accuracy": ("float64", "a fraction; final stage alone"),
    "test_loss": ("float64", "of the same, mean cross entropy in nats"),
    "test_top5": ("float64", "the fraction with the truth among the five most probable; empty for "
                             "up to five classes"),
    "test_calibration_error": ("float64", "expected, in 15 bins (Guo et al. 2017)"),
    "validation_flip": ("float64", "validation accuracy with mirror images (final.protocol: flip)"),
    "test_flip": ("float64", "test accuracy likewise"),
    "validation_ten_crop": ("float64", "validation accuracy of ten crops (final.protocol: "
                                       "ten_crop)"),
    "test_ten_crop": ("float64", "test accuracy likewise"),
    "validation_multi_scale": ("float64", "validation accuracy of two sizes (final.protocol: "
                                          "multi_scale)"),
    "test_multi_scale": ("float64", "test accuracy likewise"),
    "validation_loss": ("float64", "mean cross entropy in nats"),
    "train_loss": ("float64", "as it was minimised, of the last epoch"),
    "epochs": ("Int64", "trained in all, those of the trial that it continues included"),
    "epochs_before": ("Int64", "of these, those of the trial that it continues"),
    "train_seconds": ("float64", "in training steps, those of the trial it continues included"),
    "seconds": ("float64", "wall time in the worker"),
    "worker": ("str", "the process that it ran in, where the engine has several"),
    "asked_s": ("float64", "when it was given out, in seconds since the campaign's first record"),
    "ended_s": ("float64", "when its result was recorded, likewise"),
    "duplicate_of": ("str", "the trial whose architecture it repeats"),
    "parent": ("str", "the trial that it was mutated from, where the searcher tells"),
    "recipe": ("str", "what was searched of the recipe with it, as JSON; empty: nothing"),
}  # fmt: skip
"""The columns of :func:`trials`: dtype and meaning. What is not known, or is no
value of its dtype in the records, is empty: NaN, or NA of "Int64"."""

_METRICS = (
    "latency_ms", "validation_accuracy", "test_accuracy", "validation_loss", "train_loss", "epochs",
    "epochs_before", "train_seconds",
)  # fmt: skip
"""The columns that are the evaluator's to tell."""

CURVE_COLUMNS = {
    "trial": ("str", "its id"),
    "epoch": ("Int64", "from 1; of a continued trial, those before it included"),
    "train_loss": ("float64", "as it was minimised: augmented, smoothed, in training mode"),
    "validation_loss": ("float64", "mean cross entropy in nats"),
    "validation_accuracy": ("float64", "a fraction"),
    "train_seconds": ("float64", "of this epoch"),
    "evaluation_seconds": ("float64", "of this epoch"),
}
"""The columns of :func:`curves`: dtype and meaning."""


def trials(folder: Path | str) -> pd.DataFrame:
    """One row a trial, in the order asked. Columns and dtypes: :data:`COLUMNS`, always all.

    Reads ``records.jsonl`` alone, while a campaign runs, too. Raises :class:`InputError` where
    there are no records or they are corrupt.
    """
    recorded(folder)
    return _table(*_state(Path(folder))).copy()


def curves(folder: Path | str) -> pd.DataFrame:
    """The learning curves: one row an epoch of a completed trial, as far as the evaluator tells.

    Columns and dtypes: :data:`CURVE_COLUMNS`. Raises as :func:`trials`.
    """
    _, history = recorded(folder)
    rows = [
        {"trial": trial, **point}
        for trial, result in history.results.items()
        for point in result.metrics.get("curve") or []
    ]
    return frame(rows, CURVE_COLUMNS)


def recorded(folder: Path | str) -> tuple[list[Record], History]:
    """The records of a campaign, and its trials: to be read, not to be changed.

    The same as before while the file is. Raises :class:`InputError` where there are none or they
    are corrupt.
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
    """The folder and what changes when its records do."""
    path = folder / "records.jsonl"
    state = path.stat() if path.exists() else None
    return folder, *((state.st_mtime_ns, state.st_size) if state else (0, 0))


@lru_cache(maxsize=2)  # likewise
def _table(folder: Path, modified: int, size: int) -> pd.DataFrame:
    _, history = _read(folder, modified, size)
    start = history.header.time
    return frame([_row(history, ask, start) for ask in history.asks.values()], COLUMNS)


@lru_cache(maxsize=2)  # ten thousand trials take seconds to read, and a report asks many times
def _read(folder: Path, modified: int, size: int) -> tuple[list[Record], History]:
    records = read_records(folder)
    return records, History(folder, records)


def own_recipe(ask: Ask) -> str | None:
    """What was searched of the recipe with the architecture, as JSON; None: nothing."""
    own = recipe_choices(ask.genotype)
    return json.dumps(own) if own else None


def _row(history: History, ask: Ask, start: float | None) -> dict[str, Any]:
    trial = ask.trial
    result = history.results.get(trial)
    metrics = {} if result is None else result.metrics
    waiting = "duplicate" if ask.is_duplicate else "unfinished"
    parent = ask.note.get("parent")
    failures = len(history.failures.get(trial, ()))
    counted = metrics.get("fvcore")
    return {
        **{name: metrics.get(name) for name in _METRICS},
        **{name: _within(metrics.get("evaluations"), path) for name, path in EVALUATED.items()},
        **{name: getattr(ask, name) for name in ask.model_fields_set},
        **ask.cost,
        "flops": (counted if isinstance(counted, dict) else ask.cost).get("flops"),
        "label": ask.label or trial,
        "status": waiting if result is None else result.status,
        "cause": result and result.cause,
        "error": result and result.error,
        "attempts": failures + (not ask.is_duplicate),
        "seconds": result and result.seconds,
        "worker": result and (result.worker or None),
        "asked_s": _since(start, ask),
        "ended_s": _since(start, result),
        "parent": trial_name(ask.search, parent) if isinstance(parent, int) else None,
        "recipe": own_recipe(ask),
    }


def _within(tree: Any, path: Iterable[str]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _since(start: float | None, record: Ask | Result | None) -> float | None:
    if start is None or record is None or record.time is None:
        return None
    return record.time - start


def frame(rows: list[dict[str, Any]], columns: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """The rows, with these columns alone; a value of another type than its column's is empty."""
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
"""By dtype, a value of the records, or None where it is no such."""
