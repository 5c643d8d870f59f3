"""Early stopping: a trial ends if it is worse than other trials were at its epoch."""

import math
from bisect import insort
from collections.abc import Sequence
from itertools import accumulate
from statistics import median
from typing import Annotated, Any, Literal

from pydantic import Field

from nas.campaigns.spec.objectives import Objective, Objectives
from nas.configuration import Config
from nas.errors import InputError
from nas.evaluators.base import Evaluator
from nas.metrics import Catalogue
from nas.searchers import Searcher
from nas.searchers.multi_fidelity import MultiFidelity
from nas.statistics.learning_curves import FEWEST, probability_above
from nas.training.recipe import Recipe

Json = dict[str, Any]

_HARDLY = 0.05
"""The probability below which a trial is stopped, as in Domhan et al. 2015."""


class EarlyStopping(Config):
    """The rule that stops hopeless trainings.

    The curve is that of the only objective, which must be a metric of every epoch. With several
    objectives there is no early stopping, because one of them cannot decide alone.
    """

    name: Literal["median", "learning_curve"]
    """The rule."""
    grace_epochs: Annotated[int, Field(ge=1)] = 1
    """No trial is stopped before it has been trained for this many epochs; with ``learning_curve``,
    for at least four."""
    min_trials: Annotated[int, Field(ge=1)] = 5
    """No trial is stopped before so many trials have completed."""


def check(
    stopping: EarlyStopping | None,
    objectives: Objectives,
    metrics: Catalogue,
    searcher: Searcher,
    evaluator: Evaluator,
    name: str,
    recipe: Recipe | None,
) -> None:
    """Raises :class:`InputError` if trials are judged by curves that they do not have.

    Also raises it for a rule beside a searcher that stops trials itself.

    Args:
        stopping: of the campaign.
        objectives: of the campaign.
        metrics: of the campaign.
        searcher: of the campaign.
        evaluator: of the campaign.
        name: the name of the evaluator.
        recipe: of the campaign; None if nothing is trained.
    """
    schedule = searcher if isinstance(searcher, MultiFidelity) else None
    if stopping is None and not (schedule and schedule.takes_curves):
        return
    key = "searcher.promotion" if stopping is None else "early_stopping"
    if not evaluator.trains:
        raise InputError(
            f"{key}: judges by learning curves, but the evaluator {name} trains no network of the "
            "search; leave it out"
        )
    extrapolates = stopping is None or stopping.name == "learning_curve"
    if extrapolates and recipe is not None and recipe.keep != "last":
        raise InputError(
            f"{key}: learning_curve extrapolates to the last epoch; allowed with it: keep: last in "
            f"recipe, got {recipe.keep}"
        )
    judged = [objective.metric for objective in objectives]
    if len(judged) > 1 or judged[0] not in metrics.curve:
        raise InputError(
            f"{key}: judges by the learning curve of one objective; allowed objectives: "
            f"{' or '.join(metrics.curve)}, got {', '.join(judged)}"
        )
    if stopping and schedule:
        raise InputError(
            f"early_stopping: the searcher {schedule.name} stops trials early by itself; leave it "
            "out"
        )


class MedianRule:
    """The median stopping rule: a function of the curves of the trials that have completed.

    Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", section 3.2.2: a
    trial is stopped at step s if its best value by then is strictly worse than the median of the
    running averages, up to s, of the trials that have completed. The paper does not mention trials
    whose curve is shorter than s; they are left out.

    Args:
        grace_epochs: the least number of points of a curve when its trial is stopped.
        min_trials: the least number of completed curves of that length.

    Larger values are better; -inf stands for a value that is not a number.
    """

    def __init__(self, grace_epochs: int, min_trials: int) -> None:
        self._grace = grace_epochs
        self._least = min_trials
        self._averages: list[list[float]] = []  # the averages at each step, ascending

    def completed(self, curve: Sequence[float]) -> None:
        """Adds the curve of a trial that has completed."""
        self._averages += [[] for _ in range(len(curve) - len(self._averages))]
        for step, total in enumerate(accumulate(curve)):
            insort(self._averages[step], total / (step + 1))

    def stops(self, curve: Sequence[float]) -> bool:
        """Tells if a trial with this curve so far is stopped."""
        steps = len(curve)
        if not self._grace <= steps <= len(self._averages):
            return False
        others = self._averages[steps - 1]
        return len(others) >= self._least and max(curve) < median(others)


class CurveRule:
    """The rule of predictive termination: a trial is stopped if it will hardly be the best.

    Domhan, Springenberg & Hutter 2015, "Speeding up Automatic Hyperparameter Optimization of Deep
    Neural Networks by Extrapolation of Learning Curves" (IJCAI), section 4: a trial is stopped if
    the probability that it ends above the best trial so far is less than 5 %
    (:func:`nas.statistics.learning_curves.probability_above`). The longest curve of a trial that
    has completed says when trainings end.

    Args:
        grace_epochs: the least number of points of a curve when its trial is stopped.
        min_trials: the least number of completed curves.

    Larger values are better; a curve with a value that is not a number is never stopped.
    """

    def __init__(self, grace_epochs: int, min_trials: int) -> None:
        self._grace = max(grace_epochs, FEWEST)
        self._least = min_trials
        self._completed = 0
        self._length = 0
        self._best = -math.inf

    def completed(self, curve: Sequence[float]) -> None:
        """Adds the curve of a trial that has completed; one without points says nothing."""
        if curve:
            self._completed += 1
            self._length = max(self._length, len(curve))
            self._best = max(self._best, curve[-1])

    def stops(self, curve: Sequence[float]) -> bool:
        """Tells if a trial with this curve so far is stopped."""
        if not self._grace <= len(curve) < self._length or self._completed < self._least:
            return False
        if not all(map(math.isfinite, (*curve, self._best))):
            return False
        return probability_above(curve, self._length, self._best) < _HARDLY


RULES: dict[str, type[MedianRule] | type[CurveRule]] = {
    "median": MedianRule,
    "learning_curve": CurveRule,
}
"""The rules of :class:`EarlyStopping` by name."""


def points(curve: Sequence[Json], objective: Objective) -> list[float]:
    """Returns a learning curve for which larger is better; missing numbers (diverged) are -inf."""
    found = (point.get(objective.metric) for point in curve)
    return [-objective.flipped(v) if isinstance(v, int | float) else -math.inf for v in found]


def reached(curve: Sequence[Json]) -> Json:
    """Returns the metrics of a stopped trial, as if its last epoch had been the last of all.

    They are those of the last point, the sums of seconds, ``epochs`` and the ``curve``.
    """
    *_, last = curve
    metrics = {
        name: sum(_number(point.get(name)) for point in curve)
        if name.endswith("_seconds")
        else value
        for name, value in last.items()
        if name != "epoch"
    }
    return {**metrics, "epochs": len(curve), "curve": list(curve)}


def _number(value: Any) -> float:
    """Returns a recorded number; 0 for another value."""
    return value if isinstance(value, int | float) else 0.0
