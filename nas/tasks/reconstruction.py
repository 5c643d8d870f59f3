"""Reconstruction: a network returns its image, through a bottleneck or from a noisy image."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt

from nas.configuration import Named
from nas.errors import InputError
from nas.metrics import Metric
from nas.tasks.base import Json
from nas.tasks.dense import Dense

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from nas.architecture.graph import Architecture
    from nas.tasks.pictures import Pictures

# torch is imported in the methods that need it, so that reading a campaign does not load it.

Share = Annotated[float, Field(ge=0, le=1)]

_WINDOW = 7
_CHUNK = 256
"""How many images are compared at a time."""


class Reconstruction(Dense):
    """A network returns the pixels of its image, from 0 to 1; labels are not used.

    The loss is the mean squared error; the primary metric is SSIM.

    Args:
        head: a head of :data:`nas.heads.HEADS`, with its options; ``decoder`` has a bottleneck.
        output_stride: the largest stride of the backbone, which dilation keeps.
        noise: the standard deviation of the normal noise that is added to the pixels from 0 to 1
            that the network sees, in training and in evaluation (denoising autoencoder, Vincent et
            al. 2008); targets have none.
        ssim: the share of 1 - SSIM in the training loss.
    """

    metrics = (
        Metric(
            name="ssim", direction="maximize", words="SSIM", title="SSIM",
            meaning="structural similarity to the true image (Wang et al. 2004)",
        ),
        Metric(
            name="loss", direction="minimize",
            meaning="mean squared error of a pixel from 0 to 1",
        ),
    )  # fmt: skip
    labels = "images"
    output = "images"

    def __init__(
        self,
        *,
        head: Named | str = "decoder",
        output_stride: PositiveInt | None = None,
        noise: Share = 0.0,
        ssim: Share = 0.0,
    ) -> None:
        super().__init__(head, output_stride)
        self._noise = noise
        self._ssim = ssim

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns the shape of the image.

        Raises :class:`InputError` for series, and for sides below 7.
        """
        if len(input_shape) < 3 or min(input_shape[1:]) < _WINDOW:
            raise InputError(
                f"the task Reconstruction needs images or volumes with sides of at least {_WINDOW},"
                f" got {input_shape}"
            )
        return input_shape

    def outputs(self, input_shape: tuple[int, ...], classes: int) -> int:
        """Returns the number of channels; the last layer of a backbone is left out."""
        return self.output_shape(input_shape, classes)[0]

    def network(self, backbone: Architecture, outputs: int) -> Architecture:
        """Returns the backbone with the task's head, and a sigmoid behind it."""
        from nas.architecture.builder import Builder

        network = super().network(backbone, outputs)
        g = Builder(network.input_shape)
        last = g.include(network)[network.outputs[0]]
        return g.build(g.activation(last, "sigmoid", name="pixels"))

    def inputs(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns the pixels with noise, from 0 to 255."""
        if not self._noise:
            return images
        import torch

        noise = torch.randn(images.shape, generator=generator, device=images.device)
        return (images + 255 * self._noise * noise).clamp(0, 255)

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Returns the pixels of the images, from 0 to 1."""
        return labels.float() / 255

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Returns the mean squared error of pixels [N, C, H, W], with its share of SSIM."""
        from torch.nn.functional import mse_loss

        error = mse_loss(outputs, targets)
        if not self._ssim:
            return error
        return error.lerp(1 - ssim(outputs, targets).mean(), self._ssim)

    def tally(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Sums squared errors and SSIM."""
        squares = (outputs.float() - targets).square().flatten(1).mean(1)
        return {"loss": squares.sum(), "ssim": ssim(outputs.float(), targets).sum()}

    def predictions(self, outputs: Tensor) -> Tensor:
        """Returns the pixels as float32."""
        return outputs.float()

    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """Evaluates pixels [N, C, H, W] against the true ones.

        Returns the metrics, and ``chance``: those of the mean of these images.
        """
        mean = targets.mean(0)
        return {
            **self._compare(predictions, targets),
            "chance": self._compare(mean.expand_as(targets), targets),
        }

    def _compare(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        starts = range(0, len(targets), _CHUNK)
        sums = [self.tally(predictions[i : i + _CHUNK], targets[i : i + _CHUNK]) for i in starts]
        return {
            name: sum(each[name].double().item() for each in sums) / len(targets)
            for name in ("ssim", "loss")
        }

    def pictures(
        self, images: NDArray[np.uint8], predictions: Tensor, targets: Tensor, names: Sequence[str]
    ) -> Sequence[Pictures]:
        """Returns images, what the network sees of them if there is noise, and what it returns."""
        import torch

        from nas.tasks.pictures import ROWS, plain

        seen = self.inputs(torch.from_numpy(images), torch.Generator().manual_seed(0))
        rows = []
        for image, noisy, found in zip(images[:ROWS], seen, predictions, strict=False):
            row = {"truth": plain(image)}
            if self._noise:
                row["input"] = plain(noisy.byte().numpy())
            rows.append(row | {"prediction": plain((found * 255).round().byte().numpy())})
        return rows


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """Returns the structural similarity of pixels from 0 to 1, [N, C, H, W], for each image.

    Wang et al. 2004 (doi:10.1109/TIP.2003.819861), equation 13, with K1 0.01 and K2 0.03, as the
    defaults of scikit-image: windows of 7 pixels a side with equal weights, unbiased variances, and
    the mean over all windows within the image and over the channels. Volumes have windows of three
    axes.
    """
    import torch

    axes = images.ndim - 2
    mean = getattr(torch.nn.functional, f"avg_pool{axes}d")
    x, y = images, others
    mean_x, mean_y = mean(x, _WINDOW, 1), mean(y, _WINDOW, 1)
    size = prod([_WINDOW] * axes)
    unbiased = size / (size - 1)
    var_x = (mean(x * x, _WINDOW, 1) - mean_x * mean_x) * unbiased
    var_y = (mean(y * y, _WINDOW, 1) - mean_y * mean_y) * unbiased
    both = (mean(x * y, _WINDOW, 1) - mean_x * mean_y) * unbiased
    similar = (2 * mean_x * mean_y + 0.01**2) * (2 * both + 0.03**2)
    similar = similar / ((mean_x**2 + mean_y**2 + 0.01**2) * (var_x + var_y + 0.03**2))
    found: Tensor = similar.flatten(1).mean(1)
    return found
