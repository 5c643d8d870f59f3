"""Draws what is true and what is predicted onto test images, for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Pictures = Mapping[str, Image.Image]
"""Pictures that belong to one image and stand side by side, by their titles."""

ROWS = 4
"""The number of test images for which a task shows pictures."""

WRONG = 12
"""The largest number of misclassified images that are shown."""

_SIDE = 240
"""The longer side in pixels that small images get at least, enlarged by a whole factor."""

PALETTE = np.array(
    [
        (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0),
        (86, 180, 233), (240, 228, 66), (0, 0, 0),
    ],
    np.uint8,
)  # fmt: skip
"""Colours that colour-blind people can distinguish (Okabe and Ito)."""


def plain(image: npt.NDArray[np.uint8]) -> Image.Image:
    """Returns an image [C, H, W] as a picture; the middle slice of a volume, the first channel."""
    while image.ndim > 3:
        image = image[:, image.shape[1] // 2]
    pixels = image.transpose(1, 2, 0) if len(image) == 3 else image[0]
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    factor = -(-_SIDE // max(picture.size))
    size = picture.width * factor, picture.height * factor
    return picture.resize(size, Image.Resampling.NEAREST)


def with_classes(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.integer]) -> Image.Image:
    """Colours the pixels of an image by their classes [H, W]; those of 255 stay as they are."""
    picture = plain(image)
    colours = Image.fromarray(PALETTE[mask % len(PALETTE)])
    visible = Image.fromarray(np.where(mask == 255, 0, 140).astype(np.uint8))
    over, where = (
        each.resize(picture.size, Image.Resampling.NEAREST) for each in (colours, visible)
    )
    picture.paste(over, mask=where)
    return picture


def with_boxes(
    image: npt.NDArray[np.uint8],
    boxes: npt.NDArray[np.floating],
    classes: npt.NDArray[np.floating],
    names: Sequence[str],
) -> Image.Image:
    """Draws boxes [n, 4], in pixels of the image, in the colours of their classes, with names."""
    picture = plain(image)
    draw = ImageDraw.Draw(picture)
    scale = picture.width / image.shape[-1]
    for box, each in zip(boxes * scale, classes.astype(int).tolist(), strict=True):
        colour = tuple(PALETTE[each % len(PALETTE)].tolist())
        draw.rectangle([*box], outline=colour, width=2)
        if each < len(names):
            draw.text((box[0] + 3, box[1] + 1), names[each], fill=colour)
    return picture


def with_points(image: npt.NDArray[np.uint8], points: Sequence[tuple[float, float]]) -> Image.Image:
    """Draws points, as fractions of the image's longer side."""
    picture = plain(image)
    draw = ImageDraw.Draw(picture)
    side = max(picture.size)
    for x, y in points:
        draw.circle((x * side, y * side), 2, fill=(255, 255, 255), outline=tuple(PALETTE[4]))
    return picture
