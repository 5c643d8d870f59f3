"""Turns labels, as people write them, into class numbers, masks or values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import InputError
from nas.tasks.base import IGNORED, Labels
from nas.training.datasets.objects import Objects, padded
from nas.training.datasets.stored import Integers, Pixels

_SHOWN = 10
"""The largest number of classes whose counts a message shows."""

LabelArray = Integers | Pixels | npt.NDArray[np.float32]
"""The labels of all images: classes [N], masks [N, H, W], tags or values [N, K], or boxes
[N, M, 5]."""


def kind_of(labels: LabelArray) -> Labels:
    """Tells what labels are, by their type and shape."""
    if labels.dtype.kind == "f":
        return "boxes" if labels.ndim == 3 else "values"
    return {3: "masks", 2: "tags"}.get(labels.ndim, "classes")  # type: ignore[return-value]


def strata(labels: LabelArray) -> Integers:
    """Returns the groups of images that a split divides alike: classes, or a single group."""
    if kind_of(labels) == "classes":
        return labels.astype(np.int64, copy=False)
    return np.zeros(len(labels), np.int64)


def content(labels: LabelArray) -> bytes:
    """Returns the labels as bytes, from which fingerprints are made."""
    if kind_of(labels) == "classes":
        return labels.astype("<i8").tobytes()
    return repr((labels.dtype.kind, labels.shape)).encode() + labels.tobytes()


def numbered(
    labels: Sequence[Any], where: object, ignore: int | None = None
) -> tuple[LabelArray, int, tuple[str, ...] | None]:
    """Returns the labels of all images, the number of classes or values, and the classes' names.

    Objects are boxes, see :func:`nas.training.datasets.objects.padded`. Arrays [H, W] of whole
    numbers are masks, see :func:`class_masks`. Rows of whole 0 and 1 are tags, unless all have a
    single 1. Numbers with a fraction, or several per image, are values. All others are classes, see
    :func:`class_numbers`.

    Args:
        labels: one per image.
        where: the place of the labels, for messages.
        ignore: a class of masks whose pixels are ignored.

    Raises :class:`InputError` with the reason if they are none of these.
    """
    if isinstance(labels[0], Objects):
        return padded(labels, where)
    first = np.asarray(labels[0])
    if first.ndim == 2 and first.dtype.kind in "biu":
        masks, classes = class_masks(labels, where, ignore)
        return masks, classes, None
    if first.ndim == 1 and (tags := _tags(labels)) is not None:
        return tags, tags.shape[1], None
    if first.dtype.kind == "f" and (found := _values(labels, where)) is not None:
        return found, found.shape[1], None
    numbers, names = class_numbers(labels, where)
    return numbers, int(numbers.max()) + 1, names


def class_masks(
    masks: Sequence[npt.NDArray[Any]], where: object, ignore: int | None = None
) -> tuple[Pixels, int]:
    """Returns masks as uint8 [N, H, W], and the number of classes.

    The classes are whole numbers from 0; pixels of 255, and of ``ignore``, are ignored. Masks of 0
    and 255 alone have two classes.

    Raises :class:`InputError` if there are fewer than two classes.
    """
    held = np.stack(masks)
    counts = np.bincount(held.ravel(), minlength=IGNORED + 1)
    if not counts[1:IGNORED].any() and counts[0] and counts[IGNORED] and ignore is None:
        return (held == IGNORED).astype(np.uint8), 2
    if ignore is not None:
        held[held == ignore] = IGNORED
        counts[ignore] = 0
    classes = np.flatnonzero(counts[:IGNORED])
    _several(classes, counts[classes], where, "pixels")
    return held, int(classes[-1]) + 1


def _tags(labels: Sequence[Any]) -> Pixels | None:
    """Returns rows of whole 0 and 1 as uint8 [N, K]; None if each has one 1, or for others."""
    held = [np.asarray(label) for label in labels]
    if len({each.shape for each in held}) > 1 or any(each.dtype.kind not in "biu" for each in held):
        return None
    rows = np.stack(held)
    if rows.shape[1] < 2 or not np.isin(rows, (0, 1)).all() or (rows.sum(1) == 1).all():
        return None
    return rows.astype(np.uint8)


def _values(labels: Sequence[Any], where: object) -> npt.NDArray[np.float32] | None:
    """Returns numbers [N, K]; None if they may be classes, written as floats or one-hot."""
    held = [np.asarray(label) for label in labels]
    if len({each.shape for each in held}) > 1 or any(each.dtype.kind not in "fiu" for each in held):
        return None
    rows = np.stack(held).reshape(len(held), -1)
    ones = np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all()
    if ones or (rows.shape[1] == 1 and np.equal(rows, np.round(rows)).all()):
        return None
    if not np.isfinite(rows).all():
        position = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
        raise InputError(f"{where}: the label of image {position} holds a value that is no number")
    return rows.astype(np.float32)


def class_numbers(labels: Sequence[Any], where: object) -> tuple[Integers, tuple[str, ...] | None]:
    """Returns the labels of all images as numbers from 0, and the names of the classes.

    Labels are whole numbers from 0 or from 1 without gaps (also written as floats), names, or
    one-hot rows. Names are numbered in their order. The names are None if the numbers start at 0.

    Args:
        labels: numbers, names, arrays or tensors, one per image.
        where: the place of the labels, for messages.

    Raises :class:`InputError` with the reason if they are something else, or only one class.
    """
    values = _stacked(labels, where)
    expected = f"expected {len(values)} whole numbers from 0 or 1, names, or one-hot rows"
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf":
        values = _hot(values, where, expected)
    if values.ndim != 1:
        shape = list(values.shape)
        raise InputError(f"{where}: labels are {values.dtype} of {shape}; {expected}")
    if values.dtype.kind in "US" or (
        values.dtype.kind == "O" and all(isinstance(each, str | bytes) for each in values)
    ):
        return _named(values, where)
    numbers = _whole(values, where, expected)
    distinct, counts = np.unique(numbers, return_counts=True)
    first = int(distinct[0])
    shown = _counts(distinct, counts)
    if first < 0:
        raise InputError(f"{where}: holds label {first}, which is no class; {expected}")
    if first > 1 or int(distinct[-1]) - first != len(distinct) - 1:
        raise InputError(f"{where}: the labels have gaps ({shown}); {expected}, without gaps")
    _several(distinct, counts, where)
    return numbers - first, tuple(map(str, distinct)) if first else None


def _stacked(labels: Sequence[Any], where: object) -> npt.NDArray[Any]:
    """Makes one array of the labels without changing their type."""
    each = [np.asarray(label) for label in labels]
    if len({label.shape for label in each}) > 1:
        raise InputError(f"{where}: labels differ in shape")
    kinds = {label.dtype.kind for label in each}
    if kinds & set("US") and kinds - set("US"):
        raise InputError(f"{where}: labels are names and numbers; expected one of both")
    if not each[0].shape and not kinds & set("US"):  # numpy would make floats of large numbers
        return np.array([label.tolist() for label in each], object)
    return np.array(each)


def _hot(values: npt.NDArray[Any], where: object, expected: str) -> Integers:
    """Returns the positions of the ones in one-hot rows."""
    if not (np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()):
        raise InputError(
            f"{where}: labels are rows of {values.shape[1]} values that are not one-hot: an image "
            f"has one class; {expected}"
        )
    found: Integers = values.argmax(1)
    return found


def _named(values: npt.NDArray[Any], where: object) -> tuple[Integers, tuple[str, ...]]:
    texts = [each.decode("utf-8", "backslashreplace") if isinstance(each, bytes) else str(each)
             for each in values.tolist()]  # fmt: skip
    names, numbers, counts = np.unique(texts, return_inverse=True, return_counts=True)
    _several(names, counts, where)
    return numbers.astype(np.int64), tuple(map(str, names))


def _whole(values: npt.NDArray[Any], where: object, expected: str) -> Integers:
    try:
        numbers = np.array([int(each) for each in values.tolist()], np.int64)
    except OverflowError:
        raise InputError(f"{where}: holds label {max(values.tolist())}, too large for a class; "
                         f"{expected}") from None  # fmt: skip
    except (TypeError, ValueError):
        wrong = next(each for each in values.tolist() if not _is_whole(each))
        raise InputError(f"{where}: holds label {wrong!r}; {expected}") from None
    if wrong := [each for each in values.tolist() if each != int(each)]:
        raise InputError(f"{where}: holds label {wrong[0]!r}, between two classes; {expected}")
    return numbers


def _is_whole(value: Any) -> bool:
    try:
        return bool(int(value) == value)
    except (TypeError, ValueError):
        return False


def _several(
    classes: npt.NDArray[Any], counts: npt.NDArray[Any], where: object, of: str = "images"
) -> None:
    if len(classes) < 2:
        raise InputError(
            f"{where}: holds one class ({_counts(classes, counts, of)}); expected two or more"
        )


def _counts(classes: npt.NDArray[Any], counts: npt.NDArray[Any], of: str = "images") -> str:
    """Writes how many images, or pixels, each class has."""
    pairs = [f"{name}: {count}" for name, count in zip(classes, counts, strict=True)]
    return ", ".join(pairs[:_SHOWN]) + (" ..." if len(pairs) > _SHOWN else "") + f" {of}"
