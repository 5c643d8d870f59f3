"""Aging evolution for several objectives."""

import numpy as np

from nas.searchers.base import Observation
from nas.searchers.evolution import RegularizedEvolution
from nas.searchers.population import drawn
from nas.statistics.pareto import crowded_order


class MultiObjectiveEvolution(RegularizedEvolution):
    """Regularized evolution whose tournaments are won by rank, then by distance from others.

    Birth, death and mutation are those of Real et al. 2019 (arXiv:1802.01548), Algorithm 1, as in
    :class:`nas.searchers.evolution.RegularizedEvolution`. Of a tournament the parent is the best
    by the crowded-comparison operator of Deb et al. 2002 ("A Fast and Elitist Multiobjective
    Genetic Algorithm: NSGA-II", section III-B): the one on the lower front of the population, of
    one front the one with the larger crowding distance, of equals the first drawn.

    It has no paper of its own. Syne Tune's ``MultiObjectiveRegularizedEvolution`` is the same but
    for the order within a front, which is that of an epsilon-net there (Salinas et al. 2021, "A
    Multi-Objective Perspective on Jointly Tuning Hardware and Hyperparameters").

    The population is ranked once after every success, in a time of its square.

    Args:
        space: where to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        population_size: how many live at a time; the first so many trials are random.
        tournament_size: from 1 (random parents) to ``population_size``. The larger, the more
            often the extremes of the front are the parents.
        initial: members of the space that come first, in place of as many random trials.

    The note and failed trials are those of regularized evolution.
    """

    name = "multi_objective_evolution"
    several_objectives = True
    _order: list[tuple[int, float]] | None = None

    def parent(self, rng: np.random.Generator) -> Observation:
        """The best of a tournament."""
        if self._order is None:
            self._order = crowded_order([each.values or () for each in self.population])
        positions = drawn(len(self.population), self.tournament_size, rng)
        return self.population[min(positions, key=self._order.__getitem__)]

    def enter(self, observation: Observation) -> None:
        """Adds a success; the oldest leaves."""
        super().enter(observation)
        self._order = None
