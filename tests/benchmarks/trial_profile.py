"""Where the CPU time of a short trial goes: ``python -m tests.benchmarks.trial_profile [TRIALS]``.

Trains members of the quickstart's space, drawn at random under its limit, one after another in
this process with one thread, as a worker does: the evaluator is called with the request of a
campaign. All numbers are CPU time of the process, so that other work on the machine changes them
little. The first trials warm up and are not counted.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor, nn

from nas.architecture.graph import Architecture
from nas.campaigns.spec.campaign import Campaign, load_campaign
from nas.evaluators import training
from nas.evaluators.training import evaluate
from nas.training import loop
from nas.training.curve import Diverged
from nas.training.data import search_data
from nas.training.loop import Trainer
from nas.training.pipeline import Pipeline
from tests.benchmarks.measure import watched

QUICKSTART = Path(__file__).parents[2] / "results" / "quickstart"
TRIALS, WARM_UP = 30, 3

FORWARD, BACKWARD = "forward", "backward"


class Clock:
    """Attributes CPU time to phases; a phase inside another one is not counted in the outer."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._phases = ["request and result"]
        self._since = time.process_time()

    def _switch(self) -> None:
        now, phase = time.process_time(), self._phases[-1]
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._since
        self._since = now

    def call(self, phase: str, function: Callable[..., Any], *given: Any, **options: Any) -> Any:
        """Calls a function in a phase."""
        self._switch()
        self._phases.append(phase)
        try:
            return function(*given, **options)
        finally:
            self._switch()
            self._phases.pop()

    def timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function, whose calls are attributed to a phase."""

        def call(*given: Any, **options: Any) -> Any:
            return self.call(phase, function, *given, **options)

        return call

    def timed_batches(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Returns the generator function, whose steps are attributed to data."""

        def call(*given: Any, **options: Any) -> Iterator[Any]:
            made = self.call("data", function, *given, **options)
            while (batch := self.call("data", next, made, None)) is not None:
                yield batch

        return call

    def total(self) -> dict[str, float]:
        """Returns the seconds so far, by phase."""
        self._switch()
        return dict(self.seconds)


class TimedTrainer(Trainer):
    """A trainer whose network, normalisation and optimizer are timed by :attr:`clock`."""

    clock: Clock

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._forward = self.clock.timed(FORWARD, self._forward)
        self._normalize = self.clock.timed("augmentation", self._normalize)
        for name in ("step", "zero_grad"):
            setattr(
                self._optimizer, name, self.clock.timed("optimizer", getattr(self._optimizer, name))
            )


def profile(trials: int) -> dict[str, float]:
    """Returns the CPU seconds by phase, per trial that did not diverge."""
    campaign = load_campaign(QUICKSTART)
    requests = list(_requests(campaign, trials + WARM_UP))
    assert campaign.data is not None
    data = search_data(campaign.data)
    clock = TimedTrainer.clock = Clock()
    targets = {
        "architecture and network": [(training, "compile"), (Architecture, "from_json")],
        "initialization": [(loop, "begin")],
        "make trainer": [(training, "Trainer")],
        "augmentation": [(Pipeline, "__call__")],
        "loss": [(type(campaign.task), "training_loss")],
        BACKWARD: [(Tensor, "backward")],
        "clipping": [(nn.utils, "clip_grad_norm_")],
        "schedule": [(loop.Recipe, "learning_rate_at")],
        "evaluation": [(loop, "measure")],
        "loop": [(Trainer, "_epoch")],
    }
    with ExitStack() as stack:
        stack.enter_context(patch.object(training, "Trainer", TimedTrainer))
        stack.enter_context(patch.object(loop, "batches", clock.timed_batches(loop.batches)))
        for phase, places in targets.items():
            for owner, name in places:
                timed = clock.timed(phase, getattr(owner, name))
                stack.enter_context(patch.object(owner, name, timed))
        counted: dict[str, float] = {}
        completed = 0
        for number, request in enumerate(requests):
            before = clock.total()
            try:
                for _ in evaluate({**request, "search_data": data}):
                    pass
            except Diverged:  # it has ended early
                continue
            if number < WARM_UP:
                continue
            completed += 1
            for phase, seconds in clock.total().items():
                counted[phase] = counted.get(phase, 0.0) + seconds - before.get(phase, 0.0)
    print(f"{completed} of {trials} members of the quickstart's space did not diverge.")
    return {phase: seconds / completed for phase, seconds in counted.items()}


def _requests(campaign: Campaign, count: int) -> Iterator[dict[str, Any]]:
    """Yields the requests of members of half of the limit to the limit, as in most of a search."""
    assert campaign.data is not None
    assert campaign.recipe is not None
    limit = campaign.config.constraints.macs or 0
    rng = np.random.default_rng(0)
    drawn = iter(lambda: campaign.space.decode(campaign.space.sample(rng)), None)
    large = (architecture for architecture in drawn if architecture.cost.macs >= limit / 2)
    for architecture in islice(large, count):
        yield {
            "architecture": architecture.to_json(),
            "data": campaign.data.model_dump(mode="json"),
            "recipe": campaign.recipe.model_dump(mode="json"),
            "seed": 0,
        }


def main() -> None:
    """Prints the table."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    seconds = profile(trials)
    total = sum(seconds.values())
    print("CPU time per trial, one thread.\n")
    print("| phase | ms | share |\n|---|---|---|")
    for phase, each in sorted(seconds.items(), key=lambda entry: -entry[1]):
        print(f"| {phase} | {1e3 * each:,.1f} | {each / total:.1%} |")
    outside = total - seconds[FORWARD] - seconds[BACKWARD]
    print(f"| total | {1e3 * total:,.1f} | |")
    print(f"\nOutside forward and backward: {outside / total:.1%}.")
    print(f"Trials per hour of CPU time: {3600 / total:,.0f}.")


if __name__ == "__main__":
    with watched():
        main()
