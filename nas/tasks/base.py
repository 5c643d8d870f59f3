"""The interface between a task and everything that trains and compares networks.

The training loop, evaluation, augmentation, the evaluators, ``campaign.yaml`` and ``nas train`` ask
a :class:`Task` for the output shape of a network, its loss, and the metric to compare it by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nas.errors import InputError
from nas.metrics import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor, nn

    from nas.architecture.graph import Architecture
    from nas.tasks.pictures import Pictures

Json = dict[str, Any]

Labels = Literal["classes", "masks", "tags", "values", "boxes", "images"]
"""What a data set has for each image.

- ``classes``: the number of its class, int64 [N].
- ``masks``: a class for each of its pixels, uint8 [N, H, W]; pixels of 255 have none.
- ``tags``: 1 for each of its classes and 0 for others, uint8 [N, K].
- ``values``: numbers, float32 [N, K].
- ``boxes``: x and y of two corners in pixels, and the class of each object, float32 [N, M, 5]. Rows
  that an image does not need have the class -1; so has the last one, around the whole image.
- ``images``: the images themselves, whatever the data set has; only tasks name this one.
"""

IGNORED = 255
"""The value of pixels in a mask that have no class."""

Output = Literal["probabilities", "tags", "masks", "images", "boxes", "scores"]
"""What predictions are: probabilities of a class, of several classes each on its own, or of a class
for each pixel; pixels; boxes with probabilities; or others."""

_LABELS: dict[Labels, str] = {
    "classes": "one class per image",
    "masks": "masks, a class per pixel",
    "tags": "any number of classes per image",
    "values": "numbers as labels",
    "boxes": "boxes around objects",
    "images": "images",
}


class Task(ABC):
    """Defines what networks are trained for.

    A task of your own is a subclass in a file that ``campaign.yaml`` names, ``task: my.py:MyTask``;
    its options are the keyword-only arguments of its ``__init__``. :meth:`targets` turns the labels
    of the data set into what the loss compares outputs with.

    Attributes:
        metrics: the metrics that :meth:`evaluate` measures. The first one is the primary metric,
            whose direction decides which network is better. One metric must be named ``loss``.
        labels: the labels that the data set must have.
        placed: whether labels belong to places in the image, so that they move with it.
        output: what predictions are. A subclass with its own :meth:`predictions` has "scores"
            unless it says so.
        nms: if predictions are boxes, the overlap from which on the less probable of two boxes of
            a class is left out.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    labels: ClassVar[Labels] = "classes"
    placed: ClassVar[bool] = False
    output: ClassVar[Output] = "scores"
    nms: float | None = None

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "predictions" in cls.__dict__ and "output" not in cls.__dict__:
            cls.output = "scores"

    @property
    def primary(self) -> Metric:
        """The metric by which networks are selected and ranked."""
        return self.metrics[0]

    @abstractmethod
    def output_shape(self, input_shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Returns the shape of a network's output for one image.

        Args:
            input_shape: the shape of an image, (C, H, W).
            classes: the number of classes in the data set, which run from 0, or of values per
                image.
        """

    def outputs(self, input_shape: tuple[int, ...], classes: int) -> int:
        """Returns how many outputs the networks of spaces and classics must have.

        It is the length of the output. A task whose output is not a vector overrides this, and
        :meth:`network`, which then replaces the head of those networks.

        Raises :class:`InputError` if the task's output is not a vector.
        """
        shape = self.output_shape(input_shape, classes)
        if len(shape) != 1:
            raise InputError(
                f"the task needs networks that return {shape}; spaces and classics end with a "
                "linear layer, which returns a vector: the task must define outputs and network"
            )
        return shape[0]

    def network(self, backbone: Architecture, outputs: int) -> Architecture:
        """Returns the network for this task that is made of one of a space or a classic.

        Args:
            backbone: a network that ends in a vector.
            outputs: the length of this vector, from :meth:`outputs`.

        By default, it is the backbone itself.
        """
        return backbone

    @property
    def has_head(self) -> bool:
        """Whether :meth:`network` makes another network of its backbone."""
        return type(self).network is not Task.network

    def check_labels(self, labels: Labels) -> None:
        """Raises :class:`InputError` unless the data set has the labels that the task needs."""
        if self.labels not in (labels, "images"):
            raise InputError(
                f"the task {type(self).__name__} needs {_LABELS[self.labels]}, the data set has "
                f"{_LABELS[labels]}"
            )

    def check_parts(self, parts: Mapping[Any, NDArray[Any]]) -> None:
        """Raises :class:`InputError` if the task cannot be trained and tested with such parts.

        Args:
            parts: the labels of the parts, which have the right kind, by ``train``, ``validation``
                and ``test``.

        By default, a validation or test part whose classes are all unknown to the training part is
        refused.
        """
        if self.labels == "classes":
            for role in ("validation", "test"):
                known = parts[role][parts[role] >= 0]
                if len(known) and not set(known.tolist()) & set(parts["train"].tolist()):
                    raise InputError(
                        f"the {role} part has no class of the training part, which the task "
                        f"{type(self).__name__} needs"
                    )

    def check_protocol(self, protocol: str) -> None:
        """Raises :class:`InputError` if predictions of several views cannot be averaged."""
        if self.placed and protocol != "single":
            raise InputError(
                f"the outputs of the task {type(self).__name__} belong to places in the image, so "
                f"several views cannot be averaged; allowed: single, got {protocol}"
            )

    def order(
        self, labels: NDArray[Any], bounds: Sequence[tuple[int, int]], generator: Generator
    ) -> Tensor:
        """Draws the order of the training images in an epoch, by default a permutation.

        Args:
            labels: the labels of the training images.
            bounds: the bounds (first, last + 1) of the batches in this order.
            generator: the source of randomness, on the device of the training.

        Returns as many positions of images as there are images, int64, on that device.
        """
        import torch

        return torch.randperm(len(labels), generator=generator, device=generator.device)

    def start(
        self, architecture: Architecture, labels: NDArray[Any]
    ) -> Mapping[str, Callable[[nn.Module], None]]:
        """Returns what prepares initial weights for the training, by the names of the layers.

        It also prepares weights that networks share. By default, no weights change.

        Args:
            architecture: the network.
            labels: the labels of the training images.
        """
        return {}

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Returns what the loss compares outputs with, by default the labels."""
        return labels

    def truth(self, images: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Returns the targets of a batch: those of the images themselves if they are the labels."""
        return self.targets(images if self.labels == "images" else labels, classes)

    def inputs(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns what a network sees of a batch of pixels, from 0 to 255; by default all."""
        return images

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

    def total(self, tallies: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Adds up what :meth:`tally` returned for the batches of a part."""
        first, *others = tallies
        return {name: sum((each[name] for each in others), value) for name, value in first.items()}

    def finish(self, totals: Mapping[str, Tensor], images: int) -> dict[str, float]:
        """Returns the metrics after an epoch, by default each total divided by the images."""
        return {name: total.item() / images for name, total in totals.items()}

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """Turns outputs into predictions that may be averaged, such as probabilities."""

    @property
    def is_softmax(self) -> bool:
        """Whether predictions are the softmax of outputs over the channels."""
        return self.output in ("probabilities", "masks")

    def check_calibrated(self) -> None:
        """Raises :class:`InputError` if outputs are not scores that may have a temperature."""
        if not self.is_softmax or "loss" not in {metric.name for metric in self.metrics}:
            raise InputError(
                f"the task {type(self).__name__} cannot be calibrated: its predictions must be a "
                "softmax, and loss one of its metrics; allowed: false, got true"
            )

    def ensemble(self, members: Sequence[Architecture]) -> Architecture:
        """Returns the network whose predictions are the average of its members' predictions.

        Raises :class:`InputError` if no network has them as its outputs' predictions.
        """
        from nas.architecture.surgery import ensemble

        if not self.is_softmax and type(self).predictions is not Task.predictions:
            raise InputError(
                f"task {type(self).__name__}: an average of its predictions is not made by one "
                "network; use the members"
            )
        return ensemble(members, softmax=self.is_softmax)

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

    def pictures(
        self, images: NDArray[np.uint8], predictions: Tensor, targets: Tensor, names: Sequence[str]
    ) -> Sequence[Pictures]:
        """Returns pictures for the report: of a few images, what is true and what is predicted.

        Args:
            images: some test images, uint8 [N, C, H, W].
            predictions: those of a trained network for these images.
            targets: from :meth:`targets`.
            names: the names of the classes.

        Each item holds the pictures of one image, by their titles. By default there are none.
        """
        return []

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


class Joint(Task):
    """A task whose metrics are of all images of a part together, such as an area under a curve.

    They are no means over images, so the predictions of all batches are kept and evaluated at once.
    """

    def tally(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Returns the predictions of a batch and its targets."""
        return {"predictions": self.predictions(outputs), "targets": targets}

    def total(self, tallies: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Joins the predictions and the targets of all batches."""
        import torch

        return {name: torch.cat([each[name] for each in tallies]) for name in tallies[0]}

    def finish(self, totals: Mapping[str, Tensor], images: int) -> dict[str, float]:
        """Returns the loss and the primary metric of all images."""
        found = self.evaluate(totals["predictions"].cpu(), totals["targets"].cpu())
        return {name: found[name] for name in ("loss", self.primary.name)}
