import numpy as np
import pytest
from scipy import stats

from nas.statistics.correlation import Comparison, compare, mean_over_runs, p_value, spearman


def test_spearman_is_that_of_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, (2, 30))
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert np.isnan(spearman(np.zeros(5), np.arange(5)))


def test_the_p_value_is_that_of_the_published_example() -> None:
    # Meng, Rosenthal & Rubin 1992: 15 values, correlations .63 and -.03, between -.19: Z = 1.68.
    assert stats.norm.isf(p_value(0.63, -0.03, -0.19, 15)) == pytest.approx(1.68, abs=0.005)


def test_equal_predictors_are_called_better_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(1_000):
        values = rng.normal(size=60)
        one, other = values + rng.normal(size=(2, 60))
        found.append(compare(one, other, values).p < 0.05)
    assert 0.025 < np.mean(found) < 0.075


def test_a_predictor_is_no_better_than_itself_or_without_a_rank() -> None:
    values = np.arange(20.0)
    noisy = values + np.random.default_rng(0).normal(scale=9, size=20)
    assert compare(noisy, noisy, values).p == pytest.approx(0.5)
    assert compare(np.ones(20), noisy, values).p == 1
    one, other, p = compare(values, np.ones(20), values)
    assert np.isnan(other)
    assert p == p_value(one, 0.0, 0.0, 20) < 0.001
    assert compare(values, noisy, values).p < 0.001


def test_runs_are_compared_by_the_permutation_test_of_scipy() -> None:
    one, other = np.random.default_rng(0).uniform(-1, 1, (2, 9))
    for first, second in ((one, other), (other, one)):
        found = mean_over_runs([Comparison(*each, 0.5) for each in zip(first, second, strict=True)])
        assert found[:2] == pytest.approx((first.mean(), second.mean()))
        exact = stats.permutation_test(
            (first - second,), np.mean, permutation_type="samples", alternative="greater"
        )
        assert found.p == pytest.approx(exact.pvalue, abs=2**-9)


def test_a_correlation_that_is_undefined_in_a_run_counts_as_none() -> None:
    assert mean_over_runs([Comparison(0.4, np.nan, 0.1)])[2] == 0.1
    found = mean_over_runs([Comparison(0.4, np.nan, 0.1)] * 5)
    assert found == (pytest.approx(0.4), 0.0, pytest.approx(2**-5))
    assert np.isnan(mean_over_runs([Comparison(0.4, 0.1, 0.1)] * 4).p)
