"""Looks at a user's data and proposes how to read them, with the reasons.

``nas new --data FOLDER`` and ``nas train --data FOLDER`` begin with this.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.registry import load
from nas.training.datasets.arrays import arrays
from nas.training.datasets.boxes import boxes, form_of
from nas.training.datasets.cifar import cifar_name
from nas.training.datasets.files import LeftOut, folders, pictures, shown
from nas.training.datasets.folder import listing
from nas.training.datasets.idx import idx_files
from nas.training.datasets.parts import role
from nas.training.datasets.pictures import is_grey, opened, pixels
from nas.training.datasets.python import image_sizes, spread
from nas.training.datasets.series import series_root
from nas.training.datasets.unseen import is_incomplete, is_unseen, unseen

_SIDES = (16, 24, 32, 48, 64)
"""The resolutions that are proposed."""
_OBJECTS = 160
"""The resolution that is proposed for pictures with boxes."""
_LOOKED_AT = 400
"""The largest number of pictures whose size and mode are looked at."""
_DECODED = 40
"""The largest number of pictures that are decoded to see if they are grey."""
_LONG = 1.5
"""The aspect ratio from which cutting out the middle would lose too much of a picture."""


@dataclass(frozen=True)
class Proposal:
    """A proposed section ``data``.

    Attributes:
        section: the name of the data set and its options.
        reasons: why an option has its value, by its key.
    """

    section: dict[str, Any]
    reasons: dict[str, str]


def propose(path: Path) -> Proposal:
    """Proposes how to read a folder or a file.

    Known are the files of the official data sets, ``.npz`` files and folders of ``.npy`` files,
    files of series, the format of the contest on unseen data, and folders of pictures. Raises
    :class:`InputError` naming the path if it is none of these.
    """
    if shown(path) != str(path):
        raise InputError(
            f"{shown(path)}: this name is not UTF-8, so that a text file cannot hold it; give the "
            "folder another name, or make a link to it with ln -s"
        )
    if not path.exists():
        raise InputError(f"{path}: No such file or folder")
    if path.suffix == ".py":
        raise InputError(f"{path}: name the function that returns the data set: {path}:FUNCTION")
    if is_unseen(path):
        return _of_unseen(path)
    if path.suffix == ".npz" or (path.is_dir() and any(path.glob("*images*.npy"))):
        return _of_arrays(path)
    if (root := series_root(path)) is not None:
        return Proposal({"name": "series", "root": str(root)}, {"root": "its series"})
    if not path.is_dir():
        raise InputError(
            f"{path}: is a file; expected a folder of pictures or of official files, an .npz file, "
            "a file that ends in _TRAIN.ts, a .yaml file, or file.py:FUNCTION"
        )
    if files := idx_files(path):
        name = "fashion_mnist" if "fashion" in str(files[0]).lower() else "mnist"
        return Proposal({"name": name, "root": str(path)}, {"root": "its idx files"})
    if (cifar := cifar_name(path)) is not None:
        return Proposal({"name": cifar, "root": str(path)}, {"root": "its official files"})
    if (path / "train_32x32.mat").is_file():
        return Proposal({"name": "svhn", "root": str(path)}, {"root": "its official files"})
    if (path / "images").is_dir() and (path / "masks").is_dir():
        return Proposal({"name": "masks", "root": str(path)}, {"root": "pictures and their masks"})
    if form_of(path) is not None:
        return _of_boxes(path)
    if is_incomplete(path):
        return _of_unseen(path)
    return _of_pictures(_inner(path))


def propose_function(name: str) -> Proposal:
    """Proposes how to read what a user's function returns: in one size, if the images have several.

    Nothing is proposed for a function that has options without a default, or that returns no
    dataset; whoever loads it says what is wrong.
    """
    function = load(name, name)
    sizes: list[tuple[int, int]] = []
    with suppress(InputError, TypeError, ValueError):
        parameters = inspect.signature(function).parameters.values()
        if not any(each.default is each.empty for each in parameters):
            sizes = image_sizes(function(), name, _DECODED)
    if len(set(sizes)) < 2:
        return Proposal({"name": name}, {})
    section: dict[str, Any] = {"name": "python", "function": name}
    reasons: dict[str, str] = {}
    _add_size(section, reasons, sizes)
    return Proposal(section, reasons)


def _inner(path: Path) -> Path:
    """Goes down while a folder holds one folder and no pictures, as unpacked archives do."""
    while True:
        inner = folders(path)
        lone = len(inner) == 1 and role(inner[0].name) is None
        if not lone or pictures(path, LeftOut(path), deep=False) or not folders(inner[0]):
            return path
        path = inner[0]


def _of_pictures(path: Path) -> Proposal:
    found = listing(path)
    sample = _spread(found.paths, _LOOKED_AT)
    sizes, grey = [], True
    for each in sample:
        with opened(each) as picture:
            sizes.append(picture.size)
            grey = grey and is_grey(picture)
    counts = np.bincount(found.labels, minlength=len(found.names))
    classes = ", ".join(f"{name} {n}" for name, n in zip(found.names[:8], counts, strict=False))
    more = ", ..." if len(found.names) > 8 else ""
    parts = ", ".join(f"{part} {count}" for part, count in found.counts.items())
    reasons = {
        "root": f"{len(found.paths):,} pictures of {len(found.names)} classes: {classes}{more}"
        + (f"; official parts: {parts}" if len(found.counts) > 1 else "")
    }
    section: dict[str, Any] = {"name": "folder", "root": str(path)}
    _add_size(section, reasons, sizes)
    if grey:
        section["colour"], reasons["colour"] = "grey", "the pictures have one channel"
    elif all(_has_equal_channels(each) for each in _spread(found.paths, _DECODED)):
        section["colour"], reasons["colour"] = "grey", "the channels of the pictures are equal"
    else:
        section["colour"], reasons["colour"] = "rgb", "the pictures are in colour"
    return Proposal(section, reasons)


def _of_boxes(path: Path) -> Proposal:
    held = pictures(path, LeftOut(path))
    sizes = []
    for each in _spread(held, _LOOKED_AT):
        with opened(each) as picture:
            sizes.append(picture.size)
    section: dict[str, Any] = {"name": "boxes", "root": str(path), "fit": "squeeze"}
    reasons = {"fit": "keeps all objects, but distorts pictures that are not square"}
    if len(set(sizes)) == 1 and max(sizes[0]) <= _OBJECTS:
        _keep_size(section, reasons, sizes[0])
    else:
        section["resolution"] = _OBJECTS
        reasons["resolution"] = "small objects need more; the time grows with the square of this"
    options = {key: value for key, value in section.items() if key != "name"}
    images = boxes(**options)
    number = int((images.labels[..., 4] >= 0).sum())
    reasons["root"] = (
        f"{len(images.labels):,} pictures with {number:,} boxes of {images.classes} classes"
    )
    return Proposal(section, reasons)


def _of_arrays(path: Path) -> Proposal:
    section: dict[str, Any] = {"name": "arrays", "path": str(path)}
    try:
        images = arrays(path=str(path))
    except InputError as error:
        try:
            images = arrays(path=str(path), volumes=True)
        except InputError:
            raise error from None
        section["volumes"] = True
    reasons = {"path": f"{len(images.labels):,} images of {images.classes} classes"}
    if len(sides := images.input_shape[1:]) == 2:
        size = (sides[1], sides[0])
        # Arrays may hold texts or boards, of which each value counts, also in long or small ones.
        if math.prod(size) <= _SIDES[-1] ** 2:
            _keep_size(section, reasons, size)
        else:
            _add_size(section, reasons, [size])
    return Proposal(section, reasons)


def _of_unseen(path: Path) -> Proposal:
    images = unseen(root=str(path))
    told = f"{len(images.labels):,} images of {images.classes} classes"
    shape = "x".join(map(str, images.input_shape))
    return Proposal({"name": "unseen", "root": str(path)}, {"root": f"{told}, {shape}"})


def _keep_size(section: dict[str, Any], reasons: dict[str, str], size: tuple[int, int]) -> None:
    section["resolution"] = None
    reasons["resolution"] = f"all are of {'x'.join(map(str, size))} pixels, which is kept"


def _add_size(
    section: dict[str, Any], reasons: dict[str, str], sizes: Sequence[tuple[int, int]]
) -> None:
    """Adds the options ``resolution`` and ``fit`` for pictures of these widths and heights."""
    sides = sorted(min(size) for size in sizes)
    short = int(median(sides))
    all_of = f"{'x'.join(map(str, sizes[0]))}"
    if len(set(sizes)) > 1:
        low, high = min(sizes, key=np.prod), max(sizes, key=np.prod)
        all_of = f"{low[0]}x{low[1]} to {high[0]}x{high[1]}"
    elif sizes[0][0] == sizes[0][1] and _SIDES[0] <= short <= _SIDES[-1]:
        _keep_size(section, reasons, sizes[0])
        return
    section["resolution"] = max((side for side in _SIDES if side <= short), default=_SIDES[0])
    why = {
        _SIDES[0]: "most networks need as many",
        _SIDES[-1]: "the time of a trial grows with the square of this",
    }.get(section["resolution"], f"the shorter side has {short}, as a rule")
    reasons["resolution"] = f"the pictures are of {all_of} pixels; {why}"
    if median(max(size) / min(size) for size in sizes) > _LONG:
        section["fit"] = "squeeze"
        reasons["fit"] = "crop would cut off much of these long pictures"
    elif any(width != height for width, height in sizes):
        section["fit"] = "crop"
        reasons["fit"] = "cuts out the middle; squeeze keeps all, but distorts it"


def _has_equal_channels(path: Path) -> bool:
    with opened(path) as picture:
        red, green, blue = pixels(picture, 3)
    return np.array_equal(red, green) and np.array_equal(red, blue)


def _spread(paths: Sequence[Path], most: int) -> list[Path]:
    """Returns at most this many of the paths, evenly spread."""
    return [paths[place] for place in spread(len(paths), most)]
