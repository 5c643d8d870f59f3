"""Reads the boxes around the objects in an image, checks them, and moves them with the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nas.errors import InputError
from nas.words import counted

_LEFT = 0.25
"""A box is left out if less than this share of it is left in the part of a picture that is used."""

Floats = npt.NDArray[np.floating]


class Objects(NamedTuple):
    """The objects in one image.

    Attributes:
        boxes: x and y of two corners in pixels, [m, 4].
        classes: the class of each, numbers or names.
        left_out: how many others were left out.
        size: the height and width of the image, once they are known.
    """

    boxes: Floats
    classes: list[Any]
    left_out: int = 0
    size: tuple[int, int] = (0, 0)

    def only(self, kept: npt.NDArray[np.bool_]) -> Objects:
        """Returns some of the objects."""
        classes = [each for each, keep in zip(self.classes, kept, strict=True) if keep]
        left_out = self.left_out + int((~kept).sum())
        return self._replace(boxes=self.boxes[kept], classes=classes, left_out=left_out)


def objects(given: Any) -> Objects | None:
    """Returns the objects of a label, or None if it is something else.

    Known are the forms of torchvision's models, a dict of ``boxes`` with two corners and
    ``labels``, and of Hugging Face's data sets, a dict of ``bbox`` with a corner, width and height,
    and ``category``.

    Raises :class:`InputError` if a box or a class is missing.
    """
    if isinstance(given, Objects):
        return given
    if not isinstance(given, Mapping):
        return None
    corners = "boxes" in given
    keys = ("boxes", "labels") if corners else ("bbox", "category")
    if missing := [key for key in keys if key not in given]:
        raise InputError(
            f"its label is a dict of {', '.join(map(str, given))}; {missing[0]} is missing: "
            "expected boxes and labels, or bbox and category"
        )
    boxes = np.asarray(given[keys[0]], dtype=np.float64).reshape(-1, 4)
    classes = np.asarray(given[keys[1]]).tolist()
    if len(boxes) != len(classes):
        raise InputError(f"has {len(boxes)} boxes, but {len(classes)} classes")
    return Objects(
        boxes if corners else np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]), classes
    )


def within(found: Objects, width: int, height: int) -> Objects:
    """Returns the objects with their boxes cut to an image of this size, without those of no area.

    Raises :class:`InputError` with the box if one holds a value that is no number, has its corners
    in the wrong order, or is outside of the image.
    """
    sides = np.array([width, height, width, height])
    for box in found.boxes:
        cut = box.clip(0, sides)
        if not np.isfinite(box).all():
            reason = "holds a value that is no number"
        elif not (box[:2] <= box[2:]).all():
            reason = "has its corners in the wrong order"
        elif ((cut[:2] == cut[2:]) & (box[:2] < box[2:])).any():
            reason = f"is outside of the image, which is of {width}x{height} pixels"
        else:
            continue
        raise InputError(
            f"the box from ({box[0]:g}, {box[1]:g}) to ({box[2]:g}, {box[3]:g}) {reason}"
        )
    cut = found._replace(boxes=found.boxes.clip(0, sides), size=(height, width))
    return cut.only(np.all(cut.boxes[:, :2] < cut.boxes[:, 2:], axis=1))


def moved(
    found: Objects, scale: tuple[float, float], offset: tuple[float, float], size: tuple[int, int]
) -> Objects:
    """Returns the objects of a picture that is scaled and then cut to a size.

    Args:
        found: the objects.
        scale: the factors of x and y.
        offset: what is cut off on the left and above.
        size: the height and width that are left.

    A box of which less than a quarter is left is left out.
    """
    boxes = found.boxes * (*scale, *scale) - (*offset, *offset)
    cut = boxes.clip(0, (*size[::-1], *size[::-1]))
    share = np.prod(cut[:, 2:] - cut[:, :2], 1) / np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    return found._replace(boxes=cut, size=size).only(share >= _LEFT)


def notes(every: Sequence[Objects]) -> tuple[str, ...]:
    """Returns remarks on the objects of all images."""
    left_out = sum(found.left_out for found in every)
    empty = sum(not found.classes for found in every)
    told = [
        (left_out, f"{counted(left_out, 'box', 'boxes')} left out: no area, or mostly cut off"),
        (empty, f"{counted(empty, 'image')} without boxes, where nothing is to be found"),
    ]
    return tuple(words for count, words in told if count)


def without_boxes(
    labels: npt.NDArray[Any], parts: Mapping[str, npt.NDArray[Any]], names: Sequence[str]
) -> list[str]:
    """Returns remarks on classes of which a part has no box; COCO's metrics leave them out.

    Args:
        labels: the boxes and classes of all images, [N, M, 5].
        parts: the positions of the images of each part.
        names: the names of the classes.
    """
    told = []
    for part, positions in parts.items():
        there = set(labels[positions][..., 4].ravel().astype(int).tolist())
        if lost := [name for number, name in enumerate(names) if number not in there]:
            told.append(f"warning: no {part} image has a box of {', '.join(lost)}")
    return told


def padded(
    every: Sequence[Objects], where: object, names: Sequence[str] | None = None
) -> tuple[npt.NDArray[np.float32], int, tuple[str, ...] | None]:
    """Returns the boxes and classes of all images, [N, M, 5], the number of classes, and names.

    Rows that an image does not need, and the last one, which is around the whole image, have the
    class -1. Classes are numbers from 0 or 1, or names.

    Args:
        every: the objects of each image.
        where: the place of the data set, for messages.
        names: the names of the classes, if they are known beforehand.

    Raises :class:`InputError` if there is no object, or if classes are something else.
    """
    classes = [each for found in every for each in found.classes]
    if not classes:
        raise InputError(f"{where}: holds no boxes")
    if all(isinstance(each, str) for each in classes):
        names = tuple(names or sorted(set(classes)))
        number = {name: place for place, name in enumerate(names)}
        if unknown := sorted(set(classes) - set(names)):
            raise InputError(f"{where}: holds the class {unknown[0]!r}; known: {', '.join(names)}")
    elif all(type(each) is int and each >= 0 for each in classes):
        first = 0 if names is not None or min(classes) == 0 else 1
        number = {each: each - first for each in classes}
        if names is not None and max(classes) >= len(names):
            raise InputError(
                f"{where}: holds the class {max(classes)}; there are {len(names)} names, so that "
                f"classes are from 0 to {len(names) - 1}"
            )
    else:
        wrong = next(each for each in classes if type(each) is not int or each < 0)
        raise InputError(
            f"{where}: holds the class {wrong!r}; expected whole numbers from 0 or 1, or names"
        )
    most = max(len(found.classes) for found in every)
    rows = np.zeros((len(every), most + 1, 5), np.float32)
    rows[..., 4] = -1
    for row, found in zip(rows, every, strict=True):
        row[-1, 2:4] = found.size[::-1]
        row[: len(found.classes), :4] = found.boxes
        row[: len(found.classes), 4] = [number[each] for each in found.classes]
    count = len(names) if names is not None else max(number.values()) + 1
    return rows, count, None if names is None else tuple(names)
