"""Comparing over paired seeds: tests with their intervals, corrections, ranks and verdicts.

Each test comes with the interval that belongs to it: the interval of confidence 1 - alpha holds
zero exactly when p is above alpha. So words, interval and p never contradict each other. There is
one test for each kind of comparison:

- :func:`paired_t` for the few seeds, three to ten, that networks are retrained with;
- :func:`sign_flip` for the many seeds of a benchmark, whose regrets are skewed and full of ties.

Ranks of more than two methods follow Demsar, "Statistical Comparisons of Classifiers over Multiple
Data Sets", JMLR 7 (2006), with a benchmark's seeds in place of his data sets. Lower values are
better everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from nas.errors import InputError

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "not distinguishable"]

_ROUNDING = 1 + 1e-12
"""By this factor a level is raised, so that a p value that equals it reaches it."""
_EXACT = 13
"""Up to so many pairs, all subsets of them are taken."""
_SUBSETS = 9_999
"""How many random subsets are taken of more pairs."""


class Interval(NamedTuple):
    """Two ends, both included."""

    low: float
    high: float


class PairedTest(NamedTuple):
    """The results of Student's paired t test: arrays with one entry per sample."""

    mean: Floats
    """The mean of the differences."""
    low: Floats
    """The lower end of the confidence interval of the mean."""
    high: Floats
    p: Floats
    """The two-sided p value of a zero mean."""


def paired_t(
    differences: ArrayLike, alpha: ArrayLike = 0.05, resolution: float = 0.0
) -> PairedTest:
    """Computes Student's t test and confidence interval of paired differences, along the last axis.

    It suits small numbers of seeds: exact tests without the assumption of a normal distribution
    cannot reach p < 0.05 with fewer than six pairs (:func:`sign_flip`). "Student" (W. S. Gosset),
    "The Probable Error of a Mean", Biometrika 6 (1908).

    Accuracies on n images come in steps of 1/n. Their differences can then be equal by chance, and
    would show no spread at all. Rounding to a step adds a variance of step^2 / 12 to each of the
    two accuracies (Sheppard, "On the Calculation of the most Probable Values of Frequency
    Constants", 1898), so the variance is never taken to be below step^2 / 6.

    Args:
        differences: [..., pairs].
        alpha: one minus the confidence level of the interval; one number, or one per sample.
        resolution: the step in which the compared values come. With 0, differences that are all
            equal give p = 0, or p = 1 where they are zero.

    Raises :class:`InputError` for fewer than two differences or one that is not finite.
    """
    # Differences are rounded, so that rounding errors do not decide between equal ones.
    sample = _finite(differences).round(12)
    mean, count = sample.mean(axis=-1), sample.shape[-1]
    variance = np.maximum(sample.var(axis=-1, ddof=1), resolution**2 / 6)
    error = np.sqrt(variance / count)
    half = error * stats.t.isf(np.asarray(alpha) / 2, count - 1)
    distance = np.abs(mean)
    statistic = np.divide(
        distance, error, out=np.where(distance > 0, np.inf, 0.0), where=np.asarray(error > 0)
    )
    return PairedTest(mean, mean - half, mean + half, 2 * stats.t.sf(statistic, count - 1))


def redrawn_interval(
    differences: ArrayLike, alpha: float = 0.05, resolution: float = 0.0
) -> Interval:
    """Computes the interval of a mean difference for other seeds and another draw of images.

    :func:`paired_t` takes the test images as given. They are a sample, too: the mean over images of
    the differences has a standard error of its own. The two half widths, over seeds by Student's t
    and over images by Student's t, are combined as the root of the sum of their squares (MOVER:
    Zou and Donner, "Construction of confidence limits about effect measures", Statistics in
    Medicine 27, 2008). The variation of single predictions counts in both parts, so the interval is
    slightly too wide, and it is never narrower than that of :func:`paired_t`.

    Args:
        differences: [pairs, images], of what the primary metric is the mean of over images.
        alpha: one minus the confidence level of the interval.
        resolution: as for :func:`paired_t`.
    """
    table = np.asarray(differences, dtype=float)
    seeds = paired_t(table.mean(axis=1), alpha, resolution)
    images = paired_t(table.mean(axis=0), alpha)
    half = float(np.hypot(seeds.high - seeds.mean, images.high - images.mean))
    return Interval(float(seeds.mean) - half, float(seeds.mean) + half)


