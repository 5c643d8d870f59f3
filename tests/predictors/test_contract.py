"""What every predictor promises: a new one is checked once it is in the registry."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from nas.errors import InputError
from nas.predictors import PREDICTORS, Features, Prediction, Predictor
from nas.predictors.gaussian_process import GaussianProcess

CHOICES, OPTIONS = 6, 4

every_predictor = pytest.mark.parametrize("name", list(PREDICTORS))


def features(genotypes: np.ndarray) -> list[Features]:
    """One-hot features of genotypes, [n, choices]."""
    return [
        {f"{choice}={option}": 1.0 for choice, option in enumerate(each)}
        for each in genotypes.tolist()
    ]


def smooth(genotypes: np.ndarray) -> np.ndarray:
    """A sum over choices, with a product of the first two."""
    worth = np.array([0.0, 1.0, 2.0, 4.0])
    of_each = worth[genotypes] / (1 + np.arange(CHOICES))
    value: np.ndarray = of_each.sum(axis=1) + of_each[:, 0] * of_each[:, 1]
    return value


def drawn(count: int, seed: int, options: int = OPTIONS) -> np.ndarray:
    return np.random.default_rng(seed).integers(options, size=(count, CHOICES))


def fitted(name: str, known: list[Features], values: Any, seed: int = 0) -> Predictor:
    made: Predictor = PREDICTORS[name]()
    made.fit(known, np.asarray(values, dtype=float), np.random.default_rng(seed))
    return made


def check(found: Prediction, count: int) -> None:
    for each in found:
        assert each.shape == (count,)
        assert np.isfinite(each).all()
    assert (found.deviation >= 0).all()


@every_predictor
def test_it_predicts_better_than_the_mean(name: str) -> None:
    known, others = drawn(80, 0), drawn(200, 1)
    found = fitted(name, features(known), smooth(known)).predict(features(others))
    check(found, 200)
    error = np.abs(found.mean - smooth(others)).mean()
    assert error < 0.6 * np.abs(smooth(known).mean() - smooth(others)).mean()
    assert spearmanr(found.mean, smooth(others)).statistic > 0.8


@every_predictor
def test_it_knows_less_far_from_its_data(name: str) -> None:
    known = drawn(60, 0, options=2)  # of the four options, two are never seen
    made = fitted(name, features(known), smooth(known))
    near, far = made.predict(features(known)), made.predict(features(drawn(60, 2)))
    assert far.deviation.mean() > 1.2 * near.deviation.mean()


@every_predictor
def test_the_seed_decides(name: str) -> None:
    known, others = features(drawn(30, 0)), features(drawn(30, 1))
    first, again = (
        fitted(name, known, smooth(drawn(30, 0)), seed=3).predict(others) for _ in range(2)
    )
    assert np.array_equal(first, again)


@every_predictor
def test_it_forgets_what_it_learnt_before(name: str) -> None:
    known, values = features(drawn(30, 0)), smooth(drawn(30, 0))
    made = fitted(name, features(drawn(20, 5)), smooth(drawn(20, 5)))
    made.fit(known, values, np.random.default_rng(0))
    expected = fitted(name, known, values).predict(known)
    assert np.array_equal(made.predict(known), expected)


@every_predictor
@pytest.mark.parametrize("value", [-3.0, 0.0, 1e6])
def test_equal_values_are_predicted(name: str, value: float) -> None:
    known = features(drawn(20, 0))
    found = fitted(name, known, np.full(20, value)).predict(known)
    check(found, 20)
    assert np.allclose(found.mean, value, rtol=0.1, atol=0.1)


@every_predictor
def test_one_result_is_enough(name: str) -> None:
    one, others = drawn(1, 0), features(drawn(5, 1))
    check(fitted(name, features(one), [2.0]).predict(others), 5)


@every_predictor
@pytest.mark.parametrize("unseen", [[{"new": 1.0}], [{}], []], ids=["new", "none", "nothing"])
def test_what_was_not_seen_is_predicted(name: str, unseen: list[Features]) -> None:
    made = fitted(name, features(drawn(20, 0)), smooth(drawn(20, 0)))
    check(made.predict(unseen), len(unseen))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ensemble", {"networks": 1}, "networks must be at least 2, got 1"),
        ("forest", {"trees": 1}, "trees must be at least 2, got 1"),
        ("boosted_trees", {"trees": 0}, "trees must be at least 1, got 0"),
        ("boosted_trees", {"models": 1}, "models must be at least 2, got 1"),
        ("boosted_trees", {"learning_rate": 0}, "learning_rate must be over 0"),
        ("gaussian_process", {"points": 0}, "points must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PREDICTORS[name](**options)


def test_a_gaussian_process_has_the_posterior_of_scikit_learn() -> None:
    known, others = drawn(40, 0), drawn(30, 1)
    made = GaussianProcess()
    made.fit(features(known), smooth(known), np.random.default_rng(0))
    length = made._scale * made._median**0.5
    kernel = ConstantKernel(made._variance, "fixed") * RBF(length, "fixed")
    peer = GaussianProcessRegressor(kernel, alpha=made._variance * made._noise, optimizer=None)
    codes = np.eye(OPTIONS)
    peer.fit(codes[known].reshape(40, -1), (smooth(known) - made._center) / made._unit)
    mean, deviation = peer.predict(codes[others].reshape(30, -1), return_std=True)
    found = made.predict(features(others))
    assert found.mean == pytest.approx(made._center + made._unit * mean)
    assert found.deviation == pytest.approx(made._unit * deviation, rel=1e-4, abs=1e-4)
