"""Regularized (aging) evolution."""

import numpy as np

from nas.searchers.base import Observation
from nas.searchers.population import Evolution, drawn, value


class RegularizedEvolution(Evolution):
    """Evolution by tournament selection and mutation, in which the oldest member dies.

    Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search" (AAAI;
    arXiv:1802.01548), Algorithm 1. As in the authors' notebook, a tournament is drawn with
    replacement, and its best member is the parent. If several are equally good, the first one
    drawn is the parent. Every child is mutated once.

    The algorithm is asynchronous: the population consists of the last ``population_size`` trials
    that succeeded, in the order in which they ended. A failed trial never enters it. Until the
    first trial has succeeded, all trials are random.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        population_size: P in the paper; this many trials at the start are random.
        tournament_size: S in the paper, from 1 (random parents) to ``population_size``.

    A child's note holds ``parent`` (a trial id) and ``mutated`` (the choice that was changed;
    choices that depend on it may have changed with it).
    """

    name = "evolution"

    def parent(self, rng: np.random.Generator) -> Observation:
        """Returns the best of a tournament."""
        positions = drawn(len(self.population), self.tournament_size, rng)
        return min([self.population[position] for position in positions], key=value)

    def enter(self, observation: Observation) -> None:
        """Adds a successful trial and removes the oldest."""
        self.population.append(observation)
        if len(self.population) > self.population_size:
            del self.population[0]
