"""Splits the images of a data set into train, validation and test images."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from nas.configuration import Config
from nas.errors import InputError
from nas.training.datasets import Images, Integers, Stored
from nas.training.datasets.images import checksum
from nas.training.datasets.labels import strata
from nas.training.datasets.parts import ROLES, Role

Fraction = Annotated[float, Field(gt=0, lt=1)]

_NAMED = 6
"""The largest number of classes that a message names."""

_PARTS = ("training", "validation", "test")
"""The names of the parts in messages."""


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
    small_classes: Literal["refuse", "train"] = "refuse"
    """What happens to a class with too few images for all parts: the data set is refused, or all
    images of the class are training images."""

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

    A class without any image to divide is left out.

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
        counts = np.bincount(labels, minlength=groups)
        small = {
            label for label in np.flatnonzero(counts).tolist() if _is_small(counts[label], shares)
        }
        if small and config.small_classes == "refuse":
            raise _too_few(images, counts, shares, config)
        for label in range(groups):
            members = np.flatnonzero(labels == label)
            if label in small:
                drawn[0].append(members)
                continue
            for part, chosen in zip(drawn, _divided(members, shares, rng), strict=True):
                part.append(chosen)
        if not all(any(map(len, part)) for part in drawn):
            raise _too_few(images, counts, shares, config)
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


def _is_small(images: int, shares: list[float]) -> bool:
    return 0 in largest_remainder(int(images), shares)


def _too_few(
    images: Images, counts: npt.NDArray[np.int64], shares: list[float], config: SplitConfig
) -> InputError:
    """Returns the error for classes with too few images for each part, with their counts."""
    few = [label for label, n in enumerate(counts) if n and _is_small(n, shares)]
    if images.kind != "classes" or not few:
        return InputError(f"split: {counts.sum()} images are too few for fractions {shares}")
    needed = next(n for n in count(len(shares)) if not _is_small(n, shares))
    named = _listed([f"{_class(images, label)} has {counts[label]} images" for label in few])
    advice = "add images, or leave these classes out"
    if config.small_classes == "refuse":
        advice += "; split.small_classes: train puts all their images into the training part"
    return InputError(
        f"split: {named}: too few for fractions {shares}, which need {needed} images of every "
        f"class: {advice}"
    )


def _class(images: Images, label: int) -> str:
    return f"class {label}{f' ({images.names[label]})' if images.names else ''}"


def _listed(classes: list[str]) -> str:
    more = f", and {len(classes) - _NAMED} more classes" if len(classes) > _NAMED else ""
    return ", ".join(classes[:_NAMED]) + more


def lacking(images: Images, parts: Split) -> Iterator[str]:
    """Yields a note for each set of classes of which parts have no image.

    There is none if another part shares no class with the training part, as with identities. A part
    whose labels are unknown is left out.
    """
    if images.kind != "classes":
        return
    held = {
        name: set(np.unique(images.labels[positions]).tolist())
        for name, positions in zip(_PARTS, (parts.train, parts.validation, parts.test), strict=True)
    }
    held = {name: classes for name, classes in held.items() if classes and min(classes) >= 0}
    if any(classes.isdisjoint(held["training"]) for classes in held.values()):
        return
    lost: dict[tuple[int, ...], list[str]] = {}
    for name, classes in held.items():
        lost.setdefault(tuple(sorted({*range(images.classes)} - classes)), []).append(name)
    for missing, names in lost.items():
        if missing:
            listed = _listed([_class(images, label) for label in missing])
            yield f"warning: no {' or '.join(names)} image is of {listed}"


def duplicates(images: Images, parts: Split) -> Iterator[str]:
    """Yields a note for each two parts that share an image, byte for byte."""
    digests = images.digests
    if digests is None:
        if isinstance(images.images, Stored):
            return
        digests = [checksum(image) for image in images.images]
    held = dict(zip(_PARTS, (parts.train, parts.validation, parts.test), strict=True))
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
