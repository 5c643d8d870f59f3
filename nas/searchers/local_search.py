"""Local search: hill climbing over the neighbours of a genotype."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from nas.errors import InputError
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import one_objective, succeeded, value
from nas.spaces.search_space import Genotype, SearchSpace


@dataclass
class _Climb:
    """One way from random starts to a local optimum.

    Attributes:
        starts: how many of its trials were random.
        running: how many of its trials are under way.
        best: where it has come to.
        ahead: the neighbours of ``best``, the next one last.
        asked: all that it has asked, as text, which tells 1 from 1.0.
    """

    starts: int = 0
    running: int = 0
    best: Observation | None = None
    ahead: list[Genotype] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def next(self) -> Genotype | None:
        """A neighbour that is still to be asked."""
        while self.ahead and repr(self.ahead[-1]) in self.asked:
            self.ahead.pop()
        return self.ahead[-1] if self.ahead else None


class LocalSearch(Searcher):
    """Tries the neighbours in random order, moves to the first that is better; starts again.

    White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search" (UAI;
    arXiv:2005.02960), Algorithm 1, as the authors' code has it by default: from the best of ten
    random genotypes, to the first better neighbour; where none is better, from ten others. The
    Algorithm itself starts from one and moves to the best of all neighbours. A climb asks nothing
    twice. Neighbours are what :meth:`nas.spaces.search_space.SearchSpace.mutate` can return.

    Deviations, to keep several workers busy: neighbours are asked ahead, and what turns out better
    is moved to, whichever ends first. While all that a climb has to ask is under way, other climbs
    are started; whenever there are several, the one that has come furthest goes on first. It never
    waits.

    What was told though it was not asked counts as a random start of the oldest climb. A failed
    trial is no better than any.

    Args:
        space: where to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        starts: random genotypes at the foot of every climb.
        max_neighbors: a genotype with more neighbours has so many mutations drawn instead.

    A note holds ``climb`` (the trial id of its first start) and, but for starts, ``from`` (the
    trial id of whose neighbour it is).
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        starts: int = 10,
        max_neighbors: int = 1000,
    ) -> None:
        super().__init__(space, seed, objectives)
        one_objective("local_search", objectives)
        for name, number in (("starts", starts), ("max_neighbors", max_neighbors)):
            if number < 1:
                raise InputError(f"searcher local_search: {name} must be at least 1, got {number}")
        self.starts = starts
        self.max_neighbors = max_neighbors
        self._climbs: dict[int, _Climb] = {}
        self._running: dict[int, Proposal] = {}

    def ask(self, trial_id: int) -> Proposal:
        """A random start, or a neighbour of where the best climb has come to."""
        if trial_id not in self._running:
            self.replay(trial_id, self._next(trial_id))
        return self._running[trial_id]

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """One more trial of a climb is under way."""
        self._running[trial_id] = proposal
        climb = self._climbs.setdefault(proposal.note["climb"], _Climb())
        climb.running += 1
        climb.starts += "from" not in proposal.note
        climb.asked.add(repr(proposal.genotype))

    def tell(self, observation: Observation) -> None:
        """Moves the climb if this is better; forgets it at its local optimum."""
        trial_id = observation.trial_id
        if trial_id not in self._running:
            oldest = next(iter(self._climbs), trial_id)
            self.replay(trial_id, Proposal(observation.genotype, {"climb": oldest}))
        number = self._running.pop(trial_id).note["climb"]
        climb = self._climbs[number]
        climb.running -= 1
        if succeeded(observation, 1) and (
            climb.best is None or value(observation) < value(climb.best)
        ):
            climb.best, climb.ahead = observation, self._neighbors(observation)
        if not climb.running and climb.starts >= self.starts and climb.next() is None:
            del self._climbs[number]

    def _next(self, trial_id: int) -> Proposal:
        new = trial_id
        for number, climb in sorted(self._climbs.items(), key=self._turn):
            if climb.starts < self.starts:
                new = number
                break
            genotype = climb.next()
            if genotype is not None and climb.best is not None:
                return Proposal(genotype, {"climb": number, "from": climb.best.trial_id})
        return Proposal(self.space.sample(self.rng(trial_id)), {"climb": new})

    def _turn(self, numbered: tuple[int, _Climb]) -> float:
        """Who goes on first: a climb at its foot, else the one that has come furthest."""
        _, climb = numbered
        if climb.starts < self.starts:
            return -math.inf
        return math.inf if climb.best is None else value(climb.best)

    def _neighbors(self, observation: Observation) -> list[Genotype]:
        genotype = observation.genotype
        # Not the numbers that the trial itself was drawn by.
        rng = self.rng(-1 - observation.trial_id)
        neighbors = list(islice(self.space.neighbors(genotype), self.max_neighbors + 1))
        if len(neighbors) > self.max_neighbors:
            return [self.space.mutate(genotype, rng) for _ in range(self.max_neighbors)]
        return [neighbors[position] for position in rng.permutation(len(neighbors))]
