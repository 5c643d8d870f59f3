"""Reads data sets in the format of the contest "NAS on Unseen Data".

It is that of Geada et al. 2024 (arXiv:2404.02189): a folder of arrays with the official parts and a
file of metadata. The values may have any type and range.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from nas.configuration import Config, Place, validate
from nas.errors import InputError, in_file
from nas.files import at_home, open_to_read, read_json
from nas.training.datasets.files import LeftOut, folders, pictures
from nas.training.datasets.images import Images, check_labels
from nas.training.datasets.parts import Role
from nas.training.datasets.scaling import chunks, to_pixels, value_range
from nas.training.datasets.stored import Integers, check_memory_of

METADATA = "metadata"
"""The name of the file of metadata, which is JSON."""

_PARTS: dict[Role, str] = {"train": "train", "validation": "valid", "test": "test"}
"""How the files of the parts begin."""

_FILES = (METADATA, *(f"{name}_{kind}.npy" for name in _PARTS.values() for kind in "xy"))
"""The files of a data set."""


class Metadata(Config):
    """What is read of the file ``metadata``.

    Its ``codename``, ``benchmark`` and ``time_limit`` are for people and for submissions. Keys of
    other versions of the format are ignored, too.
    """

    model_config = ConfigDict(extra="ignore")

    input_shape: tuple[int, ...]
    """The shape of the training images, or of one image."""
    num_classes: Annotated[int, Field(ge=2, le=10**6, strict=False)]
    """The number of classes."""


def is_unseen(path: Path) -> bool:
    """Tells if a folder has this format."""
    return (path / METADATA).is_file() and (path / "train_x.npy").is_file()


def is_incomplete(path: Path) -> bool:
    """Tells if a folder has a file of this format, and no pictures or folders that may hold them.

    Reading it names the file that is missing.
    """
    held = any((path / name).is_file() for name in _FILES)
    return held and not folders(path) and not pictures(path, LeftOut(path))


def read_metadata(root: Path) -> Metadata:
    """Reads the file of metadata of a data set."""
    path = root / METADATA
    with in_file(path):
        return validate(Metadata, read_json(path))


def unseen(*, root: Place) -> Images:
    """Arrays of any type and range, ``train_x.npy``, ``train_y.npy`` and so on, with ``metadata``.

    Images are [N, C, H, W]; [N, H, W] has one channel, and [N, C, D, H, W] are volumes. The labels
    of the test part, ``test_y.npy``, may be missing: then nothing is measured on it. Values become
    whole numbers from 0 to 255, by the range of the training part, see
    :func:`nas.training.datasets.scaling.to_pixels`.

    Args:
        root: the folder.
    """
    place = Path(os.path.abspath(at_home(root)))
    files = [place / name for name in _FILES if (place / name).exists()]
    return _images(place, tuple((file.name, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=1)  # a campaign reads a data set several times
def _images(place: Path, changed: object) -> Images:
    told = read_metadata(place)
    held = {part: _read(place / f"{name}_x.npy") for part, name in _PARTS.items()}
    shape = held["train"].shape[1:]
    _check_shapes(place, told, held)
    image_shape = shape if len(shape) > 2 else (1, *shape)
    count = sum(map(len, held.values()))
    check_memory_of(count, image_shape, place)
    low, high = value_range(np.asarray(held["train"]))
    images = np.empty((count, *image_shape), np.uint8)
    notes, labels, end = [], [], 0
    for part, name in _PARTS.items():
        values, wrong = held[part], 0
        for chunk in chunks(values):
            wrong += int(chunk.size - np.isfinite(chunk).sum())
            start, end = end, end + len(chunk)
            images[start:end] = to_pixels(chunk, low, high)
        if wrong:
            notes.append(
                f"warning: {place / f'{name}_x.npy'}: {wrong:,} of {values.size:,} values are not "
                "finite; they are read as the lowest value"
            )
        labels.append(_labels(place / f"{name}_y.npy", len(values), told.num_classes, part))
    counts = {part: len(values) for part, values in held.items()}
    return Images(
        images,
        np.concatenate(labels),
        told.num_classes,
        official_test=counts["test"],
        official_validation=counts["validation"],
        notes=tuple(notes),
        value_range=None
        if held["train"].dtype == np.uint8
        else (tuple(low.tolist()), tuple(high.tolist())),
    )


def _read(path: Path) -> npt.NDArray[Any]:
    """Opens the file of an array without reading all of it."""
    with in_file(path):
        try:
            open_to_read(path).close()
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}") from None
        except InputError:
            raise
        except Exception as error:  # a damaged file may raise any exception
            raise InputError(f"is not an array that numpy has saved: {error}") from None
        if not isinstance(found, np.ndarray):
            raise InputError("holds several arrays; expected one")
        if found.dtype.kind not in "buif":
            raise InputError(f"is an array of {found.dtype}; expected numbers")
        return found


def _check_shapes(place: Path, told: Metadata, held: dict[Role, npt.NDArray[Any]]) -> None:
    """Checks that the images of all parts are as the metadata say."""
    shape = held["train"].shape[1:]
    for part, values in held.items():
        path = place / f"{_PARTS[part]}_x.npy"
        if values.ndim not in (3, 4, 5) or 0 in values.shape:
            raise InputError(
                f"{path}: is of {list(values.shape)}; expected [N, C, H, W], [N, H, W] or "
                "[N, C, D, H, W]"
            )
        if values.shape[1:] != shape:
            raise InputError(
                f"{path}: holds images of {list(values.shape[1:])}, train_x.npy of {list(shape)}"
            )
    # It may begin with the number of images of the training part, or of all parts.
    count, *rest = told.input_shape or (0,)
    counted = tuple(rest) if count >= len(held["train"]) else told.input_shape
    if not {told.input_shape, counted} & {shape, (1, *shape)}:
        raise InputError(
            f"{place / METADATA}: input_shape: is {list(told.input_shape)}, but the images are of "
            f"{list(shape)}"
        )


def _labels(path: Path, count: int, classes: int, part: Role) -> Integers:
    """Reads the labels of a part; those of the test part may be missing, and are then -1."""
    if part == "test" and not path.exists():
        return np.full(count, -1, np.int64)
    found = np.asarray(_read(path))
    if found.size != count or found.shape[:1] != (count,):
        raise InputError(f"{path}: is of {list(found.shape)}; expected {count} labels")
    numbers = found.reshape(-1).astype(np.float64)
    if not (np.isfinite(numbers) & (numbers == np.rint(numbers))).all():
        raise InputError(f"{path}: holds a label that is no whole number")
    where = f"{path} (num_classes in {METADATA}: {classes})"
    return check_labels(numbers.astype(np.int64), classes, where)
