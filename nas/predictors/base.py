"""The predictor interface: from features to values, with an uncertainty."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Features = Mapping[str, float]
"""The features of a genotype by name (:mod:`nas.spaces.encodings`); one that it lacks is zero."""


class Prediction(NamedTuple):
    """What is predicted for n genotypes.

    Attributes:
        mean: the expected values, [n].
        deviation: the standard deviations of what the predictor does not know, [n].
    """

    mean: Floats
    deviation: Floats


class Predictor(ABC):
    """Learns values from features, and predicts those of other genotypes.

    A subclass takes its options as keyword-only arguments and raises
    :class:`nas.errors.InputError` if their values are wrong. The predictions depend on its options,
    on what was fitted, and on the generator alone.
    """

    @abstractmethod
    def fit(self, features: Sequence[Features], values: Floats, rng: np.random.Generator) -> None:
        """Learns from n genotypes, and forgets what was learnt before.

        Args:
            features: the features of each genotype; n is at least 1.
            values: what they are worth, [n]: finite numbers, also if all are equal.
            rng: for everything that is drawn.
        """

    @abstractmethod
    def predict(self, features: Sequence[Features]) -> Prediction:
        """Predicts genotypes, also such that have features that were not seen."""
