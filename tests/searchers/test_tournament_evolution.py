"""Tournament evolution: exact chances of birth and death, and what aging would have changed."""

import random
import statistics
from collections import Counter
from math import comb, inf
from typing import Any, cast

import pytest

from nas.errors import InputError
from nas.searchers import Observation, Searcher, searcher
from nas.searchers.population import Evolution
from nas.spaces.search_space import SearchSpace
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import SMALL, campaign, proposals, space
from tests.searchers.test_evolution import BITS, bits, parents, tell, zeros
from tests.spaces.chance import assert_distributed


def evolution(population_size: int = 6, tournament_size: int = 3, **options: Any) -> Evolution:
    made = searcher(
        "tournament_evolution",
        space=space(),
        seed=1,
        population_size=population_size,
        tournament_size=tournament_size,
        **options,
    )
    assert isinstance(made, Evolution)
    return made


def alive(made: Evolution) -> set[int]:
    return {each.trial_id for each in made.population}


def test_the_parent_is_the_best_of_different_ones() -> None:
    made = evolution(6, 3)
    for trial_id in range(6):
        tell(made, trial_id, float((trial_id * 5) % 6))
    # The k-th best wins where the two others are of the 5 - k behind it.
    chances = {i: comb(5 - (i * 5) % 6, 2) / comb(6, 3) for i in range(6) if (i * 5) % 6 < 4}
    assert_distributed(parents(made, 4000), chances)


def test_the_worst_of_different_ones_dies() -> None:
    dead: Counter[int] = Counter()
    for child in range(6, 4006):
        made = evolution(6, 3)
        for trial_id in range(6):
            tell(made, trial_id, float(trial_id))
        tell(made, child, -inf)
        (gone,) = set(range(6)) - alive(made)
        assert child in alive(made)
        dead[gone] += 1
    assert_distributed(dead, {i: comb(i, 2) / comb(6, 3) for i in range(2, 6)})


def test_alone_a_child_replaces_the_worst_of_its_parents_tournament() -> None:
    """One worker: who is chosen and who dies are of one draw, as in the paper."""
    made = evolution(8, 2)
    values: dict[int, float] = {}
    chosen = Counter[tuple[int, int]]()
    rng = random.Random(0)
    for trial_id in range(3000):
        proposal = made.ask(trial_id)
        before = alive(made)
        values[trial_id] = rng.random()
        tell(made, trial_id, values[trial_id])
        if trial_id < 8:
            assert alive(made) == before | {trial_id}
            continue
        (gone,) = before - alive(made)
        parent = proposal.note["parent"]
        # A pair: the better is the parent, the worse has died. So nobody is both.
        assert values[parent] < values[gone]
        ranks = sorted(before, key=values.__getitem__)
        chosen[ranks.index(parent), ranks.index(gone)] += 1
    pairs = {(i, j): 1 / comb(8, 2) for i in range(8) for j in range(i + 1, 8)}
    assert set(chosen) == set(pairs)
    expected = 2992 / len(pairs)
    assert sum((chosen[p] - expected) ** 2 / expected for p in pairs) < 66.2  # 27 degrees, 1e-4


def test_of_equals_the_first_drawn_is_the_parent_and_the_last_dies() -> None:
    made = evolution(2, 2)
    for trial_id in (0, 1):
        tell(made, trial_id, 0.5)
    for child in range(2, 40):
        proposal = made.ask(child)
        before = alive(made)
        tell(made, child, 0.5)
        assert before - alive(made) == before - {proposal.note["parent"]}


@pytest.mark.parametrize("workers", [1, 5])
def test_luck_lives_for_ever_unless_it_ages(workers: int) -> None:
    """One trial is measured far too good. Without aging it is a parent to the end."""

    def children_of_luck(name: str) -> list[int]:
        options = {"population_size": 8, "tournament_size": 3}
        events = campaign(
            cast(Searcher, _Lucky(Case(name, options).make())), 400, workers=workers, failures=0.2
        )
        noted = [p.note for p in proposals(events)]
        return [i for i, note in enumerate(noted) if note.get("parent") == _Lucky.trial_id]

    aging, tournament = children_of_luck("evolution"), children_of_luck("tournament_evolution")
    # It dies after eight more successes: 8 / 0.8 trials, and what is under way.
    assert 0 < len(aging) <= 25
    assert max(aging) < _Lucky.trial_id + 35
    # Three of eight compete, so in 3/8 of the tournaments it is the winner.
    assert abs(len(tournament) / 400 - 3 / 8) < 0.1
    assert max(tournament) > 380


class _Lucky:
    """A searcher that is told an unbeatable value for one trial."""

    trial_id = 5

    def __init__(self, within: Searcher) -> None:
        self._within = within
        self.ask, self.objectives = within.ask, within.objectives
        self.takes_curves = within.takes_curves

    def tell(self, observation: Observation) -> None:
        values = observation.values
        if observation.trial_id == self.trial_id:
            values = (-1000.0,)
        self._within.tell(Observation(observation.trial_id, observation.genotype, values))


def test_failures_neither_live_nor_kill() -> None:
    made = evolution(3, 2)
    for trial_id in range(3):
        tell(made, trial_id, 1.0)
    for trial_id in range(3, 9):
        tell(made, trial_id, None)
    assert alive(made) == {0, 1, 2}


def test_progress_is_that_of_a_bare_implementation() -> None:
    """The paper's pairs, on strings of bits: the child takes the place of the worse of two."""

    def bare(seed: int) -> list[int]:
        rng = random.Random(seed)
        population = [[rng.randrange(2) for _ in range(BITS)] for _ in range(20)]
        history = list(population)
        while len(history) < 150:
            first, second = rng.sample(range(20), 2)
            if sum(population[first]) < sum(population[second]):
                first, second = second, first
            child = list(population[first])
            child[rng.randrange(BITS)] ^= 1
            population[second] = child
            history.append(child)
        return [BITS - sum(model) for model in history]

    def ours(seed: int) -> list[int]:
        made = searcher(
            "tournament_evolution",
            space=SearchSpace(cast(Any, bits), "bits"),
            seed=seed,
            population_size=20,
            tournament_size=2,
        )
        return [int(zeros(p.genotype)) for p in proposals(campaign(made, 150, value=zeros))]

    a, b = ([statistics.fmean(run(seed)[-10:]) for seed in range(60)] for run in (bare, ours))
    error = ((statistics.variance(a) + statistics.variance(b)) / 60) ** 0.5
    assert abs(statistics.fmean(a) - statistics.fmean(b)) < 4 * error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population_size": 1}, "tournament_evolution: population_size must be at least 2, got 1"),
        ({"tournament_size": 1}, r"tournament_size must be from 2 to population_size \(6\), got 1"),
        ({"tournament_size": 7}, r"tournament_size must be from 2 to population_size \(6\), got 7"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evolution(**options)


def test_several_objectives_are_refused() -> None:
    with pytest.raises(InputError, match="searcher tournament_evolution: it minimises one obj"):
        Case("tournament_evolution", objectives=2).make()
    with pytest.raises(
        ValueError, match=r"trial 0: there must be as many values as objectives \(1\), got"
    ):
        evolution().tell(Observation(0, SMALL, (1.0, 2.0)))
