"""Splits each data set into train, validation and test images.

A search gets a :class:`SearchData`, which has no test images. Only :func:`held_out` returns the
test part. Only the final stage calls it, and what checks or measures a network after it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, model_validator

from nas.configuration import Config, Name, validate, validate_options
from nas.errors import InputError, at
from nas.training.datasets import DATASETS, Images, Integers, Stored
from nas.training.datasets.images import checksum
from nas.training.datasets.labels import LabelArray, kind_of, strata
from nas.training.datasets.objects import lacking
from nas.training.datasets.parts import ROLES, Role
from nas.training.datasets.pictures import Fit
from nas.training.datasets.python import as_images
from nas.training.datasets.stored import Inputs

Fraction = Annotated[float, Field(gt=0, lt=1)]
Floats = npt.NDArray[np.float64]

_CHUNK = 256
"""How many images are processed at a time, if all at once would need too much memory."""
_CHUNK_BYTES = 2**28
"""The largest number of bytes of these images; one image may have more."""
_NAMED = 6
"""The largest number of classes that a message names."""


class SplitConfig(Config):
    """The fractions of every class that each part gets, and the seed of the random choice.

    Official parts of the data set have no fraction; the others share the remaining images, so their
    fractions sum to 1. Without any fraction, the split is that of :data:`SPLITS`.
    """

    train: Fraction | None = None
    """The share of the training part."""
    validation: Fraction | None = None
    """The share of the validation part, which searches see."""
    test: Fraction | None = None
    """The share of the test part, which only the final stage sees."""
    seed: Annotated[int, Field(ge=0)] = 0
    """The seed of the random choice."""
    of: Literal["images", "classes"] = "images"
    """What is divided: the images of every class, or the classes, each with all of its images."""

    @property
    def fractions(self) -> dict[Role, float]:
        """Returns the fractions that are given, by their parts."""
        given: dict[Role, float | None] = {each: getattr(self, each) for each in ROLES}
        return {each: part for each, part in given.items() if part is not None}

    @model_validator(mode="after")
    def _sum_to_one(self) -> "SplitConfig":
        total = sum(self.fractions.values())
        if self.fractions and abs(total - 1) > 1e-9:
            raise InputError(f"the fractions must sum to 1, but sum to {total:.10g}")
        return self


SPLITS: dict[tuple[Role, ...], dict[str, float]] = {
    ("train", "validation", "test"): {"train": 0.6, "validation": 0.2, "test": 0.2},
    ("train", "validation"): {"train": 0.9, "validation": 0.1},
    ("train", "test"): {"train": 0.8, "test": 0.2},
    ("train",): {},
}
"""The fractions of a split that gives none, by the parts that are not official ones."""


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


def completed(config: SplitConfig, images: Images) -> SplitConfig:
    """Fills in the fractions of a split that gives none, and checks others against the data set.

    Raises :class:`InputError` if there is a fraction for an official part, or none for another one.
    """
    official = {"validation": images.official_validation, "test": images.official_test}
    free = tuple(each for each in ROLES if not official.get(each))
    if not config.fractions:
        return config.model_copy(update=SPLITS[free])
    for each, held in official.items():
        if held and each in config.fractions:
            allowed = f"make {' and '.join(free)} sum to 1" if free[1:] else "leave split out"
            raise InputError(
                f"split.{each}: the data set has an official {each} part of {held} images: leave "
                f"{each} out, and {allowed}; got {config.fractions[each]}"
            )
    for each in free:
        if each not in config.fractions and free[1:]:
            raise InputError(
                f"split.{each}: is required, because the data set has no official {each} part"
            )
    return config


def split(images: Images, config: SplitConfig) -> Split:
    """Makes the stratified split: each class is divided by the fractions, by largest remainder.

    A split of classes puts all images of a class into one part.

    Raises :class:`InputError` if the fractions contradict the data set, or if there are too few
    images of a class, or classes, to put one into every part.
    """
    fractions = completed(config, images).fractions
    free = len(images.labels) - images.official_validation - images.official_test
    labels = strata(images.labels[:free])
    shares = list(fractions.values()) or [1.0]
    groups = images.classes if images.kind == "classes" else 1
    rng = np.random.default_rng(config.seed)
    drawn: list[list[Integers]] = [[] for _ in shares]
    if config.of == "classes":
        present = np.unique(labels)
        if images.kind != "classes" or 0 in largest_remainder(len(present), shares):
            raise InputError(
                f"split: {len(present)} class(es) are too few for fractions {shares} of classes"
            )
        for part, chosen in zip(drawn, _divided(present, shares, rng), strict=True):
            part.append(np.flatnonzero(np.isin(labels, chosen)))
    else:
        _check_counts(images, np.bincount(labels, minlength=groups), shares)
        for label in range(groups):
            members = np.flatnonzero(labels == label)
            for part, chosen in zip(drawn, _divided(members, shares, rng), strict=True):
                part.append(chosen)
    parts = dict(zip(fractions or ("train",), map(_sorted, drawn), strict=True))
    ends = len(images.labels) - images.official_test
    if images.official_validation:
        parts["validation"] = np.arange(free, ends, dtype=np.int64)
    if images.official_test:
        parts["test"] = np.arange(ends, len(images.labels), dtype=np.int64)
    return Split(**parts)


def _divided(members: Integers, shares: list[float], rng: np.random.Generator) -> list[Integers]:
    sizes = largest_remainder(len(members), shares)
    return np.split(rng.permutation(members), np.cumsum(sizes)[:-1])


def _sorted(drawn: list[Integers]) -> Integers:
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def _check_counts(images: Images, counts: npt.NDArray[np.int64], shares: list[float]) -> None:
    """Checks that every class has an image for each part; the message has all counts."""
    few = [label for label, n in enumerate(counts) if 0 in largest_remainder(int(n), shares)]
    if not few:
        return
    if images.kind != "classes":
        raise InputError(f"split: {counts[0]} images are too few for fractions {shares}")
    needed = next(n for n in count(len(shares)) if 0 not in largest_remainder(n, shares))
    named = [
        f"class {label}{f' ({images.names[label]})' if images.names else ''} has {counts[label]}"
        for label in few[:_NAMED]
    ]
    more = f", and {len(few) - _NAMED} more classes" if len(few) > _NAMED else ""
    raise InputError(
        f"split: {' images, '.join(named)} images{more}: too few for fractions {shares}, which "
        f"need {needed} images of every class"
    )


def duplicates(images: Images, parts: Split) -> Iterator[str]:
    """Yields a note for each two parts that share an image, byte for byte."""
    digests = images.digests
    if digests is None:
        if isinstance(images.images, Stored):
            return
        digests = [checksum(image) for image in images.images]
    held = {"training": parts.train, "validation": parts.validation, "test": parts.test}
    for one, other in (("test", "training"), ("test", "validation"), ("validation", "training")):
        first = {digests[position]: position for position in held[other].tolist()}
        equal = [position for position in held[one].tolist() if digests[position] in first]
        if equal:
            example = images.place(equal[0]), images.place(first[digests[equal[0]]])
            yield (
                f"warning: {len(equal)} of {len(held[one])} {one} images are equal to {other} "
                f"images, byte for byte, as {example[0]} to {example[1]}: results on them are too "
                "good"
            )


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

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user: files that were not read, and images that two parts share."""
        images, parts = self.images, vars(self.split)
        told = [*images.notes, *duplicates(images, self.split)]
        if images.kind == "boxes":
            names = images.names or tuple(map(str, range(images.classes)))
            told += lacking(images.labels, parts, names)
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
        )


def load(config: DataConfig) -> Loaded:
    """Loads a data set and divides it; raises :class:`InputError` for bad files or splits."""
    images = read_images(config.name, config.options)
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
