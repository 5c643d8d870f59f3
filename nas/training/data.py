"""Splits each data set into train, validation and test images.

A search gets a :class:`SearchData`, which has no test images. Only :func:`held_out` returns the
test part, and only the final stage calls it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, model_validator

from nas.configuration import Config, Name, validate, validate_options
from nas.errors import InputError, at
from nas.training.datasets import DATASETS, Images, Integers, Pixels, Stored
from nas.training.datasets.python import as_images

Fraction = Annotated[float, Field(gt=0, lt=1)]
Floats = npt.NDArray[np.float64]

_CHUNK = 256
"""How many images are processed at a time, if all at once would need too much memory."""


class SplitConfig(Config):
    """The fractions of every class that each part gets, and the seed of the random choice.

    If the data set has an official test part, ``test`` is left out, and train and validation share
    the other images.
    """

    train: Fraction
    validation: Fraction
    test: Fraction | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _sum_to_one(self) -> "SplitConfig":
        given = [part for part in (self.train, self.validation, self.test) if part is not None]
        if abs(sum(given) - 1) > 1e-9:
            raise InputError(f"the fractions must sum to 1, but sum to {sum(given):.10g}")
        return self


class DataConfig(Config):
    """The section ``data`` of a campaign: a data set, the options of its loader, and the split."""

    model_config = ConfigDict(extra="allow")

    name: Name
    split: SplitConfig

    @property
    def options(self) -> dict[str, Any]:
        """Returns the options of the loader."""
        return dict(self.model_extra or {})


def resolve(data: Any, folder: Path | None = None) -> DataConfig:
    """Makes a :class:`DataConfig` of plain values, and checks the options of the loader.

    Relative paths of users' files start at ``folder``, by default the current folder. Raises
    :class:`InputError` with the key path.
    """
    config = validate(DataConfig, data, folder)
    with at("name"):
        loader = DATASETS[config.name]
    validate_options(loader, config.options)
    return config


@dataclass(frozen=True, eq=False)
class Split:
    """The sorted indices of train, validation and test images; each image is in one part."""

    train: Integers
    validation: Integers
    test: Integers

    @property
    def checksum(self) -> str:
        """Returns a hash of the indices, 16 hex digits; equal splits have equal checksums."""
        digest = blake2b(digest_size=8)
        for part in (self.train, self.validation, self.test):
            digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
        return digest.hexdigest()


def split(images: Images, config: SplitConfig) -> Split:
    """Makes the stratified split: each class is divided by the fractions, by largest remainder.

    Raises :class:`InputError` if ``config.test`` contradicts the data set, or if a class has too
    few images to put one into every part.
    """
    if images.official_test and config.test is not None:
        raise InputError(
            f"split.test: the data set has an official test part of {images.official_test} images: "
            f"leave test out, and make train and validation sum to 1; got {config.test}"
        )
    if not images.official_test and config.test is None:
        raise InputError("split.test: is required, because the data set has no official test part")
    fractions = [part for part in (config.train, config.validation, config.test) if part]
    rng = np.random.default_rng(config.seed)
    free = len(images.labels) - images.official_test
    drawn: list[list[Integers]] = [[] for _ in fractions]
    for label in range(images.classes):
        members = rng.permutation(np.flatnonzero(images.labels[:free] == label))
        sizes = largest_remainder(len(members), fractions)
        if 0 in sizes:
            name = f" ({images.names[label]})" if images.names else ""
            raise InputError(
                f"split: class {label}{name} has {len(members)} images, too few for fractions "
                f"{fractions}"
            )
        for part, chosen in zip(drawn, np.split(members, np.cumsum(sizes)[:-1]), strict=True):
            part.append(chosen)
    parts = [np.sort(np.concatenate(part)).astype(np.int64) for part in drawn]
    if images.official_test:
        parts.append(np.arange(free, len(images.labels), dtype=np.int64))
    return Split(*parts)


def largest_remainder(total: int, fractions: list[float]) -> list[int]:
    """Divides a total by fractions that sum to 1, by the method of largest remainders.

    Each part gets the whole part of its share; what is left goes to the largest remainders, and
    among equal ones to the first.
    """
    quotas = [total * fraction for fraction in fractions]
    sizes = [int(quota) for quota in quotas]
    # Remainders are rounded, so that those of 25 * 0.02 and 25 * 0.14 are equal.
    order = sorted(range(len(quotas)), key=lambda i: (-round(quotas[i] - sizes[i], 9), i))
    for i in order[: total - sum(sizes)]:
        sizes[i] += 1
    return sizes


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a data set: ``images``, uint8 [N, C, H, W], and ``labels``, int64 [N]."""

    images: Pixels | Stored
    labels: Integers

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
        classes: the number of classes.
        checksum: the checksum of the split.
        fingerprint: the fingerprint of all images and labels.
        names: the names of the classes; None if the data set has none.
    """

    train: Part
    validation: Part
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int
    checksum: str
    fingerprint: str = ""
    names: tuple[str, ...] | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Returns the shape of an image, (C, H, W)."""
        return self.train.images.shape[1:]


def search_data(config: DataConfig) -> SearchData:
    """Loads the train and validation parts; raises :class:`InputError` for bad files or splits."""
    images, parts = _load(config)
    train = _part(images, parts.train)
    mean, std = _statistics(train.images)
    if isinstance(images.images, Stored):  # damaged files are found now, and not after training
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
    )


def _statistics(images: Pixels | Stored) -> tuple[Floats, Floats]:
    """Computes mean and standard deviation of each channel, exactly, by sums of integers."""
    count, channels, height, width = images.shape
    total, squares = np.zeros(channels, np.uint64), np.zeros(channels, np.uint64)
    for chunk in _chunks(images):
        total += chunk.sum((0, 2, 3), dtype=np.uint64)
        squares += np.square(chunk, dtype=np.uint16).sum((0, 2, 3), dtype=np.uint64)
    pixels = count * height * width
    mean = total / pixels
    return mean, np.sqrt(squares / pixels - mean**2)


def _chunks(images: Pixels | Stored) -> Iterator[Pixels]:
    """Yields all images in order, some at a time; stored images are read."""
    lists = [range(i, min(i + _CHUNK, len(images))) for i in range(0, len(images), _CHUNK)]
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
    labels = data.train.labels
    chosen = []
    for label in range(data.classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(members[: -(-len(members) * percent // 100)])
    indices = np.sort(np.concatenate(chosen))
    return replace(data, train=Part(data.train.images[indices], labels[indices]))


def held_out(config: DataConfig) -> Part:
    """Loads the test part; only the final stage calls this."""
    images, parts = _load(config)
    return _part(images, parts.test)


def _load(config: DataConfig) -> tuple[Images, Split]:
    images = read_images(config.name, config.options)
    return images, split(images, config.split)


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
