"""The interface between the runner of a campaign and the engines that carry out its trials."""

import inspect
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, Self

from nas.configuration import validate_options
from nas.errors import CampaignError, InputError, readable, shown, text_of, told
from nas.evaluators.base import Evaluate, Function
from nas.evaluators.work import Progress

Json = dict[str, Any]

Evaluator = str | Evaluate
"""A function from a trial's payload to its metrics, or its name: ``package.module:NAME``.

Data that trials share are added to the payload (:attr:`Trial.shared`).
"""

CHECKPOINT_SECONDS = 60.0
"""How often a long trial is saved; a shorter one is saved only if another trial may continue it."""

Cause = Literal["error", "out_of_memory", "diverged", "time_limit", "worker_died", "infeasible"]


class NoRoom(InputError):
    """No node of the cluster has what one trial needs."""


class Shared(NamedTuple):
    """Data that trials share because they are too large to send with each trial.

    Attributes:
        key: equal data have equal keys.
        load: loads the data; the engine calls it once per key.
    """

    key: str
    load: Callable[[], Any]


@dataclass(frozen=True)
class Trial:
    """A trial to carry out.

    Attributes:
        id: the id of the trial in the campaign.
        payload: the argument of the evaluator.
        checkpoint: the file from which the trial continues.
        keep: whether to keep the last state, because another trial may continue it.
        shared: shared data that are added to the payload, by name.
    """

    id: str
    payload: Json
    checkpoint: Path | None = None
    keep: bool = False
    shared: Mapping[str, Shared] = field(default_factory=dict)

    def state(self) -> bytes | None:
        """Reads the state from which the trial continues; None if it does not continue.

        Raises :class:`CampaignError` that names the file if it cannot be read.
        """
        if self.checkpoint is None:
            return None
        try:
            return self.checkpoint.read_bytes()
        except OSError as error:
            raise CampaignError(
                f"{self.checkpoint}: cannot be read: {error.strerror}; earlier results are safe: "
                "solve this and run the command again"
            ) from error


@dataclass(frozen=True)
class Update:
    """The progress of a trial: the metrics of its last epoch, and its state if it was saved."""

    metrics: Json
    checkpoint: bytes | None


@dataclass(frozen=True)
class Outcome:
    """The end of a trial.

    Attributes:
        status: whether the evaluator returned, failed, or was stopped by its source.
        metrics: the metrics that it returned (plain JSON); empty if it did not return.
        error: the reason of a failure, usually a traceback.
        seconds: the wall time in the worker.
        cause: the kind of a failure.
        checkpoint: the last state, if it should be kept.
        worker: the process that carried out the trial, as ``HOST/NODE/PID`` (the node's id is
            Ray's); None for this process, or for one that died.
    """

    status: Literal["completed", "failed", "stopped"]
    metrics: Json
    error: str | None
    seconds: float
    cause: Cause | None = None
    checkpoint: bytes | None = None
    worker: str | None = None


def failure(error: str, seconds: float = 0.0, cause: Cause = "error") -> Outcome:
    """Makes the outcome of a failed trial."""
    return Outcome("failed", {}, error, seconds, cause)


def stopped(seconds: float) -> Outcome:
    """Makes the outcome of a trial that its source has stopped; the source knows its metrics."""
    return Outcome("stopped", {}, None, seconds)


class Source(Protocol):
    """The source of an engine's trials, which also takes their outcomes: a campaign's runner."""

    def next(self) -> Trial | None:
        """Returns a trial to start, or None if there is none now.

        None is final if no trial is running; otherwise the outcome of one may lead to more trials.
        """

    def update(self, trial: str, update: Update) -> bool:
        """Takes the progress of a running trial; returns whether to stop it."""

    def done(self, trial: str, outcome: Outcome) -> None:
        """Takes the outcome of a trial that :meth:`next` returned."""


class Settings(NamedTuple):
    """Holds what ``engine:`` in ``campaign.yaml`` says.

    Attributes:
        campaign: a name that no other campaign of this machine has.
        cpus: cores of one trial.
        gpus: GPUs of one trial, fractions below one allowed; None: one if there are any.
        time_limit: seconds that a trial may take; None: any.
        options: those of the engine alone.
    """

    campaign: str
    cpus: int = 1
    gpus: float | None = None
    time_limit: float | None = None
    options: Mapping[str, Any] = MappingProxyType({})


class Engine(ABC):
    """Carries out trials, for example in this process or on Ray Tune.

    A user's engine is a subclass that is made of what it calls, and takes its options as
    keyword-only arguments: ``def __init__(self, evaluate, *, hosts=1)``.

    Attributes:
        slots: how many trials run at the same time; known once :meth:`run` has started.
    """

    slots: int

    @classmethod
    def for_campaign(cls, evaluate: Evaluator, settings: Settings) -> Self:
        """The engine that ``campaign.yaml`` asks for; by default from the options alone."""
        return cls(evaluate, **validate_options(cls, settings.options))  # type: ignore[call-arg]

    @property
    def now(self) -> float:
        """Seconds on the clock that budgets are measured by."""
        return time.monotonic()

    @abstractmethod
    def run(self, source: Source) -> None:
        """Carries out trials until the source has no more.

        Raises KeyboardInterrupt if the user stops it. Running trials are then abandoned; outcomes
        that the source has taken are kept.
        """


def is_interrupt(error: BaseException) -> bool:
    """Tells if an exception is that of Ctrl-C, which stops a run in this process."""
    return isinstance(error, KeyboardInterrupt)


