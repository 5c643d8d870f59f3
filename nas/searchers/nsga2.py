"""NSGA-II: generations selected by non-dominated rank and crowding distance."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from nas.errors import InputError
from nas.searchers.base import Observation, Proposal, Searcher
from nas.searchers.population import drawn, mutations_of, named, succeeded
from nas.spaces.asked_space import NothingFeasible
from nas.spaces.mutations import Child, Neutral, Weights
from nas.spaces.search_space import SearchSpace
from nas.statistics.pareto import crowded_order


class NSGA2(Searcher):
    """Crossover and mutation; the better half of parents and children together survives.

    Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (IEEE
    Transactions on Evolutionary Computation 6(2)), the main loop of section III-C: parents win
    binary tournaments by the crowded-comparison operator. The children of a generation and the
    population before them are ranked together. The best of them are the next population; they are
    taken front by front, and from the last front by crowding distance. With one objective this is
    a genetic algorithm that keeps the best.

    Deviations from the paper, because genotypes are neither bits nor numbers: crossover is uniform
    over choices, where the paper has one-point crossover for bits and SBX for numbers. Exactly one
    choice of every child is mutated, where the paper mutates each with probability 1/n. The second
    parent is drawn like the first and may be the same one. A failed trial counts as one of its
    generation and never enters the population.

    A generation ends when all its results have arrived. Once all its children have been proposed,
    there is nothing to propose until then: with w workers, up to w - 1 of them wait.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        population_size: N in the paper, also the number of children; the first generation is
            random.
        crossover_rate: the probability that a child has two parents.
        crossover: how two parents make a child: ``uniform`` takes every answer from either, and
            ``subtree`` exchanges a choice and all choices below it, for grammars.
        mutations: the weights of the mutations by name (:mod:`nas.spaces.mutations`), by default
            those of the space.
        neutral: whether a child that is the same network as its parent is kept or redrawn, by
            default as the space says.

    A child's note holds ``parents``: one trial id, or two, and if there are several mutations,
    ``mutation``. If no feasible child of them is found,
    a random genotype is proposed, and its note holds ``childless``, the same trial ids.
    """

    takes_filter = True

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        population_size: int = 100,
        crossover_rate: float = 0.9,
        crossover: Literal["uniform", "subtree"] = "uniform",
        mutations: Weights | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        super().__init__(space, seed, objectives)
        if population_size < 2:
            raise InputError(
                f"searcher nsga2: population_size must be at least 2, got {population_size}"
            )
        if not 0 <= crossover_rate <= 1:
            raise InputError(
                f"searcher nsga2: crossover_rate must be from 0 to 1, got {crossover_rate}"
            )
        self.population_size = population_size
        self.crossover_rate = crossover_rate
        self.crossover = space.crossover if crossover == "uniform" else space.subtree_crossover
        self.mutations = mutations_of("nsga2", space, mutations, neutral)
        self.population: list[Observation] = []
        self._order: list[tuple[int, float]] = []
        self._children: list[Observation] = []
        self._born = 0
        self._running: set[int] = set()

    def ask(self, trial_id: int) -> Proposal | None:
        """Proposes a child; None if its generation is complete but some results are missing."""
        if self._born >= self.population_size and trial_id not in self._running:
            return None
        self._start(trial_id)
        return self.screened(self.rng(trial_id), self._proposal)

    def _proposal(self, rng: np.random.Generator) -> Proposal:
        if not self.population:
            return Proposal(self.space.sample(rng))
        parents = [self._winner(rng)]
        if rng.random() < self.crossover_rate:
            parents.append(self._winner(rng))
        numbers = [parent.trial_id for parent in parents]
        try:
            child = self._child(parents, rng)
        except NothingFeasible:
            return Proposal(self.space.sample(rng), {"childless": numbers})
        return Proposal(child.genotype, {"parents": numbers, **named(child, self.mutations)})

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Registers one more running trial of the generation."""
        self._start(trial_id)

    def tell(self, observation: Observation) -> None:
        """Registers the end of a child; the last of a generation starts the next one."""
        self._start(observation.trial_id)
        self._running.remove(observation.trial_id)
        if succeeded(observation, self.objectives):
            self._children.append(observation)
        if self._born >= self.population_size and not self._running:
            self._select()

    def _start(self, trial_id: int) -> None:
        if trial_id not in self._running:
            self._running.add(trial_id)
            self._born += 1

    def _child(self, parents: Sequence[Observation], rng: np.random.Generator) -> Child:
        genotype, *other = [parent.genotype for parent in parents]
        if other:
            genotype = self.crossover(genotype, other[0], rng, self.mutations.draws)
        return self.space.child(genotype, rng, self.mutations)

    def _winner(self, rng: np.random.Generator) -> Observation:
        positions = drawn(len(self.population), 2, rng)
        return self.population[min(positions, key=self._order.__getitem__)]

    def _select(self) -> None:
        everyone = [*self.population, *self._children]
        order = crowded_order([each.values or () for each in everyone])
        best = sorted(range(len(everyone)), key=order.__getitem__)[: self.population_size]
        self.population = [everyone[position] for position in best]
        self._order = [order[position] for position in best]
        self._children = []
        self._born = 0
