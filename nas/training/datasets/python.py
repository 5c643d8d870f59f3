"""Reads data sets that a user's Python function returns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.registry import load
from nas.training.datasets.images import Images, Resolution, resize
from nas.training.datasets.stored import MEMORY_GB, Gigabytes, Pixels, Stored, fits

_ROUNDING = 1e-3
"""How far floats may lie outside of 0 to 1; it is less than one step of uint8."""


def python(
    *, function: str, resolution: Resolution = None, memory_gb: Gigabytes = MEMORY_GB
) -> Images:
    """Any map-style dataset, which has a length and, at each index, an image and its label.

    This is the interface of ``torch.utils.data.Dataset``. An image is a Pillow image, or an array
    or tensor of [H, W], [C, H, W] or [H, W, C] in uint8, or in float from 0 to 1 (as from
    ``ToTensor``).

    Args:
        function: ``"file.py:name"`` or ``"module:name"`` of a function without arguments that
            returns the dataset, or a pair of the training part and the official test part.
        resolution: the side of the images in pixels; null keeps their size.
        memory_gb: if the images need more memory than this, in 10^9 bytes, each is read whenever
            it is needed. Labels are kept in memory, so the whole dataset is read once first.
    """
    return as_images(load(function, function)(), function, resolution, memory_gb)


def as_images(
    made: Any, function: str, resolution: Resolution = None, memory_gb: float = MEMORY_GB
) -> Images:
    """The images of what a user's function has returned; the arguments are those of :func:`python`.

    Raises :class:`InputError`, which begins with the function's name, where it is no dataset.
    """
    if isinstance(made, Images):
        return made
    datasets = made if isinstance(made, tuple) else (made,)
    try:
        return _images(datasets, function, resolution, memory_gb)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{function}: must return a dataset of pairs of an image and its label: {error}"
        ) from error


def _images(
    datasets: Sequence[Any], where: str, resolution: int | None, memory_gb: float
) -> Images:
    sizes = [len(dataset) for dataset in datasets]
    if 0 in sizes:
        raise InputError(f"{where}: must return a dataset of pairs of an image and its label: "
                         "it is empty")  # fmt: skip
    first = _pixels(datasets[0][0][0])
    shape = first.shape if resolution is None else (len(first), resolution, resolution)
    in_memory = fits(sum(sizes), shape, memory_gb)
    images: list[Pixels] = []
    labels: list[int] = []
    for dataset, size in zip(datasets, sizes, strict=True):
        for index in range(size):
            image, label = dataset[index]
            pixels = _pixels(image)
            if pixels.shape != first.shape:
                shapes = sorted({str(pixels.shape), str(first.shape)})
                raise InputError(f"{where}: images differ in shape: {', '.join(shapes)}")
            images += [pixels] if in_memory else []
            labels.append(int(label))
    classes, least = max(labels) + 1, min(labels)
    if least < 0:
        raise InputError(f"{where}: holds label {least}; labels are whole numbers from 0")
    held = (
        resize(np.stack(images), resolution)
        if in_memory
        else Stored(partial(_read, datasets, resolution), np.arange(sum(sizes)), shape)
    )
    return Images(held, np.array(labels, np.int64), classes, sum(sizes[1:]), streamed=not in_memory)


def _read(datasets: Sequence[Any], resolution: int | None, position: int) -> Pixels:
    index = position
    for dataset in datasets:
        if index < len(dataset):
            pixels: Pixels = resize(_pixels(dataset[index][0])[None], resolution)[0]
            return pixels
        index -= len(dataset)
    raise IndexError(position)


def _pixels(image: Any) -> Pixels:
    values = np.asarray(image)
    if values.dtype.kind == "f":
        least, most = values.min(initial=0.0), values.max(initial=0.0)
        if not -_ROUNDING <= least <= most <= 1 + _ROUNDING:
            raise ValueError(
                f"an image holds floats from {least:.4g} to {most:.4g}; they must be from 0 to 1: "
                "divide by the largest possible value, and do not normalise"
            )
        values = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if values.dtype != np.uint8:
        raise ValueError(f"an image is {values.dtype}")
    if values.ndim == 2:
        return values[None]
    if values.ndim != 3 or not {1, 3} & {values.shape[0], values.shape[2]}:
        raise ValueError(f"an image is of shape {values.shape}")
    return values if values.shape[0] in (1, 3) else values.transpose(2, 0, 1)
