"""The hypervolume that a Pareto front dominates. All objectives are minimised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.errors import InputError
from nas.statistics.pareto import pareto_front

__all__ = ["hypervolume", "hypervolume_over_time", "pareto_front"]

Floats = NDArray[np.float64]


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Computes the exact volume that the points dominate below the reference point.

    The measure is that of Zitzler and Thiele, "Multiobjective Optimization Using Evolutionary
    Algorithms", 1998. It is computed by slicing objectives (While et al., "A Faster Algorithm for
    Calculating Hypervolume", 2006): the time is n log n for two objectives, n^(d-1) for d. Points
    that are not below the reference in every objective, or hold a NaN, add nothing.

    Args:
        points: [points, objectives].
        reference: [objectives].
    """
    table, corner = _points(points), _reference(points, reference)
    return _sliced(table[(table < corner).all(axis=1)], corner)


def _sliced(points: Floats, reference: Floats) -> float:
    if len(points) == 0:
        return 0.0
    points = points[np.argsort(points[:, -1], kind="stable")]
    heights = np.diff(points[:, -1], append=reference[-1])
    if points.shape[1] == 1:
        return float(heights.sum())
    if points.shape[1] == 2:
        return float(heights @ (reference[0] - np.minimum.accumulate(points[:, 0])))
    return sum(
        float(height) * _sliced(points[:end, :-1], reference[:-1])
        for end, height in enumerate(heights, start=1)
        if height > 0
    )


def hypervolume_over_time(points: ArrayLike, reference: ArrayLike) -> Floats:
    """Computes the hypervolume of the first 1, 2, ... points of every run, [runs, steps].

    Args:
        points: [runs, steps, objectives]; points with a NaN add nothing.
        reference: [objectives].
    """
    table, corner = np.asarray(points, dtype=float), _reference(points, reference)
    runs, steps, objectives = table.shape
    volumes = np.zeros((runs, steps))
    # A point at the reference adds nothing.
    inside = np.asarray((table < corner).all(axis=2))
    table = np.where(inside[..., None], table, corner)
    if objectives != 2:
        for run, path in enumerate(table):
            front = np.empty((0, objectives))
            for step, point in enumerate(path):
                if inside[run, step] and not (front <= point).all(axis=1).any():
                    front = np.vstack([front[(front < point).any(axis=1)], point])
                    volumes[run, step] = _sliced(front, corner)
                else:
                    volumes[run, step] = volumes[run, step - 1] if step else 0.0
        return volumes
    came = np.argsort(table[:, :, 1], axis=1, kind="stable")
    first = np.take_along_axis(table[:, :, 0], came, axis=1)
    second = np.take_along_axis(table[:, :, 1], came, axis=1)
    heights = np.diff(second, axis=1, append=corner[1])
    for step in range(steps):
        known = np.where(came <= step, first, corner[0])
        volumes[:, step] = (heights * (corner[0] - np.minimum.accumulate(known, axis=1))).sum(1)
    return volumes


def _points(points: ArrayLike) -> Floats:
    table = np.asarray(points, dtype=float)
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(f"points: must be [points, objectives], got shape {table.shape}")
    return table


def _reference(points: ArrayLike, reference: ArrayLike) -> Floats:
    corner = np.asarray(reference, dtype=float)
    objectives = np.shape(points)[-1]
    if corner.shape != (objectives,) or not np.isfinite(corner).all():
        raise InputError(
            f"reference point: must be {objectives} finite numbers, got {np.asarray(reference)}"
        )
    return corner
