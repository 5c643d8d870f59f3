"""Turns labels, as people write them, into class numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import InputError
from nas.training.datasets.stored import Integers

_SHOWN = 10
"""The largest number of classes whose counts a message shows."""


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


def _several(classes: npt.NDArray[Any], counts: npt.NDArray[Any], where: object) -> None:
    if len(classes) < 2:
        raise InputError(
            f"{where}: holds one class ({_counts(classes, counts)}); expected two or more"
        )


def _counts(classes: npt.NDArray[Any], counts: npt.NDArray[Any]) -> str:
    """Writes how many images each class has."""
    pairs = [f"{name}: {count}" for name, count in zip(classes, counts, strict=True)]
    return ", ".join(pairs[:_SHOWN]) + (" ..." if len(pairs) > _SHOWN else "") + " images"
