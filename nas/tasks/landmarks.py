"""Landmarks: a network finds the same points in every image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.errors import InputError
from nas.metrics import Metric
from nas.tasks.base import Json
from nas.tasks.regression import LOSS, Regression

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from nas.tasks.pictures import Pictures


class Landmarks(Regression):
    """A network returns x and y of each point; the loss is the mean squared error.

    Values are x and y of the first point, of the second, and so on, as fractions of the image's
    longer side. The primary metric is the normalised mean error: the mean distance of the points
    from the true ones, divided by a length in the same face or object.

    Args:
        between: the numbers, from 0, of the two points whose true distance is this length, such as
            the outer corners of the eyes: [36, 45] of 68 points (Sagonas et al. 2013, 300-W). By
            default, it is the square root of the area of the box around the true points.
    """

    metrics = (
        Metric(
            name="nme", direction="minimize", words="normalised mean error", title="NME",
            meaning="mean distance of the points from the true ones, divided by a true length",
        ),
        LOSS,
        Metric(
            name="failures", direction="minimize", unit="fraction",
            meaning="fraction of the images with a normalised mean error above 0.1",
        ),
    )  # fmt: skip
    placed = True

    def __init__(self, *, between: tuple[int, int] | None = None) -> None:
        if between is not None and (min(between) < 0 or between[0] == between[1]):
            raise InputError(f"must be two different points from 0, got {list(between)}", "between")
        self._between = between

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns (2 P,) for P points."""
        if classes % 2:
            raise InputError(f"points have two values each, x and y; the data set has {classes}")
        if self._between is not None and max(self._between) >= classes // 2:
            raise InputError(
                f"the data set has {classes // 2} points, got {list(self._between)}", "between"
            )
        return (classes,)

    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Returns the normalised mean error of each image, [N]."""
        points, truth = (each.view(len(each), -1, 2) for each in (predictions, targets))
        if self._between is None:
            sides = truth.amax(1) - truth.amin(1)
            length = sides.prod(1).sqrt()
        else:
            first, second = self._between
            length = (truth[:, first] - truth[:, second]).norm(dim=1)
        distances: Tensor = (points - truth).norm(dim=2).mean(1)
        return distances / length.clamp(min=1e-6)

    def further(self, predictions: Tensor, targets: Tensor) -> Json:
        """Returns the fraction of failures."""
        return {"failures": (self.errors(predictions, targets) > 0.1).double().mean().item()}

    def pictures(
        self, images: NDArray[np.uint8], predictions: Tensor, targets: Tensor, names: Sequence[str]
    ) -> Sequence[Pictures]:
        """Returns images with their true and their predicted points."""
        from nas.tasks.pictures import ROWS, with_points

        rows = zip(images[:ROWS], targets, predictions, strict=False)
        return [
            {
                "truth": with_points(image, truth.view(-1, 2).tolist()),
                "prediction": with_points(image, found.view(-1, 2).tolist()),
            }
            for image, truth, found in rows
        ]
