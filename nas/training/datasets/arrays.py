"""Reads arrays that numpy has saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import InputError
from nas.training.datasets.images import Images, Resolution, with_test
from nas.training.datasets.stored import Integers, Pixels

_KEYS = "images and labels, and, for an official test part, test_images and test_labels"


def arrays(*, path: str, resolution: Resolution = None) -> Images:
    """Reads an ``.npz`` file with ``images`` and ``labels``, or a folder with ``images.npy`` etc.

    If there are ``test_images`` and ``test_labels``, they are the official test part. Images are
    uint8, [N, H, W], [N, H, W, C] or [N, C, H, W] with one or three channels. Labels are whole
    numbers from 0.

    Args:
        path: the file or the folder.
        resolution: the side of the images in pixels; null keeps their size.
    """
    place = Path(path).expanduser()
    held = _load(place)
    parts = []
    for prefix in ("", "test_"):
        images, labels = held.get(f"{prefix}images"), held.get(f"{prefix}labels")
        if images is None and labels is None and prefix:
            break
        if images is None or labels is None:
            names = ", ".join(sorted(held)) or "nothing"
            raise InputError(f"{place}: holds {names}; expected {_KEYS}")
        pixels = _pixels(images, f"{place}: {prefix}images")
        parts.append((pixels, _labels(labels, len(pixels), f"{place}: {prefix}labels")))
    shapes = {pixels.shape[1:] for pixels, _ in parts}
    if len(shapes) > 1:
        raise InputError(f"{place}: images and test_images differ in shape: {shapes}")
    classes = max(int(labels.max(initial=0)) for _, labels in parts) + 1
    return with_test(parts, classes, resolution)


def _load(place: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        if place.is_dir():
            return {p.stem: np.load(p, allow_pickle=False) for p in sorted(place.glob("*.npy"))}
        file = np.load(place, allow_pickle=False)
        if not isinstance(file, np.ndarray):
            with file:
                return dict(file)
    except OSError as error:
        raise InputError(f"{place}: {error.strerror or error}; expected {_KEYS}") from None
    except Exception as error:  # a damaged file may raise any exception
        raise InputError(f"{place}: is not a file of arrays: {error}; expected {_KEYS}") from None
    raise InputError(f"{place}: is a single array; expected .npz, or a folder of .npy: {_KEYS}")


def _pixels(images: npt.NDArray[Any], where: str) -> Pixels:
    expected = "expected uint8 of [N, H, W], [N, H, W, C] or [N, C, H, W], with C 1 or 3"
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        raise InputError(f"{where}: are {images.dtype} of {list(images.shape)}; {expected}")
    if images.ndim == 3:
        return images[:, None]
    if images.shape[1] in (1, 3):
        return images
    if images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    raise InputError(f"{where}: are of {list(images.shape)}; {expected}")


def _labels(labels: npt.NDArray[Any], count: int, where: str) -> Integers:
    if labels.dtype.kind not in "iu" or labels.shape != (count,) or labels.min(initial=0) < 0:
        raise InputError(
            f"{where}: are {labels.dtype} of {list(labels.shape)}; expected {count} whole numbers "
            "from 0"
        )
    return labels.astype(np.int64)
