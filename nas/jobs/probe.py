"""Looks at a data set by its pixels, and trains networks for seconds to see what suits it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nas.architecture.graph import Architecture
from nas.architecture.network import compile
from nas.tasks import Task
from nas.training.curve import Epoch
from nas.training.data import Part, SearchData
from nas.training.datasets.stored import Inputs
from nas.training.deadline import Deadline
from nas.training.loop import Trainer
from nas.training.recipe import Recipe

SMOOTH = 0.5
"""The smoothness from which images are taken for pictures."""

_ALIKE = 0.2
"""The largest correlation of channels that are alike, and how far apart their means, as a share of
the deviation, and their deviations may be."""

_EPOCHS = 10_000
"""More epochs than a probe has time for."""


def smoothness(images: Inputs) -> float:
    """Returns the correlation of neighbouring values of [N, C, ...], about 0.9 for photographs.

    The values of a board or of letters have little to do with their neighbours.
    """
    values = images.astype(np.float32)
    sides = range(2, values.ndim)
    values -= values.mean((0, *sides), keepdims=True)
    variance = float(np.square(values).mean())
    if not variance:
        return 0.0
    turned = [np.moveaxis(values, side, -1) for side in sides if values.shape[side] > 1]
    along = [np.mean(each[..., 1:] * each[..., :-1]) for each in turned]
    return float(np.mean(along or [0.0])) / variance


def alike(images: Inputs) -> bool:
    """Tells if the channels of images [N, C, H, W] are like draws of one kind of picture.

    They have about the same mean and deviation then, and do not correlate, unlike the colours of a
    photograph.
    """
    if images.ndim != 4 or images.shape[1] == 1:
        return False
    values = np.moveaxis(images.astype(np.float32), 1, 0)
    means, deviations = values.mean((1, 2, 3)), values.std((1, 2, 3))
    if deviations.max() > (1 + _ALIKE) * deviations.min():
        return False
    if np.ptp(means) > _ALIKE * deviations.min():
        return False
    # What all images have in common, such as a dark edge, correlates in any case.
    rest = (values - values.mean(1, keepdims=True)).reshape(len(values), -1)
    if not rest.any(1).all():
        return False
    correlations = np.corrcoef(rest, dtype=np.float32) - np.eye(len(rest))
    return bool(np.abs(correlations).max() <= _ALIKE)


class Probe(NamedTuple):
    """What a short training has shown.

    Attributes:
        score: the task's primary metric on the validation images; higher is better.
        speed: multiply-accumulates of forward passes that were trained per second, without the
            first step.
        macs: those of one image.
    """

    score: float
    speed: float
    macs: int


def probe(
    architecture: Architecture,
    images: SearchData,
    recipe: Recipe,
    task: Task,
    seconds: float,
    device: str,
) -> Probe:
    """Trains a network for so many seconds, with a schedule of this length.

    Before these seconds, another copy of it makes a step, because libraries choose and compile
    their kernels in it.

    Args:
        architecture: the network.
        images: the data set.
        recipe: the recipe, whose epochs do not count.
        task: the task.
        seconds: the time of training and evaluation.
        device: a torch device.

    Raises :class:`nas.training.curve.Diverged` if the loss is not finite.
    """
    how = recipe.model_copy(update={"epochs": _EPOCHS, "warmup_epochs": 0.0})

    def trained(data: SearchData, until: Deadline, epochs: int) -> tuple[Epoch, ...]:
        made = Trainer(
            lambda: compile(architecture), data, how, 0, device, task=task, deadline=until
        )
        return made.run(epochs).curve

    batch = np.arange(min(recipe.batch_size, len(images.train.labels)))
    few = Part(images.train.images[batch], images.train.labels[batch])
    trained(replace(images, train=few, validation=few), Deadline(), 1)
    until = Deadline(time.time() + seconds, len(images.validation.labels))
    curve = trained(images, until, _EPOCHS)
    score = -task.primary.flipped(curve[-1].validation[task.primary.name])
    macs = architecture.cost.macs
    return Probe(score, macs * until.speed, macs)
