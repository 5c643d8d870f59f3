"""What passes between the runner of a campaign and the engines that carry out its trials."""

import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from nas.registry import resolve

Json = dict[str, Any]


class CampaignError(RuntimeError):
    """The campaign cannot go on, though its input is well formed and its records are safe.

    Neither bad input (:class:`nas.errors.InputError`) nor a bug of this program's own: the first
    trials all failed, or the disk is full. The message says what to do; the command line shows
    it without a traceback and exits with code 1.
    """


@dataclass(frozen=True)
class Trial:
    """One trial to carry out: its id and what the evaluator is called with (plain JSON)."""

    id: str
    payload: Json


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        status: whether the evaluator returned.
        metrics: what it returned (plain JSON), empty on failure.
        error: on failure, the reason: a traceback, as a rule.
        seconds: wall time in the worker.
    """

    status: Literal["completed", "failed"]
    metrics: Json
    error: str | None
    seconds: float


def failure(error: str, seconds: float = 0.0) -> Outcome:
    """The outcome of a trial that did not deliver."""
    return Outcome("failed", {}, error, seconds)


class Source(Protocol):
    """Where an engine gets its trials and leaves their outcomes: the runner of a campaign."""

    def next(self) -> Trial | None:
        """A trial to start, or None: nothing now.

        None is final when no trial is under way; otherwise the outcome of one may bring more.
        """

    def done(self, trial: str, outcome: Outcome) -> None:
        """Takes the outcome of a trial that :meth:`next` gave out."""


class Engine(Protocol):
    """Carries trials out: in this process, or on Ray Tune."""

    @property
    def slots(self) -> int:
        """How many trials run at a time; known once :meth:`run` has begun."""

    def run(self, source: Source) -> None:
        """Carries out trials until the source has no more.

        Raises KeyboardInterrupt when the user stops it: trials under way are abandoned, every
        outcome that was handed over stays.
        """


def attempt(
    evaluator: str, payload: Mapping[str, Any], fatal: Callable[[Exception], bool] | None = None
) -> Outcome:
    """Calls an evaluator, an ordinary exception becoming the outcome of the trial.

    Args:
        evaluator: ``"module:attribute"`` of a function from a plain mapping to a plain dict.
        payload: what it is called with.
        fatal: which exceptions are let through, because the process is of no more use.
    """
    started = time.perf_counter()
    try:
        metrics = resolve(evaluator)(payload)
    except Exception as error:
        if fatal is not None and fatal(error):
            raise
        return failure(traceback.format_exc(), time.perf_counter() - started)
    return Outcome("completed", _finite(metrics), None, time.perf_counter() - started)


def _finite(value: Any) -> Any:
    """Plain JSON has no NaN and no infinity (a diverged loss): they become null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
