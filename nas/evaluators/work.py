"""The interface by which long evaluations report progress and can be interrupted and resumed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

Json = dict[str, Any]


class Progress(NamedTuple):
    """An evaluator yields this while it works, usually after each epoch.

    Attributes:
        metrics: the current metrics, plain JSON.
        save: returns the current state. Another call with the same request and this checkpoint
            continues from there. After the work has ended with a request for ``test``, it returns
            the network's weights as safetensors, because there is nothing to continue.
    """

    metrics: Json
    save: Callable[[], bytes]


Work = Generator[Progress, None, Json]
"""A running evaluation, which yields progress and at the end returns the metrics.

After a checkpoint, it first yields the earlier points again, so progress is always the whole
learning curve, which early stopping needs.
"""


def complete(work: Work, report: Callable[[Progress], None] = lambda progress: None) -> Json:
    """Runs an evaluation to its end and returns the metrics; ``report`` gets its progress."""
    while True:
        try:
            report(next(work))
        except StopIteration as end:
            metrics: Json = end.value
            return metrics