def carry_out(
    evaluator: Evaluator,
    payload: Mapping[str, Any],
    checkpoint: bytes | None = None,
    keep: bool = False,
    fatal: Callable[[BaseException], bool] = is_interrupt,
) -> Generator[Update | Outcome, None, None]:
    """Calls an evaluator and yields its updates, then its outcome, also after an exception.

    Args:
        evaluator: the evaluator.
        payload: its argument.
        checkpoint: the state from which it continues.
        keep: whether the outcome holds the last state.
        fatal: tells which exceptions are raised because the process should end. All others, also
            ``SystemExit``, are a failure of the trial.
    """
    started = time.perf_counter()
    steps = _steps(evaluator, payload, checkpoint, keep)
    outcome = None
    while outcome is None:
        try:
            update = next(steps)
        except StopIteration as end:
            metrics, state = end.value
            seconds = time.perf_counter() - started
            outcome = Outcome("completed", metrics, None, seconds, checkpoint=state)
        except BaseException as error:
            if fatal(error):
                raise
            outcome = failure(told(error), time.perf_counter() - started, cause(error))
        else:
            yield update
    yield outcome  # here the exception, and the network that it refers to, have been freed


def _steps(
    evaluator: Evaluator, payload: Mapping[str, Any], checkpoint: bytes | None, keep: bool
) -> Generator[Update, None, tuple[Json, bytes | None]]:
    """Calls an evaluator; yields its updates, and returns its metrics and the state to keep."""
    evaluate = Function(evaluator) if isinstance(evaluator, str) else evaluator
    function = evaluate.load() if isinstance(evaluate, Function) else evaluate
    progress = None
    if not inspect.isgeneratorfunction(function):
        metrics = function(payload)
    else:
        saved = time.perf_counter()
        work = function(payload, checkpoint)
        while True:
            try:
                progress = next(work)
            except StopIteration as end:
                metrics = end.value
                break
            if not isinstance(progress, Progress):
                raise TypeError(f"the evaluator yielded {shown(progress)}, expected a Progress")
            due = time.perf_counter() - saved >= CHECKPOINT_SECONDS
            yield Update(_point(progress), _state(progress) if due else None)
            saved = time.perf_counter() if due else saved
    if not isinstance(metrics, Mapping):
        raise TypeError(f"the evaluator returned {shown(metrics)}, expected a mapping of metrics")
    return _plain(metrics), _state(progress) if keep and progress is not None else None


def _point(progress: Progress) -> Json:
    """Returns the metrics of an epoch as plain JSON."""
    if not isinstance(progress.metrics, Mapping):
        raise TypeError(f"the evaluator yielded {shown(progress.metrics)}, expected metrics")
    metrics: Json = _plain(progress.metrics)
    epoch = metrics.get("epoch", 1)
    if type(epoch) is not int or epoch < 1:
        raise TypeError(f"the evaluator yielded epoch {epoch!r}, expected a whole number from 1")
    return metrics


def _state(progress: Progress) -> bytes:
    state = progress.save()
    if not isinstance(state, bytes):
        raise TypeError(f"the evaluator saved {shown(state)} as its state, expected bytes")
    return state


def attempt(evaluator: Evaluator, payload: Mapping[str, Any]) -> Outcome:
    """Calls an evaluator and returns only its outcome."""
    *_, outcome = carry_out(evaluator, payload)
    assert isinstance(outcome, Outcome)
    return outcome


def cause(error: BaseException) -> Cause:
    """Returns the kind of failure that an exception stands for."""
    kind, text = type(error).__name__, text_of(error)
    signs = ("can't allocate memory", "CUDA error: out of memory")
    no_memory = kind == "OutOfMemoryError" or isinstance(error, MemoryError)
    if no_memory or any(sign in text for sign in signs):
        return "out_of_memory"
    causes: dict[str, Cause] = {"Diverged": "diverged", "Infeasible": "infeasible"}
    return causes.get(kind, "error")


def poisons_the_process(error: BaseException) -> bool:
    """Tells if all later CUDA calls of the process would fail too, so that it must be replaced."""
    if type(error).__name__ == "OutOfMemoryError":
        return False
    signs = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "device-side assert")
    text = text_of(error)
    return type(error).__name__ == "AcceleratorError" or any(sign in text for sign in signs)


_DEEPEST = 50
"""How many lists and mappings may be inside each other in metrics; JSON readers have a limit."""


def _plain(value: Any, where: str = "metrics", depth: int = 0) -> Any:
    """Converts metrics to plain JSON; numbers of numpy and torch become Python numbers.

    NaN and infinity, as of a diverged loss, become null, because JSON does not have them. Raises
    TypeError for other values that JSON does not have, or that its readers refuse: text that is
    not Unicode, whole numbers above 64 bits, and deeply nested values.
    """
    if depth > _DEEPEST:
        raise TypeError(f"the evaluator returned metrics with more than {_DEEPEST} levels")
    if isinstance(value, Mapping):
        plain = {}
        for key, item in value.items():
            name = _plain(str(key), f"the name of a metric in {where}")
            plain[name] = _plain(item, f"{where}.{name}", depth + 1)
        return plain
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}.{i}", depth + 1) for i, item in enumerate(value)]
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    if isinstance(value, str) and readable(value) == value:
        return value
    raise TypeError(f"the evaluator returned {shown(value)} as {where}, which is not plain JSON")
