"""Picking the best of several by some seeds, and judging it on others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def forward_picks(scores: ArrayLike, before: ArrayLike | None = None) -> NDArray[np.int64]:
    """Picks, for every seed, the candidate with the best mean score over the seeds before it.

    Whoever picks a network by its validation accuracy and then reads the test accuracy of the same
    trainings is too optimistic: what was lucky on the validation images was a lucky training, and
    is lucky on the test images, too. A pick by earlier seeds knows nothing of the training that
    judges it. Given the past, the expected difference of two picks is the difference of their true
    means, so under equal means the differences are independent and unbiased, and Student's test of
    them keeps its level; picking by all other seeds (leave one out) does not, since each seed then
    takes part in the picks of the others. Dawid, "Present Position and Potential Developments: Some
    Personal Views: Statistical Theory: The Prequential Approach", JRSS A 147 (1984).

    Args:
        scores: [..., candidates, seeds]; higher is better, NaN is unknown.
        before: [..., candidates], what was known before the first seed, such as the accuracy that
            a search saw; it decides while no candidate has a score.

    Returns the picked candidate [..., seeds]; -1 where nothing is known to pick by. A single
    candidate is always picked. Of equals the first is picked.
    """
    table = np.asarray(scores, dtype=float)
    known = np.isfinite(table)
    counts = _before(known.astype(float))
    # Rounded, so that equal means are ties whatever their last bits are.
    means = (_before(np.where(known, table, 0.0)) / np.maximum(counts, 1)).round(12)
    means = np.where(counts > 0, means, -np.inf)
    if before is not None:
        start = np.asarray(before, dtype=float)[..., None]
        start = np.where(np.isfinite(start), start, -np.inf)
        means = np.where((counts > 0).any(axis=-2, keepdims=True), means, start)
    picked: NDArray[np.int64] = means.argmax(axis=-2)
    if table.shape[-2] > 1:
        picked = np.where(np.isfinite(means).any(axis=-2), picked, -1)
    return picked


def _before(values: Floats) -> Floats:
    """The sums of the values before each, along the last axis, without the value itself."""
    sums = np.zeros_like(values)
    values[..., :-1].cumsum(axis=-1, out=sums[..., 1:])
    return sums
