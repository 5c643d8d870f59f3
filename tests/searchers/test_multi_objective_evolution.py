"""Multi-objective aging evolution against ranks by brute force and evolution of one objective."""

from collections import deque

import numpy as np

from nas.searchers import Observation, Proposal, Searcher
from nas.searchers.population import drawn
from nas.statistics.hypervolume import hypervolume
from nas.testing.searchers import SearcherCase as Case
from nas.testing.toy import SMALL, campaign, loss, proposals
from tests.searchers.test_evolution import parents
from tests.spaces.chance import assert_distributed
from tests.statistics.test_pareto import crowding_by_definition, ranks_by_peeling

OPTIONS = {"population_size": 8, "tournament_size": 3}


def make(objectives: int = 2, seed: int = 0) -> Searcher:
    return Case("multi_objective_evolution", OPTIONS, objectives).make(seed)


def tell(made: Searcher, trial_id: int, *values: float) -> None:
    made.tell(Observation(trial_id, SMALL, values))


def crowded(points: list[tuple[float, ...]]) -> list[tuple[int, float]]:
    """Rank and crowding of every point by brute force, the smaller the better."""
    ranks = ranks_by_peeling(points)
    keys = {}
    for rank in set(ranks):
        front = [i for i, own in enumerate(ranks) if own == rank]
        for i, d in zip(front, crowding_by_definition([points[i] for i in front]), strict=True):
            keys[i] = (rank, -d)
    return [keys[i] for i in range(len(points))]


def test_parents_win_by_front_and_then_by_distance() -> None:
    made = make()
    points = [(0, 20), (2, 12), (9, 3), (20, 0), (11, 13), (21, 21), (22, 22), (23, 23)]
    for trial_id, point in enumerate(points):
        tell(made, trial_id, *map(float, point))
    # The first four are the first front: its ends win, then (9, 3), whose neighbours are 18/20 +
    # 12/20 apart, then (2, 12), whose are 9/20 + 17/20 apart.
    places = {2: (2, 3), 1: (3, 4), 4: (4, 5), 5: (5, 6), 6: (6, 7), 7: (7, 8)}
    chances = {i: (1 - a / 8) ** 3 - (1 - b / 8) ** 3 for i, (a, b) in places.items()}
    found = parents(made, 4000)
    for rare in (6, 7):
        found[5] += found.pop(rare, 0)
        chances[5] += chances.pop(rare)
    ends = (1 - (6 / 8) ** 3) / 2
    assert_distributed(found, {0: ends, 3: ends, **chances})


def test_the_parent_is_the_best_of_its_tournament_by_brute_force() -> None:
    made = make()
    rng = np.random.default_rng(0)
    alive: deque[tuple[int, tuple[float, ...]]] = deque(maxlen=8)
    for trial_id in range(200):
        proposal = made.ask(trial_id)
        assert proposal is not None
        if trial_id >= 8:
            keys = crowded([point for _, point in alive])
            winner = min(drawn(8, 3, made.rng(trial_id)), key=keys.__getitem__)
            assert proposal.note["parent"] == alive[winner][0]
        point = tuple(rng.integers(6, size=2).astype(float).tolist())
        alive.append((trial_id, point))
        made.tell(Observation(trial_id, proposal.genotype, point, proposal.note))


def test_the_oldest_dies_though_nothing_dominates_it() -> None:
    made = make()
    tell(made, 0, -9.0, -9.0)
    for trial_id in range(1, 8):
        tell(made, trial_id, float(trial_id), float(trial_id))
    assert max(parents(made, 200), key=parents(made, 200).__getitem__) == 0
    made.tell(Observation(8, SMALL, None))
    assert 0 in parents(made, 200)
    tell(made, 9, 5.0, 5.0)
    assert 0 not in parents(made, 400)


def test_with_one_objective_it_is_regularized_evolution() -> None:
    def asked(name: str) -> list[Proposal]:
        values = iter(np.random.default_rng(0).permutation(300))  # no two are equal
        events = campaign(
            Case(name, OPTIONS).make(), 300, workers=4, failures=0.2, value=lambda _: next(values)
        )
        return proposals(events)

    assert asked("multi_objective_evolution") == asked("evolution")


def test_its_front_covers_more_than_that_of_random_search() -> None:
    def volume(name: str, seed: int, **options: int) -> float:
        events = campaign(Case(name, options, objectives=2).make(seed), 100, workers=2, value=loss)
        return hypervolume([o.values for _, _, o in events if o is not None], [12.0, 97.0])

    seeds = range(20)
    options = {"population_size": 20, "tournament_size": 5}
    found = [volume("multi_objective_evolution", seed, **options) for seed in seeds]
    chance = [volume("random", seed) for seed in seeds]
    assert np.mean(found) > np.mean(chance) + 2 * np.std(chance) / len(seeds) ** 0.5
