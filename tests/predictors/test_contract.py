"""What every predictor promises, by ``nas.testing``: a new one is checked once it is registered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from nas.errors import InputError
from nas.predictors import PREDICTORS
from nas.predictors.gaussian_process import GaussianProcess
from nas.testing import check_predictor, predictors
from nas.testing.predictors import (
    CHECKS,
    OPTIONS,
    drawn,
    features,
    hash_seed_does_not_matter,
    smooth,
)
from nas.testing.predictors import PredictorCase as Case
from tests.predictors.nearest import Nearest


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_predictor_keeps_what_searchers_rely_on(check: Callable[[Case], None], name: str) -> None:
    check(Case(name))


@pytest.mark.slow
def test_predictions_do_not_depend_on_the_hash_seed() -> None:
    hash_seed_does_not_matter(*map(Case, PREDICTORS))


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


# --- the checks find what is broken ---


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("constant", predictors.it_predicts_better_than_the_mean, "of its mean is 100% of that"),
        ("shuffled", predictors.it_predicts_better_than_the_mean, "must be below 80 %"),
        ("shape", predictors.it_predicts_better_than_the_mean, r"has shape \(200, 1\)"),
        ("sure", predictors.it_is_less_sure_far_from_its_data, "deviation is 1 .* and 1 for"),
        ("negative", predictors.it_is_less_sure_far_from_its_data, "a deviation is -1.0"),
        ("draws", predictors.the_seed_decides, "draw from the generator that fit gets"),
        ("calls", predictors.the_seed_decides, "a second call of predict gives other"),
        ("company", predictors.a_genotype_is_predicted_alone_as_among_others, "among others"),
        ("memory", predictors.it_forgets_what_it_learnt_before, "fit must forget"),
        ("inputs", predictors.fit_leaves_its_inputs_alone, "it changes the values that it gets"),
        ("capped", predictors.equal_values_are_predicted, "of 1e.06, it predicts from 100 to 100"),
        ("single", predictors.one_result_is_enough, "after a single result, it raises"),
        ("empty", predictors.what_was_not_seen_is_predicted, "empty list of genotypes, it raises"),
        (
            "overflow",
            predictors.predictions_are_finite_whatever_the_scale,
            "after results of about 1e.09, two for each genotype, a mean is inf",
        ),
        ("hash", hash_seed_does_not_matter, "with another hash seed, predictions are different"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_broken_promise_is_named(fault: str, check: Callable[[Case], None], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check(Case(Nearest, {"fault": fault}))


class Untyped(Nearest):
    def __init__(self, *, neighbours=5):  # type: ignore[no-untyped-def]
        super().__init__(neighbours=neighbours)


class Positional(Nearest):
    def __init__(self, neighbours: int = 5) -> None:
        super().__init__(neighbours=neighbours)


@pytest.mark.parametrize(
    ("kind", "message"),
    [(Untyped, "have no type: neighbours"), (Positional, "options are keyword-only arguments")],
)
def test_options_that_cannot_be_checked_are_named(kind: type[Nearest], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_predictor(kind, {"neighbours": 3})


def test_a_sound_predictor_of_ones_own_passes() -> None:
    file = Path(__file__).with_name("nearest.py")
    check_predictor(f"{file}:Nearest", {"neighbours": 3})
