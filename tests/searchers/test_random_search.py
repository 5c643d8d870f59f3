"""Random search draws trials as if from one long stream, whatever the seed and the ids."""

import itertools
from collections import Counter
from typing import Any, cast

from nas.searchers import searcher
from nas.spaces.search_space import SearchSpace
from tests.spaces.chance import assert_distributed

SPACE = SearchSpace(cast(Any, lambda choose: choose("x", [0, 1, 2, 3])), "four")


def drawn(seed: int | tuple[int, ...], trial_id: int) -> int:
    proposal = searcher("random", space=SPACE, seed=seed).ask(trial_id)
    assert proposal is not None
    return cast(int, proposal.genotype["x"])


def test_successive_trials_are_uniform_and_independent() -> None:
    draws = [drawn(11, i) for i in range(3201)]
    pairs = Counter(itertools.pairwise(draws))
    assert_distributed(pairs, dict.fromkeys(itertools.product(range(4), repeat=2), 1 / 16))


def test_successive_seeds_are_uniform_and_independent() -> None:
    pairs = Counter((drawn((5, seed), 0), drawn((5, seed + 1), 0)) for seed in range(0, 3200, 2))
    assert_distributed(pairs, dict.fromkeys(itertools.product(range(4), repeat=2), 1 / 16))


def test_a_seed_of_one_number_and_its_sequence_are_one() -> None:
    draws = {seed: tuple(drawn(seed, i) for i in range(30)) for seed in (3, (3,), (3, 1), (1, 3))}
    assert draws[3] == draws[3,]
    assert len(set(draws.values())) == 3
