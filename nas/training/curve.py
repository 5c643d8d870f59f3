"""The learning curve of a training."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import nn

from nas.training.precision import Precision

_PART = "validation_"


class Diverged(ArithmeticError):
    """The loss is not finite any more; the message names the epoch."""


@dataclass(frozen=True)
class Epoch:
    """One point of the learning curve.

    Attributes:
        epoch: the number of the epoch, from 1.
        train_loss: the mean loss that was minimised: on augmented images, with label smoothing, in
            training mode, while the weights changed.
        validation: the task's metrics on the validation images, ``loss`` and the primary one
            among them.
        train_seconds: the training time of this epoch.
        evaluation_seconds: the evaluation time of this epoch.
        more: what only some trainings record, plain JSON by name.
    """

    epoch: int
    train_loss: float
    validation: Mapping[str, float]
    train_seconds: float
    evaluation_seconds: float
    more: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Returns the point as records and checkpoints hold it: ``validation_loss`` and so on."""
        return {
            "epoch": self.epoch,
            "train_loss": self.train_loss,
            **{f"{_PART}{name}": value for name, value in self.validation.items()},
            "train_seconds": self.train_seconds,
            "evaluation_seconds": self.evaluation_seconds,
            **self.more,
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Epoch":
        """Reads a point from the form of :meth:`record`."""
        validation = {n.removeprefix(_PART): v for n, v in record.items() if n.startswith(_PART)}
        rest = {name: value for name, value in record.items() if not name.startswith(_PART)}
        known = {each.name: rest.pop(each.name) for each in fields(cls) if each.name in rest}
        return cls(validation=validation, more=rest, **known)


@dataclass(frozen=True)
class TrainResult:
    """A trained network (on the device) and its learning curve.

    ``network`` holds the averaged weights if the recipe averages them, and those after the epoch
    ``kept``. ``precision`` is the one that was used on this device.
    """

    network: nn.Module
    curve: tuple[Epoch, ...]
    kept: Epoch
    precision: Precision

    @property
    def train_seconds(self) -> float:
        """The seconds spent in training steps, without evaluation."""
        return sum(epoch.train_seconds for epoch in self.curve)

    @property
    def evaluation_seconds(self) -> float:
        """The seconds spent in the evaluations after each epoch."""
        return sum(epoch.evaluation_seconds for epoch in self.curve)
