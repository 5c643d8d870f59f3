"""Checks on a toy function what every predictor promises to a searcher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.predictors import PREDICTORS, Features, Prediction, Predictor
from nas.predictors.base import Floats
from nas.statistics.correlation import spearman
from nas.testing.parts import options_are_declared, same_with_any_hash_seed

CHOICES, OPTIONS = 6, 4
"""How many choices a genotype of the toy function has, and how many options each of them."""

Drawn = NDArray[np.int64]


@dataclass(frozen=True)
class PredictorCase:
    """A predictor with options, to be checked.

    Attributes:
        predictor: its name as in ``model:`` of a searcher (``forest``, ``mine.py:Mine``), or its
            class.
        options: its options as in ``model:``.
    """

    predictor: str | type[Predictor]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> type[Predictor]:
        """Returns the class of the predictor."""
        if isinstance(self.predictor, str):
            found: type[Predictor] = PREDICTORS.find(self.predictor)
            return found
        return self.predictor

    def make(self) -> Predictor:
        """Makes a new predictor."""
        return self.kind(**self.options)

    def predict(
        self,
        when: str,
        known: Sequence[Features],
        values: Floats,
        asked: Sequence[Features],
        *,
        seed: int = 0,
        made: Predictor | None = None,
    ) -> Prediction:
        """Fits a predictor and returns what it predicts, if that is sound.

        Args:
            when: says in messages what it is fitted on or asked for: "after a single result".
            known: the features that it learns from, n.
            values: what they are worth, [n].
            asked: the features of which it predicts the values.
            seed: the seed of the generator that it gets.
            made: the predictor; by default a new one.

        Raises :class:`AssertionError` if it raises an exception, or if the prediction does not hold
        one finite mean and one finite deviation of at least 0 per genotype.
        """
        made = made or self.make()
        try:
            made.fit(known, values, np.random.default_rng(seed))
            found = Prediction(*map(np.asarray, made.predict(asked)))
        except Exception as error:
            raise AssertionError(f"{when}, it raises {error!r}") from error
        for name, each in found._asdict().items():
            assert each.shape == (len(asked),), (
                f"{when}, the {name} of {len(asked)} genotypes has shape {each.shape}"
            )
            assert np.isfinite(each).all(), f"{when}, a {name} is {each[~np.isfinite(each)][0]}"
        assert (found.deviation >= 0).all(), f"{when}, a deviation is {found.deviation.min()}"
        return found


def check_predictor(
    predictor: str | type[Predictor], options: Mapping[str, Any] | None = None
) -> None:
    """Run every check of :data:`CHECKS` on a predictor, and :func:`hash_seed_does_not_matter`.

    The arguments are those of :class:`PredictorCase`. Raises :class:`AssertionError` if a promise
    is broken.
    """
    case = PredictorCase(predictor, options or {})
    for check in CHECKS:
        check(case)
    hash_seed_does_not_matter(case)


def drawn(count: int, seed: int, options: int = OPTIONS) -> Drawn:
    """Draws genotypes with the first ``options`` of the options, [count, choices]."""
    return np.random.default_rng(seed).integers(options, size=(count, CHOICES))


def features(genotypes: Drawn) -> list[Features]:
    """Returns the one-hot features of genotypes, [n, choices]."""
    return [
        {f"{choice}={option}": 1.0 for choice, option in enumerate(each)}
        for each in genotypes.tolist()
    ]


def smooth(genotypes: Drawn) -> Floats:
    """Returns what genotypes are worth, [n]: a sum over choices, with a product of two."""
    worth = np.array([0.0, 1.0, 2.0, 4.0])
    of_each = worth[genotypes] / (1 + np.arange(CHOICES))
    value: Floats = of_each.sum(axis=1) + of_each[:, 0] * of_each[:, 1]
    return value


def it_predicts_better_than_the_mean(case: PredictorCase) -> None:
    """Unseen genotypes are ranked, and their values predicted closer than by the known mean."""
    known, others = drawn(80, 0), drawn(200, 1)
    values, true = smooth(known), smooth(others)
    found = case.predict("after 80 results", features(known), values, features(others))
    share = np.abs(found.mean - true).mean() / np.abs(values.mean() - true).mean()
    assert share < 0.8, (
        f"after 80 results, the error of its mean is {share:.0%} of that of the mean of all "
        "results; it must be below 80 %"
    )
    rank = spearman(found.mean, true)
    assert rank > 0.5, (
        f"after 80 results, the rank correlation of its mean with the values is {rank:.2f}; it "
        "must be above 0.5"
    )


def it_is_less_sure_far_from_its_data(case: PredictorCase) -> None:
    """The deviation is larger for genotypes with options that no result has."""
    known, others = drawn(60, 0, options=2), features(drawn(60, 2))
    near, far = (
        case.predict("after 60 results", features(known), smooth(known), asked).deviation.mean()
        for asked in (features(known), others)
    )
    assert far > 1.2 * near, (
        f"its mean deviation is {near:.3g} for genotypes that it was fitted on, and {far:.3g} for "
        "others with options that it has not seen; that must be larger by a fifth at least"
    )


def the_seed_decides(case: PredictorCase) -> None:
    """The same results and the same generator give the same predictions, however often asked."""
    known, others = drawn(30, 0), features(drawn(30, 1))
    given = ("after 30 results", features(known), smooth(known), others)
    made = case.make()
    first = case.predict(*given, seed=3, made=made)
    assert np.array_equal(first, made.predict(others)), (
        "a second call of predict gives other predictions"
    )
    assert np.array_equal(first, case.predict(*given, seed=3)), (
        "two predictors with the same results and the same seed give different predictions; draw "
        "from the generator that fit gets, and from no other"
    )


def a_genotype_is_predicted_alone_as_among_others(case: PredictorCase) -> None:
    """A prediction does not depend on what else is asked for at the same time."""
    known, others = drawn(30, 0), features(drawn(5, 1))
    made = case.make()
    found = case.predict("after 30 results", features(known), smooth(known), others, made=made)
    alone = np.concatenate([made.predict([each]) for each in others], axis=1)
    assert np.allclose(found, alone), "a genotype is predicted otherwise alone than among others"


def it_forgets_what_it_learnt_before(case: PredictorCase) -> None:
    """A predictor that is fitted again is like a new one."""
    known, before = drawn(30, 0), drawn(20, 5)
    made = case.make()
    case.predict("after 20 results", features(before), smooth(before), features(before), made=made)
    given = ("when it is fitted again", features(known), smooth(known), features(known))
    assert np.array_equal(case.predict(*given, made=made), case.predict(*given)), (
        "a predictor that is fitted again predicts otherwise than a new one: fit must forget what "
        "was learnt before"
    )


def fit_leaves_its_inputs_alone(case: PredictorCase) -> None:
    """The features and values that it gets are not changed."""
    known = drawn(30, 0)
    given, values = features(known), smooth(known)
    case.predict("after 30 results", given, values, given)
    assert given == features(known), "it changes the features that it gets"
    assert np.array_equal(values, smooth(known)), "it changes the values that it gets"


def equal_values_are_predicted(case: PredictorCase) -> None:
    """If all results are equal, that value is predicted."""
    known = features(drawn(20, 0))
    for value in (-3.0, 0.0, 1e6):
        when = f"after 20 results of {value:g}"
        found = case.predict(when, known, np.full(20, value), known).mean
        assert np.allclose(found, value, rtol=0.1, atol=0.1), (
            f"{when}, it predicts from {found.min():.6g} to {found.max():.6g}"
        )


def one_result_is_enough(case: PredictorCase) -> None:
    """It predicts after a single result."""
    case.predict("after a single result", features(drawn(1, 0)), np.ones(1), features(drawn(5, 1)))


def what_was_not_seen_is_predicted(case: PredictorCase) -> None:
    """It predicts genotypes with unknown features, such without any, and none at all."""
    known = drawn(20, 0)
    asked: dict[str, list[Features]] = {
        "with a feature that it has not seen": [{"new": 1.0}],
        "for a genotype without features": [{}],
        "for an empty list of genotypes": [],
    }
    for when, each in asked.items():
        case.predict(when, features(known), smooth(known), each)


def predictions_are_finite_whatever_the_scale(case: PredictorCase) -> None:
    """Large and small values, and different ones of a single genotype, give finite predictions."""
    known = np.repeat(drawn(10, 0), 2, axis=0)
    noisy = smooth(known) + np.tile([-1.0, 1.0], 10)
    for scale in (1e-9, 1.0, 1e9):
        when = f"after results of about {scale:g}, two for each genotype"
        case.predict(when, features(known), scale * noisy, features(drawn(20, 1)))


def predictions(case: PredictorCase) -> list[list[str]]:
    """Returns what is predicted after some results, with six digits."""
    known, others = drawn(30, 0), features(drawn(10, 1))
    found = case.predict("after 30 results", features(known), smooth(known), others)
    return [[f"{value:.6g}" for value in each] for each in found]


def hash_seed_does_not_matter(*cases: PredictorCase) -> None:
    """Predictions do not depend on Python's hash seed, on which the order of a set depends.

    See :func:`nas.testing.parts.same_with_any_hash_seed`.
    """
    same_with_any_hash_seed(predictions, cases, "with another hash seed, predictions are different")


CHECKS: tuple[Callable[[PredictorCase], None], ...] = (
    options_are_declared,
    it_predicts_better_than_the_mean,
    it_is_less_sure_far_from_its_data,
    the_seed_decides,
    a_genotype_is_predicted_alone_as_among_others,
    it_forgets_what_it_learnt_before,
    fit_leaves_its_inputs_alone,
    equal_values_are_predicted,
    one_result_is_enough,
    what_was_not_seen_is_predicted,
    predictions_are_finite_whatever_the_scale,
)
"""All checks of a predictor; each is a function of a case."""
