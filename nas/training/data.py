"""Loads the train, validation and test images of a data set.

A search gets a :class:`SearchData`, which has no test images. Only :func:`held_out` returns the
test part. Only the final stage calls it, and what checks or measures a network after it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from nas.configuration import Config, Name, validate, validate_options
from nas.errors import at
from nas.training.datasets import DATASETS, Images, Integers, Stored
from nas.training.datasets.labels import LabelArray, kind_of, strata
from nas.training.datasets.objects import without_boxes
from nas.training.datasets.parts import ROLES, Role
from nas.training.datasets.pictures import Fit
from nas.training.datasets.python import as_images
from nas.training.datasets.stored import Inputs
from nas.training.splitting import Split, SplitConfig, completed, duplicates, lacking, split

Floats = npt.NDArray[np.float64]

_CHUNK = 256
"""How many images are processed at a time, if all at once would need too much memory."""
_CHUNK_BYTES = 2**28
"""The largest number of bytes of these images; one image may have more."""


class DataConfig(Config):
    """The section ``data`` of a campaign: a data set, the options of its loader, and the split."""

    model_config = ConfigDict(extra="allow")

    name: Name
    """The data set, or a function of yours."""
    split: SplitConfig = SplitConfig()
    """The shares of the parts; by default they depend on the official parts of the data set."""

    @property
    def options(self) -> dict[str, Any]:
        """Returns the options of the loader."""
        return dict(self.model_extra or {})


def resolve(data: Any, folder: Path | None = None) -> DataConfig:
    """Makes a :class:`DataConfig` of plain values, and checks the options of the loader.

    Relative paths start at ``folder``, by default the current folder, and become absolute. Raises
    :class:`InputError` with the key path.
    """
    config = validate(DataConfig, data, folder)
    with at("name"):
        loader = DATASETS[config.name]
    return config.model_copy(update=validate_options(loader, config.options, folder))


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a data set: ``images``, uint8 [N, C, H, W], and their ``labels``."""

    images: Inputs | Stored
    labels: LabelArray

    @property
    def labelled(self) -> bool:
        """Tells if the labels are known; classes that are not known are -1."""
        return kind_of(self.labels) != "classes" or bool((self.labels >= 0).all())

    @property
    def pipeline(self) -> Literal["resident", "streamed"]:
        """Tells if the images are kept in the device's memory or are read in every epoch."""
        return "streamed" if isinstance(self.images, Stored) else "resident"


