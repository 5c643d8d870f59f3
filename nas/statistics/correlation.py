"""Rank correlations, and whether one predictor ranks better than another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata

from nas.statistics.paired import SignFlip


class Comparison(NamedTuple):
    """How well two predictors rank the same values.

    Attributes:
        one: Spearman's rank correlation of the first predictor; NaN if it is constant.
        other: that of the second.
        p: the one-sided p-value that the first one ranks no better.
    """

    one: float
    other: float
    p: float


def spearman(predictor: ArrayLike, values: ArrayLike) -> float:
    """Returns Spearman's rank correlation; ties share the mean rank. NaN if one is constant."""
    ranks = [rankdata(each) - (np.size(each) + 1) / 2 for each in (predictor, values)]
    scale = np.sqrt(np.prod([each @ each for each in ranks]))
    return float(ranks[0] @ ranks[1] / scale) if scale else float("nan")


def compare(one: ArrayLike, other: ArrayLike, values: ArrayLike) -> Comparison:
    """Compares two predictors of the same values by their rank correlations.

    A constant first predictor ranks nothing, so p is 1. The test takes the correlations of a
    constant second one as 0.

    Args:
        one: the first predictor, [n].
        other: the second predictor, [n].
        values: what they predict, [n]; n is at least 4.
    """
    first, second = spearman(one, values), spearman(other, values)
    if np.isnan(first):
        return Comparison(first, second, 1.0)
    against, between = np.nan_to_num([second, spearman(one, other)]).tolist()
    return Comparison(first, second, p_value(first, against, between, np.size(values)))


def mean_over_runs(found: Sequence[Comparison]) -> Comparison:
    """Compares two predictors by the means of their correlations in several independent runs.

    Runs on one table repeat the same networks, so their values cannot be pooled into one sample. p
    is that of the sign-flip test of the mean difference over runs (:class:`SignFlip`), for one
    side; NaN if there are too few runs for p = 0.05. A correlation that is undefined in a run
    counts as 0. The comparison of a single run is returned as it is.
    """
    if len(found) == 1:
        return found[0]
    one, other, _ = np.nan_to_num(np.array(found, dtype=float)).T
    test = SignFlip(one - other)
    p = test.p / 2 if test.mean > 0 else 1 - test.p / 2
    return Comparison(one.mean().item(), other.mean().item(), p if test.least_p <= 0.1 else np.nan)


def p_value(one: float, other: float, between: float, n: int) -> float:
    """Returns the one-sided p-value that one correlation is no larger than the other.

    Both are with the same values (Meng, Rosenthal & Rubin 1992, "Comparing correlated correlation
    coefficients", Psychological Bulletin 111, eqs. 1 to 3).

    Args:
        one: the correlation of the first predictor with the values.
        other: that of the second.
        between: the correlation of the predictors with each other.
        n: the number of values, at least 4.
    """
    one, other, between = np.clip([one, other, between], -1 + 1e-9, 1 - 1e-9)
    mean = (one**2 + other**2) / 2
    f = min((1 - between) / (2 * (1 - mean)), 1.0)
    h = (1 - f * mean) / (1 - mean)
    difference = np.arctanh(one) - np.arctanh(other)
    return float(norm.sf(difference * np.sqrt((n - 3) / (2 * (1 - between) * h))))
