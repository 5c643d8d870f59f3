"""Reads a folder of pictures with one sub-folder per class."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from nas.errors import InputError
from nas.training.datasets.images import Images, Resolution
from nas.training.datasets.pictures import Size, opened, read_picture
from nas.training.datasets.stored import MEMORY_GB, Gigabytes, Pixels, Stored, fits

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def folder(
    *,
    root: str,
    resolution: Resolution = None,
    colour: Literal["rgb", "grey"] = "rgb",
    memory_gb: Gigabytes = MEMORY_GB,
) -> Images:
    """Pictures in ``root/CLASS/…``, or in ``root/train/CLASS/…`` and ``root/test/CLASS/…``.

    The second form has an official test part. Classes are numbered in the order of their names.
    Grey pictures of 16 bits are scaled to 8. The camera's orientation (EXIF) is ignored, as in
    torchvision's ``ImageFolder``. Pictures are decoded later.

    Args:
        root: the folder.
        resolution: the side of the images in pixels: the shorter side is scaled to it, and the
            middle is cut out. null keeps the size, which must then be the same for all.
        colour: whether images have three channels or one.
        memory_gb: a data set that needs more memory than this, in 10^9 bytes, stays on the disk and
            is decoded in every epoch.
    """
    top = Path(root).expanduser()
    if not top.is_dir():
        raise InputError(f"{top}: is not a folder; expected one with a sub-folder for each class")
    places = [top / "train", top / "test"] if _has_parts(top) else [top]
    names = _classes(places[0])
    for place in places[1:]:
        if _classes(place) != names:
            raise InputError(
                f"{place}: has the classes {', '.join(_classes(place))}; {places[0]} has "
                f"{', '.join(names)}"
            )
    parts = [_files(place, names) for place in places]
    paths = [path for part in parts for path, _ in part]
    labels = np.array([label for part in parts for _, label in part])
    size = (resolution, resolution) if resolution is not None else None
    shape = (3 if colour == "rgb" else 1, *(size or _size(paths)))
    read = partial(_picture, paths, shape[0], size)
    files = [f"{path.relative_to(top)} {path.stat().st_size}" for path in paths]
    images = Stored(read, np.arange(len(paths)), shape, "\n".join(files).encode())
    test = len(parts[1]) if len(parts) > 1 else 0
    streamed = not fits(len(paths), shape, memory_gb)
    return Images(images, labels, len(names), test, tuple(names), streamed)


def _has_parts(top: Path) -> bool:
    """Tells if ``train`` is a part rather than a class: it has sub-folders, or is the only one."""
    names = _folders(top)
    return "train" in names and (bool(_folders(top / "train")) or set(names) <= {"train", "test"})


def _folders(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if path.is_dir() and path.name[0] != ".")


def _classes(place: Path) -> list[str]:
    if not place.is_dir():
        raise InputError(f"{place}: is missing; if there is train, there must be test")
    names = _folders(place)
    if len(names) < 2:
        raise InputError(
            f"{place}: has {len(names)} sub-folder(s); expected one for each class, two or more"
        )
    return names


def _files(place: Path, names: list[str]) -> list[tuple[Path, int]]:
    """Lists the pictures and their labels."""
    found: list[tuple[Path, int]] = []
    for label, name in enumerate(names):
        files = sorted(p for p in (place / name).rglob("*") if p.suffix.lower() in _ENDINGS)
        if not files:
            raise InputError(f"{place / name}: holds no pictures ({', '.join(sorted(_ENDINGS))})")
        found += [(path, label) for path in files]
    return found


def _size(paths: list[Path]) -> tuple[int, int]:
    """Returns the height and width that all pictures must share; only file headers are read."""
    width, height = 0, 0
    for path in paths:
        with opened(path) as picture:
            if path is paths[0]:
                width, height = picture.size
            if picture.size != (width, height):
                raise InputError(
                    f"{path}: is of {picture.width}x{picture.height} pixels, {paths[0]} of "
                    f"{width}x{height}; set resolution to bring all to one size"
                )
    return height, width


def _picture(paths: list[Path], channels: int, size: Size | None, position: int) -> Pixels:
    return read_picture(paths[position], channels, size)
