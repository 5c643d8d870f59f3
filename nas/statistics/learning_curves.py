"""Extrapolates learning curves: how likely a training ends above a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

Floats = NDArray[np.float64]

FEWEST = 4
"""The least number of points of a curve that can be extrapolated."""


def probability_above(curve: Sequence[float], length: int, value: float) -> float:
    """Returns the probability that a curve ends above a value.

    After Domhan, Springenberg & Hutter 2015, "Speeding up Automatic Hyperparameter Optimization of
    Deep Neural Networks by Extrapolation of Learning Curves" (IJCAI), sections 3 and 4: an ensemble
    of saturating curves ``c - a f(x)``, with those of its Table 1 that have this form: power laws
    (pow3), exponentials (Weibull), Hill curves (Hill3, MMF) and inverse logarithms (ilog2).
    Deviations: the shape of each curve is taken from a grid, and its limit ``c`` and range ``a``
    follow by linear regression, which is exact, where the paper samples all of them by MCMC. Shapes
    are weighted by their marginal likelihood with the reference prior, and each predicts a
    Student's t distribution. Curves that fall are left out, as in the paper.

    Args:
        curve: the values after 1, 2, ... epochs, finite, larger is better; at least
            :data:`FEWEST`.
        length: the number of epochs at which the training ends.
        value: the value.
    """
    values = np.asarray(curve, dtype=float)
    count = len(values)
    decays = _decays(np.append(np.arange(1, count + 1), length))
    decays, last = decays[:, :-1], decays[:, -1]
    centered = decays - decays.mean(axis=1, keepdims=True)
    spread = (centered**2).sum(axis=1)
    slopes = -(centered @ values) / spread
    rest = values - values.mean() + slopes[:, None] * centered
    freedom = count - 2
    # A curve that is met exactly still has the rounding of what was measured.
    squares = (rest**2).sum(axis=1) + 1e-9 * (values.std() ** 2 + 1e-9)
    rising = slopes >= 0
    if not rising.any():
        return float(values.max() > value)
    logs = np.where(rising, -freedom / 2 * np.log(squares) - np.log(spread) / 2, -np.inf)
    weights = np.exp(logs - logs.max())
    ahead = last - decays.mean(axis=1)
    means = values.mean() - slopes * ahead
    deviations = np.sqrt(squares / freedom * (1 + 1 / count + ahead**2 / spread))
    above = t.sf((value - means) / deviations, freedom)
    return float(weights @ above / weights.sum())


def _decays(x: Floats) -> Floats:
    """Returns curves that fall from about 1 to 0, scaled to their first value: [shapes, points]."""
    shapes = [
        *(x**-power for power in (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0)),
        *(
            np.exp(-((x / scale) ** power))
            for scale in (1.0, 3.0, 10.0, 30.0, 100.0)
            for power in (0.5, 1.0, 2.0)
        ),
        *(
            1 / (1 + (x / scale) ** power)
            for scale in (1.0, 3.0, 10.0, 30.0, 100.0)
            for power in (0.5, 1.0, 2.0)
        ),
        1 / np.log(x + 1),
    ]
    table = np.array(shapes)
    scaled: Floats = table / table[:, :1]
    return scaled
