"""Against scipy, published tables, closed forms, and simulated searchers of known difference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nas.errors import InputError
from nas.statistics.paired import (
    SignFlip,
    average_ranks,
    cliques,
    critical_difference,
    friedman,
    holm,
    holm_levels,
    mean_interval,
    paired_t,
    redrawn_interval,
    verdict,
)

NAN = float("nan")


# The sign-flip test


@pytest.mark.parametrize("count", [2, 5, 6, 9, 13])
def test_sign_flip_p_is_scipys_permutation_test(count: int) -> None:
    rng = np.random.default_rng(count)
    for sample in (rng.normal(0.5, 1, count), rng.integers(-1, 4, count) / 2):  # ties and zeros
        expected = stats.permutation_test(
            (sample,), np.mean, permutation_type="samples", n_resamples=np.inf
        )
        assert SignFlip(sample).p == pytest.approx(expected.pvalue)


def test_sign_flip_of_many_pairs_is_the_t_test_of_a_normal_sample() -> None:
    sample = stats.norm.ppf((np.arange(200) + 0.5) / 200) + 0.15
    found, expected = SignFlip(sample), paired_t(sample)
    assert found.p == pytest.approx(float(expected.p), abs=0.01)
    half = float(expected.high - expected.mean)
    assert found.interval() == pytest.approx((expected.low, expected.high), abs=0.06 * half)


def test_interval_covers_the_true_mean_at_its_nominal_rate() -> None:
    rng = np.random.default_rng(0)
    samples = rng.exponential(1.0, (400, 40)) - 0.7  # skewed, mean 0.3
    ends = np.array([SignFlip(sample).interval() for sample in samples])
    covered = ((ends[:, 0] <= 0.3) & (ends[:, 1] >= 0.3)).mean()
    assert covered == pytest.approx(0.95, abs=0.035)  # three deviations of 400 draws are 0.033


@given(
    st.lists(st.integers(-3, 4), min_size=2, max_size=16),
    st.sampled_from([0.2, 0.05, 0.05 / 3, 0.01]),
)
def test_words_interval_and_p_never_contradict_each_other(values: list[int], alpha: float) -> None:
    test = SignFlip(np.array(values) / 7)
    low, high = test.interval(alpha)
    word = verdict(test.mean, test.p, alpha)
    if np.isnan(low):
        assert test.least_p > alpha
        assert word == "not distinguishable"
    else:
        assert low <= high
        assert {"better": high < 0, "worse": low > 0}.get(word, low <= 0 <= high)


def test_an_interval_shrinks_with_less_confidence() -> None:
    test = SignFlip(np.random.default_rng(1).normal(size=30))
    wide, narrow = test.interval(0.01), test.interval(0.2)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_five_pairs_cannot_reach_the_level_and_six_can() -> None:
    five, six = SignFlip([0.5] * 5), SignFlip([0.5] * 6)
    assert (five.p, five.least_p) == (0.0625, 0.0625)
    assert np.isnan(five.interval()).all()
    assert six.p == 2 / 2**6
    assert six.interval() == (0.5, 0.5)


def test_zero_differences_have_p_one() -> None:
    test = SignFlip([0.0] * 8)
    assert (test.p, test.interval()) == (1, (0, 0))


@pytest.mark.parametrize("bad", [[1.0], [], 1.0, [1.0, NAN], [1.0, float("inf")]], ids=str)
def test_differences_that_are_none_are_refused(bad: object) -> None:
    with pytest.raises(InputError, match="paired differences"):
        SignFlip(bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="paired differences"):
        paired_t(bad)  # type: ignore[arg-type]


# Correction and words


def test_holm_by_hand() -> None:
    # Sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, monotone .02 .03 .06 .06: the values
    # that R's p.adjust(c(.01, .04, .03, .005), "holm") gives.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([0.02]) == pytest.approx([0.02])


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_levels_agree_with_the_corrected_p(values: list[int]) -> None:
    p = np.array(values) / 2000
    corrected, levels = holm(p), holm_levels(p, 0.05)
    assert ((corrected <= 0.05 + 1e-12) == (p <= levels + 1e-12)).all()
    assert (levels <= 0.05).all()
    assert (levels >= 0.05 / len(p)).all()


def test_levels_by_hand() -> None:
    # Sorted .005 .01 .03 .04 against .05 / 4 3 2 1: .03 is above .025, which then holds for .04.
    assert holm_levels([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.05 / 3, 0.025, 0.025, 0.0125])


def test_holm_lies_between_no_correction_and_bonferroni() -> None:
    p = np.random.default_rng(0).uniform(size=(50, 6)) ** 3
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(6 * p, 1) + 1e-15).all()
    smallest = p.argmin(axis=-1)[:, None]
    assert np.take_along_axis(corrected, smallest, 1) == pytest.approx(
        np.minimum(6 * np.take_along_axis(p, smallest, 1), 1)
    )


@pytest.mark.parametrize(
    ("balance", "p", "word"),
    [
        (-0.4, 0.01, "better"),  # lower is better
        (0.4, 0.01, "worse"),
        (-0.9, 0.05, "better"),
        (-0.9, 0.0501, "not distinguishable"),
        (0.0, 0.01, "not distinguishable"),
        (-0.9, NAN, "not distinguishable"),
    ],
)
def test_verdict_words(balance: float, p: float, word: str) -> None:
    assert verdict(balance, p) == word


def final_regrets(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Like a table's: few distinct values, many ties, often the optimum itself."""
    return np.round(np.maximum(rng.gamma(1.0, 0.4, shape) - 0.2, 0), 1)


