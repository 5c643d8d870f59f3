"""Heads that go back up through the maps of all strides: U-Net and FPN."""

from __future__ import annotations

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle
from nas.architecture.operations.shaping import Interpolation
from nas.blocks import conv_norm
from nas.heads import Taps


def unet(
    g: Builder,
    taps: Taps,
    channels: int,
    *,
    width: PositiveInt | None = None,
    mode: Interpolation = "nearest",
) -> Handle:
    """Enlarge the last map step by step, each time beside the backbone's map of that size.

    Ronneberger et al. 2015 (arXiv:1505.04597, figure 1). Deviations, which are usual: maps are
    interpolated by ``mode`` instead of transposed convolutions, convolutions are padded and have
    batch norm, and the two convolutions of a level have the channels of the backbone's map there,
    or ``width``.
    """
    strides = sorted(taps, reverse=True)
    x = taps[strides[0]]
    for stride in strides[1:]:
        skip = taps[stride]
        with g.scope(f"up{stride}"):
            x = g.concat(g.resize(x, skip.spatial, mode), skip)
            x = conv_norm(g, x, width or skip.channels, names=("0", "1"))
            x = conv_norm(g, x, names=("3", "4"))
    return g.conv(x, channels, 1, name="last")


def fpn(
    g: Builder,
    taps: Taps,
    channels: int,
    *,
    width: PositiveInt = 64,
    mode: Interpolation = "nearest",
) -> Handle:
    """Add the maps of all strides in a feature pyramid, and score the largest one.

    Lin et al. 2017 (arXiv:1612.03144, section 3): 1x1 convolutions bring every map to ``width``,
    each is added to the enlarged one above, and a 3x3 convolution smooths the sum. Deviations: one
    map is scored, the largest, and its 3x3 convolution has batch norm and an activation.
    """
    strides = sorted(taps, reverse=True)
    x = g.conv(taps[strides[0]], width, 1, name=f"lateral{strides[0]}")
    for stride in strides[1:]:
        lateral = g.conv(taps[stride], width, 1, name=f"lateral{stride}")
        x = g.add(g.resize(x, lateral.spatial, mode), lateral)
    return g.conv(conv_norm(g, x, names=("smooth.0", "smooth.1")), channels, 1, name="last")
