"""Comparing searchers over paired seeds: intervals, tests, corrections, ranks and verdicts.

The procedure is Demsar's, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7
(2006): signed ranks for two methods, Friedman's test and Nemenyi's critical difference for more.
Where he has data sets, a benchmark has seeds. What one compares is lower-is-better throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from nas.errors import InputError

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "not distinguishable"]


class Interval(NamedTuple):
    """Two ends, both included."""

    low: float
    high: float


class SignedRank(NamedTuple):
    """Wilcoxon's test of differences: arrays, one place a sample."""

    balance: Floats
    """(positive - negative rank sum) / all ranks, in [-1, 1]; its sign is the direction."""
    p: Floats
    """Two-sided."""


class PairedTest(NamedTuple):
    """Student's paired t test: arrays, one place a sample."""

    mean: Floats
    """Of the differences."""
    low: Floats
    """Of the interval of the mean."""
    high: Floats
    p: Floats
    """Two-sided, that the mean is zero."""


def paired_t(differences: ArrayLike, confidence: float = 0.95) -> PairedTest:
    """Student's t test of paired differences and its interval, along the last axis.

    For a few seeds: with three, a signed-rank test cannot reach p < 0.25, and a bootstrap has ten
    distinct resamples. Differences that are all equal, as few images can make them, have no spread
    to judge their mean by: p = 1.

    Args:
        differences: [..., pairs].
        confidence: of the interval.

    Raises :class:`InputError` for fewer than two differences or one that is not finite.
    """
    # Rounded, for two equal differences must tie whatever their last bits.
    sample = _finite(differences).round(12)
    mean, count = sample.mean(axis=-1), sample.shape[-1]
    error = sample.std(axis=-1, ddof=1) / np.sqrt(count)
    alike = np.ptp(sample, axis=-1) == 0
    half = np.where(alike, 0, error) * stats.t.isf((1 - confidence) / 2, count - 1)
    p = 2 * stats.t.sf(np.abs(mean) / np.where(alike, 1, error), count - 1)
    return PairedTest(mean, mean - half, mean + half, np.where(alike, 1.0, p))


