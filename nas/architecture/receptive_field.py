"""What each node sees of the input: receptive field, stride and padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor, inf, isfinite
from typing import NamedTuple

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT
from nas.architecture.operations import Reach


class Field(NamedTuple):
    """The window of input positions that a node's positions see, on one spatial axis.

    Position ``i`` sees ``size`` input positions, from ``i * stride - padding`` on. Some of them
    may lie outside the input: the window is that of an endless input, as the closed form has it.

    Attributes:
        size: the receptive field.
        stride: how far apart in the input two neighbours' windows are ("jump"); may be a fraction
            behind upsampling, where a window starts at the next whole position.
        padding: how far the first window reaches over the input's border; negative behind a crop.
    """

    size: int
    stride: Fraction
    padding: Fraction


class _Window(NamedTuple):
    """As :class:`Reach`, of the network's input; ``axis`` is the node's own, None if it has none"""

    axis: int | None
    stride: Fraction
    first: Fraction | float
    last: Fraction | float


_EVERYTHING = _Window(None, Fraction(0), -inf, inf)


def fields(architecture: Architecture) -> Mapping[str, tuple[Field, ...]]:
    """The field of every node, and of ``"input"``, one for each spatial axis of the input.

    The recursion of Araujo et al. 2019, "Computing receptive fields of convolutional neural
    networks" (Distill, eqs. 1 to 4), run forward; where branches meet, the smallest window that
    holds theirs. Behind upsampling, neighbours see windows that do not move evenly: the field is
    the smallest evenly moving one that holds them.

    An operation that reads all positions (global pooling, a linear layer on a flattened map,
    attention, group norm, the gate of squeeze-and-excitation) and all that follows see the whole
    input: ``size`` is the input's, ``padding`` 0. Without places of its own on an axis, a node has
    one window, and ``stride`` is the input's size too. So it is with branches of unlike stride,
    whose union does not move evenly.
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
    """Of a position of the main output, one number a spatial axis of the input."""
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
