"""The base of the evolutionary searchers: a population and one mutated child at a time."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from nas.errors import InputError, in_file
from nas.searchers.base import Observation, Proposal, Searcher
from nas.spaces.asked_space import NothingFeasible
from nas.spaces.choices import Genotype, same
from nas.spaces.mutations import Child, Mutations, Neutral, Weights
from nas.spaces.search_space import SearchSpace


class Evolution(Searcher):
    """Evolution one trial at a time: a parent is chosen from the population and mutated once.

    Subclasses decide who is the parent (:meth:`parent`) and who dies (:meth:`enter`). A failed
    trial never enters the population. Until the first trial has succeeded, all trials are random.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        population_size: how many members live at a time; this many trials at the start are random.
        tournament_size: how many members compete in a tournament.
        mutations: the weights of the mutations by name (:mod:`nas.spaces.mutations`), by default
            those of the space.
        neutral: whether a child that is the same network as its parent is kept or redrawn, by
            default as the space says.

    A child's note holds ``parent`` (a trial id) and ``mutated`` (the choice that was changed;
    choices that depend on it may have changed with it), and if there are several mutations,
    ``mutation`` (its name). If no feasible child of the parent is
    found, a random genotype is proposed, and its note holds ``childless`` (the parent's trial id).

    Attributes:
        population: the members that live now.
    """

    name: ClassVar[str]
    """The searcher's name in messages."""
    smallest_tournament: ClassVar[int] = 1
    several_objectives: ClassVar[bool] = False
    takes_filter = True

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        population_size: int = 100,
        tournament_size: int = 25,
        mutations: Weights | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        super().__init__(space, seed, objectives)
        if not self.several_objectives:
            one_objective(self.name, objectives)
        least = self.smallest_tournament
        if population_size < least:
            raise InputError(
                f"searcher {self.name}: population_size must be at least {least}, "
                f"got {population_size}"
            )
        if not least <= tournament_size <= population_size:
            raise InputError(
                f"searcher {self.name}: tournament_size must be from {least} to population_size "
                f"({population_size}), got {tournament_size}"
            )
        self.population_size = population_size
        self.tournament_size = tournament_size
        self.mutations = mutations_of(self.name, space, mutations, neutral)
        self.population: list[Observation] = []

    def ask(self, trial_id: int) -> Proposal:
        """Proposes random samples at first, then mutated parents."""
        rng = self.rng(trial_id)
        if trial_id < self.population_size or not self.population:
            return self.screened(rng, lambda rng: Proposal(self.space.sample(rng)))
        parent = self.parent(rng)
        return self.screened(rng, lambda rng: self._child(parent, rng))

    def _child(self, parent: Observation, rng: np.random.Generator) -> Proposal:
        try:
            child = self.space.child(parent.genotype, rng, self.mutations)
        except NothingFeasible:
            return Proposal(self.space.sample(rng), {"childless": parent.trial_id})
        mutated = _first_difference(parent.genotype, child.genotype)
        note = {"parent": parent.trial_id, "mutated": mutated, **named(child, self.mutations)}
        return Proposal(child.genotype, note)

    def tell(self, observation: Observation) -> None:
        """Enters a successful trial into the population; a failed trial changes nothing."""
        if succeeded(observation, self.objectives):
            self.enter(observation)

    @abstractmethod
    def parent(self, rng: np.random.Generator) -> Observation:
        """Chooses the member that is mutated next; the population is not empty."""

    @abstractmethod
    def enter(self, observation: Observation) -> None:
        """Adds a successful trial to the population; if it is full, one member dies."""


def one_objective(name: str, objectives: int) -> None:
    """Raises :class:`InputError` unless there is exactly one objective."""
    if objectives != 1:
        raise InputError(
            f"searcher {name}: it minimises one objective, not {objectives}; for several, use "
            "multi_objective_evolution, nsga2, or optuna with sampler: NSGAII"
        )


def mutations_of(
    name: str,
    space: SearchSpace,
    weights: Weights | None,
    neutral: Neutral | None,
) -> Mutations:
    """Returns the mutations of a searcher; its options replace what the space says.

    Raises :class:`InputError` for a mutation that the space does not have, or a wrong value.
    """
    with in_file(f"searcher {name}"):
        return space.mutations_with(weights=weights, neutral=neutral)


def named(child: Child, mutations: Mutations) -> dict[str, str]:
    """Returns what a child's note says about its mutation, if there are several."""
    return {"mutation": child.mutation} if mutations.several else {}


def succeeded(observation: Observation, objectives: int) -> bool:
    """Tells whether the trial has values; ValueError if there is not one for each objective."""
    if observation.values is None:
        return False
    if len(observation.values) != objectives:
        raise ValueError(
            f"trial {observation.trial_id}: there must be as many values as objectives "
            f"({objectives}), got {observation.values!r}"
        )
    return True


def value(observation: Observation) -> float:
    """Returns the only objective of a successful trial."""
    assert observation.values is not None
    return observation.values[0]


def drawn(living: int, size: int, rng: np.random.Generator) -> list[int]:
    """Draws ``size`` positions below ``living``, independent and uniform."""
    # One call of numpy for all of them: `rng.integers` takes longer than the rest of a tournament.
    return [int(chance * living) for chance in rng.random(size).tolist()]


def drawn_apart(living: int, size: int, rng: np.random.Generator) -> list[int]:
    """Draws up to ``size`` different positions below ``living``, in random order."""
    # A partial Fisher-Yates shuffle; `moved` holds only the places that differ from the start.
    positions: list[int] = []
    moved: dict[int, int] = {}
    for place, chance in enumerate(rng.random(min(size, living)).tolist()):
        other = place + int(chance * (living - place))
        positions.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return positions


def _first_difference(parent: Genotype, child: Genotype) -> str:
    # Choices before the mutated one cannot depend on it, so it is the first that differs.
    return next(name for name in child if name not in parent or not same(child[name], parent[name]))
