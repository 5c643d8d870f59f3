"""What a campaign optimises, and which of its trials are the best."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from nas.campaigns.store.types import Ask
from nas.configuration import Config
from nas.errors import InputError
from nas.metrics import METRICS, Catalogue, Direction, is_test
from nas.registry import unknown
from nas.statistics.pareto import crowding_distance, pareto_front


class Objective(Config):
    """A metric and which way it is better: ``{metric: NAME, direction: maximize}``.

    The bare name will do for a metric that declares its direction: see :func:`complete`. What an
    architecture costs is in its ask; any other metric is what the evaluator reports.
    """

    metric: str
    direction: Direction | None = None
    """None is the direction that the metric declares."""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"metric": given}
        if not isinstance(given, Mapping):
            raise InputError("must be a name, or a mapping of metric and direction")
        return given

    @model_validator(mode="after")
    def _is_no_test(self) -> "Objective":
        if is_test(self.metric):
            raise InputError(
                f"{self.metric} is measured by the final stage alone, no search may see it, "
                f"got {self.metric!r}"
            )
        return self

    def of(self, ask: Ask, metrics: Mapping[str, Any]) -> Any:
        """What was recorded as the metric, None if nothing was."""
        return ask.cost.get(self.metric, metrics.get(self.metric))

    def flipped(self, value: float) -> float:
        """The value as something to minimise; of that, the value again."""
        return -value if self.direction == "maximize" else value


def _distinct(given: tuple[Objective, ...]) -> tuple[Objective, ...]:
    names = [objective.metric for objective in given]
    if len(set(names)) < len(names):
        raise InputError(f"each metric must be given once, got {names}")
    return given


Objectives = Annotated[tuple[Objective, ...], Field(min_length=1), AfterValidator(_distinct)]


def complete(objectives: Objectives, metrics: Catalogue) -> Objectives:
    """The objectives with the directions that the metrics of the campaign declare.

    Without any, the objective is the task's primary metric on the validation images.
    Raises :class:`InputError` with the position where none is declared.
    """
    known = metrics.known()
    found = []
    for position, each in enumerate(objectives or (Objective(metric=metrics.validation),)):
        direction = each.direction or known.get(each.metric)
        if direction is None:
            hint = unknown("objective", each.metric, known)
            raise InputError(
                f"{hint}, or {{metric: NAME, direction: maximize or minimize}}", position
            )
        found.append(Objective(metric=each.metric, direction=direction))
    return tuple(found)


def recorded(question: Mapping[str, Any]) -> Objectives:
    """The objectives of a recorded question; none where they cannot be read."""
    try:
        found = tuple(Objective.model_validate(each) for each in question.get("objectives", ()))
        return complete(found, Catalogue.read(question.get("metrics"))) if found else ()
    except (TypeError, ValueError):
        return ()


def missing(
    objectives: Objectives, ask: Ask, metrics: Mapping[str, Any], known: Catalogue = METRICS
) -> str:
    """The first metric that is no finite number; "" where all are.

    An ensemble needs the task's primary metric alone: it is told to no searcher, and as nothing is
    trained, it has no training time or loss.

    Args:
        objectives: of the campaign.
        ask: of the trial.
        metrics: that were recorded.
        known: the campaign's metrics.
    """
    if ask.is_ensemble:
        objectives = (Objective(metric=known.validation),)
    for objective in objectives:
        value = objective.of(ask, metrics)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            return objective.metric
    return ""


def minimised(objectives: Objectives, ask: Ask, metrics: Mapping[str, Any]) -> tuple[float, ...]:
    """The objectives of a trial as searchers hear them: the signs change here, nowhere else."""
    return tuple(float(each.flipped(each.of(ask, metrics))) for each in objectives)


def best_first(values: Sequence[tuple[float, ...]]) -> Iterator[int]:
    """The positions of trials, the best first; of equals, the first.

    One objective: by its value. Several: front by front, and within a front the less crowded
    first (Deb et al. 2002, section III-B), so that few of them span it: its ends, that of the first
    objective foremost. The first of equals stands for all in its front; the others follow that
    front, as one of their own.

    Args:
        values: of each trial, all to be minimised.
    """
    if not values or len(values[0]) == 1:
        yield from sorted(range(len(values)), key=values.__getitem__)
        return
    table = np.asarray(values, dtype=float)
    left = np.arange(len(table))
    while len(left):
        front = left[pareto_front(table[left])]
        _, first = np.unique(table[front], axis=0, return_index=True)
        front = front[np.sort(first)]
        order = np.lexsort((table[front, 0], -crowding_distance(table[front])))
        yield from front[order].tolist()
        left = np.setdiff1d(left, front, assume_unique=True)


class Front:
    """The values that no other dominates, as they come; equals count each."""

    def __init__(self) -> None:
        self._values: list[tuple[float, ...]] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, values: tuple[float, ...]) -> None:
        """Takes the values of one more trial, all to be minimised."""
        if not any(_dominates(each, values) for each in self._values):
            self._values = [each for each in self._values if not _dominates(values, each)]
            self._values.append(values)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
