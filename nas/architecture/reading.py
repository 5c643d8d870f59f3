"""How a network reads an image: as it is, or as a series, a volume, or a stack of channels."""

from __future__ import annotations

from math import prod
from typing import Literal

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.operations import ArchitectureError, Shape

Reading = Literal["image", "rows", "columns", "volume", "stack"]
"""The ways to read an image [C, H, W]:

- ``image``: as it is.
- ``rows``: as a series of H rows, whose channels are the C * W values of a row.
- ``columns``: as a series of W columns, whose channels are the C * H values of a column.
- ``volume``: as a volume [1, C, H, W] of one channel, whose depth is the channels.
- ``stack``: as an image [1, C * H, W] of one channel; the channels lie one below the other.

A series suits arrays in which neighbours along one axis have nothing in common, such as texts with
a column for each letter of the alphabet: a convolution reads whole rows, whatever is in them. A
volume suits channels that are like another axis, such as planes for the digits on a board: a
convolution does not tell them apart. A stack suits channels that are pictures of their own, such as
the summands of a sum: all are seen by the same weights, and by the pooling together.
"""

OF_CHANNELS: frozenset[Reading] = frozenset({"volume", "stack"})
"""The readings that differ from ``image`` only if there are several channels."""

_SCOPE = "reading"
"""The scope of the nodes that rearrange an image."""


def read_shape(reading: Reading, input_shape: Shape) -> Shape:
    """Returns the shape that a network sees.

    Raises:
        ArchitectureError: if the input is no image, which can be read as it is only.
    """
    if reading == "image":
        return tuple(input_shape)
    if len(input_shape) != 3:
        raise ArchitectureError(
            f"{reading} needs images [C, H, W], these inputs are {list(input_shape)}; allowed: "
            "image"
        )
    if reading == "volume":
        return 1, *input_shape
    if reading == "stack":
        return 1, input_shape[0] * input_shape[1], input_shape[2]
    length = input_shape[1 if reading == "rows" else 2]
    return prod(input_shape) // length, length


def reading_network(
    reading: Reading, input_shape: Shape, architecture: Architecture
) -> Architecture:
    """Returns the network for images that reads them in a way and goes on with an architecture.

    Args:
        reading: the way.
        input_shape: the shape of the images.
        architecture: an architecture for inputs of :func:`read_shape`.

    Raises:
        ArchitectureError: if the architecture is for another shape, or the images have none.
    """
    expected = read_shape(reading, input_shape)
    if architecture.input_shape != expected:
        raise ArchitectureError(
            f"an architecture for {architecture.input_shape} cannot read {reading} of {expected}"
        )
    if reading == "image":
        return architecture
    g = Builder(input_shape)
    x = g.input
    with g.scope(_SCOPE):
        if reading == "rows":
            x = g.permute(x, (0, 2, 1), name="permute")
        if reading in OF_CHANNELS:
            x = g.unflatten(x, 0, (1, input_shape[0]), name="unflatten")
        if reading != "volume":
            first = 1 if reading == "stack" else 0
            x = g.flatten(x, first, first + 1, name="flatten")
    found = g.include(architecture, x)
    return g.build(*(found[name] for name in architecture.outputs))
