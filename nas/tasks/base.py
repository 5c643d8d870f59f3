"""The seam between what networks are trained for and everything that trains and compares them.

The training loop, evaluation, augmentation, the evaluators, ``campaign.yaml`` and ``nas train`` ask
a :class:`Task` what a network has to return, how wrong it is, and which number says how good it is.
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
    """What networks are trained for.

    A task of your own is a subclass in a file that ``campaign.yaml`` names, ``task: my.py:MyTask``;
    its options are the keyword-only arguments of its ``__init__``. Images have whole numbers as
    labels; :meth:`targets` makes of them what the loss compares outputs with.

    Attributes:
        metrics: what :meth:`evaluate` measures, the primary metric first: its direction decides
            which network is better. A metric named ``loss`` is among them.
        head: the kind of last layers that search spaces and classics give a network. ``linear``,
            the only one, is a linear layer with as many outputs as :meth:`output_shape` says.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    head: ClassVar[str] = "linear"

    @property
    def primary(self) -> Metric:
        """The metric that networks are selected and ranked by."""
        return self.metrics[0]

    @abstractmethod
    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """The shape of what a network returns for one image.

        Args:
            input_shape: of an image, (C, H, W).
            classes: how many labels the data set has; they run from 0.
        """

    def outputs(self, input_shape: tuple[int, ...], classes: int) -> int:
        """How many outputs the linear head of a space or a classic must have.

        Raises :class:`InputError` where the task's output is no vector.
        """
        shape = self.output_shape(input_shape, classes)
        if len(shape) != 1:
            raise InputError(
                f"the task needs networks that return {shape}; spaces and classics end with a "
                "linear layer, which returns a vector"
            )
        return shape[0]

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """What the loss compares outputs with, one row per image: by default the labels [N]."""
        return labels

    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """Targets that may be averaged, as mixup and cutmix do; float, one row per image.

        Raises :class:`InputError` where the task has none, as by default.
        """
        raise InputError(f"the task {type(self).__name__} has no targets that can be mixed")

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """The mean loss of a batch, a scalar to be minimised.

        Args:
            outputs: what the network returned, float32, [N, *output_shape].
            targets: from :meth:`targets` or :meth:`soft_targets`.
            smoothing: ``label_smoothing`` of the recipe; 0 unless :attr:`smooths`.
        """

    smooths: ClassVar[bool] = False
    """Whether :meth:`loss` heeds ``smoothing``. If not, a recipe that asks for it is refused."""

    def training_loss(
        self, outputs: Tensor | tuple[Tensor, ...], targets: Tensor, smoothing: float, weight: float
    ) -> Tensor:
        """The loss that training minimises: the main output's, and ``weight`` times each head's.

        Args:
            outputs: what the network returned in training; of a tuple, the first is the main
                output, the others are those of auxiliary heads.
            targets: as of :meth:`loss`.
            smoothing: as of :meth:`loss`.
            weight: ``auxiliary_weight`` of the recipe.
        """
        main, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = self.loss(main.float(), targets, smoothing)
        for head in heads:
            loss = loss + weight * self.loss(head.float(), targets, smoothing)
        return loss

    @abstractmethod
    def tally(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """What validation after each epoch adds up over batches: by metric, a sum over images.

        ``loss`` and the primary metric must be there. The sums stay on the device: nothing here
        may wait for it, as ``.item()`` does. :meth:`finish` makes metrics of the totals.
        """

    def finish(self, totals: Mapping[str, Tensor], images: int) -> dict[str, float]:
        """The metrics after an epoch: by default each total over the number of images."""
        return {name: total.item() / images for name, total in totals.items()}

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """What is measured: outputs as quantities that may be averaged, such as probabilities."""

    def average(self, predictions: Sequence[Tensor]) -> Tensor:
        """The joint prediction of several views of an image, or of several networks: the mean."""
        import torch

        return torch.stack(list(predictions)).mean(0)

    @abstractmethod
    def evaluate(self, predictions: Tensor, targets: Tensor) -> Json:
        """How good predictions are: a number for each of :attr:`metrics`, and any details.

        Args:
            predictions: of a whole part of the data set, on the CPU, averaged over views.
            targets: from :meth:`targets`, on the CPU.

        Returns plain JSON by name; details are what is no single number.
        """

    def concise(self, found: Json) -> Json:
        """What campaigns record of :meth:`evaluate`: by default all of it."""
        return found

    def check_recipe(self, label_smoothing: float) -> None:
        """:class:`InputError` where the task cannot be trained by such a recipe."""
        if label_smoothing and not self.smooths:
            raise InputError(
                f"label_smoothing: the task {type(self).__name__} has none; allowed: 0, got "
                f"{label_smoothing}"
            )

    def check_fit(
        self, architecture: Architecture, input_shape: tuple[int, ...], classes: int
    ) -> None:
        """:class:`InputError` unless the architecture takes such images and returns an answer."""
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
        """The end of a message about an architecture that returns another shape."""
        return f"the task {type(self).__name__} needs {expected}"
