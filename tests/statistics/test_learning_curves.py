"""Extrapolated curves: against curves whose end is known, and by their calibration."""

import numpy as np
import pytest

from nas.statistics.learning_curves import FEWEST, expected_end, probability_above


def curve(
    limit: float, span: float, power: float, length: int, noise: float, seed: int
) -> list[float]:
    x = np.arange(1, length + 1)
    drawn = np.random.default_rng(seed).normal(scale=noise, size=length)
    return (limit - span * x**-power + drawn).tolist()


@pytest.mark.parametrize(("limit", "power"), [(0.9, 0.5), (0.7, 1.0), (0.95, 2.0)])
def test_the_end_of_a_clean_curve_is_known(limit: float, power: float) -> None:
    whole = curve(limit, 0.5, power, 100, 0.0, 0)
    assert probability_above(whole[:30], 100, whole[-1] - 0.02) > 0.95
    assert probability_above(whole[:30], 100, whole[-1] + 0.02) < 0.05


def test_what_is_likely_happens_as_often() -> None:
    rng = np.random.default_rng(0)
    likely, ended = [], []
    for seed in range(600):
        whole = curve(rng.uniform(0.6, 0.9), 0.4, rng.uniform(0.3, 1.5), 60, 0.01, seed)
        value = whole[-1] + rng.normal(scale=0.03)
        likely.append(probability_above(whole[:15], 60, value))
        ended.append(whole[-1] > value)
    said, happened = np.array(likely), np.array(ended)
    for low, high in ((0, 0.1), (0.9, 1.001)):
        some = (said >= low) & (said < high)
        assert some.sum() > 50
        assert abs(said[some].mean() - happened[some].mean()) < 0.06


@pytest.mark.parametrize("values", [[0.1] * 6, [0.5, 0.4, 0.3, 0.2], [0.1, 0.9, 0.1, 0.9]])
def test_every_curve_has_a_probability(values: list[float]) -> None:
    for value in (-1.0, 0.1, 0.5, 2.0):
        found = [probability_above(values, length, value) for length in (FEWEST + 3, 50)]
        assert all(0 <= each <= 1 for each in found)


SATURATING = {
    "pow3": lambda x: 0.9 - 0.5 * x**-0.5,
    "Weibull": lambda x: 0.8 - 0.6 * np.exp(-((x / 30) ** 0.5)),
    "Hill": lambda x: 0.7 - 0.5 / (1 + x / 10),
    "ilog2": lambda x: 0.95 - 0.4 / np.log(x + 1),
}
"""Curves of Domhan et al. 2015, Table 1, of shapes that are in the grid."""


@pytest.mark.parametrize("name", SATURATING)
def test_a_curve_ends_where_its_formula_says(name: str) -> None:
    whole = SATURATING[name](np.arange(1.0, 101.0))
    assert whole[-1] - whole[29] > 0.02, "its last value would do as well"
    assert expected_end(whole[:30].tolist(), 100) == pytest.approx(whole[-1], abs=1e-6)


def test_the_expected_end_is_the_mean_of_the_probabilities() -> None:
    noisy = curve(0.8, 0.5, 0.8, 12, 0.02, 1)
    ends = np.linspace(-20, 20, 40_001)
    above = [probability_above(noisy, 50, end) for end in ends[::20]]
    mean = ends[0] + np.trapezoid(above, ends[::20])  # E[Y] = a + the integral of P(Y > v) from a
    assert abs(expected_end(noisy, 50) - mean) < 1e-3


def test_a_curve_that_falls_is_expected_to_end_at_its_best() -> None:
    assert expected_end([0.5, 0.4, 0.3, 0.2], 50) == 0.5
    assert expected_end([0.1] * 6, 50) == pytest.approx(0.1)
