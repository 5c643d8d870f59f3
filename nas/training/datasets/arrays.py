"""Reads arrays that numpy has saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.configuration import Place
from nas.errors import InputError, in_file
from nas.files import at_home, readable_file
from nas.memory import check_memory, check_unpacked
from nas.training.datasets.images import (
    Ignored,
    Images,
    Resolution,
    assembled,
    checksum,
    common_shape,
    with_channels,
)
from nas.training.datasets.parts import Role, arranged, words_of
from nas.training.datasets.pictures import Fit, as_bytes, pixels, with_geometry
from nas.training.datasets.stored import Pixels, check_memory_of

_KEYS = (
    "images and labels, and, for official parts, val_images, val_labels, test_images and "
    "test_labels (or x_train, y_train and so on)"
)
_HALF = 2**15
_IMAGES = {"images", "image", "img", "imgs", "x", "data"}
_LABELS = {"labels", "label", "targets", "target", "y", "masks", "mask"}


def arrays(
    *,
    path: Place,
    resolution: Resolution = None,
    fit: Fit = "crop",
    ignore: Ignored = None,
    volumes: bool = False,
) -> Images:
    """Reads an ``.npz`` file with ``images`` and ``labels``, or a folder with ``images.npy`` etc.

    ``test_images`` and ``test_labels`` are the official test part, ``val_images`` and
    ``val_labels`` the official validation part; ``train_images``, ``x_train`` and other usual
    spellings are understood, too. Images are [N, H, W], [N, H, W, C] or [N, C, H, W], of uint8,
    uint16, bool, or floats from 0 to 1. For labels see :mod:`nas.training.datasets.labels`; masks
    are [N, H, W].

    Args:
        path: the file or the folder.
        resolution: the side of the images in pixels; null keeps their size.
        fit: ``crop`` cuts the middle out of images that are not square; ``squeeze`` distorts them.
        ignore: a class of masks whose pixels are ignored, besides 255.
        volumes: whether images are volumes, [N, D, H, W] or [N, C, D, H, W]; they keep their size.
    """
    place = at_home(path)
    size = (resolution, resolution) if resolution is not None else None
    if volumes and size is not None:
        raise InputError("volumes keep their size; leave it out", "resolution")
    counts: dict[Role, int] = {}
    labels: list[Any] = []
    held: list[Pixels] = []
    digests: list[bytes] = []
    for part, (images, truth) in _parts(_load(place), place).items():
        name = "" if part == "train" else f"{part}_"
        found = _pixels(images, f"{place}: {name}images", volumes)
        if truth.shape[:1] != (len(found),):
            raise InputError(
                f"{place}: {name}labels: are {truth.dtype} of {list(truth.shape)}; expected "
                f"{len(found)} whole numbers from 0, names, or one-hot rows"
            )
        if size is not None:
            check_memory_of(len(found), (found.shape[1], *size), place)
        counts[part] = len(found)
        if truth.ndim > 2:
            with in_file(f"{place}: {name}labels"):
                pairs = zip(found, truth, strict=True)
                labels += [with_geometry(label, image, size, fit) for image, label in pairs]
        else:
            labels += [*truth]
        digests += [checksum(image) for image in found]
        held += [*found] if volumes else [pixels(image, None, size, fit) for image in found]
    channels, *_ = common_shape({image.shape for image in held}, place)
    images = np.stack([with_channels(image, channels) for image in held])
    return assembled(
        images, labels, counts, place, ignore=ignore, digests=digests, resized=size is not None
    )


def _parts(
    held: dict[str, npt.NDArray[Any]], place: Path
) -> dict[Role, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Finds the images and the labels of each part by the names of the arrays."""
    names = ", ".join(sorted(held)) or "nothing"
    found: dict[str, dict[bool, npt.NDArray[Any]]] = {}
    for name, values in held.items():
        words = words_of(name)
        kinds = [word for word in words if word in _IMAGES | _LABELS]
        others = [word for word in words if word not in _IMAGES | _LABELS]
        if len(kinds) != 1 or len(others) > 1:
            raise InputError(f"{place}: holds {names}; {name} is not understood: expected {_KEYS}")
        found.setdefault("".join(others) or "train", {})[kinds[0] in _IMAGES] = values
    if not found:
        raise InputError(f"{place}: holds {names}; expected {_KEYS}")
    parts = arranged(found, place)
    for part in parts.values():
        if len(part) < 2:
            raise InputError(f"{place}: holds {names}; expected {_KEYS}")
    return {role: (part[True], part[False]) for role, part in parts.items()}


def _load(place: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        if place.is_dir():
            files = sorted(
                file for file in place.iterdir() if file.suffix == ".npy" and file.is_file()
            )
            check_memory(sum(file.stat().st_size for file in files), f"{place}: its arrays")
            return {file.stem: np.load(file, allow_pickle=False) for file in files}
        with readable_file(place) as opened:
            check_unpacked(opened, f"{place}: its arrays")
            opened.seek(0)
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.ndarray):
                return dict(file)
    except OSError as error:
        raise InputError(f"{place}: {error.strerror or error}; expected {_KEYS}") from None
    except InputError:
        raise
    except Exception as error:  # a damaged file may raise any exception
        raise InputError(f"{place}: is not a file of arrays: {error}; expected {_KEYS}") from None
    raise InputError(f"{place}: is a single array; expected .npz, or a folder of .npy: {_KEYS}")


def _pixels(images: npt.NDArray[Any], where: str, volumes: bool) -> Pixels:
    """Returns images as uint8, [N, C, H, W]; uint16 must use more than half of its range.

    Volumes are [N, C, D, H, W].
    """
    expected = "expected [N, H, W], [N, H, W, C] or [N, C, H, W], with 1, 3 or 4 channels"
    if volumes:
        expected = "expected [N, D, H, W] or [N, C, D, H, W]"
    with in_file(where):
        if images.ndim not in ((4, 5) if volumes else (3, 4)) or 0 in images.shape:
            raise InputError(f"are {images.dtype} of {list(images.shape)}; {expected}")
        if images.dtype == np.uint16 and images.max() <= _HALF:
            raise InputError(
                f"holds uint16 from 0 to {images.max()}, so that 65,535 can hardly be white; save "
                "them as uint8, or as floats from 0 to 1"
            )
        values = as_bytes(images)
        if volumes:
            return values if values.ndim == 5 else values[:, None]
        if values.ndim == 3:
            return values[:, None]
        if values.shape[1] in (1, 3):
            return values
        if values.shape[3] in (1, 3, 4):
            return np.ascontiguousarray(values[..., :3].transpose(0, 3, 1, 2))
        raise InputError(f"are of {list(images.shape)}; {expected}")
