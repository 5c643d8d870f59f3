"""Checks on one request what every evaluator promises to a campaign."""

import copy
import json
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.evaluators.work import Json, Progress, Work, complete

Evaluate = Callable[..., Work | Json]
"""An evaluator: a function from a request, and a checkpoint if it can continue, to metrics."""

MEASURED = ("seconds", "latency_", "device_name", "host")
"""Metrics whose names contain one of these depend on time or machine, and may differ."""


@dataclass(frozen=True)
class EvaluatorCase:
    """An evaluator and a request, to be checked.

    Attributes:
        evaluate: the evaluator.
        request: a request for a search trial, as a campaign would make it, in plain JSON. It
            should be small: the checks evaluate it about five times.
        objectives: the names of the metrics that a campaign would minimise or maximise.
        continues: whether it can continue from a checkpoint: it is then a generator that yields
            :class:`nas.evaluators.work.Progress`.
    """

    evaluate: Evaluate
    request: Mapping[str, Any]
    objectives: Sequence[str] = ("validation_accuracy",)
    continues: bool = False

    def run(self, heard: list[Progress] | None = None, *checkpoint: bytes) -> Json:
        """Returns the metrics of the request; appends the progress to ``heard``."""
        work = self.evaluate(copy.deepcopy(dict(self.request)), *checkpoint)
        if isinstance(work, Generator):
            return complete(work, (heard if heard is not None else []).append)
        return work


def check_evaluator(
    evaluate: Evaluate,
    request: Mapping[str, Any],
    *,
    objectives: Sequence[str] = ("validation_accuracy",),
    continues: bool = False,
) -> None:
    """Run every check of :data:`CHECKS` on an evaluator.

    The arguments are those of :class:`EvaluatorCase`. Raises :class:`AssertionError` if a promise
    is broken.
    """
    case = EvaluatorCase(evaluate, request, objectives, continues)
    for check in CHECKS:
        check(case)


def metrics_are_plain_json(case: EvaluatorCase) -> None:
    """The metrics of the result and of all progress are plain JSON."""
    heard: list[Progress] = []
    metrics = case.run(heard)
    assert isinstance(metrics, dict), f"an evaluator returns a dict of metrics, got {metrics!r}"
    for found in (metrics, *(progress.metrics for progress in heard)):
        try:
            again = json.loads(json.dumps(found))
        except (TypeError, ValueError) as error:
            raise AssertionError(f"the metrics are not JSON: {error}: {found}") from None
        assert again == found, f"JSON gives {found} back as {again}"


def objectives_are_finite_numbers(case: EvaluatorCase) -> None:
    """Each objective is among the metrics and is a finite number."""
    metrics = case.run()
    for name in case.objectives:
        assert name in metrics, f"no metric {name!r}; there are {', '.join(metrics)}"
        value = metrics[name]
        assert isinstance(value, int | float), f"{name} is not a number: {value!r}"
        assert not isinstance(value, bool), f"{name} is not a number: {value!r}"
        assert math.isfinite(value), f"{name} is not finite: {value!r}"


def no_search_sees_a_test_metric(case: EvaluatorCase) -> None:
    """Without ``test: true`` in the request, no metric has a name that begins with "test"."""
    assert not case.request.get("test"), (
        "the request must be for a trial of a search: without test: true"
    )
    heard: list[Progress] = []
    metrics = case.run(heard)
    for found in (metrics, *(progress.metrics for progress in heard)):
        seen = [name for name in found if name.startswith("test")]
        assert not seen, f"the search would see {', '.join(seen)}"


def a_request_repeats(case: EvaluatorCase) -> None:
    """Two evaluations give the same metrics, except times, and do not change the request."""
    request = copy.deepcopy(dict(case.request))
    work = case.evaluate(request)
    if isinstance(work, Generator):
        complete(work)
    assert request == case.request, "the evaluator has changed the request"
    first, again = (_comparable(case.run()) for _ in range(2))
    assert first == again, f"{_different(first, again)} differ between two evaluations"


def a_continued_evaluation_is_the_uninterrupted_one(case: EvaluatorCase) -> None:
    """Continued from any checkpoint, it reports the same curve and the same final metrics.

    The last checkpoint is left out.
    """
    heard: list[Progress] = []
    if not case.continues:
        return
    states: list[bytes] = []
    work = case.evaluate(copy.deepcopy(dict(case.request)))
    assert isinstance(work, Generator), "an evaluator that continues is a generator of Progress"

    def note(progress: Progress) -> None:
        heard.append(progress)
        states.append(progress.save())

    whole = _comparable(complete(work, note), "epochs_before")
    assert len(states) > 1, "the request must have at least two steps"
    curve = [_comparable(progress.metrics) for progress in heard]
    for number, state in enumerate(states[:-1], 1):
        again: list[Progress] = []
        found = _comparable(case.run(again, state), "epochs_before")
        assert found == whole, (
            f"continued from checkpoint {number}, {_different(found, whole)} differ"
        )
        assert [_comparable(progress.metrics) for progress in again] == curve, (
            f"continued from checkpoint {number}, the reported curve differs"
        )


def _comparable(value: Any, *left_out: str) -> Any:
    """Leaves out, at any depth, the metrics that depend on time or machine."""
    if isinstance(value, dict):
        return {
            name: _comparable(each, *left_out)
            for name, each in value.items()
            if name not in left_out and not any(part in name for part in MEASURED)
        }
    return [_comparable(each, *left_out) for each in value] if isinstance(value, list) else value


def _different(one: Json, other: Json) -> str:
    names = one.keys() | other.keys()
    return ", ".join(sorted(name for name in names if one.get(name) != other.get(name)))


CHECKS: tuple[Callable[[EvaluatorCase], None], ...] = (
    metrics_are_plain_json,
    objectives_are_finite_numbers,
    no_search_sees_a_test_metric,
    a_request_repeats,
    a_continued_evaluation_is_the_uninterrupted_one,
)
"""All checks of an evaluator; each is a function of a case."""
