"""Data sets of one's own, in Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.errors import InputError
from nas.training.datasets.images import Images, Integers, Pixels, Resolution, with_test
from nas.user_code import load


def python(*, function: str, resolution: Resolution = None) -> Images:
    """Any map-style dataset: what has a length and, at each index, an image and its label.

    That is what ``torch.utils.data.Dataset`` asks for. An image is a Pillow image, or a uint8 (or
    float, from 0 to 1) array or tensor of [H, W], [C, H, W] or [H, W, C].

    Args:
        function: ``"file.py:name"`` or ``"module:name"`` of a function of no arguments that returns
            the dataset, or a pair: training and official test part.
        resolution: side of the images, in pixels; null: as they come.
    """
    _, make = load(function, function)
    made = make()
    parts = [_read(part, function) for part in (made if isinstance(made, tuple) else (made,))]
    if len({images.shape[1:] for images, _ in parts}) > 1:
        raise InputError(f"{function}: train and test images differ in shape")
    classes = max(int(labels.max(initial=0)) for _, labels in parts) + 1
    return with_test(parts, classes, resolution)


def _read(dataset: Any, where: str) -> tuple[Pixels, Integers]:
    try:
        items = [dataset[index] for index in range(len(dataset))]
        images = [_pixels(image) for image, _ in items]
        labels = np.array([int(label) for _, label in items], np.int64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: must return a dataset of pairs of an image and its label: {error}"
        ) from error
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise InputError(f"{where}: images differ in shape: {', '.join(map(str, sorted(shapes)))}")
    if labels.min(initial=0) < 0:
        raise InputError(f"{where}: holds label {labels.min()}; labels are whole numbers from 0")
    return np.stack(images), labels


def _pixels(image: Any) -> Pixels:
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if values.dtype != np.uint8:
        raise ValueError(f"an image is {values.dtype}")
    if values.ndim == 2:
        return values[None]
    if values.ndim != 3 or not {1, 3} & {values.shape[0], values.shape[2]}:
        raise ValueError(f"an image is of shape {values.shape}")
    return values if values.shape[0] in (1, 3) else values.transpose(2, 0, 1)