def test_planted_null_is_not_distinguishable_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(0)
    tests = [SignFlip(sample) for sample in np.subtract(*final_regrets(rng, 2, 1000, 60))]
    words = [verdict(test.mean, test.p) for test in tests]
    told_apart = 1 - words.count("not distinguishable") / 1000
    assert told_apart == pytest.approx(0.05, abs=0.021)  # three deviations of 1,000 draws
    assert abs(words.count("better") - words.count("worse")) <= 3 * 50**0.5


def test_planted_null_among_four_searchers_holds_the_family_rate() -> None:
    rng = np.random.default_rng(1)
    searchers = final_regrets(rng, 4, 1000, 60)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    p = np.array([[SignFlip(d).p for d in searchers[i] - searchers[j]] for i, j in pairs]).T
    assert (p < 0.05).any(axis=-1).mean() > 0.1  # uncorrected, it does not
    assert (holm(p) <= 0.05).any(axis=-1).mean() <= 0.05 + 0.021


def test_planted_difference_is_found() -> None:
    rng = np.random.default_rng(2)
    a, b = final_regrets(rng, 2, 200, 100)
    tests = [SignFlip(sample) for sample in a + 0.2 - b]
    assert {verdict(t.mean, t.p) for t in tests} <= {"worse", "not distinguishable"}
    assert np.mean([test.p < 0.05 for test in tests]) > 0.9


# Ranks


@pytest.mark.parametrize(
    ("values", "ranks"),
    [
        ([3.0, 1.0, 2.0], [3, 1, 2]),
        ([1.0, 1.0, 2.0], [1.5, 1.5, 3]),  # ties average
        ([NAN, 1.0, 2.0], [3, 1, 2]),  # a failure is last
        ([NAN, 1.0, NAN, 1.0], [3.5, 1.5, 3.5, 1.5]),  # failures tie
        ([NAN, NAN], [1.5, 1.5]),
        ([float("inf"), NAN, 0.0], [2, 3, 1]),  # a bad result beats none
    ],
    ids=str,
)
def test_ranks_with_ties_and_failures(values: list[float], ranks: list[float]) -> None:
    assert average_ranks([values, values]).tolist() == [ranks, ranks]


def test_ranks_are_scipys_and_their_sum_never_changes() -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=(100, 5)), 1)
    assert (average_ranks(values) == stats.rankdata(values, axis=1)).all()
    values[rng.random(values.shape) < 0.3] = NAN
    assert average_ranks(values).sum(axis=1) == pytest.approx(np.full(100, 15))


def test_friedman_is_demsars_example() -> None:
    # Demsar 2006, table 6 and section 3.2.3: AUC of C4.5 and its variants on 14 data sets,
    # chi squared 9.28 with 3 degrees of freedom, ranks 3.143 2.000 2.893 1.964. He ranks two cells
    # apart that print alike, .975.
    auc = np.array(
        [
            [.763, .768, .771, .798], [.599, .591, .590, .569], [.954, .971, .968, .967],
            [.628, .661, .654, .657], [.882, .888, .886, .898], [.936, .931, .916, .931],
            [.661, .668, .609, .685], [.583, .583, .563, .625], [.775, .838, .866, .875],
            [1.00, 1.00, 1.00, 1.00], [.940, .962, .965, .962], [.619, .666, .614, .669],
            [.972, .981, .9751, .975], [.957, .978, .946, .970],
        ]
    )  # fmt: skip
    ranks = average_ranks(-auc)
    assert ranks.mean(axis=0) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # His 9.28 is not corrected for ties, scipy's is: slightly more.
    plain = 12 * 14 / (4 * 5) * ((ranks.mean(axis=0) ** 2).sum() - 4 * 25 / 4)
    assert plain == pytest.approx(9.28, abs=5e-3)
    assert friedman(ranks) == pytest.approx(stats.friedmanchisquare(*auc.T).pvalue)
    assert friedman(ranks) < stats.chi2.sf(plain, 3)


