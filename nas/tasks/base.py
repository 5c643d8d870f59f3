"""The interface between a task and everything that trains and compares networks.

The training loop, evaluation, augmentation, the evaluators, ``campaign.yaml`` and ``nas train`` ask
a :class:`Task` for the output shape of a network, its loss, and the metric to compare it by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from nas.errors import InputError
from nas.metrics import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from nas.architecture.graph import Architecture

Json = dict[str, Any]


class Task(ABC):
    """Defines what networks are trained for.

    A task of your own is a subclass in a file that ``campaign.yaml`` names, ``task: my.py:MyTask``;
    its options are the keyword-only arguments of its ``__init__``. Images have whole numbers as
    labels; :meth:`targets` turns them into what the loss compares outputs with.

    Attributes:
        metrics: the metrics that :meth:`evaluate` measures. The first one is the primary metric,
            whose direction decides which network is better. One metric must be named ``loss``.
        head: the kind of head that search spaces and classics give a network. The only kind is
            ``linear``, a linear layer whose number of outputs follows from :meth:`output_shape`.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    head: ClassVar[str] = "linear"

    @property
    def primary(self) -> Metric:
        """The metric by which networks are selected and ranked."""
        return self.metrics[0]

    @abstractmethod
    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns the shape of a network's output for one image.

        Args:
            input_shape: the shape of an image, (C, H, W).
            classes: the number of labels in the data set; they run from 0.
        """

    def outputs(self, input_shape: tuple[int, ...], classes: int) -> int:
        """Returns how many outputs the linear head of a space or a classic must have.

        Raises :class:`InputError` if the task's output is not a vector.
        """
        shape = self.output_shape(input_shape, classes)
        if len(shape) != 1:
            raise InputError(
                f"the task needs networks that return {shape}; spaces and classics end with a "
                "linear layer, which returns a vector"
            )
        return shape[0]

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Returns what the loss compares outputs with, by default the labels [N]."""
        return labels

    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """Returns float targets, one row per image, which mixup and cutmix may average.

        Raises :class:`InputError` if the task has no such targets, which is the default.
        """
        raise InputError(f"the task {type(self).__name__} has no targets that can be mixed")

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Returns the mean loss of a batch, a scalar to be minimised.

        Args:
            outputs: the network's outputs, float32, [N, *output_shape].
            targets: from :meth:`targets` or :meth:`soft_targets`.
            smoothing: ``label_smoothing`` of the recipe; 0 unless :attr:`smooths`.
        """

    smooths: ClassVar[bool] = False
    """Whether :meth:`loss` uses ``smoothing``. If not, a recipe with label smoothing is refused."""

    def training_loss(
        self, outputs: Tensor | tuple[Tensor, ...], targets: Tensor, smoothing: float, weight: float
    ) -> Tensor:
        """Returns the training loss: that of the main output plus ``weight`` times each head's.

        Args:
            outputs: the network's outputs in training mode. In a tuple, the first is the main
                output, and the others are those of auxiliary heads.
            targets: as for :meth:`loss`.
            smoothing: as for :meth:`loss`.
            weight: ``auxiliary_weight`` of the recipe.
        """
        main, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = self.loss(main.float(), targets, smoothing)
        for head in heads:
            loss = loss + weight * self.loss(head.float(), targets, smoothing)
        return loss

    @abstractmethod
    def tally(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Returns sums over the images of a batch by metric, for the validation after each epoch.

        ``loss`` and the primary metric must be among them. The sums stay on the device, and this
        method must not wait for it, as ``.item()`` would. :meth:`finish` turns the totals of all
        batches into metrics.
        """

    def finish(self, totals: Mapping[str, Tensor], images: int) -> dict[str, float]:
        """Returns the metrics after an epoch, by default each total divided by the images."""
        return {name: total.item() / images for name, total in totals.items()}

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """Turns outputs into predictions that may be averaged, such as probabilities."""

    def average(self, predictions: Sequence[Tensor]) -> Tensor:
        """Averages the predictions of several views of an image, or of several networks."""
        import torch

        return torch.stack(list(predictions)).mean(0)

    @abstractmethod
    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """Evaluates predictions: a number for each of :attr:`metrics`, and further details.

        Args:
            predictions: those of a whole part of the data set, on the CPU, averaged over views.
            targets: from :meth:`targets`, on the CPU.

        Returns plain JSON by name; details are values that are not single numbers.
        """

    def mistakes(self, predictions: Tensor, targets: Tensor) -> Tensor | None:
        """Returns a whole number per image, 0 if its prediction is right, for the records.

        They show how much of a difference is due to the choice of test images. The primary metric
        must be the fraction of zeros. By default there are none: None.
        """
        return None

    def concise(self, found: Json) -> Json:
        """Selects what campaigns record of an evaluation; by default all of it."""
        return found

    def check_recipe(self, label_smoothing: float) -> None:
        """Raises :class:`InputError` if the task cannot be trained with such a recipe."""
        if label_smoothing and not self.smooths:
            raise InputError(
                f"the task {type(self).__name__} has none; allowed: 0, got {label_smoothing}",
                "label_smoothing",
            )

    def check_fit(
        self, architecture: Architecture, input_shape: tuple[int, ...], classes: int
    ) -> None:
        """Raises :class:`InputError` unless the architecture has the right input and output."""
        if architecture.input_shape != input_shape:
            raise InputError(
                f"the architecture takes {architecture.input_shape} images, the data set has "
                f"{input_shape} ones (channels, height, width)"
            )
        expected = self.output_shape(input_shape, classes)
        if architecture.output_shape != expected:
            raise InputError(
                f"the architecture returns {architecture.output_shape}, "
                f"{self.needs(expected, classes)}"
            )
        for head in architecture.outputs[1:]:
            if architecture.shapes[head] != architecture.output_shape:
                raise InputError(
                    f"auxiliary head {head!r} returns {architecture.shapes[head]}, the main output "
                    f"{architecture.output_shape}: they must be alike"
                )

    def needs(self, expected: tuple[int, ...], classes: int) -> str:
        """Returns the end of a message about an architecture with another output shape."""
        return f"the task {type(self).__name__} needs {expected}"
