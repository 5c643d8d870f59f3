"""Synchronous successive halving, in brackets."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from nas.searchers.multi_fidelity import Job, MultiFidelity, Promotion, Schedule, Values, ranked
from nas.spaces.search_space import SearchSpace


class SuccessiveHalving(MultiFidelity):
    """Successive halving (SHA): when a rung has ended, the best 1/eta of it are promoted.

    Jamieson & Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization" (AISTATS; arXiv:1502.07943), in the form of Li et al. 2020 (arXiv:1810.05934),
    Algorithm 1: a bracket has n configurations at ``min_fidelity``, n/eta at the next rung and so
    on. When a bracket has nothing to start, another bracket of the same size begins beside it;
    older brackets have priority. This is the parallel scheme of Falkner et al. 2018
    (arXiv:1807.01774, section 4.2), with which the ASHA paper compares as well.

    Among equals, the trial that was proposed first is promoted. If fewer trials succeed than may
    be promoted, all of them are.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        configurations: n, the number of new configurations of a bracket; by default the least for
            which one is trained in full.
        max_fidelity: see :class:`nas.searchers.multi_fidelity.MultiFidelity`, also for all
            further options.
        min_fidelity: see there.
        reduction_factor: see there.
        searcher: see there.
        min_points: see there.
        random_fraction: see there.
        promotion: see there.
    """

    name: ClassVar[str] = "successive_halving"

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        configurations: int | None = None,
        max_fidelity: int,
        min_fidelity: int = 1,
        reduction_factor: int = 3,
        searcher: dict[str, Any] | str = "random",
        min_points: int = 10,
        random_fraction: float = 0.0,
        promotion: Promotion = "value",
    ) -> None:
        self._configurations = configurations
        super().__init__(
            space,
            seed,
            objectives,
            max_fidelity=max_fidelity,
            min_fidelity=min_fidelity,
            reduction_factor=reduction_factor,
            searcher=searcher,
            min_points=min_points,
            random_fraction=random_fraction,
            promotion=promotion,
        )

    def _make_schedule(self) -> Schedule:
        last = len(self.fidelities) - 1
        least = self.reduction_factor**last
        count = least if self._configurations is None else self._configurations
        if count < least:
            raise self._wrong(
                f"configurations must be at least {least} for one of them to reach the "
                f"{len(self.fidelities)}th rung, got {count}"
            )
        sizes = halvings(count, last, self.reduction_factor)
        return Brackets(self.fidelities, lambda _: sizes)


def halvings(count: int, times: int, factor: int) -> tuple[int, ...]:
    """Returns the sizes of a bracket's rungs: ``count``, divided ``times`` times by ``factor``."""
    return tuple(count // factor**k for k in range(times + 1))


class Brackets(Schedule):
    """Brackets of successive halving; a new one begins when the earlier ones leave a worker idle.

    Args:
        fidelities: the fidelities of all rungs, rising; a bracket with fewer rungs uses the
            highest ones.
        sizes: returns the number of configurations of each rung for the number of a bracket.
    """

    def __init__(self, fidelities: Sequence[int], sizes: Callable[[int], tuple[int, ...]]) -> None:
        self._fidelities = fidelities
        self._sizes = sizes
        self._begun = 0
        self._open: dict[int, _Bracket] = {}
        self._of: dict[int, int] = {}

    def next(self) -> Job:
        """Returns a job of the oldest bracket that has something to start."""
        for number, bracket in self._open.items():
            if job := bracket.next():
                return job._replace(bracket=number)
        return Job(self._fidelities[-len(self._sizes(self._begun))], bracket=self._begun)

    def start(self, trial_id: int, job: Job) -> None:
        """Registers that the trial does the job, which may be the first of its bracket."""
        assert job.bracket is not None
        if job.bracket == self._begun:
            sizes = self._sizes(self._begun)
            self._open[self._begun] = _Bracket(self._fidelities[-len(sizes) :], sizes)
            self._begun += 1
        self._of[trial_id] = job.bracket
        self._open[job.bracket].start(job)

    def end(self, trial_id: int, values: Values | None) -> None:
        """Registers a result; after the last of its rung, the promoted trials are chosen."""
        number = self._of.pop(trial_id)
        self._open[number].end(trial_id, values)
        if self._open[number].over:
            del self._open[number]

    @property
    def waiting(self) -> set[int]:
        """The trials of open brackets that have ended and may yet continue."""
        return set().union(*(bracket.waiting for bracket in self._open.values()))


class _Bracket:
    """One bracket of successive halving, rung by rung."""

    def __init__(self, fidelities: Sequence[int], sizes: Sequence[int]) -> None:
        self._fidelities = fidelities
        self._sizes = sizes
        self._rung = 0
        self._to_start = sizes[0]
        self._to_end = sizes[0]
        self._survivors: deque[int] = deque()
        self._results: list[tuple[Values, int]] = []

    @property
    def over(self) -> bool:
        return self._to_end == 0

    @property
    def waiting(self) -> set[int]:
        last = self._rung + 1 == len(self._sizes)
        ended = () if last else (trial_id for _, trial_id in self._results)
        return {*self._survivors, *ended}

    def next(self) -> Job | None:
        if not self._to_start:
            return None
        return Job(self._fidelities[self._rung], self._survivors[0] if self._survivors else None)

    def start(self, job: Job) -> None:
        self._to_start -= 1
        if job.continues is not None:
            self._survivors.remove(job.continues)

    def end(self, trial_id: int, values: Values | None) -> None:
        self._to_end -= 1
        if values is not None:
            self._results.append((values, trial_id))
        if self._to_end == 0 and self._rung + 1 < len(self._sizes):
            self._rung += 1
            best = ranked(self._results)[: self._sizes[self._rung]]
            self._survivors.extend(best)
            self._to_start = self._to_end = len(best)
            self._results = []
