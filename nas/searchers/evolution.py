"""Regularized (aging) evolution."""

from collections import deque
from collections.abc import Sequence
from operator import itemgetter

from nas.errors import InputError
from nas.searchers.base import Observation, Proposal, Searcher
from nas.spaces.search_space import Genotype, SearchSpace, same


class RegularizedEvolution(Searcher):
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

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        population_size: int = 100,
        tournament_size: int = 25,
        initial: tuple[str, ...] = (),
    ) -> None:
        super().__init__(space, seed, objectives)
        if objectives != 1:
            raise InputError(
                f"searcher evolution: it minimises one objective, not {objectives}; "
                "for several, use the searcher optuna with sampler: NSGAII"
            )
        if population_size < 1:
            raise InputError(
                f"searcher evolution: population_size must be at least 1, got {population_size}"
            )
        if not 1 <= tournament_size <= population_size:
            raise InputError(
                f"searcher evolution: tournament_size must be from 1 to population_size "
                f"({population_size}), got {tournament_size}"
            )
        if len(initial) > population_size:
            raise InputError(
                f"searcher evolution: initial names {len(initial)} members, more than "
                f"population_size ({population_size})"
            )
        self.population_size = population_size
        self.tournament_size = tournament_size
        self._initial = [space.member(name) for name in initial]
        self._population: deque[tuple[float, Observation]] = deque(maxlen=population_size)

    def ask(self, trial_id: int) -> Proposal:
        """A member or a random sample at first, then a mutated parent."""
        if trial_id < len(self._initial):
            return Proposal(dict(self._initial[trial_id]))
        rng = self.rng(trial_id)
        if trial_id < self.population_size or not self._population:
            return Proposal(self.space.sample(rng))
        drawn = rng.integers(len(self._population), size=self.tournament_size)
        _, parent = min((self._population[i] for i in drawn), key=itemgetter(0))
        child = self.space.mutate(parent.genotype, rng)
        note = {"parent": parent.trial_id, "mutated": _first_difference(parent.genotype, child)}
        return Proposal(child, note)

    def tell(self, observation: Observation) -> None:
        """A success enters the population and the oldest leaves; a failure changes nothing."""
        if observation.values is not None:
            (value,) = observation.values
            self._population.append((value, observation))


def _first_difference(parent: Genotype, child: Genotype) -> str:
    # What is asked before the mutated choice cannot depend on it, so it comes first.
    return next(name for name in child if name not in parent or not same(child[name], parent[name]))
