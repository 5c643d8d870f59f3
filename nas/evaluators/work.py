"""How an evaluator that takes long tells how far it is, and can be interrupted and continued."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

Json = dict[str, Any]


class Progress(NamedTuple):
    """What an evaluator yields while it works: after each epoch, as a rule.

    Attributes:
        metrics: of this point, plain JSON.
        save: returns where the work stands when it is called; given as the checkpoint of another
            call with the same request, that call goes on from there. Called after the work has
            ended with a request for ``test``, it returns the network's weights, as safetensors:
            there is nothing to go on with.
    """

    metrics: Json
    save: Callable[[], bytes]


Work = Generator[Progress, None, Json]
"""An evaluation under way: progress, and in the end the metrics.

What goes on from a checkpoint begins with the points up to there: progress is the whole learning
curve whatever has happened, which early stopping judges by.
"""


def complete(work: Work, report: Callable[[Progress], None] = lambda progress: None) -> Json:
    """The metrics of an evaluation, once it is through; ``report`` hears of its progress."""
    while True:
        try:
            report(next(work))
        except StopIteration as end:
            metrics: Json = end.value
            return metrics