def mean_interval(
    mean: ArrayLike, deviation: ArrayLike, count: ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Computes both ends of a mean's confidence interval by Student's t; NaN for one or two values.

    The interval of two values would reach 12.7 standard errors to each side, which says nothing.

    Args:
        mean: the mean of each sample.
        deviation: the sample standard deviation of each sample.
        count: how many values each sample has.
        confidence: the confidence level of the interval.
    """
    center, number = np.asarray(mean, dtype=float), np.asarray(count, dtype=float)
    quantile = stats.t.isf((1 - confidence) / 2, np.where(number > 2, number - 1, np.nan))
    half = quantile * np.asarray(deviation, dtype=float) / np.sqrt(np.maximum(number, 1))
    return center - half, center + half


class SignFlip:
    """The sign-flip test of the mean of paired differences, with the interval that belongs to it.

    If two methods are alike, the sign of every difference is a fair coin. p is the share of all
    ways to flip signs that give a mean at least as far from zero, times two for both sides
    (Fisher, "The Design of Experiments", 1935, section 21). This is exact for any distribution,
    with ties and skew. The interval holds every shift that the test would not reject. Hartigan,
    "Using Subsample Values as Typical Values", JASA 64 (1969): its ends are order statistics of the
    means of all subsets of the differences, and one minus the share of those below zero is the
    one-sided p.

    p equals that of ``scipy.stats.permutation_test`` with ``permutation_type="samples"``. Of more
    than 13 pairs, 9,999 random subsets are taken; the generator is seeded, so a sample always has
    the same result.

    Args:
        differences: [pairs].

    Attributes:
        mean: the mean of the differences.
        p: the two-sided p value.
        least_p: the smallest p that so many pairs can reach: 0.0625 with five, 0.031 with six.

    Raises :class:`InputError` for fewer than two differences or one that is not finite.
    """

    def __init__(self, differences: ArrayLike) -> None:
        sample = _finite(differences)
        # The mean is rounded, because a mean of zero may have a rounding error.
        self._means: Floats = np.sort((_subsets(len(sample)) @ sample).round(12))
        self.mean = float(sample.mean())
        self.least_p = 2 / (len(self._means) + 1)
        at_most, at_least = (self._means <= 0).sum(), (self._means >= 0).sum()
        self.p = min(1.0, self.least_p * (1 + float(min(at_most, at_least))))

    def interval(self, alpha: float = 0.05) -> Interval:
        """Computes the interval of confidence 1 - alpha; NaN if so few pairs cannot reach alpha."""
        place = int(alpha / self.least_p * _ROUNDING)
        if place == 0:
            return Interval(np.nan, np.nan)
        return Interval(float(self._means[place - 1]), float(self._means[-place]))


@lru_cache(maxsize=2)
def _subsets(count: int) -> Floats:
    """Weights [subsets, count] whose products with a sample are the means of its subsets."""
    if count <= _EXACT:
        chosen = np.arange(1, 2**count)[:, None] >> np.arange(count) & 1
    else:
        chosen = np.random.default_rng(count).integers(0, 2, (_SUBSETS, count))
        chosen[chosen.sum(axis=1) == 0, 0] = 1  # no subset is empty
    weights: Floats = chosen / chosen.sum(axis=1, keepdims=True)
    return weights


def _finite(values: ArrayLike) -> Floats:
    sample = np.asarray(values, dtype=float)
    if sample.ndim == 0 or sample.shape[-1] < 2:
        raise InputError(f"paired differences: at least two are needed, got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise InputError("paired differences: all must be finite; leave out failed pairs")
    return sample


def holm(p_values: ArrayLike) -> Floats:
    """Corrects p values for multiple tests by Holm's step-down procedure, along the last axis.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979: the i-th smallest of m is
    multiplied by m - i + 1, made monotone and cut at 1. The probability of any false finding stays
    below alpha, however the tests depend on each other.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, axis=-1)
    scaled = np.take_along_axis(p, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    corrected = np.empty_like(p)
    monotone = np.minimum(np.maximum.accumulate(scaled, axis=-1), 1)
    np.put_along_axis(corrected, order, monotone, axis=-1)
    return corrected


def holm_levels(p_values: ArrayLike, alpha: float = 0.05) -> Floats:
    """Computes the level at which Holm's procedure judges each of several tests.

    The i-th smallest of m p values is judged at alpha / (m - i + 1), until one is above its level;
    that level then holds for the others, too. So p is at most its level exactly where :func:`holm`
    is at most alpha, and an interval of confidence 1 - level agrees with the corrected p. Since no
    level is above alpha, each interval covers at least as often as it says.

    Args:
        p_values: [tests].
        alpha: the probability of any false finding.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    levels = alpha / np.arange(len(p), 0, -1)
    failed = np.flatnonzero(p[order] > levels * _ROUNDING)
    if failed.size:
        levels[failed[0] :] = levels[failed[0]]
    found = np.empty_like(p)
    found[order] = levels
    return found


def verdict(difference: float, corrected_p: float, alpha: float = 0.05) -> Verdict:
    """Says in words whether the first of two is better, by the test of first minus second.

    Lower is better.
    """
    if not corrected_p <= alpha * _ROUNDING or difference == 0:
        return "not distinguishable"
    return "better" if difference < 0 else "worse"


def average_ranks(values: ArrayLike) -> Floats:
    """Ranks the methods within each block; 1 is the lowest value, ties share their mean rank.

    NaN stands for a run that failed or found nothing. It ranks behind every number; several NaN
    are a tie. So a block's ranks always sum to k (k + 1) / 2, and a failure is never better than a
    result.

    Args:
        values: [blocks, methods]; lower is better.

    Returns ranks [blocks, methods]; their mean over blocks is the average rank.
    """
    table = np.asarray(values, dtype=float)
    # Infinity is a result, so NaN ranks behind it.
    failed = np.isnan(table)
    last = table.shape[-1] - (failed.sum(axis=-1, keepdims=True) - 1) / 2
    ranks: Floats = np.where(failed, last, stats.rankdata(table, axis=-1, nan_policy="omit"))
    return ranks


def friedman(ranks: ArrayLike) -> float:
    """Returns the p value of Friedman's test that all methods rank alike (chi squared, with ties).

    Args:
        ranks: [blocks, methods] from :func:`average_ranks`, with at least three methods.

    If all ranks are tied in every block, p is 1.
    """
    table = np.asarray(ranks, dtype=float)
    if table.ndim != 2 or table.shape[1] < 3 or table.shape[0] < 2:
        raise InputError(f"Friedman: needs 2 blocks of 3 methods or more, got shape {table.shape}")
    if (np.ptp(table, axis=1) == 0).all():
        return 1.0
    return float(stats.friedmanchisquare(*table.T).pvalue)


def critical_difference(methods: int, blocks: int, alpha: float = 0.05) -> float:
    """Returns the least difference of two average ranks that is significant by Nemenyi's test.

    Demsar, section 3.2.2: q sqrt(k (k + 1) / (6 N)) for k methods and N blocks, with q the
    studentized range statistic over sqrt(2).
    """
    if methods < 2 or blocks < 1:
        raise InputError(f"critical difference: {methods} methods, {blocks} blocks; 2 and 1 needed")
    q = stats.studentized_range.isf(alpha, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def cliques(mean_ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Returns the bars of a critical-difference diagram: maximal groups within the difference.

    Args:
        mean_ranks: average ranks in ascending order.
        difference: the critical difference.

    Returns (first, last) positions of every group of two or more that no other group contains.
    """
    ranks = np.asarray(mean_ranks)
    groups: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = int(np.searchsorted(ranks, rank + difference)) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups
