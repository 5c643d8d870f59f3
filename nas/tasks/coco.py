"""Measures detections as COCO does: average precision and recall at ten thresholds of overlap.

The definitions, down to ties, are those of pycocotools' ``COCOeval`` for boxes without crowds.
Images and thresholds are matched at once, which takes a small part of its time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
MOST = 100
"""How many detections of a class count in one image."""

AREAS = {"": (0.0, 1e10), "s": (0.0, 32.0**2), "m": (32.0**2, 96.0**2), "l": (96.0**2, 1e10)}
"""The ranges of areas, in square pixels, by the letter that COCO gives them."""


def average_precision(
    detections: Sequence[Floats],
    truth: Sequence[Floats],
    classes: int,
    areas: Sequence[str] = ("",),
) -> tuple[dict[str, float], list[float | None]]:
    """Returns COCO's numbers, and the average precision of each class.

    Args:
        detections: for each image x and y of two corners, score and class, [n, 6].
        truth: for each image x and y of two corners and class, [m, 5].
        classes: the number of classes.
        areas: the letters of the ranges of areas, of :data:`AREAS`; "" is always measured.

    Returns ``AP``, ``AP50``, ``AP75``, ``AR1``, ``AR10`` and ``AR100`` and, for each range, ``APs``
    and ``ARs``. They are -1 if there is no true box, as in COCO; that of a class is None then.
    """
    precision: dict[str, list[Floats]] = {}
    recall: dict[str, list[Floats]] = {}
    by_class: list[float | None] = []
    for each in range(classes):
        matched = _Matched(
            [found[found[:, 5] == each] for found in detections],
            [boxes[boxes[:, 4] == each] for boxes in truth],
        )
        whole = matched.curve("", MOST)
        by_class.append(None if whole is None else float(whole[0].mean()))
        for letter in dict.fromkeys(("", *areas)):
            curve = whole if letter == "" else matched.curve(letter, MOST)
            if curve is not None:
                precision.setdefault(letter, []).append(curve[0])
                recall.setdefault(letter or str(MOST), []).append(curve[1])
        for most in (1, 10):
            if (curve := matched.curve("", most)) is not None:
                recall.setdefault(str(most), []).append(curve[1])
    found = {f"AP{letter}": _mean(precision.get(letter)) for letter in dict.fromkeys(("", *areas))}
    for name, place in (("AP50", 0), ("AP75", 5)):
        found[name] = _mean([each[place] for each in precision.get("", [])])
    for name in ("1", "10", str(MOST), *(letter for letter in areas if letter)):
        found[f"AR{name}"] = _mean(recall.get(name))
    return found, by_class


def _mean(values: Sequence[Floats] | None) -> float:
    return float(np.mean(values)) if values else -1.0


class _Matched:
    """The detections and the true boxes of one class in all images, to be matched.

    Arrays are padded, [images, detections] and [images, true boxes]; padded ones have no area.
    """

    def __init__(self, detections: Sequence[Floats], truth: Sequence[Floats]) -> None:
        order = [np.argsort(-each[:, 4], kind="stable")[:MOST] for each in detections]
        ranked = [each[chosen] for each, chosen in zip(detections, order, strict=True)]
        self._boxes, self._exists = _padded([each[:, :4] for each in ranked])
        self._scores, _ = _padded([each[:, 4:5] for each in ranked])
        self._truth, self._true = _padded([each[:, :4] for each in truth])
        self._overlaps = _overlaps(self._boxes[:, :, None], self._truth[:, None])

    def curve(self, letter: str, most: int) -> tuple[Floats, Floats] | None:
        """Returns precision at each recall, [10, 101], and the largest recall, [10].

        They count true boxes in a range of areas, and the ``most`` best detections of each image.
        Returns None if there is no such box.
        """
        low, high = AREAS[letter]
        inside = self._true & _within(self._truth, low, high)
        count = int(inside.sum())
        if not count:
            return None
        exists = self._exists[:, :most]
        hit, counts = self._matches(inside, exists.shape[1])
        outside = ~_within(self._boxes[:, :most], low, high)
        counts &= exists[:, None] & (hit | ~outside[:, None])
        scores = self._scores[:, :most, 0][exists]
        order = np.argsort(-scores, kind="stable")
        hits, wrong = (
            each.transpose(1, 0, 2)[:, exists][:, order].cumsum(1)
            for each in (hit & counts, ~hit & counts)
        )
        precision, recall = hits / np.maximum(hits + wrong, 1), hits / count
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        padded = np.pad(precision, ((0, 0), (0, 1)))
        places = [np.searchsorted(each, _RECALLS) for each in recall]
        best = recall[:, -1] if recall.shape[1] else np.zeros(len(THRESHOLDS))
        return np.take_along_axis(padded, np.array(places), 1), best

    def _matches(self, inside: NDArray[np.bool_], most: int) -> tuple[NDArray[np.bool_], ...]:
        """Matches detections, the best first, each with the true box that it overlaps most.

        Returns which of them are matched, and which count: [images, thresholds, detections]. A box
        outside of the range is matched if no other one is left, and such a match does not count.
        """
        images, boxes = inside.shape
        free = np.broadcast_to(self._true[:, None], (images, len(THRESHOLDS), boxes)).copy()
        hit = np.zeros((images, len(THRESHOLDS), most), bool)
        counts = np.ones_like(hit)
        rows, columns = np.indices(free.shape[:2])
        for place in range(most if boxes else 0):
            overlap = self._overlaps[:, place, None]
            allowed = free & (overlap >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None])
            rank = np.where(allowed, overlap + 2.0 * inside[:, None], -1.0)
            chosen = boxes - 1 - rank[..., ::-1].argmax(2)  # of equal ones the last
            found = rank[rows, columns, chosen] >= 0
            hit[..., place] = found
            counts[..., place] = ~found | inside[rows, chosen]
            free[rows, columns, chosen] &= ~found
        return hit, counts


def _within(boxes: Floats, low: float, high: float) -> NDArray[np.bool_]:
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    within: NDArray[np.bool_] = (area >= low) & (area <= high)
    return within


def _padded(rows: Sequence[Floats]) -> tuple[Floats, NDArray[np.bool_]]:
    """Stacks arrays of different lengths; also returns which of the rows exist."""
    longest = max(map(len, rows), default=0)
    exists = np.arange(longest) < np.array([[len(each)] for each in rows])
    padded = np.zeros((*exists.shape, rows[0].shape[1]))
    padded[exists] = np.concatenate(rows)
    return padded, exists


def _overlaps(a: Floats, b: Floats) -> Floats:
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = sides.clip(min=0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (a, b)]
    return np.asarray(both / np.maximum(areas[0] + areas[1] - both, 1e-12))