def test_friedman_of_ties_alone_and_of_two_methods() -> None:
    assert friedman(np.full((5, 3), 2.0)) == 1
    with pytest.raises(InputError, match="needs 2 blocks of 3 methods"):
        friedman(np.ones((5, 2)))


# Critical difference: Demsar 2006, table 5 (a)
Q05 = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
Q10 = [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]


@pytest.mark.parametrize(("alpha", "values"), [(0.05, Q05), (0.10, Q10)], ids=["0.05", "0.10"])
def test_critical_values_are_demsars(alpha: float, values: list[float]) -> None:
    for k, q in enumerate(values, start=2):
        found = critical_difference(k, 10, alpha) / (k * (k + 1) / 60) ** 0.5
        assert found == pytest.approx(q, abs=1.01e-3)


def test_critical_difference_is_demsars_example() -> None:
    # Section 3.2.3: 4 methods, 14 data sets: 2.569 sqrt(4 * 5 / (6 * 14)) = 1.25.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    with pytest.raises(InputError, match="1 methods"):
        critical_difference(1, 14)


def test_cliques_are_the_maximal_groups() -> None:
    assert cliques([1.0, 1.5, 2.2, 3.9, 4.0], 1.0) == [(0, 1), (1, 2), (3, 4)]
    assert cliques([1.0, 1.2, 1.4], 1.0) == [(0, 2)]
    assert cliques([1.0, 2.0, 3.0], 0.5) == []


def test_the_paired_t_test_is_scipys() -> None:
    sample = np.random.default_rng(0).normal(0.1, 1, (4, 6))
    found = paired_t(sample)
    expected = stats.ttest_1samp(sample, 0, axis=-1)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-9)
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose(found.low, interval.low, rtol=1e-9)
    np.testing.assert_allclose(found.high, interval.high, rtol=1e-9)


def test_equal_differences_have_the_spread_that_rounding_hides() -> None:
    step = 1 / 360
    found = paired_t([0.5] * 5, resolution=step)
    assert found.p < 1e-9
    error = (step**2 / 6 / 5) ** 0.5
    half = error * stats.t.ppf(0.975, 4)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))
    alike = paired_t([0.0] * 3, resolution=step)
    assert alike.p == 1
    assert alike.low < 0 < alike.high


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, 0.0)])
def test_equal_differences_without_a_resolution(value: float, p: float) -> None:
    found = paired_t([0.3 + value - 0.3, 0.2 + value - 0.2, value])
    assert (found.low, found.high, found.p) == pytest.approx((value, value, p), abs=1e-12)


def test_the_interval_for_another_draw_of_images_adds_both_parts() -> None:
    apart = np.random.default_rng(0).normal(0.1, 1, (5, 300))
    low, high = redrawn_interval(apart)
    seeds, images = paired_t(apart.mean(axis=1)), paired_t(apart.mean(axis=0))
    expected = (seeds.high - seeds.mean) ** 2 + (images.high - images.mean) ** 2
    assert ((high - low) / 2) ** 2 == pytest.approx(float(expected))
    assert (high + low) / 2 == pytest.approx(apart.mean())
    # Of many seeds, only the images' part is left: the t interval over images.
    many = redrawn_interval(np.tile(apart.mean(axis=0), (400, 1)))
    assert many == pytest.approx((float(images.low), float(images.high)), abs=1e-6)


def test_the_interval_of_a_mean_is_scipys() -> None:
    sample = np.random.default_rng(0).normal(5, 2, (3, 7))
    low, high = mean_interval(sample.mean(axis=1), sample.std(axis=1, ddof=1), [7, 7, 7])
    expected = stats.t.interval(0.95, 6, loc=sample.mean(axis=1), scale=stats.sem(sample, axis=1))
    np.testing.assert_allclose([low, high], expected)
    assert np.isnan(mean_interval([0.5, 0.5], [np.nan, 0.1], [1, 2])).all()
