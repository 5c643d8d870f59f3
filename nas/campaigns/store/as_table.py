"""Makes a table for benchmarks from the results of past campaigns."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from nas.campaigns.store.defaults import with_defaults
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Ask, Result
from nas.errors import InputError
from nas.evaluators.tabular import Floats, Table
from nas.metrics import COSTS, METRICS

_CURVES = (*METRICS.curve, "train_loss")


def campaign(folder: Path, *, campaigns: tuple[str, ...]) -> Table:
    """Makes a table of the completed search trials of campaigns with the same data and recipe.

    Args:
        folder: the folder to which the others are relative.
        campaigns: the folders of the campaigns. If several trials trained the same architecture,
            the first one counts.

    Keys are fingerprints, so a searched space must have the campaigns' input shape and classes. The
    metrics are ``validation_accuracy``, ``validation_loss`` and ``train_loss`` of the search trial,
    which are curves if all trials have the same number of epochs; ``test_accuracy``, the mean over
    the final stage's seeds, which is empty for architectures that were not retrained; and
    ``params``, ``macs``, ``flops`` and ``activations``. Seconds are those of the training.

    Raises :class:`InputError` if a campaign has no completed trial, searched its recipe, inherited
    weights, or differs from the first in data or recipe, because rows with different recipes must
    not be ranked together.
    """
    rows: dict[str, tuple[Ask, Result]] = {}
    tested: dict[str, list[float]] = {}
    files: dict[str, str] = {}
    first: dict[str, Any] = {}
    for name in campaigns:
        path = folder / name / "records.jsonl"
        records = read_records(folder / name)
        if not records:
            raise InputError(f"{path}: there is no record of a campaign")
        history = History(folder / name, records)
        specification = with_defaults(history.header.specification)
        trained = {key: specification.get(key) for key in ("data", "recipe")}
        first = first or trained
        for key, value in trained.items():
            if value is None or value != first[key]:
                raise InputError(f"{path}: {key} is not that of {campaigns[0]}")
        if specification.get("hyperparameters"):
            raise InputError(f"{path}: its recipe was searched too, so its rows do not compare")
        if specification.get("inherit_weights"):
            raise InputError(f"{path}: its trials start from each other's weights, so its rows do "
                             "not compare")  # fmt: skip
        files[f"{name}/records.jsonl"] = hashlib.sha256(path.read_bytes()).hexdigest()
        for trial, result in history.results.items():
            ask, metrics = history.asks[trial], result.metrics
            if result.completed and ask.fidelity is None:
                if ask.stage == "search":
                    rows.setdefault(ask.fingerprint, (ask, result))
                elif METRICS.test in metrics:
                    tested.setdefault(ask.fingerprint, []).append(metrics[METRICS.test])
    return _table(", ".join(str(folder / name) for name in campaigns), rows, tested, files)


def _table(
    source: str,
    rows: dict[str, tuple[Ask, Result]],
    tested: dict[str, list[float]],
    files: dict[str, str],
) -> Table:
    if not rows:
        raise InputError(f"{source}: no search trial has completed")
    results = [result.metrics for _, result in rows.values()]
    metrics: dict[str, Floats] = {
        name: np.array([ask.cost[name] for ask, _ in rows.values()], float) for name in COSTS
    }
    metrics[METRICS.test] = np.array([np.mean(tested.get(key, [np.nan])) for key in rows])
    curves = [result.get("curve", []) for result in results]
    lengths = {len(curve) for curve in curves}
    # If the weights of an epoch before the last are kept, the curve does not end with the result.
    whole = len(lengths) == 1 and not any("kept_epoch" in result for result in results)
    epochs = tuple(range(1, max(lengths) + 1)) if whole else ()
    seconds = None
    for name in _CURVES:
        found = [
            [epoch[name] for epoch in curve] if epochs else result.get(name, np.nan)
            for curve, result in zip(curves, results, strict=True)
        ]
        metrics[name] = np.array(found, float)
    if epochs:
        each = [[epoch["train_seconds"] for epoch in curve] for curve in curves]
        seconds = np.cumsum(each, axis=1)
    elif all("train_seconds" in result for result in results):
        seconds = np.array([result["train_seconds"] for result in results])
    return Table(source, list(rows), "fingerprint", metrics, epochs, seconds, files)
