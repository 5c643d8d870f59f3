"""Predicts with a Gaussian process, whose posterior is mean and uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from threadpoolctl import ThreadpoolController

from nas.errors import InputError
from nas.predictors.base import Features, Floats, Prediction, Predictor
from nas.spaces.encodings import matrix, vocabulary

_THREADS = ThreadpoolController()

_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Length scales, in units of the median distance between two results."""

_NOISES = (1e-3, 1e-2, 0.1, 0.5)
"""Variances of the noise, as shares of the signal's variance."""


class GaussianProcess(Predictor):
    """A Gaussian process with a squared exponential kernel over the features.

    Over the features ``wl`` this is the surrogate of NASBOWL (Ru et al. 2021, "Interpretable
    Neural Architecture Search via Bayesian Optimisation with Weisfeiler-Lehman Kernels", ICLR;
    arXiv:2006.07556, section 3.1). Deviations: the kernel is a squared exponential of the distance
    of the subtree counts instead of their product, so it also knows how counts interact. Length
    scale and noise are the pair of a small grid with the largest marginal likelihood, and the
    variance of the signal follows in closed form (Rasmussen & Williams 2006, eq. 5.8), with a prior
    that weighs as much as one result.

    The time of a fit grows with the cube of the number of results, so it takes the best of them.

    Args:
        points: the largest number of results that it learns from.
    """

    def __init__(self, *, points: int = 500) -> None:
        if points < 1:
            raise InputError(f"points must be at least 1, got {points}")
        self.points = points

    def fit(self, features: Sequence[Features], values: Floats, rng: np.random.Generator) -> None:
        """Chooses length scale and noise, and conditions on the results; draws nothing."""
        best = np.argsort(values, kind="stable")[: self.points].tolist()
        features = [features[position] for position in best]
        self._columns = vocabulary(features)
        self._inputs = matrix(features, self._columns)
        self._squares = (self._inputs**2).sum(axis=1)
        self._center = float(values[best].mean())
        targets = values[best] - self._center
        self._unit = float(targets.std()) or 1.0
        targets /= self._unit
        with _THREADS.limit(limits=1):
            distances = self._distances(self._inputs, self._squares)
            apart = distances[distances > 1e-9]
            self._median = float(np.median(apart)) if len(apart) else 1.0
            distances /= self._median
            self._scale, self._noise, self._variance = _most_likely(distances, targets)
            kernel = _kernel(distances, self._scale)
            self._factor = cholesky(kernel + self._noise * np.eye(len(kernel)), lower=True)
            self._weights = cho_solve((self._factor, True), targets)

    def predict(self, features: Sequence[Features]) -> Prediction:
        """Returns the posterior of the values without noise."""
        inputs = matrix(features, self._columns)
        # A feature that no result has adds to the distance from all of them.
        squares = np.array([sum(value**2 for value in each.values()) for each in features])
        with _THREADS.limit(limits=1):
            kernel = _kernel(self._distances(inputs, squares) / self._median, self._scale)
            known = solve_triangular(self._factor, kernel.T, lower=True)
            mean = kernel @ self._weights
            variance = self._variance * (1 - (known**2).sum(axis=0)).clip(1e-9)
        return Prediction(self._center + self._unit * mean, self._unit * np.sqrt(variance))

    def _distances(self, inputs: Floats, squares: Floats) -> Floats:
        """Returns the squared distances of n genotypes from the results, [n, results]."""
        products = inputs @ self._inputs.T
        distances: Floats = (squares[:, None] + self._squares - 2 * products).clip(0)
        return distances


def _kernel(distances: Floats, scale: float) -> Floats:
    kernel: Floats = np.exp(-distances / (2 * scale**2))
    return kernel


def _most_likely(distances: Floats, targets: Floats) -> tuple[float, float, float]:
    """Returns length scale, noise and the signal's variance, of the largest likelihood."""
    found = []
    for scale in _SCALES:
        # One decomposition serves all levels of noise.
        eigenvalues, vectors = np.linalg.eigh(_kernel(distances, scale))
        squares = (targets @ vectors) ** 2
        for noise in _NOISES:
            spectrum = eigenvalues.clip(0) + noise
            variance = ((squares / spectrum).sum() + 1) / (len(targets) + 1)
            likelihood = -(len(targets) + 1) * np.log(variance) - np.log(spectrum).sum()
            found.append((float(likelihood), scale, noise, float(variance)))
    return max(found)[1:]