@dataclass(frozen=True, eq=False)
class SearchData:
    """The parts of a data set that a search may see.

    Attributes:
        train: the training part.
        validation: the validation part.
        mean: the mean of the training pixels of each channel, in units of a pixel (0 to 255).
        std: the standard deviation of the training pixels of each channel, in the same unit.
        classes: the number of classes, or of values per image.
        checksum: the checksum of the split.
        fingerprint: the fingerprint of all images and labels.
        names: the names of the classes; None if the data set has none.
        fit: how pictures of another aspect ratio are brought to the size of the images.
        value_range: that of :class:`nas.training.datasets.images.Images`.
    """

    train: Part
    validation: Part
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int
    checksum: str
    fingerprint: str = ""
    names: tuple[str, ...] | None = None
    fit: Fit = "crop"
    value_range: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Returns the shape of an image, (C, H, W)."""
        return self.train.images.shape[1:]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A data set that has been loaded, with its split; :func:`load` makes it.

    Attributes:
        config: the section ``data`` with all fractions of the split.
        images: all images.
        split: the indices of the parts.
    """

    config: DataConfig
    images: Images
    split: Split

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user: files that were not read, images that two parts share, and classes
        that a part lacks.
        """
        images, parts = self.images, self.split
        told = [*images.notes, *duplicates(images, parts), *lacking(images, parts)]
        if images.kind == "boxes":
            names = images.names or tuple(map(str, range(images.classes)))
            told += without_boxes(images.labels, vars(parts), names)
        return tuple(told)

    @property
    def labels(self) -> dict[Role, LabelArray]:
        """The labels of the images of each part."""
        return {role: self.images.labels[getattr(self.split, role)] for role in ROLES}

    def search(self) -> SearchData:
        """Returns the parts that a search may see.

        Raises :class:`InputError` if an image of any part is damaged.
        """
        images, parts = self.images, self.split
        train = _part(images, parts.train)
        mean, std = _statistics(train.images)
        if isinstance(images.images, Stored):  # damaged files are found now, not after training
            unread = [parts.validation, parts.test] if images.streamed else [parts.test]
            for _ in _chunks(images.images[np.concatenate(unread)]):
                pass
        return SearchData(
            train=train,
            validation=_part(images, parts.validation),
            mean=tuple(mean.tolist()),
            std=tuple(np.where(std > 0, std, 1.0).tolist()),
            classes=images.classes,
            checksum=parts.checksum,
            fingerprint=images.fingerprint,
            names=images.names,
            fit=self.config.options.get("fit", "crop"),
            value_range=images.value_range,
        )


def load(config: DataConfig) -> Loaded:
    """Loads a data set and divides it; raises :class:`InputError` for bad files or splits."""
    return divided(config, read_images(config.name, config.options))


def divided(config: DataConfig, images: Images) -> Loaded:
    """Divides images that are loaded already; raises :class:`InputError` for bad splits."""
    filled = config.model_copy(update={"split": completed(config.split, images)})
    return Loaded(filled, images, split(images, filled.split))


def search_data(config: DataConfig) -> SearchData:
    """Loads the train and validation parts; raises :class:`InputError` for bad files or splits."""
    return load(config).search()


def _statistics(images: Inputs | Stored) -> tuple[Floats, Floats]:
    """Computes mean and standard deviation of each channel, exactly, by sums of integers.

    Those of floats, as series have, are computed by numpy.
    """
    if not isinstance(images, Stored) and images.dtype != np.uint8:
        axes = (0, *range(2, images.ndim))
        return images.mean(axes, np.float64), images.std(axes, np.float64)
    count, channels, *sides = images.shape
    total, squares = np.zeros(channels, np.uint64), np.zeros(channels, np.uint64)
    for chunk in _chunks(images):
        axes = (0, *range(2, chunk.ndim))
        total += chunk.sum(axes, dtype=np.uint64)
        squares += np.square(chunk, dtype=np.uint16).sum(axes, dtype=np.uint64)
    pixels = count * math.prod(sides)
    mean = total / pixels
    return mean, np.sqrt(squares / pixels - mean**2)


def _chunks(images: Inputs | Stored) -> Iterator[Inputs]:
    """Yields all images in order, some at a time; stored images are read."""
    step = max(1, min(_CHUNK, _CHUNK_BYTES // math.prod(images.shape[1:])))
    lists = [range(i, min(i + step, len(images))) for i in range(0, len(images), step)]
    if isinstance(images, Stored):
        yield from (chunk.numpy() for chunk in images.batches(lists))
    else:
        yield from (images[chunk.start : chunk.stop] for chunk in lists)


def part_of_training(data: SearchData, percent: int, seed: int) -> SearchData:
    """Reduces the training images of every class to a percentage, rounded up.

    The seed decides which images are chosen; a larger percentage includes the images of a smaller
    one. Mean and standard deviation remain those of all training images.
    """
    rng = np.random.default_rng((seed, 1))
    labels = strata(data.train.labels)
    chosen = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(members[: -(-len(members) * percent // 100)])
    indices = np.sort(np.concatenate(chosen))
    return replace(data, train=Part(data.train.images[indices], data.train.labels[indices]))


def held_out(config: DataConfig, number: int | None = None) -> Part:
    """Loads the test part, or only a ``number`` of its images, evenly spaced.

    Only the final stage calls this, and what checks or measures a network after it.
    """
    loaded = load(config)
    chosen = loaded.split.test
    if number is not None:
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(number, len(chosen))).astype(int)]
    return _part(loaded.images, chosen)


def named_part(config: DataConfig, role: Role) -> tuple[Part, list[str], str]:
    """Loads one part, the place of each of its images, and the checksum of the split.

    Only what looks at a network after the final stage calls this.
    """
    loaded = load(config)
    chosen: Integers = getattr(loaded.split, role)
    places = [loaded.images.place(position) for position in chosen.tolist()]
    return _part(loaded.images, chosen), places, loaded.split.checksum


def read_images(name: str, options: Mapping[str, Any]) -> Images:
    """Loads all images of a data set, which is built in or returned by a user's function."""
    load = DATASETS[name]
    made = load(**validate_options(load, options))
    return as_images(made, name)


def _part(images: Images, indices: Integers) -> Part:
    chosen = images.images[indices]
    if isinstance(chosen, Stored) and not images.streamed:
        chosen = chosen.read()
    return Part(chosen, images.labels[indices])
