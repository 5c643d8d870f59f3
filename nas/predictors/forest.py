"""Predicts with a random forest, the disagreement of whose trees is the uncertainty."""

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from nas.errors import InputError
from nas.predictors.base import Features, Floats, Prediction, Predictor
from nas.spaces.encodings import matrix, vocabulary


class Forest(Predictor):
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

    def fit(self, features: Sequence[Features], values: Floats, rng: np.random.Generator) -> None:
        """Grows the trees."""
        self._columns = vocabulary(features)
        self._forest = RandomForestRegressor(
            self.trees, max_features=5 / 6, random_state=int(rng.integers(2**31))
        )
        self._forest.fit(matrix(features, self._columns), values)

    def predict(self, features: Sequence[Features]) -> Prediction:
        """Returns the mean and the standard deviation of the trees' predictions."""
        if not features:
            return Prediction(np.empty(0), np.empty(0))
        inputs = matrix(features, self._columns)
        found = np.array([tree.predict(inputs) for tree in self._forest.estimators_])
        return Prediction(found.mean(axis=0), found.std(axis=0))
