"""Heads that detect objects: they score every position of some maps, and find its boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.graph import Architecture
from nas.architecture.operations.boxes import Coder
from nas.architecture.taps import taps
from nas.blocks import conv_norm
from nas.heads import BOX_HEADS, Taps

Level = tuple[int, Sequence[tuple[float, float]]]
"""The stride of a map, and the width and height of each anchor at its positions."""


def detector(
    backbone: Architecture,
    head: str,
    classes: int,
    levels: Sequence[Level],
    options: Mapping[str, Any],
    coder: Coder,
) -> Architecture:
    """Return a network with a box and a logit per class for each anchor, [P, 4 + classes].

    The backbone's nodes are below ``backbone``, the head's below ``head``. The backbone's own head
    is left out. P is the number of anchors on all levels, see :func:`grid_of`.

    Args:
        backbone: any network over two spatial axes.
        head: a name of :data:`nas.heads.BOX_HEADS`.
        classes: the number of classes.
        levels: the levels, the smallest stride first.
        options: the options of the head.
        coder: how boxes are coded, see :class:`nas.architecture.operations.boxes.Boxes`.

    Raises:
        nas.architecture.operations.ArchitectureError: if the backbone has no map to be read.
    """
    g = Builder(backbone.input_shape)
    with g.scope("backbone"):
        handles = g.include(backbone)
    found = {stride: handles[name] for stride, name in taps(backbone).items()}
    maps: dict[int, Handle] = {}
    with g.scope("head"):
        for stride, _ in levels:
            maps[stride] = _map(g, found, maps, stride)
        channels = {stride: len(sizes) * (4 + classes) for stride, sizes in levels}
        coded = BOX_HEADS[head](g, maps, channels, **options)
        boxes = [
            g.boxes(coded[stride], stride, sizes, coder, name=f"boxes{stride}")
            for stride, sizes in levels
        ]
    return g.build(g.concat(*boxes, name="boxes") if boxes[1:] else boxes[0])


def grid_of(sides: Sequence[int], stride: int) -> tuple[int, int]:
    """Return height and width of the map with this stride of an image with these sides."""
    height, width = (-(-side // stride) for side in sides)
    return height, width


def _map(g: Builder, found: Taps, made: Taps, stride: int) -> Handle:
    """Return a map of this stride.

    It is the backbone's, or the last smaller one, ours or the backbone's, pooled. If the backbone
    has only larger strides, the smallest is enlarged.
    """
    known = {**found, **made}
    smaller = [each for each in known if each <= stride]
    x = known[max(smaller) if smaller else min(known)]
    if smaller and (ratio := stride // max(smaller)) > 1 and min(x.spatial) >= ratio:
        x = g.max_pool(x, ratio)
    size = grid_of(g.input.spatial, stride)
    return x if x.spatial == size else g.resize(x, size)


def grid(
    g: Builder, maps: Taps, channels: Mapping[int, int], *, width: PositiveInt | None = None
) -> dict[int, Handle]:
    """Score each map by a 3x3 and a 1x1 convolution.

    Redmon & Farhadi 2018 (YOLOv3, arXiv:1804.02767, section 2.3), and SSD (Liu et al. 2016,
    arXiv:1512.02325). The hidden layer has the map's channels, or ``width``. Deviations: boxes have
    no objectness, maps are not joined with others, and centres may leave their cell.
    """
    coded = {}
    for stride, x in maps.items():
        with g.scope(f"grid{stride}"):
            x = conv_norm(g, x, width or x.channels, names=("0", "1"))
            coded[stride] = g.conv(x, channels[stride], 1, name="2")
    return coded


def towers(
    g: Builder,
    maps: Taps,
    channels: Mapping[int, int],
    *,
    width: PositiveInt = 64,
    depth: NonNegativeInt = 2,
) -> dict[int, Handle]:
    """Score each map of a feature pyramid after a tower of ``depth`` 3x3 convolutions.

    The pyramid is that of Lin et al. 2017 (arXiv:1612.03144), the tower that of RetinaNet
    (arXiv:1708.02002, section 4) and FCOS (arXiv:1904.01355, section 3.4). Deviations: boxes and
    classes share the tower, each map has its own weights and batch norm, and FCOS's centre-ness is
    left out.
    """
    strides = sorted(maps, reverse=True)
    sums: dict[int, Handle] = {}
    for place, stride in enumerate(strides):
        x = g.conv(maps[stride], width, 1, name=f"lateral{stride}")
        if place:
            x = g.add(g.resize(sums[strides[place - 1]], x.spatial), x)
        sums[stride] = x
    coded = {}
    for stride in maps:
        x = sums[stride]
        for layer in range(depth):
            with g.scope(f"tower{stride}.{layer}"):
                x = conv_norm(g, x, width, names=("0", "1"))
        coded[stride] = g.conv(x, channels[stride], 3, padding="same", name=f"last{stride}")
    return coded
