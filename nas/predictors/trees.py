"""Predicts with decision trees, averaged or boosted; their disagreement is the uncertainty."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

from nas.errors import InputError
from nas.predictors.base import Features, Floats, Prediction, Predictor
from nas.spaces.encodings import matrix, vocabulary


class _Average(Predictor):
    """The mean of several models of features in columns; their deviation is the uncertainty."""

    def fit(self, features: Sequence[Features], values: Floats, rng: np.random.Generator) -> None:
        """Fits the models."""
        self._columns = vocabulary(features)
        self._models = self._fitted(matrix(features, self._columns), values, rng)

    @abstractmethod
    def _fitted(self, inputs: Floats, values: Floats, rng: np.random.Generator) -> Sequence[Any]:
        """Returns fitted models of scikit-learn."""

    def predict(self, features: Sequence[Features]) -> Prediction:
        """Returns the mean and the standard deviation of the models' predictions."""
        if not features:
            return Prediction(np.empty(0), np.empty(0))
        inputs = matrix(features, self._columns)
        found = np.array([model.predict(inputs) for model in self._models])
        return Prediction(found.mean(axis=0), found.std(axis=0))


class Forest(_Average):
    """A random forest (Breiman 2001), with the variance between its trees, as in SMAC.

    Hutter, Hoos & Leyton-Brown 2011, "Sequential Model-Based Optimization for General Algorithm
    Configuration", section 4.1: the mean and the variance of the trees' predictions. As there, a
    node looks at five sixths of the features; its leaves hold a single result.

    Args:
        trees: the number of trees.
    """

    def __init__(self, *, trees: int = 50) -> None:
        if trees < 2:
            raise InputError(f"trees must be at least 2, got {trees}")
        self.trees = trees

    def _fitted(self, inputs: Floats, values: Floats, rng: np.random.Generator) -> Sequence[Any]:
        seed = int(rng.integers(2**31))
        forest = RandomForestRegressor(self.trees, max_features=5 / 6, random_state=seed)
        return cast(Sequence[Any], forest.fit(inputs, values).estimators_)


class BoostedTrees(_Average):
    """Stochastic gradient boosting (Friedman 2002, Algorithm 1), several times.

    Every tree corrects those before it, on a random half of the results. Models that differ in
    these halves alone disagree where there are few results; the paper has one model and no
    uncertainty.

    Args:
        trees: the trees of a model.
        models: the number of models.
        learning_rate: how much of a correction is made.
    """

    def __init__(self, *, trees: int = 100, models: int = 5, learning_rate: float = 0.1) -> None:
        if trees < 1:
            raise InputError(f"trees must be at least 1, got {trees}")
        if models < 2:
            raise InputError(f"models must be at least 2, got {models}")
        if not 0 < learning_rate <= 1:
            raise InputError(f"learning_rate must be over 0 and at most 1, got {learning_rate}")
        self.trees, self.models, self.learning_rate = trees, models, learning_rate

    def _fitted(self, inputs: Floats, values: Floats, rng: np.random.Generator) -> Sequence[Any]:
        half = 0.5 if len(values) > 3 else 1.0  # a half of one result would be none
        return [
            GradientBoostingRegressor(
                n_estimators=self.trees, learning_rate=self.learning_rate, subsample=half,
                random_state=int(seed),
            ).fit(inputs, values)
            for seed in rng.integers(2**31, size=self.models)
        ]  # fmt: skip
