"""Reads data sets that a user's Python function returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from nas.configuration import Name
from nas.errors import InputError, in_file
from nas.registry import load
from nas.training.datasets.images import (
    Ignored,
    Images,
    Resolution,
    assembled,
    checksum,
    common_shape,
    with_channels,
)
from nas.training.datasets.parts import Role, arranged
from nas.training.datasets.pictures import Fit, Size, pixels, with_geometry
from nas.training.datasets.stored import (
    MEMORY_GB,
    Gigabytes,
    Pixels,
    Stored,
    is_streamed,
)

Colour = Literal["rgb", "grey"] | None

_IMAGE = ("image", "img", "picture", "pixels", "images", "x")
_LABEL = ("label", "labels", "target", "class", "y", "fine_label", "mask", "masks", "objects")
"""The keys of a dict that stands for an image and its label; the first that it has is taken."""

_TUPLES: dict[int, tuple[Role, ...]] = {
    1: ("train",),
    2: ("train", "test"),
    3: ("train", "validation", "test"),
}
"""What the parts of a tuple are."""

_EXPECTED = (
    "must return a dataset of pairs of an image and its label, or a tuple of two (train, test) or "
    "three (train, validation, test), or a dict of these by name"
)


def python(
    *,
    function: Name,
    resolution: Resolution = None,
    memory_gb: Gigabytes = MEMORY_GB,
    colour: Colour = None,
    fit: Fit = "crop",
    ignore: Ignored = None,
) -> Images:
    """Any map-style dataset, which has a length and, at each index, an image and its label.

    This is the interface of ``torch.utils.data.Dataset`` and of Hugging Face's ``datasets``, whose
    items are dicts with an image and a label. A pair of arrays, images and labels, is a dataset,
    too. For images see :func:`nas.training.datasets.pictures.pixels`, for labels
    :func:`nas.training.datasets.labels.numbered`.

    Args:
        function: ``"file.py:name"`` or ``"module:name"`` of a function without arguments that
            returns the dataset, or a tuple or dict of the training part and official parts.
        resolution: the side of the images in pixels; null keeps their size.
        memory_gb: if the images need more memory than this, in 10^9 bytes, each is read whenever
            it is needed. Labels are kept in memory, so the whole dataset is read once first.
        colour: whether images have three channels or one; null means three if any has three.
        fit: ``crop`` cuts the middle out of images that are not square; ``squeeze`` distorts them.
        ignore: a class of masks whose pixels are ignored, besides 255.
    """
    made = load(function, function)()
    return as_images(made, function, resolution, memory_gb, colour, fit, ignore)


def as_images(
    made: Any,
    function: str,
    resolution: Resolution = None,
    memory_gb: float = MEMORY_GB,
    colour: Colour = None,
    fit: Fit = "crop",
    ignore: Ignored = None,
) -> Images:
    """The images of what a user's function has returned; the arguments are those of :func:`python`.

    Raises :class:`InputError`, which begins with the function's name, where it is no dataset.
    """
    if isinstance(made, Images):
        return made
    try:
        parts = _parts(made, function)
        channels = {None: None, "grey": 1, "rgb": 3}[colour]
        size = (resolution, resolution) if resolution is not None else None
        return _images(parts, function, channels, size, fit, memory_gb, ignore)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{function}: {_EXPECTED}: {error}") from error


def _parts(made: Any, where: str) -> dict[Role, Any]:
    """Returns the datasets of what a function has returned by their parts."""
    if isinstance(made, Mapping) and not _is_arrays(made):
        return arranged(made, where)
    subsets = isinstance(made, list) and len(made) in _TUPLES and all(map(_is_object, made))
    if not (isinstance(made, tuple) or subsets) or _is_arrays(made):
        return {"train": made}
    if len(made) not in _TUPLES:
        raise InputError(f"{where}: {_EXPECTED}; got a tuple of {len(made)}")
    return dict(zip(_TUPLES[len(made)], made, strict=True))


def _is_object(part: Any) -> bool:
    """Tells if something is an object of a class for datasets, as in the list of random_split."""
    return (
        hasattr(part, "__getitem__")
        and not isinstance(part, tuple | list | Mapping)
        and not (hasattr(part, "shape") or isinstance(part, str | bytes))
    )


def _is_arrays(part: Any) -> bool:
    """Tells if a dataset is given as two arrays: all images, and all labels."""
    if isinstance(part, Mapping):
        return _key(part, _IMAGE) is not None and _key(part, _LABEL) is not None
    if not isinstance(part, tuple | list) or len(part) != 2:
        return False
    images, labels = (getattr(each, "shape", None) for each in part)
    if images is None or len(images) < 3:
        return False
    return isinstance(part[1], list) or (labels is not None and 1 <= len(labels) <= 3)


def _key(item: Mapping[str, Any], known: Sequence[str]) -> str | None:
    return next((key for key in known if key in item), None)


class _Dataset:
    """The items of one part, whatever form it has; it must be picklable if the part is."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self._arrays = None
        if _is_arrays(part):
            self._arrays = (
                (part[_key(part, _IMAGE)], part[_key(part, _LABEL)])
                if isinstance(part, Mapping)
                else tuple(part)
            )
            images, labels = map(len, self._arrays)
            if images != labels:
                raise ValueError(f"there are {labels} labels for {images} images")

    def __len__(self) -> int:
        return len(self._part if self._arrays is None else self._arrays[1])

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Returns an image and its label."""
        if self._arrays is not None:
            return self._arrays[0][index], self._arrays[1][index]
        item = self._part[index]
        if isinstance(item, Mapping):
            keys = _key(item, _IMAGE), _key(item, _LABEL)
            if None in keys:
                raise ValueError(
                    f"item {index} is a dict of {', '.join(map(str, item))}; expected image and "
                    "label"
                )
            return item[keys[0]], item[keys[1]]
        try:
            image, label = item
        except (TypeError, ValueError):
            kind = type(item).__name__
            raise ValueError(f"item {index} is of type {kind}, no pair and no dict") from None
        return image, label

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the classes, as Hugging Face's ``features`` or torchvision's ``classes``."""
        features = getattr(self._part, "features", None)
        known = _key(features, _LABEL) if isinstance(features, Mapping) else None
        names = (
            getattr(features[known], "names", None)
            if known is not None and isinstance(features, Mapping)
            else getattr(self._part, "classes", None)
        )
        return tuple(map(str, names)) if isinstance(names, list | tuple) else None


