"""NSGA-II: selection against brute force, tournaments against closed forms, generations in step."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from nas.errors import InputError
from nas.searchers import Observation, Proposal, searcher
from nas.searchers.nsga2 import NSGA2
from nas.statistics.hypervolume import hypervolume
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import OPTIMUM, SMALL, best, campaign, loss, space
from tests.searchers.test_multi_objective_evolution import crowded
from tests.spaces.chance import assert_distributed


def nsga2(population_size: int = 6, *, objectives: int = 2, seed: int = 1, **options: Any) -> NSGA2:
    made = searcher(
        "nsga2",
        space=space(),
        seed=seed,
        objectives=objectives,
        population_size=population_size,
        **options,
    )
    assert isinstance(made, NSGA2)
    return made


def tell(made: NSGA2, trial_id: int, *values: float) -> None:
    made.tell(Observation(trial_id, SMALL, values or None))


def alive(made: NSGA2) -> list[int]:
    return [each.trial_id for each in made.population]


# --- selection ---------------------------------------------------------------------------------


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_best_of_parents_and_children_survive(objectives: int) -> None:
    made = nsga2(6, objectives=objectives)
    rng = np.random.default_rng(objectives)
    values: dict[int, tuple[float, ...]] = {}
    for generation in range(30):
        pool = [*alive(made), *range(6 * generation, 6 * generation + 6)]
        for trial_id in pool[-6:]:
            values[trial_id] = tuple(rng.integers(12, size=objectives).astype(float).tolist())
            tell(made, trial_id, *values[trial_id])
        keys = crowded([values[i] for i in pool])
        order = sorted(range(len(pool)), key=keys.__getitem__)  # stable: the elders first
        assert alive(made) == [pool[i] for i in order[:6]]


def test_parents_win_binary_tournaments() -> None:
    made = nsga2(4, crossover_rate=0.0)
    for trial_id, point in enumerate([(3, 3), (1, 1), (0, 0), (2, 2)]):
        tell(made, trial_id, *map(float, point))
    made.population_size = 10**9  # so that the generation does not end
    asked = [made.ask(trial_id) for trial_id in range(4, 4004)]
    found = Counter(proposal.note["parents"][0] for proposal in asked if proposal is not None)
    assert_distributed(found, {2: 7 / 16, 1: 5 / 16, 3: 3 / 16, 0: 1 / 16})


def test_a_duel_on_one_front_is_won_by_distance() -> None:
    made = nsga2(4, crossover_rate=0.0)
    for trial_id, point in enumerate([(0, 9), (1, 8), (2, 5), (9, 0)]):
        tell(made, trial_id, *map(float, point))
    made.population_size = 10**9
    asked = [made.ask(trial_id) for trial_id in range(4, 4004)]
    found = Counter(proposal.note["parents"][0] for proposal in asked if proposal is not None)
    # The ends are equals, (2, 5) has more room than (1, 8).
    assert_distributed(found, {0: 6 / 16, 3: 6 / 16, 2: 3 / 16, 1: 1 / 16})


# --- children ----------------------------------------------------------------------------------


def test_children_are_mutated_crossings_of_two_or_mutations_of_one() -> None:
    for rate in (0.0, 0.5, 1.0):
        made = nsga2(10, crossover_rate=rate)
        genotypes, crossed = {}, 0
        for trial_id, proposal, _ in campaign(made, 400, workers=4):
            if proposal is None:
                continue
            genotypes[trial_id] = proposal.genotype
            if trial_id < 10:
                assert proposal.note == {}
                continue
            parents = [genotypes[parent] for parent in proposal.note["parents"]]
            crossed += len(parents) == 2
            if len(parents) == 1:
                assert proposal.genotype in list(space().neighbors(parents[0]))
        assert abs(crossed / 390 - rate) < 0.1


def test_crossing_brings_together_what_two_parents_have() -> None:
    """Each parent lacks half of the optimum. A child that has both is one crossing away."""
    half, other = dict(OPTIMUM), dict(OPTIMUM)
    for name in ("stage0.width", "stage1.width"):
        half[name] = 8
    for name in ("stage2.width", "activation"):
        other[name] = 8 if name.endswith("width") else None
    found = 0
    for seed in range(40):
        made = nsga2(2, objectives=1, seed=seed, crossover_rate=1.0)
        for trial_id, genotype in enumerate((half, other)):
            made.tell(Observation(trial_id, genotype, (1.0,)))
        made.population_size = 50
        children = [made.ask(trial_id) for trial_id in range(2, 52)]
        found += min(loss(child.genotype) for child in children if child is not None) <= 1
    assert found > 30


# --- generations -------------------------------------------------------------------------------


def test_a_generation_waits_for_its_last() -> None:
    made = nsga2(4)
    first = [made.ask(trial_id) for trial_id in range(4)]
    assert all(isinstance(proposal, Proposal) for proposal in first)
    assert made.ask(4) is None
    for trial_id in (2, 0, 3):
        tell(made, trial_id, 1.0, 1.0)
        assert made.ask(4) is None
        assert made.ask(1) == first[1]
    tell(made, 1)
    assert sorted(alive(made)) == [0, 2, 3]
    child = made.ask(4)
    assert child is not None
    assert child.note["parents"]


@pytest.mark.parametrize("workers", [1, 3, 50])
def test_generations_follow_each_other_with_any_number_of_workers(workers: int) -> None:
    events = campaign(nsga2(10), 200, workers=workers, failures=0.3)
    running = 0
    for trial_id, proposal, observation in events:
        running += (proposal is not None) - (observation is not None)
        assert running <= min(workers, 10)
        if proposal is not None and trial_id >= 10:
            # Trials 10 g to 10 g + 9 are one generation: nobody's parent is of the same.
            assert all(parent < trial_id // 10 * 10 for parent in proposal.note["parents"])


def test_a_generation_of_failures_is_drawn_again() -> None:
    made = nsga2(3)
    for trial_id in range(3):
        tell(made, trial_id)
    proposal = made.ask(3)
    assert proposal is not None
    assert proposal.note == {}
    for trial_id in range(3, 6):
        tell(made, trial_id, 1.0, 1.0)
    for trial_id in range(6, 9):
        tell(made, trial_id)
    assert alive(made) == [3, 4, 5]


# --- whether it works --------------------------------------------------------------------------


def test_its_front_covers_more_than_that_of_random_search() -> None:
    def volume(name: str, seed: int, **options: int) -> float:
        events = campaign(Case(name, options, objectives=2).make(seed), 120, workers=2, value=loss)
        return hypervolume([o.values for _, _, o in events if o is not None], [12.0, 97.0])

    found = [volume("nsga2", seed, population_size=20) for seed in range(20)]
    chance = [volume("random", seed) for seed in range(20)]
    assert np.mean(found) > np.mean(chance) + 2 * np.std(chance) / 20**0.5


def test_with_one_objective_the_best_is_never_lost() -> None:
    made = nsga2(5, objectives=1)
    found = best(campaign(made, 100))
    assert min(each.values[0] for each in made.population if each.values) == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population_size": 1}, "searcher nsga2: population_size must be at least 2, got 1"),
        ({"crossover_rate": 1.5}, "searcher nsga2: crossover_rate must be from 0 to 1, got 1.5"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        nsga2(**options)


def test_as_many_values_as_objectives() -> None:
    with pytest.raises(
        ValueError, match=r"trial 0: there must be as many values as objectives \(2\), got"
    ):
        tell(nsga2(), 0, 1.0)
