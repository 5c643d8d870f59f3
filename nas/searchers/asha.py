"""Schedules trials by asynchronous successive halving (ASHA)."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from nas.searchers.multi_fidelity import Job, MultiFidelity, Schedule, Values, ranked


class ASHA(MultiFidelity):
    """Asynchronous successive halving (ASHA): promotes a trial as soon as it can be promoted.

    Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (MLSys;
    arXiv:1810.05934), Algorithm 2. Whenever a worker is free, the rungs are searched downwards
    from the second highest. The best configuration that has not been promoted goes on to the next
    rung if it is among the best 1/eta of those that have ended in its rung. If no rung has such a
    configuration, a new one starts at the lowest rung. This is the promotion type of ASHA: no
    training is stopped in the middle; a promoted trial continues a paused one.

    For the paper's early-stopping rate s, set a larger ``min_fidelity``. Among equals, the trial
    that was proposed first is promoted first.

    The options are those of :class:`nas.searchers.multi_fidelity.MultiFidelity`; the paper's
    reduction factor is 4.
    """

    name: ClassVar[str] = "asha"

    def _make_schedule(self) -> Schedule:
        return _Asynchronous(self.fidelities, self.reduction_factor)


_Entry = tuple[Values, int]
"""A trial and what sorts it: its only objective, or its place in :func:`ranked`."""


@dataclass
class _Rung:
    """The trials that have ended at one fidelity, the best first."""

    ended: int = 0
    waiting: list[_Entry] = field(default_factory=list)
    promoted: list[_Entry] = field(default_factory=list)
    results: list[tuple[Values, int]] = field(default_factory=list)

    def add(self, values: Values, trial_id: int) -> None:
        """Adds a success; with several objectives, all places may change."""
        if len(values) == 1:
            insort(self.waiting, (values, trial_id))
            return
        self.results.append((values, trial_id))
        entries: list[_Entry] = [((n,), each) for n, each in enumerate(ranked(self.results))]
        gone = {each for _, each in self.promoted}
        self.waiting = [entry for entry in entries if entry[1] not in gone]
        self.promoted = [entry for entry in entries if entry[1] in gone]

    def promotable(self, factor: int) -> int | None:
        """Returns the best waiting trial if it is among the best 1/factor of all, else None.

        All trials that are better than it have been promoted already.
        """
        if not self.waiting:
            return None
        best = self.waiting[0]
        rank = bisect_left(self.promoted, best)
        return best[1] if rank < self.ended // factor else None


class _Asynchronous(Schedule):
    def __init__(self, fidelities: Sequence[int], factor: int) -> None:
        self._factor = factor
        self._fidelities = fidelities
        self._rungs = {fidelity: _Rung() for fidelity in fidelities}
        self._reaching: dict[int, int] = {}

    def next(self) -> Job:
        for above, below in zip(self._fidelities[:0:-1], self._fidelities[-2::-1], strict=True):
            trial_id = self._rungs[below].promotable(self._factor)
            if trial_id is not None:
                return Job(above, trial_id)
        return Job(self._fidelities[0])

    def start(self, trial_id: int, job: Job) -> None:
        self._reaching[trial_id] = job.fidelity
        if job.continues is not None:
            rung = self._rungs[self._reaching[job.continues]]
            entry = next(entry for entry in rung.waiting if entry[1] == job.continues)
            rung.waiting.remove(entry)
            insort(rung.promoted, entry)

    def end(self, trial_id: int, values: Values | None) -> None:
        rung = self._rungs[self._reaching[trial_id]]
        rung.ended += 1
        if values is not None:
            rung.add(values, trial_id)

    @property
    def waiting(self) -> set[int]:
        below = (self._rungs[fidelity] for fidelity in self._fidelities[:-1])
        return {trial_id for rung in below for _, trial_id in rung.waiting}
