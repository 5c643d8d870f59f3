"""Applies the transformations of a recipe to batches, and moves labels with their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Generator, Tensor

from nas.configuration import Named
from nas.errors import InputError
from nas.tasks.base import IGNORED, Task
from nas.training.augmentation import COLOURS, MIXTURES, TRANSFORMATIONS, Moved

MOVES: dict[str, tuple[str, ...]] = {
    "masks": ("shift", "flip"),
    "boxes": ("shift", "flip", "resized_crop"),
}
"""The transformations with which labels move, by their kind: masks as pixels that do not change,
and boxes as long as they stay upright."""

_LEFT = 0.25
"""A box is left out if less than this share of it is left in the image."""


class Pipeline:
    """Applies the transformations of a recipe in order.

    Args:
        steps: the checked names and options.
        task: the task, which turns labels into targets.
        classes: the number of classes.
    """

    def __init__(self, steps: Sequence[Named], task: Task, classes: int) -> None:
        self._task = task
        self._classes = classes
        self._steps: list[tuple[bool, Callable[..., Tensor]]] = []
        self._mixtures: list[Callable[..., tuple[Tensor, Tensor]]] = []
        for step in steps:
            function = partial(TRANSFORMATIONS[step.name], **step.options)
            moves = task.placed and task.labels != "images" and step.name not in COLOURS
            if moves and step.name not in (known := MOVES.get(task.labels, ())):
                allowed = (*known, *COLOURS)
                raise InputError(
                    f"{step.name} cannot move the targets of the task {type(task).__name__} with "
                    f"the image; allowed: {', '.join(allowed)}"
                )
            if step.name in MIXTURES:
                self._mixtures.append(function)
            else:
                self._steps.append((moves, function))

    def __call__(
        self, images: Tensor, labels: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Returns the transformed batch and its targets, which are soft if images were mixed."""
        for moves, step in self._steps:
            if moves:
                moving = _with_masks if self._task.labels == "masks" else _with_boxes
                images, labels = moving(step, images, labels, generator)
            else:
                images = step(images, generator)
        if not self._mixtures:
            return images, self._task.truth(images, labels, self._classes)
        targets = self._task.soft_targets(labels, self._classes)
        for mixture in self._mixtures:
            images, targets = mixture(images, targets, generator)
        return images, targets


def _with_masks(
    step: Callable[..., Tensor], images: Tensor, masks: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Moves masks as a further channel of their images; pixels from outside are ignored."""
    # What comes from outside is 0, and IGNORED is the largest value.
    moved = step(torch.cat([images, (IGNORED - masks)[:, None]], 1), generator)
    return moved[:, :-1], IGNORED - moved[:, -1].to(masks.dtype)


def _with_boxes(
    step: Callable[..., Tensor], images: Tensor, boxes: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Moves boxes [N, M, 5] with their images; those that leave them get the class -1.

    Rows that are no boxes stay as they are.
    """
    moved: Moved = []
    images = step(images, generator, moved)
    sides, cuts = [], []
    for axis, (factor, offset) in enumerate(moved):
        ends = boxes[..., [axis, axis + 2]] * factor[:, None, None] + offset[:, None, None]
        sides.append(ends.sort(2).values)
        cuts.append(sides[-1].clamp(0, images.shape[3 - axis]))
    whole, cut = torch.stack(sides, 3), torch.stack(cuts, 3)  # [N, M, corner, axis]
    share = (cut[:, :, 1] - cut[:, :, 0]).prod(2) / (whole[:, :, 1] - whole[:, :, 0]).prod(2)
    classes = torch.where(share >= _LEFT, boxes[..., 4], -1.0)
    boxes = torch.where(
        boxes[..., 4:] < 0, boxes, torch.cat([cut.flatten(2), classes[..., None]], 2)
    )
    return images, boxes
