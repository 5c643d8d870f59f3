"""The objectives of a campaign, and the order of its trials by them."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from nas.campaigns.store.types import Ask
from nas.configuration import Config, keyed
from nas.errors import InputError
from nas.metrics import METRICS, Catalogue, Direction, is_test
from nas.registry import unknown


class Objective(Config):
    """A metric with its direction: ``{metric: NAME, direction: maximize}``.

    The bare name is enough if the metric declares its direction, see :func:`complete`. The cost of
    an architecture is in its ask; all other metrics are reported by the evaluator.
    """

    metric: str
    """A metric of a trial, not of the test images."""
    direction: Direction | None = None
    """By default, the direction that the metric declares."""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        return keyed(given, "metric", "metric and direction")

    @model_validator(mode="after")
    def _is_no_test(self) -> "Objective":
        if is_test(self.metric):
            raise InputError(
                f"{self.metric} is measured by the final stage alone, no search may see it, "
                f"got {self.metric!r}"
            )
        return self

    def of(self, ask: Ask, metrics: Mapping[str, Any]) -> Any:
        """Returns the recorded value of the metric, or None."""
        return ask.cost.get(self.metric, metrics.get(self.metric))

    def flipped(self, value: float) -> float:
        """Converts a value to one that is minimised, and back."""
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


def recorded(specification: Mapping[str, Any]) -> Objectives:
    """Returns the objectives of a recorded specification; none if they cannot be read."""
    try:
        found = tuple(
            Objective.model_validate(each) for each in specification.get("objectives", ())
        )
        return complete(found, Catalogue.read(specification.get("metrics"))) if found else ()
    except (TypeError, ValueError):
        return ()


def missing(
    objectives: Objectives, ask: Ask, metrics: Mapping[str, Any], known: Catalogue = METRICS
) -> str:
    """Returns the first metric that is not a finite number; "" if all are.

    What the final stage does not train, such as an ensemble, needs only the task's primary metric:
    no searcher observes it, and it has no training time or loss.

    Args:
        objectives: the objectives of the campaign.
        ask: the ask of the trial.
        metrics: the recorded metrics.
        known: the campaign's metrics.
    """
    if ask.stage == "final" and not ask.is_retrained:
        objectives = (Objective(metric=known.validation),)
    for objective in objectives:
        value = objective.of(ask, metrics)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            return objective.metric
    return ""


def minimised(objectives: Objectives, ask: Ask, metrics: Mapping[str, Any]) -> tuple[float, ...]:
    """Returns the objectives of a trial for searchers; only this function changes their signs."""
    return tuple(float(each.flipped(each.of(ask, metrics))) for each in objectives)


class Front:
    """The values so far that no other dominates; equal ones count separately."""

    def __init__(self) -> None:
        self._values: list[tuple[float, ...]] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, values: tuple[float, ...]) -> None:
        """Adds the values of a trial, all to be minimised."""
        if not any(_dominates(each, values) for each in self._values):
            self._values = [each for each in self._values if not _dominates(values, each)]
            self._values.append(values)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
