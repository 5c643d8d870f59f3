"""What passes between the runner of a campaign and the engines that carry out its trials."""

import inspect
import math
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from nas.registry import resolve

Json = dict[str, Any]

Evaluator = str | Callable[..., Any]
"""From a trial's payload to its metrics, plain JSON, or the ``"module:attribute"`` of that.

What trials share stands beside the payload, in the same mapping (:attr:`Trial.shared`). A generator
function is also given a checkpoint or None, and yields its progress: see
:mod:`nas.evaluators.work`.
"""

CHECKPOINT_SECONDS = 60.0
"""How often a long trial is saved; a shorter one, only where another may go on with it."""

Cause = Literal["error", "out_of_memory", "diverged", "time_limit", "worker_died", "infeasible"]


class Shared(NamedTuple):
    """Data that trials share, too large to send with each.

    Attributes:
        key: what is the same has the same key.
        load: gives the data; the engine calls it once a key.
    """

    key: str
    load: Callable[[], Any]


@dataclass(frozen=True)
class Trial:
    """One trial to carry out.

    Attributes:
        id: of the campaign.
        payload: what the evaluator is called with.
        checkpoint: the file it goes on from.
        keep: whether another trial may go on with it, so that its last state is wanted.
        shared: what the evaluator gets beside the payload, by name; other trials do not get it.
    """

    id: str
    payload: Json
    checkpoint: Path | None = None
    keep: bool = False
    shared: Mapping[str, Shared] = field(default_factory=dict)


@dataclass(frozen=True)
class Update:
    """How far a trial is: the metrics of its last epoch, and its state if it was saved."""

    metrics: Json
    checkpoint: bytes | None


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        status: whether the evaluator returned, failed, or was stopped as its source wished.
        metrics: what it returned (plain JSON), empty if it did not.
        error: on failure, the reason: a traceback, as a rule.
        seconds: wall time in the worker.
        cause: on failure, what kind it is of.
        checkpoint: its last state, where it was to be kept.
        worker: which process carried it out, as ``HOST/NODE/PID`` (the node's id is Ray's);
            None: this one, or one that did not live to tell.
    """

    status: Literal["completed", "failed", "stopped"]
    metrics: Json
    error: str | None
    seconds: float
    cause: Cause | None = None
    checkpoint: bytes | None = None
    worker: str | None = None


def failure(error: str, seconds: float = 0.0, cause: Cause = "error") -> Outcome:
    """The outcome of a trial that did not deliver."""
    return Outcome("failed", {}, error, seconds, cause)


def stopped(seconds: float) -> Outcome:
    """The outcome of a trial that its source wished to end; the source knows its metrics."""
    return Outcome("stopped", {}, None, seconds)


class Source(Protocol):
    """Where an engine gets its trials and leaves their outcomes: the runner of a campaign."""

    def next(self) -> Trial | None:
        """A trial to start, or None: nothing now.

        None is final when no trial is under way; otherwise the outcome of one may bring more.
        """

    def update(self, trial: str, update: Update) -> bool:
        """Hears how far a trial under way is; returns whether to stop it there."""

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


def carry_out(
    evaluator: Evaluator,
    payload: Mapping[str, Any],
    checkpoint: bytes | None = None,
    keep: bool = False,
    fatal: Callable[[Exception], bool] | None = None,
) -> Generator[Update | Outcome, None, None]:
    """Calls an evaluator; yields its updates and last its outcome, an exception being one too.

    Args:
        evaluator: what to call.
        payload: what it is called with.
        checkpoint: what it goes on from.
        keep: whether the outcome holds its last state.
        fatal: which exceptions are let through, because the process is of no more use.
    """
    started = saved = time.perf_counter()
    progress = None
    state = None
    try:
        function = resolve(evaluator) if isinstance(evaluator, str) else evaluator
        if not inspect.isgeneratorfunction(function):
            metrics = function(payload)
        else:
            work = function(payload, checkpoint)
            while True:
                try:
                    progress = next(work)
                except StopIteration as end:
                    metrics = end.value
                    break
                due = time.perf_counter() - saved >= CHECKPOINT_SECONDS
                yield Update(_plain(progress.metrics), progress.save() if due else None)
                saved = time.perf_counter() if due else saved
            if keep and progress is not None:
                state = progress.save()
        if not isinstance(metrics, Mapping):
            raise TypeError(f"the evaluator returned {metrics!r}, expected a mapping of metrics")
        metrics = _plain(metrics)
    except Exception as error:
        if fatal is not None and fatal(error):
            raise
        seconds = time.perf_counter() - started
        outcome = failure(traceback.format_exc(), seconds, _cause(error))
    else:
        seconds = time.perf_counter() - started
        outcome = Outcome("completed", metrics, None, seconds, checkpoint=state)
    yield outcome  # when the exception, and the network that it holds, are forgotten


def attempt(evaluator: Evaluator, payload: Mapping[str, Any]) -> Outcome:
    """Calls an evaluator to the end and gives its outcome alone."""
    *_, outcome = carry_out(evaluator, payload)
    assert isinstance(outcome, Outcome)
    return outcome


def _cause(error: Exception) -> Cause:
    kind = type(error).__name__
    signs = ("can't allocate memory", "CUDA error: out of memory")
    if kind in ("OutOfMemoryError", "MemoryError") or any(sign in str(error) for sign in signs):
        return "out_of_memory"
    causes: dict[str, Cause] = {"Diverged": "diverged", "Infeasible": "infeasible"}
    return causes.get(kind, "error")


def poisons_the_process(error: Exception) -> bool:
    """Whether every later CUDA call of the process fails too: it must be replaced."""
    if type(error).__name__ == "OutOfMemoryError":
        return False
    signs = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "device-side assert")
    return type(error).__name__ == "AcceleratorError" or any(s in str(error) for s in signs)


def _plain(value: Any, where: str = "metrics") -> Any:
    """Metrics as plain JSON: numbers of numpy and torch become Python's.

    JSON has no NaN and no infinity (a diverged loss): they become null. Raises TypeError for what
    else it does not have.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}.{i}") for i, item in enumerate(value)]
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"the evaluator returned {value!r} as {where}, which is no plain JSON")
