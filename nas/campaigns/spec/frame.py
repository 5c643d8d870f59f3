"""What all networks of a campaign have in common: how they read images, and the task's head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.architecture.graph import Architecture
from nas.architecture.reading import Reading, read_shape, reading_network
from nas.classics import classic
from nas.errors import InputError
from nas.tasks import Task


@dataclass(frozen=True)
class Frame:
    """What stands before and behind every network of a space, and every classic.

    Attributes:
        input_shape: the shape of an image.
        outputs: the number of outputs of a backbone; for classification, the number of classes.
        task: the task, whose head stands behind; None if there is no head.
        reading: how the networks read an image.
    """

    input_shape: tuple[int, ...]
    outputs: int
    task: Task | None = None
    reading: Reading = "image"

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns the shape that backbones are built for.

        Raises :class:`InputError` if such images cannot be read in this way.
        """
        return read_shape(self.reading, self.input_shape)

    @property
    def is_empty(self) -> bool:
        """Whether :meth:`network` returns the backbone."""
        return self.reading == "image" and (self.task is None or not self.task.has_head)

    def check(self, classes: int) -> None:
        """Raises :class:`InputError` if the task needs images as they are."""
        if self.reading == "image" or self.task is None:
            return
        made = self.task.output_shape(self.input_shape, classes)
        if self.task.placed or len(made) > 1:
            raise InputError(
                f"the task {type(self.task).__name__} needs the places in an image, so only image "
                f"is allowed, got {self.reading}"
            )
        _ = self.shape

    def network(self, backbone: Architecture) -> Architecture:
        """Returns the network that is made of one of a space or a classic."""
        built = backbone if self.task is None else self.task.network(backbone, self.outputs)
        return reading_network(self.reading, self.input_shape, built)

    def classic(self, name: str, **options: Any) -> Architecture:
        """Returns the network that is made of a classic."""
        return self.network(classic(name, self.shape, self.outputs, **options))
