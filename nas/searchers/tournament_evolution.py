"""Tournament selection without aging."""

import numpy as np

from nas.searchers.base import Observation
from nas.searchers.population import Evolution, drawn_apart, value


class TournamentEvolution(Evolution):
    """Tournament selection, mutation, and death of a tournament's worst.

    Real et al. 2017, "Large-Scale Evolution of Image Classifiers" (ICML; arXiv:1703.01041),
    section 3.1: a tournament is drawn, the best of it is the parent, the worst of it dies. The
    paper draws pairs (``tournament_size=2`` of a thousand); for larger tournaments this is the
    non-aging evolution that Real et al. 2019 (arXiv:1802.01548) compare aging with. Selection is
    that of Goldberg & Deb 1991, "A Comparative Analysis of Selection Schemes Used in Genetic
    Algorithms".

    Deviations: nobody competes with itself, so the best of a population lives on for ever. The
    worst dies when the child is told, not when it is asked, and only where there is no room for
    the child. If anything was told in between, a tournament is drawn anew for it. Of equals, the
    first drawn is the parent and the last dies.

    Args:
        space: where to search.
        seed: one or more non-negative integers.
        objectives: must be 1.
        population_size: how many live at a time; the first so many trials are random.
        tournament_size: from 2 to ``population_size``.
        initial: members of the space that come first, in place of as many random trials.

    The note and failed trials are those of regularized evolution.
    """

    name = "tournament_evolution"
    smallest_tournament = 2

    def parent(self, rng: np.random.Generator) -> Observation:
        """The best of a tournament."""
        return min([self.population[position] for position in self._tournament(rng)], key=value)

    def enter(self, observation: Observation) -> None:
        """A success takes the place of a tournament's worst."""
        if len(self.population) < self.population_size:
            self.population.append(observation)
            return
        # The numbers that chose the parent: with nothing told since, the tournament is the same.
        positions = self._tournament(self.rng(observation.trial_id))
        worst = max(reversed(positions), key=lambda position: value(self.population[position]))
        self.population[worst] = observation

    def _tournament(self, rng: np.random.Generator) -> list[int]:
        return drawn_apart(len(self.population), self.tournament_size, rng)
