"""Regression: every image has numbers, which a network predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from nas.metrics import Metric
from nas.tasks.base import Json, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from nas.architecture.graph import Architecture

# torch is imported in the methods that need it, so that reading a campaign does not load it.

LOSS = Metric(name="loss", direction="minimize", meaning="mean squared error of a value")


class Regression(Task):
    """A network returns a number per value; the loss is the mean squared error.

    A network begins with outputs around the mean of the training values, which vary as these do:
    the last layer's weights are multiplied by their standard deviations, and its bias is their
    mean. So values may have any unit with AdamW; the learning rate of SGD must suit the values. The
    primary metric is the mean absolute error, in the unit of the values.
    """

    metrics = (
        Metric(
            name="absolute_error", direction="minimize",
            meaning="mean absolute error of a value, in its unit",
        ),
        LOSS,
        Metric(
            name="r2", direction="maximize",
            meaning="share of the variance of the values that is explained, mean over the values",
        ),
    )  # fmt: skip
    labels = "values"

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns (K,), the number of values per image."""
        return (classes,)

    def start(
        self, architecture: Architecture, labels: NDArray[np.floating]
    ) -> Mapping[str, Callable[[nn.Module], None]]:
        """Lets the last layer of each output begin at the mean and the deviation of the values."""
        from nas.architecture.operations import ArchitectureError
        from nas.architecture.surgery import head_layer

        owners, found = {node.name: node.owner for node in architecture.nodes}, {}
        for output in architecture.outputs:
            with suppress(ArchitectureError):  # a network that ends in another way
                found[owners[head_layer(architecture, output)]] = partial(_scale, labels=labels)
        return found

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Returns the mean squared error of values [N, K]."""
        from torch.nn.functional import mse_loss

        return mse_loss(outputs, targets)

    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Returns the primary metric of each image, [N]."""
        return (predictions - targets).abs().mean(1)

    def tally(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Sums squared errors and the primary metric."""
        squares = (outputs - targets).square().mean(1)
        return {"loss": squares.sum(), self.primary.name: self.errors(outputs, targets).sum()}

    def predictions(self, outputs: Tensor) -> Tensor:
        """Returns the outputs as float32."""
        return outputs.float()

    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """Evaluates values [N, K] against the true ones.

        Returns the metrics, and ``chance``: the primary metric of predicting the median of these
        images everywhere.
        """
        constant = targets.median(0).values.expand_as(targets)
        return {
            self.primary.name: self.errors(predictions, targets).double().mean().item(),
            "loss": (predictions - targets).double().square().mean().item(),
            **self.further(predictions, targets),
            "chance": {self.primary.name: self.errors(constant, targets).double().mean().item()},
        }

    def further(self, predictions: Tensor, targets: Tensor) -> Json:
        """Returns the metrics other than the first one and the loss."""
        squares = (predictions - targets).double().square().sum(0)
        spread = (targets.double() - targets.double().mean(0)).square().sum(0)
        return {"r2": (1 - squares / spread.clamp(min=1e-12)).mean().item()}


def _scale(layer: Any, labels: NDArray[np.floating]) -> None:
    import torch

    deviation, mean = torch.std_mean(torch.from_numpy(labels).double(), 0, unbiased=False)
    with torch.no_grad():
        layer.weight.mul_(deviation.view(-1, *(1,) * (layer.weight.ndim - 1)))
        if layer.bias is not None:
            layer.bias.copy_(mean)
