"""Picks the best of several candidates by some seeds, so that other seeds can judge it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_LARGE = np.finfo(float).max


def forward_picks(
    scores: ArrayLike, before: ArrayLike | None = None, allowed: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Picks, for every seed, the candidate with the best mean score over the seeds before it.

    If a network is picked by its validation accuracy, the test accuracy of the same trainings is
    too optimistic: a training that was lucky on the validation images tends to be lucky on the
    test images, too. A pick by earlier seeds does not depend on the training that judges it. Given
    the earlier seeds, the expected difference of two picks is the difference of their true means.
    So if the true means are equal, the differences are unbiased and uncorrelated, and Student's
    test keeps its level. This does not hold if each seed is judged by a pick of all other seeds
    (leave one out), because each seed then takes part in the picks for the others. Dawid, "Present
    Position and Potential Developments: Some Personal Views: Statistical Theory: The Prequential
    Approach", JRSS A 147 (1984).

    Args:
        scores: [..., candidates, seeds]; higher is better, NaN is unknown.
        before: [..., candidates], what was known before the first seed, such as the accuracy that
            a search observed; it decides as long as no candidate has a score.
        allowed: [..., candidates, seeds], whether the candidate may be picked for the seed. It must
            depend on earlier seeds alone. By default, all may be picked.

    Returns the index of the picked candidate, [..., seeds], or -1 if none is allowed, or several
    are allowed and nothing is known to pick by. Among equals, the first is picked.
    """
    means = forward_means(scores, before)
    may = np.ones(means.shape, dtype=bool) if allowed is None else np.asarray(allowed, dtype=bool)
    known = may & np.isfinite(means)
    is_decided = known.any(axis=-2) | (may.sum(axis=-2) == 1)
    picked = np.where(known, means, np.where(may, -_LARGE, -np.inf)).argmax(axis=-2)
    return np.where(is_decided, picked, -1)


def forward_means(scores: ArrayLike, before: ArrayLike | None = None) -> Floats:
    """Computes, for every seed, each candidate's mean score over the seeds before it.

    Args:
        scores: [..., candidates, seeds]; NaN is unknown.
        before: [..., candidates], what was known before the first seed; it takes the place of the
            mean as long as no candidate has a score.

    Returns [..., candidates, seeds], minus infinity where nothing is known.
    """
    table = np.asarray(scores, dtype=float)
    known = np.isfinite(table)
    counts = _before(known.astype(float))
    # Means are rounded, so that rounding errors do not decide between equal ones.
    means = (_before(np.where(known, table, 0.0)) / np.maximum(counts, 1)).round(12)
    means = np.where(counts > 0, means, -np.inf)
    if before is not None:
        start = np.asarray(before, dtype=float)[..., None]
        start = np.where(np.isfinite(start), start, -np.inf)
        means = np.where((counts > 0).any(axis=-2, keepdims=True), means, start)
    return means


def _before(values: Floats) -> Floats:
    """Returns, along the last axis, the sum of all values before each value."""
    sums = np.zeros_like(values)
    values[..., :-1].cumsum(axis=-1, out=sums[..., 1:])
    return sums
