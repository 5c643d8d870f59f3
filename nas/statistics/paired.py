"""Comparing searchers over paired seeds: intervals, tests, corrections, ranks and verdicts.

The procedure is Demsar's, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7
(2006): signed ranks for two methods, Friedman's test and Nemenyi's critical difference for more.
A benchmark's seeds take the place of his data sets. Lower values are better everywhere.
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
    """The results of Wilcoxon's signed-rank test: arrays with one entry per sample."""

    balance: Floats
    """(positive - negative rank sum) / sum of all ranks, in [-1, 1]; its sign is the direction."""
    p: Floats
    """The two-sided p value."""


class PairedTest(NamedTuple):
    """The results of Student's paired t test: arrays with one entry per sample."""

    mean: Floats
    """The mean of the differences."""
    low: Floats
    """The lower end of the confidence interval of the mean."""
    high: Floats
    p: Floats
    """The two-sided p value of a zero mean."""


def paired_t(differences: ArrayLike, confidence: float = 0.95) -> PairedTest:
    """Computes Student's t test and confidence interval of paired differences, along the last axis.

    It suits small numbers of seeds: with three seeds, a signed-rank test cannot reach p < 0.25,
    and a bootstrap has ten distinct resamples. If all differences are equal, which can happen with
    few images, there is no spread to judge the mean by, and p is 1.

    Args:
        differences: [..., pairs].
        confidence: the confidence level of the interval.

    Raises :class:`InputError` for fewer than two differences or one that is not finite.
    """
    # Rounded, so that equal differences are ties whatever their last bits are.
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
    """Computes both ends of a mean's confidence interval by Student's t; NaN for a single value.

    Args:
        mean: the mean of each sample.
        deviation: the sample standard deviation of each sample.
        count: how many values each sample has.
        confidence: the confidence level of the interval.
    """
    center, number = np.asarray(mean, dtype=float), np.asarray(count, dtype=float)
    quantile = stats.t.isf((1 - confidence) / 2, np.where(number > 1, number - 1, np.nan))
    half = quantile * np.asarray(deviation, dtype=float) / np.sqrt(np.maximum(number, 1))
    return center - half, center + half


def bootstrap_interval(
    differences: ArrayLike, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """Computes the BCa bootstrap interval of the mean of paired differences.

    BCa is bias-corrected and accelerated: Efron, "Better Bootstrap Confidence Intervals", 1987; the
    code is ``scipy.stats.bootstrap``. Resampling the differences keeps the pairs. If all
    differences are equal, BCa is undefined, and the interval is that one value. The generator is
    seeded, so a sample always has the same interval.

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
    """Tests by Wilcoxon's signed ranks if differences are symmetric about zero, on the last axis.

    Zeros are treated as by Pratt (1959): they are ranked with the others and then left out. Two
    searchers often find the same optimum; dropping those pairs first ("wilcox") would overstate
    the others. The p value is that of ``scipy.stats.wilcoxon``: exact for at most 50 differences
    without ties or zeros, by permutation for at most 13 with them, else by the normal
    approximation with tie correction. If all differences are zero, p is 1.

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


def verdict(balance: float, corrected_p: float, alpha: float = 0.05) -> Verdict:
    """Says in words whether the first of two is better, given the test of first minus second.

    Lower is better. The direction is that of the signed ranks, to which p belongs.
    """
    if not corrected_p < alpha or balance == 0:
        return "not distinguishable"
    return "better" if balance < 0 else "worse"


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
