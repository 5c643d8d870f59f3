"""Searches by aging evolution for several objectives."""

import numpy as np

from nas.searchers.base import Observation
from nas.searchers.evolution import RegularizedEvolution
from nas.searchers.population import drawn
from nas.statistics.pareto import crowded_order


class MultiObjectiveEvolution(RegularizedEvolution):
    """Regularized evolution in which Pareto rank, then crowding distance, decides a tournament.

    Birth, death and mutation are those of Real et al. 2019 (arXiv:1802.01548), Algorithm 1, as in
    :class:`nas.searchers.evolution.RegularizedEvolution`. The parent is the best of a tournament
    by the crowded-comparison operator of Deb et al. 2002 ("A Fast and Elitist Multiobjective
    Genetic Algorithm: NSGA-II", section III-B): the member on the lowest front of the population;
    on the same front, the one with the largest crowding distance; among equals, the first drawn.

    No paper describes this combination. Syne Tune's ``MultiObjectiveRegularizedEvolution`` differs
    only in the order within a front, for which it uses an epsilon-net (Salinas et al. 2021, "A
    Multi-Objective Perspective on Jointly Tuning Hardware and Hyperparameters").

    The population is ranked after every successful trial; the time grows with the square of its
    size.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        population_size: how many members live at a time; this many trials at the start are random.
        tournament_size: from 1 (random parents) to ``population_size``. The larger it is, the
            more often a parent is an extreme of the front.

    Notes and failed trials are treated as in regularized evolution.
    """

    name = "multi_objective_evolution"
    several_objectives = True
    _order: list[tuple[int, float]] | None = None

    def parent(self, rng: np.random.Generator) -> Observation:
        """Returns the best of a tournament."""
        if self._order is None:
            self._order = crowded_order([each.values or () for each in self.population])
        positions = drawn(len(self.population), self.tournament_size, rng)
        return self.population[min(positions, key=self._order.__getitem__)]

    def enter(self, observation: Observation) -> None:
        """Adds a successful trial and removes the oldest."""
        super().enter(observation)
        self._order = None