def _images(
    parts: Mapping[Role, Any],
    where: str,
    channels: int | None,
    size: Size | None,
    fit: Fit,
    memory_gb: float,
    ignore: int | None,
) -> Images:
    datasets = {role: _Dataset(part) for role, part in parts.items()}
    counts = {role: len(dataset) for role, dataset in datasets.items()}
    if empty := [role for role, count in counts.items() if not count]:
        raise InputError(f"{where}: {_EXPECTED}: the {empty[0]} part is empty")
    total = sum(counts.values())
    held: list[Pixels] = []
    shapes: set[tuple[int, ...]] = set()
    streamed = False
    labels: list[Any] = []
    digests: list[bytes] = []
    for position in range(total):
        role, index = _at(datasets, position)
        image, label = datasets[role][index]
        with in_file(f"{where}: {role} image {index}"):
            raw = pixels(image, channels)
        shape = (len(raw), *(size or raw.shape[1:]))
        if shape not in shapes:
            shapes.add(shape)
            streamed = is_streamed(total, max(shapes), memory_gb, where)
        with in_file(f"{where}: {role} image {index}"):
            one = pixels(raw, None, size, fit)
            labels.append(with_geometry(label, raw, size, fit))
        if not streamed:
            held.append(one)
        digests.append(checksum(raw))
    shape = common_shape(shapes, where)
    images: Pixels | Stored
    if streamed:
        images = Stored(partial(_read, datasets, shape[0], size, fit), np.arange(total), shape)
    else:
        images = np.stack([with_channels(one, shape[0]) for one in held])
    return assembled(
        images,
        labels,
        counts,
        where,
        datasets["train"].names,
        ignore,
        streamed=streamed,
        digests=digests,
        resized=size is not None,
    )


def image_sizes(made: Any, where: str, most: int) -> list[tuple[int, int]]:
    """Returns the width and height of some images that a function has returned, evenly spread."""
    if isinstance(made, Images):
        _, height, width = made.input_shape
        return [(width, height)]
    found = []
    for role, part in _parts(made, where).items():
        dataset = _Dataset(part)
        for index in spread(len(dataset), most):
            with in_file(f"{where}: {role} image {index}"):
                _, height, width = pixels(dataset[index][0]).shape
            found.append((width, height))
    return found


def spread(number: int, most: int) -> list[int]:
    """Returns at most ``most`` of the positions of a list, evenly spread."""
    return [*map(int, np.unique(np.linspace(0, number - 1, min(most, number)).astype(int)))]


def _at(datasets: Mapping[Role, _Dataset], position: int) -> tuple[Role, int]:
    """Returns the part and the index in it of the image at a position in the whole data set."""
    for role, dataset in datasets.items():
        if position < len(dataset):
            return role, position
        position -= len(dataset)
    raise IndexError(position)


def _read(
    datasets: Mapping[Role, _Dataset], channels: int, size: Size | None, fit: Fit, position: int
) -> Pixels:
    role, index = _at(datasets, position)
    return pixels(datasets[role][index][0], channels, size, fit)
