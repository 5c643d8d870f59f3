"""Reads a folder of pictures and their masks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nas.configuration import Place
from nas.errors import InputError, in_file
from nas.training.datasets.files import ENDINGS, LeftOut, folders, pictures, shown
from nas.training.datasets.folder import Listing, read_later
from nas.training.datasets.images import Ignored, Images, Resolution
from nas.training.datasets.labels import class_masks
from nas.training.datasets.parts import Role, arranged
from nas.training.datasets.pictures import Fit, Size, mask, opened
from nas.training.datasets.stored import MEMORY_GB, Gigabytes, Pixels


def masks(
    *,
    root: Place,
    resolution: Resolution = None,
    colour: Literal["rgb", "grey"] = "rgb",
    memory_gb: Gigabytes = MEMORY_GB,
    fit: Fit = "crop",
    ignore: Ignored = None,
) -> Images:
    """Pictures in ``root/images`` and their masks in ``root/masks``, under the same names.

    Or ``root/train/images``, ``root/train/masks``, ``root/test/images`` and so on, with official
    parts as in :func:`nas.training.datasets.folder.folder`. Endings may differ. A mask is a picture
    without loss of one channel, or with a palette, whose values are the classes from 0; pixels of
    255 are ignored. If there are only 0 and 255, both are classes. Pictures are decoded later,
    masks are kept in memory.

    Args:
        root: the folder.
        resolution: the side of the images in pixels; null keeps the size, which must then be the
            same for all.
        colour: whether images have three channels or one.
        memory_gb: pictures that need more memory than this, in 10^9 bytes, stay on the disk.
        fit: ``crop`` cuts the middle out of a picture that is not square; ``squeeze`` distorts it.
        ignore: a class of masks whose pixels are ignored, besides 255.
    """
    top = Path(root)
    if not top.is_dir():
        raise InputError(f"{shown(top)}: is not a folder; expected one with images and masks")
    left_out = LeftOut(top)
    inner = {path.name: path for path in folders(top)}
    parts: dict[Role, Path] = {"train": top}
    if "images" not in inner:
        parts = arranged(inner, shown(top))
    paths: list[Path] = []
    beside: list[Path] = []
    counts: dict[Role, int] = {}
    for part, place in parts.items():
        pairs = _pairs(place, left_out)
        counts[part] = len(pairs)
        paths += [image for image, _ in pairs]
        beside += [each for _, each in pairs]
    size = None if resolution is None else (resolution, resolution)
    held = [_mask(path, of, size, fit) for path, of in zip(beside, paths, strict=True)]
    for path, found in zip(beside, held, strict=True):
        if found.shape != held[0].shape:
            raise InputError(
                f"{shown(path)}: is of {found.shape[1]}x{found.shape[0]} pixels, "
                f"{shown(beside[0])} of {held[0].shape[1]}x{held[0].shape[0]}; set resolution to "
                "bring all to one size"
            )
    labels, classes = class_masks(held, shown(top), ignore)
    listed = Listing(top, paths, [], (), counts, tuple(left_out.notes()))
    return read_later(listed, labels, classes, resolution, colour, memory_gb, fit)


def _pairs(place: Path, left_out: LeftOut) -> list[tuple[Path, Path]]:
    """Returns the pictures of a part with their masks, in the order of their names."""
    found = {}
    for kind in ("images", "masks"):
        inner = place / kind
        if not inner.is_dir():
            raise InputError(f"{shown(place)}: has no folder {kind}; expected images and masks")
        named = {
            path.relative_to(inner).with_suffix(""): path for path in pictures(inner, left_out)
        }
        if not named:
            raise InputError(f"{shown(inner)}: holds no pictures ({', '.join(sorted(ENDINGS))})")
        found[kind] = named
    for one, other in (("images", "masks"), ("masks", "images")):
        if alone := sorted(found[one].keys() - found[other].keys()):
            raise InputError(
                f"{shown(found[one][alone[0]])}: has no picture of its name in "
                f"{shown(place / other)}" + (f", like {len(alone) - 1} more" if alone[1:] else "")
            )
    return [(path, found["masks"][name]) for name, path in found["images"].items()]


def _mask(path: Path, image: Path, size: Size | None, fit: Fit) -> Pixels:
    with opened(image) as picture:
        width, height = picture.size
    found = mask(path)
    if found.shape != (height, width):
        raise InputError(
            f"{shown(path)}: is of {found.shape[1]}x{found.shape[0]} pixels, its picture "
            f"{shown(image)} of {width}x{height}"
        )
    with in_file(shown(path)):
        return mask(found, size, fit)
