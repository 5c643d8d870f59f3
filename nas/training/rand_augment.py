"""RandAugment: a few random transformations with a common strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import conv2d

from nas.training.augmentation import blended, grey, rotated, sheared, warp

MAGNITUDES = 30
"""The largest ``magnitude``."""


def rand_augment(
    images: Tensor,
    generator: Generator,
    *,
    operations: Annotated[int, Field(ge=1, le=100)] = 2,
    magnitude: Annotated[int, Field(ge=0, le=MAGNITUDES)] = 9,
) -> Tensor:
    """Applies several operations to each image, each drawn uniformly from :data:`OPERATIONS`.

    Cubuk et al. 2020, arXiv:1909.13719, section 3, where N is ``operations`` and M is
    ``magnitude``. The largest magnitude has the effects of the authors' code for AutoAugment
    (Cubuk et al. 2019, table 6): rotations of 30 degrees, shears of 0.3, shifts by 0.3 of the
    side, factors of 1 ± 0.9, 4 bits less for posterize, and a threshold of 0 for solarize. The
    direction of geometric operations and factors is random.
    """
    strength = magnitude / MAGNITUDES
    images = images.float()
    for _ in range(operations):
        n, device = len(images), images.device
        chosen = torch.randint(len(OPERATIONS), (n,), generator=generator, device=device)
        sign = 1 - 2 * torch.randint(2, (n,), generator=generator, device=device).float()
        result = images
        for index, operation in enumerate(OPERATIONS.values()):
            # All images go through every operation, so that there is no wait for the device.
            mine = (chosen == index).view(-1, 1, 1, 1)
            result = torch.where(mine, operation(images, strength * sign), result)
        images = result
    return images


def autocontrast(images: Tensor, level: Tensor) -> Tensor:
    """Stretches the values of each channel to 0 to 255."""
    low = images.amin((2, 3), keepdim=True)
    spread = images.amax((2, 3), keepdim=True) - low
    return torch.where(spread > 0, (images - low) * 255 / spread.clamp(min=1e-6), images)


def equalize(images: Tensor, level: Tensor) -> Tensor:
    """Replaces each channel's values by their rank, so that all are equally frequent.

    As in Pillow, the brightest value does not count for the step.
    """
    n, channels, height, width = images.shape
    values = images.round().clamp(0, 255).long().view(n * channels, -1)
    histogram = torch.zeros(n * channels, 256, device=images.device)
    histogram.scatter_add_(1, values, torch.ones_like(values, dtype=histogram.dtype))
    brightest = histogram.gather(1, values.amax(1, keepdim=True))
    step = ((height * width - brightest) / 255).floor()
    below = histogram.cumsum(1) - histogram
    table = ((below + (step / 2).floor()) / step.clamp(min=1)).floor().clamp(0, 255)
    equalized = table.gather(1, values)
    return torch.where(step > 0, equalized, values.float()).view(images.shape)


def posterize(images: Tensor, level: Tensor) -> Tensor:
    """Reduces the 8 bits of each value by up to 4."""
    lost = 2.0 ** (4 * level.abs()).round().view(-1, 1, 1, 1)
    return (images / lost).floor() * lost


def solarize(images: Tensor, level: Tensor) -> Tensor:
    """Inverts values above a threshold."""
    threshold = (256 * (1 - level.abs())).view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 255 - images, images)


def sharpness(images: Tensor, level: Tensor) -> Tensor:
    """Moves pixels away from, or towards, the image smoothed by a 3x3 kernel, except the border."""
    channels = images.shape[1]
    kernel = torch.ones(channels, 1, 3, 3, device=images.device)
    kernel[:, :, 1, 1] = 5
    smooth = images.clone()
    if min(images.shape[2:]) > 2:
        smooth[:, :, 1:-1, 1:-1] = conv2d(images, kernel / 13, groups=channels)
    return blended(images, smooth, 1 + 0.9 * level)


def _shear(images: Tensor, level: Tensor, axis: int) -> Tensor:
    return sheared(images, torch.rad2deg((0.3 * level).atan()), axis)


def _move(images: Tensor, level: Tensor, axis: int) -> Tensor:
    matrices = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    matrices[:, axis, 2] = 0.6 * level  # the axes run from -1 to 1
    return warp(images, matrices)


OPERATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda images, level: images,
    "autocontrast": autocontrast,
    "equalize": equalize,
    "rotate": lambda images, level: rotated(images, 30 * level),
    "solarize": solarize,
    "color": lambda images, level: blended(images, grey(images), 1 + 0.9 * level),
    "posterize": posterize,
    "contrast": lambda images, level: blended(
        images, grey(images).mean((1, 2, 3), keepdim=True), 1 + 0.9 * level
    ),
    "brightness": lambda images, level: blended(images, images.new_zeros(()), 1 + 0.9 * level),
    "sharpness": sharpness,
    "shear_x": lambda images, level: _shear(images, level, 0),
    "shear_y": lambda images, level: _shear(images, level, 1),
    "translate_x": lambda images, level: _move(images, level, 0),
    "translate_y": lambda images, level: _move(images, level, 1),
}
"""The operations; each takes a batch and a level from -1 to 1 per image, and transforms it."""
