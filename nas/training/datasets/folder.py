"""A folder of pictures: a sub-folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from nas.errors import InputError
from nas.training.datasets.images import Images, Integers, Pixels, Resolution, with_test

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def folder(
    *,
    root: str,
    resolution: Resolution = None,
    colour: Literal["rgb", "grey"] = "rgb",
) -> Images:
    """Pictures in ``root/CLASS/…``, or in ``root/train/CLASS/…`` and ``root/test/CLASS/…``.

    The second form has an official test part. Classes are numbered in the order of their names.

    Args:
        root: the folder.
        resolution: side of the images, in pixels: the shorter side is brought to it, and the
            middle is cut out. null: as they come, if they are all of one size.
        colour: three channels, or one.
    """
    top = Path(root).expanduser()
    if not top.is_dir():
        raise InputError(f"{top}: is no folder; expected one with a sub-folder for each class")
    places = [top / "train", top / "test"] if (top / "train").is_dir() else [top]
    names = _classes(places[0])
    for place in places[1:]:
        if _classes(place) != names:
            raise InputError(
                f"{place}: has the classes {', '.join(_classes(place))}; {places[0]} has "
                f"{', '.join(names)}"
            )
    parts = [_part(place, names, resolution, colour) for place in places]
    sizes = {images.shape[1:] for images, _ in parts}
    if len(sizes) > 1:
        raise InputError(f"{top}: train and test pictures differ in size; set resolution")
    return with_test(parts, len(names), None)


def _classes(place: Path) -> list[str]:
    if not place.is_dir():
        raise InputError(f"{place}: is missing: where there is train, there must be test")
    names = sorted(path.name for path in place.iterdir() if path.is_dir() and path.name[0] != ".")
    if len(names) < 2:
        raise InputError(
            f"{place}: has {len(names)} sub-folder(s); expected one for each class, two or more"
        )
    return names


def _part(
    place: Path, names: list[str], resolution: int | None, colour: str
) -> tuple[Pixels, Integers]:
    images: list[Pixels] = []
    labels: list[int] = []
    first: Path | None = None
    for label, name in enumerate(names):
        files = sorted(p for p in (place / name).rglob("*") if p.suffix.lower() in _ENDINGS)
        if not files:
            raise InputError(f"{place / name}: holds no pictures ({', '.join(sorted(_ENDINGS))})")
        for path in files:
            pixels = _picture(path, resolution, colour)
            if first is not None and pixels.shape != images[0].shape:
                sizes = ["x".join(map(str, p.shape[:0:-1])) for p in (pixels, images[0])]
                raise InputError(
                    f"{path}: is of {sizes[0]} pixels, {first} of {sizes[1]}; set resolution to "
                    "bring all to one size"
                )
            first = first or path
            images.append(pixels)
            labels.append(label)
    return np.stack(images), np.array(labels)


def _picture(path: Path, resolution: int | None, colour: str) -> Pixels:
    try:
        with Image.open(path) as picture:
            converted = picture.convert("RGB" if colour == "rgb" else "L")
    except UnidentifiedImageError:
        raise InputError(f"{path}: is not a picture that Pillow can read") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: is torn or corrupted: {error}") from None
    if resolution is not None:
        converted = _resized(converted, resolution)
    pixels = np.asarray(converted, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _resized(picture: Image.Image, side: int) -> Image.Image:
    width, height = picture.size
    scale = side / min(width, height)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    resized = picture.resize(size, Image.Resampling.BILINEAR)
    left, upper = (size[0] - side) // 2, (size[1] - side) // 2
    return resized.crop((left, upper, left + side, upper + side))
