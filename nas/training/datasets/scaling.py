"""Maps values of any type and range to pixels, without a copy of all values.

This is also a part of the submissions that :mod:`nas.integrations.submission` writes, so it needs
nothing else of this package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_CHUNK = 2**22
"""How many values are looked at or converted at a time."""

_SAMPLE = 2000
"""The fewest images, if there are as many, whose values say how they are spread."""
_STEPS = 256
"""How many values a pixel may have."""
_INNER = (0.0005, 0.9995)
"""The quantiles beyond which values are outliers."""


def value_range(train: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Returns the lowest and the highest value of each channel, both [C].

    Channels are the second axis of [N, C, ...], and [N, H, W] has one. Values of uint8 are pixels
    already, and their range is 0 to 255. If many different values lie in a small part of the range,
    so that 256 steps would be too few for them, it leaves out 0.1 percent of the values.
    """
    planes = train[:, None] if train.ndim == 3 else train
    channels, axes = planes.shape[1], (0, *range(2, planes.ndim))
    if train.dtype == np.uint8:
        return np.zeros(channels), np.full(channels, 255.0)
    low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
    for chunk in chunks(planes):
        finite = np.isfinite(chunk)
        values = chunk.astype(np.float64)
        low = np.minimum(low, values.min(axes, initial=np.inf, where=finite))
        high = np.maximum(high, values.max(axes, initial=-np.inf, where=finite))
    known = low <= high
    low, high = np.where(known, low, 0.0), np.where(known, high, 1.0)
    some = planes[:: max(1, len(planes) // _SAMPLE)]
    for channel in np.flatnonzero(known):
        if _has_many(some[:, channel]):
            inner = _inner_range(some[:, channel])
            if 0 < inner[1] - inner[0] < (high[channel] - low[channel]) / 8:
                low[channel], high[channel] = inner
    return low, high


def chunks(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yields all images in order, some at a time, so that no copy of all values is made."""
    step = max(1, _CHUNK // math.prod(values.shape[1:]))
    for start in range(0, len(values), step):
        yield np.asarray(values[start : start + step])


def _finite(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yields the finite values [n] of some images at a time."""
    return (chunk[np.isfinite(chunk)] for chunk in chunks(values))


def _has_many(values: npt.NDArray[Any]) -> bool:
    """Tells if there are more different values than a pixel may have."""
    distinct = np.empty(0, values.dtype)
    for chunk in _finite(values):
        distinct = np.union1d(distinct, chunk)
        if len(distinct) > _STEPS:
            return True
    return False


def _inner_range(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Returns the quantiles of the finite values that leave out the outliers on either side.

    They are those of :func:`numpy.quantile`, for which all values would be copied and sorted. Here,
    only the lowest and the highest values are kept.
    """
    kept = int(_INNER[0] * values.size) + 2
    low, high, count = np.empty(0), np.empty(0), 0
    for chunk in _finite(values):
        chunk = chunk.astype(np.float64)
        low = np.concatenate([low, chunk])
        high = np.concatenate([high, chunk])
        if len(low) > kept:
            low = np.partition(low, kept - 1)[:kept]
            high = np.partition(high, len(high) - kept)[-kept:]
        count += len(chunk)
    low, high = np.sort(low), np.sort(high)
    places = [(count - 1) * share for share in _INNER]
    return _between(low, places[0]), _between(high, places[1] - (count - len(high)))


def _between(ordered: Floats, place: float) -> float:
    """Returns the value at a place in ordered values, as :func:`numpy.quantile` interpolates it."""
    before = int(place)
    part, last = place - before, len(ordered) - 1
    lower, upper = float(ordered[before]), float(ordered[min(before + 1, last)])
    apart = upper - lower
    return lower + apart * part if part < 0.5 else upper - apart * (1 - part)


def to_pixels(values: npt.NDArray[Any], low: Floats, high: Floats) -> npt.NDArray[np.uint8]:
    """Maps the values of each channel to whole numbers from 0 to 255; [N, H, W] gets a channel.

    Values from ``low`` to ``high`` are spread evenly, others become 0 or 255, and those that are
    not finite become 0. A training normalises its images, so that the range does not matter. Equal
    values become equal, whatever the types of the arrays.
    """
    values = values[:, None] if values.ndim == 3 else values
    if values.dtype == np.uint8 and not low.any() and (high == 255).all():
        return values
    shape = (-1, *(1,) * (values.ndim - 2))
    scale = 255 / np.where(high > low, high - low, 1.0)
    # float32 would not keep large values apart that are close to each other.
    scaled = (values.astype(np.float64) - low.reshape(shape)) * scale.reshape(shape)
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)
    pixels: npt.NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return pixels
