"""Converts a campaign's trials to Optuna's, for its dashboard and its visualizations."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.campaigns.store.history import History
from nas.campaigns.store.types import Ask, Measurement, Result, given

STATES = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "unfinished": TrialState.RUNNING,
}
"""The state in Optuna for each status of a trial."""


@contextmanager
def quiet() -> Iterator[None]:
    """Suppresses Optuna's log messages and its warnings about experimental features."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def frozen_trials(asks: list[Ask], history: History, metrics: list[str]) -> Iterator[FrozenTrial]:
    """Yields the trials of a study, as :func:`optuna_studies` describes them.

    Args:
        asks: the asks of the trials.
        history: the history that holds their results.
        metrics: the names of the objectives.
    """
    choices: dict[str, dict[str, Any]] = {}  # the options of each parameter, by their JSON
    for ask in asks:
        for name, option in ask.genotype.items():
            choices.setdefault(name, {})[json.dumps(option)] = option
    spaces = {
        name: CategoricalDistribution([found[key] for key in sorted(found)])
        for name, found in choices.items()
    }
    for ask in asks:
        yield _trial(ask, history.results.get(ask.trial), spaces, metrics)


def _trial(
    ask: Ask,
    result: Result | None,
    spaces: Mapping[str, CategoricalDistribution],
    metrics: list[str],
) -> FrozenTrial:
    state = STATES["unfinished" if result is None else result.status]
    told: Measurement = {} if result is None else result.metrics
    values: list[Any] = [told.get(metric, ask.cost.get(metric)) for metric in metrics]
    curve = {point["epoch"]: point.get(metrics[0]) for point in told.get("curve") or []}
    trial = create_trial(
        state=state,
        values=values if state == TrialState.COMPLETE else None,
        params=ask.genotype,
        distributions={name: spaces[name] for name in ask.genotype},
        intermediate_values={e: v for e, v in curve.items() if isinstance(v, int | float)},
        user_attrs={
            "trial": ask.trial,
            "fingerprint": ask.fingerprint,
            **ask.cost,
            **given(fidelity=ask.fidelity),
            "note": ask.note,
            **{key: value for key, value in told.items() if isinstance(value, int | float | str)},
            **({} if result is None else result.model_dump(include={"seconds", "cause", "error"})),
        },
    )
    trial.datetime_start = _when(ask)
    trial.datetime_complete = None if result is None else _when(result)
    return trial


def _when(record: Ask | Result) -> datetime:
    return datetime.fromtimestamp(record.time or 0.0)
