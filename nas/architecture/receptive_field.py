"""Computes what each node sees of the input: receptive field, stride and padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor, inf, isfinite
from typing import NamedTuple

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT
from nas.architecture.operations import Reach


class Field(NamedTuple):
    """The windows of input positions that a node's positions see, on one spatial axis.

    Position ``i`` sees ``size`` input positions, from ``i * stride - padding`` on. Some of them
    may lie outside the input, because the window is that of an endless input, as in the closed
    form.

    Attributes:
        size: the receptive field.
        stride: the distance in the input between the windows of two neighbours ("jump"). It may be
            a fraction behind upsampling, where a window starts at the next whole position.
        padding: how far the first window reaches over the input's border. It is negative behind a
            crop.
    """

    size: int
    stride: Fraction
    padding: Fraction


class _Window(NamedTuple):
    """Is to the network's input what :class:`Reach` is to a node's; ``axis`` is the node's own."""

    axis: int | None
    stride: Fraction
    first: Fraction | float
    last: Fraction | float


_EVERYTHING = _Window(None, Fraction(0), -inf, inf)


def fields(architecture: Architecture) -> Mapping[str, tuple[Field, ...]]:
    """Return the fields of every node and of ``"input"``, one for each spatial axis of the input.

    It is computed by the recursion of Araujo et al. 2019, "Computing receptive fields of
    convolutional neural networks" (Distill, eqs. 1 to 4), run forward. Where branches meet, the
    field is the smallest window that holds theirs. Behind upsampling, neighbours see windows that
    do not move evenly; the field is the smallest evenly moving window that holds them.

    An operation that reads all positions (global pooling, a linear layer on a flattened map,
    attention, group norm, the gate of squeeze-and-excitation) and all that follows see the whole
    input: ``size`` is the input's, ``padding`` is 0. A node that has no positions of its own on an
    axis has one window, and its ``stride`` is the input's size too. The same holds where branches
    of different strides meet, because the union of their windows does not move evenly.
    """
    sizes = architecture.input_shape[1:]
    one, zero = Fraction(1), Fraction(0)
    seen = {INPUT: [_Window(axis, one, zero, zero) for axis in range(1, len(sizes) + 1)]}
    for node in architecture.nodes:
        output = architecture.shapes[node.name]
        views = []
        for name in node.inputs:
            reaches = node.operation.reach(architecture.shapes[name], output)
            views.append([_through(window, reaches) for window in seen[name]])
        seen[node.name] = [_joined(windows) for windows in zip(*views, strict=True)]
    return {
        name: tuple(_field(w, size) for w, size in zip(windows, sizes, strict=True))
        for name, windows in seen.items()
    }


def receptive_field(architecture: Architecture) -> tuple[int, ...]:
    """Return the receptive field of the main output, one number per spatial axis of the input."""
    return tuple(field.size for field in fields(architecture)[architecture.outputs[0]])


def _through(window: _Window, reaches: Sequence[Reach | None]) -> _Window:
    for axis, reach in enumerate(reaches):
        if reach is not None and reach.axis == window.axis:
            return _Window(
                axis,
                window.stride * reach.stride,
                window.first + window.stride * reach.first,
                window.last + window.stride * reach.last,
            )
    return _EVERYTHING


def _joined(windows: Sequence[_Window]) -> _Window:
    placed = [window for window in windows if window.axis is not None]
    if len({(window.axis, window.stride) for window in placed}) != 1:
        return _EVERYTHING
    first, last = min(w.first for w in windows), max(w.last for w in windows)
    return _Window(placed[0].axis, placed[0].stride, first, last)


def _field(window: _Window, size: int) -> Field:
    stride = Fraction(size) if window.axis is None else window.stride
    if not isfinite(window.first):
        return Field(size, stride, Fraction(0))
    return Field(floor(window.last - window.first) + 1, stride, -Fraction(window.first))
