"""The type of a whole data set, in memory or stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nas.errors import InputError
from nas.training.datasets.stored import Integers, Pixels, Stored

Resolution = Annotated[int, Field(ge=1)] | None


@dataclass(frozen=True, eq=False)
class Images:
    """A whole data set.

    Args:
        images: uint8, [N, C, H, W], or stored images that have not been read.
        labels: int64, [N], from 0 to ``classes`` - 1.
        classes: the number of classes.
        official_test: how many images at the end are the official test part; 0 if there is none.
        names: the names of the classes in their order, if the data set has them.
        streamed: whether stored images are read in every epoch; otherwise a part is read into
            memory when it is used.
    """

    images: Pixels | Stored
    labels: Integers
    classes: int
    official_test: int = 0
    names: tuple[str, ...] | None = None
    streamed: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.images.shape[1:]

    @property
    def fingerprint(self) -> str:
        """16 hex digits of labels and pixels; stored images count by their description."""
        digest = blake2b(repr((self.images.shape, self.official_test)).encode(), digest_size=8)
        digest.update(self.labels.astype("<i8").tobytes())
        if isinstance(self.images, Stored):
            digest.update(self.images.described)
        else:
            digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()


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
    """Scales images to ``resolution`` x ``resolution`` pixels, bilinear with antialiasing."""
    if resolution is None or images.shape[2:] == (resolution, resolution):
        return images
    import torch
    from torch.nn.functional import interpolate

    def one(chunk: Pixels) -> Pixels:
        pixels = torch.from_numpy(chunk.astype(np.float32))
        side = (resolution, resolution)
        pixels = interpolate(pixels, side, mode="bilinear", antialias=True, align_corners=False)
        resized: Pixels = pixels.round_().clamp_(0, 255).to(torch.uint8).numpy()
        return resized

    # In chunks: as floats, a whole data set would take four times its memory.
    return np.concatenate([one(images[i : i + 4096]) for i in range(0, len(images), 4096)])
