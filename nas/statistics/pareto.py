"""Pareto ranks and crowding distances. All objectives are minimised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.errors import InputError


def non_dominated_rank(values: ArrayLike) -> NDArray[np.int64]:
    """Returns the front of every point: 0 if nothing dominates it, 1 once front 0 is removed, etc.

    Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", section
    III-A. A point dominates another one if it is no worse in every objective and better in one, so
    equal points have equal ranks. Time and memory grow with the square of the number of points.

    Args:
        values: [points, objectives], without NaN.

    Returns ranks [points].
    """
    table = np.asarray(values, dtype=float)
    no_worse = np.ones((len(table), len(table)), dtype=bool)
    for column in table.T:
        no_worse &= column[:, None] <= column
    dominates = no_worse & ~no_worse.T
    dominators = dominates.sum(axis=0)
    ranks = np.full(len(table), -1)
    rank = 0
    while (front := np.flatnonzero(dominators == 0)).size:
        ranks[front] = rank
        dominators -= dominates[front].sum(axis=0)
        dominators[front] = -1
        rank += 1
    return ranks


def pareto_front(points: ArrayLike) -> NDArray[np.bool_]:
    """Marks the points that no other point dominates.

    A point dominates another one if it is no worse in every objective and better in one. Equal
    points do not dominate each other, so all copies of a front's point belong to it. A point
    with a NaN belongs to no front. For whole tables: the time is that of front times points, where
    :func:`non_dominated_rank` takes the square.

    Args:
        points: [points, objectives].

    Returns a mask [points].
    """
    table = np.asarray(points, dtype=float)
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(f"points: must be [points, objectives], got shape {table.shape}")
    member = np.zeros(len(table), dtype=bool)
    left = np.flatnonzero(~np.isnan(table).any(axis=1))
    # In this order no point is dominated by a later one, so the first one left is on the front.
    left = left[np.lexsort(table[left].T[::-1])]
    while len(left):
        best = table[left[0]]
        equal = (table[left] == best).all(axis=1)
        member[left[equal]] = True
        left = left[(table[left] < best).any(axis=1)]
    return member


def crowding_distance(values: ArrayLike, ranks: ArrayLike | None = None) -> NDArray[np.float64]:
    """Returns the distance between every point's neighbours on its front, over all objectives.

    Deb et al. 2002, section III-B: for each objective, the distance between the next smaller and
    the next larger point, divided by the front's range. The smallest and the largest point of any
    objective have infinite distance; among equals, the first counts as the smaller. An objective
    whose range is zero adds nothing; one whose range is infinite adds nothing between its ends.

    Args:
        values: [points, objectives], without NaN.
        ranks: [points], the front of each point; by default all are on one front.

    Returns distances [points].
    """
    table = np.asarray(values, dtype=float)
    fronts = np.zeros(len(table), dtype=int) if ranks is None else np.asarray(ranks)
    distances = np.zeros(len(table))
    for column in table.T if len(table) else ():
        order = np.lexsort((column, fronts))
        front, ordered = fronts[order], column[order]
        starts = np.flatnonzero(np.diff(front, prepend=-1))
        ends = np.append(starts[1:], len(front)) - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            span = np.repeat(ordered[ends] - ordered[starts], ends - starts + 1)
            gaps = (ordered[2:] - ordered[:-2]) / span[1:-1]
        distances[order[1:-1]] += np.where(np.isfinite(gaps), gaps, 0.0)
        varied = ordered[starts] != ordered[ends]
        distances[order[starts[varied]]] = distances[order[ends[varied]]] = np.inf
    return distances


def crowded_order(values: ArrayLike) -> list[tuple[int, float]]:
    """Returns sort keys: by rank, and within a front the less crowded point first.

    The crowded-comparison operator of Deb et al. 2002, section III-B.

    Args:
        values: [points, objectives], without NaN.

    Returns one key per point.
    """
    table = np.asarray(values, dtype=float)
    ranks = non_dominated_rank(table)
    return list(zip(ranks.tolist(), (-crowding_distance(table, ranks)).tolist(), strict=True))


def best_first(values: Sequence[tuple[float, ...]]) -> Iterator[int]:
    """Yields the positions of trials, the best first; among equals, the first.

    One objective sorts trials by its value. Several objectives sort them front by front, and within
    a front the less crowded come first (Deb et al. 2002, section III-B): its ends, beginning with
    that of the first objective. So the first ones span the front. Among trials with equal values,
    the first one is on the front; the others follow after it, as a front of their own.

    Args:
        values: the values of each trial, all to be minimised.
    """
    if not values or len(values[0]) == 1:
        yield from sorted(range(len(values)), key=values.__getitem__)
        return
    table = np.asarray(values, dtype=float)
    left = np.arange(len(table))
    while len(left):
        front = left[pareto_front(table[left])]
        _, first = np.unique(table[front], axis=0, return_index=True)
        front = front[np.sort(first)]
        order = np.lexsort((table[front, 0], -crowding_distance(table[front])))
        yield from front[order].tolist()
        left = np.setdiff1d(left, front, assume_unique=True)
