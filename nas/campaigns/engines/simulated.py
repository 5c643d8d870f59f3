"""A simulated cluster: trials of known duration on N workers with a virtual clock."""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from nas.campaigns.engines.base import (
    Engine,
    Evaluator,
    Json,
    Outcome,
    Settings,
    Source,
    Trial,
    attempt,
    failure,
)
from nas.errors import InputError

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Faults:
    """The faults of a simulated cluster, which depend on the seed and the trial's id alone.

    They follow appendix A.1 of Li et al. 2020, "A System for Massively Parallel Hyperparameter
    Tuning" (arXiv:1810.05934): a trial takes ``1 + |z|`` times as long, where z is normal with
    mean 0, and trials are lost at a constant rate. In addition, a trial of any length fails with
    ``probability``.

    Attributes:
        straggling: the standard deviation of z; 0 for no stragglers.
        losses_per_hour: the expected losses per hour of a trial's run, at least 0.
        probability: the probability that a trial fails, at a uniformly distributed time.
        seed: the seed of the faults.
    """

    straggling: float = 0.0
    losses_per_hour: float = 0.0
    probability: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("straggling", "losses_per_hour"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"faults: {name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.probability <= 1:
            raise InputError(f"faults: probability must be from 0 to 1, got {self.probability}")

    def strike(self, trial: str, outcome: Outcome) -> Outcome:
        """Returns the outcome on a cluster with these faults."""
        # Python hashes a text seed by SHA-512, so the numbers are the same everywhere.
        rng = random.Random(f"{self.seed} {trial}")
        z, fails, moment, loss = rng.gauss(), rng.random(), rng.random(), rng.expovariate(1.0)
        seconds = outcome.seconds * (1 + abs(z) * self.straggling)
        ends = moment * seconds if fails < self.probability else seconds
        if self.losses_per_hour:
            ends = min(ends, loss / self.losses_per_hour * _SECONDS_PER_HOUR)
        if ends < seconds:
            return failure(f"injected fault after {ends:.1f} of {seconds:.1f} s", ends)
        return replace(outcome, seconds=seconds)


class SimulatedCluster(Engine):
    """The engine of a virtual cluster, which is asynchronous like a real one but takes no time.

    Whenever a worker is free, the source is asked for a trial. Its outcome is known at once, but
    the source gets it when the virtual clock reaches the trial's end. So a searcher knows the same
    as on a real cluster. If the source has no trial now, the worker waits for the next trial to
    end. Trials that end at the same time end in the order in which they started.

    A trial that continues another one takes its outcome's ``seconds``, which the evaluator may
    count for the added epochs only.

    Args:
        evaluate: returns the outcome of a trial's payload; its ``seconds`` are virtual.
        workers: how many trials run at the same time.
        faults: the faults; none by default.

    Attributes:
        clock: the virtual seconds since the start; after the run, its makespan.
        busy_seconds: the seconds that each worker spent on trials that have ended.
    """

    def __init__(
        self, evaluate: Callable[[Json], Outcome], workers: int, *, faults: Faults | None = None
    ) -> None:
        if workers < 1:
            raise InputError(f"simulated cluster: workers must be at least 1, got {workers}")
        self.slots = workers
        self.clock = 0.0
        self.busy_seconds = [0.0] * workers
        self._evaluate = evaluate
        self._faults = faults

    @classmethod
    def for_campaign(cls, evaluate: Evaluator, settings: Settings) -> Self:
        """The engine that ``campaign.yaml`` asks for: trials take as long as they say."""
        return cls(timed(evaluate), settings.options.get("concurrency") or 1)

    @property
    def now(self) -> float:
        """Seconds on the virtual clock."""
        return self.clock

    @property
    def utilization(self) -> float:
        """The share of the workers' time so far that they spent on trials that have ended."""
        return sum(self.busy_seconds) / (self.clock * self.slots) if self.clock else 0.0

    def run(self, source: Source) -> None:
        """Carries out trials until the source has no more; the clock is not reset."""
        idle = list(reversed(range(self.slots)))
        running: list[tuple[float, int, int, str, Outcome]] = []
        started = 0
        while True:
            while idle and (trial := source.next()) is not None:
                outcome = self._carry_out(trial)
                worker = idle.pop()
                end = self.clock + outcome.seconds
                heapq.heappush(running, (end, started, worker, trial.id, outcome))
                started += 1
            if not running:
                return
            self.clock, _, worker, trial_id, outcome = heapq.heappop(running)
            self.busy_seconds[worker] += outcome.seconds
            idle.append(worker)
            source.done(trial_id, outcome)

    def _carry_out(self, trial: Trial) -> Outcome:
        outcome = self._evaluate(trial.payload)
        if not 0 <= outcome.seconds < math.inf:
            raise ValueError(f"trial {trial.id} takes {outcome.seconds} s")
        return outcome if self._faults is None else self._faults.strike(trial.id, outcome)


def timed(evaluator: Evaluator) -> Callable[[Json], Outcome]:
    """Wraps an evaluator so that trials take its ``train_seconds``, or one second without."""

    def evaluate(payload: Json) -> Outcome:
        outcome = attempt(evaluator, payload)
        seconds = outcome.metrics.get("train_seconds")
        if not isinstance(seconds, int | float) or seconds < 0:
            seconds = 1.0
        return replace(outcome, seconds=seconds)

    return evaluate
