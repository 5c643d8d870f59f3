"""Regularized (aging) evolution."""

import numpy as np

from nas.searchers.base import Observation
from nas.searchers.population import Evolution, drawn, value


class RegularizedEvolution(Evolution):
    """Tournament selection, mutation, and death of the oldest.

    Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search" (AAAI;
    arXiv:1802.01548), Algorithm 1. As in the notebook that the authors released, a tournament is
    drawn with replacement and the best of it, the first drawn of equals, is the parent; every
    child is mutated, once.

    The algorithm is asynchronous: the population is the last ``population_size`` trials that
    succeeded, in the order told, so a trial's age counts from its end. A failed trial never
    enters it. While nothing has succeeded yet, further trials are random too.

    Args:
        space: where to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        population_size: P of the paper; the first so many trials are random.
        tournament_size: S of the paper, from 1 (random parents) to ``population_size``.
        initial: members of the space that come first, in place of as many random trials.

    A child's note holds ``parent`` (a trial id) and ``mutated`` (the choice that was changed;
    choices that depend on it may have changed with it).
    """

    name = "evolution"

    def parent(self, rng: np.random.Generator) -> Observation:
        """The best of a tournament."""
        positions = drawn(len(self.population), self.tournament_size, rng)
        return min([self.population[position] for position in positions], key=value)

    def enter(self, observation: Observation) -> None:
        """Adds a success; the oldest leaves."""
        self.population.append(observation)
        if len(self.population) > self.population_size:
            del self.population[0]
