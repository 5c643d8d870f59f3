"""Multi-label classification: every image belongs to any number of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.metrics import Metric
from nas.tasks.base import Joint, Json

if TYPE_CHECKING:
    from torch import Tensor

# torch is imported in the methods that need it, so that reading a campaign does not load it.


class MultiLabel(Joint):
    """A network returns a score per class; predictions are probabilities, by the sigmoid of each.

    The loss is binary cross entropy in nats; the primary metric is the mean average precision.
    """

    metrics = (
        Metric(
            name="average_precision", direction="maximize", unit="fraction",
            words="mean average precision", title="mAP",
            meaning="average precision, mean over the classes",
        ),
        Metric(
            name="loss", direction="minimize", unit="nats",
            meaning="mean binary cross entropy of a class in nats",
        ),
        Metric(
            name="macro_f1", direction="maximize", unit="fraction", words="macro F1",
            title="macro F1", meaning="F1 at a probability of 0.5, mean over the classes",
        ),
    )  # fmt: skip
    labels = "tags"
    output = "tags"

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns (classes,), for one score per class."""
        return (classes,)

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Returns 1 for the classes of an image and 0 for others, float32 [N, classes]."""
        return labels.float()

    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """Returns the targets, which may be averaged."""
        return labels.float()

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Returns the mean binary cross entropy in nats of scores [N, classes]."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs, targets)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Returns probabilities [N, classes], the sigmoid of scores."""
        return outputs.float().sigmoid()

    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """Evaluates probabilities [N, classes] against the classes of the images, of 0 and 1.

        Means are over the classes that some image has.

        Returns the metrics; ``per_class``, the average precision of each class, None if no image
        has it; and ``chance``: the metrics of a random order, and of predicting every class.
        """
        import torch
        from torch.nn.functional import binary_cross_entropy

        precisions = [
            _average_precision(*pair) for pair in zip(predictions.T, targets.T, strict=True)
        ]
        occur = targets.any(0)
        shares = targets[:, occur].double().mean(0)
        right = ((predictions > 0.5) & targets.bool()).sum(0)
        f1 = 2 * right / ((predictions > 0.5).sum(0) + targets.sum(0)).clamp(min=1)
        return {
            "average_precision": torch.tensor(
                [each for each in precisions if each is not None], dtype=torch.float64
            ).mean().item(),
            "loss": binary_cross_entropy(predictions.double(), targets.double()).item(),
            "macro_f1": f1[occur].double().mean().item(),
            "per_class": precisions,
            "chance": {
                "average_precision": shares.mean().item(),
                "macro_f1": (2 * shares / (1 + shares)).mean().item(),
            },
        }  # fmt: skip


def _average_precision(probabilities: Tensor, truth: Tensor) -> float | None:
    """Returns the mean of the precisions at the images of a class; None if there are none.

    Images that are equally probable are taken together, as by scikit-learn.
    """
    import torch

    order, of_class = probabilities.sort().values, probabilities[truth > 0].sort().values
    if not len(of_class):
        return None
    found, right = (
        len(each) - torch.searchsorted(each, of_class).double() for each in (order, of_class)
    )
    return (right / found).mean().item()
