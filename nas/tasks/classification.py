"""Classification: every image belongs to one of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.metrics import CLASSIFICATION
from nas.tasks.base import Json, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from nas.tasks.pictures import Pictures

# torch is imported in the methods that need it, so that reading a campaign does not load it.

CALIBRATION_BINS = 15
DETAILED = 20
"""With more classes, campaigns do not record the accuracy of each class and the confusion matrix.
For 20 classes these take 1.6 kB, for 100 classes they would take 32 kB."""
_MATRIX = 1_000
"""With more classes, there is no confusion matrix: it grows with the square of their number."""


class Classification(Task):
    """A network returns a score per class; predictions are probabilities, by softmax.

    The loss is cross entropy in nats; the primary metric is accuracy.
    """

    metrics = CLASSIFICATION
    smooths = True
    output = "probabilities"

    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns (classes,), for one score per class."""
        return (classes,)

    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """Returns [N, classes] with probability 1 for the true class."""
        from torch.nn.functional import one_hot

        return one_hot(labels, classes).float()

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Returns the mean cross entropy in nats of scores [N, classes].

        Targets are classes [N] or probabilities [N, classes]; ``smoothing`` is spread evenly over
        the classes (Szegedy et al. 2016, section 7).
        """
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, label_smoothing=smoothing)

    def tally(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Sums cross entropies and correct predictions."""
        from torch.nn.functional import cross_entropy

        return {
            "loss": cross_entropy(outputs, targets, reduction="sum"),
            "accuracy": (outputs.argmax(1) == targets).sum(),
        }

    def predictions(self, outputs: Tensor) -> Tensor:
        """Returns probabilities [N, classes], the softmax of scores."""
        return outputs.float().softmax(1)

    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """Evaluates probabilities [N, classes] against the true classes [N].

        Returns:
            - ``loss``: mean cross entropy in nats.
            - ``accuracy``: the fraction of images whose most probable class is right (top-1).
            - ``top5``: the fraction whose true class is among the five most probable; 1 for up to
              5 classes.
            - ``per_class``: for each class, the fraction of its images that are right; None if it
              has no images.
            - ``confusion``: counts; rows are true classes, columns predicted ones; left out above
              1,000 classes.
            - ``calibration_error``: expected calibration error (Guo et al. 2017, arXiv:1706.04599,
              eq. 5) of the most probable class, in 15 equal bins.
            - ``reliability``: for each bin, the number of its images, how many are right, and the
              sum of their confidences.
        """
        import torch

        n, classes = predictions.shape
        confidence, predicted = predictions.max(1)
        right = predicted == targets
        sizes = torch.bincount(targets, minlength=classes).tolist()
        hits = torch.bincount(targets[right], minlength=classes).tolist()
        of_truth = predictions[torch.arange(n, device=targets.device), targets]
        top5 = predictions.topk(min(5, classes)).indices.eq(targets[:, None]).any(1)
        bins = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
        each = torch.stack([torch.ones_like(right), right, confidence.double()], 1).double()
        reliability = each.new_zeros(CALIBRATION_BINS, 3).index_add_(0, bins, each)
        gaps = reliability[:, 1] - reliability[:, 2]
        found: Json = {
            "loss": -of_truth.clamp(min=torch.finfo(of_truth.dtype).tiny).log().mean().item(),
            "accuracy": right.double().mean().item(),
            "top5": top5.double().mean().item(),
            "per_class": [h / s if s else None for h, s in zip(hits, sizes, strict=True)],
            "calibration_error": (gaps.abs().sum() / n).item(),
            "reliability": reliability.tolist(),
        }
        if classes <= _MATRIX:
            counts = torch.bincount(targets * classes + predicted, minlength=classes**2)
            found["confusion"] = counts.view(classes, classes).tolist()
        return found

    def mistakes(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Returns how far the predicted class is behind the true one, going round the classes.

        So the predicted classes can be told from the labels.
        """
        return (predictions.argmax(1) - targets) % predictions.shape[1]

    def pictures(
        self, images: NDArray[np.uint8], predictions: Tensor, targets: Tensor, names: Sequence[str]
    ) -> Sequence[Pictures]:
        """Returns images that are misclassified, the most probable mistakes first."""
        from nas.tasks.pictures import WRONG, plain

        confidence, predicted = predictions.max(1)
        order = (confidence * (predicted != targets)).argsort(descending=True, stable=True)
        return [
            {f"{names[int(targets[i])]}, taken for {names[int(predicted[i])]}": plain(images[i])}
            for i in order[:WRONG].tolist()
            if predicted[i] != targets[i]
        ]

    def concise(self, found: Json) -> Json:
        """Leaves out ``top5`` if there are five classes or fewer, and long details.

        ``per_class`` and ``confusion`` are left out above :data:`DETAILED` classes.
        """
        classes = len(found["per_class"])
        left_out = {"top5"} if classes <= 5 else set()
        if classes > DETAILED:
            left_out |= {"per_class", "confusion"}
        return {name: value for name, value in found.items() if name not in left_out}

    def needs(self, expected: tuple[int, ...], classes: int) -> str:
        """The end of a message about an architecture that returns another shape."""
        return f"the data set has {classes} classes"
