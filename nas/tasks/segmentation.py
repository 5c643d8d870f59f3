"""Semantic segmentation: every pixel belongs to one of several classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt

from nas.configuration import Named
from nas.metrics import Metric
from nas.tasks.base import IGNORED, Json
from nas.tasks.dense import Dense

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from nas.tasks.pictures import Pictures

# torch is imported in the methods that need it, so that reading a campaign does not load it.

Share = Annotated[float, Field(ge=0, le=1)]


class Segmentation(Dense):
    """A network returns a score per class and pixel; predictions are probabilities, by softmax.

    A head on a backbone makes the scores. The loss is cross entropy in nats over the pixels that
    have a class; the primary metric is the mean intersection over union, mIoU.

    Args:
        head: a head of :data:`nas.heads.HEADS`, with its options.
        output_stride: the largest stride of the backbone, which dilation keeps.
        dice: the share of the Dice loss in the training loss (Milletari et al. 2016, V-Net,
            arXiv:1606.04797, section 3, without squares; averaged over classes, each over the
            whole batch). The rest is cross entropy.
    """

    metrics = (
        Metric(
            name="miou", direction="maximize", unit="fraction", words="mIoU", title="mIoU",
            meaning="intersection over union of predicted and true pixels, mean over classes",
        ),
        Metric(
            name="loss", direction="minimize", unit="nats",
            meaning="mean cross entropy of a pixel in nats",
        ),
        Metric(
            name="pixel_accuracy", direction="maximize", unit="fraction",
            meaning="fraction of the pixels whose most probable class is the true one",
        ),
    )  # fmt: skip
    labels = "masks"
    smooths = True
    output = "masks"

    def __init__(
        self,
        *,
        head: Named | str = "fcn",
        output_stride: PositiveInt | None = None,
        dice: Share = 0.0,
    ) -> None:
        super().__init__(head, output_stride)
        self._dice = dice

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns (classes, H, W), for one score per class and pixel."""
        return (classes, *input_shape[1:])

    def outputs(self, input_shape: tuple[int, ...], classes: int) -> int:
        """Returns the number of classes; the last layer of a backbone is left out."""
        return classes

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Returns the class of each pixel, int64 [N, H, W]; 255 where there is none."""
        return labels.long()

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Returns the mean loss over the pixels of scores [N, classes, H, W] that have a class."""
        from torch.nn.functional import cross_entropy

        total = cross_entropy(
            outputs, targets, ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum"
        )
        mean = total / (targets != IGNORED).sum().clamp(min=1)
        if not self._dice:
            return mean
        return mean.lerp(_dice(outputs.softmax(1), targets), self._dice)

    def tally(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Sums cross entropies, and counts pixels by true and predicted class."""
        from torch.nn.functional import cross_entropy

        return {
            "loss": cross_entropy(outputs, targets, ignore_index=IGNORED, reduction="sum"),
            "confusion": _confusion(outputs.argmax(1), targets, outputs.shape[1]),
        }

    def finish(self, totals: Mapping[str, Tensor], images: int) -> dict[str, float]:
        """Returns the metrics after an epoch."""
        loss, confusion = totals["loss"], totals["confusion"]
        return {
            "loss": loss.item() / max(int(confusion.sum()), 1),
            "miou": _mean(_unions(confusion)),
            "pixel_accuracy": _share(confusion),
        }

    def predictions(self, outputs: Tensor) -> Tensor:
        """Returns probabilities [N, classes, H, W], the softmax of scores."""
        return outputs.float().softmax(1)

    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """Evaluates probabilities [N, classes, H, W] against the true classes [N, H, W].

        Pixels of all images count alike, and those of 255 do not count.

        Returns:
            - ``miou``: the mean over classes of intersection over union. Classes that neither the
              images nor the predictions have are left out.
            - ``loss``: mean cross entropy in nats.
            - ``pixel_accuracy``: the fraction of pixels whose most probable class is right.
            - ``per_class``: for each class, the intersection over union; None if it is left out.
            - ``chance``: the metrics of predicting the commonest class of these images everywhere.
        """
        import torch

        classes = predictions.shape[1]
        known = targets != IGNORED
        of_truth = predictions.gather(1, (targets * known)[:, None])[:, 0]
        smallest = torch.finfo(predictions.dtype).tiny
        loss = -of_truth.clamp(min=smallest).log().mul_(known).double().sum()
        confusion = _confusion(predictions.argmax(1), targets, classes)
        constant = torch.zeros_like(confusion)
        constant[:, confusion.sum(1).argmax()] = confusion.sum(1)
        return {
            "miou": _mean(_unions(confusion)),
            "loss": loss.item() / max(int(known.sum()), 1),
            "pixel_accuracy": _share(confusion),
            "per_class": _unions(confusion),
            "chance": {
                "miou": _mean(_unions(constant)),
                "pixel_accuracy": _share(constant),
            },
        }

    def pictures(
        self, images: NDArray[np.uint8], predictions: Tensor, targets: Tensor, names: Sequence[str]
    ) -> Sequence[Pictures]:
        """Returns images with their true and their predicted classes."""
        from nas.tasks.pictures import ROWS, plain, with_classes

        found = predictions[:ROWS].argmax(1).numpy()
        rows = zip(images, targets.numpy(), found, strict=False)
        return [
            {
                "image": plain(image),
                "truth": with_classes(image, truth),
                "prediction": with_classes(image, predicted),
            }
            for image, truth, predicted in rows
        ]


def _confusion(predicted: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Counts pixels, [classes, classes]: rows are true classes, columns predicted ones."""
    import torch

    # Ignored pixels go into a last bin: choosing the others, and bincount, wait for the device.
    pairs = torch.where(targets == IGNORED, classes**2, targets * classes + predicted)
    counts = pairs.new_zeros(classes**2 + 1)
    counts.scatter_add_(0, pairs.flatten(), torch.ones_like(pairs).flatten())
    return counts[:-1].view(classes, classes)


def _unions(confusion: Tensor) -> list[float | None]:
    """Returns the intersection over union of each class; None if it does not occur."""
    both = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - both
    return [b / u if u else None for b, u in zip(both.tolist(), union.tolist(), strict=True)]


def _mean(unions: list[float | None]) -> float:
    found = [each for each in unions if each is not None]
    return sum(found) / len(found) if found else 0.0


def _share(confusion: Tensor) -> float:
    """Returns the fraction of the pixels that are right."""
    return float(confusion.diagonal().sum()) / max(int(confusion.sum()), 1)


def _dice(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Returns 1 minus the Dice coefficient, mean over classes."""
    from torch.nn.functional import one_hot

    classes = probabilities.shape[1]
    known = (targets != IGNORED)[:, None]
    truth = one_hot(targets * known[:, 0], classes).movedim(-1, 1) * known
    axes = [0, *range(2, probabilities.ndim)]
    both = (probabilities * truth).sum(axes)
    each = (probabilities * known).sum(axes) + truth.sum(axes)
    return 1 - ((2 * both + 1) / (each + 1)).mean()
