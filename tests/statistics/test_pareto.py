"""Ranks and crowding against their definitions, by brute force and by hand."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.statistics.pareto import crowded_order, crowding_distance, non_dominated_rank


def dominates(a: Any, b: Any) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def ranks_by_peeling(points: list[tuple[float, ...]]) -> list[int]:
    ranks: dict[int, int] = {}
    rank = 0
    while len(ranks) < len(points):
        left = [i for i in range(len(points)) if i not in ranks]
        front = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        ranks.update(dict.fromkeys(front, rank))
        rank += 1
    return [ranks[i] for i in range(len(points))]


def crowding_by_definition(points: list[tuple[float, ...]]) -> list[float]:
    """Section III-B of the paper, line by line; an objective without a range has no line."""
    distance = [0.0] * len(points)
    for objective in range(len(points[0])):
        order = sorted(range(len(points)), key=lambda i: points[i][objective])
        column = [points[i][objective] for i in order]
        if column[-1] > column[0]:  # the paper divides by the range
            distance[order[0]] = distance[order[-1]] = math.inf
            for k in range(1, len(order) - 1):
                distance[order[k]] += (column[k + 1] - column[k - 1]) / (column[-1] - column[0])
    return distance


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[float, ...]]:
    objectives = draw(st.integers(1, 4))
    value = st.integers(0, 5).map(float)  # few values, so that there are ties
    return draw(st.lists(st.tuples(*[value] * objectives), min_size=1, max_size=14))


@given(tables())
def test_ranks_are_those_of_peeling_front_after_front(points: list[tuple[float, ...]]) -> None:
    assert non_dominated_rank(points).tolist() == ranks_by_peeling(points)


@given(tables())
def test_crowding_is_that_of_the_definition(points: list[tuple[float, ...]]) -> None:
    np.testing.assert_allclose(crowding_distance(points), crowding_by_definition(points))


@given(tables())
def test_fronts_are_crowded_each_for_itself(points: list[tuple[float, ...]]) -> None:
    ranks = ranks_by_peeling(points)
    found = crowding_distance(points, ranks)
    keys = crowded_order(points)
    for rank in set(ranks):
        front = [i for i, own in enumerate(ranks) if own == rank]
        expected = crowding_by_definition([points[i] for i in front])
        np.testing.assert_allclose(found[front], expected)
        assert [keys[i] for i in front] == [(rank, -found[i]) for i in front]


def test_every_point_of_a_chain_is_a_front_and_of_an_antichain_on_the_first() -> None:
    chain = [(i, i, i) for i in range(20)]
    assert non_dominated_rank(chain).tolist() == list(range(20))
    antichain = list(itertools.permutations([0, 1, 2]))
    assert non_dominated_rank(antichain).tolist() == [0] * 6


def test_crowding_by_hand() -> None:
    points = [(0, 10), (1, 6), (4, 4), (10, 0)]
    assert crowding_distance(points).tolist() == pytest.approx(
        [math.inf, 4 / 10 + 6 / 10, 9 / 10 + 6 / 10, math.inf]
    )


def test_a_constant_objective_adds_nothing() -> None:
    found = crowding_distance([[5, 0], [6, 0], [9, 0], [0, 0]])
    assert found.tolist() == pytest.approx([2 / 3, 4 / 9, math.inf, math.inf])
    assert crowding_distance([[1, 2]] * 3).tolist() == [0, 0, 0]


def test_infinite_values_have_a_rank_and_add_no_distance() -> None:
    points = [(0.0, 3.0), (1.0, 2.0), (2.0, 1.0), (math.inf, 0.0), (math.inf, 4.0)]
    assert non_dominated_rank(points).tolist() == [0, 0, 0, 0, 1]
    assert crowding_distance(points[:4]).tolist() == pytest.approx(
        [math.inf, 2 / 3, 2 / 3, math.inf]
    )
    assert crowding_distance([(math.inf,)] * 3).tolist() == [0, 0, 0]


def test_no_points_have_no_ranks() -> None:
    empty = np.empty((0, 2))
    assert non_dominated_rank(empty).tolist() == []
    assert crowding_distance(empty).tolist() == []
    assert crowded_order(empty) == []
