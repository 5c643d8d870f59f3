"""Reads a folder of pictures with one sub-folder per class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from nas.configuration import Place
from nas.errors import InputError
from nas.training.datasets.files import ENDINGS, LeftOut, folders, pictures, shown
from nas.training.datasets.images import Images, Resolution, checksum
from nas.training.datasets.labels import LabelArray
from nas.training.datasets.parts import Role, arranged, role
from nas.training.datasets.pictures import Fit, Size, opened, read_picture
from nas.training.datasets.stored import MEMORY_GB, Gigabytes, Pixels, Stored, is_streamed


def folder(
    *,
    root: Place,
    resolution: Resolution = None,
    colour: Literal["rgb", "grey"] = "rgb",
    memory_gb: Gigabytes = MEMORY_GB,
    fit: Fit = "crop",
) -> Images:
    """Pictures in ``root/CLASS/…``, or in ``root/train/CLASS/…``, ``root/test/CLASS/…``, etc.

    The second form has official parts: ``train``, and ``val`` or ``test`` or both, in any of the
    spellings of :mod:`nas.training.datasets.parts`. They have the same classes, or, as identities
    of the task ``embedding``, none in common. Classes are numbered in the order of their names.
    Which files are read is described in :mod:`nas.training.datasets.files`, and how, in
    :mod:`nas.training.datasets.pictures`. Pictures are decoded later.

    Args:
        root: the folder.
        resolution: the side of the images in pixels; null keeps the size, which must then be the
            same for all.
        colour: whether images have three channels or one.
        memory_gb: a data set that needs more memory than this, in 10^9 bytes, stays on the disk and
            is decoded in every epoch.
        fit: ``crop`` cuts the middle out of a picture that is not square; ``squeeze`` distorts it.
    """
    found = listing(Path(root))
    return read_later(
        found, np.array(found.labels), len(found.names), resolution, colour, memory_gb, fit
    )


def read_later(
    found: Listing,
    labels: LabelArray,
    classes: int,
    resolution: int | None,
    colour: str,
    memory_gb: float,
    fit: Fit,
) -> Images:
    """Makes a data set of listed pictures, which are decoded later, and their labels."""
    paths = found.paths
    size = (resolution, resolution) if resolution is not None else None
    shape = (3 if colour == "rgb" else 1, *(size or _size(paths)))
    read = partial(_picture, paths, shape[0], (size, fit))
    files = [
        os.fsencode(path.relative_to(found.top)) + b" %d" % path.stat().st_size for path in paths
    ]
    return Images(
        Stored(read, np.arange(len(paths)), shape, b"\n".join(files)),
        labels,
        classes,
        found.counts.get("test", 0),
        found.names or None,
        streamed=is_streamed(len(paths), shape, memory_gb, shown(found.top)),
        official_validation=found.counts.get("validation", 0),
        digests=_digests(paths),
        notes=found.notes,
        places=lambda position: shown(paths[position], found.top),
    )


@dataclass(frozen=True)
class Listing:
    """The pictures in a folder: the training part, then the official parts.

    Attributes:
        top: the folder.
        paths: all pictures.
        labels: the class number of each picture.
        names: the names of the classes.
        counts: the number of pictures of each part.
        notes: one line for each kind of file that is not read.
    """

    top: Path
    paths: list[Path]
    labels: list[int]
    names: tuple[str, ...]
    counts: dict[Role, int]
    notes: tuple[str, ...]


def listing(top: Path) -> Listing:
    """Lists the pictures of all parts and classes; raises :class:`InputError` naming a folder."""
    if not top.is_dir():
        raise InputError(
            f"{shown(top)}: is not a folder; expected one with a sub-folder for each class"
        )
    left_out = LeftOut(top)
    parts = part_folders(top)
    for place in {top, *parts.values()}:
        for path in pictures(place, left_out, deep=False):
            left_out.add(path, "a picture beside the folders of the classes")
    classes = {part: _classes(place) for part, place in parts.items()}
    known = classes["train"].keys()
    names = tuple(dict.fromkeys(name for found in classes.values() for name in found))
    counts: dict[Role, int] = {}
    paths: list[Path] = []
    labels: list[int] = []
    for part, found in classes.items():
        if found.keys() != known and found.keys() & known:  # identities may all be others
            raise InputError(
                f"{shown(parts[part])}: has the classes {', '.join(found)}; "
                f"{shown(parts['train'])} has {', '.join(known)}"
            )
        before = len(paths)
        for name, place in found.items():
            _check_class(place)
            held = pictures(place, left_out)
            if not held:
                others = "".join(f"; {note}" for note in [*left_out.notes()][-1:])
                raise InputError(
                    f"{shown(place)}: holds no pictures ({', '.join(sorted(ENDINGS))}){others}"
                )
            paths += held
            labels += [names.index(name)] * len(held)
        counts[part] = len(paths) - before
    return Listing(top, paths, labels, names, counts, tuple(left_out.notes()))


def part_folders(top: Path) -> dict[Role, Path]:
    """Returns the folders of the parts; ``top`` itself is the training part if it holds classes.

    The sub-folders are parts if all of them have the name of a part, or if one with such a name has
    sub-folders itself. Otherwise they are classes. A class may be called train, as in car, plane
    and train, but a ``test`` that stands beside classes is refused: its pictures could be meant to
    be tested.
    """
    inner = {path.name: path for path in folders(top)}
    named = [name for name in inner if role(name) is not None]
    if named and (len(named) == len(inner) or any(folders(inner[name]) for name in named)):
        return arranged(inner, shown(top))
    if other := [name for name in named if role(name) != "train"]:
        raise InputError(
            f"{shown(top)}: {other[0]} stands beside classes ({', '.join(map(shown, inner))}): if "
            "it is a part, put the classes into train; if it is a class, give it another name"
        )
    return {"train": top}


def _classes(place: Path) -> dict[str, Path]:
    found = {shown(path.name): path for path in folders(place)}
    if len(found) < 2:
        loose = len(pictures(place, LeftOut(place), deep=False))
        why = f"; its {loose} picture(s) are in no class" if loose else ""
        raise InputError(
            f"{shown(place)}: has {len(found)} sub-folder(s); expected one for each class, "
            f"two or more{why}"
        )
    return found


def _check_class(place: Path) -> None:
    """Refuses parts inside of a class, whose pictures would get into other parts."""
    inner = [path.name for path in folders(place) if role(path.name) is not None]
    if len({role(name) for name in inner}) > 1:
        raise InputError(
            f"{shown(place)}: holds {' and '.join(map(shown, inner))}: parts inside of a class are "
            f"not understood; put the classes into the parts, as in {shown(inner[0])}/"
            f"{shown(place.name)}"
        )


def _digests(paths: Sequence[Path]) -> list[bytes]:
    found = []
    for path in paths:
        try:
            found.append(checksum(path.read_bytes()))
        except OSError as error:
            raise InputError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    return found


def _size(paths: Sequence[Path]) -> Size:
    """Returns the height and width that all pictures must share; only file headers are read."""
    width, height = 0, 0
    for path in paths:
        with opened(path) as picture:
            if path is paths[0]:
                width, height = picture.size
            if picture.size != (width, height):
                raise InputError(
                    f"is of {picture.width}x{picture.height} pixels, {shown(paths[0])} of "
                    f"{width}x{height}; set resolution to bring all to one size"
                )
    return height, width


def _picture(
    paths: Sequence[Path], channels: int, size: tuple[Size | None, Fit], position: int
) -> Pixels:
    return read_picture(paths[position], channels, *size)
