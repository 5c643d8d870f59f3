"""The type of a whole data set, in memory or stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nas.errors import InputError
from nas.tasks.base import Labels
from nas.training.datasets.labels import LabelArray, content, kind_of, numbered
from nas.training.datasets.objects import Objects, notes
from nas.training.datasets.parts import Role
from nas.training.datasets.stored import Inputs, Integers, Pixels, Stored, check_memory_of

_CHUNK_BYTES = 2**28
"""How many bytes the images that are resized together may take as floats."""

Resolution = Annotated[int, Field(ge=1)] | None

Ignored = Annotated[int, Field(ge=0, le=254)] | None


@dataclass(frozen=True, eq=False)
class Images:
    """A whole data set: the training part, then the official validation and test parts, if any.

    Args:
        images: uint8, [N, C, H, W], or stored images that have not been read. Volumes are
            [N, C, D, H, W], and series float32, [N, C, L].
        labels: the classes, masks or values of all images, see :data:`nas.tasks.base.Labels`.
        classes: the number of classes, or of values per image.
        official_test: how many images at the end are the official test part; 0 if there is none.
        names: the names of the classes in their order, if the data set has them.
        streamed: whether stored images are read in every epoch; otherwise a part is read into
            memory when it is used.
        official_validation: how many images before these are the official validation part.
        digests: a checksum of the content of each image, taken before it was resized; with them,
            the data set is known by its content, wherever its files are.
        resized: whether the images in memory are not as large as the data set has them.
        notes: remarks for the user on what was found, such as files that were not read.
        places: a function that returns the place of the image at a position; None for images that
            only have a number, see :meth:`place`.
        value_range: the values of each channel that have become the pixels 0 and 255; None if the
            data set holds pixels.
    """

    images: Inputs | Stored
    labels: LabelArray
    classes: int
    official_test: int = 0
    names: tuple[str, ...] | None = None
    streamed: bool = False
    official_validation: int = 0
    digests: Sequence[bytes] | None = None
    resized: bool = False
    notes: tuple[str, ...] = ()
    places: Callable[[int], str] | None = None
    value_range: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def place(self, position: int) -> str:
        """Returns the place of the image at a position, for messages and predictions.

        An image without a file is known by its number in the official part that has it.
        """
        if self.places is not None:
            return self.places(position)
        test = len(self.labels) - self.official_test
        validation = test - self.official_validation
        if validation == len(self.labels):
            return f"image {position}"
        if position >= test:
            return f"test image {position - test}"
        if position >= validation:
            return f"validation image {position - validation}"
        return f"train image {position}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.images.shape[1:]

    @property
    def kind(self) -> Labels:
        """What the labels are."""
        return kind_of(self.labels)

    @cached_property
    def fingerprints(self) -> tuple[str, ...]:
        """Checksums of labels and images, 16 hex digits; the first one is recorded.

        A data set in memory is known by its pixels as they are read, and stored or resized images
        by their digests. Earlier versions knew stored images by the names and sizes of their files,
        and resized ones by their pixels.
        """
        digest = blake2b(repr((self.images.shape, self.official_test)).encode(), digest_size=8)
        digest.update(content(self.labels))
        if isinstance(self.images, Stored):
            digest.update(self.images.described)
        else:
            digest.update(np.ascontiguousarray(self.images).data)
        by_pixels = digest.hexdigest()
        if self.digests is None:
            return (by_pixels,)
        parts = (len(self.labels), self.official_validation, self.official_test)
        digest = blake2b(repr(parts).encode(), digest_size=8)
        digest.update(content(self.labels))
        digest.update(b"".join(self.digests))
        by_digests = digest.hexdigest()
        if self.resized or isinstance(self.images, Stored):
            return by_digests, by_pixels
        return by_pixels, by_digests

    @property
    def fingerprint(self) -> str:
        """The checksum by which the data set is known: see :attr:`fingerprints`."""
        return self.fingerprints[0]


def checksum(content: Pixels | bytes) -> bytes:
    """Returns a checksum of a file or of the pixels and the shape of an image, 16 bytes."""
    if isinstance(content, bytes):
        return blake2b(content, digest_size=16).digest()
    shape = repr(content.shape).encode()
    return blake2b(shape + np.ascontiguousarray(content).tobytes(), digest_size=16).digest()


def assembled(
    images: Inputs | Stored,
    labels: Sequence[Any],
    counts: Mapping[Role, int],
    where: object,
    names: tuple[str, ...] | None = None,
    ignore: int | None = None,
    **more: Any,
) -> Images:
    """Makes a data set of the images and the labels of all its parts, in their order.

    Args:
        images: the images of the training part, then of the validation and the test part.
        labels: one per image, see :func:`nas.training.datasets.labels.numbered`.
        counts: the number of images of each part.
        where: the place of the data set, for messages.
        names: the names of the classes, for labels that are numbers.
        ignore: a class of masks whose pixels are ignored.
        more: further arguments of :class:`Images`.

    Raises :class:`InputError` if the labels are no classes, masks or values.
    """
    found, classes, own_names = numbered(labels, where, ignore)
    if isinstance(labels[0], Objects):
        more["notes"] = (*more.get("notes", ()), *notes(labels))
    return Images(
        images,
        found,
        classes,
        official_test=counts.get("test", 0),
        official_validation=counts.get("validation", 0),
        names=names if names is not None and len(names) == classes else own_names,
        **more,
    )


def common_shape(shapes: Collection[tuple[int, ...]], where: object) -> tuple[int, ...]:
    """Returns the shape (C, H, W) that images of these shapes get.

    If some are in colour, grey ones become colour, too. Raises :class:`InputError` if they are of
    several sizes.
    """
    if len({shape[1:] for shape in shapes}) > 1:
        shown = ", ".join(str(list(shape)) for shape in sorted(shapes)[:3])
        raise InputError(
            f"{where}: images differ in shape: {shown}; set resolution to bring all to one size"
        )
    return max(shapes)


def with_channels(image: Pixels, channels: int) -> Pixels:
    """Returns a grey image [1, H, W] with its channel repeated; others are returned unchanged."""
    return image if len(image) == channels else np.repeat(image, channels, axis=0)


def with_test(
    parts: Sequence[tuple[Pixels, Integers]], classes: int, resolution: int | None
) -> Images:
    """Joins the images and labels of the training part and the official test part, if any."""
    images = np.concatenate([pixels for pixels, _ in parts])
    labels = np.concatenate([labels for _, labels in parts]).astype(np.int64)
    test = len(parts[1][1]) if len(parts) > 1 else 0
    return Images(resize(images, resolution), labels, classes, test)


def check_labels(labels: npt.NDArray[np.integer], classes: int, where: object) -> Integers:
    """Returns the labels as int64; :class:`InputError` unless they are 0 to ``classes`` - 1."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels.max() if labels.max() >= classes else labels.min()
        raise InputError(f"{where}: holds label {wrong}; expected 0 to {classes - 1}")
    return labels.astype(np.int64)


def resize(images: Pixels, resolution: int | None) -> Pixels:
    """Scales images to ``resolution`` x ``resolution`` pixels, bilinear with antialiasing.

    The middle is cut out of images that are not square, as for pictures.
    """
    if resolution is None or images.shape[2:] == (resolution, resolution):
        return images
    import torch
    from torch.nn.functional import interpolate

    scale = resolution / min(images.shape[2:])
    whole = tuple(max(resolution, round(side * scale)) for side in images.shape[2:])
    upper, left = ((side - resolution) // 2 for side in whole)

    def one(chunk: Pixels) -> Pixels:
        pixels = torch.from_numpy(chunk.astype(np.float32))
        pixels = interpolate(pixels, whole, mode="bilinear", antialias=True, align_corners=False)
        resized: Pixels = pixels.round_().clamp_(0, 255).to(torch.uint8).numpy()
        return resized[:, :, upper : upper + resolution, left : left + resolution]

    shape = (images.shape[1], resolution, resolution)
    check_memory_of(len(images), shape, "the data set")
    # In chunks: as floats, a whole data set would take four times its memory.
    step = max(1, _CHUNK_BYTES // (4 * math.prod(shape)))
    return np.concatenate([one(images[i : i + step]) for i in range(0, len(images), step)])
