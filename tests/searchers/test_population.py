"""Draws from a population: each alone, and none twice."""

import itertools
from collections import Counter

import numpy as np

from nas.searchers.population import drawn, drawn_apart
from tests.spaces.chance import assert_distributed

RNG = np.random.default_rng(3)


def test_draws_are_independent_and_uniform() -> None:
    pairs = Counter(tuple(drawn(4, 2, RNG)) for _ in range(4000))
    assert_distributed(pairs, dict.fromkeys(itertools.product(range(4), repeat=2), 1 / 16))


def test_draws_apart_are_every_order_alike() -> None:
    for size, ways in ((2, 12), (3, 24), (4, 24), (9, 24)):
        orders = Counter(tuple(drawn_apart(4, size, RNG)) for _ in range(250 * ways))
        possible = list(itertools.permutations(range(4), min(size, 4)))
        assert set(orders) <= set(possible)
        firsts = Counter(order[:2] for order in orders.elements())
        assert_distributed(firsts, dict.fromkeys(itertools.permutations(range(4), 2), 1 / 12))
        assert len(orders) == len(possible) == ways