def mean_interval(
    mean: ArrayLike, deviation: ArrayLike, count: ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Low and high ends of the interval of a mean, by Student's t; NaN for a single value.

    Args:
        mean: of each sample.
        deviation: its sample standard deviation.
        count: how many values it has.
        confidence: of the interval.
    """
    center, number = np.asarray(mean, dtype=float), np.asarray(count, dtype=float)
    quantile = stats.t.isf((1 - confidence) / 2, np.where(number > 1, number - 1, np.nan))
    half = quantile * np.asarray(deviation, dtype=float) / np.sqrt(np.maximum(number, 1))
    return center - half, center + half


def bootstrap_interval(
    differences: ArrayLike, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """The BCa bootstrap interval of a mean of paired differences (``scipy.stats.bootstrap``).

    Bias-corrected and accelerated: Efron, "Better Bootstrap Confidence Intervals", 1987. Resampling
    the differences keeps the pairs. Where BCa is undefined (all differences are equal) the interval
    is that one value. The generator is seeded, so one sample has one interval.

    Raises :class:`InputError` for fewer than two differences or one that is not finite.
    """
    sample = _finite(differences)
    if np.ptp(sample) == 0:
        return Interval(float(sample[0]), float(sample[0]))
    # In batches: all resamples of 500 seeds at once are 40 MB.
    found = stats.bootstrap(
        (sample,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        batch=1000,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def signed_rank(differences: ArrayLike) -> SignedRank:
    """Wilcoxon's signed-rank test that differences are symmetric about zero, along the last axis.

    Zeros follow Pratt (1959): ranked with the others, then left out. Two searchers often find the
    same optimum, and dropping those pairs first ("wilcox") would overstate what is left. p is
    ``scipy.stats.wilcoxon``'s: exact for at most 50 differences without ties or zeros, by
    permutation for at most 13 with them, else normal with tie correction. All zero: p = 1.

    Args:
        differences: [..., pairs].

    Raises :class:`InputError` for fewer than two differences or one that is not finite.
    """
    sample = _finite(differences)
    ranks = stats.rankdata(np.abs(sample), axis=-1)
    total = (ranks * (sample != 0)).sum(axis=-1)
    balance = (ranks * np.sign(sample)).sum(axis=-1) / np.where(total == 0, 1, total)
    p = np.ones(sample.shape[:-1])
    some = total > 0  # scipy warns and gives NaN where all are zero
    if some.any():
        p[some] = stats.wilcoxon(sample[some], zero_method="pratt", axis=-1).pvalue
    return SignedRank(np.asarray(balance), p)


def _finite(values: ArrayLike) -> Floats:
    sample = np.asarray(values, dtype=float)
    if sample.ndim == 0 or sample.shape[-1] < 2:
        raise InputError(f"paired differences: at least two are needed, got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise InputError("paired differences: all must be finite; leave out failed pairs")
    return sample


def holm(p_values: ArrayLike) -> Floats:
    """p values corrected for their number, along the last axis: Holm's step-down procedure.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979: the i-th smallest of m is
    multiplied by m - i + 1, made monotone and cut at 1. It holds the chance of any false finding
    below alpha whatever the dependence of the tests.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, axis=-1)
    scaled = np.take_along_axis(p, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    corrected = np.empty_like(p)
    monotone = np.minimum(np.maximum.accumulate(scaled, axis=-1), 1)
    np.put_along_axis(corrected, order, monotone, axis=-1)
    return corrected


def verdict(balance: float, corrected_p: float, alpha: float = 0.05) -> Verdict:
    """In words, whether the first of two is better, given the test of first minus second.

    Lower is better. The direction is that of the signed ranks, which is what p speaks of.
    """
    if not corrected_p < alpha or balance == 0:
        return "not distinguishable"
    return "better" if balance < 0 else "worse"


def average_ranks(values: ArrayLike) -> Floats:
    """Ranks of each block's methods, 1 for the lowest value; ties share the mean of their ranks.

    NaN, a run that failed or found nothing, ranks behind every number; several NaN are a tie. So a
    block's ranks always sum to k (k + 1) / 2, and failing is never better than any result.

    Args:
        values: [blocks, methods]; lower is better.

    Returns ranks [blocks, methods]: their mean over blocks is the average rank.
    """
    table = np.asarray(values, dtype=float)
    # Infinity is a result, however bad: NaN ranks behind it.
    failed = np.isnan(table)
    last = table.shape[-1] - (failed.sum(axis=-1, keepdims=True) - 1) / 2
    ranks: Floats = np.where(failed, last, stats.rankdata(table, axis=-1, nan_policy="omit"))
    return ranks


def friedman(ranks: ArrayLike) -> float:
    """p of Friedman's test that all methods rank alike (chi squared, corrected for ties).

    Args:
        ranks: [blocks, methods], at least three methods, as :func:`average_ranks` gives them.

    All ranks tied in every block: p = 1.
    """
    table = np.asarray(ranks, dtype=float)
    if table.ndim != 2 or table.shape[1] < 3 or table.shape[0] < 2:
        raise InputError(f"Friedman: at least 2 blocks of 3 methods, got shape {table.shape}")
    if (np.ptp(table, axis=1) == 0).all():
        return 1.0
    return float(stats.friedmanchisquare(*table.T).pvalue)


def critical_difference(methods: int, blocks: int, alpha: float = 0.05) -> float:
    """How far two average ranks must lie apart to differ, by Nemenyi's test.

    Demsar, section 3.2.2: q sqrt(k (k + 1) / (6 N)) for k methods and N blocks, with q the
    studentized range statistic over sqrt(2).
    """
    if methods < 2 or blocks < 1:
        raise InputError(f"critical difference: {methods} methods, {blocks} blocks; 2 and 1 needed")
    q = stats.studentized_range.isf(alpha, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def cliques(mean_ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """The bars of a critical-difference diagram: maximal groups within the difference.

    Args:
        mean_ranks: ascending.

    Returns (first, last) positions of every group of two or more that no other group contains.
    """
    ranks = np.asarray(mean_ranks)
    groups: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = int(np.searchsorted(ranks, rank + difference)) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups
