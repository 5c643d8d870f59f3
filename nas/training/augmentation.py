"""Augments a whole batch on the device; random values are drawn for each image.

A recipe lists transformations by name, with their keyword-only arguments as options. They are
applied in that order. Each one takes and returns a batch ``[N, C, H, W]`` of pixels from 0 to 255,
which are uint8 until a transformation makes them float32. Pixels from outside the image are black
unless an option says otherwise. :func:`mixup` and :func:`cutmix` mix images and their targets, so
they must come last.

The transformations are implemented here because existing libraries draw from torch's global
generator, and most of them work on one image at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate, pad

from nas.errors import InputError
from nas.registry import Registry

Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Whole = Annotated[int, Field(ge=1)]


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise InputError(f"must be from the least to the most, got {list(ends)}")
    return ends


Range = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Shares = Annotated[tuple[PositiveShare, PositiveShare], AfterValidator(_rising)]

TRANSFORMATIONS = Registry(
    "transformation",
    {
        name: f"nas.training.augmentation:{name}"
        for name in (
            "shift", "flip", "resized_crop", "rotate", "shear", "elastic",
            "brightness", "contrast", "saturation", "lighting", "cutout", "mixup", "cutmix",
        )
    } | {"rand_augment": "nas.training.rand_augment:rand_augment"},
)  # fmt: skip
"""The transformations that a recipe's ``augment`` may name."""

MIXTURES = ("mixup", "cutmix")

COLOURS = ("brightness", "contrast", "saturation", "lighting")
"""The transformations that leave everything in its place."""

Moved = list[tuple[Tensor, Tensor]]
"""For a transformation of both axes, the factor and the offset in pixels of x, and those of y, of
each image: [N] each."""

_NARROW = 8
"""Pictures with a shorter side are not shifted, unless a user wants it."""

_LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in grey (ITU-R BT.601)."""


# --- geometry ---


def shift(
    images: Tensor,
    generator: Generator,
    moved: Moved | None = None,
    *,
    pixels: Whole = 4,
    fill: Literal["black", "reflect"] = "black",
) -> Tensor:
    """Moves by up to ``pixels`` on each axis: the padded crop of He et al. 2016, section 4.2.

    Where ``moved`` is given, here and below, it gets how positions have moved.
    """
    n, _, height, width = images.shape
    if fill == "reflect" and pixels >= min(height, width):
        raise InputError(
            f"shift: by reflection, pixels must be below the sides of an image, {height}x{width}, "
            f"got {pixels}"
        )
    if pixels > max(height, width):
        raise InputError(
            f"shift: pixels must be at most the longer side of an image, {height}x{width}, got "
            f"{pixels}"
        )
    offsets = torch.randint(2 * pixels + 1, (2, n), generator=generator, device=images.device)
    if moved is not None:
        moved += [(torch.ones_like(each), pixels - each) for each in (offsets[1], offsets[0])]
    if fill == "black":
        padded = pad(images, [pixels] * 4)
    else:  # reflection is defined for floats only
        padded = pad(images.float(), [pixels] * 4, mode="reflect").to(images.dtype)
    return crop(padded, offsets, images.shape[2:])


def usual_shift(sides: Sequence[int]) -> int:
    """Returns by how many pixels pictures of a size are usually shifted; 0 if they are narrow."""
    return max(1, min(sides) // 16) if min(sides) >= _NARROW else 0


def flip(
    images: Tensor,
    generator: Generator,
    moved: Moved | None = None,
    *,
    probability: Share = 0.5,
) -> Tensor:
    """Mirrors images left to right."""
    flipped = _random(images, generator) < probability
    if moved is not None:
        one, none = torch.ones(len(images), device=images.device), flipped * 0.0
        moved += [(1 - 2.0 * flipped, images.shape[3] * flipped), (one, none)]
    return torch.where(_per_image(flipped), images.flip(3), images)


def resized_crop(
    images: Tensor,
    generator: Generator,
    moved: Moved | None = None,
    *,
    area: Shares = (0.08, 1.0),
    ratio: Range = (3 / 4, 4 / 3),
) -> Tensor:
    """Cuts a window of random area and aspect ratio and scales it to the images' size.

    Szegedy et al. 2015 (arXiv:1409.4842, section 6). A window that would be larger than the image
    on one axis is cut to the image. The interpolation is bilinear without antialiasing; beyond the
    image's edge, its border pixels are repeated.
    """
    share = _random(images, generator, *area)
    logs = torch.tensor(ratio).log().tolist()
    aspect = _random(images, generator, *logs).exp()
    width = (share * aspect).sqrt().clamp(max=1.0)
    height = (share / aspect).sqrt().clamp(max=1.0)
    x = (1 - width) * _random(images, generator, -1, 1)
    y = (1 - height) * _random(images, generator, -1, 1)
    zero = torch.zeros_like(x)
    if moved is not None:  # from the coordinates of affine_grid to pixels
        for part, middle, side in ((width, x, images.shape[3]), (height, y, images.shape[2])):
            moved.append((1 / part, side / 2 * (1 - (1 + middle) / part)))
    rows = [torch.stack([width, zero, x], 1), torch.stack([zero, height, y], 1)]
    return warp(images, torch.stack(rows, 1), outside="border")


def rotate(images: Tensor, generator: Generator, *, degrees: NotNegative = 15.0) -> Tensor:
    """Rotates about the centre by up to ``degrees`` in either direction."""
    return rotated(images, _random(images, generator, -degrees, degrees))


def shear(images: Tensor, generator: Generator, *, degrees: NotNegative = 15.0) -> Tensor:
    """Shears rows, and then columns, by up to ``degrees`` in either direction."""
    images = sheared(images, _random(images, generator, -degrees, degrees), axis=0)
    return sheared(images, _random(images, generator, -degrees, degrees), axis=1)


def elastic(
    images: Tensor,
    generator: Generator,
    *,
    strength: NotNegative = 1.0,
    spacing: Whole = 8,
) -> Tensor:
    """Warps images by a smooth random field of displacements (Simard et al. 2003, section 2).

    Deviation from the paper: the field is a bicubic interpolation between random vectors that are
    ``spacing`` pixels apart, instead of blurred noise. ``strength`` is the vectors' standard
    deviation in pixels.
    """
    n, _, height, width = images.shape
    rows, columns = (-(-(side - 1) // spacing) for side in (height, width))
    coarse = (n, 2, rows + 1, columns + 1)
    vectors = torch.randn(coarse, generator=generator, device=images.device) * strength
    # From the first vector to the last one, which may lie outside the image.
    whole = (rows * spacing + 1, columns * spacing + 1)
    field = interpolate(vectors, whole, mode="bicubic", align_corners=True)
    field = field[:, :, :height, :width]
    scale = _constant((2 / width, 2 / height), images.device)
    identity = torch.eye(2, 3, device=images.device).expand(n, 2, 3)
    grid = affine_grid(identity, [n, 1, height, width], align_corners=False)
    moved = grid + field.permute(0, 2, 3, 1) * scale
    return grid_sample(images.float(), moved, align_corners=False)


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotates each image ``[C, H, W]`` counter-clockwise about its centre."""
    radians = torch.deg2rad(degrees)
    cos, sin = radians.cos(), radians.sin()
    height, width = images.shape[2:]
    zero = torch.zeros_like(cos)
    # In grid_sample's coordinates, where both axes run from -1 to 1.
    rows = [
        torch.stack([cos, -sin * (height / width), zero], 1),
        torch.stack([sin * (width / height), cos, zero], 1),
    ]
    return warp(images, torch.stack(rows, 1))


def sheared(images: Tensor, degrees: Tensor, axis: int) -> Tensor:
    """Shears each image about its centre: axis 0 shifts rows, axis 1 shifts columns."""
    slope = torch.deg2rad(degrees).tan()
    height, width = images.shape[2:]
    one, zero = torch.ones_like(slope), torch.zeros_like(slope)
    across = slope * (height / width) if axis == 0 else zero
    down = slope * (width / height) if axis == 1 else zero
    rows = [torch.stack([one, across, zero], 1), torch.stack([down, one, zero], 1)]
    return warp(images, torch.stack(rows, 1))


def warp(images: Tensor, matrices: Tensor, outside: Literal["zeros", "border"] = "zeros") -> Tensor:
    """Resamples bilinearly; ``matrices`` [N, 2, 3] map output positions to input positions.

    Coordinates are those of :func:`torch.nn.functional.affine_grid`. ``outside`` is the
    ``padding_mode`` of ``grid_sample``: black, or the nearest pixel.
    """
    grid = affine_grid(matrices, list(images.shape), align_corners=False)
    return grid_sample(images.float(), grid, padding_mode=outside, align_corners=False)


def crop(images: Tensor, offsets: Tensor, size: torch.Size) -> Tensor:
    """Cuts from every image the window of ``size`` at its ``offsets`` [2, N] (row, column)."""
    windows = images.unfold(2, size[0], 1).unfold(3, size[1], 1)
    return windows[torch.arange(len(images), device=images.device), :, offsets[0], offsets[1]]


# --- colour ---


def brightness(images: Tensor, generator: Generator, *, strength: Share = 0.4) -> Tensor:
    """Multiplies pixels by a random factor between 1 - ``strength`` and 1 + ``strength``."""
    return blended(
        images, torch.zeros((), device=images.device), _factor(images, generator, strength)
    )


def contrast(images: Tensor, generator: Generator, *, strength: Share = 0.4) -> Tensor:
    """Moves pixels away from, or towards, the image's mean grey."""
    mean = grey(images).mean((1, 2, 3), keepdim=True)
    return blended(images, mean, _factor(images, generator, strength))


def saturation(images: Tensor, generator: Generator, *, strength: Share = 0.4) -> Tensor:
    """Moves colours away from, or towards, their grey; grey images do not change."""
    return blended(images, grey(images), _factor(images, generator, strength))


def lighting(images: Tensor, generator: Generator, *, deviation: NotNegative = 0.1) -> Tensor:
    """Adds colour along the principal components of ImageNet's pixels.

    Krizhevsky et al. 2012 (AlexNet), section 4.1. Each component is multiplied by its standard
    deviation and, for each image, by a normal variable with this ``deviation``. Deviation from the
    paper: the components are always those of ImageNet, as given by fb.resnet.torch.
    """
    if images.shape[1] != 3:
        raise InputError(f"lighting: needs colour images, got {images.shape[1]} channel(s)")
    values = _constant((0.2175, 0.0188, 0.0045), images.device)
    vectors = _constant(
        ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203)),
        images.device,
    )
    drawn = torch.randn(len(images), 3, generator=generator, device=images.device) * deviation
    change = (drawn * values) @ vectors.T * 255
    return (images + change[:, :, None, None]).clamp(0, 255)


def grey(images: Tensor) -> Tensor:
    """Returns [N, 1, H, W]: the luma of colour images, else the mean of the channels."""
    if images.shape[1] != 3:
        return images.float().mean(1, keepdim=True)
    weights = _constant(_LUMA, images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def blended(images: Tensor, base: Tensor, factor: Tensor) -> Tensor:
    """Blends: factor 0 gives ``base``, 1 the image, above 1 extrapolates; clipped to 0 to 255."""
    return torch.lerp(base.expand(images.shape).float(), images.float(), _per_image(factor)).clamp(
        0, 255
    )


# --- erasing and mixing ---


def cutout(images: Tensor, generator: Generator, *, size: Whole) -> Tensor:
    """Blackens a square of side ``size`` around a random pixel; it may extend beyond the image.

    DeVries & Taylor 2017, arXiv:1708.04552, section 3. Deviation from the paper: the square is
    black instead of the mean colour.
    """
    inside = _box(images, generator, size, size)
    return images * ~inside


def mixup(
    images: Tensor, targets: Tensor, generator: Generator, *, alpha: Positive = 1.0
) -> tuple[Tensor, Tensor]:
    """Averages each image with another one of the batch, with a weight from Beta(alpha, alpha).

    Zhang et al. 2018, arXiv:1710.09412, equation 1. A weight is drawn for each image.
    """
    weight = _beta(images, generator, alpha)
    partner = torch.randperm(len(images), generator=generator, device=images.device)
    mixed = torch.lerp(images[partner].float(), images.float(), _per_image(weight))
    return mixed, torch.lerp(targets[partner], targets, weight[:, None])


def cutmix(
    images: Tensor, targets: Tensor, generator: Generator, *, alpha: Positive = 1.0
) -> tuple[Tensor, Tensor]:
    """Pastes a box of another image into each image; labels are weighted by the area.

    Yun et al. 2019, arXiv:1905.04899, equations 1 and 2. A box is drawn for each image.
    """
    side = (1 - _beta(images, generator, alpha)).sqrt()
    height, width = images.shape[2:]
    inside = _box(images, generator, side * height, side * width)
    partner = torch.randperm(len(images), generator=generator, device=images.device)
    kept = 1 - inside.float().mean((1, 2, 3))
    mixed = torch.where(inside, images[partner], images)
    return mixed, torch.lerp(targets[partner], targets, kept[:, None])


def _box(images: Tensor, generator: Generator, height: Tensor | int, width: Tensor | int) -> Tensor:
    """Returns a mask [N, 1, H, W] that is true in a box around a random pixel of each image."""
    masks = []
    for side, length in zip(images.shape[2:], (height, width), strict=True):
        if isinstance(length, int):
            length = torch.full((1,), length, device=images.device)  # a copy would wait
        lengths = length.view(-1, 1)
        centre = torch.randint(side, (len(images), 1), generator=generator, device=images.device)
        first = centre - (lengths / 2).floor()
        places = torch.arange(side, device=images.device)
        masks.append((places >= first) & (places < first + lengths.floor()))
    return (masks[0][:, :, None] & masks[1][:, None, :])[:, None]


@cache
def _constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """Keeps constants on the device, because every copy to it waits for earlier work."""
    return torch.tensor(values, device=device)


# --- draws ---


def _random(images: Tensor, generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draws [N] values uniformly from ``low`` to ``high``."""
    drawn = torch.rand(len(images), generator=generator, device=images.device)
    return low + (high - low) * drawn


def _factor(images: Tensor, generator: Generator, strength: float) -> Tensor:
    return _random(images, generator, 1 - strength, 1 + strength)


def _beta(images: Tensor, generator: Generator, alpha: float) -> Tensor:
    """Draws [N] values from Beta(alpha, alpha): a gamma variable divided by the sum of two."""
    shape = torch.full((2, len(images)), alpha, device=images.device)
    gamma: Tensor = torch._standard_gamma(shape, generator=generator)
    return gamma[0] / gamma.sum(0)


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
