"""Regularized evolution against closed forms and a bare implementation of Algorithm 1."""

import random
import statistics
from collections import Counter, deque
from typing import Any, cast

import pytest

from nas.errors import InputError
from nas.searchers import Observation, Searcher, searcher
from nas.spaces.choices import Choose, Genotype
from nas.spaces.search_space import SearchSpace
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import OPTIMUM, SMALL, best, campaign, loss, proposals, space
from tests.spaces.chance import assert_distributed


def evolution(population_size: int = 10, tournament_size: int = 3, **options: Any) -> Searcher:
    return searcher(
        "evolution",
        space=space(),
        seed=1,
        population_size=population_size,
        tournament_size=tournament_size,
        **options,
    )


def parents(made: Searcher, asks: int) -> Counter[int]:
    """Whose child each of many further asks is; asks change nothing."""
    asked = [made.ask(1000 + i) for i in range(asks)]
    return Counter(proposal.note["parent"] for proposal in asked if proposal is not None)


def tell(made: Searcher, trial_id: int, value: float | None) -> None:
    made.tell(Observation(trial_id, SMALL, None if value is None else (value,)))


def test_the_parent_is_the_best_of_a_tournament_drawn_with_replacement() -> None:
    made = evolution(population_size=10, tournament_size=3)
    for trial_id in range(10):
        tell(made, trial_id, float((trial_id * 7) % 10))
    chances = {
        trial_id: (1 - ((trial_id * 7) % 10) / 10) ** 3 - (1 - ((trial_id * 7) % 10 + 1) / 10) ** 3
        for trial_id in range(10)
    }
    assert_distributed(parents(made, 4000), chances)


def test_equals_are_equally_likely_parents() -> None:
    made = evolution(population_size=4, tournament_size=4)
    for trial_id in range(4):
        tell(made, trial_id, 0.5)
    assert_distributed(parents(made, 2000), dict.fromkeys(range(4), 1 / 4))


def test_the_oldest_dies_however_good_and_failures_neither_enter_nor_age() -> None:
    made = evolution(population_size=3, tournament_size=1)
    tell(made, 0, -100.0)
    for trial_id in (4, 2):
        tell(made, trial_id, 1.0)
    assert set(parents(made, 100)) == {0, 4, 2}
    for trial_id in (5, 6, 7):
        tell(made, trial_id, None)
    assert set(parents(made, 100)) == {0, 4, 2}
    tell(made, 3, 1.0)
    assert set(parents(made, 100)) == {4, 2, 3}
    tell(made, 1, float("inf"))
    assert set(parents(made, 100)) == {2, 3, 1}


def test_parents_are_alive_when_asked_with_parallel_workers() -> None:
    made = evolution(population_size=8, tournament_size=3)
    alive: deque[int] = deque(maxlen=8)
    genotypes: dict[int, Genotype] = {}
    children = 0
    for trial_id, proposal, observation in campaign(made, 200, workers=5, failures=0.3):
        if observation is not None and observation.values is not None:
            alive.append(trial_id)
        if proposal is not None:
            genotypes[trial_id] = proposal.genotype
            assert bool(proposal.note) == (trial_id >= 8)
            if proposal.note:
                children += 1
                parent = genotypes[proposal.note["parent"]]
                assert proposal.note["parent"] in alive
                assert proposal.genotype in list(space().neighbors(parent))
                mutated = proposal.note["mutated"]
                assert parent[mutated] != proposal.genotype[mutated]
    assert children == 192


# --- the toy of the paper's appendix C: the number of ones in a string of bits ----------------

BITS = 24


def bits(choose: Choose) -> None:
    for i in range(BITS):
        choose(f"bit{i}", [0, 1])


def zeros(genotype: Genotype) -> float:
    return float(BITS - sum(cast(dict[str, int], genotype).values()))


def bare(seed: int, cycles: int, population_size: int, tournament_size: int) -> list[int]:
    """Algorithm 1, written from the paper alone; the zeros of every model in turn."""
    rng = random.Random(seed)
    history: list[list[int]] = []
    population: list[list[int]] = []
    for _ in range(population_size):
        population.append([rng.randrange(2) for _ in range(BITS)])
        history.append(population[-1])
    while len(history) < cycles:
        sample = [rng.choice(population) for _ in range(tournament_size)]
        child = list(max(sample, key=sum))
        child[rng.randrange(BITS)] ^= 1
        population = [*population[1:], child]
        history.append(child)
    return [BITS - sum(model) for model in history]


def ours(seed: int, cycles: int, population_size: int, tournament_size: int) -> list[int]:
    made = searcher(
        "evolution",
        space=SearchSpace(cast(Any, bits), "bits"),
        seed=seed,
        population_size=population_size,
        tournament_size=tournament_size,
    )
    return [int(zeros(p.genotype)) for p in proposals(campaign(made, cycles, value=zeros))]


@pytest.mark.parametrize(("cycles", "size", "tournament"), [(60, 10, 10), (150, 30, 3)])
def test_progress_is_that_of_a_bare_implementation(cycles: int, size: int, tournament: int) -> None:
    runs = 60
    for statistic in (min, lambda zeros: statistics.fmean(zeros[-10:])):
        a, b = (
            [float(statistic(run(seed, cycles, size, tournament))) for seed in range(runs)]
            for run in (bare, ours)
        )
        error = ((statistics.variance(a) + statistics.variance(b)) / runs) ** 0.5
        assert abs(statistics.fmean(a) - statistics.fmean(b)) < 4 * error


# --- options -----------------------------------------------------------------------------------


def test_members_come_first() -> None:
    made = evolution(initial=("small", "optimum"))
    events = campaign(made, 30)
    assert [p.genotype for p in proposals(events)[:2]] == [SMALL, OPTIMUM]
    assert best(events) == loss(OPTIMUM) == 0
    plain = [p.genotype for p in proposals(campaign(evolution(), 10))]
    assert [p.genotype for p in proposals(events)[2:10]] == plain[2:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population_size": 0}, "population_size must be at least 1, got 0"),
        ({"tournament_size": 0}, r"tournament_size must be from 1 to population_size \(10\), got"),
        ({"tournament_size": 11}, r"tournament_size must be from 1 to population_size \(10\), got"),
        (
            {"initial": {f"small {copy}": SMALL for copy in range(11)}},
            r"initial holds 11 genotypes, more than population_size \(10\)",
        ),
        (
            {"initial": {"small": SMALL}, "count": 10},
            r"initial and warm_start hold 11 genotypes, more than population_size \(10\)",
        ),
        ({"initial": ("small", "small")}, r"initial: each must be given once"),
        ({"initial": ("smal",)}, r"unknown member 'smal' \(did you mean 'small'\?\)"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evolution(**options)


def test_several_objectives_are_refused() -> None:
    with pytest.raises(InputError, match="it minimises one objective, not 2"):
        Case("evolution", objectives=2).make()
    with pytest.raises(
        ValueError, match=r"trial 0: there must be as many values as objectives \(1\), got"
    ):
        evolution().tell(Observation(0, SMALL, (1.0, 2.0)))
