"""Searches by evolution with tournaments and without aging."""

import numpy as np

from nas.searchers.base import Observation
from nas.searchers.population import Evolution, drawn_apart, value


class TournamentEvolution(Evolution):
    """Evolution by tournament selection and mutation, in which a tournament's worst dies.

    Real et al. 2017, "Large-Scale Evolution of Image Classifiers" (ICML; arXiv:1703.01041),
    section 3.1: a tournament is drawn; its best member is the parent, its worst one dies. The
    paper draws pairs (``tournament_size=2`` of a thousand); for larger tournaments this is the
    non-aging evolution that Real et al. 2019 (arXiv:1802.01548) compare aging with. Selection is
    that of Goldberg & Deb 1991, "A Comparative Analysis of Selection Schemes Used in Genetic
    Algorithms".

    Deviations from the paper: no member competes with itself, so the best of a population never
    dies. The worst dies when the child's result arrives, not when the child is proposed, and only
    if the population is full. If other results arrived in between, a new tournament is drawn for
    it. Among equals, the first one drawn is the parent and the last one dies.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        population_size: how many members live at a time; this many trials at the start are random.
        tournament_size: from 2 to ``population_size``.

    Notes and failed trials are treated as in regularized evolution.
    """

    name = "tournament_evolution"
    smallest_tournament = 2

    def parent(self, rng: np.random.Generator) -> Observation:
        """Returns the best of a tournament."""
        return min([self.population[position] for position in self._tournament(rng)], key=value)

    def enter(self, observation: Observation) -> None:
        """Adds a successful trial; in a full population it replaces a tournament's worst."""
        if len(self.population) < self.population_size:
            self.population.append(observation)
            return
        # The same random numbers chose the parent: without new results, it is the same tournament.
        positions = self._tournament(self.rng(observation.trial_id))
        worst = max(reversed(positions), key=lambda position: value(self.population[position]))
        self.population[worst] = observation

    def _tournament(self, rng: np.random.Generator) -> list[int]:
        return drawn_apart(len(self.population), self.tournament_size, rng)
