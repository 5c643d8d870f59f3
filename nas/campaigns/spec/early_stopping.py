"""Early stopping: a trial that does worse than others did at its epoch is not trained on."""

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
from nas.metrics import Catalogue
from nas.searchers import Searcher
from nas.searchers.multi_fidelity import MultiFidelity

Json = dict[str, Any]


class EarlyStopping(Config):
    """``early_stopping`` of a campaign.

    A trial is stopped after ``grace_epochs`` at the earliest, and only by the curves of at least
    ``min_trials`` that have completed. The curve is that of the one objective, which therefore is
    a metric of every epoch: with several, a trial is not to be judged by one of them.
    """

    name: Literal["median"]
    grace_epochs: Annotated[int, Field(ge=1)] = 1
    min_trials: Annotated[int, Field(ge=1)] = 5


def check(objectives: Objectives, metrics: Catalogue, searcher: Searcher) -> None:
    """:class:`InputError` unless trials have a curve to be judged by and nobody else stops them."""
    judged = [objective.metric for objective in objectives]
    if len(judged) > 1 or judged[0] not in metrics.curve:
        raise InputError(
            "early_stopping: judges by the learning curve of one objective; allowed objectives: "
            f"{' or '.join(metrics.curve)}, got {', '.join(judged)}"
        )
    if isinstance(searcher, MultiFidelity):
        raise InputError(
            f"early_stopping: the searcher {searcher.name} stops trials early by itself; leave it "
            "out"
        )


class MedianRule:
    """The median stopping rule: a function of the curves of the trials that have completed.

    Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", section 3.2.2: a
    trial is stopped at step s if its best value by then is strictly worse than the median of the
    running averages, up to s, of the trials that have completed. Trials whose curve is shorter
    than s, which the paper does not speak of, are left out.

    Args:
        grace_epochs: points that a curve has at least when its trial is stopped.
        min_trials: curves of that length that there must be.

    Values are the larger the better; -inf stands for one that is no number.
    """

    def __init__(self, grace_epochs: int, min_trials: int) -> None:
        self._grace = grace_epochs
        self._least = min_trials
        self._averages: list[list[float]] = []  # of each step, ascending

    def completed(self, curve: Sequence[float]) -> None:
        """Takes note of a trial that has completed."""
        self._averages += [[] for _ in range(len(curve) - len(self._averages))]
        for step, total in enumerate(accumulate(curve)):
            insort(self._averages[step], total / (step + 1))

    def stops(self, curve: Sequence[float]) -> bool:
        """Whether to stop a trial whose curve, so far, is this."""
        steps = len(curve)
        if not self._grace <= steps <= len(self._averages):
            return False
        others = self._averages[steps - 1]
        return len(others) >= self._least and max(curve) < median(others)


def points(curve: Sequence[Json], objective: Objective) -> list[float]:
    """A learning curve, the larger the better; where it has no number (it diverged), -inf."""
    found = (point.get(objective.metric) for point in curve)
    return [-objective.flipped(v) if isinstance(v, int | float) else -math.inf for v in found]


def reached(curve: Sequence[Json]) -> Json:
    """The metrics of a trial that was stopped: as if its curve's last epoch had been its last.

    Those of the last point, but for seconds, which add up; ``epochs`` and the ``curve``.
    """
    *_, last = curve
    metrics = {
        name: sum(point[name] for point in curve) if name.endswith("_seconds") else value
        for name, value in last.items()
        if name != "epoch"
    }
    return {**metrics, "epochs": len(curve), "curve": list(curve)}
