"""Local search: hill climbing over the neighbours of a genotype."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from nas.errors import InputError
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import mutations_of, named, one_objective, succeeded, value
from nas.spaces.asked_space import NothingFeasible
from nas.spaces.choices import Genotype
from nas.spaces.mutations import Child, Neutral, Weights
from nas.spaces.search_space import SearchSpace


@dataclass
class _Climb:
    """One climb, from random starts to a local optimum.

    Attributes:
        starts: how many of its trials were random.
        running: how many of its trials are running.
        best: the best result so far.
        ahead: the neighbours of ``best`` that are still to be tried; the last one comes next.
        asked: all genotypes that it has proposed, as text, because 1 and 1.0 differ there.
    """

    starts: int = 0
    running: int = 0
    best: Observation | None = None
    ahead: list[Child] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)


class LocalSearch(Searcher):
    """Hill climbing with restarts: tries neighbours in random order, moves to the first better one.

    White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search" (UAI;
    arXiv:2005.02960), Algorithm 1, with the defaults of the authors' code: a climb starts at the
    best of ten random genotypes and moves to the first better neighbour. If no neighbour is
    better, a new climb begins. (Algorithm 1 itself starts from one genotype and moves to the best
    of all neighbours.) A climb proposes no genotype twice. Neighbours are all children
    by one of its mutations.

    Two deviations keep several workers busy. Neighbours are proposed before earlier ones have
    ended, and the climb moves to whichever better one ends first. If all that a climb can propose
    is running, another climb is started; among several climbs, the one with the best result goes
    on first. So the searcher never waits.

    An initial genotype and a result of another searcher count as a random start of the oldest
    climb. A failed trial counts as worse than any other.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        starts: how many random genotypes a climb starts with.
        max_neighbors: if a genotype has more neighbours, this many random mutations of it are
            tried instead.
        mutations: the names of the mutations (:mod:`nas.spaces.mutations`), by default those of the
            space. Their weights matter only for random mutations.
        neutral: whether a neighbour that is the same network is kept or left out, by default as the
            space says.

    A note holds ``climb`` (the trial id of the climb's first start) and, unless the trial is a
    start, ``from`` (the trial id of the genotype whose neighbour this is) and, if there are several
    mutations, ``mutation``.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        starts: int = 10,
        max_neighbors: int = 1000,
        mutations: Weights | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        super().__init__(space, seed, objectives)
        one_objective("local_search", objectives)
        for name, number in (("starts", starts), ("max_neighbors", max_neighbors)):
            if number < 1:
                raise InputError(f"searcher local_search: {name} must be at least 1, got {number}")
        self.starts = starts
        self.max_neighbors = max_neighbors
        self.mutations = mutations_of("local_search", space, mutations, neutral)
        self._climbs: dict[int, _Climb] = {}
        self._running: dict[int, Proposal] = {}

    def ask(self, trial_id: int) -> Proposal:
        """Proposes a random start, or a neighbour of the best climb's best."""
        if trial_id not in self._running:
            self.replay(trial_id, self._next(trial_id))
        return self._running[trial_id]

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Registers one more running trial of a climb."""
        if "climb" not in proposal.note:  # an initial proposal, or one of another searcher
            oldest = next(iter(self._climbs), trial_id)
            proposal = Proposal(proposal.genotype, {"climb": oldest})
        self._running[trial_id] = proposal
        climb = self._climbs.setdefault(proposal.note["climb"], _Climb())
        climb.running += 1
        climb.starts += "from" not in proposal.note
        climb.asked.add(repr(proposal.genotype))

    def tell(self, observation: Observation) -> None:
        """Moves the climb if the result is better; removes the climb at its local optimum."""
        trial_id = observation.trial_id
        if trial_id not in self._running:
            self.replay(trial_id, Proposal(observation.genotype))
        number = self._running.pop(trial_id).note["climb"]
        climb = self._climbs[number]
        climb.running -= 1
        if succeeded(observation, 1) and (
            climb.best is None or value(observation) < value(climb.best)
        ):
            climb.best, climb.ahead = observation, self._neighbors(observation)
        if not climb.running and climb.starts >= self.starts and self._ahead(climb) is None:
            del self._climbs[number]

    def _next(self, trial_id: int) -> Proposal:
        new = trial_id
        for number, climb in sorted(self._climbs.items(), key=self._turn):
            if climb.starts < self.starts:
                new = number
                break
            child = self._ahead(climb)
            if child is not None and climb.best is not None:
                note = {"climb": number, "from": climb.best.trial_id}
                return Proposal(child.genotype, {**note, **named(child, self.mutations)})
        return Proposal(self.space.sample(self.rng(trial_id)), {"climb": new})

    def _ahead(self, climb: _Climb) -> Child | None:
        """Returns the climb's next neighbour that has not been proposed yet, or None."""
        while climb.ahead:
            child = climb.ahead[-1]
            if repr(child.genotype) not in climb.asked and not self._is_neutral(climb, child):
                return child
            climb.ahead.pop()
        return None

    def _is_neutral(self, climb: _Climb, child: Child) -> bool:
        if self.mutations.neutral == "keep" or climb.best is None:
            return False
        return self.space.is_same_network(climb.best.genotype, child.genotype)

    def _turn(self, numbered: tuple[int, _Climb]) -> float:
        """Orders climbs: those that need more starts first, then by their best result."""
        _, climb = numbered
        if climb.starts < self.starts:
            return -math.inf
        return math.inf if climb.best is None else value(climb.best)

    def _neighbors(self, observation: Observation) -> list[Child]:
        genotype = observation.genotype
        # A negative id, so that these random numbers differ from the trial's own.
        rng = self.rng(-1 - observation.trial_id)
        children = self.space.children(genotype, self.mutations)
        neighbors = list(islice(children, self.max_neighbors + 1))
        if len(neighbors) > self.max_neighbors:
            return list(self._mutants(genotype, rng))
        return [neighbors[position] for position in rng.permutation(len(neighbors))]

    def _mutants(self, genotype: Genotype, rng: np.random.Generator) -> Iterator[Child]:
        # Most mutants are never tried, so whether they are neutral is seen when their turn comes.
        mutations = self.mutations.model_copy(update={"neutral": "keep"})
        with suppress(NothingFeasible):  # then there are fewer
            for _ in range(self.max_neighbors):
                yield self.space.child(genotype, rng, mutations)
