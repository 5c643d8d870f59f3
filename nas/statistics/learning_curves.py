"""Extrapolates learning curves: where a training ends, and how likely above a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
    ends = _ends(np.asarray(curve, dtype=float), length)
    if ends is None:
        return float(max(curve) > value)
    above = t.sf((value - ends.means) / ends.deviations, ends.freedom)
    return float(ends.weights @ above)


def expected_end(curve: Sequence[float], length: int) -> float:
    """Returns the value at which a curve is expected to end.

    It is the mean of what the ensemble of :func:`probability_above` predicts. If none of its curves
    rises, it is the largest value so far, at which that function lets the curve end, too. No bounds
    of the values are known, so of few epochs it may be far beyond what is possible.

    Args:
        curve: the values after 1, 2, ... epochs, finite, larger is better; at least
            :data:`FEWEST`.
        length: the number of epochs at which the training ends.
    """
    ends = _ends(np.asarray(curve, dtype=float), length)
    return float(max(curve) if ends is None else ends.weights @ ends.means)


class _Ends(NamedTuple):
    """A mixture of Student's t distributions of the last value of a curve, [shapes] each."""

    weights: Floats
    """They sum to 1."""
    means: Floats
    deviations: Floats
    freedom: int


def _ends(values: Floats, length: int) -> _Ends | None:
    """Returns how a curve may end after so many epochs; None if no shape of it rises."""
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
        return None
    logs = np.where(rising, -freedom / 2 * np.log(squares) - np.log(spread) / 2, -np.inf)
    weights = np.exp(logs - logs.max())
    ahead = last - decays.mean(axis=1)
    means = values.mean() - slopes * ahead
    deviations = np.sqrt(squares / freedom * (1 + 1 / count + ahead**2 / spread))
    return _Ends(weights / weights.sum(), means, deviations, freedom)


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
